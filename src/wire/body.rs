//! One struct per kind: CBOR maps with numbered keys.
//!
//! Optional fields may come and go between versions; the others are for ever. Sizes are bounded by
//! the datagram, and minicbor allocates nothing because a length claims it.

mod contact;
mod watch;

use std::convert::Infallible;
use std::sync::Arc;

use minicbor::bytes::{ByteArray, ByteSlice, ByteVec};
use minicbor::{CborLen, Decode, Decoder, Encode, Encoder};

use crate::id::{LogId, PeerId};
use crate::wire::WireError;
use crate::wire::header::SIGNATURE_LEN;

pub use contact::{Place, Seek, Whereabouts};
pub use watch::{Alive, Answer, PROBE_DOUBTS, Probe, Proof, Suspect, Suspected};

/// The sender's key is for this run only.
pub const FLAG_EPHEMERAL: u8 = 1;
/// The sender has not heard our hello: greet it by unicast.
pub const FLAG_ASKS: u8 = 2;

/// The sender accepts streams on the port of its unicast socket.
pub const FLAG_LISTENS: u8 = 4;

/// I am here, this is what I hear. Says its casts relative to the segment it is sent on.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Hello {
    /// What the sender calls itself. A claim.
    #[n(0)]
    pub nick: String,
    /// `FLAG_*`.
    #[n(1)]
    pub flags: u8,
    /// Milliseconds until its next hello, on average.
    #[n(2)]
    pub every_ms: u32,
    /// The sender's own log: its next number.
    #[n(3)]
    pub head: u64,
    /// Hash of the sender's frontier.
    #[n(4)]
    pub hash: u64,
    /// Some of the peers it hears on this segment, in turn.
    #[n(5)]
    pub heard: Vec<Heard>,
    /// The person is away, and says this about it.
    #[n(12)]
    pub away: Option<String>,
    /// What the sender calls the interface this is sent on.
    #[n(6)]
    pub interface: Option<String>,
    /// The TTL, or hop limit, with which this datagram left.
    #[n(7)]
    pub ttl: Option<u8>,
    /// How many peers the sender hears on this segment, if not all of them are told here.
    #[n(8)]
    pub of: Option<u16>,
    /// Which round of hellos this belongs to, counted from 1: what is missing of a round by one cast and came
    /// by another tells of the cast, not of the sender. None if it is sent to one peer alone.
    #[n(9)]
    pub round: Option<u32>,
    /// By which casts this round goes out on this segment, as bits.
    #[n(10)]
    pub sends: Option<u8>,
    /// What the sender says of itself, for whoever asks why somebody is not seen.
    #[n(11)]
    pub condition: Option<Condition>,
    /// To be proven by the hellos of those whom the sender hears and who answer none of its probes.
    #[n(13)]
    pub challenge: Option<u64>,
    /// That this is no recording, to those who asked; one of them alone where it is sent to one.
    #[n(14)]
    pub proofs: Option<Vec<Proof>>,
    /// Makes the first hellos longer: who does not know yet whether we are there may send no more bytes than came.
    #[n(15)]
    pub pad: Option<ByteVec>,
}

impl Hello {
    /// How the sender hears this peer, if it stands among those told.
    #[must_use]
    pub fn heard_of(&self, id: PeerId) -> Option<&Heard> {
        self.heard.iter().find(|heard| *heard.id == id.0)
    }
}

/// What a node says of itself on one segment, and what it asks when it examines the network. Nothing
/// else depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Condition {
    /// Its clock: milliseconds since 1970.
    #[n(0)]
    pub clock_ms: Option<u64>,
    /// What is amiss on its side: `FLAW_*`.
    #[n(1)]
    pub flaws: Option<u16>,
    /// The MTU of its interface, if our largest datagrams do not fit.
    #[n(2)]
    pub mtu: Option<u32>,
    /// The TTL of its multicasts.
    #[n(3)]
    pub ttl: Option<u8>,
    /// Its group, address and port, if that is not the default.
    #[n(4)]
    pub group: Option<ByteVec>,
    /// `PROBE_*`.
    #[n(5)]
    pub probe: Option<u8>,
    /// Fills the datagram: does it get through?
    #[n(6)]
    pub pad: Option<ByteVec>,
}

/// In [`Condition::flaws`]: what comes from other networks is dropped by the reverse path.
pub const FLAW_REVERSE_PATH: u16 = 1;
/// The interface says that it does no multicast.
pub const FLAW_NO_MULTICAST: u16 = 2;
/// The group must be joined anew to be heard.
pub const FLAW_REVIVED: u16 = 4;
/// It cannot listen for the group, and sends to it all the same.
pub const FLAW_DEAF_MULTICAST: u16 = 8;
/// It cannot listen for broadcasts, and sends them all the same.
pub const FLAW_DEAF_BROADCAST: u16 = 16;

/// In [`Condition::probe`]: say hello to all, soon.
pub const PROBE_PROMPTS: u8 = 1;
/// A datagram filled up came from whom this is for.
pub const PROBE_LARGE_CAME: u8 = 2;

/// A peer that is heard, and by which casts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct Heard {
    /// Who is heard.
    #[n(0)]
    pub id: ByteArray<16>,
    /// Casts, as bits: unicast 1, broadcast 2, multicast 4.
    #[n(1)]
    pub casts: u8,
    /// The first entry in the log of who says this that was said after the peer was met: what lies
    /// before is history to it, what follows it is to confirm.
    #[n(2)]
    pub base: u64,
    /// The TTL that was left of its last unicast, ...
    #[n(3)]
    pub unicast_ttl: Option<u8>,
    /// ... of its last broadcast, ...
    #[n(4)]
    pub broadcast_ttl: Option<u8>,
    /// ... and of its last multicast.
    #[n(5)]
    pub multicast_ttl: Option<u8>,
}

/// In [`Heard::casts`], beside the bits of [`crate::address::Cast::bit`]: a stream to it is open.
pub const HEARD_BY_STREAM: u8 = 8;

/// I leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Bye {
    /// The sender's own log: its next number, and the last word on it.
    #[n(0)]
    pub head: u64,
}

/// In [`Frontier::hash`], and in that of a hello: not to be compared.
pub const NO_HASH: u64 = 0;

/// How far I have each log. Without logs it is but a hash to compare.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Frontier {
    /// Hash over the whole frontier, of which the logs below may be a part.
    #[n(0)]
    pub hash: u64,
    /// Some logs.
    #[n(1)]
    pub logs: Vec<Progress>,
    /// Every log is told, in this datagram or one beside it.
    #[n(2)]
    pub whole: Option<bool>,
}

/// How far I have one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct Progress {
    /// Its author.
    #[n(0)]
    pub author: ByteArray<16>,
    /// The author's run.
    #[n(1)]
    pub boot: u64,
    /// The first entry I have not delivered: it and all that follow are not confirmed.
    #[n(2)]
    pub next: u64,
    /// The first entry I can give.
    #[n(3)]
    pub floor: u64,
    /// The digest of the entry before `next`; [`NO_DIGEST`] if there is none, or I do not know it. Two who are as
    /// far and tell different ones were told different things.
    #[n(4)]
    pub tip: ByteArray<16>,
}

impl Progress {
    /// How far a node has `log`.
    #[must_use]
    pub fn new(log: LogId, next: u64, floor: u64, tip: Digest) -> Self {
        Self { author: bytes(log.author), boot: log.boot, next, floor, tip: tip.into() }
    }

    /// No farther than `next`.
    #[must_use]
    pub fn up_to(self, next: u64) -> Self {
        if next < self.next { Self { next, tip: NO_DIGEST.into(), ..self } } else { self }
    }

    /// Which log this is about.
    #[must_use]
    pub fn log(&self) -> LogId {
        LogId { author: PeerId(*self.author), boot: self.boot }
    }
}

/// These entries I lack.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Nack {
    /// Who is asked; everybody if nobody is named.
    #[n(0)]
    pub asked: Option<ByteArray<16>>,
    /// How often these were asked for before: the more often, the more holders answer.
    #[n(1)]
    pub round: u8,
    /// What is lacking.
    #[n(2)]
    pub holes: Vec<Hole>,
}

/// Entries of one log, from `from` up to but not including `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct Hole {
    /// The author.
    #[n(0)]
    pub author: ByteArray<16>,
    /// The author's run.
    #[n(1)]
    pub boot: u64,
    /// The first that is lacking.
    #[n(2)]
    pub from: u64,
    /// The first that is not.
    #[n(3)]
    pub to: u64,
}

impl Hole {
    /// A hole in `log`.
    #[must_use]
    pub fn new(log: LogId, from: u64, to: u64) -> Self {
        Self { author: bytes(log.author), boot: log.boot, from, to }
    }

    /// Which log it is in.
    #[must_use]
    pub fn log(&self) -> LogId {
        LogId { author: PeerId(*self.author), boot: self.boot }
    }
}

/// What stands for an entry in the next one: the first bytes of the BLAKE3 hash of what was signed.
pub type Digest = [u8; 16];

/// There is no entry before, or it is not known.
pub const NO_DIGEST: Digest = [0; 16];

/// An entry is text.
pub const ENTRY_TEXT: u8 = 1;

/// One entry of a log, without its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Entry<'a> {
    /// The author's public key.
    #[n(0)]
    pub author: ByteArray<32>,
    /// The author's run.
    #[n(1)]
    pub boot: u64,
    /// Its number in the log, from 1.
    #[n(2)]
    pub seq: u64,
    /// When it was said, by the author's clock: milliseconds since 1970.
    #[n(3)]
    pub wall_ms: u64,
    /// The author's nick when it was said: the reader may never have met the author.
    #[b(4)]
    pub nick: &'a str,
    /// The number of the first message that is completed in this entry or after it, from 1.
    #[n(5)]
    pub first: u64,
    /// How many messages are completed in this entry.
    #[n(6)]
    pub count: u32,
    /// What `body` is: [`ENTRY_TEXT`].
    #[n(7)]
    pub kind: u8,
    /// The content.
    #[b(8)]
    pub body: &'a ByteSlice,
    /// The digest of the entry before it in the log; [`NO_DIGEST`] in the first. Who says one thing to some and
    /// another to others has two logs from then on, and is found out where they meet.
    #[n(9)]
    pub prev: ByteArray<16>,
}

/// The content of a text entry: lines, or one part of a line longer than a datagram.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Text {
    /// A message each; or one part.
    #[n(0)]
    pub lines: Vec<String>,
    /// Which part this is, from 0.
    #[n(1)]
    pub part: Option<u16>,
    /// How many parts there are.
    #[n(2)]
    pub parts: Option<u16>,
}

/// Something that one peer alone can read: what a datagram of it holds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Letter {
    /// Whom it is for: one that strays is nobody else's.
    #[n(0)]
    pub to: ByteArray<16>,
    /// A [`crate::wire::secret::Secret`], sealed.
    #[n(1)]
    pub sealed: ByteVec,
}

/// A message for one peer, or one part of it. Frames to one peer are numbered from 1 in each run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Direct {
    /// Its number among the frames to this peer.
    #[n(1)]
    pub seq: u64,
    /// The first frame that the peer has not acknowledged: a peer that runs anew begins there.
    #[n(2)]
    pub base: u64,
    /// The number of the message among the sender's direct messages, from 1 in each run.
    #[n(3)]
    pub mid: u64,
    /// When it was said, by the sender's clock: milliseconds since 1970.
    #[n(4)]
    pub wall_ms: u64,
    /// The text, or one part of it.
    #[n(5)]
    pub text: String,
    /// Which part this is, from 0; none if the message is whole.
    #[n(6)]
    pub part: Option<u16>,
    /// How many parts there are.
    #[n(7)]
    pub parts: Option<u16>,
}

/// Acknowledges frames of direct messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Receipt {
    /// In which run of whom it is for.
    #[n(1)]
    pub boot: u64,
    /// The first frame that is not here.
    #[n(2)]
    pub next: u64,
    /// Frames behind it that are: bit n stands for `next + 1 + n`.
    #[n(3)]
    pub ahead: u64,
}

/// An id as it stands on the wire.
#[must_use]
pub fn bytes(id: PeerId) -> ByteArray<16> {
    ByteArray::from(id.0)
}

/// Appends `value`. Writing into memory cannot fail.
pub fn encode<T: Encode<()>>(out: &mut Vec<u8>, value: &T) {
    let done: Result<(), minicbor::encode::Error<Infallible>> = minicbor::encode(value, out);
    debug_assert!(done.is_ok(), "a body of ours encodes");
}

/// Reads a value and nothing behind it.
///
/// # Errors
/// [`WireError::Malformed`], trailing bytes included.
pub fn decode<'a, T: Decode<'a, ()>>(bytes: &'a [u8]) -> Result<T, WireError> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.decode().map_err(|_| WireError::Malformed)?;
    if decoder.position() == bytes.len() { Ok(value) } else { Err(WireError::Malformed) }
}

/// Length of `value` when written.
#[must_use]
pub fn encoded_len<T: CborLen<()>>(value: &T) -> usize {
    minicbor::len(value)
}

/// Appends a body that holds signed entries as they are: an array of them.
pub(crate) fn join_entries(out: &mut Vec<u8>, entries: &[Arc<[u8]>]) {
    let done = Encoder::new(&mut *out).array(entries.len() as u64).is_ok();
    debug_assert!(done, "memory takes everything");
    for entry in entries {
        out.extend_from_slice(entry);
    }
}

/// Takes such a body apart, without reading the entries themselves.
pub(crate) fn split_entries(body: &[u8]) -> Result<Vec<&[u8]>, WireError> {
    let malformed = |_| WireError::Malformed;
    let mut decoder = Decoder::new(body);
    let count = decoder.array().map_err(malformed)?.ok_or(WireError::Malformed)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let from = decoder.position();
        decoder.skip().map_err(malformed)?;
        entries.push(&body[from..decoder.position()]);
    }
    if decoder.position() == body.len() { Ok(entries) } else { Err(WireError::Malformed) }
}

/// A signed entry: an array of two byte strings, what was signed and the signature.
pub(crate) fn join_signed(bytes: &[u8], signature: &[u8; SIGNATURE_LEN]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + SIGNATURE_LEN + 6);
    let mut encoder = Encoder::new(&mut out);
    let done = encoder.array(2).and_then(|e| e.bytes(bytes)).and_then(|e| e.bytes(signature)).is_ok();
    debug_assert!(done, "memory takes everything");
    out
}

/// Takes a signed entry apart.
pub(crate) fn split_signed(raw: &[u8]) -> Result<(&[u8], &[u8; SIGNATURE_LEN]), WireError> {
    let malformed = |_| WireError::Malformed;
    let mut decoder = Decoder::new(raw);
    if decoder.array().map_err(malformed)? != Some(2) {
        return Err(WireError::Malformed);
    }
    let bytes = decoder.bytes().map_err(malformed)?;
    let signature = decoder.bytes().map_err(malformed)?;
    if decoder.position() != raw.len() {
        return Err(WireError::Malformed);
    }
    Ok((bytes, signature.try_into().map_err(|_| WireError::Malformed)?))
}

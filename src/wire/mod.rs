//! Bytes and typed messages: what a datagram says, without deciding anything.
//!
//! A *native* datagram is a fixed header by hand ([`header`]) and a body in CBOR with numbered
//! keys ([`body`]); anything else is *plain* text from a stranger. Fields that are not known are
//! skipped, kinds that are not known are refused by name so that they can be counted. No enum is
//! ever encoded: kinds are numbers, mapped here.
//!
//! ```text
//!  0      4    5     6      8          16                48      56       64        len-64
//!  | magic | ver | kind | flags | group tag | sender key 32 | boot 8 | counter 8 | body | signature 64 |
//!  |<------------- every native datagram -->|<----------------- signed kinds -------------------------->|
//! ```
//!
//! Entries carry their own signatures and stand directly behind the first 16 bytes.

pub mod body;
pub mod dump;
pub mod header;
pub mod secret;
pub mod stream;

use std::fmt;
use std::sync::Arc;

use crate::address::Errand;
use crate::config::DATAGRAM_MAX;
use crate::id::PublicKey;
use body::{
    Alive, Answer, Bye, Digest, Entry, Frontier, Hello, Letter, NO_DIGEST, Nack, Probe, Seek, Suspect, Whereabouts,
};
use header::{HEADER_LEN, Header, SENDER_LEN, SIGNATURE_LEN, Sender};

/// The version of the protocol. A datagram of another version is told to the person, not read.
pub const VERSION: u8 = 1;

/// What was signed: bytes signed as a datagram are never valid as an entry, nor the other way.
pub const DATAGRAM_DOMAIN: &[u8] = b"udpnode datagram 1\0";

/// See [`DATAGRAM_DOMAIN`]; behind it stands the group, see [`entry_domain`].
pub const ENTRY_DOMAIN: &[u8] = b"udpnode entry 1\0";

/// Length of what tells groups apart in what is signed, in bytes.
pub const ROOM_LEN: usize = 32;

/// What entries of one group are signed for.
pub type EntryDomain = [u8; ENTRY_DOMAIN.len() + ROOM_LEN];

/// What entries are signed for: what was said in one group was not said in another, whoever is in both.
#[must_use]
pub fn entry_domain(room: &[u8; ROOM_LEN]) -> EntryDomain {
    let mut domain = [0; ENTRY_DOMAIN.len() + ROOM_LEN];
    let (name, place) = domain.split_at_mut(ENTRY_DOMAIN.len());
    name.copy_from_slice(ENTRY_DOMAIN);
    place.copy_from_slice(room);
    domain
}

/// What a letter was sealed as, and so is not valid as anything else.
pub const LETTER_DOMAIN: &[u8] = b"udpnode letter 1\0";

/// See [`LETTER_DOMAIN`]; the handshake of a stream.
pub const STREAM_DOMAIN: &[u8] = b"udpnode stream 1\0";

/// What stands before the body and behind it, in a signed datagram.
pub const SIGNED_OVERHEAD: usize = HEADER_LEN + SENDER_LEN + SIGNATURE_LEN;

/// Why bytes are no datagram of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// It does not begin with the magic: text from a stranger.
    Plain,
    /// It is of another version.
    Version(u8),
    /// It is of a kind that this version does not know.
    Kind(u8),
    /// It is cut off, too long, or its body is not what its kind demands.
    Malformed,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain text"),
            Self::Version(version) => write!(f, "protocol version {version}"),
            Self::Kind(kind) => write!(f, "unknown kind {kind}"),
            Self::Malformed => f.write_str("malformed"),
        }
    }
}

/// The kinds of datagrams, as they are numbered on the wire.
pub mod kind {
    /// I am here, this is what I hear.
    pub const HELLO: u8 = 1;
    /// I leave.
    pub const BYE: u8 = 2;
    /// Entries of logs.
    pub const ENTRIES: u8 = 3;
    /// How far I have each log.
    pub const FRONTIER: u8 = 4;
    /// These entries I lack.
    pub const NACK: u8 = 5;
    /// A message for one peer, that it alone can read.
    pub const DIRECT: u8 = 6;
    /// It is here; read by whom it is for alone.
    pub const RECEIPT: u8 = 7;
    /// Are you there?
    pub const PROBE: u8 = 8;
    /// I am.
    pub const ANSWER: u8 = 9;
    /// These do not answer me.
    pub const SUSPECT: u8 = 10;
    /// I live, whatever is said.
    pub const ALIVE: u8 = 11;
    /// Where are these peers?
    pub const SEEK: u8 = 12;
    /// They are there.
    pub const WHEREABOUTS: u8 = 13;
    /// Any of the others, sealed for those who hold the key of the group.
    pub const SEALED: u8 = 16;
    /// The handshake of a stream; never a datagram of its own.
    pub const LINK: u8 = 17;
}

/// What one datagram says.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one at a time, and hellos are what there is most of")]
pub enum Message {
    /// I am here, this is what I hear.
    Hello(Hello),
    /// I leave.
    Bye(Bye),
    /// Signed entries, each as it stands on the wire, and why they are sent.
    Entries(Errand, Vec<Arc<[u8]>>),
    /// How far I have each log.
    Frontier(Frontier),
    /// These entries I lack.
    Nack(Nack),
    /// A message for one peer, sealed.
    Direct(Letter),
    /// It is here; sealed.
    Receipt(Letter),
    /// Are you there?
    Probe(Probe),
    /// I am.
    Answer(Answer),
    /// These do not answer me.
    Suspect(Suspect),
    /// I live, whatever is said.
    Alive(Alive),
    /// Where are these peers?
    Seek(Seek),
    /// They are there.
    Whereabouts(Whereabouts),
}

/// The longest signed entry: alone in a datagram it fits.
pub const ENTRY_LEN_MAX: usize = DATAGRAM_MAX - HEADER_LEN - 3;

/// No count in the protocol is greater: nobody says that much, and sums cannot overflow.
pub const NUMBER_MAX: u64 = 1 << 48;

impl Message {
    /// Whether every number is one that can have been counted to.
    fn is_plausible(&self) -> bool {
        let small = |number: u64| number <= NUMBER_MAX;
        match self {
            Self::Hello(hello) => small(hello.head) && hello.heard.iter().all(|heard| small(heard.base)),
            Self::Frontier(frontier) => frontier.logs.iter().all(|log| small(log.next) && small(log.floor)),
            Self::Nack(nack) => nack.holes.iter().all(|hole| small(hole.from) && small(hole.to)),
            Self::Bye(bye) => small(bye.head),
            Self::Direct(_) | Self::Receipt(_) => true,
            Self::Probe(_) | Self::Answer(_) | Self::Suspect(_) | Self::Alive(_) => true,
            Self::Entries(..) | Self::Seek(_) | Self::Whereabouts(_) => true,
        }
    }
}

/// A native datagram, taken apart but not yet believed.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Its header.
    pub header: Header,
    /// Who claims to have sent it, with what is needed to check that; `None` for entries.
    pub signed: Option<Signed<'a>>,
    body: &'a [u8],
}

/// A claim of authorship over a datagram.
#[derive(Debug)]
pub struct Signed<'a> {
    /// Who claims it.
    pub sender: Sender,
    /// The bytes that were signed, as received.
    pub bytes: &'a [u8],
    /// The signature over [`DATAGRAM_DOMAIN`] and them.
    pub signature: &'a [u8; SIGNATURE_LEN],
}

impl<'a> Datagram<'a> {
    /// Takes a datagram apart. Reads no body yet.
    ///
    /// # Errors
    /// A [`WireError`]; the bytes may be anything.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (header, rest) = Header::parse(bytes)?;
        if bytes.len() > DATAGRAM_MAX {
            return Err(WireError::Malformed);
        }
        match header.kind {
            kind::ENTRIES => Ok(Self { header, signed: None, body: rest }),
            kind::HELLO..=kind::BYE | kind::FRONTIER..=kind::WHEREABOUTS => {
                let (sender, rest) = Sender::parse(rest).ok_or(WireError::Malformed)?;
                let (body, signature) = rest.split_last_chunk().ok_or(WireError::Malformed)?;
                let bytes = &bytes[..bytes.len() - SIGNATURE_LEN];
                Ok(Self { header, signed: Some(Signed { sender, bytes, signature }), body })
            }
            unknown => Err(WireError::Kind(unknown)),
        }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// [`WireError::Malformed`] where it is not what the kind demands, trailing bytes included.
    pub fn message(&self) -> Result<Message, WireError> {
        let message = self.read()?;
        if message.is_plausible() { Ok(message) } else { Err(WireError::Malformed) }
    }

    fn read(&self) -> Result<Message, WireError> {
        match self.header.kind {
            kind::HELLO => body::decode(self.body).map(Message::Hello),
            kind::BYE => body::decode(self.body).map(Message::Bye),
            kind::FRONTIER => body::decode(self.body).map(Message::Frontier),
            kind::NACK => body::decode(self.body).map(Message::Nack),
            kind::DIRECT => body::decode(self.body).map(Message::Direct),
            kind::RECEIPT => body::decode(self.body).map(Message::Receipt),
            kind::PROBE => body::decode(self.body).map(Message::Probe),
            kind::ANSWER => body::decode(self.body).map(Message::Answer),
            kind::SUSPECT => body::decode(self.body).map(Message::Suspect),
            kind::ALIVE => body::decode(self.body).map(Message::Alive),
            kind::SEEK => body::decode(self.body).map(Message::Seek),
            kind::WHEREABOUTS => body::decode(self.body).map(Message::Whereabouts),
            kind::ENTRIES => body::split_entries(self.body)
                .map(|raw| Message::Entries(self.errand(), raw.into_iter().map(Arc::from).collect())),
            _ => Err(WireError::Malformed),
        }
    }

    /// Why entries were sent, as the header says.
    #[must_use]
    pub const fn errand(&self) -> Errand {
        Errand::from_number(self.header.errand)
    }

    /// The signed entries in the body, as they stand there.
    ///
    /// # Errors
    /// [`WireError::Malformed`] where this is no datagram of entries.
    pub fn entries(&self) -> Result<Vec<&'a [u8]>, WireError> {
        if self.header.kind == kind::ENTRIES { body::split_entries(self.body) } else { Err(WireError::Malformed) }
    }
}

/// Writes a message as a datagram into `out`, which is emptied first.
///
/// `sign` is called for the kinds that are signed by their sender, with the bytes to sign.
pub fn encode(
    out: &mut Vec<u8>,
    group_tag: [u8; 8],
    sender: &Sender,
    message: &Message,
    sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN],
) {
    out.clear();
    let kind = match message {
        Message::Hello(_) => kind::HELLO,
        Message::Bye(_) => kind::BYE,
        Message::Entries(..) => kind::ENTRIES,
        Message::Frontier(_) => kind::FRONTIER,
        Message::Nack(_) => kind::NACK,
        Message::Direct(_) => kind::DIRECT,
        Message::Receipt(_) => kind::RECEIPT,
        Message::Probe(_) => kind::PROBE,
        Message::Answer(_) => kind::ANSWER,
        Message::Suspect(_) => kind::SUSPECT,
        Message::Alive(_) => kind::ALIVE,
        Message::Seek(_) => kind::SEEK,
        Message::Whereabouts(_) => kind::WHEREABOUTS,
    };
    let errand = if let Message::Entries(errand, _) = message { errand.number() } else { 0 };
    Header { kind, errand, group_tag }.write(out);
    if let Message::Entries(_, entries) = message {
        body::join_entries(out, entries);
        return;
    }
    sender.write(out);
    match message {
        Message::Hello(hello) => body::encode(out, hello),
        Message::Frontier(frontier) => body::encode(out, frontier),
        Message::Nack(nack) => body::encode(out, nack),
        Message::Direct(letter) | Message::Receipt(letter) => body::encode(out, letter),
        Message::Probe(probe) => body::encode(out, probe),
        Message::Answer(answer) => body::encode(out, answer),
        Message::Suspect(suspect) => body::encode(out, suspect),
        Message::Alive(alive) => body::encode(out, alive),
        Message::Seek(seek) => body::encode(out, seek),
        Message::Whereabouts(told) => body::encode(out, told),
        Message::Bye(bye) => body::encode(out, bye),
        Message::Entries(..) => {}
    }
    let signature = sign(out);
    out.extend_from_slice(&signature);
}

/// An entry with its proof, as it stands on the wire.
#[derive(Debug)]
pub struct SignedEntry<'a> {
    /// What it says.
    pub entry: Entry<'a>,
    /// The bytes that were signed, as received.
    pub bytes: &'a [u8],
    /// The signature over the [`entry_domain`] of their group and them.
    pub signature: &'a [u8; SIGNATURE_LEN],
}

impl SignedEntry<'_> {
    /// The author's key, which is also the one to check the signature with.
    #[must_use]
    pub fn author(&self) -> &PublicKey {
        &self.entry.author
    }
}

/// Reads one signed entry as [`Datagram::entries`] hands them out.
///
/// # Errors
/// [`WireError::Malformed`].
pub fn parse_entry(raw: &[u8]) -> Result<SignedEntry<'_>, WireError> {
    if raw.len() > ENTRY_LEN_MAX {
        return Err(WireError::Malformed);
    }
    let (bytes, signature) = body::split_signed(raw)?;
    let entry: Entry<'_> = body::decode(bytes)?;
    // The number of the one behind it is told as well.
    let is_counted = (1..NUMBER_MAX).contains(&entry.seq) && (1..=NUMBER_MAX).contains(&entry.first);
    let is_first = *entry.prev == NO_DIGEST;
    if !is_counted || is_first != (entry.seq == 1) {
        return Err(WireError::Malformed);
    }
    Ok(SignedEntry { entry, bytes, signature })
}

/// The digest of an entry: of its signed bytes, for of those there may be several valid signatures.
#[must_use]
pub fn digest(signed: &[u8]) -> Digest {
    let mut digest = NO_DIGEST;
    digest.copy_from_slice(&blake3::hash(signed).as_bytes()[..16]);
    digest
}

/// Writes and signs one entry.
#[must_use]
pub fn encode_entry(entry: &Entry<'_>, sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN]) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    body::encode(&mut bytes, entry);
    let signature = sign(&bytes);
    Arc::from(body::join_signed(&bytes, &signature))
}

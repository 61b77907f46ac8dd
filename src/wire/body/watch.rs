//! Bodies of what nodes send to know who lives.

use minicbor::bytes::ByteArray;
use minicbor::{CborLen, Decode, Encode};

/// In a probe: you may be thought gone, so tell everybody that you live.
pub const PROBE_DOUBTS: u8 = 1;

/// Are you there? Sent to one, who answers with no more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Probe {
    /// What the answer is to repeat.
    #[n(0)]
    pub token: u32,
    /// `PROBE_*`.
    #[n(1)]
    pub flags: u8,
    /// What the answer is to prove that it is no recording, and comes from where this is sent to.
    #[n(2)]
    pub challenge: Option<u64>,
    /// Makes room for what the answer holds: it is no longer than this.
    #[n(3)]
    pub pad: Option<ByteArray<8>>,
}

impl Probe {
    /// A probe that asks for nothing but an answer.
    #[must_use]
    pub const fn new(token: u32, flags: u8) -> Self {
        Self { token, flags, challenge: None, pad: None }
    }

    /// A probe that asks for a proof.
    #[must_use]
    pub fn challenging(token: u32, flags: u8, challenge: u64) -> Self {
        Self { token, flags, challenge: Some(challenge), pad: Some(ByteArray::from([0; 8])) }
    }
}

/// I am there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Answer {
    /// That of the probe.
    #[n(0)]
    pub token: u32,
    /// The challenge of the probe.
    #[n(1)]
    pub proof: Option<u64>,
    /// As in a probe: to be answered by a hello, to where this comes from.
    #[n(2)]
    pub challenge: Option<u64>,
}

impl Answer {
    /// An answer to a probe that asked for nothing else.
    #[must_use]
    pub const fn new(token: u32) -> Self {
        Self { token, proof: None, challenge: None }
    }
}

/// A proof for one of those who hear a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct Proof {
    /// For whom.
    #[n(0)]
    pub id: ByteArray<16>,
    /// Its challenge.
    #[n(1)]
    pub challenge: u64,
}

/// These do not answer me: who knows better? Whoever is named says so to all.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Suspect {
    /// Who.
    #[n(0)]
    pub whom: Vec<Suspected>,
}

/// A peer that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct Suspected {
    /// Who.
    #[n(0)]
    pub id: ByteArray<16>,
    /// In which run.
    #[n(1)]
    pub boot: u64,
    /// For how many milliseconds it has been suspected.
    #[n(2)]
    pub for_ms: u32,
}

/// I live, whatever is said: the signature says it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Alive {}

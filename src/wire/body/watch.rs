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
}

/// I am there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Answer {
    /// That of the probe.
    #[n(0)]
    pub token: u32,
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

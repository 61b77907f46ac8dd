//! What is for one peer alone, before it is sealed: what it says, and zeros that hide how much.
//!
//! ```text
//!  | length 2, big-endian | body in CBOR | zeros, up to one of a few lengths |
//! ```
//!
//! `crypto` seals it; nothing here is secret by itself.

use crate::config::DATAGRAM_MAX;
use crate::wire::body::{self, Direct, Receipt};
use crate::wire::{NUMBER_MAX, SIGNED_OVERHEAD, WireError, kind};

/// What sealing adds to a secret: an ephemeral key and an authenticator.
pub const LETTER_OVERHEAD: usize = 48;

/// What stands around the sealed bytes in the body of a letter: whom it is for, and their length.
const LETTER_HEAD: usize = 23;

/// The longest secret: sealed and alone in a datagram it fits.
pub const SECRET_MAX: usize = 959;
const _: () = assert!(SECRET_MAX + LETTER_OVERHEAD + LETTER_HEAD + SIGNED_OVERHEAD == DATAGRAM_MAX);

/// The lengths that a secret may have: the least that holds it is taken.
pub const LENGTHS: [usize; 5] = [64, 128, 256, 512, SECRET_MAX];

/// Something that one peer alone may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// A message, or one part of it.
    Direct(Direct),
    /// What came of messages.
    Receipt(Receipt),
}

impl Secret {
    /// The kind of what carries it.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Direct(_) => kind::DIRECT,
            Self::Receipt(_) => kind::RECEIPT,
        }
    }

    /// Its bytes, of one of the [`LENGTHS`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; 2];
        match self {
            Self::Direct(direct) => body::encode(&mut out, direct),
            Self::Receipt(receipt) => body::encode(&mut out, receipt),
        }
        let len = out.len() - 2;
        debug_assert!(out.len() <= SECRET_MAX, "{len} bytes: {self:?}");
        out[..2].copy_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
        let padded = LENGTHS.iter().find(|&&padded| padded >= out.len());
        out.resize(padded.copied().unwrap_or(out.len()), 0);
        out
    }

    /// Reads what was sealed as `kind`. Its author is known, and may say anything.
    ///
    /// # Errors
    /// [`WireError`]: another kind or length, a body that is not what it demands, or numbers that nobody counts to.
    pub fn parse(kind: u8, bytes: &[u8]) -> Result<Self, WireError> {
        if !LENGTHS.contains(&bytes.len()) {
            // What is answered is never shorter than its answer.
            return Err(WireError::Malformed);
        }
        let (&len, rest) = bytes.split_first_chunk().ok_or(WireError::Malformed)?;
        let body = rest.get(..usize::from(u16::from_be_bytes(len))).ok_or(WireError::Malformed)?;
        let secret = match kind {
            kind::DIRECT => Self::Direct(body::decode(body)?),
            kind::RECEIPT => Self::Receipt(body::decode(body)?),
            unknown => return Err(WireError::Kind(unknown)),
        };
        if secret.is_plausible() { Ok(secret) } else { Err(WireError::Malformed) }
    }

    fn is_plausible(&self) -> bool {
        let small = |number: u64| number <= NUMBER_MAX;
        match self {
            Self::Direct(direct) => small(direct.seq) && small(direct.base) && small(direct.mid),
            Self::Receipt(receipt) => small(receipt.next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn direct(text: &str) -> Direct {
        let (seq, base, mid, wall_ms) = (NUMBER_MAX, NUMBER_MAX, NUMBER_MAX, u64::MAX);
        Direct { seq, base, mid, wall_ms, text: text.into(), part: Some(u16::MAX), parts: Some(u16::MAX) }
    }

    #[test]
    fn lengths_tell_only_how_long_about() {
        let short = |text: &str| {
            Secret::Direct(Direct { seq: 1, base: 1, mid: 1, part: None, parts: None, ..direct(text) }).encode().len()
        };
        assert_eq!([short(""), short("yes"), short("no, never")], [64; 3]);
        assert_eq!((short(&"x".repeat(60)), short(&"x".repeat(200))), (128, 256));
        let receipt = Receipt { boot: u64::MAX, next: NUMBER_MAX, ahead: u64::MAX };
        assert_eq!(Secret::Receipt(receipt).encode().len(), 64);
    }

    #[test]
    fn what_is_not_made_longer_is_refused() {
        let secret = Secret::Direct(Direct { seq: 1, base: 1, mid: 1, part: None, parts: None, ..direct("hi") });
        let bytes = secret.encode();
        assert_eq!(Secret::parse(kind::DIRECT, &bytes), Ok(secret));
        for len in (0..64).chain([65, 127]) {
            let mut other = bytes.clone();
            other.resize(len, 0);
            assert_eq!(Secret::parse(kind::DIRECT, &other), Err(WireError::Malformed), "{len}");
        }
    }

    #[test]
    fn the_longest_frame_fits() {
        // As long as parts of messages get: CHUNK_MAX of protocol/direct.
        assert_eq!(Secret::Direct(direct(&"x".repeat(900))).encode().len(), SECRET_MAX);
    }

    #[test]
    fn numbers_that_nobody_counts_to_are_refused() {
        let bad = [
            Secret::Direct(Direct { seq: NUMBER_MAX + 1, ..direct("x") }),
            Secret::Direct(Direct { mid: NUMBER_MAX + 1, ..direct("x") }),
            Secret::Receipt(Receipt { boot: 1, next: NUMBER_MAX + 1, ahead: 0 }),
        ];
        for secret in bad {
            assert_eq!(Secret::parse(secret.kind(), &secret.encode()), Err(WireError::Malformed), "{secret:?}");
        }
        let whole = Secret::Direct(direct("x"));
        assert_eq!(Secret::parse(kind::HELLO, &whole.encode()), Err(WireError::Kind(kind::HELLO)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in ".{0,200}", numbers in prop::array::uniform3(0..=NUMBER_MAX)) {
            let [seq, base, mid] = numbers;
            for secret in [
                Secret::Direct(Direct { seq, base, mid, ..direct(&text) }),
                Secret::Receipt(Receipt { boot: seq, next: base, ahead: mid }),
            ] {
                let bytes = secret.encode();
                prop_assert!(LENGTHS.contains(&bytes.len()));
                prop_assert_eq!(Secret::parse(secret.kind(), &bytes), Ok(secret));
            }
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..1200), kind in 0u8..20) {
            let _ = Secret::parse(kind, &bytes);
        }
    }
}

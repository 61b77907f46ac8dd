//! The fixed part of a native datagram, written by hand: it is read before anything is trusted.
//!
//! All numbers are big-endian. The offsets are drawn in [`crate::wire`].

use crate::id::PublicKey;
use crate::wire::{VERSION, WireError};

/// What every native datagram begins with. 0xFF begins no UTF-8 text.
pub const MAGIC: [u8; 4] = [0xFF, b'u', b'd', b'n'];

/// Length of the part that every native datagram has.
pub const HEADER_LEN: usize = 16;

/// Length of the part that names the sender of a signed datagram.
pub const SENDER_LEN: usize = 48;

/// Length of a signature.
pub const SIGNATURE_LEN: usize = 64;

/// The part that every native datagram has. The second byte behind the kind is zero, for later use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the datagram is, by number.
    pub kind: u8,
    /// Why entries were sent: [`crate::address::Errand`] by number; zero in other kinds.
    pub errand: u8,
    /// Which group it is meant for.
    pub group_tag: [u8; 8],
}

impl Header {
    /// Reads the header and returns what stands behind it.
    ///
    /// # Errors
    /// Plain, another version, or malformed.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(WireError::Plain)?;
        let (&version, rest) = rest.split_first().ok_or(WireError::Malformed)?;
        if version != VERSION {
            return Err(WireError::Version(version));
        }
        let (&[kind, errand, _], rest) = rest.split_first_chunk().ok_or(WireError::Malformed)?;
        let (&group_tag, rest) = rest.split_first_chunk().ok_or(WireError::Malformed)?;
        Ok((Self { kind, errand, group_tag }, rest))
    }

    /// Appends the header.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, self.kind, self.errand, 0]);
        out.extend_from_slice(&self.group_tag);
    }
}

/// Who sent a signed datagram, in which run, as which datagram of that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The sender's public key.
    pub key: PublicKey,
    /// The sender's run.
    pub boot: u64,
    /// Counts the sender's signed datagrams in this run, so that none is taken twice.
    pub counter: u64,
}

impl Sender {
    /// Reads the sender and returns what stands behind it.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&key, rest) = bytes.split_first_chunk()?;
        let (&boot, rest) = rest.split_first_chunk()?;
        let (&counter, rest) = rest.split_first_chunk()?;
        Some((Self { key, boot: u64::from_be_bytes(boot), counter: u64::from_be_bytes(counter) }, rest))
    }

    /// Appends the sender.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key);
        out.extend_from_slice(&self.boot.to_be_bytes());
        out.extend_from_slice(&self.counter.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips_and_says_what_is_wrong() {
        let mut bytes = Vec::new();
        Header { kind: 3, errand: 2, group_tag: *b"12345678" }.write(&mut bytes);
        bytes.push(9);
        assert_eq!(Header::parse(&bytes), Ok((Header { kind: 3, errand: 2, group_tag: *b"12345678" }, &[9][..])));
        assert_eq!(Header::parse(b"hello"), Err(WireError::Plain));
        assert_eq!(Header::parse(b""), Err(WireError::Plain));
        for len in 4..HEADER_LEN {
            assert_eq!(Header::parse(&bytes[..len]), Err(WireError::Malformed), "{len}");
        }
        bytes[4] = 9;
        assert_eq!(Header::parse(&bytes), Err(WireError::Version(9)));
    }

    #[test]
    fn sender_round_trips() {
        let sender = Sender { key: [7; 32], boot: 3, counter: u64::MAX };
        let mut bytes = Vec::new();
        sender.write(&mut bytes);
        assert_eq!(bytes.len(), SENDER_LEN);
        assert_eq!(Sender::parse(&bytes), Some((sender, &[][..])));
        assert_eq!(Sender::parse(&bytes[1..]), None);
    }
}

//! Names of things that never change: peers, boots, logs. Plain numbers; no cryptography here.

mod row;

use std::cmp::Ordering;
use std::fmt;

pub use row::Row;

/// An Ed25519 public key, as it stands on the wire.
pub type PublicKey = [u8; 32];

/// Who a peer is: the first 16 bytes of the hash of its public key. Never a name, never an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerId(pub [u8; 16]);

/// By their bytes, as one number: most of what is looked up anywhere is looked up by this.
impl Ord for PeerId {
    fn cmp(&self, other: &Self) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for PeerId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The 32 characters of RFC 4648 base32, in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl PeerId {
    /// Characters of an id that usually tell two nicks apart: 25 bits.
    pub const SUFFIX_LEN: usize = 5;

    /// All characters of an id.
    pub const LEN: usize = 26;

    /// The few characters that stand behind a nick when two peers share it.
    #[must_use]
    pub fn suffix(&self) -> String {
        self.beginning(Self::SUFFIX_LEN)
    }

    /// Its first `len` characters, or all if it has not so many.
    #[must_use]
    pub fn beginning(&self, len: usize) -> String {
        self.to_string().chars().take(len).collect()
    }

    /// The id that is written so, in all its characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |c: u8| ALPHABET.iter().position(|&letter| letter == c).map(|at| at as u128);
        let mut bits = 0;
        for &c in text.as_bytes().get(..Self::LEN - 1)? {
            bits = bits << 5 | digit(c)?;
        }
        let id = Self((bits << 3 | digit(*text.as_bytes().last()?)? >> 2).to_be_bytes());
        // What is written in another way, or goes on, is not it.
        (id.to_string() == text).then_some(id)
    }
}

/// All 26 characters.
impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for i in 0..26u32 {
            // 128 bits are 25 groups of five and three bits over, padded with zeros at the end.
            let five = if i < 25 { bits >> (123 - 5 * i) } else { bits << 2 };
            write!(f, "{}", char::from(ALPHABET[(five & 31) as usize]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffix())
    }
}

/// Which log: everything one author said between one start and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogId {
    /// Who wrote it.
    pub author: PeerId,
    /// In which run.
    pub boot: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_base32() {
        // RFC 4648 section 10: "foobar" begins "mzxw6ytb".
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(b"foobar");
        let id = PeerId(bytes);
        assert!(id.to_string().starts_with("mzxw6ytboi"));
        assert_eq!(id.to_string().len(), 26);
        assert_eq!(id.suffix(), "mzxw6");
        assert!(PeerId([0xFF; 16]).to_string().ends_with("74"));
        assert_eq!(id.beginning(7), "mzxw6yt");
    }

    #[test]
    fn what_is_written_is_read() {
        for id in [PeerId([0; 16]), PeerId([0xFF; 16]), PeerId(*b"foobar and more!")] {
            assert_eq!(PeerId::parse(&id.to_string()), Some(id));
        }
        let text = PeerId(*b"foobar and more!").to_string();
        for wrong in
            ["", "mzxw6", &text.to_uppercase(), &format!("{text}a"), &format!("{}b", &text[..25]), "ééééééééééééé"]
        {
            assert_eq!(PeerId::parse(wrong), None, "{wrong}");
        }
    }
}

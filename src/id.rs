//! Names of things that never change: peers, boots, logs. Plain numbers; no cryptography here.

use std::fmt;

/// An Ed25519 public key, as it stands on the wire.
pub type PublicKey = [u8; 32];

/// Who a peer is: the first 16 bytes of the hash of its public key. Never a name, never an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 16]);

/// The 32 characters of RFC 4648 base32, in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Characters of an id that tell two nicks apart: 25 bits.
const SUFFIX_LEN: usize = 5;

impl PeerId {
    /// The few characters that stand behind a nick when two peers share it.
    #[must_use]
    pub fn suffix(&self) -> String {
        self.to_string().chars().take(SUFFIX_LEN).collect()
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
    }
}

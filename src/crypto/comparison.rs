//! Digits that two people compare by voice, to know that no third key stands between theirs.
//!
//! They are computed from both keys alike, so both screens show the same. An id is a hash of 128 bits of its key:
//! nobody finds another key with the same id, so the ids stand for the keys.

use crate::id::PeerId;

/// Groups of five digits.
const GROUPS: usize = 6;

/// Hashes in a row, so that trying keys until the digits are alike costs that much more. Who stands between and looks
/// for two keys, one for each side, needs 2^50 of them, half of 99.7 bits, and so 2^64 hashes.
const ROUNDS: u32 = 1 << 14;

/// The digits for two keys: six groups of five. Takes some milliseconds.
#[must_use]
pub fn comparison(one: PeerId, other: PeerId) -> String {
    let (low, high) = (one.min(other), one.max(other));
    let ids = [low.0, high.0].concat();
    let mut hash = blake3::derive_key("udpnode 2026 digits that two people compare", &ids);
    for _ in 0..ROUNDS {
        hash = *blake3::Hasher::new().update(&hash).update(&ids).finalize().as_bytes();
    }
    let group = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)) % 100_000;
    let groups: Vec<_> = hash.chunks_exact(5).take(GROUPS).map(|bytes| format!("{:05}", group(bytes))).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_see_the_same_and_nobody_else_does() {
        let (ann, bob, eve) = (PeerId([1; 16]), PeerId([2; 16]), PeerId([3; 16]));
        let digits = comparison(ann, bob);
        assert_eq!(comparison(bob, ann), digits);
        assert_ne!(comparison(ann, eve), digits);
        assert_ne!(comparison(eve, bob), digits);
        let groups: Vec<_> = digits.split(' ').map(str::len).collect();
        assert_eq!(groups, [5; GROUPS]);
        assert!(digits.chars().all(|c| c == ' ' || c.is_ascii_digit()), "{digits}");
    }

    #[test]
    fn versions_of_the_program_agree() {
        assert_eq!(comparison(PeerId([1; 16]), PeerId([2; 16])), "24960 63945 95861 85547 00179 70705");
    }
}

//! Keyed groups: every datagram sealed for those who hold the key, and only for them.
//!
//! XChaCha20-Poly1305 with a synthetic nonce: a keyed hash of what chance, run, counter and plaintext
//! give. Cloned machines break generators and counters alike; then at most two equal datagrams look
//! equal. Outsiders see sizes, times, addresses and the group tag.
//!
//! ```text
//!  0               16         40                                    len-16
//!  | header (sealed) | nonce 24 | kind 1, errand 1, rest of datagram  | tag 16 |
//!  |<-- authenticated -->|      |<-- encrypted, authenticated ---------------->|
//! ```

use std::net::SocketAddr;

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{Key, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroize;

use super::group::{open_entry_domain, open_group_tag};
use crate::config::{GroupSecret, SEAL_OVERHEAD, SEALED_MAX};
use crate::wire::header::{HEADER_LEN, Header};
use crate::wire::{EntryDomain, entry_domain, kind};

/// Length of a nonce in bytes.
const NONCE_LEN: usize = 24;

/// Length of an authenticator in bytes.
const TAG_LEN: usize = 16;

/// Where kind and errand of a datagram stand in its header.
const KIND_AT: std::ops::Range<usize> = 5..7;

/// What one group secret gives: each use has a key of its own.
struct GroupKey {
    cipher: XChaCha20Poly1305,
    nonces: [u8; 32],
    tag: [u8; 8],
}

impl GroupKey {
    /// The key, and what entries are signed for by those who seal with it.
    fn new(secret: &GroupSecret, group: SocketAddr) -> (Self, EntryDomain) {
        // The address and port of the group tell rooms apart that share a key.
        let mut material = secret.bytes().to_vec();
        material.extend_from_slice(group.to_string().as_bytes());
        let mut sealing = blake3::derive_key("udpnode 1 group sealing key", &material);
        let nonces = blake3::derive_key("udpnode 1 group nonce key", &material);
        let hash = blake3::derive_key("udpnode 1 keyed group tag", &material);
        let room = blake3::derive_key("udpnode 1 keyed group entries", &material);
        material.zeroize();
        let cipher = XChaCha20Poly1305::new(Key::from_slice(&sealing));
        sealing.zeroize();
        let mut tag = [0; 8];
        tag.copy_from_slice(&hash[..8]);
        (Self { cipher, nonces, tag }, entry_domain(&room))
    }

    fn nonce(&self, salt: &[u64; 3], plain: &[u8]) -> [u8; NONCE_LEN] {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonces);
        for word in salt {
            hasher.update(&word.to_be_bytes());
        }
        hasher.update(plain);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&hasher.finalize().as_bytes()[..NONCE_LEN]);
        nonce
    }
}

impl Drop for GroupKey {
    fn drop(&mut self) {
        self.nonces.zeroize();
    }
}

/// Whether a datagram is for us.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// The group is open: the datagram is what it is.
    AsItIs,
    /// It was sealed with a key of ours; holds what was in it, as a datagram.
    Inside(Vec<u8>),
    /// It was not: it is of no concern to this group.
    Outsider,
}

/// The keys of a group; an open group has none.
pub struct Keyring {
    keys: Vec<GroupKey>,
    tag: [u8; 8],
    entry_domains: Vec<EntryDomain>,
}

impl std::fmt::Debug for Keyring {
    /// Never prints a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({} keys)", self.keys.len())
    }
}

impl Keyring {
    /// The keys made of `secrets` for a group. The first seals, each opens. None: the group is open.
    #[must_use]
    pub fn new(secrets: &[GroupSecret], group: SocketAddr) -> Self {
        let (keys, mut entry_domains): (Vec<_>, Vec<_>) =
            secrets.iter().map(|secret| GroupKey::new(secret, group)).unzip();
        if keys.is_empty() {
            entry_domains.push(open_entry_domain(group));
        }
        let tag = keys.first().map_or_else(|| open_group_tag(group), |key| key.tag);
        Self { keys, tag, entry_domains }
    }

    /// What entries may be signed for, ours for the first: what was said under a key is believed by who has that key.
    #[must_use]
    pub fn entry_domains(&self) -> &[EntryDomain] {
        &self.entry_domains
    }

    /// Whether whoever is there can read what is said.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// The tag of our datagrams.
    #[must_use]
    pub const fn tag(&self) -> [u8; 8] {
        self.tag
    }

    /// The tags of what each key seals; none in an open group.
    #[must_use]
    pub fn tags(&self) -> Vec<[u8; 8]> {
        self.keys.iter().map(|key| key.tag).collect()
    }

    /// Whether a tag is one of this group.
    #[must_use]
    pub fn is_ours(&self, tag: [u8; 8]) -> bool {
        tag == self.tag || self.keys.iter().any(|key| key.tag == tag)
    }

    /// Seals a datagram in its place. `salt`: chance, run and counter. An open group leaves it as it is.
    pub fn seal(&self, datagram: &mut Vec<u8>, salt: &[u64; 3]) {
        let Some(key) = self.keys.first() else { return };
        debug_assert!(datagram.len() + SEAL_OVERHEAD <= SEALED_MAX, "{} bytes to seal", datagram.len());
        let mut inside = datagram[KIND_AT].to_vec();
        inside.extend_from_slice(&datagram[HEADER_LEN..]);
        let nonce = key.nonce(salt, &inside);
        datagram.clear();
        Header { kind: kind::SEALED, errand: 0, group_tag: key.tag }.write(datagram);
        let sealed = key.cipher.encrypt_in_place_detached(XNonce::from_slice(&nonce), datagram, &mut inside);
        let Ok(authenticator) = sealed else {
            debug_assert!(false, "a datagram is shorter than 256 GiB");
            return;
        };
        datagram.extend_from_slice(&nonce);
        datagram.extend_from_slice(&inside);
        datagram.extend_from_slice(&authenticator);
    }

    /// Opens a datagram; any bytes may be handed in.
    #[must_use]
    pub fn open(&self, bytes: &[u8]) -> Opened {
        if self.is_open() {
            return Opened::AsItIs;
        }
        self.opened(bytes).map_or(Opened::Outsider, Opened::Inside)
    }

    fn opened(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (header, rest) = Header::parse(bytes).ok()?;
        if header.kind != kind::SEALED || bytes.len() > SEALED_MAX {
            return None;
        }
        let key = self.keys.iter().find(|key| key.tag == header.group_tag)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (sealed, authenticator) = rest.split_last_chunk::<TAG_LEN>()?;
        let mut inside = sealed.to_vec();
        let (nonce, authenticator) = (XNonce::from_slice(nonce), Tag::from_slice(authenticator));
        key.cipher.decrypt_in_place_detached(nonce, &bytes[..HEADER_LEN], &mut inside, authenticator).ok()?;
        let (&[kind, errand], body) = inside.split_first_chunk()?;
        let mut datagram = Vec::with_capacity(HEADER_LEN + body.len());
        Header { kind, errand, group_tag: header.group_tag }.write(&mut datagram);
        datagram.extend_from_slice(body);
        Some(datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group() -> SocketAddr {
        "239.192.7.7:5007".parse().expect("an address")
    }

    fn ring(secrets: &[u8]) -> Keyring {
        let secrets: Vec<_> = secrets.iter().map(|&byte| GroupSecret::new([byte; 32])).collect();
        Keyring::new(&secrets, group())
    }

    fn datagram(ring: &Keyring, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Header { kind: kind::NACK, errand: 3, group_tag: ring.tag() }.write(&mut bytes);
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn who_has_the_key_reads_and_nobody_else() {
        let (ours, theirs) = (ring(&[1]), ring(&[2]));
        let plain = datagram(&ours, b"what we say");
        let mut sealed = plain.clone();
        ours.seal(&mut sealed, &[1, 2, 3]);
        assert_eq!(sealed.len(), plain.len() + SEAL_OVERHEAD);
        assert!(!sealed.windows(4).any(|bytes| bytes == b"what"));
        assert_eq!(ours.open(&sealed), Opened::Inside(plain.clone()));
        assert_eq!(theirs.open(&sealed), Opened::Outsider);
        assert_eq!(ours.open(&plain), Opened::Outsider, "what is not sealed is not ours");
        let elsewhere = Keyring::new(&[GroupSecret::new([1; 32])], "239.192.7.8:5007".parse().expect("an address"));
        assert_eq!(elsewhere.open(&sealed), Opened::Outsider, "the same key in another group");
    }

    #[test]
    fn an_open_group_leaves_everything_as_it_is() {
        let open = ring(&[]);
        let mut bytes = datagram(&open, b"said to all");
        let before = bytes.clone();
        open.seal(&mut bytes, &[1, 2, 3]);
        assert_eq!(bytes, before);
        assert_eq!(open.open(b"anything"), Opened::AsItIs);
    }

    #[test]
    fn entries_are_signed_for_one_group_and_believed_under_each_key() {
        let (old, both, new, open) = (ring(&[1]), ring(&[2, 1]), ring(&[2]), ring(&[]));
        assert_eq!(both.entry_domains(), [new.entry_domains()[0], old.entry_domains()[0]]);
        let elsewhere = "239.192.7.8:5007".parse().expect("an address");
        let moved = [Keyring::new(&[], elsewhere), Keyring::new(&[GroupSecret::new([1; 32])], elsewhere)];
        let all: std::collections::BTreeSet<_> =
            [&old, &new, &open, &moved[0], &moved[1]].map(|ring| ring.entry_domains()[0]).into();
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn two_keys_are_valid_at_once_and_the_first_seals() {
        let (old, both, new) = (ring(&[1]), ring(&[2, 1]), ring(&[2]));
        for (from, to, reads) in [(&old, &both, true), (&both, &new, true), (&both, &old, false), (&old, &new, false)] {
            let mut sealed = datagram(from, b"x");
            from.seal(&mut sealed, &[0; 3]);
            assert_eq!(matches!(to.open(&sealed), Opened::Inside(_)), reads);
        }
        assert!(both.is_ours(old.tag()) && both.is_ours(new.tag()) && !old.is_ours(new.tag()));
    }

    #[test]
    fn cloned_machines_never_use_a_nonce_for_two_texts() {
        let ours = ring(&[1]);
        let sealed = |text: &[u8]| {
            let mut bytes = datagram(&ours, text);
            ours.seal(&mut bytes, &[7, 1, 1]);
            bytes[HEADER_LEN..HEADER_LEN + NONCE_LEN].to_vec()
        };
        assert_eq!(sealed(b"the same"), sealed(b"the same"), "which then is the same datagram");
        assert_ne!(sealed(b"one"), sealed(b"two"));
    }

    proptest! {
        #[test]
        fn no_bit_can_be_changed(body in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(),
                                 bit in 0u8..8) {
            let ours = ring(&[1]);
            let mut sealed = datagram(&ours, &body);
            ours.seal(&mut sealed, &[1, 2, 3]);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert_eq!(ours.open(&sealed), Opened::Outsider);
        }

        #[test]
        fn garbage_is_an_outsider(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(ring(&[1]).open(&bytes), Opened::Outsider);
        }
    }
}

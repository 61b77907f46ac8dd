//! The key of a node, and what is signed with it.
//!
//! Signatures are Ed25519 (RFC 8032) over a domain separator and the bytes as they stand on the
//! wire, never over a re-encoding. Verification is strict: no small-order keys, no malleability.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::id::{LogId, PeerId, PublicKey};

/// Length of a signature in bytes.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// A node's key and the number of its run.
pub struct Identity {
    key: SigningKey,
    public: PublicKey,
    id: PeerId,
    boot: u64,
    signer: Option<Signer>,
}

impl Identity {
    /// The identity whose secret is `secret`, in its `boot`th run.
    ///
    /// The same secret must never run twice with one boot number: peers would take the second run
    /// for a replay of the first.
    #[must_use]
    pub fn new(secret: &[u8; 32], boot: u64) -> Self {
        let key = SigningKey::from_bytes(secret);
        let public = key.verifying_key().to_bytes();
        Self { id: peer_id(&public), key, public, boot, signer: None }
    }

    /// The same key, signing the same way, in another run. Much faster than from the secret.
    #[must_use]
    pub fn in_run(&self, boot: u64) -> Self {
        Self { key: self.key.clone(), boot, ..*self }
    }

    /// Signs in another way; whoever listens must check in the way that fits it.
    #[must_use]
    pub const fn with_signer(mut self, signer: Signer) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Who we are.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// Which run this is.
    #[must_use]
    pub const fn boot(&self) -> u64 {
        self.boot
    }

    /// The log of this run.
    #[must_use]
    pub const fn log(&self) -> LogId {
        LogId { author: self.id, boot: self.boot }
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The secret of this key for X25519. To be wiped by whoever takes it.
    pub(super) fn exchange_secret(&self) -> [u8; 32] {
        self.key.to_scalar_bytes()
    }

    /// Signs `bytes` for one purpose; a signature made for one domain is worthless in another.
    #[must_use]
    pub fn sign(&self, domain: &[u8], bytes: &[u8]) -> [u8; SIGNATURE_LEN] {
        match self.signer {
            Some(signer) => signer(&self.public, domain, bytes),
            None => self.key.sign(&[domain, bytes].concat()).to_bytes(),
        }
    }
}

impl std::fmt::Debug for Identity {
    /// Never prints the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({} boot {})", self.id, self.boot)
    }
}

/// Checks a signature: key, domain, bytes, signature. [`verify`], or for a simulator one that
/// remembers what it has checked before: hundreds of nodes check the same bytes.
pub type Verifier = fn(&PublicKey, &[u8], &[u8], &[u8; SIGNATURE_LEN]) -> bool;

/// Signs: key, domain, bytes. For simulators in which nobody forges, and hours of many nodes pass.
pub type Signer = fn(&PublicKey, &[u8], &[u8]) -> [u8; SIGNATURE_LEN];

/// The id of a public key: the first 16 bytes of its BLAKE3 hash.
#[must_use]
pub fn peer_id(public: &PublicKey) -> PeerId {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::hash(public).as_bytes()[..16]);
    PeerId(id)
}

/// Whether the holder of `public` signed `bytes` for this domain. Any bytes may be handed in.
#[must_use]
pub fn verify(public: &PublicKey, domain: &[u8], bytes: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(public) else { return false };
    key.verify_strict(&[domain, bytes].concat(), &Signature::from_bytes(signature)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signer_only_these_bytes_only_this_domain() {
        let (ann, bob) = (Identity::new(&[1; 32], 1), Identity::new(&[2; 32], 1));
        let signature = ann.sign(b"a", b"hello");
        assert!(verify(ann.public(), b"a", b"hello", &signature));
        assert!(!verify(bob.public(), b"a", b"hello", &signature));
        assert!(!verify(ann.public(), b"b", b"hello", &signature));
        assert!(!verify(ann.public(), b"a", b"hellp", &signature));
        assert!(!verify(&[0; 32], b"a", b"hello", &[0; 64]), "a small-order key signs nothing");
    }

    #[test]
    fn the_id_is_that_of_the_key_in_every_run() {
        assert_eq!(Identity::new(&[1; 32], 1).id(), Identity::new(&[1; 32], 2).id());
        assert_ne!(Identity::new(&[1; 32], 1).id(), Identity::new(&[2; 32], 1).id());
    }

    #[test]
    fn the_secret_is_not_printed() {
        let text = format!("{:?}", Identity::new(&[0x5A; 32], 3));
        assert!(!text.contains("5a") && !text.contains("90, 90"), "{text}");
    }
}

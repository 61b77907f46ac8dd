//! What two peers alone can read: letters, each sealed for itself, and streams that open with a handshake.
//!
//! Noise (revision 34) with X25519, ChaCha20-Poly1305 and BLAKE2s. The keys are those of the identities,
//! Ed25519 keys in their Montgomery form, so that nobody has to tell or to believe another one. What is
//! sealed is bound to its use, the kind, both ids and both runs: it opens for nobody else, and in no later
//! run of whom it is for.
//!
//! ```text
//!  letter (K)    ann                                  bob
//!                 |-- e | secret -------------------->|    e: a key for this once
//!  stream (IK)    |-- e | ann's key | key, boot ----->|
//!                 |<-- e | --------------------------|
//!                 |<== secrets, by turns or not =====>|    under keys of this stream alone
//! ```
//!
//! Who later takes the key of the recipient reads old letters, but no old stream.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ed25519_dalek::VerifyingKey;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState, TransportState};
use zeroize::Zeroize;

use super::identity::{Identity, peer_id};
use crate::id::PublicKey;
use crate::wire::secret::LETTER_OVERHEAD;
use crate::wire::stream::HANDSHAKE_MAX;
use crate::wire::{LETTER_DOMAIN, STREAM_DOMAIN, VERSION};

/// How a letter is sealed: both keys are known before.
const LETTER_PATTERN: &str = "Noise_K_25519_ChaChaPoly_BLAKE2s";

/// How a stream opens: the key of whom it goes to is known before.
const STREAM_PATTERN: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";

/// Length of a key, of either curve.
const KEY_LEN: usize = 32;

/// Length of an authenticator.
const TAG_LEN: usize = 16;
const _: () = assert!(LETTER_OVERHEAD == KEY_LEN + TAG_LEN);

/// What the first message of a handshake says: key and boot of who opens the stream.
const CLAIM_LEN: usize = KEY_LEN + 8;
const _: () = assert!(HANDSHAKE_MAX == KEY_LEN + KEY_LEN + TAG_LEN + CLAIM_LEN + TAG_LEN);

/// The second message: a key for this once, and nothing said.
const ANSWER_LEN: usize = KEY_LEN + TAG_LEN;

/// Peers whose shared keys are remembered. When full, the one of the lowest key is worked out again when needed.
const SHARED_MAX: usize = 256;

/// Messages after which a direction of a stream goes on with its next key (Noise, 4.2).
const REKEY_AFTER: u64 = 65_536;

/// Somebody in one of its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Its public key.
    pub key: PublicKey,
    /// Its run.
    pub boot: u64,
}

impl Party {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&peer_id(&self.key).0);
        out.extend_from_slice(&self.boot.to_be_bytes());
    }
}

/// Seals for others, and opens what others sealed for us.
pub struct Courier {
    own: Arc<dyn Dh>,
    me: Party,
    chance: Chance,
    known: BTreeMap<PublicKey, Remote>,
}

/// What the key of a peer gives with ours.
#[derive(Clone, Copy)]
struct Remote {
    /// Its key for X25519.
    key: [u8; KEY_LEN],
    /// What both keys give together.
    shared: [u8; KEY_LEN],
}

impl Courier {
    /// Seals as `identity`. Keys for once come from `seed`: the same calls make the same bytes.
    ///
    /// # Panics
    /// Never: X25519 is compiled in.
    #[must_use]
    pub fn new(identity: &Identity, seed: &[u8; 32]) -> Self {
        let mut secret = identity.exchange_secret();
        let mut own = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("compiled in");
        own.set(&secret);
        let mut material = [seed.as_slice(), &secret, &identity.boot().to_be_bytes()].concat();
        let chance = Chance(blake3::derive_key("udpnode 1 keys for once", &material));
        material.zeroize();
        secret.zeroize();
        let me = Party { key: *identity.public(), boot: identity.boot() };
        Self { own: Arc::from(own), me, chance, known: BTreeMap::new() }
    }

    /// Mixes something that nobody else has into the keys for once: of a machine that was copied while it ran, or set
    /// back, the copies go on from one state. To be done before each step of a stream's handshake.
    pub fn stir(&mut self, fresh: &[u8; 32]) {
        self.chance.0 = *blake3::Hasher::new_keyed(&self.chance.0).update(fresh).finalize().as_bytes();
    }

    /// Seals `secret` as a letter of a kind for one peer in its present run. `None` if nothing can be sealed
    /// for that key.
    pub fn seal(&mut self, to: &Party, kind: u8, secret: &[u8]) -> Option<Vec<u8>> {
        let remote = self.remote(&to.key)?;
        let prologue = letter_prologue(kind, &self.me, to);
        let once = self.chance.key(&prologue, secret);
        let mut noise = self.noise(LETTER_PATTERN, Side::Begins, Some(&remote), Some(once), &prologue).ok()?;
        write(&mut noise, secret, LETTER_OVERHEAD)
    }

    /// Opens a letter of a kind that `from` sealed for us in this run. Any bytes may be handed in.
    pub fn open(&mut self, from: &Party, kind: u8, sealed: &[u8]) -> Option<Vec<u8>> {
        let remote = self.remote(&from.key)?;
        let prologue = letter_prologue(kind, from, &self.me);
        let mut noise = self.noise(LETTER_PATTERN, Side::Answers, Some(&remote), None, &prologue).ok()?;
        read(&mut noise, sealed)
    }

    /// Begins a stream to a peer in its present run. Returns the first message of the handshake.
    pub fn greet(&mut self, to: &Party) -> Option<(Greeting, Vec<u8>)> {
        let remote = self.remote(&to.key)?;
        let prologue = stream_prologue(to);
        let claim = [self.me.key.as_slice(), &self.me.boot.to_be_bytes()].concat();
        let once = self.chance.key(&prologue, &claim);
        let mut noise = self.noise(STREAM_PATTERN, Side::Begins, Some(&remote), Some(once), &prologue).ok()?;
        let message = write(&mut noise, &claim, HANDSHAKE_MAX - CLAIM_LEN)?;
        Some((Greeting(Box::new(noise)), message))
    }

    /// Answers whoever began a stream to us: the stream, who it says it is, and the second message. That it is
    /// that one now, and no recording, is proven only by what it seals next. Any bytes may be handed in.
    pub fn answer(&mut self, message: &[u8]) -> Option<(Channel, Party, Vec<u8>)> {
        let prologue = stream_prologue(&self.me);
        let once = self.chance.key(&prologue, message);
        let mut noise = self.noise(STREAM_PATTERN, Side::Answers, None, Some(once), &prologue).ok()?;
        let claim = read(&mut noise, message)?;
        let (&key, boot) = claim.split_first_chunk()?;
        let from = Party { key, boot: u64::from_be_bytes(boot.try_into().ok()?) };
        if noise.get_remote_static()? != exchange_key(&from.key)? {
            return None;
        }
        let answer = write(&mut noise, &[], ANSWER_LEN)?;
        Some((Channel(noise.into_transport_mode().ok()?), from, answer))
    }

    /// What the key of a peer gives with ours; worked out once.
    fn remote(&mut self, key: &PublicKey) -> Option<Remote> {
        if let Some(&remote) = self.known.get(key) {
            return Some(remote);
        }
        let exchange = exchange_key(key)?;
        let mut remote = Remote { key: exchange, shared: [0; KEY_LEN] };
        self.own.dh(&exchange, &mut remote.shared).ok()?;
        if self.known.len() >= SHARED_MAX {
            self.known.pop_first();
        }
        self.known.insert(*key, remote);
        Some(remote)
    }

    /// A handshake that is about to begin; `once` is the key for once, where we need one.
    fn noise(
        &self,
        pattern: &str,
        side: Side,
        remote: Option<&Remote>,
        once: Option<[u8; KEY_LEN]>,
        prologue: &[u8],
    ) -> Result<HandshakeState, Error> {
        let own = Own { key: Arc::clone(&self.own), with: remote.copied() };
        let hands = Hands { own: Cell::new(Some(Box::new(own))), once };
        let builder = Builder::with_resolver(pattern.parse()?, Box::new(hands));
        let mut builder = builder.local_private_key(self.own.privkey())?.prologue(prologue)?;
        if let Some(remote) = remote {
            builder = builder.remote_public_key(&remote.key)?;
        }
        match side {
            Side::Begins => builder.build_initiator(),
            Side::Answers => builder.build_responder(),
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.chance.0.zeroize();
        self.known.values_mut().for_each(|remote| remote.shared.zeroize());
    }
}

/// A stream that we began and that is not answered yet.
pub struct Greeting(Box<HandshakeState>);

impl Greeting {
    /// Reads the answer, which only the holder of the key can have made, in that run. Any bytes may be handed in.
    #[must_use]
    pub fn finish(mut self, answer: &[u8]) -> Option<Channel> {
        read(&mut self.0, answer).filter(Vec::is_empty)?;
        self.0.into_transport_mode().ok().map(Channel)
    }
}

/// A stream whose ends have keys of their own for it.
pub struct Channel(TransportState);

impl Channel {
    /// Seals what goes next.
    pub fn seal(&mut self, secret: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = vec![0; secret.len() + TAG_LEN];
        let len = self.0.write_message(secret, &mut sealed).ok()?;
        if self.0.sending_nonce().is_multiple_of(REKEY_AFTER) {
            self.0.rekey_outgoing();
        }
        (len == sealed.len()).then_some(sealed)
    }

    /// Opens what came next. Any bytes may be handed in; after `None` nothing can be opened any more.
    pub fn open(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut secret = vec![0; sealed.len().checked_sub(TAG_LEN)?];
        let len = self.0.read_message(sealed, &mut secret).ok()?;
        if self.0.receiving_nonce().is_multiple_of(REKEY_AFTER) {
            self.0.rekey_incoming();
        }
        (len == secret.len()).then_some(secret)
    }
}

macro_rules! says_nothing {
    ($($what:ident),+) => {
        $(impl fmt::Debug for $what {
            /// Never prints a key.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($what))
            }
        })+
    };
}
says_nothing!(Courier, Greeting, Channel);

/// Which end of a handshake we are.
#[derive(Clone, Copy)]
enum Side {
    Begins,
    Answers,
}

fn letter_prologue(kind: u8, from: &Party, to: &Party) -> Vec<u8> {
    let mut prologue = [LETTER_DOMAIN, &[VERSION, kind]].concat();
    from.write(&mut prologue);
    to.write(&mut prologue);
    prologue
}

/// Who begins a stream is not known before its first message, which says it.
fn stream_prologue(to: &Party) -> Vec<u8> {
    let mut prologue = [STREAM_DOMAIN, &[VERSION]].concat();
    to.write(&mut prologue);
    prologue
}

/// The key for X25519 that belongs to an identity; none for keys of small order, which keep no secret.
fn exchange_key(key: &PublicKey) -> Option<[u8; KEY_LEN]> {
    let key = VerifyingKey::from_bytes(key).ok()?;
    (!key.is_weak()).then(|| key.to_montgomery().to_bytes())
}

/// Writes the next message of a handshake, which is `overhead` longer than what it says.
fn write(noise: &mut HandshakeState, says: &[u8], overhead: usize) -> Option<Vec<u8>> {
    let mut message = vec![0; says.len() + overhead];
    let len = noise.write_message(says, &mut message).ok()?;
    (len == message.len()).then_some(message)
}

/// Reads the next message of a handshake: what it says.
fn read(noise: &mut HandshakeState, message: &[u8]) -> Option<Vec<u8>> {
    let mut says = vec![0; message.len()];
    let len = noise.read_message(message, &mut says).ok()?;
    says.truncate(len);
    Some(says)
}

/// Makes keys for once: a chain of hashes that does not run backwards. What a key is for goes into it,
/// so that cloned machines, which go on from one state, never use one key for two texts.
struct Chance([u8; 32]);

impl Chance {
    fn key(&mut self, prologue: &[u8], says: &[u8]) -> [u8; KEY_LEN] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&(prologue.len() as u64).to_be_bytes());
        hasher.update(prologue).update(says);
        let (mut stream, mut key) = (hasher.finalize_xof(), [0; KEY_LEN]);
        stream.fill(&mut self.0);
        stream.fill(&mut key);
        key
    }
}

/// What Noise works with: our key, one key for once, and everything else as it comes.
struct Hands {
    own: Cell<Option<Box<Own>>>,
    once: Option<[u8; KEY_LEN]>,
}

impl CryptoResolver for Hands {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(self.once)))
    }

    /// The first that is asked for is ours, the second the one for once.
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match self.own.take() {
            Some(own) => Some(own),
            None => DefaultResolver.resolve_dh(choice),
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// One key's worth of randomness.
struct Once(Option<[u8; KEY_LEN]>);

impl Random for Once {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        let key = self.0.take().filter(|key| key.len() == out.len()).ok_or(Error::Rng)?;
        out.copy_from_slice(&key);
        Ok(())
    }
}

/// Our own key. What it gives with a key we know is remembered: half of the work of a letter.
struct Own {
    key: Arc<dyn Dh>,
    with: Option<Remote>,
}

impl Dh for Own {
    fn name(&self) -> &'static str {
        self.key.name()
    }

    fn pub_len(&self) -> usize {
        self.key.pub_len()
    }

    fn priv_len(&self) -> usize {
        self.key.priv_len()
    }

    /// It is the same one always.
    fn set(&mut self, _: &[u8]) {}

    fn generate(&mut self, _: &mut dyn Random) -> Result<(), Error> {
        Err(Error::Rng)
    }

    fn pubkey(&self) -> &[u8] {
        self.key.pubkey()
    }

    fn privkey(&self) -> &[u8] {
        self.key.privkey()
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        match self.with {
            Some(remote) if public.get(..KEY_LEN) == Some(&remote.key) => {
                out.get_mut(..KEY_LEN).ok_or(Error::Dh)?.copy_from_slice(&remote.shared);
                Ok(())
            }
            _ => self.key.dh(public, out),
        }
    }
}

#[cfg(test)]
mod tests;

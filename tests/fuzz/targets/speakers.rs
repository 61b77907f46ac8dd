//! Who speaks to the group of the targets `group` and `keyed` beside its members: two hostile ones, who answer whoever
//! asks whether they live, and copies of members. What they know and said, so that they are believed to begin with.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use minicbor::Encoder;
use udpnode::crypto::{Courier, Keyring, Opened, Party, peer_id};
use udpnode::id::PublicKey;
use udpnode::wire::body::{Answer, Digest, Hello, NO_DIGEST};
use udpnode::wire::header::{Header, Sender};
use udpnode::wire::{DATAGRAM_DOMAIN, Datagram, Message, digest, encode, kind, parse_entry, secret};

use super::choices::Choices;
use super::shapes::Writer;
use super::town::{HOSTS, Town, identity, key, sign};

/// Bytes that make a hello long enough to be answered.
const PAD: usize = 128;

/// Digests that may be named again.
const DIGESTS_MAX: usize = 16;

/// All of them, by number: the members, then those who keep to no rules.
pub(crate) struct Speakers {
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) ids: Vec<[u8; 16]>,
    /// Of the last datagram of each.
    pub(crate) counters: Vec<u64>,
    /// Of the last entries that were said with each number.
    digests: BTreeMap<(PublicKey, u64, u64), Digest>,
    couriers: BTreeMap<(usize, u64), Courier>,
    /// Who spoke from where, and in which run.
    spoke: BTreeMap<SocketAddr, (usize, u64)>,
}

impl Speakers {
    pub(crate) fn new() -> Self {
        let keys: Vec<_> = (0..HOSTS + 2).map(key).collect();
        let ids = keys.iter().map(|key| peer_id(key).0).collect();
        let counters = vec![1 << 40; HOSTS + 2];
        let (digests, couriers, spoke) = Default::default();
        Self { keys, ids, counters, digests, couriers, spoke }
    }

    /// Whoever is asked at this address is this one from now on.
    pub(crate) fn spoke(&mut self, from: SocketAddr, speaker: usize, boot: u64) {
        self.spoke.insert(from, (speaker, boot));
    }

    /// Digests of some entries, to be told of.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        self.digests.values().take(DIGESTS_MAX).copied().collect()
    }

    /// What stands before the entry `seq` of a speaker, as far as it is known: said by it or overheard.
    pub(crate) fn before(&self, speaker: usize, boot: u64, seq: u64, town: &Town) -> Digest {
        if seq <= 1 {
            return NO_DIGEST;
        }
        let author = self.keys[speaker];
        let said = self.digests.get(&(author, boot, seq - 1)).copied();
        said.or_else(|| overheard(town, &author, boot, seq - 1)).unwrap_or([seq as u8; 16])
    }

    /// An entry was made.
    pub(crate) fn said(&mut self, speaker: usize, boot: u64, seq: u64, bytes: &[u8]) {
        self.digests.insert((self.keys[speaker], boot, seq), digest(bytes));
    }

    /// A letter that its reader can open: content as the input has it.
    pub(crate) fn letter(&mut self, from: (usize, u64), to: (usize, u64), kind: u8, body: &[u8]) -> Option<Vec<u8>> {
        let mut content = (body.len() as u16).to_be_bytes().to_vec();
        content.extend_from_slice(body);
        let padded = secret::LENGTHS.into_iter().find(|&len| len >= content.len())?;
        content.resize(padded, 0);
        let make = || Courier::new(&identity(from.0, from.1), &[9; 32]);
        let courier = self.couriers.entry(from).or_insert_with(make);
        let sealed = courier.seal(&Party { key: self.keys[to.0], boot: to.1 }, kind, &content)?;
        let mut letter = Vec::new();
        let cbor = &mut Encoder::new(&mut letter);
        let written = cbor.map(2).and_then(|c| c.u8(0)?.bytes(&self.ids[to.0])?.u8(1)?.bytes(&sealed));
        written.map(drop).expect("memory takes everything");
        Some(letter)
    }

    /// How the first of those who keep to no rules joins, from this address.
    pub(crate) fn hello(&mut self, keyring: &Keyring, from: SocketAddr) -> Vec<u8> {
        self.spoke(from, HOSTS, 1);
        let hello =
            Hello { nick: "eve".into(), every_ms: 2000, head: 1, pad: Some(vec![0; PAD].into()), ..Hello::default() };
        self.signed(keyring, HOSTS, 1, &Message::Hello(hello))
    }

    fn signed(&mut self, keyring: &Keyring, speaker: usize, boot: u64, message: &Message) -> Vec<u8> {
        self.counters[speaker] += 1;
        let sender = Sender { key: self.keys[speaker], boot, counter: self.counters[speaker] };
        let mut datagram = Vec::new();
        encode(&mut datagram, keyring.tag(), &sender, message, |bytes| sign(&sender.key, DATAGRAM_DOMAIN, bytes));
        keyring.seal(&mut datagram, &[3, 4, self.counters[speaker]]);
        datagram
    }

    /// What whoever spoke from `to` answers to a datagram that was sent there, if it asks whether somebody lives.
    pub(crate) fn answer(&mut self, keyring: &Keyring, to: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
        let &(speaker, boot) = self.spoke.get(&to)?;
        let inside = match keyring.open(bytes) {
            Opened::Inside(inside) => inside,
            Opened::AsItIs => bytes.to_vec(),
            Opened::Outsider => return None,
        };
        let Message::Probe(probe) = Datagram::parse(&inside).ok()?.message().ok()? else { return None };
        let answer = Answer { token: probe.token, proof: probe.challenge, challenge: None };
        Some(self.signed(keyring, speaker, boot, &Message::Answer(answer)))
    }
}

/// The digest of an entry that a member sent a moment ago. What is sealed is not opened for it.
fn overheard(town: &Town, author: &PublicKey, boot: u64, seq: u64) -> Option<Digest> {
    let datagrams = town.overheard.iter().filter_map(|bytes| Datagram::parse(bytes).ok());
    datagrams.filter_map(|datagram| datagram.entries().ok()).flatten().find_map(|raw| {
        let entry = parse_entry(raw).ok()?;
        let is_it = *entry.entry.author == *author && entry.entry.boot == boot && entry.entry.seq == seq;
        is_it.then(|| digest(entry.bytes))
    })
}

/// A signed datagram of a kind, with a body, not sealed yet; signed by `sign`.
pub(crate) fn datagram(tag: [u8; 8], kind: u8, sender: &Sender, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header { kind, errand: 0, group_tag: tag }.write(&mut bytes);
    sender.write(&mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

/// The body of a message of a kind, with letters that somebody can open.
pub(crate) fn body(
    speakers: &mut Speakers,
    choices: &mut Choices<'_>,
    town: &Town,
    from: (usize, u64),
    kind: u8,
) -> Vec<u8> {
    let digests = speakers.digests();
    let mut writer = Writer { choices, ids: &speakers.ids, digests: &digests };
    let body = writer.body(kind);
    if !matches!(kind, kind::DIRECT | kind::RECEIPT) || writer.choices.rarely() {
        return body;
    }
    let secret = writer.secret(kind);
    let to = writer.choices.below(HOSTS);
    speakers.letter(from, (to, town.boot(to)), kind, &secret).unwrap_or(body)
}

/// Kinds of messages that a member signs, or that one alone can read.
#[cfg(test)]
pub(crate) const KINDS: [u8; 12] = [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];

/// A body of a kind whose fields are all there, as nodes read it: lists of two, numbers of two.
#[cfg(test)]
pub(crate) fn right_body(kind: u8) -> Option<Message> {
    let twos = [2; 4096];
    let ids = [[7; 16]; 4];
    let mut writer = Writer { choices: &mut Choices::new(&twos), ids: &ids, digests: &ids };
    let sender = Sender { key: key(0), boot: 1, counter: 1 };
    let mut bytes = datagram([0; 8], kind, &sender, &writer.body(kind));
    bytes.extend([0; 64]);
    if matches!(kind, kind::DIRECT | kind::RECEIPT) {
        let body = writer.secret(kind);
        let mut content = [(body.len() as u16).to_be_bytes().as_slice(), &body].concat();
        content.resize(secret::LENGTHS.into_iter().find(|&len| len >= content.len())?, 0);
        secret::Secret::parse(kind, &content).ok()?;
    }
    Datagram::parse(&bytes).ok()?.message().ok()
}

//! Streams: who is at the other end, for how long, and what may come through.
//!
//! A stream only carries direct messages and their receipts, sealed; it proves nobody alive and its
//! address means nothing. Streams are few, and whoever says nothing, or nothing of ours, is soon gone.
//! The table is here; `handshake` finds out who is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::Output;
use super::sources::Sources;
use crate::address::StreamId;
use crate::crypto::{Channel, Greeting};
use crate::id::PeerId;
use crate::protocol::earlier;
use crate::stats::Stats;
use crate::time::Time;
use crate::wire::secret::Secret;
use crate::wire::stream::{Deframer, PREAMBLE, write_frame};

/// Streams accepted at once. When full, the one that has longest said nothing of ours makes room.
const ACCEPTED_MAX: usize = 64;
/// Streams of one address that have proven nothing yet. When full, the oldest of them makes room.
const UNPROVEN_MAX: usize = 8;
/// A stream is closed that after this has said nothing of ours, or is not connected.
const OPENING_MAX: Duration = Duration::from_secs(3);
/// A stream that has not answered for this is not trusted: the other side may never have accepted it, or never
/// have been asked, where a firewall drops the question.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// A stream is closed that was silent for this.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// A peer whose stream failed gets datagrams for this long before another is tried.
const AVOID_FOR: Duration = Duration::from_secs(10);
/// Bytes that wait for a stream to open; more go by datagram when they are sent again.
const PENDING_MAX: usize = 64 * 1024;

/// What happens to a stream.
#[derive(Clone, Copy, Debug)]
pub enum StreamInput<'a> {
    /// Somebody connected, from this address.
    Accepted(SocketAddr),
    /// The stream we asked for is there.
    Connected,
    /// Bytes came.
    Bytes(&'a [u8]),
    /// It is gone, or could not be had.
    Closed,
}

/// What is to be done with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamAct {
    /// Connect to this address.
    Connect(SocketAddr),
    /// Write the bytes in the caller's buffer, all of them; close the stream if they pile up.
    Write,
    /// Close it; no more inputs of it are expected.
    Close,
}

/// How far a stream has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// We asked for it, and it is not there yet.
    Connecting,
    /// Somebody connected, and is to begin.
    Awaiting,
    /// We have begun, and are to be answered.
    Greeting(Greeting),
    /// Both ends have its keys.
    Open(Channel),
}

/// One stream.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: SocketAddr,
    /// Whom we opened it to, or who says that it is there; with its run.
    pub(super) peer: Option<(PeerId, u64)>,
    opened_by_us: bool,
    pub(super) stage: Stage,
    greeted: bool,
    pub(super) deframer: Deframer,
    opened_at: Time,
    /// When something authentic came last.
    heard_at: Option<Time>,
    /// Since when it was asked for, or something was written, and nothing authentic came.
    unanswered_since: Option<Time>,
    used_at: Time,
    pending: BTreeMap<u64, Secret>,
    pending_bytes: usize,
}

/// All streams, and what is to be done with them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) links: BTreeMap<StreamId, Link>,
    pub(super) sources: Sources,
    /// Those who proved to be at the other end of one.
    peers: BTreeSet<PeerId>,
    opened: u64,
    avoid: BTreeMap<PeerId, Time>,
    acts: VecDeque<(StreamId, StreamAct, Vec<u8>)>,
    wake: Option<Time>,
}

impl Link {
    fn new(address: SocketAddr, now: Time) -> Self {
        Self {
            address,
            peer: None,
            opened_by_us: false,
            stage: Stage::Awaiting,
            greeted: false,
            deframer: Deframer::default(),
            opened_at: now,
            heard_at: None,
            unanswered_since: None,
            used_at: now,
            pending: BTreeMap::new(),
            pending_bytes: 0,
        }
    }

    fn is_of(&self, peer: PeerId) -> bool {
        self.peer.is_some_and(|(id, _)| id == peer)
    }

    /// When it is closed if nothing happens.
    fn deadline(&self) -> Time {
        if self.heard_at.is_some() { self.used_at + IDLE_MAX } else { self.opened_at + OPENING_MAX }
    }
}

impl Streams {
    pub(super) fn is_empty(&self) -> bool {
        self.acts.is_empty()
    }

    /// Those to whom a stream is open, as they proved.
    pub(super) const fn peers(&self) -> &BTreeSet<PeerId> {
        &self.peers
    }

    fn recount(&mut self) {
        let proven = self.links.values().filter(|link| link.heard_at.is_some());
        self.peers = proven.filter_map(|link| Some(link.peer?.0)).collect();
    }

    pub(super) const fn wake_at(&self) -> Option<Time> {
        self.wake
    }

    /// The next thing to do with a stream; what is to be written goes into `buf`.
    pub(super) fn next(&mut self, buf: &mut Vec<u8>) -> Option<Output> {
        let (stream, act, bytes) = self.acts.pop_front()?;
        if act == StreamAct::Write {
            *buf = bytes;
        }
        Some(Output::Stream { stream, act })
    }

    /// Sends something to a peer that listens at `address`, opening a stream if there is none.
    /// False if the peer must be reached in another way.
    pub(super) fn carry(&mut self, peer: PeerId, address: SocketAddr, number: u64, what: &Secret, now: Time) -> bool {
        if self.avoid.get(&peer).is_some_and(|&until| until > now) {
            return false;
        }
        let open = self.links.iter().find(|(_, link)| link.opened_by_us && link.is_of(peer));
        let stream = match open.map(|(&stream, _)| stream) {
            Some(stream) => stream,
            None => self.open(peer, address, now),
        };
        let Some(link) = self.links.get_mut(&stream) else { return false };
        if link.unanswered_since.is_some_and(|since| since + ANSWER_MAX <= now) {
            return false;
        }
        if matches!(link.stage, Stage::Open(_)) {
            self.write(stream, what, now);
        } else if link.pending_bytes < PENDING_MAX && !link.pending.contains_key(&number) {
            link.pending_bytes += what.encode().len();
            link.pending.insert(number, what.clone());
        }
        true
    }

    fn open(&mut self, peer: PeerId, address: SocketAddr, now: Time) -> StreamId {
        let stream = StreamId(self.opened * 2 + 1);
        self.opened += 1;
        let (peer, stage) = (Some((peer, 0)), Stage::Connecting);
        // From now on it is waited for: who drops what we ask for says nothing at all.
        let unanswered_since = Some(now);
        let link = Link { peer, opened_by_us: true, stage, unanswered_since, ..Link::new(address, now) };
        self.wake = earlier(self.wake, Some(link.deadline()));
        self.links.insert(stream, link);
        self.acts.push_back((stream, StreamAct::Connect(address), Vec::new()));
        stream
    }

    /// Seals something and writes it to a stream, if that is open still.
    pub(super) fn write(&mut self, stream: StreamId, what: &Secret, now: Time) {
        let Some(link) = self.links.get_mut(&stream) else { return };
        let Stage::Open(channel) = &mut link.stage else { return };
        let mut secret = what.encode();
        secret.insert(0, what.kind());
        if let Some(sealed) = channel.seal(&secret) {
            self.put(stream, &sealed, now);
        }
    }

    /// Writes a frame to a stream.
    pub(super) fn put(&mut self, stream: StreamId, frame: &[u8], now: Time) {
        let Some(link) = self.links.get_mut(&stream) else { return };
        link.used_at = now;
        link.unanswered_since = link.unanswered_since.or(Some(now));
        let mut bytes = Vec::with_capacity(PREAMBLE.len() + 2 + frame.len());
        if !std::mem::replace(&mut link.greeted, true) {
            bytes.extend_from_slice(&PREAMBLE);
        }
        write_frame(&mut bytes, frame);
        self.acts.push_back((stream, StreamAct::Write, bytes));
    }

    /// Somebody connected. Returns the address that has too many streams which prove nothing, if it is that one.
    pub(super) fn accept(
        &mut self,
        stream: StreamId,
        address: SocketAddr,
        now: Time,
        stats: &mut Stats,
    ) -> Option<SocketAddr> {
        let oldest = |links: &mut dyn Iterator<Item = (&StreamId, &Link)>| {
            links.min_by_key(|(_, link)| (link.heard_at, link.opened_at)).map(|(&stream, _)| stream)
        };
        let accepted = || self.links.iter().filter(|(_, link)| !link.opened_by_us);
        let its = || accepted().filter(|(_, link)| link.heard_at.is_none() && link.address.ip() == address.ip());
        let crowded = its().count() >= UNPROVEN_MAX;
        let outgoing = if crowded {
            oldest(&mut its())
        } else if accepted().count() >= ACCEPTED_MAX {
            // First those who never proved to be anybody, the oldest of them.
            oldest(&mut accepted())
        } else {
            None
        };
        if let Some(outgoing) = outgoing {
            self.close(outgoing, stats);
        }
        stats.streams += 1;
        let link = Link::new(address, now);
        self.wake = earlier(self.wake, Some(link.deadline()));
        self.links.insert(stream, link);
        crowded.then_some(address)
    }

    /// The other side has answered our handshake: what waited goes out.
    pub(super) fn on_open(&mut self, stream: StreamId, channel: Channel, now: Time) {
        let Some(link) = self.links.get_mut(&stream) else { return };
        link.stage = Stage::Open(channel);
        link.pending_bytes = 0;
        let pending = std::mem::take(&mut link.pending);
        self.on_heard(stream, now);
        for what in pending.into_values() {
            self.write(stream, &what, now);
        }
    }

    /// Something came that only the peer can have sealed, now.
    pub(super) fn on_heard(&mut self, stream: StreamId, now: Time) {
        let Some(link) = self.links.get_mut(&stream) else { return };
        link.deframer.trust();
        (link.heard_at, link.used_at, link.unanswered_since) = (Some(now), now, None);
        self.peers.extend(link.peer.map(|(id, _)| id));
    }

    /// The other side is gone: a peer whom we could not reach so is avoided for a while.
    pub(super) fn on_closed(&mut self, stream: StreamId, now: Time) {
        let Some(link) = self.links.remove(&stream) else { return };
        self.recount();
        self.avoid_if_failed(&link, now);
    }

    fn avoid_if_failed(&mut self, link: &Link, now: Time) {
        if let Some((peer, _)) = link.peer.filter(|_| link.opened_by_us && link.heard_at.is_none()) {
            self.avoid.insert(peer, now + AVOID_FOR);
        }
    }

    /// Closes a stream that is of no use.
    pub(super) fn close(&mut self, stream: StreamId, stats: &mut Stats) {
        stats.streams_refused += 1;
        self.links.remove(&stream);
        self.recount();
        self.acts.push_back((stream, StreamAct::Close, Vec::new()));
    }

    /// A peer is gone, and so are the streams to it.
    pub(super) fn on_gone(&mut self, peer: PeerId) {
        let its: Vec<_> = self.links.iter().filter(|(_, link)| link.is_of(peer)).map(|(&id, _)| id).collect();
        for stream in its {
            self.links.remove(&stream);
            self.acts.push_back((stream, StreamAct::Close, Vec::new()));
        }
        self.avoid.remove(&peer);
        self.peers.remove(&peer);
    }

    /// Closes what was silent for too long.
    pub(super) fn on_timeout(&mut self, now: Time, stats: &mut Stats) {
        if self.wake.is_none_or(|at| at > now) {
            return;
        }
        let late: Vec<_> = self.links.iter().filter(|(_, l)| l.deadline() <= now).map(|(&id, _)| id).collect();
        for stream in late {
            self.fail(stream, now, stats);
        }
        self.avoid.retain(|_, until| *until > now);
        self.wake = self.links.values().map(Link::deadline).min();
    }

    /// Closes a stream that brought nothing, or nothing of ours; a peer to whom we opened it is avoided.
    pub(super) fn fail(&mut self, stream: StreamId, now: Time, stats: &mut Stats) {
        if let Some(link) = self.links.remove(&stream) {
            self.avoid_if_failed(&link, now);
        }
        self.close(stream, stats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId([1; 16]);

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn secret() -> Secret {
        Secret::Receipt(crate::wire::body::Receipt { boot: 1, next: 2, ahead: 0 })
    }

    fn carry(streams: &mut Streams, number: u64, now: Time) -> bool {
        streams.carry(PEER, address("10.0.0.4:5004"), number, &secret(), now)
    }

    #[test]
    fn a_stream_that_nobody_answers_does_not_hold_messages_up() {
        let (mut streams, mut stats) = (Streams::default(), Stats::default());
        assert!(carry(&mut streams, 1, at(0)), "by a stream that is to be opened");
        streams.put(StreamId(1), b"our handshake", at(1));
        assert!(carry(&mut streams, 1, at(499)), "there may still be an answer");
        assert!(!carry(&mut streams, 1, at(500)), "by datagram from now on");
        streams.on_timeout(at(3000), &mut stats);
        assert!(streams.links.is_empty(), "closed");
        assert!(!carry(&mut streams, 2, at(12_999)), "and not tried again for a while");
        assert!(carry(&mut streams, 2, at(13_000)));
    }

    #[test]
    fn a_stream_that_cannot_even_be_opened_held_messages_up_for_three_seconds() {
        let mut streams = Streams::default();
        assert!(carry(&mut streams, 1, at(0)) && carry(&mut streams, 1, at(499)), "there may still be an answer");
        assert!(!carry(&mut streams, 1, at(500)), "by datagram from now on");
    }

    #[test]
    fn what_waits_for_a_stream_is_bounded_and_counted_once() {
        let mut streams = Streams::default();
        for n in 0..100_000 {
            assert!(carry(&mut streams, n % 5000, at(0)), "what does not fit is sent again later");
        }
        let link = streams.links.values().next().expect("one");
        assert_eq!((link.pending.len(), link.pending_bytes), (PENDING_MAX / 64, PENDING_MAX));
    }

    #[test]
    fn one_address_holds_few_streams_that_prove_nothing() {
        let (mut streams, mut stats) = (Streams::default(), Stats::default());
        let mut crowds = 0;
        streams.accept(StreamId(0), address("10.0.0.3:1"), at(0), &mut stats);
        for n in 1..1000 {
            crowds += usize::from(streams.accept(StreamId(n * 2), address("10.0.0.9:1"), at(n), &mut stats).is_some());
        }
        assert_eq!((streams.links.len(), crowds), (1 + UNPROVEN_MAX, 999 - UNPROVEN_MAX));
        assert!(streams.links.contains_key(&StreamId(0)), "of another address");
        assert!(streams.links.contains_key(&StreamId(999 * 2)), "the oldest make room");
        assert_eq!(stats.streams_refused, 999 - UNPROVEN_MAX as u64);
    }

    #[test]
    fn all_addresses_together_hold_a_bounded_number_and_the_proven_stay() {
        let (mut streams, mut stats) = (Streams::default(), Stats::default());
        streams.accept(StreamId(0), address("10.0.0.3:1"), at(0), &mut stats);
        streams.on_heard(StreamId(0), at(1));
        for n in 1..1000 {
            let from = SocketAddr::from(([10, 1, (n / 250) as u8, (n % 250) as u8], 1));
            assert_eq!(streams.accept(StreamId(n * 2), from, at(n), &mut stats), None);
        }
        assert_eq!(streams.links.len(), ACCEPTED_MAX);
        assert!(streams.links.contains_key(&StreamId(0)), "proven");
        streams.on_timeout(at(10_000), &mut stats);
        assert_eq!(streams.links.len(), 1, "the others said nothing for too long");
    }
}

//! Streams: who is at the other end, for how long, and what may come through.
//!
//! A stream only carries direct messages and their receipts, as the same signed datagrams; it
//! proves nobody alive and its address means nothing. Streams are few, and whoever says nothing,
//! or nothing of ours, is soon gone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::{Context, Node, Output, context};
use crate::address::{Cast, Errand, StreamId};
use crate::crypto::peer_id;
use crate::event::Arrival;
use crate::id::PeerId;
use crate::protocol::{To, earlier};
use crate::stats::Stats;
use crate::time::Time;
use crate::wire::stream::{Deframer, PREAMBLE, write_frame};
use crate::wire::{DATAGRAM_DOMAIN, Datagram, Message};

/// Streams accepted at once. When full, the one that has longest said nothing of ours makes room.
const ACCEPTED_MAX: usize = 64;
/// A stream is closed that after this has said nothing of ours, or is not connected.
const OPENING_MAX: Duration = Duration::from_secs(3);
/// A stream that has not answered for this is not trusted: the other side may never have accepted it.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// A stream is closed that was silent for this.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// A peer whose stream failed gets datagrams for this long before another is tried.
const AVOID_FOR: Duration = Duration::from_secs(10);
/// Bytes that wait for a stream to connect; more go by datagram when they are sent again.
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

/// One stream.
#[derive(Debug)]
struct Link {
    address: SocketAddr,
    /// Whom we opened it to, or who proved to be there.
    peer: Option<PeerId>,
    opened_by_us: bool,
    connected: bool,
    greeted: bool,
    deframer: Deframer,
    opened_at: Time,
    /// When something authentic came last.
    heard_at: Option<Time>,
    /// Since when something was written and nothing authentic came.
    unanswered_since: Option<Time>,
    used_at: Time,
    pending: BTreeMap<u64, Vec<u8>>,
}

/// All streams, and what is to be done with them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    links: BTreeMap<StreamId, Link>,
    /// Those who proved to be at the other end of one.
    peers: BTreeSet<PeerId>,
    opened: u64,
    avoid: BTreeMap<PeerId, Time>,
    acts: std::collections::VecDeque<(StreamId, StreamAct, Vec<u8>)>,
    wake: Option<Time>,
}

impl Link {
    fn new(address: SocketAddr, now: Time) -> Self {
        Self {
            address,
            peer: None,
            opened_by_us: false,
            connected: true,
            greeted: false,
            deframer: Deframer::default(),
            opened_at: now,
            heard_at: None,
            unanswered_since: None,
            used_at: now,
            pending: BTreeMap::new(),
        }
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
        self.peers = proven.filter_map(|link| link.peer).collect();
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

    /// Sends a datagram to a peer that listens at `address`, opening a stream if there is none.
    /// False if the peer must be reached in another way.
    pub(super) fn carry(&mut self, peer: PeerId, address: SocketAddr, number: u64, datagram: &[u8], now: Time) -> bool {
        if self.avoid.get(&peer).is_some_and(|&until| until > now) {
            return false;
        }
        let open = self.links.iter().find(|(_, link)| link.opened_by_us && link.peer == Some(peer));
        let stream = match open.map(|(&stream, _)| stream) {
            Some(stream) => stream,
            None => self.open(peer, address, now),
        };
        let Some(link) = self.links.get_mut(&stream) else { return false };
        if link.unanswered_since.is_some_and(|since| since + ANSWER_MAX <= now) {
            return false;
        }
        if link.connected {
            self.write(stream, datagram, now);
            return true;
        }
        let waiting: usize = link.pending.values().map(Vec::len).sum();
        if waiting < PENDING_MAX {
            link.pending.insert(number, datagram.to_vec());
        }
        true
    }

    fn open(&mut self, peer: PeerId, address: SocketAddr, now: Time) -> StreamId {
        let stream = StreamId(self.opened * 2 + 1);
        self.opened += 1;
        let link = Link { peer: Some(peer), opened_by_us: true, connected: false, ..Link::new(address, now) };
        self.wake = earlier(self.wake, Some(link.deadline()));
        self.links.insert(stream, link);
        self.acts.push_back((stream, StreamAct::Connect(address), Vec::new()));
        stream
    }

    /// Writes a datagram to a stream, if it is still there.
    pub(super) fn write(&mut self, stream: StreamId, datagram: &[u8], now: Time) {
        let Some(link) = self.links.get_mut(&stream).filter(|link| link.connected) else { return };
        link.used_at = now;
        link.unanswered_since = link.unanswered_since.or(Some(now));
        let mut bytes = Vec::with_capacity(PREAMBLE.len() + 2 + datagram.len());
        if !std::mem::replace(&mut link.greeted, true) {
            bytes.extend_from_slice(&PREAMBLE);
        }
        write_frame(&mut bytes, datagram);
        self.acts.push_back((stream, StreamAct::Write, bytes));
    }

    fn accept(&mut self, stream: StreamId, address: SocketAddr, now: Time, stats: &mut Stats) {
        let accepted = || self.links.iter().filter(|(_, link)| !link.opened_by_us);
        if accepted().count() >= ACCEPTED_MAX {
            // First those who never proved to be anybody, the oldest of them.
            let idlest = accepted().min_by_key(|(_, link)| (link.heard_at, link.opened_at));
            if let Some((&stream, _)) = idlest {
                self.close(stream, stats);
            }
        }
        stats.streams += 1;
        let link = Link::new(address, now);
        self.wake = earlier(self.wake, Some(link.deadline()));
        self.links.insert(stream, link);
    }

    fn on_connected(&mut self, stream: StreamId, now: Time, stats: &mut Stats) {
        let Some(link) = self.links.get_mut(&stream) else { return };
        stats.streams += 1;
        (link.connected, link.used_at) = (true, now);
        for datagram in std::mem::take(&mut link.pending).into_values() {
            self.write(stream, &datagram, now);
        }
    }

    /// The other side is gone: a peer whom we could not reach so is avoided for a while.
    fn on_closed(&mut self, stream: StreamId, now: Time) {
        let Some(link) = self.links.remove(&stream) else { return };
        self.recount();
        if let Some(peer) = link.peer.filter(|_| link.opened_by_us && link.heard_at.is_none()) {
            self.avoid.insert(peer, now + AVOID_FOR);
        }
    }

    fn close(&mut self, stream: StreamId, stats: &mut Stats) {
        stats.streams_refused += 1;
        self.links.remove(&stream);
        self.recount();
        self.acts.push_back((stream, StreamAct::Close, Vec::new()));
    }

    /// A peer is gone, and so are the streams to it.
    pub(super) fn on_gone(&mut self, peer: PeerId) {
        let its: Vec<_> = self.links.iter().filter(|(_, link)| link.peer == Some(peer)).map(|(&id, _)| id).collect();
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
            let unproven = |link: &Link| link.opened_by_us && link.heard_at.is_none();
            let failed = self.links.get(&stream).filter(|link| unproven(link)).and_then(|link| link.peer);
            self.avoid.extend(failed.map(|peer| (peer, now + AVOID_FOR)));
            self.close(stream, stats);
        }
        self.avoid.retain(|_, until| *until > now);
        self.wake = self.links.values().map(Link::deadline).min();
    }
}

impl Node {
    pub(super) fn on_stream(&mut self, stream: StreamId, what: StreamInput<'_>) {
        match what {
            StreamInput::Accepted(address) => self.streams.accept(stream, address, self.now, &mut self.stats),
            StreamInput::Connected => self.streams.on_connected(stream, self.now, &mut self.stats),
            StreamInput::Closed => self.streams.on_closed(stream, self.now),
            StreamInput::Bytes(bytes) => self.on_stream_bytes(stream, bytes),
        }
    }

    fn on_stream_bytes(&mut self, stream: StreamId, bytes: &[u8]) {
        let Some(link) = self.streams.links.get_mut(&stream) else { return };
        let (mut datagrams, address) = (Vec::new(), link.address);
        let ours = link.deframer.feed(bytes, |datagram| datagrams.push(datagram.to_vec()));
        let believed = datagrams.iter().all(|datagram| self.on_stream_datagram(stream, address, datagram));
        if ours.is_err() || !believed {
            self.streams.close(stream, &mut self.stats);
        }
    }

    /// A datagram that came on a stream. False if whoever sent it is not one of us.
    fn on_stream_datagram(&mut self, stream: StreamId, address: SocketAddr, bytes: &[u8]) -> bool {
        let Ok(datagram) = Datagram::parse(bytes) else {
            self.stats.malformed += 1;
            return false;
        };
        let (Some(signed), Ok(message)) = (&datagram.signed, datagram.message()) else { return false };
        if datagram.header.group_tag != self.group_tag {
            self.stats.other_group += 1;
            return false;
        }
        if !(self.verifier)(&signed.sender.key, DATAGRAM_DOMAIN, signed.bytes, signed.signature) {
            self.stats.forged += 1;
            return false;
        }
        let (from, boot) = (peer_id(&signed.sender.key), signed.sender.boot);
        // Not known yet, or gone: it will be sent again.
        if !self.membership.is_online(from) || self.membership.peer(from).is_none_or(|peer| peer.boot != boot) {
            return true;
        }
        if let Some(link) = self.streams.links.get_mut(&stream) {
            (link.heard_at, link.used_at, link.peer) = (Some(self.now), self.now, Some(from));
            link.unanswered_since = None;
        }
        self.streams.peers.insert(from);
        match message {
            Message::Direct(frame) => {
                let Some(segment) = self.membership.segment_towards(address) else { return true };
                let arrival = Arrival { segment, cast: Cast::Unicast, address, ttl: None, errand: Errand::Said };
                self.directs.on_direct(from, boot, frame, arrival, To::Stream(stream), &mut context!(self));
            }
            Message::Receipt(receipt) => {
                self.directs.on_receipt(from, &receipt, self.identity.boot(), &mut context!(self));
            }
            _ => self.stats.unknown_kind += 1,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_nobody_accepted_does_not_hold_messages_up() {
        let (mut streams, mut stats) = (Streams::default(), Stats::default());
        let at = |ms: u64| Time::from_micros(ms * 1000);
        let (peer, address) = (PeerId([1; 16]), "10.0.0.4:5004".parse().expect("an address"));
        assert!(streams.carry(peer, address, 1, b"one", at(0)), "by a stream that is to be opened");
        streams.on_connected(StreamId(1), at(1), &mut stats);
        assert!(streams.carry(peer, address, 1, b"one", at(500)), "there may still be an answer");
        assert!(!streams.carry(peer, address, 1, b"one", at(501)), "by datagram from now on");
        streams.on_timeout(at(3000), &mut stats);
        assert!(streams.links.is_empty(), "closed");
        assert!(!streams.carry(peer, address, 2, b"two", at(12_999)), "and not tried again for a while");
        assert!(streams.carry(peer, address, 2, b"two", at(13_000)));
    }
}

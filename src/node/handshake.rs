//! Finding out who is at the other end of a stream, and what it says.
//!
//! ```text
//!   ann                                   bob, who listens
//!    |-- connects ------------------------->|  awaits her handshake for 3 s
//!    |-- preamble, handshake -------------->|  sealed for bob's key and run; says who ann is
//!    |<-- preamble, answer -----------------|  only bob can have made it: what waited goes out
//!    |== direct messages, receipts ========>|  only ann can have sealed these: she is proven
//! ```
//!
//! In a keyed group both handshakes are sealed for the group as well: outsiders get no answer.

use std::net::SocketAddr;

use super::Node;
use super::streams::{Stage, StreamInput};
use crate::address::{Cast, Errand, StreamId};
use crate::crypto::{Opened, peer_id};
use crate::event::{Arrival, Event};
use crate::protocol::direct::Way;
use crate::protocol::membership::Peer;
use crate::wire::header::Header;
use crate::wire::secret::Secret;
use crate::wire::stream::GREETING_MAX;
use crate::wire::{WireError, kind};

impl Node {
    pub(super) fn on_stream(&mut self, stream: StreamId, what: StreamInput<'_>) {
        match what {
            StreamInput::Accepted(address) => {
                if let Some(crowd) = self.streams.accept(stream, address, self.now, &mut self.stats) {
                    self.tell_of_crowd(crowd);
                }
            }
            StreamInput::Connected => self.greet(stream),
            StreamInput::Closed => self.streams.on_closed(stream, self.now),
            StreamInput::Bytes(bytes) => self.on_stream_bytes(stream, bytes),
        }
    }

    fn on_stream_bytes(&mut self, stream: StreamId, mut bytes: &[u8]) {
        while let Some(link) = self.streams.links.get_mut(&stream) {
            let ours = match link.deframer.next(&mut bytes) {
                Ok(Some(frame)) => self.on_frame(stream, &frame),
                Ok(None) => return,
                Err(_) => false,
            };
            if !ours {
                self.streams.fail(stream, self.now, &mut self.stats);
            }
        }
    }

    /// One frame of a stream. False if whoever sent it is not one of us.
    fn on_frame(&mut self, stream: StreamId, frame: &[u8]) -> bool {
        let Some(link) = self.streams.links.get_mut(&stream) else { return false };
        match std::mem::replace(&mut link.stage, Stage::Connecting) {
            Stage::Connecting => false,
            Stage::Awaiting => self.on_greeting(stream, frame),
            Stage::Greeting(greeting) => {
                let answer = self.handshake_in(frame);
                let channel = answer.and_then(|answer| greeting.finish(&answer));
                self.stats.handshakes_refused += u64::from(channel.is_none());
                let opened = channel.map(|channel| self.streams.on_open(stream, channel, self.now));
                opened.is_some()
            }
            Stage::Open(mut channel) => {
                let secret = channel.open(frame);
                link.stage = Stage::Open(channel);
                self.on_sealed(stream, secret)
            }
        }
    }

    /// The stream that we asked for is there: we say who we are, to whom we meant.
    fn greet(&mut self, stream: StreamId) {
        let Some(link) = self.streams.links.get(&stream) else { return };
        self.stats.streams += 1;
        let party = link.peer.and_then(|(id, _)| Some((id, self.party(id)?)));
        let Some((id, party)) = party.filter(|_| matches!(link.stage, Stage::Connecting)) else { return };
        let Some((greeting, message)) = self.courier.greet(&party) else { return };
        let frame = self.handshake_out(&message);
        if let Some(link) = self.streams.links.get_mut(&stream) {
            (link.peer, link.stage) = (Some((id, party.boot)), Stage::Greeting(greeting));
        }
        self.streams.put(stream, &frame, self.now);
    }

    /// Somebody begins: it is answered if it meant us, now, and is whom it names.
    fn on_greeting(&mut self, stream: StreamId, frame: &[u8]) -> bool {
        let Some(message) = self.handshake_in(frame) else { return false };
        let Some(link) = self.streams.links.get(&stream) else { return false };
        let address = link.address;
        let welcome = self.streams.sources.may_greet(address.ip(), self.now);
        if !welcome {
            self.tell_of_crowd(address);
        }
        let is_new = welcome && !self.streams.sources.is_recording(&message);
        let Some((channel, from, answer)) = is_new.then(|| self.courier.answer(&message)).flatten() else {
            self.stats.handshakes_refused += 1;
            return false;
        };
        self.streams.sources.on_answered(&message);
        let frame = self.handshake_out(&answer);
        if let Some(link) = self.streams.links.get_mut(&stream) {
            (link.peer, link.stage) = (Some((peer_id(&from.key), from.boot)), Stage::Open(channel));
            link.deframer.trust();
        }
        self.streams.put(stream, &frame, self.now);
        true
    }

    /// What was sealed on a stream. False if it was not: then nothing of it can be read any more.
    fn on_sealed(&mut self, stream: StreamId, secret: Option<Vec<u8>>) -> bool {
        let said = secret.as_deref().and_then(<[u8]>::split_first);
        let secret = match said.map(|(&kind, bytes)| Secret::parse(kind, bytes)) {
            Some(Ok(secret)) => secret,
            // Of a later version.
            Some(Err(WireError::Kind(_))) => {
                self.stats.unknown_kind += 1;
                return true;
            }
            _ => {
                self.stats.unopened += 1;
                return false;
            }
        };
        let Some(link) = self.streams.links.get(&stream) else { return false };
        let (Some((from, boot)), address) = (link.peer, link.address) else { return false };
        // Not known yet, or gone: it will be sent again.
        if !self.membership.is_online(from) || self.membership.peer(from).is_none_or(|peer| peer.boot != boot) {
            return true;
        }
        self.streams.on_heard(stream, self.now);
        // Its port says nothing: the peer is where its datagrams come from.
        let path = self.membership.peer(from).and_then(Peer::best_path);
        let place = path.or_else(|| Some((self.membership.segment_towards(address)?, address)));
        let arrival = place.map(|(segment, address)| Arrival {
            segment,
            cast: Cast::Unicast,
            address,
            ttl: None,
            errand: Errand::Said,
        });
        self.on_secret(from, boot, secret, arrival, Way::Stream(stream));
        true
    }

    /// A handshake as it goes out: a datagram, sealed for the group if that is keyed.
    fn handshake_out(&mut self, message: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(GREETING_MAX);
        Header { kind: kind::LINK, errand: 0, group_tag: self.keyring.tag() }.write(&mut datagram);
        datagram.extend_from_slice(message);
        self.keyring.seal(&mut datagram, &[self.rng.next_u64(), self.identity.boot(), 0]);
        datagram
    }

    /// The handshake in a frame. `None` if it is none, or of another group.
    fn handshake_in(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let opened = self.keyring.open(frame);
        let bytes = match &opened {
            Opened::AsItIs => frame,
            Opened::Inside(inside) => inside,
            Opened::Outsider => {
                self.stats.outsiders += 1;
                return None;
            }
        };
        let Some((header, message)) = Header::parse(bytes).ok().filter(|(header, _)| header.kind == kind::LINK) else {
            self.stats.malformed += 1;
            return None;
        };
        if !self.keyring.is_ours(header.group_tag) {
            self.stats.other_group += 1;
            return None;
        }
        Some(message.to_vec())
    }

    /// Says once of an address that its streams are closed, and why.
    fn tell_of_crowd(&mut self, address: SocketAddr) {
        let ip = address.ip();
        if self.streams.sources.is_news(ip) {
            let text = format!("{ip} opens TCP connections that prove nothing: they are closed, the oldest first");
            self.events.push_back(Event::Warning(text));
        }
    }
}

//! From a post to datagrams: who gets it, by which cast, and the bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::{Node, Output};
use crate::address::{Cast, Segment, SegmentId};
use crate::config::DATAGRAM_MAX;
use crate::event::Event;
use crate::id::PeerId;
use crate::protocol::membership::{Path, Peer};
use crate::protocol::reach::{Listener, Plan, plan};
use crate::protocol::{Post, To};
use crate::stats::Stats;
use crate::wire::body::NO_HASH;
use crate::wire::header::Sender;
use crate::wire::{DATAGRAM_DOMAIN, Message, encode};

/// One datagram and where it still has to go.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    bytes: Vec<u8>,
    targets: Vec<(SegmentId, Cast, SocketAddr)>,
    /// It goes to an address in no network of ours, of which nothing is known but that.
    beyond: bool,
    /// Our signed datagrams so far.
    counter: u64,
}

impl Outbound {
    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// How many of our datagrams were signed.
    pub(super) const fn counter(&self) -> u64 {
        self.counter
    }

    /// Text as it is, not in our protocol.
    pub(super) fn plain(&mut self, segment: &Segment, to: SocketAddr, text: &str) {
        debug_assert!(self.is_empty(), "one datagram at a time");
        self.bytes.clear();
        self.bytes.extend_from_slice(text.as_bytes());
        self.targets.push((segment.id, Cast::Unicast, to));
        self.beyond = !segment.contains(to.ip());
    }

    /// The next copy to send; its bytes go into `buf`.
    pub(super) fn next(&mut self, buf: &mut Vec<u8>, stats: &mut Stats) -> Option<Output> {
        let (segment, cast, to) = self.targets.pop()?;
        buf.clear();
        buf.extend_from_slice(&self.bytes);
        stats.sent += 1;
        stats.sent_bytes += buf.len() as u64;
        stats.casts += u64::from(cast != Cast::Unicast);
        if self.beyond {
            return Some(Output::SendBeyond { segment, to });
        }
        Some(Output::Send { segment, cast, to })
    }
}

/// In a larger group those who heard a line of one who is reached by cast alone do not each say so to all.
const CONFIRMED_BY_CAST_MAX: usize = 16;

/// What one message for the group takes on one segment.
pub(super) struct GroupPlan {
    pub(super) segment: SegmentId,
    pub(super) plan: Plan,
    /// Whom the copies are for.
    pub(super) copies: Vec<PeerId>,
}

impl Node {
    /// Signs and encodes a message, for all whom it concerns.
    pub(super) fn dispatch(&mut self, mut post: Post) {
        debug_assert!(self.outbound.is_empty(), "one datagram at a time");
        let mut targets = self.targets(&post.to);
        if targets.is_empty() {
            targets = self.targets_instead(&post);
        }
        if targets.is_empty() {
            return;
        }
        if let (To::Elsewhere(..), Message::Entries(_, entries)) = (&post.to, &post.message) {
            self.stats.relayed += entries.len() as u64;
            self.tell_of_relay();
        }
        self.describe(&post.to, &mut post.message);
        self.put(&post.message, targets);
        self.outbound.beyond = matches!(post.to, To::Beyond(..));
    }

    /// Signs and encodes a message for these targets.
    pub(super) fn put(&mut self, message: &Message, targets: Vec<(SegmentId, Cast, SocketAddr)>) {
        debug_assert!(self.outbound.is_empty(), "one datagram at a time");
        (self.outbound.targets, self.outbound.beyond) = (targets, false);
        if !matches!(message, Message::Entries(..)) {
            self.outbound.counter += 1;
        }
        let (key, boot) = (*self.identity.public(), self.identity.boot());
        let sender = Sender { key, boot, counter: self.outbound.counter };
        let sign = |bytes: &[u8]| self.identity.sign(DATAGRAM_DOMAIN, bytes);
        encode(&mut self.outbound.bytes, self.keyring.tag(), &sender, message, sign);
        let len = self.outbound.bytes.len();
        debug_assert!(len <= DATAGRAM_MAX, "{len} bytes: {message:?}");
        let salt = [self.rng.next_u64(), boot, self.outbound.counter];
        self.keyring.seal(&mut self.outbound.bytes, &salt);
    }

    /// Says once that what is heard on one segment is passed on to others.
    fn tell_of_relay(&mut self) {
        if std::mem::replace(&mut self.relay_told, true) {
            return;
        }
        let names: BTreeSet<_> = self.membership.segments().map(|segment| segment.name.as_str()).collect();
        let names: Vec<_> = names.into_iter().collect();
        let what = match names[..] {
            [only] => format!("IPv4 and IPv6 on {only}"),
            _ => format!("the networks of {}", names.join(", ")),
        };
        let text = format!("passing on what is said between {what} (--no-relay ends that)");
        self.events.push_back(Event::Notice(text));
    }

    fn targets(&self, to: &To) -> Vec<(SegmentId, Cast, SocketAddr)> {
        match to {
            To::Group => self.group_targets(|_, _| true),
            // Whoever hears the author and is heard by it has what it says from it, or asks for it.
            To::Elsewhere(heard, author) => self.group_targets(|segment, peer| match peer {
                Some((id, peer)) => {
                    let hears = id == *author || self.matrix.hear_each_other(id, *author, self.now);
                    !hears && !self.hears_one_of(peer, heard) && (segment.relays || heard.contains(&segment.id))
                }
                None => false,
            }),
            To::Segment(id, cast) => self.cast_target(*id, *cast).into_iter().collect(),
            To::Address(segment, address) | To::Beyond(segment, address) => {
                vec![(*segment, Cast::Unicast, *address)]
            }
            To::Peer(id) => {
                let path = self.membership.peer(*id).and_then(Peer::best_path);
                path.map(|(segment, address)| (segment, Cast::Unicast, address)).into_iter().collect()
            }
        }
    }

    /// Where casts alone get through, what is lacking is asked for and given by cast; in a small group what came is
    /// confirmed so as well.
    fn targets_instead(&self, post: &Post) -> Vec<(SegmentId, Cast, SocketAddr)> {
        let To::Peer(id) = &post.to else { return Vec::new() };
        let few = self.membership.online_count() <= CONFIRMED_BY_CAST_MAX;
        let goes = match &post.message {
            Message::Nack(_) | Message::Entries(..) => true,
            // Who asks for what is gone is answered alone: nothing but its asking bounds that.
            Message::Frontier(told) => few && told.hash != NO_HASH && told.logs.iter().all(|log| *log.author == id.0),
            _ => false,
        };
        if !goes {
            return Vec::new();
        }
        self.cast_targets(*id)
    }

    /// Where one peer is reached by cast.
    pub(super) fn cast_targets(&self, id: PeerId) -> Vec<(SegmentId, Cast, SocketAddr)> {
        self.group_targets(|_, peer| peer.is_some_and(|(other, _)| other == id))
    }

    /// Whether a peer heard for itself what was cast on these segments: it is on one of their links.
    /// Those beyond a router did not; who has several paths may have heard it by another than the best.
    fn hears_one_of(&self, peer: &Peer, segments: &BTreeSet<SegmentId>) -> bool {
        let mut heard = self.membership.segments().filter(|segment| segments.contains(&segment.id));
        heard.any(|segment| {
            peer.fresh_paths().any(|(id, path)| id == segment.id && self.is_near_on(segment, path, peer))
        })
    }

    /// Whether no router lies between us and an address on a segment.
    pub(super) fn is_near(&self, id: SegmentId, address: SocketAddr) -> bool {
        let Some(segment) = self.membership.segment(id) else { return false };
        let from_there = |path: &Path, peer: &Peer| path.address == address && self.is_near_on(segment, path, peer);
        segment.contains(address.ip())
            || self.membership.online().any(|(_, peer)| peer.paths.get(&id).is_some_and(|path| from_there(path, peer)))
    }

    /// Whether a path has no router: by its address, or because nothing is taken off a TTL now. With a netmask of 32
    /// bits nobody is of our network, whoever is on the link.
    fn is_near_on(&self, segment: &Segment, path: &Path, peer: &Peer) -> bool {
        segment.contains(path.address.ip()) || path.is_direct(self.now, peer.every)
    }

    fn cast_target(&self, id: SegmentId, cast: Cast) -> Option<(SegmentId, Cast, SocketAddr)> {
        let segment = self.membership.segment(id)?;
        segment.goes_to(cast).map(|address| (id, cast, address))
    }

    fn group_targets(
        &self,
        meant: impl Fn(&Segment, Option<(PeerId, &Peer)>) -> bool,
    ) -> Vec<(SegmentId, Cast, SocketAddr)> {
        let mut targets = Vec::new();
        for GroupPlan { segment, plan, .. } in self.group_plans(meant) {
            targets.extend(plan.copies.iter().map(|&address| (segment, Cast::Unicast, address)));
            targets.extend(plan.cast.and_then(|cast| self.cast_target(segment, cast)));
        }
        targets
    }

    /// For everybody who is `meant`, each on the one segment where it is reached best; and on a segment
    /// where nobody is known whoever may be there, if `None` is meant.
    pub(super) fn group_plans(&self, meant: impl Fn(&Segment, Option<(PeerId, &Peer)>) -> bool) -> Vec<GroupPlan> {
        let mut listeners: BTreeMap<SegmentId, Vec<(PeerId, &Peer, Listener)>> = BTreeMap::new();
        let mut nobody_known = true;
        for (id, peer) in self.membership.online() {
            nobody_known = false;
            let Some((segment, address)) = peer.best_place() else { continue };
            let path = peer.paths.get(&segment);
            let hears = path.and_then(|path| path.hears_us(self.now)).map(|hears| hears.casts);
            listeners.entry(segment).or_default().push((id, peer, Listener { address, hears }));
        }
        let plans = self.membership.segments().map(|segment| {
            let mut here = listeners.remove(&segment.id).unwrap_or_default();
            here.retain(|&(id, peer, _)| meant(segment, Some((id, peer))));
            let all: Vec<_> = here.iter().map(|&(.., listener)| listener).collect();
            let mut plan = plan(self.config.cast, segment, &all, nobody_known && meant(segment, None));
            // What is heard may be forged: nothing is sent to one alone of whom it is not proven to be there.
            let is_there = |address| here.iter().any(|(_, peer, _)| peer.best_path() == Some((segment.id, address)));
            plan.copies.retain(|&address| is_there(address));
            let copied = here.iter().filter(|(.., listener)| plan.copies.contains(&listener.address));
            GroupPlan { segment: segment.id, copies: copied.map(|&(id, ..)| id).collect(), plan }
        });
        plans.collect()
    }
}

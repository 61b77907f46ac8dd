//! One peer explained: how it is heard, what it hears of us, and how what we say gets to it. And one message:
//! by what way it came.

use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use crate::address::{Cast, Errand, SegmentId};
use crate::command::CastChoice;
use crate::event::{Arrival, Event, PeerName};
use crate::id::PeerId;
use crate::node::reach::By;
use crate::protocol::membership::{HearsUs, Path, Peer, Presence};

/// Everything known about one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Who.
    pub name: PeerName,
    /// Whether it is there; if so, since when, and when it was heard last.
    pub state: WhyState,
    /// Where it is heard, by segment.
    pub paths: Vec<WhyPath>,
    /// How long the group takes to answer, as measured when something was repaired; a default before.
    pub round_trip: Duration,
    /// How what we say to the group gets to it.
    pub way: Way,
}

/// Whether a peer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyState {
    /// It is, for so long, and was heard so long ago.
    Online(Duration, Duration),
    /// It is silent for so long.
    Lost(Duration),
    /// It said bye.
    Left,
    /// We do not hear it; others pass on what it says.
    Beyond,
    /// It is heard for so long, and answers nothing.
    Deaf(Duration),
}

/// A peer on one segment of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhyPath {
    /// The segment.
    pub segment: SegmentId,
    /// What the system calls it.
    pub name: String,
    /// The peer's address there.
    pub address: SocketAddr,
    /// What is for it alone goes here.
    pub best: bool,
    /// By what it is heard, those that work first.
    pub heard: Vec<WhyHeard>,
    /// What it says it hears of us; nothing while it does not say.
    pub hears_us: Option<WhyHears>,
}

/// A peer is heard by one cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhyHeard {
    /// By what.
    pub by: By,
    /// How long ago it was heard so first, ...
    pub first_ago: Duration,
    /// ... and last.
    pub last_ago: Duration,
    /// That counts as heard now.
    pub fresh: bool,
    /// The TTL it sends with, as it says.
    pub ttl_sent: Option<u8>,
    /// What was left of it.
    pub ttl_left: Option<u8>,
}

/// What a peer says it hears of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhyHears {
    /// By what, with the TTL that was left and the TTL we send with.
    pub by: Vec<(By, Option<u8>, u8)>,
    /// How long it has said so.
    pub since: Duration,
    /// How long ago it said so last.
    pub said_ago: Duration,
}

/// How what we say to the group gets to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a cast on a segment of ours, because of this.
    Cast(SegmentId, Cast, Reason),
    /// As a copy of its own.
    Copy(SegmentId, SocketAddr, Reason),
    /// Passed on by this one, who passes on to us what it says; nobody knows by whom if there is none.
    Relay(Option<PeerName>),
    /// Not at all as long as it is not here; it is shown as history what it missed.
    Away,
    /// Not at all: nothing gets there.
    Nowhere,
}

/// Why it gets there so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A person chose this cast.
    Chosen,
    /// It says that it hears it, and no other reaches more.
    Heard,
    /// It has not said yet what it hears: it is hoped for, and repaired.
    Hoped,
    /// It says that it does not hear the cast that reaches the others, or any.
    Unheard,
    /// It says that it does not hear it, and no copy goes there: it asks for what it misses.
    Missed,
    /// This segment has neither broadcast nor multicast.
    NoCast,
}

/// By what way one message came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The cast, the segment and what was left of the TTL.
    pub arrival: Arrival,
    /// Who sent the datagram, if that is somebody else than who said it.
    pub via: Option<PeerName>,
    /// Routers it passed, where that is known.
    pub hops: Option<u8>,
}

impl Node {
    /// Everything known about the one whom `name` means, as it is typed.
    ///
    /// # Errors
    /// What to tell the person: nobody is called so, or several are.
    pub fn why(&self, name: &str) -> Result<Why, String> {
        let id = match self.one_named(name) {
            Ok(id) => id,
            Err(nobody) => return self.why_deaf(name).ok_or(nobody),
        };
        let Some(peer) = self.membership.peer(id) else { return Ok(self.beyond(id)) };
        let state = match peer.presence {
            Presence::Online => WhyState::Online(self.now.since(peer.joined_at), self.now.since(peer.heard_at)),
            Presence::Lost => WhyState::Lost(self.now.since(peer.heard_at)),
            Presence::Left => WhyState::Left,
        };
        let best = peer.best_place().map(|(segment, _)| segment);
        let paths = peer.paths.iter().map(|(&on, path)| self.why_path(on, path, peer, best == Some(on)));
        Ok(Why {
            name: self.name_of(id, &peer.nick),
            state,
            paths: paths.collect(),
            round_trip: self.logs.round_trip(),
            way: self.way_to(id, peer),
        })
    }

    /// Whoever a name means, among those we met and those whose words were passed on to us.
    pub(super) fn one_named(&self, name: &str) -> Result<PeerId, String> {
        let mut named = self.named(name);
        let authors =
            || self.logs.authors().map(|(id, nick, _)| (id, nick)).filter(|(id, _)| *id != self.identity.id());
        if named.is_empty() {
            named = authors().filter(|(id, nick)| self.is_named(name, *id, nick)).map(|(id, _)| id).collect();
            named.sort_unstable();
            named.dedup();
        }
        match named[..] {
            [id] => Ok(id),
            [] => Err(self.nobody_called(name, authors())),
            _ => {
                let labels: Vec<_> = named.iter().map(|id| format!("{name}~{}", id.suffix())).collect();
                Err(format!("{name} may be {}: say which", labels.join(" or ")))
            }
        }
    }

    /// Somebody whom we know by its words alone.
    fn beyond(&self, id: PeerId) -> Why {
        let said = self.logs.authors().find(|(author, ..)| *author == id);
        let name = said.map_or_else(|| self.name_of_peer(id), |(_, nick, _)| self.name_of(id, nick));
        let through = said.and_then(|(.., arrival)| self.sender_of(&arrival?));
        let way = Way::Relay(through.map(|id| self.name_of_peer(id)));
        Why { name, state: WhyState::Beyond, paths: Vec::new(), round_trip: self.logs.round_trip(), way }
    }

    fn why_path(&self, segment: SegmentId, path: &Path, peer: &Peer, best: bool) -> WhyPath {
        let now = path.heard_casts(self.now, peer.every);
        let on = self.membership.segment(segment);
        let heard = [Cast::Multicast, Cast::Broadcast, Cast::Unicast].into_iter().filter_map(|cast| {
            let heard = path.heard(cast);
            let (first, last) = heard.span?;
            Some(WhyHeard {
                by: cast.into(),
                first_ago: self.now.since(first),
                last_ago: self.now.since(last),
                fresh: now & cast.bit() != 0,
                ttl_sent: heard.sent,
                ttl_left: heard.left,
            })
        });
        let mut heard: Vec<_> = heard.collect();
        heard.sort_by_key(|heard| !heard.fresh);
        let ttls = on.map(|on| on.ttls).unwrap_or_default();
        let hears_us = path.hears_us(self.now).map(|us| self.why_hears(&us, |cast| ttls.of(cast)));
        let name = self.interface_of(segment);
        WhyPath { segment, name, address: path.address, best, heard, hears_us }
    }

    fn why_hears(&self, us: &HearsUs, sent: impl Fn(Cast) -> u8) -> WhyHears {
        let casts = [(Cast::Multicast, us.left[2]), (Cast::Broadcast, us.left[1]), (Cast::Unicast, us.left[0])];
        let heard = casts.into_iter().filter(|(cast, _)| us.casts & cast.bit() != 0);
        let by = heard.map(|(cast, left)| (cast.into(), left, sent(cast))).collect();
        WhyHears { by, since: self.now.since(us.since), said_ago: self.now.since(us.at) }
    }

    /// How what we say gets to a peer: as it is sent now.
    fn way_to(&self, id: PeerId, peer: &Peer) -> Way {
        if peer.presence != Presence::Online {
            return Way::Away;
        }
        let Some((on, address)) = peer.best_place() else { return Way::Away };
        let plans = self.group_plans(|_, _| true);
        let Some(plan) = plans.iter().find(|plan| plan.segment == on) else { return Way::Away };
        let hears = peer.paths.get(&on).and_then(|path| path.hears_us(self.now)).map(|us| us.casts);
        let chosen = self.config.cast != CastChoice::Auto;
        match plan.plan.cast {
            Some(cast) if !plan.copies.contains(&id) => {
                let reason = match hears {
                    Some(hears) if hears & cast.bit() == 0 => Reason::Missed,
                    _ if chosen => Reason::Chosen,
                    Some(_) => Reason::Heard,
                    None => Reason::Hoped,
                };
                Way::Cast(on, cast, reason)
            }
            None if !plan.copies.contains(&id) => Way::Nowhere,
            cast => {
                let has = self.membership.segment(on);
                let none = has.is_none_or(|segment| segment.sends() == 0);
                let reason = match cast {
                    None if none => Reason::NoCast,
                    _ if chosen => Reason::Chosen,
                    _ => Reason::Unheard,
                };
                Way::Copy(on, address, reason)
            }
        }
    }

    /// By what way a message came; nothing of other events.
    #[must_use]
    pub fn route(&self, event: &Event) -> Option<Route> {
        let (author, arrival) = match event {
            Event::Message(message) => (Some(message.from.id), message.arrival),
            Event::Whisper(whisper) => (Some(whisper.from.id), whisper.arrival),
            Event::Plain { arrival, .. } => (None, *arrival),
            _ => return None,
        };
        let sender = self.sender_of(&arrival).filter(|_| author.is_some());
        let path = sender.and_then(|id| self.membership.peer(id)?.paths.get(&arrival.segment));
        let sent = path.and_then(|path| path.heard(arrival.cast).sent);
        let hops = sent.zip(arrival.ttl).and_then(|(sent, left)| sent.checked_sub(left));
        let via = sender.filter(|&id| Some(id) != author).map(|id| self.name_of_peer(id));
        // Who calls its own words a relay's does not know better.
        let errand = if via.is_none() && arrival.errand == Errand::Relay { Errand::Said } else { arrival.errand };
        Some(Route { arrival: Arrival { errand, ..arrival }, via, hops })
    }

    /// Whose datagram that was, by its address.
    fn sender_of(&self, arrival: &Arrival) -> Option<PeerId> {
        let here = |peer: &Peer| peer.paths.values().any(|path| path.address == arrival.address);
        let known = |peer: &Peer| here(peer) || peer.last_address() == arrival.address;
        self.membership.peers().find(|(_, peer)| known(peer)).map(|(id, _)| id)
    }
}

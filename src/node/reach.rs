//! Who hears whom, as far as this node knows: the one picture behind `/paths`, `/why` and the diagnosis.
//!
//! A snapshot, made when somebody asks. What we heard ourselves stands beside what others claim to hear, and is
//! marked as such. [`Grid`] turns it round: rows are speakers, columns listeners, a grid for each segment of ours.
//!
//! ```text
//!   links: from ann to bob by multicast on eth0, 1 s ago, sent with TTL 2, 2 left   (bob says)
//!          from bob to ann by broadcast on eth0, 0 s ago, ...                        (we heard)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use crate::address::{Cast, Segment, SegmentId, Ttls};
use crate::event::PeerName;
use crate::id::PeerId;
use crate::protocol::matrix::Place;
use crate::protocol::membership::{Peer, Presence};
use crate::text::{Line, Nick};
use crate::wire::body::HEARD_BY_STREAM;

/// By what somebody is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Datagrams to one address.
    Unicast,
    /// Datagrams to everybody on the segment.
    Broadcast,
    /// Datagrams to the group.
    Multicast,
    /// A TCP stream that is open now.
    Stream,
}

impl By {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Unicast, Self::Broadcast, Self::Multicast, Self::Stream];

    /// As one bit, as on the wire.
    #[must_use]
    pub const fn bit(self) -> u8 {
        match self {
            Self::Unicast => Cast::Unicast.bit(),
            Self::Broadcast => Cast::Broadcast.bit(),
            Self::Multicast => Cast::Multicast.bit(),
            Self::Stream => HEARD_BY_STREAM,
        }
    }

    /// The letter of a cell: U, B, M or T.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Unicast => 'U',
            Self::Broadcast => 'B',
            Self::Multicast => 'M',
            Self::Stream => 'T',
        }
    }
}

impl From<Cast> for By {
    fn from(cast: Cast) -> Self {
        match cast {
            Cast::Unicast => Self::Unicast,
            Cast::Broadcast => Self::Broadcast,
            Cast::Multicast => Self::Multicast,
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unicast => "unicast",
            Self::Broadcast => "broadcast",
            Self::Multicast => "multicast",
            Self::Stream => "tcp",
        })
    }
}

/// Everything known about who hears whom.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Ourselves.
    pub me: PeerId,
    /// Everybody who is online or spoken of, ourselves included, by id.
    pub nodes: Vec<ReachNode>,
    /// Our segments, by id.
    pub segments: Vec<Segment>,
    /// Who is heard by whom, how and where; by segment, speaker and listener.
    pub links: Vec<Link>,
    /// How what we say to the group leaves now, for each segment where it does.
    pub carried: Vec<Carried>,
}

/// How what we say to the group leaves on a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The segment.
    pub segment: SegmentId,
    /// The cast, if one reaches anybody.
    pub cast: Option<Cast>,
    /// Those who get copies by unicast.
    pub copies: Vec<PeerId>,
}

/// Somebody in the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReachNode {
    /// Who.
    pub id: PeerId,
    /// Its name; that of somebody who is only spoken of is its id, for it told us none.
    pub name: PeerName,
    /// What we know of it.
    pub known: Known,
    /// Its segments, as far as it says hello from them to us; our own for ourselves.
    pub places: Vec<ReachPlace>,
}

/// What we know of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// That is us.
    Ourselves,
    /// It is online.
    Online,
    /// It was, and is silent now.
    Lost,
    /// We never heard it; others say that they do.
    Hearsay,
}

/// One segment of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReachPlace {
    /// The segment of ours on which it said so.
    pub segment: SegmentId,
    /// Its address there: the source of its datagrams.
    pub address: SocketAddr,
    /// What it calls the interface; empty if it does not say.
    pub interface: Line,
    /// The casts by which it says hello there, as bits, as it says.
    pub sends: Option<u8>,
    /// How long ago it last said whom it hears; nothing for ourselves.
    pub said_ago: Duration,
    /// It told everybody it hears: whom it does not name there, it does not hear.
    pub whole: bool,
}

/// Somebody hears somebody else by one cast on one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The segment of ours on which we know of it.
    pub segment: SegmentId,
    /// Who speaks.
    pub from: PeerId,
    /// Who hears it.
    pub to: PeerId,
    /// By what.
    pub by: By,
    /// How long ago it was heard; where `claimed`, how long ago that was said.
    pub seen_ago: Duration,
    /// Whether that counts as heard now. What others claim does, else it is not here.
    pub fresh: bool,
    /// The TTL with which the speaker sends by this cast, where it is known.
    pub ttl_sent: Option<u8>,
    /// The TTL that was left at the listener, where it is known.
    pub ttl_left: Option<u8>,
    /// The listener says so; else we heard it ourselves.
    pub claimed: bool,
}

/// Shown of those whom others say to hear and we do not know. A member can make up any number of them.
const HEARSAY_MAX: usize = 32;

impl Link {
    /// Routers between the two, where both TTLs are known and make sense.
    #[must_use]
    pub fn hops(&self) -> Option<u8> {
        self.ttl_sent?.checked_sub(self.ttl_left?)
    }
}

impl Reach {
    /// Somebody in the picture.
    #[must_use]
    pub fn node(&self, id: PeerId) -> Option<&ReachNode> {
        // They are in the order of their ids.
        self.nodes.binary_search_by_key(&id, |node| node.id).ok().map(|at| &self.nodes[at])
    }

    /// What the system calls a segment of ours.
    #[must_use]
    pub fn segment_name(&self, id: SegmentId) -> &str {
        self.segments.iter().find(|segment| segment.id == id).map_or("?", |segment| segment.name.as_str())
    }

    /// Whether we know whom somebody hears on a segment, so that whoever is missing there is not heard.
    #[must_use]
    pub fn tells_all(&self, listener: PeerId, segment: SegmentId) -> bool {
        let places = self.node(listener).into_iter().flat_map(|node| &node.places);
        places.filter(|place| place.segment == segment).any(|place| place.whole)
    }

    /// Who hears whom on one segment.
    #[must_use]
    pub fn grid(&self, segment: SegmentId) -> Grid {
        let here = |node: &&ReachNode| node.places.iter().any(|place| place.segment == segment);
        let mut ids: BTreeSet<PeerId> = self.nodes.iter().filter(here).map(|node| node.id).collect();
        let mut cells: BTreeMap<(PeerId, PeerId), u8> = BTreeMap::new();
        for link in self.links.iter().filter(|link| link.segment == segment && link.fresh) {
            ids.extend([link.from, link.to]);
            *cells.entry((link.from, link.to)).or_default() |= link.by.bit();
        }
        let mut nodes: Vec<_> = ids.into_iter().filter_map(|id| self.node(id)).cloned().collect();
        nodes.sort_by_cached_key(|node| (node.known != Known::Ourselves, node.name.label(), node.id));
        let row = |from: &ReachNode| nodes.iter().map(|to| self.cell(segment, from.id, to.id, &cells)).collect();
        Grid { segment, cells: nodes.iter().map(row).collect(), nodes }
    }

    fn cell(&self, segment: SegmentId, from: PeerId, to: PeerId, cells: &BTreeMap<(PeerId, PeerId), u8>) -> Cell {
        match cells.get(&(from, to)) {
            _ if from == to => Cell::Itself,
            Some(&casts) if casts != 0 => Cell::Heard(casts),
            _ if self.tells_all(to, segment) => Cell::Unheard,
            _ => Cell::Unknown,
        }
    }
}

/// Who hears whom on one segment: rows speak, columns hear.
#[derive(Clone, Debug)]
pub struct Grid {
    /// The segment of ours.
    pub segment: SegmentId,
    /// Who stands for each row and each column: we first, then by name.
    pub nodes: Vec<ReachNode>,
    /// The rows.
    pub cells: Vec<Vec<Cell>>,
}

/// Whether one hears another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// They are the same.
    Itself,
    /// By these, as bits of [`By::bit`].
    Heard(u8),
    /// It tells whom it hears, and this one is not among them.
    Unheard,
    /// It has not told.
    Unknown,
}

impl Node {
    /// Who hears whom, as far as we know now.
    #[must_use]
    pub fn reach(&self) -> Reach {
        let me = self.identity.id();
        let segments: Vec<Segment> = self.membership.segments().cloned().collect();
        let mut nodes = BTreeMap::from([(me, self.ourselves(&segments))]);
        let mut links = Vec::new();
        for (id, peer) in self.membership.peers().filter(|(_, peer)| peer.presence != Presence::Left) {
            let known = if peer.presence == Presence::Online { Known::Online } else { Known::Lost };
            nodes.insert(id, ReachNode { id, name: self.name_of(id, &peer.nick), known, places: Vec::new() });
            self.heard_from(id, peer, &mut links);
        }
        for (listener, address, place) in self.matrix.places(self.now) {
            if let Some(node) = nodes.get_mut(&listener) {
                node.places.push(self.place(address, place));
            }
            self.claimed_by(listener, place, &segments, &mut links);
        }
        let strange: BTreeSet<PeerId> = links.iter().flat_map(|link| [link.from, link.to]).collect();
        let strange = strange.into_iter().filter(|id| !nodes.contains_key(id)).take(HEARSAY_MAX);
        for id in strange.collect::<Vec<_>>() {
            nodes.insert(id, hearsay(id));
        }
        links.retain(|link| nodes.contains_key(&link.from) && nodes.contains_key(&link.to));
        links.sort_by_key(|link| (link.segment, link.from, link.to, link.by));
        let plans = self.group_plans(|_, _| true).into_iter();
        let carried = plans.map(|plan| Carried { segment: plan.segment, cast: plan.plan.cast, copies: plan.copies });
        let carried = carried.filter(|carried| carried.cast.is_some() || !carried.copies.is_empty()).collect();
        Reach { me, nodes: nodes.into_values().collect(), segments, links, carried }
    }

    fn ourselves(&self, segments: &[Segment]) -> ReachNode {
        let places = segments.iter().map(|segment| ReachPlace {
            segment: segment.id,
            address: segment.address,
            interface: Line::from_peer(&segment.name),
            sends: Some(segment.sends()),
            said_ago: Duration::ZERO,
            whole: true,
        });
        ReachNode { id: self.identity.id(), name: self.name(), known: Known::Ourselves, places: places.collect() }
    }

    fn place(&self, address: SocketAddr, place: &Place) -> ReachPlace {
        ReachPlace {
            segment: place.segment,
            address,
            interface: place.interface.clone(),
            sends: place.sends,
            said_ago: self.now.since(place.said_at),
            whole: place.whole,
        }
    }

    /// How we hear a peer.
    fn heard_from(&self, from: PeerId, peer: &Peer, links: &mut Vec<Link>) {
        let to = self.identity.id();
        for (&segment, path) in &peer.paths {
            let now = path.heard_casts(self.now, peer.every);
            let online = peer.presence == Presence::Online;
            for cast in [Cast::Unicast, Cast::Broadcast, Cast::Multicast] {
                let heard = path.heard(cast);
                let Some((_, last)) = heard.span else { continue };
                let (seen_ago, fresh) = (self.now.since(last), online && now & cast.bit() != 0);
                let (ttl_sent, ttl_left, by) = (heard.sent, heard.left, cast.into());
                links.push(Link { segment, from, to, by, seen_ago, fresh, ttl_sent, ttl_left, claimed: false });
            }
        }
        if let Some((segment, _)) = peer.best_path().filter(|_| self.streams.peers().contains(&from)) {
            let (seen_ago, by) = (Duration::ZERO, By::Stream);
            let (fresh, ttl_sent, ttl_left, claimed) = (true, None, None, false);
            links.push(Link { segment, from, to, by, seen_ago, fresh, ttl_sent, ttl_left, claimed });
        }
    }

    /// How a peer says to hear others.
    fn claimed_by(&self, to: PeerId, place: &Place, segments: &[Segment], links: &mut Vec<Link>) {
        let segment = place.segment;
        let ours = segments.iter().find(|s| s.id == segment).map_or_else(Ttls::default, |segment| segment.ttls);
        for (from, claim) in place.heard(self.now).filter(|(from, _)| *from != to) {
            let path = self.membership.peer(from).and_then(|peer| peer.paths.get(&segment));
            let sent = |cast: Cast| match path {
                _ if from == self.identity.id() => Some(ours.of(cast)),
                path => path.and_then(|path| path.heard(cast).sent),
            };
            let (seen_ago, fresh, claimed) = (self.now.since(claim.said_at), true, true);
            let heard = [Cast::Unicast, Cast::Broadcast, Cast::Multicast].map(|cast| (cast.into(), Some(cast)));
            for (by, cast) in
                heard.into_iter().chain([(By::Stream, None)]).filter(|(by, _)| claim.casts & by.bit() != 0)
            {
                let (ttl_sent, ttl_left) = (cast.and_then(sent), cast.and_then(|cast| claim.left(cast)));
                links.push(Link { segment, from, to, by, seen_ago, fresh, ttl_sent, ttl_left, claimed });
            }
        }
    }
}

fn hearsay(id: PeerId) -> ReachNode {
    let name = PeerName { id, nick: Nick::from_any(""), suffix: PeerId::SUFFIX_LEN };
    ReachNode { id, name, known: Known::Hearsay, places: Vec::new() }
}

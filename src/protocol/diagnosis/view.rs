//! What a diagnosis is made from: everything that is known, with names, at one moment.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::{Bridge, Double, Facts, Foreign};
use crate::address::Cast;

/// Everything that is known.
#[derive(Clone, Debug)]
pub struct View {
    /// Our group.
    pub group: SocketAddr,
    /// The TTL of our multicasts.
    pub ttl: u8,
    /// Our segments.
    pub segments: Vec<SegmentView>,
    /// Who is in another group on our ports.
    pub foreign: Vec<Foreign>,
    /// Keys that speak from two machines, and what they are called.
    pub doubles: Vec<(Double, String)>,
    /// Datagrams dropped by the reverse path since the node woke.
    pub reverse_path_drops: Option<u64>,
    /// Bridges of this machine.
    pub bridges: Vec<Bridge>,
}

/// One of our segments, with everybody who is heard there.
#[derive(Clone, Debug)]
pub struct SegmentView {
    /// The interface.
    pub name: String,
    /// Our address there.
    pub address: SocketAddr,
    /// Leading bits of the address that all hosts of the network share.
    pub prefix_len: u8,
    /// Where our broadcasts go, if there is such a place.
    pub broadcast: Option<SocketAddr>,
    /// Where our multicasts go, if there is such a place.
    pub group: Option<SocketAddr>,
    /// The casts that we cannot listen for, as bits.
    pub deaf_to: u8,
    /// What the system knows.
    pub facts: Facts,
    /// The group was heard again only after joining it anew.
    pub revived: bool,
    /// Us first, then those who are online and heard here.
    pub members: Vec<Member>,
    /// Who hears whom: (listener, speaker), as indices of members.
    pub cells: BTreeMap<(usize, usize), Cell>,
    /// Those whom others here hear and we never met.
    pub unheard: Vec<Unheard>,
    /// Those whom we hear and who never answered.
    pub deaf: Vec<Deaf>,
}

/// Somebody on a segment.
#[derive(Clone, Debug)]
pub struct Member {
    /// What it is called; [`super::US`] if that is us.
    pub label: String,
    /// Where it is.
    pub address: SocketAddr,
    /// What it says is amiss on its side.
    pub flaws: Vec<Flaw>,
    /// How far its clock is ahead of ours, in milliseconds.
    pub skew_ms: Option<i64>,
    /// Routers between, where that can be read from what came.
    pub hops: Option<u8>,
    /// The TTL with which it sends multicasts, if it says so.
    pub ttl: Option<u8>,
    /// How our largest datagrams fare.
    pub padded: Padded,
}

/// What a node says is amiss on its side of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// It filters by the reverse path.
    ReversePath,
    /// Its interface says that it does no multicast.
    NoMulticastFlag,
    /// It has no group there.
    NoGroup,
    /// Its address has no broadcast address.
    NoBroadcast,
    /// It cannot listen for this cast, which it sends all the same.
    Deaf(Cast),
    /// It must join the group anew to hear it.
    Revived,
    /// Its MTU is smaller than our datagrams.
    Narrow(u32),
}

/// How the largest datagrams fare between us and somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padded {
    /// Not tried, or not known yet.
    #[default]
    Unknown,
    /// There and back.
    Fits,
    /// They do not arrive there, though small ones do.
    NotThere,
    /// They arrive there, but not here, though small ones do.
    NotBack,
}

/// Whether one hears another, by each cast; `None` while that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// By unicast.
    pub unicast: Option<bool>,
    /// By broadcast.
    pub broadcast: Option<bool>,
    /// By multicast.
    pub multicast: Option<bool>,
}

impl Cell {
    /// By one cast.
    #[must_use]
    pub const fn by(&self, cast: Cast) -> Option<bool> {
        match cast {
            Cast::Unicast => self.unicast,
            Cast::Broadcast => self.broadcast,
            Cast::Multicast => self.multicast,
        }
    }

    /// Whether it is certain that nothing is heard by broadcast or multicast.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.broadcast == Some(false) && self.multicast == Some(false) && self.unicast != Some(true)
    }
}

/// Somebody whom others hear by a cast, and we never met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheard {
    /// The beginning of its id.
    pub label: String,
    /// By whom it is heard.
    pub by: Vec<String>,
    /// Where it was last, if we ever met it.
    pub address: Option<IpAddr>,
    /// It was told for so long that it cannot be somebody who just left.
    pub lasting: bool,
}

/// Somebody whom we hear, and to whom nothing of ours gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deaf {
    /// What it calls itself; nothing of it is proven.
    pub label: String,
    /// From where it is heard.
    pub address: SocketAddr,
    /// It says that it hears nobody at all.
    pub hears_nobody: bool,
}

impl SegmentView {
    /// Whether one hears another by a cast.
    #[must_use]
    pub fn hears(&self, listener: usize, speaker: usize, cast: Cast) -> Option<bool> {
        self.cells.get(&(listener, speaker)).and_then(|cell| cell.by(cast))
    }

    /// Whether an address is of our network here.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.same_network(self.address.ip(), ip)
    }

    /// Whether two addresses are of one network, if their masks are as long as ours.
    #[must_use]
    pub fn same_network(&self, a: IpAddr, b: IpAddr) -> bool {
        let (a, b, bits) = match (a, b) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32u32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return false,
        };
        (a ^ b).checked_shr(bits.saturating_sub(self.prefix_len.into())).unwrap_or(0) == 0
    }

    /// Others of our network: no router lies between.
    pub fn near(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.members.iter().enumerate().skip(1).filter(|(_, member)| self.contains(member.address.ip()))
    }

    /// The segment, as it is shown: `eth0 (10.0.0.1/24)`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} ({}/{})", self.name, self.address.ip(), self.prefix_len)
    }
}

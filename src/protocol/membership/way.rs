//! Ways: where somebody is heard, and whether it is proven to be there.

use std::net::SocketAddr;

use super::{Membership, Origin, Path, Presence};
use crate::address::SegmentId;
use crate::id::PeerId;

/// A way on which somebody is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub(super) id: PeerId,
    pub(super) segment: SegmentId,
    pub(super) address: SocketAddr,
}

impl Origin {
    pub(super) const fn way(&self) -> Way {
        Way { id: self.id, segment: self.segment, address: self.address }
    }
}

impl Membership {
    /// Whether this came from where a peer is heard, proven or not.
    #[must_use]
    pub fn is_heard_at(&self, origin: &Origin) -> bool {
        self.peers.get(&origin.id).is_some_and(|peer| peer.is_heard_at(origin))
    }

    /// Whether a segment is that of IPv6 where there is one of IPv4 on the same interface.
    pub(super) fn is_second(&self, id: SegmentId) -> bool {
        let on = self.segments.get(&id).filter(|segment| segment.address.is_ipv6());
        let beside =
            |name: &str| self.segments.values().any(|segment| segment.name == name && segment.address.is_ipv4());
        on.is_some_and(|segment| beside(&segment.name))
    }

    /// Whether this came from where a peer that is online is proven to be.
    #[must_use]
    pub fn is_there(&self, origin: &Origin) -> bool {
        self.is_on(&origin.way(), None)
    }

    /// Whether a peer that is online is proven to be where it seems to be.
    pub(super) fn is_on(&self, way: &Way, boot: Option<u64>) -> bool {
        let peer = self.peers.get(&way.id).filter(|peer| peer.presence == Presence::Online);
        let peer = peer.filter(|peer| boot.is_none_or(|boot| boot == peer.boot));
        peer.and_then(|peer| peer.paths.get(&way.segment)).and_then(Path::proven_address) == Some(way.address)
    }
}

//! Those who are heard and answer nothing, as people are told of them. They are no peers: nothing that they say of
//! themselves is proven, and nothing is sent to them but challenges.

use std::net::SocketAddr;

use super::reach::By;
use super::{Node, Way, Why, WhyHeard, WhyPath, WhyState};
use crate::address::SegmentId;
use crate::event::PeerName;
use crate::protocol::diagnosis;
use crate::protocol::membership::Deaf;

/// So many are shown: whoever repeats recordings may make up more.
const SHOWN_MAX: usize = 8;

impl Node {
    /// Those whom we hear on a segment and who never answered, so many of them at most.
    pub(super) fn deaf_on(&self, segment: SegmentId, max: usize) -> Vec<diagnosis::Deaf> {
        let deaf = self.all_deaf().filter(|deaf| deaf.segment == segment).take(max);
        let shown = |deaf: Deaf| diagnosis::Deaf {
            label: self.name_of(deaf.id, &deaf.nick).label(),
            address: deaf.address,
            hears_nobody: deaf.hears_nobody,
        };
        deaf.map(shown).collect()
    }

    /// Those who are heard and answer nothing, by name and place: so many of them at most.
    #[must_use]
    pub fn deaf(&self) -> Vec<(PeerName, (SegmentId, SocketAddr))> {
        let shown = |deaf: Deaf| (self.name_of(deaf.id, &deaf.nick), (deaf.segment, deaf.address));
        self.all_deaf().take(SHOWN_MAX).map(shown).collect()
    }

    /// What is known of somebody of that name who answers nothing.
    pub(super) fn why_deaf(&self, name: &str) -> Option<Why> {
        let deaf = self.all_deaf().find(|deaf| {
            let known = self.name_of(deaf.id, &deaf.nick);
            deaf.nick.as_str() == name || known.label() == name
        })?;
        let heard = deaf.casts.iter().rev().map(|&(cast, (first, last))| WhyHeard {
            by: By::from(cast),
            first_ago: self.now.since(first),
            last_ago: self.now.since(last),
            fresh: true,
            ttl_sent: None,
            ttl_left: None,
        });
        let path = WhyPath {
            segment: deaf.segment,
            name: self.interface_of(deaf.segment),
            address: deaf.address,
            best: false,
            heard: heard.collect(),
            hears_us: None,
        };
        Some(Why {
            name: self.name_of(deaf.id, &deaf.nick),
            state: WhyState::Deaf(self.now.since(deaf.since)),
            paths: vec![path],
            round_trip: self.logs.round_trip(),
            way: Way::Nowhere,
        })
    }

    fn all_deaf(&self) -> impl Iterator<Item = Deaf> {
        self.membership.deaf(self.identity.id(), self.now)
    }

    /// What the system calls a segment; nothing if it is gone.
    pub(super) fn interface_of(&self, segment: SegmentId) -> String {
        self.membership.segment(segment).map_or_else(String::new, |on| on.name.clone())
    }
}

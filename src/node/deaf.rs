//! Those who are heard and answer nothing, as people are told of them. They are no peers: nothing that they say of
//! themselves is proven, and nothing is sent to them but challenges.

use std::collections::BTreeSet;
use std::time::Duration;

use super::reach::By;
use super::{Node, Way, Why, WhyHeard, WhyPath, WhyState};
use crate::address::SegmentId;
use crate::event::Event;
use crate::id::PeerId;
use crate::protocol::diagnosis;
use crate::protocol::membership::Deaf;

/// Who was heard for so long without an answer is told of once.
const TELL_AFTER: Duration = Duration::from_secs(5);
/// So many in a run: whoever repeats recordings may make up more.
const TOLD_MAX: usize = 8;

impl Node {
    /// Those whom we hear on a segment and who never answered, so many of them at most.
    pub(super) fn deaf_on(&self, segment: SegmentId, max: usize) -> Vec<diagnosis::Deaf> {
        let deaf = self.deaf().filter(|deaf| deaf.segment == segment).take(max);
        let shown = |deaf: Deaf| diagnosis::Deaf {
            label: self.name_of(deaf.id, &deaf.nick).label(),
            address: deaf.address,
            hears_nobody: deaf.hears_nobody,
        };
        deaf.map(shown).collect()
    }

    /// Says once of each that it is heard and answers nothing.
    pub(super) fn tell_of_deaf(&mut self) {
        if self.deaf_told.len() >= TOLD_MAX {
            return;
        }
        let lasting = self.deaf().filter(|deaf| self.now.since(deaf.since) >= TELL_AFTER);
        let new: Vec<_> = lasting.filter(|deaf| !self.deaf_told.contains(&deaf.id)).collect();
        for deaf in new.into_iter().take(TOLD_MAX - self.deaf_told.len()) {
            if !self.deaf_told.insert(deaf.id) {
                continue;
            }
            let name = self.name_of(deaf.id, &deaf.nick).label();
            let text = format!(
                "{name} ({}) is heard on {}, but answers nothing that is sent to it: /doctor says what to try",
                deaf.address.ip(),
                self.interface_of(deaf.segment)
            );
            self.events.push_back(Event::Notice(text));
        }
    }

    /// What is known of somebody of that name who answers nothing.
    pub(super) fn why_deaf(&self, name: &str) -> Option<Why> {
        let deaf = self.deaf().find(|deaf| {
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

    fn deaf(&self) -> impl Iterator<Item = Deaf> {
        self.membership.deaf(self.identity.id(), self.now)
    }

    fn interface_of(&self, segment: SegmentId) -> String {
        self.membership.segments().find(|on| on.id == segment).map_or_else(String::new, |on| on.name.clone())
    }
}

/// Those of whom it was told.
pub(super) type DeafTold = BTreeSet<PeerId>;

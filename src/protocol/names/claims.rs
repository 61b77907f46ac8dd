//! Who called itself what in this run: a nick to which nobody is pinned is the only one's who claims it.

use std::collections::{BTreeMap, BTreeSet};

use super::median;
use crate::id::PeerId;
use crate::time::Time;

/// Names that anybody claimed in this run. When full, the half claimed longest ago makes room, but for what somebody
/// online claims alone, and what somebody online calls itself. That is less than three quarters of the table, so what
/// is looked through makes room for many.
pub(super) const CLAIMS_MAX: usize = 4096;
/// Names that one key claims alone. Further ones are not noted, so that none fills the table: they are shown with
/// its suffix, and are their own whose they are else.
pub(super) const CLAIMS_PER_KEY_MAX: usize = 8;

/// Who called itself so in this run.
#[derive(Debug)]
struct Claim {
    /// The only one; nobody if there were several.
    by: Option<PeerId>,
    at: Time,
}

/// The claims of this run, by what the nicks look like.
#[derive(Debug)]
pub(super) struct Claims {
    me: PeerId,
    all: BTreeMap<String, Claim>,
    /// How many each key has alone.
    alone: BTreeMap<PeerId, usize>,
    /// What everybody online calls itself, and we.
    borne: BTreeMap<PeerId, String>,
}

impl Claims {
    /// Nobody claimed anything. What `me` claims has no bound but that of the table.
    pub(super) const fn new(me: PeerId) -> Self {
        Self { me, all: BTreeMap::new(), alone: BTreeMap::new(), borne: BTreeMap::new() }
    }

    /// A peer is online under a name, or we are.
    pub(super) fn on_online(&mut self, id: PeerId, key: &str) {
        self.borne.insert(id, key.to_owned());
    }

    /// A peer is gone: its name is kept for it no longer.
    pub(super) fn on_gone(&mut self, id: PeerId) {
        self.borne.remove(&id);
    }

    /// Whether nobody but this one claimed a name.
    pub(super) fn is_alone(&self, key: &str, id: PeerId) -> bool {
        self.all.get(key).is_some_and(|claim| claim.by == Some(id))
    }

    /// Somebody calls itself so.
    pub(super) fn note(&mut self, key: &str, id: PeerId, now: Time) {
        if let Some(claim) = self.all.get_mut(key) {
            claim.at = now;
            return self.dispute(key, id);
        }
        if id != self.me && self.alone.get(&id).is_some_and(|&count| count >= CLAIMS_PER_KEY_MAX) {
            return;
        }
        if self.all.len() >= CLAIMS_MAX {
            self.make_room();
        }
        self.keep(key, id, now);
    }

    /// A pin was forgotten: in this run its name is nobody else's.
    pub(super) fn on_unpinned(&mut self, key: &str, id: PeerId, now: Time) {
        if let Some(claim) = self.all.get_mut(key) {
            claim.at = now;
            self.dispute(key, id);
        } else {
            self.keep(key, id, now);
        }
    }

    /// Asserts that the table is bounded, and that what is counted is there.
    pub(super) fn check(&self) {
        assert!(self.all.len() <= CLAIMS_MAX && self.alone.len() <= self.all.len(), "claims are bounded");
        let alone = self.all.values().filter(|claim| claim.by.is_some()).count();
        assert_eq!(self.alone.values().sum::<usize>(), alone, "claims are counted");
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Without room it is not its own: it is shown with a suffix.
    fn keep(&mut self, key: &str, id: PeerId, now: Time) {
        if self.all.len() < CLAIMS_MAX {
            self.all.insert(key.to_owned(), Claim { by: Some(id), at: now });
            *self.alone.entry(id).or_insert(0) += 1;
        }
    }

    /// What several claim is nobody's.
    fn dispute(&mut self, key: &str, id: PeerId) {
        let Some(claim) = self.all.get_mut(key) else { return };
        if let Some(was) = claim.by.take_if(|by| *by != id) {
            self.count_off(was);
        }
    }

    fn count_off(&mut self, id: PeerId) {
        if let Some(count) = self.alone.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                self.alone.remove(&id);
            }
        }
    }

    fn make_room(&mut self) {
        let borne: BTreeSet<_> = self.borne.values().map(String::as_str).collect();
        let is_here = |id: PeerId| id != self.me && self.borne.contains_key(&id);
        let drops = |key: &str, claim: &Claim| !borne.contains(key) && !claim.by.is_some_and(is_here);
        let times = self.all.iter().filter(|(key, claim)| drops(key, claim)).map(|(_, claim)| claim.at);
        let until = median(times.collect());
        let dropped = |(key, claim): (&String, &Claim)| drops(key, claim) && Some(claim.at) <= until;
        let old: Vec<_> = self.all.iter().filter(|&claim| dropped(claim)).map(|(key, _)| key.clone()).collect();
        for key in old {
            if let Some(by) = self.all.remove(&key).and_then(|claim| claim.by) {
                self.count_off(by);
            }
        }
    }
}

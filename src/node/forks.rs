//! Two machines that speak with one key: an alarm, once for each key, and only where it is proven.
//!
//! Proof is what nobody but the holder of the key can make, and nobody who recorded it can say again: two
//! entries with one number that say different things; for our own key, a datagram that we have not sent yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Context, Node, context};
use crate::event::{Arrival, Event};
use crate::id::{LogId, PeerId};
use crate::protocol::sources::Source;
use crate::wire::{DATAGRAM_DOMAIN, Signed, SignedEntry};

/// Keys of which the alarm was told, besides our own and those to which names are pinned. When full, that is told and
/// nobody more: whoever makes up keys makes up such pairs as well. It is counted all the same.
const TOLD_MAX: usize = 64;

/// What was told of keys with which two machines speak.
#[derive(Debug, Default)]
pub(super) struct Forks {
    /// Keys of which the alarm was told.
    told: BTreeSet<PeerId>,
    /// It was told that there are too many.
    full_told: bool,
}

impl Node {
    /// Whether a signature is that of its key: checked within the budget of where it came from, and counted.
    pub(super) fn is_signed(&mut self, from: Source<'_>, check: impl FnOnce(&Self) -> bool) -> bool {
        if !self.sources.admits(from, self.now) {
            self.stats.unchecked += 1;
            return false;
        }
        let holds = check(self);
        if !holds {
            self.stats.forged += 1;
            self.sources.on_vain(from, self.now);
        }
        holds
    }

    /// Whether the author of an entry signed it, for this group.
    pub(super) fn is_said_here(&self, signed: &SignedEntry<'_>) -> bool {
        let holds = |domain| (self.verifier)(signed.author(), domain, signed.bytes, signed.signature);
        self.keyring.entry_domains().iter().any(|domain| holds(domain))
    }

    /// An entry of a number that we have, or of our own log. Most are what we have.
    pub(super) fn compare_entry(&mut self, log: LogId, signed: &SignedEntry<'_>, raw: &[u8], arrival: Arrival) {
        if !self.logs.contradicts(log, signed.entry.seq, signed.bytes) {
            return;
        }
        if self.is_signed((arrival.address, None), |node| node.is_said_here(signed)) {
            self.logs.on_fork(log, signed.entry.seq, Arc::from(raw), &mut context!(self));
        }
    }

    /// A datagram that our key signed, of this run or a later one. True if it is authentic.
    pub(super) fn is_own(&mut self, signed: &Signed<'_>, arrival: Arrival) -> bool {
        let sender = &signed.sender;
        let check = |node: &Self| (node.verifier)(&sender.key, DATAGRAM_DOMAIN, signed.bytes, signed.signature);
        let holds = self.is_signed((arrival.address, Some(&sender.key)), check);
        if holds && (sender.boot, sender.counter) > (self.identity.boot(), self.outbound.counter()) {
            self.alarm(self.identity.id());
        }
        holds
    }

    pub(super) fn alarm(&mut self, id: PeerId) {
        let is_known = id == self.identity.id() || self.names.pins().any(|pin| pin.id == id);
        if self.forks.told.len() >= TOLD_MAX && !is_known {
            if !std::mem::replace(&mut self.forks.full_told, true) {
                let text = format!("more than {TOLD_MAX} keys are used by two machines each: no more are told of");
                self.events.push_back(Event::Warning(text));
            }
            return;
        }
        if !self.forks.told.insert(id) {
            return;
        }
        let text = if id == self.identity.id() {
            "another machine speaks with our key, and only one of the two is heard: end one of them, and remove the \
             key from its state directory (udpnode doctor says where it is)"
                .to_owned()
        } else {
            let name = self.name_of_peer(id).label();
            format!(
                "two machines speak with the key of {name}, or one that tells each something else: nothing more of \
                 what they say is shown until both end; one of them needs a key of its own (udpnode doctor says where \
                 they are)"
            )
        };
        self.events.push_back(Event::Warning(text));
    }
}

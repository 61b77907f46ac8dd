//! Entries of logs of which no member has told yet: what follows a moment later may be its author's proof
//! that it lives, or a member's word. Then they are taken as if they came now; else they are forgotten.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Context, Node, context};
use crate::event::Arrival;
use crate::id::LogId;
use crate::protocol::log::Wants;
use crate::time::Time;

/// Entries that wait. When full, the oldest is forgotten: whoever is to have it asks for it.
const WAITING_MAX: usize = 64;
/// An entry waits no longer than this.
const WAIT_FOR: Duration = Duration::from_secs(1);

/// Entries that wait for somebody to tell of their logs.
#[derive(Debug, Default)]
pub(super) struct Unclaimed(VecDeque<Waiting>);

#[derive(Debug)]
struct Waiting {
    log: LogId,
    seq: u64,
    raw: Arc<[u8]>,
    arrival: Arrival,
    at: Time,
}

impl Unclaimed {
    /// An entry of which nothing is believed yet, not even who signed it.
    pub(super) fn hold(&mut self, (log, seq): (LogId, u64), raw: &[u8], arrival: Arrival, now: Time) {
        if self.0.iter().any(|held| (held.log, held.seq) == (log, seq)) {
            return;
        }
        if self.0.len() >= WAITING_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Waiting { log, seq, raw: Arc::from(raw), arrival, at: now });
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Node {
    /// Somebody was met, or told of logs: takes the entries that waited for it.
    pub(super) fn take_claimed(&mut self) {
        if self.unclaimed.is_empty() {
            return;
        }
        let (mut waiting, now) = (std::mem::take(&mut self.unclaimed.0), self.now);
        waiting.retain(|held| now.since(held.at) < WAIT_FOR);
        for held in waiting {
            if self.logs.wants(held.log, held.seq, &context!(self)) == Wants::Unclaimed {
                self.unclaimed.0.push_back(held);
            } else {
                self.on_entry(&held.raw, held.arrival);
            }
        }
    }
}

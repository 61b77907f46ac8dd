//! Logs that made room for others: how far they were delivered, so that nothing of them is shown
//! twice when somebody tells of them again.

use std::collections::BTreeMap;

use super::store::{Log, Tip};
use crate::id::LogId;
use crate::time::Time;
use crate::wire::body::Digest;

/// Logs remembered so. When full, the one forgotten longest ago is forgotten altogether, of those first whose author
/// was never here: what others still have of it would then be shown again.
const FORGOTTEN_MAX: usize = 4096;

/// How far a log was delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) next: u64,
    pub(super) next_message: u64,
    pub(super) tip: Tip,
    pub(super) met: bool,
    pub(super) forked: bool,
    at: Time,
}

/// The marks of forgotten logs.
#[derive(Debug, Default)]
pub(super) struct Forgotten(BTreeMap<LogId, Mark>);

impl Forgotten {
    /// A log makes room. One of which nothing was delivered leaves no mark.
    pub(super) fn remember(&mut self, id: LogId, log: &Log, now: Time) {
        if log.next == 1 {
            return;
        }
        if self.0.len() >= FORGOTTEN_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, mark)| (mark.met, mark.at)).map(|(&id, _)| id)
        {
            self.0.remove(&oldest);
        }
        let (next, next_message, tip) = (log.next, log.next_message(), log.tip);
        self.0.insert(id, Mark { next, next_message, tip, met: log.met, forked: log.forked, at: now });
    }

    /// The log is opened again.
    pub(super) fn take(&mut self, id: LogId) -> Option<Mark> {
        self.0.remove(&id)
    }

    /// The first entry that was not delivered when the log was forgotten, if it was. Of one that two machines write
    /// nothing more is wanted.
    pub(super) fn mark(&self, id: LogId) -> Option<u64> {
        self.0.get(&id).map(|mark| if mark.forked { u64::MAX } else { mark.next })
    }

    /// Each log with the first entry that was not delivered, and the digest of the one before; none that two
    /// machines write.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LogId, u64, Digest)> {
        let told = self.0.iter().filter(|(_, mark)| !mark.forked);
        told.map(|(&id, mark)| (id, mark.next, mark.tip.digest()))
    }
}

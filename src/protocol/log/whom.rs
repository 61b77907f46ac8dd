//! Whom to ask for what a log lacks, and when nobody is left to ask.

use std::collections::BTreeMap;

use super::repair::weight;
use super::store::Log;
use crate::id::{LogId, PeerId};

/// Who is to be asked alone: the author, if it is there and was not asked in vain before; else in
/// turn those who claim to have the log.
pub(super) fn holder(id: LogId, log: &Log, online: &BTreeMap<PeerId, u64>) -> Option<PeerId> {
    if online.get(&id.author) == Some(&id.boot) && log.ask.round < 4 {
        return Some(id.author);
    }
    let mut able: Vec<_> = log.claims.beyond(log.next).map(|(peer, _)| (weight(peer, id, log.next), peer)).collect();
    able.sort_unstable();
    let turn = log.ask.round as usize;
    able.get(turn.checked_rem(able.len())?).map(|&(_, peer)| peer)
}

/// The first entry behind our next that somebody online claims to have, if nobody claims our next and it is not here:
/// where nobody reads it waits to be delivered.
pub(super) fn unclaimed(log: &Log, ended: bool) -> Option<u64> {
    let held = log.first_held();
    if held == Some(log.next) {
        return None;
    }
    let claims = || log.claims.beyond(log.next);
    if claims().any(|(_, claim)| claim.floor <= log.next) {
        return None;
    }
    let claimed = claims().map(|(_, claim)| claim.floor).min();
    match (claimed, held) {
        (Some(floor), Some(held)) => Some(floor.min(held)),
        (floor, held) => floor.or_else(|| held.filter(|_| ended)),
    }
}

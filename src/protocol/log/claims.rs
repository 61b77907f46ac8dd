//! Who says to have how much of a log, and who was asked for it in vain.
//!
//! Claims are nobody's proof: a member may say anything of the log of another. Whoever does not give
//! what it claims to have is not believed about that log until the log goes on, or for some seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::PeerId;
use crate::time::Time;

/// Peers remembered per log as holding it. When full, who has nothing that is lacking makes room, or else who was not
/// believed for long, or else who can give less than whoever comes; if there is none, that one is not believed.
const HOLDERS_MAX: usize = 8;

/// Requests in vain, with nothing new from anybody between them, after which a claim is not believed.
/// Where one datagram in three is lost in either direction, 0.3 % of true claims fail so often.
const VAIN_MAX: u8 = 8;

/// After this time it is asked again: what failed may have been the network.
const DISBELIEVED_FOR: Duration = Duration::from_secs(10);

/// What a peer says it holds of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// The first entry it lacks.
    pub(super) next: u64,
    /// The first entry it can give.
    pub(super) floor: u64,
    vain: u8,
    vain_at: Time,
}

impl Claim {
    /// Whether it was asked for too often and not given.
    const fn is_vain(self) -> bool {
        self.vain >= VAIN_MAX
    }
}

/// What is claimed of one log, by peers that are online.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims(BTreeMap<PeerId, Claim>);

impl Claims {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// A peer says how far it has this log: the first entry it lacks and the first it can give. What it said before
    /// still holds. Ours lacks `lacking`. False if it is not believed.
    pub(super) fn note(&mut self, peer: PeerId, (next, floor): (u64, u64), lacking: u64, now: Time) -> bool {
        if self.0.len() >= HOLDERS_MAX && !self.0.contains_key(&peer) {
            let Some(worst) = self.worst(next, floor, lacking, now) else { return false };
            self.0.remove(&worst);
        }
        let told = self.0.entry(peer).or_insert(Claim { next, floor, vain: 0, vain_at: now });
        (told.next, told.floor) = (told.next.max(next), told.floor.max(floor));
        if now.since(told.vain_at) > DISBELIEVED_FOR {
            told.vain = 0;
        }
        !told.is_vain()
    }

    /// Who is less worth being remembered than somebody with this claim. Whom we do not believe is: else it would only
    /// have to come back.
    fn worst(&self, next: u64, floor: u64, lacking: u64, now: Time) -> Option<PeerId> {
        let is_idle = |claim: &Claim| claim.next <= lacking;
        let is_late = |claim: &Claim| claim.is_vain() && now.since(claim.vain_at) > DISBELIEVED_FOR;
        let less = |claim: &Claim| !claim.is_vain() && (claim.floor, next) > (floor, claim.next);
        let worse = self.0.iter().filter(|(_, claim)| is_idle(claim) || is_late(claim) || less(claim));
        let worst = worse.max_by_key(|(_, claim)| (is_idle(claim), is_late(claim), claim.floor));
        worst.map(|(&peer, _)| peer).filter(|_| next > lacking)
    }

    /// Forgets what is believed.
    pub(super) fn clear(&mut self) {
        self.0.retain(|_, claim| claim.is_vain());
    }

    /// What a peer says is true: it is the author.
    pub(super) fn trust(&mut self, peer: PeerId) {
        if let Some(claim) = self.0.get_mut(&peer) {
            claim.vain = 0;
        }
    }

    /// A peer is gone, and what it has with it.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.0.remove(&peer);
    }

    /// A peer was asked for what it claims to have, and nothing came.
    pub(super) fn on_vain(&mut self, peer: PeerId, now: Time) {
        if let Some(claim) = self.0.get_mut(&peer) {
            (claim.vain, claim.vain_at) = (claim.vain.saturating_add(1), now);
        }
    }

    /// Something came: asking is not in vain.
    pub(super) fn on_progress(&mut self) {
        self.0.values_mut().for_each(|claim| claim.vain = 0);
    }

    /// Those who are believed to have entries from `next` on.
    pub(super) fn beyond(&self, next: u64) -> impl Iterator<Item = (PeerId, Claim)> {
        let believed = self.0.iter().filter(move |(_, claim)| claim.next > next && !claim.is_vain());
        believed.map(|(&peer, &claim)| (peer, claim))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: PeerId = PeerId([1; 16]);
    const BOB: PeerId = PeerId([2; 16]);

    #[test]
    fn who_never_gives_what_it_claims_is_not_believed_until_the_log_goes_on() {
        let mut claims = Claims::new();
        let at = |secs| Time::ZERO + Duration::from_secs(secs);
        claims.note(ANN, (9, 1), 5, at(1));
        claims.note(BOB, (7, 3), 5, at(1));
        for _ in 0..VAIN_MAX {
            assert_eq!(claims.beyond(5).count(), 2);
            claims.on_vain(ANN, at(2));
        }
        assert!(!claims.note(ANN, (99, 1), 5, at(3)));
        claims.clear();
        claims.note(BOB, (7, 3), 5, at(3));
        assert_eq!(claims.beyond(5).map(|(peer, _)| peer).collect::<Vec<_>>(), [BOB], "saying more helps nothing");
        claims.on_progress();
        assert_eq!(claims.beyond(5).count(), 2);
        (0..VAIN_MAX).for_each(|_| claims.on_vain(ANN, at(4)));
        assert!(claims.note(ANN, (99, 1), 5, at(20)), "what failed may have been the network");
        assert_eq!(claims.beyond(7).map(|(peer, claim)| (peer, claim.next)).collect::<Vec<_>>(), [(ANN, 99)]);
    }

    #[test]
    fn liars_do_not_keep_out_who_has_more_to_give() {
        let mut claims = Claims::new();
        let later = Time::ZERO + DISBELIEVED_FOR + Duration::from_secs(1);
        let has = |claims: &Claims, who: PeerId| claims.beyond(5).any(|(peer, _)| peer == who);
        (0..8).for_each(|n| _ = claims.note(PeerId([100 + n; 16]), (90, 80), 5, Time::ZERO));
        assert!(claims.note(BOB, (90, 1), 5, Time::ZERO));
        assert!(claims.beyond(5).any(|(peer, claim)| peer == BOB && claim.floor == 1));
        assert!(!claims.note(ANN, (90, 85), 5, Time::ZERO) && !has(&claims, ANN), "it can give less than any");
        (0..VAIN_MAX).for_each(|_| claims.on_vain(BOB, Time::ZERO));
        assert!(!claims.note(ANN, (90, 85), 5, Time::ZERO), "who is not believed is remembered");
        assert!(!claims.note(BOB, (90, 1), 5, Time::ZERO), "and so it cannot come back");
        assert!(claims.note(ANN, (90, 85), 5, later) && has(&claims, ANN) && !has(&claims, BOB), "but not for ever");
    }

    #[test]
    fn who_has_nothing_that_is_lacking_makes_room() {
        let mut claims = Claims::new();
        (0..8).for_each(|n| _ = claims.note(PeerId([100 + n; 16]), (90 + u64::from(n), 1), 5, Time::ZERO));
        assert!(!claims.note(ANN, (90, 1), 5, Time::ZERO), "they have as much");
        assert!(!claims.note(ANN, (1 << 48, 2), 5, Time::ZERO), "and whoever finds no place is not believed");
        assert!(claims.note(ANN, (1 << 48, 2), 90, Time::ZERO), "the first of them can give nothing of that");
        assert!(claims.note(BOB, (99, 1), 90, Time::ZERO), "it has more than one of them");
        assert!(claims.beyond(90).any(|(peer, claim)| peer == BOB && claim.next == 99));
    }

    #[test]
    fn few_holders_are_remembered() {
        let mut claims = Claims::new();
        (0..200).for_each(|n| _ = claims.note(PeerId([n; 16]), (2, 1), 1, Time::ZERO));
        assert_eq!(claims.beyond(1).count(), HOLDERS_MAX);
        claims.forget(PeerId([0; 16]));
        assert_eq!(claims.beyond(1).count(), HOLDERS_MAX - 1);
    }
}

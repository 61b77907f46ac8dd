//! Who says to have how much of a log, and who was asked for it in vain.
//!
//! Claims are nobody's proof: a member may say anything of the log of another. Whoever does not give
//! what it claims to have is not believed about that log until the log goes on, or for some seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::PeerId;
use crate::time::Time;

/// Peers remembered per log as holding it. When full, who is not believed makes room, or else who can give the least.
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

    /// A peer says how far it has this log. What it said before still holds. False if it is not believed.
    pub(super) fn note(&mut self, peer: PeerId, next: u64, floor: u64, now: Time) -> bool {
        if self.0.len() >= HOLDERS_MAX && !self.0.contains_key(&peer) {
            let (worst, claim) = self.worst().expect("it is full");
            if !claim.is_vain() && claim.floor <= floor {
                return true;
            }
            self.0.remove(&worst);
        }
        let told = self.0.entry(peer).or_insert(Claim { next, floor, vain: 0, vain_at: now });
        (told.next, told.floor) = (told.next.max(next), told.floor.max(floor));
        if now.since(told.vain_at) > DISBELIEVED_FOR {
            told.vain = 0;
        }
        !told.is_vain()
    }

    /// Who is least worth being remembered.
    fn worst(&self) -> Option<(PeerId, Claim)> {
        let worst = self.0.iter().max_by_key(|(_, claim)| (claim.is_vain(), claim.floor));
        worst.map(|(&peer, &claim)| (peer, claim))
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
        claims.note(ANN, 9, 1, at(1));
        claims.note(BOB, 7, 3, at(1));
        for _ in 0..VAIN_MAX {
            assert_eq!(claims.beyond(5).count(), 2);
            claims.on_vain(ANN, at(2));
        }
        assert!(!claims.note(ANN, 99, 1, at(3)));
        claims.clear();
        claims.note(BOB, 7, 3, at(3));
        assert_eq!(claims.beyond(5).map(|(peer, _)| peer).collect::<Vec<_>>(), [BOB], "saying more helps nothing");
        claims.on_progress();
        assert_eq!(claims.beyond(5).count(), 2);
        (0..VAIN_MAX).for_each(|_| claims.on_vain(ANN, at(4)));
        assert!(claims.note(ANN, 99, 1, at(20)), "what failed may have been the network");
        assert_eq!(claims.beyond(7).map(|(peer, claim)| (peer, claim.next)).collect::<Vec<_>>(), [(ANN, 99)]);
    }

    #[test]
    fn liars_do_not_keep_out_who_has_more_to_give() {
        let mut claims = Claims::new();
        (0..8).for_each(|n| _ = claims.note(PeerId([100 + n; 16]), 90, 80, Time::ZERO));
        assert!(claims.note(BOB, 90, 1, Time::ZERO));
        assert!(claims.beyond(5).any(|(peer, claim)| peer == BOB && claim.floor == 1));
        claims.note(ANN, 90, 85, Time::ZERO);
        assert!(!claims.beyond(5).any(|(peer, _)| peer == ANN), "it can give less than any");
        (0..VAIN_MAX).for_each(|_| claims.on_vain(BOB, Time::ZERO));
        claims.note(ANN, 90, 85, Time::ZERO);
        let mut those = claims.beyond(5).map(|(peer, _)| peer);
        assert!(
            those.all(|peer| peer != BOB) && claims.beyond(5).any(|(peer, _)| peer == ANN),
            "who gives nothing goes"
        );
    }

    #[test]
    fn few_holders_are_remembered() {
        let mut claims = Claims::new();
        (0..200).for_each(|n| _ = claims.note(PeerId([n; 16]), 2, 1, Time::ZERO));
        assert_eq!(claims.beyond(1).count(), HOLDERS_MAX);
        claims.forget(PeerId([0; 16]));
        assert_eq!(claims.beyond(1).count(), HOLDERS_MAX - 1);
    }
}

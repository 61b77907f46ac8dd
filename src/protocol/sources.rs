//! Who may make us check signatures, and how many: checking one takes many times as long as making
//! something up that looks like one.
//!
//! Each source has a budget of its own, a token bucket. One at which a member was heard of late has a large
//! one that nobody elsewhere can draw on; strangers have small ones, and one for all of them together,
//! so that it does not help to have many addresses. What turns out to be forged, or of no use, costs more.
//! The table is fixed: strangers push each other out of it, and members never.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use crate::address::SegmentId;
use crate::id::PublicKey;
use crate::time::{Bucket, Rate, Time};

/// Slots of the table: this many sets of so many ways. A source belongs to one set, chosen by chance in each
/// run. When a set is full of members, one more there counts as a stranger.
const SETS: usize = 256;
const WAYS: usize = 4;

/// A source where a member is proven to be is known for this long: in the largest group it says hello each 128 s.
pub const PROVEN_FOR: Duration = Duration::from_secs(300);

/// One where it only seems to be, for nothing that goes to it alone gets there, for so long: a member that lies moves
/// each second, and there are to be few.
pub const SEEMS_FOR: Duration = Duration::from_secs(10);

/// What something forged or useless costs, in signatures.
const VAIN_COST: u32 = 8;

/// What a letter costs besides its signature, in signatures: to open it, and to seal and sign the receipt.
const LETTER_COST: u32 = 3;

/// Signatures of a member: 100,000 lines a second of 46 bytes are 6,300 entries, and some are repaired. At 41 us
/// each that is half a core at most.
const MEMBER: Rate = Rate::per_second(10_000, 16_384);

/// Of a stranger: an hello now and then, and a little history from one who was not greeted yet.
const STRANGER: Rate = Rate::per_second(256, 512);

/// Of all strangers together: a group of 256 says hello at once, by several casts. A twentieth of a core.
const STRANGERS: Rate = Rate::per_second(1_024, 2_048);

/// Fresh identities taken in: a class of 256 at once, and then some more.
const NEWCOMERS: Rate = Rate::per_second(32, 512);

/// Of these from one host: it may run many nodes, but who sprays does it from somewhere.
const NEWCOMERS_HERE: Rate = Rate::per_second(1, 64);

/// Hellos that were heard before: they tell who says again what others said, and nothing else.
const REPLAYS: Rate = Rate::per_second(4, 16);

/// In place of a key, where newcomers of a host are counted.
const NEWCOMER: PublicKey = [0xFF; 32];

/// Somebody whose signatures are checked: an address, or one key there.
pub type Source<'a> = (SocketAddr, Option<&'a PublicKey>);

/// What is left to one source.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// A hash of the source; 0 is nobody.
    who: u64,
    bucket: Bucket,
    known_until: Time,
    /// A hash of the member that is known there, and of the segment; 0 is nobody.
    member: u64,
}

/// The budgets of all sources.
#[derive(Debug)]
pub struct Sources {
    seed: u64,
    slots: Vec<Slot>,
    strangers: Bucket,
    newcomers: Bucket,
    replays: Bucket,
}

impl Sources {
    /// Budgets that nobody has drawn on; `seed` keeps others from knowing who shares a set with whom.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let slots = vec![Slot::default(); SETS * WAYS];
        Self { seed, slots, strangers: Bucket::default(), newcomers: Bucket::default(), replays: Bucket::default() }
    }

    /// Whether a signature from there is checked now.
    pub fn admits(&mut self, source: Source<'_>, now: Time) -> bool {
        self.takes(source, 1, now)
    }

    /// Whether a letter from there whose signature holds is opened now.
    pub fn admits_letter(&mut self, source: Source<'_>, now: Time) -> bool {
        self.takes(source, LETTER_COST, now)
    }

    fn takes(&mut self, source: Source<'_>, cost: u32, now: Time) -> bool {
        if let Some(slot) = self.member(source, now) {
            return slot.bucket.take(cost, MEMBER, now);
        }
        // Its own first: who has nothing left does not draw on what is for all.
        let own = self.slot(stranger(source), now).is_none_or(|slot| slot.bucket.take(cost, STRANGER, now));
        own && self.strangers.take(cost, STRANGERS, now)
    }

    /// A signature from there was checked in vain, or a letter opened.
    pub fn on_vain(&mut self, source: Source<'_>, now: Time) {
        let is_member = self.member(source, now).is_some();
        let (source, rate) = if is_member { (source, MEMBER) } else { (stranger(source), STRANGER) };
        if let Some(slot) = self.slot(source, now) {
            slot.bucket.charge(VAIN_COST - 1, rate);
        }
    }

    /// A member is heard there, on a segment: it is known until then. Where it was before it is not known any more,
    /// else one that moves on and on would take all there is.
    pub fn on_member(&mut self, address: SocketAddr, key: &PublicKey, segment: SegmentId, until: Time, now: Time) {
        let member = self.hash((segment, key));
        let is_its = |slot: &Slot| slot.member == member && slot.known_until > now;
        if self.member((address, Some(key)), now).is_none_or(|slot| !is_its(slot)) {
            let former = self.slots.iter_mut().filter(|slot| is_its(slot));
            former.for_each(|slot| slot.known_until = now);
        }
        for source in [(address, None), (address, Some(key))] {
            if let Some(slot) = self.slot(source, now) {
                (slot.known_until, slot.member) = (slot.known_until.max(until), member);
            }
        }
    }

    /// Whether somebody is taken in who was never met.
    pub fn admits_newcomer(&mut self, address: SocketAddr, now: Time) -> bool {
        let host = (SocketAddr::new(address.ip(), 0), Some(&NEWCOMER));
        let here = self.slot(host, now).is_none_or(|slot| slot.bucket.take(1, NEWCOMERS_HERE, now));
        here && self.newcomers.take(1, NEWCOMERS, now)
    }

    /// Whether the signature of a hello that was heard before is checked.
    pub fn admits_replay(&mut self, now: Time) -> bool {
        self.replays.take(1, REPLAYS, now)
    }

    /// The slot of a source, if it is a member's.
    fn member(&mut self, source: Source<'_>, now: Time) -> Option<&mut Slot> {
        let (who, set) = self.set(source);
        set.iter_mut().find(|slot| slot.who == who && slot.known_until > now)
    }

    /// The slot of a source; that of the stranger silent longest in its set if it has none yet, and none if
    /// all of them are members'.
    fn slot(&mut self, source: Source<'_>, now: Time) -> Option<&mut Slot> {
        let (who, set) = self.set(source);
        let at = set.iter().position(|slot| slot.who == who).or_else(|| {
            let strangers = set.iter().enumerate().filter(|(_, slot)| slot.known_until <= now);
            strangers.min_by_key(|(_, slot)| (slot.who != 0, slot.bucket.asked_at())).map(|(at, _)| at)
        })?;
        let slot = &mut set[at];
        if slot.who != who {
            *slot = Slot { who, bucket: Bucket::new(now), known_until: Time::ZERO, member: 0 };
        }
        Some(slot)
    }

    /// What something is called in the table.
    fn hash(&self, what: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, what).hash(&mut hasher);
        hasher.finish().max(1)
    }

    /// What a source is called in the table, and the set where it belongs.
    fn set(&mut self, source: Source<'_>) -> (u64, &mut [Slot]) {
        let who = self.hash(source);
        let first = usize::try_from(who % SETS as u64).unwrap_or_default() * WAYS;
        (who, &mut self.slots[first..first + WAYS])
    }
}

/// Whatever host it is, and no member there: keys and ports are made up as easily as anything.
const fn stranger<'a>((address, _): Source<'_>) -> Source<'a> {
    (SocketAddr::new(address.ip(), 0), Some(&[0; 32]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PublicKey = [1; 32];

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn host(n: u32) -> SocketAddr {
        let [_, b, c, d] = n.to_be_bytes();
        SocketAddr::from(([10, b, c, d], 5000))
    }

    /// How many of so many are admitted at once.
    fn admitted(sources: &mut Sources, source: Source<'_>, of: u32, now: Time) -> u32 {
        (0..of).map(|_| u32::from(sources.admits(source, now))).sum()
    }

    #[test]
    fn a_member_that_moves_on_and_on_takes_no_more_than_one_that_stays() {
        let mut sources = Sources::new(1);
        for n in 0..5000 {
            sources.on_member(host(n), &KEY, SegmentId(1), at(1) + PROVEN_FOR, at(1));
        }
        let known = |sources: &Sources| sources.slots.iter().filter(|slot| slot.known_until > at(1)).count();
        assert_eq!(known(&sources), 2);
        sources.on_member(host(0), &KEY, SegmentId(2), at(1) + PROVEN_FOR, at(1));
        assert_eq!(known(&sources), 4, "on another network as well");
        assert_eq!(admitted(&mut sources, (host(4999), Some(&KEY)), 20_000, at(1)), 16_384);
    }

    #[test]
    fn a_stranger_has_little_and_it_comes_back_with_time() {
        let mut sources = Sources::new(1);
        assert_eq!(admitted(&mut sources, (host(1), None), 10_000, at(1)), STRANGER.burst);
        assert_eq!(admitted(&mut sources, (host(1), None), 10_000, at(501)), STRANGER.count / 2);
        assert_eq!(admitted(&mut sources, (host(2), None), 10_000, at(501)), STRANGER.burst, "others have their own");
    }

    #[test]
    fn many_strangers_have_no_more_than_all_together() {
        let mut sources = Sources::new(1);
        sources.on_member(host(0), &KEY, SegmentId(1), at(1) + PROVEN_FOR, at(1));
        let all: u32 = (1..100_000).map(|n| u32::from(sources.admits((host(n), None), at(1)))).sum();
        assert_eq!(all, STRANGERS.burst);
        let later: u32 = (1..100_000).map(|n| u32::from(sources.admits((host(n), None), at(1001)))).sum();
        assert_eq!(later, STRANGERS.count);
        let own = admitted(&mut sources, (host(0), Some(&KEY)), 100_000, at(1001));
        assert_eq!(own, MEMBER.burst, "a member is not pushed out, and has all of its own");
        assert_eq!(
            admitted(&mut sources, (host(0), Some(&[9; 32])), 100_000, at(1001)),
            0,
            "another key there is a stranger"
        );
    }

    #[test]
    fn one_address_has_one_budget_whatever_keys_it_makes_up() {
        let mut sources = Sources::new(1);
        let key = |n: u32| std::array::from_fn(|at| n.to_be_bytes()[at % 4]);
        let all = (1..10_000).filter(|&n| sources.admits((host(1), Some(&key(n))), at(1)));
        assert_eq!(u32::try_from(all.count()), Ok(STRANGER.burst));
    }

    #[test]
    fn what_is_forged_costs_more() {
        let mut sources = Sources::new(1);
        let checked = (0..10_000).filter(|_| {
            let admitted = sources.admits((host(1), None), at(1));
            if admitted {
                sources.on_vain((host(1), None), at(1));
            }
            admitted
        });
        assert_eq!(u32::try_from(checked.count()), Ok(STRANGER.burst / VAIN_COST));
    }

    #[test]
    fn a_letter_costs_what_it_makes_us_do_and_junk_costs_more() {
        let opened = |junk, source, now| {
            let mut sources = Sources::new(1);
            sources.on_member(host(1), &KEY, SegmentId(1), at(1) + PROVEN_FOR, at(1));
            let letters = (0..100_000).filter(|_| {
                let opened = sources.admits(source, now) && sources.admits_letter(source, now);
                if opened && junk {
                    sources.on_vain(source, now);
                }
                opened
            });
            u32::try_from(letters.count()).expect("few")
        };
        let (member, other) = ((host(1), Some(&KEY)), (host(2), Some(&KEY)));
        assert_eq!(opened(false, member, at(1)), MEMBER.burst / (1 + LETTER_COST));
        assert_eq!(opened(true, member, at(1)), MEMBER.burst.div_ceil(VAIN_COST + LETTER_COST));
        assert_eq!(opened(false, other, at(1)), STRANGER.burst / (1 + LETTER_COST));
        assert_eq!(opened(true, other, at(1)), STRANGER.burst.div_ceil(VAIN_COST + LETTER_COST));
    }

    #[test]
    fn a_member_is_known_as_long_as_it_is_heard() {
        let mut sources = Sources::new(1);
        sources.on_member(host(1), &KEY, SegmentId(1), at(1) + PROVEN_FOR, at(1));
        assert_eq!(admitted(&mut sources, (host(1), None), 100_000, at(299_000)), MEMBER.burst);
        assert!(admitted(&mut sources, (host(1), None), 100_000, at(310_000)) <= STRANGER.burst);
    }

    #[test]
    fn a_group_finds_room_for_all_its_members() {
        for seed in 0..20 {
            let mut sources = Sources::new(seed);
            (0..256).for_each(|n| sources.on_member(host(n), &KEY, SegmentId(n), at(1) + PROVEN_FOR, at(1)));
            let few = (0..256).filter(|&n| admitted(&mut sources, (host(n), None), 600, at(1)) < 600).count();
            assert!(few <= 24, "{few} of 256 with seed {seed}");
        }
    }

    #[test]
    fn fresh_identities_are_taken_in_as_fast_as_a_class_comes() {
        let mut sources = Sources::new(1);
        let spray = (0..10_000).filter(|_| sources.admits_newcomer(host(999), at(1))).count();
        assert_eq!(spray, 64, "one host is not a class");
        let class = (0..256).filter(|&n| sources.admits_newcomer(host(n), at(1))).count();
        assert_eq!(class, 256);
        let mut taken = |now| (1000..9000).filter(|&n| sources.admits_newcomer(host(n), now)).count();
        assert_eq!((taken(at(1)), taken(at(1001))), (512 - 64 - 256, 32));
    }
}

//! Who says to hear whom: what each peer's hellos tell of all others, kept for people who ask why.
//!
//! Claims, and shown as such: nothing is decided by them but that what one says is not passed on to another
//! where both say to hear each other. What we hear ourselves, and what is said of us, is
//! `membership`'s. A listener fills no row but its own, whatever it says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::address::{Cast, SegmentId};
use crate::id::{PeerId, Row};
use crate::text::Line;
use crate::time::Time;
use crate::wire::body::{HEARD_BY_STREAM, Heard, Hello};

/// Segments of one listener. When full, the one of which it said nothing for longest makes room.
const PLACES_MAX: usize = 8;

/// Everything that peers say to hear.
#[derive(Debug, Default)]
pub struct Matrix {
    listeners: BTreeMap<PeerId, BTreeMap<SocketAddr, Place>>,
}

/// What one peer says of one of its segments.
#[derive(Clone, Debug)]
pub struct Place {
    /// Our segment on which it said so last.
    pub segment: SegmentId,
    /// What it calls its interface there; safe to show, and empty if it does not say.
    pub interface: Line,
    /// By which casts it says hello there, as bits.
    pub sends: Option<u8>,
    /// When it said so last.
    pub said_at: Time,
    /// Until when that holds if it says nothing more.
    pub until: Time,
    /// Its last hello told everybody it hears there.
    pub whole: bool,
    heard: Row<Kept>,
}

/// How a peer says to hear another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Casts as bits of [`Cast::bit`], and [`HEARD_BY_STREAM`].
    pub casts: u8,
    /// TTLs that were left, by unicast, broadcast and multicast.
    pub left: [Option<u8>; 3],
    /// When it was said.
    pub said_at: Time,
}

/// A [`Claim`] in little memory: in a crowd everybody keeps one of everybody about everybody.
#[derive(Clone, Copy, Debug)]
struct Kept {
    said_at: Time,
    holds_ms: u32,
    /// [`Claim::casts`], and from [`LEFT`] on which of the TTLs there are.
    bits: u8,
    left: [u8; 3],
}

/// The bits for the three TTLs that were left.
const LEFT: u8 = HEARD_BY_STREAM << 1;

impl Kept {
    fn new(heard: &Heard, now: Time, holds: Duration) -> Self {
        let left = [heard.unicast_ttl, heard.broadcast_ttl, heard.multicast_ttl];
        let there = (0..).zip(left).filter(|(_, left)| left.is_some()).map(|(n, _)| LEFT << n).sum::<u8>();
        let holds_ms = u32::try_from(holds.as_millis()).unwrap_or(u32::MAX);
        Self {
            said_at: now,
            holds_ms,
            bits: heard.casts & (LEFT - 1) | there,
            left: left.map(Option::unwrap_or_default),
        }
    }

    fn holds(&self, now: Time) -> bool {
        self.said_at + Duration::from_millis(self.holds_ms.into()) >= now
    }

    /// Whether it is of the first half of the time for which it holds.
    fn is_recent(&self, now: Time) -> bool {
        self.said_at + Duration::from_millis(u64::from(self.holds_ms) / 2) >= now
    }

    fn claim(&self) -> Claim {
        let [u, b, m] = self.left;
        let left = [(0, u), (1, b), (2, m)].map(|(n, left)| (self.bits & LEFT << n != 0).then_some(left));
        Claim { casts: self.bits & (LEFT - 1), left, said_at: self.said_at }
    }
}

impl Claim {
    /// The TTL that was left by one cast.
    #[must_use]
    pub const fn left(&self, cast: Cast) -> Option<u8> {
        match cast {
            Cast::Unicast => self.left[0],
            Cast::Broadcast => self.left[1],
            Cast::Multicast => self.left[2],
        }
    }
}

impl Matrix {
    /// A peer that is online says hello on our `segment`, from this address. What it says holds `until` then.
    /// At most `peers_max` listeners are kept, and claims of each; what is more is not taken.
    pub fn on_hello(
        &mut self,
        listener: PeerId,
        (segment, address): (SegmentId, SocketAddr),
        hello: &Hello,
        (now, until): (Time, Time),
        peers_max: usize,
    ) {
        if !self.listeners.contains_key(&listener) && self.listeners.len() >= peers_max {
            return;
        }
        let places = self.listeners.entry(listener).or_default();
        places.retain(|_, place| place.until >= now);
        if places.len() >= PLACES_MAX && !places.contains_key(&address) {
            let oldest = places.iter().min_by_key(|(_, place)| place.said_at).map(|(&address, _)| address);
            oldest.map(|address| places.remove(&address));
        }
        places.entry(address).or_insert_with(|| Place::new(segment, now)).note(segment, hello, now, until);
        if places.values().map(|place| place.heard.len()).sum::<usize>() > peers_max {
            places.values_mut().for_each(|place| place.heard.retain(|_, claim| claim.holds(now)));
        }
        let others: usize = places.iter().filter(|(at, _)| **at != address).map(|(_, place)| place.heard.len()).sum();
        let Some(place) = places.get_mut(&address) else { return };
        let room = peers_max.saturating_sub(others);
        while place.heard.len() > room {
            // Those of which nothing was said for longest.
            let oldest = place.heard.iter().min_by_key(|(_, claim)| claim.said_at).map(|(id, _)| id);
            let Some(oldest) = oldest else { break };
            place.heard.remove(oldest);
        }
    }

    /// A peer is gone: what it heard is no news any more.
    pub fn on_gone(&mut self, peer: PeerId) {
        self.listeners.remove(&peer);
    }

    /// One of our segments is gone, and what was said on it.
    pub fn on_segment_down(&mut self, segment: SegmentId) {
        for places in self.listeners.values_mut() {
            places.retain(|_, place| place.segment != segment);
        }
    }

    /// Whether two peers say to hear each other, both of late: a path that failed is not one for long.
    #[must_use]
    pub fn hear_each_other(&self, one: PeerId, other: PeerId, now: Time) -> bool {
        self.hears(one, other, now) && self.hears(other, one, now)
    }

    fn hears(&self, listener: PeerId, whom: PeerId, now: Time) -> bool {
        let mut places = self.listeners.get(&listener).into_iter().flat_map(BTreeMap::values);
        places.any(|place| place.until >= now && place.heard.get(whom).is_some_and(|kept| kept.is_recent(now)))
    }

    /// Every segment of which somebody says something that holds: the listener, its address there, and the rest.
    pub fn places(&self, now: Time) -> impl Iterator<Item = (PeerId, SocketAddr, &Place)> {
        let all =
            self.listeners.iter().flat_map(|(&id, places)| places.iter().map(move |(&at, place)| (id, at, place)));
        all.filter(move |(.., place)| place.until >= now)
    }
}

impl Place {
    fn new(segment: SegmentId, now: Time) -> Self {
        let (interface, heard) = (Line::from_peer(""), Row::default());
        Self { segment, interface, sends: None, said_at: now, until: now, whole: false, heard }
    }

    fn note(&mut self, segment: SegmentId, hello: &Hello, now: Time, until: Time) {
        self.segment = segment;
        let name = hello.interface.as_deref().unwrap_or_default();
        if self.interface.as_str() != name {
            self.interface = Line::from_peer(&name.chars().take(15).collect::<String>());
        }
        self.sends = hello.sends.or(self.sends);
        (self.said_at, self.until) = (now, until);
        // What is told to one alone says nothing of the others.
        if hello.of.is_none() || hello.heard.len() > 1 {
            self.whole = hello.of.is_none();
        }
        if hello.of.is_none() {
            self.heard.clear();
        }
        let told = hello.heard.iter().map(|heard| (PeerId(*heard.id), heard));
        self.heard.put_all(told, |heard, _| Some(Kept::new(heard, now, until.since(now))));
    }

    /// Those whom it says to hear there, and how.
    pub fn heard(&self, now: Time) -> impl Iterator<Item = (PeerId, Claim)> {
        self.heard.iter().filter(move |(_, kept)| kept.holds(now)).map(|(id, kept)| (id, kept.claim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEERS_MAX: usize = 4;
    const HOLDS: Duration = Duration::from_secs(6);

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn peer(n: u8) -> PeerId {
        PeerId([n; 16])
    }

    fn address(n: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], n))
    }

    fn hello(heard: &[(u8, u8)], of: Option<u16>) -> Hello {
        let heard = heard.iter().map(|&(id, casts)| Heard {
            id: [id; 16].into(),
            casts,
            base: 1,
            unicast_ttl: None,
            broadcast_ttl: Some(64),
            multicast_ttl: Some(1),
        });
        Hello {
            nick: "ann".into(),
            flags: 0,
            every_ms: 2000,
            head: 1,
            hash: 1,
            heard: heard.collect(),
            interface: Some("eth0\x1b[m and some more".into()),
            ttl: Some(2),
            of,
            round: Some(1),
            sends: Some(6),
            ..Hello::default()
        }
    }

    fn say(matrix: &mut Matrix, who: u8, from: u16, hello: &Hello, now: Time) {
        matrix.on_hello(peer(who), (SegmentId(1), address(from)), hello, (now, now + HOLDS), PEERS_MAX);
    }

    fn claims(matrix: &Matrix, now: Time) -> Vec<(PeerId, PeerId, u8)> {
        let places = matrix.places(now);
        places.flat_map(|(who, _, place)| place.heard(now).map(move |(id, claim)| (who, id, claim.casts))).collect()
    }

    #[test]
    fn what_is_told_whole_replaces_and_what_is_told_in_part_adds() {
        let mut matrix = Matrix::default();
        say(&mut matrix, 1, 1, &hello(&[(2, 6), (3, 7)], None), at(0));
        assert_eq!(claims(&matrix, at(0)), [(peer(1), peer(2), 6), (peer(1), peer(3), 7)]);
        say(&mut matrix, 1, 1, &hello(&[(2, 2)], None), at(2));
        assert_eq!(claims(&matrix, at(2)), [(peer(1), peer(2), 2)], "who is not among all is not heard");
        say(&mut matrix, 1, 1, &hello(&[(4, 1)], Some(2)), at(4));
        assert_eq!(claims(&matrix, at(4)), [(peer(1), peer(2), 2), (peer(1), peer(4), 1)]);
        let whole = |matrix: &Matrix| matrix.places(at(4)).all(|(.., place)| place.whole);
        assert!(whole(&matrix), "what one is told alone says nothing of the others");
        say(&mut matrix, 1, 1, &hello(&[(4, 1), (5, 1)], Some(9)), at(4));
        assert!(!whole(&matrix));
    }

    #[test]
    fn what_is_not_said_again_ends() {
        let mut matrix = Matrix::default();
        say(&mut matrix, 1, 1, &hello(&[(2, 6)], Some(2)), at(0));
        say(&mut matrix, 1, 1, &hello(&[(3, 6)], Some(2)), at(4));
        assert_eq!(claims(&matrix, at(6)).len(), 2);
        assert_eq!(claims(&matrix, at(7)), [(peer(1), peer(3), 6)]);
        assert_eq!(matrix.places(at(11)).count(), 0);
        say(&mut matrix, 1, 1, &hello(&[(3, 6)], None), at(12));
        matrix.on_segment_down(SegmentId(1));
        assert_eq!(matrix.places(at(12)).count(), 0);
        say(&mut matrix, 1, 1, &hello(&[(3, 6)], None), at(12));
        matrix.on_gone(peer(1));
        assert_eq!(matrix.places(at(12)).count(), 0);
    }

    #[test]
    fn each_segment_of_a_listener_is_its_own() {
        let mut matrix = Matrix::default();
        say(&mut matrix, 1, 1, &hello(&[(2, 6)], None), at(0));
        say(&mut matrix, 1, 2, &hello(&[(2, 1)], None), at(0));
        assert_eq!(claims(&matrix, at(0)), [(peer(1), peer(2), 6), (peer(1), peer(2), 1)]);
    }

    #[test]
    fn whatever_is_claimed_there_is_an_end_to_it() {
        let mut matrix = Matrix::default();
        for who in 0..20 {
            for from in 0..20 {
                let lies: Vec<_> = (0..28).map(|n| (n * 7 + u8::try_from(from).expect("few"), 0xFF)).collect();
                say(&mut matrix, who, from, &hello(&lies, Some(u16::MAX)), at(u64::from(from)));
            }
        }
        assert_eq!(matrix.listeners.len(), PEERS_MAX, "listeners");
        for places in matrix.listeners.values() {
            assert!(places.len() <= PLACES_MAX, "{} segments", places.len());
            let all: usize = places.values().map(|place| place.heard.len()).sum();
            assert!(all <= PEERS_MAX, "{all} claims");
            let bits = places.values().flat_map(|place| place.heard(at(0)).map(|(_, claim)| claim.casts));
            assert!(bits.max() <= Some(15), "unknown casts are not kept");
            assert!(places.values().all(|place| place.interface.as_str().chars().count() <= 15));
        }
    }

    #[test]
    fn a_liar_fills_its_own_row_alone() {
        let mut matrix = Matrix::default();
        say(&mut matrix, 1, 1, &hello(&[(2, 6)], None), at(0));
        say(&mut matrix, 9, 1, &hello(&[(1, 15), (2, 15), (3, 15)], None), at(0));
        let of_one: Vec<_> = claims(&matrix, at(0)).into_iter().filter(|(who, ..)| *who == peer(1)).collect();
        assert_eq!(of_one, [(peer(1), peer(2), 6)]);
    }
}

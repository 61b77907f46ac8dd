//! What the network does to a datagram: loss, delay, duplication, reordering, per directed link.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use udpnode::address::Cast;
use udpnode::rng::Rng;
use udpnode::time::Time;

/// The faults of one directed link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Probability that a datagram is lost.
    pub(crate) loss: f64,
    /// Probability that it comes twice.
    pub(crate) duplicate: f64,
    /// One-way delay: at least, and how much more at most. More than nothing reorders.
    pub(crate) delay: (Duration, Duration),
    /// Casts that do not get through at all, as bits of [`Cast::bit`].
    pub(crate) blocked: u8,
    /// Loss that comes in bursts, on top of the other.
    pub(crate) burst: Option<Burst>,
    /// Bytes a second that a sender's link takes; what would wait longer than [`QUEUE`] is lost.
    pub(crate) rate: Option<u64>,
}

/// Loss in bursts (Gilbert and Elliott): a link is good or bad, and all is lost while it is bad.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    /// Probability that a good link turns bad with a datagram.
    pub(crate) begins: f64,
    /// Probability that a bad one turns good.
    pub(crate) ends: f64,
}

/// How much of a sender's output may wait for its link.
const QUEUE: Duration = Duration::from_millis(200);

impl Faults {
    /// A quiet switch.
    pub(crate) const NONE: Self = Self {
        loss: 0.0,
        duplicate: 0.0,
        delay: (Duration::from_micros(100), Duration::from_micros(50)),
        blocked: 0,
        burst: None,
        rate: None,
    };

    /// Loss, duplication and reordering together.
    pub(crate) fn rough(loss: f64, duplicate: f64, delay_ms: u64) -> Self {
        let delay = (Duration::from_micros(100), Duration::from_millis(delay_ms));
        Self { loss, duplicate, delay, ..Self::NONE }
    }
}

/// A network: its links by default, and those that differ, by sender and receiver.
pub(crate) struct Net {
    pub(crate) default: Faults,
    pub(crate) links: BTreeMap<(usize, usize), Faults>,
    /// Routers between any two of its hosts.
    pub(crate) hops: u8,
    rng: Rng,
    /// Links that are in a burst of loss.
    bad: BTreeSet<(usize, usize)>,
    /// Until when each sender's link is taken.
    busy: BTreeMap<usize, Time>,
}

impl Net {
    pub(crate) fn new(default: Faults, seed: u64) -> Self {
        let (links, bad, busy) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { default, links, hops: 0, rng: Rng::new(seed), bad, busy }
    }

    /// How long a datagram waits for its sender's link; `None` if the queue is full.
    pub(crate) fn queue(&mut self, from: usize, bytes: usize, now: Time) -> Option<Duration> {
        let Some(rate) = self.default.rate else { return Some(Duration::ZERO) };
        let free_at = self.busy.get(&from).copied().unwrap_or(now).max(now);
        let wait = free_at.since(now);
        if wait > QUEUE {
            return None;
        }
        // Ethernet, IP and UDP take 46 bytes more.
        let takes = Duration::from_micros((bytes as u64 + 46) * 1_000_000 / rate);
        self.busy.insert(from, free_at + takes);
        Some(wait + takes)
    }

    fn in_burst(&mut self, link: (usize, usize), burst: Option<Burst>) -> bool {
        let Some(burst) = burst else { return false };
        let bad = self.bad.contains(&link);
        let turns = self.rng.chance(if bad { burst.ends } else { burst.begins });
        if bad != turns {
            self.bad.insert(link);
        } else {
            self.bad.remove(&link);
        }
        bad != turns
    }

    /// Delays after which the copies of a datagram arrive: none if it is lost.
    pub(crate) fn fates(&mut self, from: usize, to: usize, cast: Cast) -> Vec<Duration> {
        let faults = self.links.get(&(from, to)).copied().unwrap_or(self.default);
        if faults.blocked & cast.bit() != 0 || self.in_burst((from, to), faults.burst) || self.rng.chance(faults.loss) {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.rng.chance(faults.duplicate));
        (0..copies).map(|_| faults.delay.0 + self.rng.within(faults.delay.1)).collect()
    }

    /// Cuts every link between the two sides, in both directions.
    pub(crate) fn partition(&mut self, left: &[usize], right: &[usize]) {
        for (&a, &b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
            for link in [(a, b), (b, a)] {
                self.links.insert(link, Faults { blocked: 7, ..self.default });
            }
        }
    }

    /// Mends everything.
    pub(crate) fn heal(&mut self) {
        self.links.clear();
        self.bad.clear();
        self.default = Faults::NONE;
    }
}

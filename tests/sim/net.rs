//! What the network does to a datagram: loss, delay, duplication, reordering, per directed link.

use std::collections::BTreeMap;
use std::time::Duration;

use udpnode::address::Cast;
use udpnode::rng::Rng;

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
}

impl Faults {
    /// A quiet switch.
    pub(crate) const NONE: Self =
        Self { loss: 0.0, duplicate: 0.0, delay: (Duration::from_micros(100), Duration::from_micros(50)), blocked: 0 };

    /// Loss, duplication and reordering together.
    pub(crate) fn rough(loss: f64, duplicate: f64, delay_ms: u64) -> Self {
        let delay = (Duration::from_micros(100), Duration::from_millis(delay_ms));
        Self { loss, duplicate, delay, blocked: 0 }
    }
}

/// A network: its links by default, and those that differ, by sender and receiver.
pub(crate) struct Net {
    pub(crate) default: Faults,
    pub(crate) links: BTreeMap<(usize, usize), Faults>,
    rng: Rng,
}

impl Net {
    pub(crate) fn new(default: Faults, seed: u64) -> Self {
        Self { default, links: BTreeMap::new(), rng: Rng::new(seed) }
    }

    /// Delays after which the copies of a datagram arrive: none if it is lost.
    pub(crate) fn fates(&mut self, from: usize, to: usize, cast: Cast) -> Vec<Duration> {
        let faults = self.links.get(&(from, to)).copied().unwrap_or(self.default);
        if faults.blocked & cast.bit() != 0 || self.rng.chance(faults.loss) {
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
        self.default = Faults::NONE;
    }
}

//! Repair: when to ask, who answers, how much may go out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::address::Errand;
use crate::config::Config;
use crate::id::{LogId, PeerId};
use crate::protocol::{Context, Post, To};
use crate::rng::Rng;
use crate::time::{Bucket, Rate, Time};
use crate::wire::{ENTRY_LEN_MAX, Message};

/// Rounds after which asking slows down.
const PATIENT_ROUNDS: u32 = 5;

/// Members of which the round trip counts, ...
const MEMBERS: usize = 16;
/// ... and round trips of each.
const LATEST: usize = 3;

/// No pause between two rounds is longer than this.
const PAUSE_MAX: Duration = Duration::from_millis(3200);

/// How long most round trips through the group take, by what probes measured: the third quartile over those of its
/// members that were measured last, of each the least of its latest.
///
/// The time from a request to its repair would tell less: what is repaired was asked for by several, and in vain. And a
/// mean would: who stood still for a second answers a second late.
#[derive(Debug)]
pub(super) struct RoundTrip {
    latest: VecDeque<(PeerId, [Duration; LATEST])>,
    most: Duration,
}

impl RoundTrip {
    pub(super) const fn new(config: &Config) -> Self {
        Self { latest: VecDeque::new(), most: config.round_trip }
    }

    pub(super) const fn get(&self) -> Duration {
        self.most
    }

    /// A member answered a probe after this time.
    pub(super) fn sample(&mut self, from: PeerId, took: Duration, config: &Config) {
        let known = self.latest.iter().position(|(id, _)| *id == from).and_then(|at| self.latest.remove(at));
        let [newest, newer, _] = known.map_or([Duration::MAX; LATEST], |(_, samples)| samples);
        self.latest.push_front((from, [took, newest, newer]));
        self.latest.truncate(MEMBERS);
        let least = |samples: &[Duration; LATEST]| samples.iter().min().copied().unwrap_or(took);
        let mut sorted: Vec<_> = self.latest.iter().map(|(_, samples)| least(samples)).collect();
        sorted.sort_unstable();
        self.most = sorted[(sorted.len() - 1) * 3 / 4].clamp(config.round_trip_min, config.round_trip_max);
    }

    /// The pause after a request before the next: a hold-off of (K + 2) round trips, doubled after
    /// some rounds.
    pub(super) fn pause(&self, round: u32, config: &Config) -> Duration {
        let doublings = round.saturating_sub(PATIENT_ROUNDS).min(10);
        let hold_off = self.most * (config.backoff_factor + 2);
        (hold_off * 2u32.pow(doublings)).min(PAUSE_MAX)
    }

    /// A random wait before asking, so that of many who lack the same mostly one asks: truncated
    /// exponential over K round trips (RFC 5401, section 4.2). With two others there is no crowd.
    pub(super) fn backoff(&self, group: usize, rng: &mut Rng, config: &Config) -> Duration {
        if group <= 2 {
            return Duration::ZERO;
        }
        let span = (self.most * config.backoff_factor).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "groups are small")]
        let lambda = libm::log(group as f64) + 1.0;
        let x = rng.unit() * lambda / span + lambda / (span * (libm::exp(lambda) - 1.0));
        let wait = span / lambda * libm::log(x * (libm::exp(lambda) - 1.0) * (span / lambda));
        Duration::from_secs_f64(wait.clamp(0.0, span))
    }
}

/// When something was last sent because somebody asked, and to whom, if not to everybody.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Repaired(Option<(Time, Option<PeerId>)>);

impl Repaired {
    pub(super) const fn now(to: Option<PeerId>, now: Time) -> Self {
        Self(Some((now, to)))
    }

    /// Whether it is still on its way to whoever asks. What one was given keeps no other waiting.
    pub(super) fn is_under_way(self, from: PeerId, quiet: Duration, now: Time) -> bool {
        self.0.is_some_and(|(at, to)| now.since(at) < quiet && to.is_none_or(|to| to == from))
    }
}

/// How many bytes may go out for repair: of what may in all three quarters for each who asks, if there are several, so
/// that nobody who asks all the time leaves nothing for the others.
#[derive(Debug)]
pub(super) struct Budget {
    all: Bucket,
    /// What was given to those online.
    each: BTreeMap<PeerId, Bucket>,
}

impl Budget {
    /// Nothing was given yet.
    pub(super) const fn new(now: Time) -> Self {
        Self { all: Bucket::new(now), each: BTreeMap::new() }
    }

    /// Whether so many bytes may go out now that one peer asked for; it is `alone` if nobody else is there.
    pub(super) fn take(&mut self, bytes: u32, to: PeerId, alone: bool, now: Time, config: &Config) -> bool {
        let (rate, burst) = (config.repair_rate, config.repair_burst);
        let its = self.each.entry(to).or_insert_with(|| Bucket::new(now));
        (alone || its.take(bytes, Rate::per_second(rate / 4 * 3, burst / 4 * 3), now))
            && self.all.take(bytes, Rate::per_second(rate, burst), now)
    }

    /// A peer is gone.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.each.remove(&peer);
    }
}

/// How many holders other than the author answer in a round: none in the first while the author is
/// there, then twice as many each time.
pub(super) const fn answering(round: u8, author_online: bool) -> usize {
    let doubling = if round < 8 { 1usize << round } else { 256 };
    if author_online { doubling - 1 } else { doubling }
}

/// The weight of a holder for some entries of a log: those with the lowest answer first. Everybody computes
/// the same order without a word (rendezvous hashing).
pub(super) fn weight(holder: PeerId, log: LogId, block: u64) -> u64 {
    let fold = |id: PeerId| {
        let bits = u128::from_be_bytes(id.0);
        (bits >> 64) as u64 ^ bits as u64
    };
    Rng::new(fold(holder) ^ fold(log.author).rotate_left(17) ^ log.boot ^ block.wrapping_mul(0x9E37_79B9)).next_u64()
}

/// Posts entries, as many to a datagram as fit.
pub(super) fn post_entries(to: &To, entries: Vec<Arc<[u8]>>, ctx: &mut Context<'_>) {
    let (mut bundle, mut len) = (Vec::new(), 0);
    for raw in entries {
        ctx.stats.repairs += 1;
        if len + raw.len() > ENTRY_LEN_MAX {
            ctx.posts.push_back(Post {
                to: to.clone(),
                message: Message::Entries(Errand::Repair, std::mem::take(&mut bundle)),
            });
            len = 0;
        }
        len += raw.len();
        bundle.push(raw);
    }
    if !bundle.is_empty() {
        ctx.posts.push_back(Post { to: to.clone(), message: Message::Entries(Errand::Repair, bundle) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Nick;

    fn config() -> Config {
        Config::new(Nick::from_any("ann"), "239.192.7.7:5007".parse().expect("an address"))
    }

    #[test]
    fn backoff_stays_in_its_span_and_most_wait_long_in_a_crowd() {
        let (config, mut rng) = (config(), Rng::new(3));
        let round_trip = RoundTrip::new(&config);
        let span = config.round_trip * config.backoff_factor;
        let waits: Vec<_> = (0..1000).map(|_| round_trip.backoff(256, &mut rng, &config)).collect();
        assert!(waits.iter().all(|wait| *wait <= span));
        let early = waits.iter().filter(|wait| **wait < span / 4).count();
        assert!(early < 50, "{early} of 1000 ask in the first quarter");
        assert_eq!(round_trip.backoff(2, &mut rng, &config), Duration::ZERO);
    }

    #[test]
    fn the_round_trip_is_what_most_take() {
        let (config, ms) = (config(), Duration::from_millis);
        let mut round_trip = RoundTrip::new(&config);
        assert_eq!(round_trip.get(), ms(20), "not measured");
        let mut sample = |from: u8, took| {
            round_trip.sample(PeerId([from; 16]), ms(took), &config);
            round_trip.get()
        };
        assert_eq!(sample(1, 1), config.round_trip_min);
        assert_eq!(
            (sample(1, 1500), sample(1, 1500)),
            (config.round_trip_min, config.round_trip_min),
            "it stood still"
        );
        assert_eq!(sample(1, 9000), ms(1500), "it is slow");
        assert_eq!(sample(2, 9), ms(9), "one of two");
        assert_eq!((sample(3, 8), sample(4, 7), sample(5, 6)), (ms(9), ms(9), ms(9)), "one of five");
        assert_eq!(sample(6, 700), ms(9), "two of six");
        assert_eq!(sample(7, 700), ms(700), "three of seven");
        for from in 8..8 + 16 {
            sample(from, 11);
        }
        assert_eq!(sample(8, 12), ms(11), "those before are not remembered");
        (0..48).for_each(|n| _ = sample(n / 3, 9000));
        assert_eq!(sample(0, 9000), config.round_trip_max);
    }

    #[test]
    fn the_budget_refuses_beyond_its_burst_and_refills() {
        let (config, ann, bob) = (config(), PeerId([1; 16]), PeerId([2; 16]));
        let mut left = Budget::new(Time::ZERO);
        let mut take = |bytes, to, alone, ms: u64| left.take(bytes, to, alone, Time::from_micros(ms * 1000), &config);
        assert!(take(config.repair_burst, ann, true, 0));
        assert!(!take(1, ann, true, 0));
        assert!(take(config.repair_rate / 1000, ann, true, 1));
        assert!(!take(1, ann, true, 1));
        let most = config.repair_burst / 4 * 3;
        assert!(take(most, ann, false, 10_000) && !take(1, ann, false, 10_000), "something is left");
        assert!(take(config.repair_burst - most, bob, false, 10_000) && !take(1, bob, false, 10_000));
    }

    #[test]
    fn each_round_more_holders_answer() {
        assert_eq!([0, 1, 2, 3].map(|round| answering(round, true)), [0, 1, 3, 7]);
        assert_eq!([0, 1, 2].map(|round| answering(round, false)), [1, 2, 4]);
    }
}

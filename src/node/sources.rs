//! Who may begin streams, and how often: by the address that connected, which TCP has proven.
//!
//! Reading a handshake costs a fifth of a millisecond. Whoever asks for too many is turned away, and
//! keeps nobody else from being heard.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::time::{Bucket, Rate, Time};

/// Handshakes read at once of one address; an honest node needs one for each of its runs there.
const HANDSHAKES_BURST: u32 = 16;
/// One more of it after each such time.
const HANDSHAKES_EVERY: Duration = Duration::from_millis(100);
const HANDSHAKES: Rate = Rate::one_every(HANDSHAKES_EVERY, HANDSHAKES_BURST);
/// Handshakes read at once of all addresses together.
const HANDSHAKES_ALL_BURST: u32 = 128;
/// One more of them after each such time: a twentieth of a processor at most.
const HANDSHAKES_ALL_EVERY: Duration = Duration::from_millis(5);
const HANDSHAKES_ALL: Rate = Rate::one_every(HANDSHAKES_ALL_EVERY, HANDSHAKES_ALL_BURST);
/// Addresses remembered. When full, the one that asked longest ago is forgotten.
const SOURCES_MAX: usize = 256;
/// Addresses of which was told that they are turned away. When full, no further one is told.
const TOLD_MAX: usize = 64;

/// Handshakes answered that are remembered. When full, the one answered longest ago is forgotten.
const ANSWERED_MAX: usize = 1024;
/// So many bytes tell one handshake from all others: it begins with a key made for it alone.
const MARK_LEN: usize = 16;

/// What each address asked for.
#[derive(Debug, Default)]
pub(super) struct Sources {
    all: Bucket,
    each: BTreeMap<IpAddr, Bucket>,
    told: Vec<IpAddr>,
    answered: VecDeque<[u8; MARK_LEN]>,
}

impl Sources {
    /// Whether a handshake that came from there may be read.
    pub(super) fn may_greet(&mut self, from: IpAddr, now: Time) -> bool {
        if self.each.len() >= SOURCES_MAX && !self.each.contains_key(&from) {
            let oldest = self.each.iter().min_by_key(|(_, bucket)| bucket.asked_at()).map(|(&ip, _)| ip);
            oldest.map(|ip| self.each.remove(&ip));
        }
        let each = self.each.entry(from).or_insert_with(|| Bucket::new(now));
        each.take(1, HANDSHAKES, now) && self.all.take(1, HANDSHAKES_ALL, now)
    }

    /// Whether a handshake was answered before: then it is a recording, and whoever plays it learns nothing.
    pub(super) fn is_recording(&self, message: &[u8]) -> bool {
        message.first_chunk().is_some_and(|mark| self.answered.contains(mark))
    }

    /// A handshake is authentic, and answered.
    pub(super) fn on_answered(&mut self, message: &[u8]) {
        if self.answered.len() >= ANSWERED_MAX {
            self.answered.pop_front();
        }
        self.answered.extend(message.first_chunk());
    }

    /// Whether it is news that this one is turned away.
    pub(super) fn is_news(&mut self, from: IpAddr) -> bool {
        let news = self.told.len() < TOLD_MAX && !self.told.contains(&from);
        if news {
            self.told.push(from);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn ip(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn one_address_is_turned_away_and_others_are_not() {
        let mut sources = Sources::default();
        let read = (0..100).filter(|_| sources.may_greet(ip(1), at(0))).count();
        assert_eq!(read, 16);
        assert!(sources.may_greet(ip(2), at(0)), "another address");
        assert!(!sources.may_greet(ip(1), at(99)));
        assert!(sources.may_greet(ip(1), at(200)));
        assert_eq!((0..100).filter(|_| sources.may_greet(ip(1), at(100_000))).count(), 16, "not saved up");
    }

    #[test]
    fn many_addresses_cost_no_more_than_all_may() {
        let mut sources = Sources::default();
        let read = (0..100_000).filter(|&n| sources.may_greet(ip(n), at(0))).count();
        assert_eq!(read, 128);
        assert_eq!(sources.each.len(), SOURCES_MAX);
        assert!(sources.may_greet(ip(7), at(5)));
        assert!(!sources.may_greet(ip(8), at(5)));
    }

    #[test]
    fn it_is_told_once_and_not_of_everybody() {
        let mut sources = Sources::default();
        let told = (0..1000).filter(|&n| sources.is_news(ip(n % 100))).count();
        assert_eq!(told, TOLD_MAX);
    }
}

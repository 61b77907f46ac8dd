//! Plain text that is heard twice because two segments are one network: two interfaces on one switch.
//!
//! Plain datagrams have no number, so copies are known by where they come from and what they hold,
//! counted on each segment: who says a thing twice is heard twice on each. What is learned here of
//! the segments serves plain mode, which casts on one only of those that are one network.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::address::{Cast, Segment, SegmentId, is_link_local};
use crate::event::Arrival;
use crate::time::Time;

/// Texts remembered. When full, the oldest is forgotten: a copy of it would be shown.
const TEXTS_MAX: usize = 256;

/// A copy that comes later than this is no copy.
const COPY_MAX: Duration = Duration::from_secs(1);

/// Texts heard by cast of late, and what they tell of the segments.
#[derive(Debug, Default)]
pub(super) struct Copies {
    texts: VecDeque<Text>,
    /// Whether two segments are one network, where that is known; the lower number first.
    one: BTreeMap<(SegmentId, SegmentId), bool>,
}

/// A text, as often as it was heard of late.
#[derive(Debug)]
struct Text {
    from: (IpAddr, u16),
    hash: blake3::Hash,
    first_at: Time,
    /// How often, on each segment.
    heard: BTreeMap<SegmentId, u32>,
    shown: u32,
}

impl Copies {
    /// Something plain was heard. Whether it is a copy of a cast that was heard on another segment.
    pub(super) fn is_copy(&mut self, now: Time, there: &[SegmentId], arrival: &Arrival, bytes: &[u8]) -> bool {
        if there.len() < 2 || arrival.cast == Cast::Unicast {
            return false;
        }
        self.forget(now, there);
        let (on, from) = (arrival.segment, arrival.address);
        let (from, hash) = ((from.ip(), from.port()), blake3::hash(bytes));
        let at = self.texts.iter().position(|text| text.from == from && text.hash == hash).unwrap_or_else(|| {
            if self.texts.len() >= TEXTS_MAX {
                self.texts.pop_front();
            }
            self.texts.push_back(Text { from, hash, first_at: now, heard: BTreeMap::new(), shown: 0 });
            self.texts.len() - 1
        });
        let Some(text) = self.texts.get_mut(at) else { return false };
        let times = text.heard.entry(on).or_default();
        *times += 1;
        let is_copy = *times <= text.shown;
        if is_copy {
            let others = text.heard.keys().filter(|&&other| other != on);
            self.one.extend(others.map(|&other| ((on.min(other), on.max(other)), true)));
        } else {
            text.shown += 1;
        }
        is_copy
    }

    /// Forgets texts that can have no more copies. What was heard on one of two segments that seemed
    /// to be one network shows that they are not.
    fn forget(&mut self, now: Time, there: &[SegmentId]) {
        self.one.retain(|(low, high), _| there.contains(low) && there.contains(high));
        while self.texts.front().is_some_and(|text| now.since(text.first_at) > COPY_MAX) {
            let Some(text) = self.texts.pop_front() else { break };
            for &on in text.heard.keys().filter(|on| there.contains(on)) {
                let not = there.iter().filter(|other| !text.heard.contains_key(other));
                self.one.extend(not.map(|&other| ((on.min(other), on.max(other)), false)));
            }
        }
    }

    /// Whether two segments are one network: as was heard, else as their addresses say.
    pub(super) fn are_one(&self, a: &Segment, b: &Segment) -> bool {
        let known = self.one.get(&(a.id.min(b.id), a.id.max(b.id))).copied();
        known.unwrap_or_else(|| {
            let (ip, other) = (a.address.ip(), b.address.ip());
            !is_link_local(ip) && a.prefix_len == b.prefix_len && a.contains(other)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Errand;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    const THERE: [SegmentId; 2] = [SegmentId(1), SegmentId(2)];

    /// Hears `bob: hi` by multicast.
    fn hears(copies: &mut Copies, ms: u64, on: u32, from: &str) -> bool {
        let address = from.parse().expect("an address");
        let arrival =
            Arrival { segment: SegmentId(on), cast: Cast::Multicast, address, ttl: None, errand: Errand::Said };
        copies.is_copy(at(ms), &THERE, &arrival, b"bob: hi")
    }

    fn segment(id: u32, address: &str) -> Segment {
        Segment { id: SegmentId(id), name: format!("eth{id}"), ..Segment::eth0(address) }
    }

    #[test]
    fn a_copy_is_what_the_other_segment_had() {
        let (mut copies, bob) = (Copies::default(), "10.0.0.4:5004");
        let heard = [(0, 1), (1, 2), (2, 2), (3, 1), (4, 1)].map(|(ms, on)| hears(&mut copies, ms, on, bob));
        assert_eq!(heard, [false, true, false, true, false], "said three times, once of it lost on the second");
        assert!(!hears(&mut copies, 5, 2, "10.0.0.9:5009"), "said by somebody else");
        assert!(!hears(&mut copies, 2000, 2, bob), "long after");
        assert!(hears(&mut copies, 2001, 1, bob));
        let ll = |copies: &mut Copies, on: u32| hears(copies, 2002, on, &format!("[fe80::4%{on}]:5004"));
        assert_eq!((ll(&mut copies, 1), ll(&mut copies, 2)), (false, true), "whatever the scope");
    }

    #[test]
    fn unicast_and_a_single_segment_have_no_copies() {
        let mut copies = Copies::default();
        let address = "10.0.0.4:5004".parse().expect("an address");
        for (cast, there) in [(Cast::Unicast, &THERE[..]), (Cast::Multicast, &THERE[..1])] {
            for segment in THERE {
                let arrival = Arrival { segment, cast, address, ttl: None, errand: Errand::Said };
                assert!(!copies.is_copy(at(0), there, &arrival, b"x"));
            }
        }
        assert!(copies.texts.is_empty());
    }

    #[test]
    fn segments_are_one_network_as_heard_else_as_addressed() {
        let mut copies = Copies::default();
        let (a, b) = (segment(1, "10.0.0.3:5003"), segment(2, "10.0.0.33:5033"));
        let (c, v6) = (segment(2, "10.0.1.3:5003"), segment(2, "[fe80::3%2]:5003"));
        assert!(copies.are_one(&a, &b) && !copies.are_one(&a, &c));
        assert!(!copies.are_one(&v6, &segment(1, "[fe80::3%1]:5003")), "every link has that network");
        hears(&mut copies, 0, 1, "10.0.0.4:5004");
        hears(&mut copies, 2000, 1, "10.0.0.4:5004");
        assert!(!copies.are_one(&a, &b), "heard on one only");
        hears(&mut copies, 2001, 2, "10.0.0.4:5004");
        assert!(copies.are_one(&b, &a) && copies.are_one(&a, &c), "heard on both");
        copies.forget(at(9000), &THERE[..1]);
        assert!(!copies.are_one(&a, &c), "one of them went");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut copies = Copies::default();
        for port in 1..1000 {
            hears(&mut copies, 0, 1, &format!("10.0.0.4:{port}"));
        }
        assert_eq!(copies.texts.len(), TEXTS_MAX);
    }
}

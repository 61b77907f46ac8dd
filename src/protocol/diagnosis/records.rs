//! Everything that is remembered for a diagnosis, in one place that `node` keeps up to date.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use minicbor::bytes::ByteVec;

use super::{Examination, Flaw, Hearing, Snoop, Strays, Survey, local};
use crate::address::{Cast, Segment, SegmentId};
use crate::config::{DATAGRAM_MAX, GROUP_DEFAULT};
use crate::id::PeerId;
use crate::time::{Time, WallTime};
use crate::wire::SIGNED_OVERHEAD;
use crate::wire::body::{
    Condition, FLAG_ASKS, FLAW_DEAF_BROADCAST, FLAW_DEAF_MULTICAST, FLAW_NO_MULTICAST, FLAW_REVERSE_PATH, FLAW_REVIVED,
    Hello, encoded_len,
};

/// Peers whose condition is kept, by segment. When full, no further one is.
const TOLD_MAX: usize = 512;

/// What a filled hello leaves free: an answer is not longer than what it answers.
const SPARE_ASKING: usize = 8;
const SPARE_ANSWERING: usize = 24;

/// What a peer told of itself on a segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    flaws: u16,
    mtu: Option<u32>,
    /// The TTL of its multicasts.
    pub ttl: Option<u8>,
    /// How far its clock is ahead of ours.
    pub skew_ms: Option<i64>,
    /// The casts by which it says hello, as bits.
    sends: Option<u8>,
}

impl Told {
    /// What is amiss on its side.
    #[must_use]
    pub fn flaws(&self) -> Vec<Flaw> {
        let told = |bit| self.flaws & bit != 0;
        let lacks = |cast: Cast| self.sends.is_some_and(|sends| sends & cast.bit() == 0);
        let flags = [
            (told(FLAW_REVERSE_PATH), Flaw::ReversePath),
            (told(FLAW_NO_MULTICAST), Flaw::NoMulticastFlag),
            (told(FLAW_REVIVED), Flaw::Revived),
            (lacks(Cast::Multicast), Flaw::NoGroup),
            (lacks(Cast::Broadcast), Flaw::NoBroadcast),
            (told(FLAW_DEAF_MULTICAST), Flaw::Deaf(Cast::Multicast)),
            (told(FLAW_DEAF_BROADCAST), Flaw::Deaf(Cast::Broadcast)),
        ];
        let flaws = flags.into_iter().filter(|(is, _)| *is).map(|(_, flaw)| flaw);
        flaws.chain(self.mtu.map(Flaw::Narrow)).collect()
    }
}

/// How a hello came.
#[derive(Clone, Copy, Debug)]
pub struct Came {
    /// From whom.
    pub id: PeerId,
    /// Who heard it: we.
    pub us: PeerId,
    /// On which segment.
    pub segment: SegmentId,
    /// By which cast.
    pub cast: Cast,
    /// From which address.
    pub address: SocketAddr,
    /// No router lies between.
    pub near: bool,
    /// We listen for multicasts there.
    pub joined: bool,
    /// It came from where that peer is reached: one with two interfaces here says of each what it hears there.
    pub there: bool,
}

/// What is to be done because of a hello.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Join the group anew on the segment.
    pub rejoin: bool,
    /// Say hello to all, soon.
    pub hello: bool,
}

/// Everything that is remembered.
#[derive(Debug, Default)]
pub struct Records {
    /// The machine.
    pub survey: Survey,
    surveyed_at: Option<Time>,
    /// Who hears whom.
    pub hearing: Hearing,
    /// What strays.
    pub strays: Strays,
    /// Which groups went silent.
    pub snoop: Snoop,
    /// What is tried.
    pub examination: Examination,
    told: BTreeMap<(SegmentId, PeerId), Told>,
}

impl Records {
    /// The machine was looked at.
    pub fn on_survey(&mut self, survey: Survey, now: Time) {
        (self.survey, self.surveyed_at) = (survey, Some(now));
    }

    /// What the wall clock shows, if it was ever looked at.
    fn wall(&self, now: Time) -> Option<WallTime> {
        let since = u64::try_from(now.since(self.surveyed_at?).as_millis()).unwrap_or(u64::MAX);
        Some(WallTime(self.survey.wall.0.saturating_add(since)))
    }

    /// What a peer says of whom it hears, and whom it does not.
    fn note_statements(&mut self, came: Came, hello: &Hello, now: Time) {
        let Came { segment, id, us, .. } = came;
        let said = hello.heard.iter().map(|heard| (PeerId(*heard.id), heard.casts));
        self.hearing.on_statements(segment, id, said, now);
        // Whoever is not among all that it hears is not heard.
        if hello.of.is_none() && hello.flags & FLAG_ASKS == 0 {
            let all = self.hearing.speakers(segment).chain([us]).filter(|speaker| *speaker != id);
            let unsaid: Vec<_> = all.filter(|speaker| hello.heard_of(*speaker).is_none()).collect();
            self.hearing.on_statements(segment, id, unsaid.into_iter().map(|speaker| (speaker, 0)), now);
        }
    }

    /// A hello of a peer that is online.
    pub fn on_hello(&mut self, came: Came, hello: &Hello, now: Time) -> Due {
        let (segment, id) = (came.segment, came.id);
        self.hearing.on_hello(segment, id, came.cast, now);
        if came.there {
            self.note_statements(came, hello, now);
        }
        self.note_told(came, hello, now);
        let asks = hello.flags & FLAG_ASKS != 0;
        let (alone, told) = (came.cast == Cast::Unicast, hello.condition.as_ref());
        let sends = hello.sends.is_none_or(|sends| sends & Cast::Multicast.bit() != 0);
        Due {
            hello: self.examination.on_condition(came.address, told, (alone, asks), now),
            rejoin: came.near
                && came.joined
                && sends
                && self.snoop.on_hello(segment, came.cast, self.examination.since().is_some(), now),
        }
    }

    fn note_told(&mut self, came: Came, hello: &Hello, now: Time) {
        let key = (came.segment, came.id);
        if self.told.len() >= TOLD_MAX && !self.told.contains_key(&key) {
            return;
        }
        let condition = hello.condition.as_ref();
        let clock = condition.and_then(|condition| condition.clock_ms);
        let skew = |theirs: u64, ours: WallTime| i64::try_from(i128::from(theirs) - i128::from(ours.0)).ok();
        let told = Told {
            flaws: condition.and_then(|condition| condition.flaws).unwrap_or(0),
            mtu: condition.and_then(|condition| condition.mtu),
            ttl: condition.and_then(|condition| condition.ttl),
            skew_ms: clock.zip(self.wall(now)).and_then(|(theirs, ours)| skew(theirs, ours)),
            sends: hello.sends,
        };
        self.told.insert(key, told);
    }

    /// What a peer told of itself on a segment.
    #[must_use]
    pub fn told(&self, segment: SegmentId, id: PeerId) -> Told {
        self.told.get(&(segment, id)).copied().unwrap_or_default()
    }

    /// A peer left, is lost, or runs anew.
    pub fn on_gone(&mut self, id: PeerId) {
        self.hearing.on_gone(id);
        self.told.retain(|(_, peer), _| *peer != id);
    }

    /// A segment is gone.
    pub fn on_segment_down(&mut self, segment: SegmentId) {
        self.hearing.on_segment_down(segment);
        self.snoop.on_segment_down(segment);
        self.survey.segments.remove(&segment);
        self.told.retain(|(on, _), _| *on != segment);
    }

    /// What is amiss on our side of a segment.
    #[must_use]
    pub fn own_flaws(&self, segment: &Segment, now: Time) -> Vec<Flaw> {
        let facts = self.survey.segments.get(&segment.id).cloned().unwrap_or_default();
        let revived = self.snoop.helped(segment.id, now);
        local::flaws(&facts, segment, revived)
    }

    /// Adds to a hello what is to be said of ourselves: on this segment, to this address or to all.
    /// A node that knows nothing of its machine says nothing.
    pub fn describe(
        &mut self,
        hello: &mut Hello,
        segment: &Segment,
        to: Option<SocketAddr>,
        group: SocketAddr,
        now: Time,
    ) {
        let flaws = self.own_flaws(segment, now);
        let bits = flaws.iter().map(|flaw| match flaw {
            Flaw::ReversePath => FLAW_REVERSE_PATH,
            Flaw::NoMulticastFlag => FLAW_NO_MULTICAST,
            Flaw::Revived => FLAW_REVIVED,
            Flaw::Deaf(Cast::Multicast) => FLAW_DEAF_MULTICAST,
            Flaw::Deaf(Cast::Broadcast) => FLAW_DEAF_BROADCAST,
            Flaw::NoGroup | Flaw::NoBroadcast | Flaw::Deaf(Cast::Unicast) | Flaw::Narrow(_) => 0,
        });
        let narrow = flaws.iter().find_map(|flaw| if let Flaw::Narrow(mtu) = flaw { Some(*mtu) } else { None });
        let (probe, filled) = self.examination.probe(to, now);
        let condition = Condition {
            clock_ms: self.wall(now).map(|wall| wall.0),
            flaws: Some(bits.fold(0, |all, bit| all | bit)).filter(|flaws| *flaws != 0),
            mtu: narrow,
            ttl: self.surveyed_at.map(|_| segment.ttls.group),
            group: (group != GROUP_DEFAULT).then(|| wire_group(group)),
            probe: Some(probe).filter(|probe| *probe != 0),
            pad: None,
        };
        if condition == Condition::default() && !filled {
            return;
        }
        hello.condition = Some(condition);
        if filled {
            let asks = hello.flags & FLAG_ASKS != 0;
            let spare = if asks { SPARE_ASKING } else { SPARE_ANSWERING };
            let room = (DATAGRAM_MAX - SIGNED_OVERHEAD - spare).saturating_sub(encoded_len(hello));
            if let Some(condition) = hello.condition.as_mut() {
                condition.pad = Some(ByteVec::from(vec![0; room]));
            }
        }
    }
}

/// A group as it stands on the wire: the bytes of the address and of the port.
fn wire_group(group: SocketAddr) -> ByteVec {
    let port = group.port().to_be_bytes();
    let bytes = match group.ip() {
        IpAddr::V4(ip) => [&ip.octets()[..], &port].concat(),
        IpAddr::V6(ip) => [&ip.octets()[..], &port].concat(),
    };
    ByteVec::from(bytes)
}

/// The group that a stranger's hello names; `None` if it names something else.
#[must_use]
pub fn group_of(condition: Option<&Condition>) -> Option<SocketAddr> {
    let Some(bytes) = condition.and_then(|condition| condition.group.as_ref()) else { return Some(GROUP_DEFAULT) };
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    let v4 = <[u8; 4]>::try_from(ip).map(|ip| IpAddr::from(Ipv4Addr::from(ip)));
    let v6 = || <[u8; 16]>::try_from(ip).map(|ip| IpAddr::from(Ipv6Addr::from(ip)));
    let ip = v4.or_else(|_| v6()).ok()?;
    ip.is_multicast().then(|| SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Segment {
        Segment::eth0("10.0.0.1:5001")
    }

    fn hello(flags: u8) -> Hello {
        Hello { nick: "ann".into(), flags, every_ms: 2000, head: 1, hash: 1, ..Hello::default() }
    }

    /// What is said of ourselves in a hello to `to`.
    fn described(records: &mut Records, flags: u8, to: Option<SocketAddr>, group: &str) -> (Option<Condition>, usize) {
        let mut hello = hello(flags);
        records.describe(&mut hello, &segment(), to, group.parse().expect("a group"), Time::ZERO);
        let len = encoded_len(&hello);
        (hello.condition, len)
    }

    #[test]
    fn a_node_that_knows_nothing_of_itself_says_nothing() {
        assert_eq!(described(&mut Records::default(), 0, None, "239.192.7.7:5007").0, None);
        let mut records = Records::default();
        records.on_survey(Survey { wall: WallTime(1000), ..Survey::default() }, Time::ZERO);
        let (told, _) = described(&mut records, 0, None, "239.192.7.7:5007");
        let expected = Condition { clock_ms: Some(1000), ttl: Some(2), ..Condition::default() };
        assert_eq!(told, Some(expected));
    }

    #[test]
    fn what_cannot_be_listened_for_is_said() {
        let (bob, deaf) = (PeerId([2; 16]), Segment { deaf_to: 6, ..segment() });
        let (mut records, mut hello) = (Records::default(), hello(0));
        hello.sends = Some(6);
        records.describe(&mut hello, &deaf, None, GROUP_DEFAULT, Time::ZERO);
        let (cast, address) = (Cast::Multicast, deaf.address);
        let us = PeerId([1; 16]);
        let came = Came { id: bob, us, segment: deaf.id, cast, address, near: true, joined: true, there: true };
        records.on_hello(came, &hello, Time::ZERO);
        let told = records.told(deaf.id, bob).flaws();
        assert_eq!(told, [Flaw::Deaf(Cast::Multicast), Flaw::Deaf(Cast::Broadcast)]);
    }

    #[test]
    fn a_group_that_is_not_the_default_is_told_and_read() {
        for group in ["239.1.1.1:5009", "[ff05::7:8]:5008"] {
            let (told, _) = described(&mut Records::default(), 0, None, group);
            assert_eq!(group_of(told.as_ref()).map(|group| group.to_string()).as_deref(), Some(group));
        }
        assert_eq!(group_of(None), Some(GROUP_DEFAULT));
        for bad in [&[][..], &[1], &[10, 0, 0, 1, 1, 1], &[0; 19]] {
            let told = Condition { group: Some(bad.to_vec().into()), ..Condition::default() };
            assert_eq!(group_of(Some(&told)), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_filled_up_fits_and_its_answer_is_shorter() {
        let place: SocketAddr = "10.0.0.2:5002".parse().expect("an address");
        let large = Condition { pad: Some(vec![0].into()), ..Condition::default() };
        let filled = |flags| {
            let mut records = Records::default();
            records.on_survey(Survey::default(), Time::ZERO);
            records.examination.on_condition(place, Some(&large), (true, true), Time::ZERO);
            described(&mut records, flags, Some(place), "239.192.7.7:5007").1 + SIGNED_OVERHEAD
        };
        let (asking, answering) = (filled(FLAG_ASKS), filled(0));
        assert!(answering < asking && asking <= DATAGRAM_MAX && answering > DATAGRAM_MAX - 30, "{answering} {asking}");
    }
}

//! Those who are heard and to whom nothing of ours gets, told apart from those who are about to be met.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::peer::FRESH_PERIODS;
use super::super::{Membership, Presence};
use super::{Meeting, UNANSWERED, WAIT_FOR, Way};
use crate::address::{Cast, SegmentId};
use crate::id::PeerId;
use crate::text::Nick;
use crate::time::Time;
use crate::wire::body::Hello;

/// Who was heard for so long, ...
const DEAF_FOR: Duration = Duration::from_millis(500);
/// ... while we said so many hellos, and asked it [`UNANSWERED`] times at least, hears nothing of us: at 30 % loss one
/// in a thousand looks so who does.
const DEAF_ROUNDS: u32 = 4;
/// Whoever is not met within this time will not be soon.
const MEETING_FOR: Duration = Duration::from_secs(6);

/// Somebody who says hello, and to whom nothing of ours gets: it never answered, nor ever asked anything of us. What
/// it says of itself is not proven; it may be a recording as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deaf {
    /// Who it says it is; the signature is good.
    pub id: PeerId,
    /// What it calls itself.
    pub nick: Nick,
    /// Where it is heard, ...
    pub segment: SegmentId,
    /// ... from which address, ...
    pub address: SocketAddr,
    /// ... by which casts, first and last, ...
    pub casts: Vec<(Cast, (Time, Time))>,
    /// ... and since when.
    pub since: Time,
    /// It says that it hears nobody at all.
    pub hears_nobody: bool,
}

impl Membership {
    /// Those who are heard, and to whom nothing of ours gets.
    pub fn deaf(&self, me: PeerId, now: Time) -> impl Iterator<Item = Deaf> {
        self.strangers_heard(now).filter(move |(_, meeting, hello)| self.is_deaf(meeting, hello, me, now)).map(
            |(way, meeting, hello)| Deaf {
                id: way.id,
                nick: Nick::from_any(&hello.nick),
                segment: way.segment,
                address: way.address,
                casts: meeting.heard.iter().flatten().map(|(origin, span)| (origin.cast, *span)).collect(),
                since: meeting.since,
                hears_nobody: hello.heard.is_empty() && hello.of.is_none(),
            },
        )
    }

    /// Whether somebody is heard, not for long, of whom it is not known yet whether it is met, or is deaf.
    #[must_use]
    pub fn is_meeting(&self, me: PeerId, now: Time) -> bool {
        let new = |meeting: &Meeting| now.since(meeting.since) < MEETING_FOR;
        self.strangers_heard(now).any(|(_, meeting, hello)| new(meeting) && !self.is_deaf(meeting, hello, me, now))
    }

    /// Those who are heard now, are not known to be online in that run, and wait for nothing but an answer.
    fn strangers_heard(&self, now: Time) -> impl Iterator<Item = (&Way, &Meeting, &Hello)> {
        let is_here = |way: &Way, meeting: &Meeting| {
            let peer = self.peers.get(&way.id);
            peer.is_some_and(|peer| peer.presence == Presence::Online && peer.boot == meeting.boot)
        };
        let all = self.meetings.waiting.iter().filter(move |(way, meeting)| !is_here(way, meeting));
        let with_hello = all.filter_map(|(way, meeting)| Some((way, meeting, &meeting.hello.as_ref()?.1)));
        with_hello.filter(move |(_, meeting, hello)| {
            let every = Duration::from_millis(hello.every_ms.into()).min(WAIT_FOR);
            now.since(meeting.heard_at) <= every * FRESH_PERIODS
        })
    }

    fn is_deaf(&self, meeting: &Meeting, hello: &Hello, me: PeerId, now: Time) -> bool {
        let hears_us = meeting.asked || hello.heard_of(me).is_some();
        let asked = meeting.challenged >= UNANSWERED && self.round.saturating_sub(meeting.round) >= DEAF_ROUNDS;
        !hears_us && asked && now.since(meeting.since) >= DEAF_FOR
    }
}

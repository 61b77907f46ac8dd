//! What is for one alone: direct messages by name, and plain text from and to strangers.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Context, Node, context};
use crate::address::Segment;
use crate::event::{Arrival, Event};
use crate::id::PeerId;
use crate::protocol::membership::{AWAY_MAX, clipped};
use crate::text::Line;
use crate::time::{Bucket, Rate, Time, WallTime};

/// The longest plain datagram: what a UDP socket takes over IPv4.
pub(super) const PLAIN_MAX: usize = 65_507;

/// Plain texts shown at once; those beyond are counted and told in one line.
const PLAIN_BURST: u32 = 50;
/// One more may be shown after each such time.
const PLAIN_EVERY: Duration = Duration::from_millis(50);
const PLAIN: Rate = Rate::one_every(PLAIN_EVERY, PLAIN_BURST);

/// Plain text without the line end that `nc` and scripts leave on it, CR included.
pub(super) fn without_line_end(bytes: &[u8]) -> &[u8] {
    match bytes.strip_suffix(b"\n") {
        Some(text) => text.strip_suffix(b"\r").unwrap_or(text),
        None => bytes,
    }
}

/// Whether a segment sends from this address, by whatever scope that is heard.
pub(super) fn is_its(segment: &Segment, from: SocketAddr) -> bool {
    (segment.address.ip(), segment.address.port()) == (from.ip(), from.port())
}

/// How much plain text may still be shown.
#[derive(Debug, Default)]
pub(super) struct PlainGate {
    left: Bucket,
    hidden: u64,
}

impl PlainGate {
    /// Whether one more may be shown; if so, how many were not since the last.
    fn pass(&mut self, now: Time) -> Option<u64> {
        if !self.left.take(1, PLAIN, now) {
            self.hidden += 1;
            return None;
        }
        Some(std::mem::take(&mut self.hidden))
    }
}

impl Node {
    /// Says something to one peer, by its name.
    pub(super) fn tell(&mut self, to: &Line, text: &Line, wall: WallTime) {
        if self.leaving.is_some() {
            return self.refuse(format!("not sent to {to}: this node is leaving"));
        }
        self.session.on_said();
        let named = self.named(to.as_str());
        let id = match named[..] {
            [id] => id,
            [] => return self.refuse(self.nobody_called(to.as_str(), std::iter::empty())),
            _ => {
                let labels: Vec<_> = named.iter().map(|&id| self.name_of_peer(id).label()).collect();
                return self.refuse(format!("{to} may be {}: say which", labels.join(" or ")));
            }
        };
        let online = self.membership.is_online(id);
        if self.directs.tell(id, online, text, wall, &mut context!(self)).is_err() {
            self.refuse(format!("not queued: too much waits for {to} already"));
        }
    }

    /// Tells everybody that the person is away, or there again.
    pub(super) fn set_away(&mut self, text: Option<Line>) {
        let text = text.map(|text| clipped(&text, AWAY_MAX));
        let answer = match &text {
            Some(text) => format!("you are away: {text}"),
            None if self.membership.away().is_some() => "you are back".into(),
            None => "you were not away: /away TEXT says that you are".into(),
        };
        self.membership.set_away(text, &context!(self));
        self.events.push_back(Event::Notice(answer));
    }

    /// Whether anybody is or was here whom this name means.
    #[must_use]
    pub fn knows(&self, name: &Line) -> bool {
        !self.named(name.as_str()).is_empty()
    }

    /// While false, leave what a pipe has for whoever this name means in the pipe: that one is there, and has enough to
    /// take.
    #[must_use]
    pub fn wants_tell(&self, to: &Line) -> bool {
        let [id] = self.named(to.as_str())[..] else { return true };
        self.directs.has_room(id, self.now, &self.config)
    }

    /// What was to be sent is not.
    pub(super) fn refuse(&mut self, text: String) {
        self.events.push_back(Event::Refused(text));
    }

    fn warn(&mut self, text: String) {
        self.events.push_back(Event::Warning(text));
    }

    /// Peers that a name means as it is typed, here or not.
    pub(super) fn named(&self, name: &str) -> Vec<PeerId> {
        let named = self.membership.peers().filter(|(id, peer)| self.is_named(name, *id, &peer.nick));
        named.map(|(id, _)| id).collect()
    }

    /// Plain text of a stranger: shown if it is text and there is not too much of it.
    pub(super) fn on_plain(&mut self, arrival: Arrival, bytes: &[u8]) {
        self.stats.plain += 1;
        let text = without_line_end(bytes);
        let readable = std::str::from_utf8(text).is_ok_and(|text| !text.is_empty() && !text.contains('\0'));
        let Ok(text) = Line::from_bytes(text) else { return };
        // Our own plain text, come back by a cast.
        if self.membership.segments().any(|segment| is_its(segment, arrival.address)) {
            self.stats.echoes += 1;
            return;
        }
        let there: Vec<_> = self.membership.segments().map(|segment| segment.id).collect();
        if self.copies.is_copy(self.now, &there, &arrival, bytes) {
            return;
        }
        let Some(hidden) = readable.then(|| self.plain_gate.pass(self.now)).flatten() else {
            self.stats.plain_hidden += 1;
            return;
        };
        if hidden > 0 {
            self.warn(format!("{hidden} plain datagrams were not shown: there were too many"));
        }
        self.events.push_back(Event::Plain { arrival, text });
    }

    /// Sends text as it is.
    pub(super) fn send_plain(&mut self, to: SocketAddr, text: &Line) {
        let by = self.membership.segment_towards(to).and_then(|id| self.membership.segment(id));
        let Some(segment) = by else {
            return self.refuse(format!("no interface to reach {to} by"));
        };
        if text.as_str().len() > PLAIN_MAX {
            return self.refuse(format!("not sent: a datagram holds at most {PLAIN_MAX} bytes"));
        }
        self.outbound.plain(segment, to, text.as_str());
    }
}

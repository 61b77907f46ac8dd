//! Messages for one peer: queued while it is away, delivered once and in order, and said so.
//!
//! Frames are numbered per peer and acknowledged; it is the same whether they travel by datagram
//! or by stream, so either may fail without a message being lost or shown twice.
//!
//! ```text
//!   ann                              bob
//!    |-- direct 7 (datagram) -->  x    |
//!    |-- direct 8 ------------------->|  held: 7 is lacking
//!    |<-- receipt next 7, ahead 8 ----|
//!    |-- direct 7 ------------------->|  shows 7 and 8
//!    |<-- receipt next 9 -------------|  delivered
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::address::{SegmentId, StreamId};
use crate::config::Config;
use crate::event::Arrival;
use crate::id::PeerId;
use crate::protocol::{Context, News, earlier};
use crate::text::{LINE_MAX, Line};
use crate::time::{Time, WallTime};
use crate::wire::body::{Direct, Receipt};
use crate::wire::secret::Secret;

/// Text in one frame: with everything around it, sealed, a frame fits a datagram.
const CHUNK_MAX: usize = 900;
/// Frames under way to one peer.
const WINDOW: usize = 32;
/// Frames held beyond the first that is lacking: as many as a receipt can tell.
const AHEAD_MAX: u64 = 64;
/// Messages queued for one peer. When full, a further one is refused, aloud.
const QUEUE_MAX: usize = 10_000;
/// Bytes queued for all peers together. When full, a further message is refused, aloud.
const QUEUE_BYTES_MAX: usize = 4 << 20;
/// Frames queued for one peer that is there. From so many on, who can wait is asked to: they keep its window full.
const WAITING_MAX: usize = 4 * WINDOW;
/// A frame is sent again after this, doubled each time, ...
const RETRY_AFTER: Duration = Duration::from_millis(60);
/// ... but at least this often.
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Peers of whom is remembered what they said to us: as many as there can be. When full, the one that is gone and
/// said nothing for longest is forgotten: what it did not see acknowledged it says again, and that is shown twice.
const INBOXES_MAX: usize = 256;
/// A frame that later ones have overtaken is sent again, but not sooner than this after the last time.
const OVERTAKEN_AFTER: Duration = Duration::from_millis(10);
/// Bytes of messages of which something is still to come, of all peers together. Beyond, of whom most is kept is to say
/// it again from the first part on.
const PARTIAL_BYTES_MAX: usize = 4 << 20;
/// Parts that a message may have.
const PARTS_MAX: u16 = 512;

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// Something for one peer alone, on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// For whom.
    pub to: PeerId,
    /// How it gets there.
    pub way: Way,
    /// What; to be sealed.
    pub what: Secret,
}

/// How something gets to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By stream if the peer accepts them, with a number that stays when it is sent again; else by datagram.
    Any(u64),
    /// By datagram, to where the peer was heard last.
    Datagram,
    /// By datagram, to one address.
    Address(SegmentId, SocketAddr),
    /// By a stream that is there.
    Stream(StreamId),
}

/// What is under way to others, and what came from them.
#[derive(Debug, Default)]
pub struct Directs {
    /// To be sealed and sent now; taken after every call.
    outgoing: VecDeque<Outgoing>,
    next_mid: u64,
    bytes: usize,
    progress_at: Option<Time>,
    outboxes: BTreeMap<PeerId, Outbox>,
    inboxes: BTreeMap<PeerId, Inbox>,
    reader_blocked: bool,
}

#[derive(Debug)]
struct Outbox {
    next_seq: u64,
    frames: VecDeque<Frame>,
    online: bool,
    wake: Option<Time>,
    /// When something of it was acknowledged last, or it was empty, or its peer came.
    progress_at: Time,
    /// Below this all was acknowledged, since its peer came.
    reached: u64,
}

#[derive(Debug)]
struct Frame {
    body: Direct,
    is_last: bool,
    acknowledged: bool,
    sent: Option<(Time, u32)>,
}

#[derive(Debug)]
struct Inbox {
    boot: u64,
    next: u64,
    held: BTreeMap<u64, (Direct, Arrival)>,
    parts: Option<(u16, String)>,
    /// It is there, ...
    online: bool,
    /// ... and said something then.
    heard_at: Time,
    /// Bytes of what is held and of parts.
    bytes: usize,
}

impl Directs {
    /// Queues a message. Returns its number.
    ///
    /// # Errors
    /// [`QueueFull`]; nothing was queued.
    pub fn tell(
        &mut self,
        to: PeerId,
        online: bool,
        text: &Line,
        wall: WallTime,
        ctx: &mut Context<'_>,
    ) -> Result<u64, QueueFull> {
        let outbox = self.outboxes.entry(to).or_insert_with(|| Outbox::new(ctx.now));
        outbox.online = online;
        if outbox.frames.is_empty() {
            outbox.progress_at = ctx.now;
        }
        if outbox.frames.len() >= QUEUE_MAX || self.bytes + text.as_str().len() > QUEUE_BYTES_MAX {
            return Err(QueueFull);
        }
        self.next_mid += 1;
        self.bytes += text.as_str().len();
        let mid = self.next_mid;
        ctx.news.push_back(News::Told { mid, to, text: text.clone(), queued: !online });
        outbox.queue(mid, text, wall);
        outbox.send(to, &mut self.outgoing, ctx);
        Ok(mid)
    }

    /// Whether a message for this peer is to be queued now by those who can wait: not while what is queued already is
    /// being taken. What is for peers that are away is not, and nothing waits for it. Those who took nothing for long
    /// are not waited for as long as there is room.
    #[must_use]
    pub fn has_room(&self, to: PeerId, now: Time, config: &Config) -> bool {
        let Some(outbox) = self.outboxes.get(&to).filter(|outbox| outbox.online) else { return true };
        let is_full = self.bytes + LINE_MAX > QUEUE_BYTES_MAX;
        let shrinks = |outbox: &Outbox| outbox.online && !outbox.frames.is_empty();
        let stalled = now.since(outbox.progress_at) >= config.stalled_after;
        let most = if stalled { QUEUE_MAX } else { WAITING_MAX };
        outbox.frames.len() < most && !(is_full && self.outboxes.values().any(shrinks))
    }

    /// The next thing to seal and send.
    pub fn take_outgoing(&mut self) -> Option<Outgoing> {
        self.outgoing.pop_front()
    }

    /// Whether [`Directs::take_outgoing`] has nothing.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Messages that their peers have not acknowledged.
    #[must_use]
    pub fn open(&self) -> u64 {
        let last = self.outboxes.values().flat_map(|outbox| &outbox.frames).filter(|frame| frame.is_last);
        last.count() as u64
    }

    /// When a frame was acknowledged last.
    #[must_use]
    pub const fn progress_at(&self) -> Option<Time> {
        self.progress_at
    }

    /// A peer is there: what was queued for it goes out at once.
    pub fn on_online(&mut self, peer: PeerId, ctx: &mut Context<'_>) {
        if let Some(inbox) = self.inboxes.get_mut(&peer) {
            inbox.online = true;
        }
        if let Some(outbox) = self.outboxes.get_mut(&peer) {
            (outbox.online, outbox.progress_at, outbox.reached) = (true, ctx.now, 0);
            // Whoever runs anew has nothing of what it acknowledged out of order.
            outbox.frames.iter_mut().for_each(|frame| (frame.sent, frame.acknowledged) = (None, false));
            outbox.send(peer, &mut self.outgoing, ctx);
        }
    }

    /// A peer is gone: nothing is sent until it is back.
    pub fn on_gone(&mut self, peer: PeerId) {
        if let Some(outbox) = self.outboxes.get_mut(&peer) {
            (outbox.online, outbox.wake) = (false, None);
        }
        if let Some(inbox) = self.inboxes.get_mut(&peer) {
            inbox.online = false;
        }
    }

    /// A frame of a peer, for us. It is acknowledged by the way it came, `back`.
    pub fn on_direct(
        &mut self,
        from: PeerId,
        boot: u64,
        frame: Direct,
        arrival: Arrival,
        back: Way,
        ctx: &mut Context<'_>,
    ) {
        if self.inboxes.len() >= INBOXES_MAX && !self.inboxes.contains_key(&from) {
            self.forget_one();
        }
        let inbox = self.inboxes.entry(from).or_insert_with(|| Inbox::new(boot, frame.base));
        if boot > inbox.boot {
            *inbox = Inbox::new(boot, frame.base);
        }
        if boot < inbox.boot {
            return;
        }
        (inbox.online, inbox.heard_at) = (true, ctx.now);
        inbox.begin_at(frame.base);
        let room = inbox.next..inbox.next.saturating_add(AHEAD_MAX);
        if room.contains(&frame.seq) {
            inbox.held.insert(frame.seq, (frame, arrival));
        }
        if !self.reader_blocked {
            inbox.deliver(from, ctx);
        }
        inbox.count();
        self.bound_partial();
        let Some(inbox) = self.inboxes.get(&from) else { return };
        self.outgoing.push_back(Outgoing { to: from, way: back, what: Secret::Receipt(inbox.receipt()) });
    }

    /// Messages of which something is never sent would take more and more room.
    fn bound_partial(&mut self) {
        while self.inboxes.values().map(|inbox| inbox.bytes).sum::<usize>() > PARTIAL_BYTES_MAX {
            let Some(longest) = self.inboxes.values_mut().max_by_key(|inbox| inbox.bytes) else { return };
            longest.begin_again();
        }
    }

    fn forget_one(&mut self) {
        let oldest = self.inboxes.iter().min_by_key(|(_, inbox)| (inbox.online, inbox.heard_at)).map(|(&id, _)| id);
        oldest.map(|id| self.inboxes.remove(&id));
    }

    /// A receipt of a peer, for us; ours is this `boot`.
    pub fn on_receipt(&mut self, from: PeerId, receipt: &Receipt, boot: u64, ctx: &mut Context<'_>) {
        if receipt.boot != boot {
            return;
        }
        let Some(outbox) = self.outboxes.get_mut(&from) else { return };
        // Whoever waits for what it acknowledged before has forgotten us: only what is sent again tells it where to
        // go on.
        let forgot = outbox.frames.front().is_some_and(|first| receipt.next < first.body.seq);
        for frame in &mut outbox.frames {
            let ahead = frame.body.seq.checked_sub(receipt.next.saturating_add(1));
            let is_ahead = ahead.is_some_and(|bit| bit < AHEAD_MAX && receipt.ahead >> bit & 1 == 1);
            let arrived = frame.body.seq < receipt.next;
            // What was taken back and is said again is no progress.
            if arrived && !frame.acknowledged && frame.body.seq >= outbox.reached {
                (self.progress_at, outbox.progress_at) = (Some(ctx.now), ctx.now);
            }
            frame.acknowledged = arrived || is_ahead && !forgot;
        }
        outbox.reached = outbox.reached.max(receipt.next.min(outbox.next_seq));
        // Later frames arrived and this one did not: it is lost, not late.
        let reached = receipt.next + u64::from(64 - receipt.ahead.leading_zeros());
        for frame in outbox.frames.iter_mut().filter(|frame| !frame.acknowledged && frame.body.seq < reached) {
            if frame.sent.is_some_and(|(at, _)| ctx.now.since(at) >= OVERTAKEN_AFTER) {
                frame.sent = frame.sent.map(|(_, times)| (Time::ZERO, times.saturating_sub(1)));
            }
        }
        // Whole messages only: whoever is started anew in the midst of one is sent it from its beginning.
        let whole = outbox.frames.iter().rposition(|frame| frame.is_last && frame.body.seq < receipt.next);
        for frame in outbox.frames.drain(..whole.map_or(0, |last| last + 1)) {
            self.bytes = self.bytes.saturating_sub(frame.body.text.len());
            if frame.is_last {
                ctx.news.push_back(News::TellDelivered { mid: frame.body.mid, to: from });
            }
        }
        outbox.send(from, &mut self.outgoing, ctx);
    }

    /// Whoever reads our events keeps up, or does not: then nothing more is taken.
    pub fn on_reader(&mut self, ready: bool, ctx: &mut Context<'_>) {
        self.reader_blocked = !ready;
        if ready {
            for (&from, inbox) in &mut self.inboxes {
                let before = inbox.next;
                inbox.deliver(from, ctx);
                inbox.count();
                if inbox.next != before {
                    let what = Secret::Receipt(inbox.receipt());
                    self.outgoing.push_back(Outgoing { to: from, way: Way::Datagram, what });
                }
            }
        }
    }

    /// The messages that never arrived, for the last word about them.
    pub fn undelivered(&self) -> impl Iterator<Item = (PeerId, u64)> {
        self.outboxes.iter().flat_map(|(&to, outbox)| {
            outbox.frames.iter().filter(|frame| frame.is_last).map(move |frame| (to, frame.body.mid))
        })
    }

    /// Nothing more is sent, and nothing that comes makes a difference.
    pub fn give_up(&mut self) {
        self.outboxes.clear();
        self.bytes = 0;
    }

    /// When [`Directs::on_timeout`] has something to do.
    #[must_use]
    pub fn wake_at(&self) -> Option<Time> {
        self.outboxes.values().fold(None, |wake, outbox| earlier(wake, outbox.wake))
    }

    /// Time passed: sends again what was not acknowledged.
    pub fn on_timeout(&mut self, ctx: &mut Context<'_>) {
        for (&to, outbox) in &mut self.outboxes {
            if outbox.wake.is_some_and(|at| at <= ctx.now) {
                outbox.send(to, &mut self.outgoing, ctx);
            }
        }
    }
}

impl Outbox {
    const fn new(now: Time) -> Self {
        Self { next_seq: 1, frames: VecDeque::new(), online: false, wake: None, progress_at: now, reached: 0 }
    }

    fn queue(&mut self, mid: u64, text: &Line, wall: WallTime) {
        let chunks = text.chunks(CHUNK_MAX);
        let parts = u16::try_from(chunks.len()).unwrap_or(u16::MAX);
        for (part, chunk) in (0..).zip(chunks) {
            let whole = parts == 1;
            let body = Direct {
                seq: self.next_seq,
                base: 0,
                mid,
                wall_ms: wall.0,
                text: chunk.to_owned(),
                part: (!whole).then_some(part),
                parts: (!whole).then_some(parts),
            };
            self.next_seq += 1;
            self.frames.push_back(Frame { body, is_last: part + 1 == parts, acknowledged: false, sent: None });
        }
    }

    /// Sends what is due of the window, and sets the time of the next look.
    fn send(&mut self, to: PeerId, outgoing: &mut VecDeque<Outgoing>, ctx: &mut Context<'_>) {
        self.wake = None;
        if !self.online {
            return;
        }
        let base = self.frames.front().map_or(self.next_seq, |frame| frame.body.seq);
        let waiting = self.frames.iter().position(|frame| !frame.acknowledged).unwrap_or(self.frames.len());
        let window = self.frames.iter_mut().skip(waiting).take(WINDOW);
        for frame in window.filter(|frame| !frame.acknowledged) {
            let due = frame.sent.map_or(ctx.now, |(at, times)| at + pause(times));
            if due <= ctx.now {
                let times = frame.sent.map_or(0, |(_, times)| times + 1);
                ctx.stats.direct_repeats += u64::from(times > 0);
                frame.sent = Some((ctx.now, times));
                frame.body.base = base;
                let (way, what) = (Way::Any(frame.body.seq), Secret::Direct(frame.body.clone()));
                outgoing.push_back(Outgoing { to, way, what });
                self.wake = earlier(self.wake, Some(ctx.now + pause(times)));
            } else {
                self.wake = earlier(self.wake, Some(due));
            }
        }
    }
}

/// The pause before a frame is sent again that was sent again so often.
fn pause(times: u32) -> Duration {
    (RETRY_AFTER * 2u32.pow(times.min(5))).min(RETRY_MAX)
}

impl Inbox {
    const fn new(boot: u64, base: u64) -> Self {
        let next = if base > 0 { base } else { 1 };
        Self { boot, next, held: BTreeMap::new(), parts: None, online: true, heard_at: Time::ZERO, bytes: 0 }
    }

    /// What its author saw acknowledged it never says again: if we forgot that, nothing before `base` will come.
    fn begin_at(&mut self, base: u64) {
        if base > self.next {
            self.next = base;
            self.held = self.held.split_off(&base);
            self.parts = None;
        }
    }

    fn count(&mut self) {
        let held: usize = self.held.values().map(|(frame, _)| frame.text.len()).sum();
        self.bytes = held + self.parts.as_ref().map_or(0, |(_, text)| text.len());
    }

    /// Has nothing of the message that is not whole, nor of those behind it: whoever said them says them again.
    fn begin_again(&mut self) {
        let parts = self.parts.take().map_or(0, |(next, _)| u64::from(next));
        self.next = self.next.saturating_sub(parts);
        self.held.clear();
        self.count();
    }

    fn receipt(&self) -> Receipt {
        let bits = self.held.keys().filter_map(|seq| seq.checked_sub(self.next + 1));
        let ahead = bits.filter(|&bit| bit < AHEAD_MAX).fold(0, |ahead, bit| ahead | 1 << bit);
        Receipt { boot: self.boot, next: self.next, ahead }
    }

    fn deliver(&mut self, from: PeerId, ctx: &mut Context<'_>) {
        while let Some((frame, arrival)) = self.held.remove(&self.next) {
            self.next += 1;
            let (mid, wall) = (frame.mid, WallTime(frame.wall_ms));
            if let Some(text) = self.assemble(frame) {
                ctx.stats.delivered += 1;
                ctx.news.push_back(News::Whispered { from, boot: self.boot, mid, wall, text, arrival });
            }
        }
    }

    fn assemble(&mut self, frame: Direct) -> Option<Line> {
        let (Some(part), Some(parts)) = (frame.part, frame.parts) else {
            self.parts = None;
            return Some(Line::from_peer(&frame.text));
        };
        let (expected, mut text) = match self.parts.take() {
            _ if part == 0 => (0, String::new()),
            Some(parts) => parts,
            None => return None,
        };
        if part != expected || part >= parts || parts > PARTS_MAX || text.len() + frame.text.len() > 3 * LINE_MAX {
            return None;
        }
        text.push_str(&frame.text);
        if part + 1 == parts {
            return Some(Line::from_peer(&text));
        }
        self.parts = Some((part + 1, text));
        None
    }
}

#[cfg(test)]
mod tests;

//! Probes: each node asks two ring successors every second whether they are there.
//!
//! The ring is the order of ids, on each segment a ring of its own, for on another one nobody might
//! hear of a suspicion. Ids are hashes of keys, so the ring is a fair one and everybody knows it
//! without a word. Who turned out to live though it did not answer cannot be probed: until it does
//! answer, its hellos tell.
//!
//! ```text
//!   ann                    bob
//!    |-- probe -------------->|    every second
//!    |<------------ answer ---|    round trip, loss
//!    |-- probe ------x        |    nineteen tries in 0.6 s: then see `suspect`
//! ```

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::suspect::Suspicion;
use super::{Membership, Origin, Peer, Presence};
use crate::address::{Cast, SegmentId};
use crate::id::PeerId;
use crate::protocol::{Context, News, Post, To, earlier};
use crate::time::Time;
use crate::wire::Message;
use crate::wire::body::{Answer, PROBE_DOUBTS, Probe};

/// Ring successors that are probed, on each segment.
const SUCCESSORS: usize = 2;
/// While nobody is heard at all each is probed so often in a round: silence means nothing then, and whoever comes back
/// answers.
const TRIES_CUT_OFF: u32 = 2;
/// Probes of one doubt of which it is remembered when they went out; later ones tell no round trip.
const SENT_MAX: usize = 48;
/// After so long without running, others may have begun to suspect us.
const ABSENT: Duration = Duration::from_millis(500);

/// Whom we watch, and what we doubt.
#[derive(Debug)]
pub(super) struct Vigil {
    round_at: Option<Time>,
    measure_at: Time,
    measured: Option<PeerId>,
    /// Peers with a probe under way. No more of them than peers.
    pub(super) doubts: BTreeMap<PeerId, Doubt>,
    /// When we told everybody last that we live.
    pub(super) defended_at: Option<Time>,
    /// When any peer was heard, and when on each segment.
    pub(super) heard_at: Time,
    pub(super) heard_on: BTreeMap<SegmentId, Time>,
    /// Silence before this does not count: we did not listen.
    patient_since: Time,
    /// Nobody is heard.
    pub(super) cut_off: bool,
    /// Those who are lost, and when to call for them.
    pub(super) calls: BTreeMap<PeerId, Time>,
    /// When to call into segments where nobody is heard.
    pub(super) call_at: Option<Time>,
}

/// A peer that has not answered yet.
#[derive(Debug)]
pub(super) struct Doubt {
    /// The token of the first probe; each further one has the next.
    token: u32,
    /// When the first probes went out.
    sent: Vec<Time>,
    /// Probes since our patience began.
    pub(super) tries: u32,
    pub(super) probe_at: Time,
    /// It gave a sign of life, but no answer yet.
    heard: bool,
    /// We told others of it.
    pub(super) accused: bool,
    pub(super) suspicion: Option<Suspicion>,
}

impl Doubt {
    pub(super) fn new(token: u32, probe_at: Time) -> Self {
        Self { token, sent: Vec::new(), tries: 0, probe_at, heard: false, accused: false, suspicion: None }
    }

    fn wake_at(&self) -> Time {
        self.suspicion.as_ref().map_or(self.probe_at, |suspicion| suspicion.wake_at().min(self.probe_at))
    }
}

impl Vigil {
    pub(super) const fn new(now: Time) -> Self {
        Self {
            round_at: None,
            measure_at: now,
            measured: None,
            doubts: BTreeMap::new(),
            defended_at: None,
            heard_at: now,
            heard_on: BTreeMap::new(),
            patient_since: now,
            cut_off: false,
            calls: BTreeMap::new(),
            call_at: None,
        }
    }

    pub(super) fn wake_at(&self) -> Option<Time> {
        let doubts = self.doubts.values().map(Doubt::wake_at).min();
        let calls = earlier(self.call_at, self.calls.values().min().copied());
        earlier(earlier(self.round_at, doubts), calls)
    }

    /// Who was cut off may hear somebody again from now on. Whoever is silent has the time that it would have had.
    pub(super) const fn on_segment_up(&mut self, now: Time) {
        if self.cut_off {
            self.patient_since = now;
        }
    }

    /// From when on silence counts of one who was heard then.
    pub(super) fn patient_from(&self, heard_at: Time) -> Time {
        heard_at.max(self.patient_since)
    }

    /// A peer left, is lost, or runs anew.
    pub(super) fn forget(&mut self, id: PeerId) {
        self.doubts.remove(&id);
        self.calls.remove(&id);
    }

    pub(super) fn suspects(&self) -> usize {
        self.doubts.values().filter(|doubt| doubt.suspicion.is_some()).count()
    }

    pub(super) fn is_suspect(&self, id: PeerId) -> bool {
        self.doubts.get(&id).is_some_and(|doubt| doubt.suspicion.is_some())
    }
}

impl Membership {
    /// One of the messages by which peers watch over each other, of a peer that is online. How long it took to get
    /// it, if it answers a probe of ours.
    pub fn on_watch(&mut self, origin: &Origin, message: &Message, ctx: &mut Context<'_>) -> Option<Duration> {
        match message {
            Message::Probe(probe) => self.on_probe(origin, *probe, ctx),
            Message::Answer(answer) => return self.on_answer(origin, *answer, ctx),
            Message::Suspect(suspect) => self.on_suspect(origin, suspect, ctx),
            // It was a sign of life, and that is all.
            _ => {}
        }
        None
    }

    /// Answers with no more bytes than were sent, to one who is known; a probe to all is answered by nobody.
    fn on_probe(&mut self, origin: &Origin, probe: Probe, ctx: &mut Context<'_>) {
        if self.silent || origin.cast != Cast::Unicast {
            return;
        }
        ctx.stats.answers += 1;
        let answer = Message::Answer(Answer { proof: probe.challenge, ..Answer::new(probe.token) });
        ctx.posts.push_back(Post { to: To::Address(origin.segment, origin.address), message: answer });
        if probe.flags & PROBE_DOUBTS != 0 {
            self.defend(origin.id, ctx);
        }
    }

    fn on_answer(&mut self, origin: &Origin, answer: Answer, ctx: &Context<'_>) -> Option<Duration> {
        let doubt = self.vigil.doubts.remove(&origin.id)?;
        let peer = self.peers.get_mut(&origin.id)?;
        let number = answer.token.wrapping_sub(doubt.token) as usize;
        let Some(sent_at) = doubt.sent.get(number) else {
            // Late, to an earlier probe: whoever it is lives, but is asked again.
            self.vigil.doubts.insert(origin.id, doubt);
            return None;
        };
        let took = ctx.now.since(*sent_at);
        peer.quality.mute = false;
        peer.quality.on_unanswered(number);
        peer.quality.on_round_trip(took);
        Some(took)
    }

    /// An authentic datagram of a peer: nobody suspects it any more, and we are not alone.
    pub(super) fn on_life(&mut self, origin: &Origin, ctx: &mut Context<'_>) {
        self.vigil.heard_at = ctx.now;
        self.vigil.heard_on.insert(origin.segment, ctx.now);
        if let Some(doubt) = self.vigil.doubts.get_mut(&origin.id) {
            doubt.heard = true;
            ctx.stats.refuted += u64::from(doubt.suspicion.take().is_some());
        }
        if self.vigil.round_at.is_none() {
            // At a moment of our own, so that the probes of the group spread over the second.
            self.vigil.round_at = Some(ctx.now + ctx.rng.within(ctx.config.probe_every));
        }
        if std::mem::take(&mut self.vigil.cut_off) {
            self.vigil.patient_since = ctx.now;
            self.start_greeting(ctx.now);
            ctx.news.push_back(News::Connected);
        }
    }

    /// We did not run for a while: what was not heard meanwhile is nobody's fault but ours.
    pub(super) fn excuse(&mut self, ctx: &mut Context<'_>) {
        let late = self.wake_at().map_or(Duration::ZERO, |due| ctx.now.since(due));
        if late < ctx.config.late_after {
            return;
        }
        ctx.stats.late += 1;
        self.vigil.patient_since = ctx.now;
        for doubt in self.vigil.doubts.values_mut() {
            doubt.tries = doubt.tries.min(ctx.config.probe_tries / 2);
            if let Some(suspicion) = &mut doubt.suspicion {
                suspicion.excuse(late, ctx);
            }
        }
        if late >= ABSENT && self.online_count > 0 {
            self.tell_alive(ctx);
        }
    }

    /// Time passed: probes whom we watch, and looks after those who do not answer.
    pub(super) fn watch(&mut self, ctx: &mut Context<'_>) {
        if self.vigil.round_at.is_some_and(|at| at <= ctx.now) {
            self.begin_round(ctx);
        }
        let due = |(_, doubt): &(&PeerId, &Doubt)| doubt.wake_at() <= ctx.now;
        for id in self.vigil.doubts.iter().filter(due).map(|(&id, _)| id).collect::<Vec<_>>() {
            if let Some(doubt) = self.vigil.doubts.remove(&id)
                && let Some(doubt) = self.doubt_on(id, doubt, ctx)
            {
                self.vigil.doubts.insert(id, doubt);
            }
        }
        self.tell_suspicions(ctx);
    }

    fn begin_round(&mut self, ctx: &mut Context<'_>) {
        if self.online_count == 0 {
            self.vigil.round_at = None;
            return;
        }
        let next = self.vigil.round_at.map_or(ctx.now, |at| at + ctx.config.probe_every);
        self.vigil.round_at = Some(if next > ctx.now { next } else { ctx.now + ctx.config.probe_every });
        self.probe_ring(Duration::ZERO, ctx);
        if self.vigil.measure_at <= ctx.now {
            self.vigil.measure_at = ctx.now + ctx.config.measure_every;
            let behind = self.ring_after(self.vigil.measured.unwrap_or(ctx.me)).map(|(id, _)| id).next();
            self.vigil.measured = behind;
            if let Some(id) = behind {
                self.begin_doubt(id, ctx);
            }
        }
    }

    /// Probes the ring successors, but for those who were probed less than `since` ago.
    fn probe_ring(&mut self, since: Duration, ctx: &mut Context<'_>) {
        for id in self.successors(ctx.me) {
            let probed_at = self.peers.get(&id).and_then(|peer| peer.quality.probed_at);
            if probed_at.is_none_or(|at| ctx.now.since(at) >= since) {
                self.begin_doubt(id, ctx);
            }
        }
    }

    pub(super) fn begin_doubt(&mut self, id: PeerId, ctx: &mut Context<'_>) {
        if self.vigil.doubts.contains_key(&id) {
            return;
        }
        let doubt = Doubt::new(ctx.rng.next_u64() as u32, ctx.now);
        if let Some(doubt) = self.doubt_on(id, doubt, ctx) {
            self.vigil.doubts.insert(id, doubt);
        }
    }

    /// Those online behind an id, in the order of the ring.
    pub(super) fn ring_after(&self, id: PeerId) -> impl Iterator<Item = (PeerId, &Peer)> {
        let behind = self.peers.range((Bound::Excluded(id), Bound::Unbounded));
        let ring = behind.chain(self.peers.range(..id)).map(|(&id, peer)| (id, peer));
        ring.filter(|(_, peer)| peer.presence == Presence::Online)
    }

    /// Whom we watch: the next on each segment who are not suspected already.
    pub(super) fn successors(&self, me: PeerId) -> Vec<PeerId> {
        let mut found: BTreeMap<SegmentId, usize> = self.segments.keys().map(|&id| (id, 0)).collect();
        let (mut lacking, mut successors) = (SUCCESSORS * found.len(), Vec::new());
        for (id, peer) in self.ring_after(me) {
            if lacking == 0 {
                break;
            }
            let Some((segment, _)) = peer.best_path() else { continue };
            let Some(count) = found.get_mut(&segment).filter(|count| **count < SUCCESSORS) else { continue };
            if !self.vigil.is_suspect(id) {
                *count += 1;
                lacking -= 1;
                successors.push(id);
            }
        }
        successors
    }

    /// The next step with one that has not answered; `None` when there is nothing more to do.
    fn doubt_on(&mut self, id: PeerId, mut doubt: Doubt, ctx: &mut Context<'_>) -> Option<Doubt> {
        let peer = self.peers.get_mut(&id).filter(|peer| peer.presence == Presence::Online)?;
        if doubt.heard {
            // It lives, but does not answer us: until it does, its silence means nothing.
            peer.quality.mute |= doubt.accused;
            peer.quality.on_unanswered(doubt.sent.len());
            return None;
        }
        if doubt.suspicion.is_some() {
            return self.suspect_on(id, doubt, ctx);
        }
        let tries = if self.vigil.cut_off { TRIES_CUT_OFF } else { ctx.config.probe_tries };
        if doubt.tries < tries {
            let again = if doubt.tries == 0 { peer.quality.patience(ctx.config) } else { ctx.config.probe_again };
            doubt.probe_at = ctx.now + again;
            self.send_probe(id, &mut doubt, 0, ctx);
            return Some(doubt);
        }
        peer.quality.on_unanswered(doubt.sent.len());
        if peer.quality.mute || self.vigil.cut_off {
            return None;
        }
        let doubt = self.accuse(id, doubt, ctx)?;
        self.vigil.doubts.insert(id, doubt);
        // Whoever stands behind it may be gone as well.
        self.probe_ring(ctx.config.probe_every, ctx);
        self.vigil.doubts.remove(&id)
    }

    pub(super) fn send_probe(&mut self, id: PeerId, doubt: &mut Doubt, flags: u8, ctx: &mut Context<'_>) {
        let token = doubt.token.wrapping_add(doubt.sent.len() as u32);
        if doubt.sent.len() < SENT_MAX {
            doubt.sent.push(ctx.now);
        }
        doubt.tries += 1;
        ctx.stats.probes += 1;
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.quality.probed_at = Some(ctx.now);
        }
        ctx.posts.push_back(Post { to: To::Peer(id), message: Message::Probe(Probe::new(token, flags)) });
    }
}

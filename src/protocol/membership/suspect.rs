//! Suspicion: before a peer is lost, everybody is told, looks for itself, and the suspect may speak.
//!
//! Nobody believes an accuser: a peer is lost only to who has itself looked for it in vain, so a
//! liar can make others look and nothing else, and not often.
//!
//! When nobody at all is heard it may be we who are gone. Before that is believed, those whom probes
//! do not reach, or whose answers do not reach us, are named with the suspects: they speak before all.
//!
//! ```text
//!   ann                    bob                    cleo
//!    |-- suspect bob -------->|--------------------->|   every 80 ms for 1.28 s
//!    |<--------------- alive -|--------------------->|   and all is well
//!    |-- suspect bob ----x    x                      |
//!    |                        x <--- probe ----------|
//!    |  lost                                   lost  |   1.28 s after it was suspected
//! ```

use std::time::Duration;

use super::probe::Doubt;
use super::quality::accusations;
use super::{Membership, Origin, Peer, Presence};
use crate::id::PeerId;
use crate::protocol::{Context, News, Post, To};
use crate::time::Time;
use crate::wire::Message;
use crate::wire::body::{self, Alive, PROBE_DOUBTS, Suspect, Suspected};

/// Suspects named in one datagram.
const NAMED_MAX: usize = 16;
/// Nobody is lost to us before we looked so often in vain ourselves.
const LOOKS_MIN: u32 = 4;
/// So many suspects are looked for at full pace; of more each is looked for less often.
const LOOKED_FOR_MAX: usize = 16;
/// By so many is a suspect asked before all at full pace; by each of more less often.
const ASKING_MAX: usize = 16;

/// What we know of a suspect.
#[derive(Debug)]
pub(super) struct Suspicion {
    /// Since when it is one, here.
    since: Time,
    /// When it is lost.
    ends_at: Time,
    /// When to tell others.
    tell_at: Option<Time>,
    /// It is we who suspect it.
    ours: bool,
    /// Our own questions since.
    looks: u32,
}

impl Suspicion {
    /// One of ours.
    pub(super) fn ours(ctx: &Context<'_>) -> Self {
        Self { since: ctx.now, ends_at: ctx.now + ctx.config.suspect_for, tell_at: Some(ctx.now), ours: true, looks: 0 }
    }

    /// One that we were told of, this old.
    fn told(age: Duration, ctx: &Context<'_>) -> Self {
        let left = ctx.config.suspect_for.saturating_sub(age).max(ctx.config.suspect_min);
        Self { since: ctx.now, ends_at: ctx.now + left, tell_at: None, ours: false, looks: 0 }
    }

    pub(super) fn wake_at(&self) -> Time {
        self.tell_at.map_or(self.ends_at, |at| at.min(self.ends_at))
    }

    /// Time in which we did not run is no silence of others.
    pub(super) fn excuse(&mut self, late: Duration, ctx: &Context<'_>) {
        self.since = ctx.now;
        self.looks = 0;
        self.ends_at = (self.ends_at + late).max(ctx.now + ctx.config.suspect_min);
    }
}

impl Membership {
    /// A peer tells whom it suspects.
    pub(super) fn on_suspect(&mut self, origin: &Origin, suspect: &Suspect, ctx: &mut Context<'_>) {
        for one in suspect.whom.iter().take(NAMED_MAX) {
            let id = PeerId(*one.id);
            if id == ctx.me {
                self.defend(origin.id, ctx);
            } else {
                self.suspect_too(origin.id, id, one, ctx);
            }
        }
    }

    fn suspect_too(&mut self, accuser: PeerId, id: PeerId, one: &Suspected, ctx: &mut Context<'_>) {
        let age = Duration::from_millis(u64::from(one.for_ms)).min(ctx.config.suspect_for);
        let Some(peer) = self.peers.get(&id) else { return };
        if peer.presence != Presence::Online || peer.boot != one.boot || peer.heard_at > ctx.now - age {
            return;
        }
        if let Some(suspicion) = self.vigil.doubts.get_mut(&id).and_then(|doubt| doubt.suspicion.as_mut()) {
            // Somebody has said it: we need not say it as well.
            suspicion.tell_at = suspicion.tell_at.map(|_| ctx.now + ctx.config.suspect_every);
            return;
        }
        if !self.may_accuse(accuser, ctx) {
            return;
        }
        let token = ctx.rng.next_u64() as u32;
        let doubt = self.vigil.doubts.entry(id).or_insert_with(|| Doubt::new(token, ctx.now));
        doubt.suspicion = Some(Suspicion::told(age, ctx));
        // It may speak for itself before we all ask it.
        doubt.probe_at = ctx.now + ctx.config.suspect_every + ctx.rng.within(ctx.config.suspect_every);
    }

    fn may_accuse(&mut self, accuser: PeerId, ctx: &mut Context<'_>) -> bool {
        let peer = self.peers.get_mut(&accuser);
        let may = peer.is_some_and(|peer| peer.claims.accusations.take(1, accusations(ctx.config), ctx.now));
        ctx.stats.accusations_ignored += u64::from(!may);
        may
    }

    /// Somebody doubts that we live.
    pub(super) fn defend(&mut self, accuser: PeerId, ctx: &mut Context<'_>) {
        let again = self.vigil.defended_at.is_none_or(|at| ctx.now.since(at) >= ctx.config.defend_every);
        if again && !self.silent && self.may_accuse(accuser, ctx) {
            self.tell_alive(ctx);
        }
    }

    pub(super) fn tell_alive(&mut self, ctx: &mut Context<'_>) {
        self.vigil.defended_at = Some(ctx.now);
        ctx.stats.defences += 1;
        ctx.posts.push_back(Post { to: To::Group, message: Message::Alive(Alive {}) });
    }

    /// We suspect a peer, and say so.
    pub(super) fn accuse(&mut self, id: PeerId, mut doubt: Doubt, ctx: &mut Context<'_>) -> Option<Doubt> {
        ctx.stats.suspicions += 1;
        doubt.suspicion = Some(Suspicion::ours(ctx));
        doubt.accused = true;
        self.suspect_on(id, doubt, ctx)
    }

    /// A peer was silent for too long, though nobody may have asked it anything.
    pub(super) fn accuse_silent(&mut self, id: PeerId, ctx: &mut Context<'_>) {
        let token = ctx.rng.next_u64() as u32;
        let doubt = self.vigil.doubts.remove(&id).unwrap_or_else(|| Doubt::new(token, ctx.now));
        let doubt = if doubt.suspicion.is_some() { Some(doubt) } else { self.accuse(id, doubt, ctx) };
        self.vigil.doubts.extend(doubt.map(|doubt| (id, doubt)));
    }

    /// The next step with a suspect; `None` when it is over.
    pub(super) fn suspect_on(&mut self, id: PeerId, mut doubt: Doubt, ctx: &mut Context<'_>) -> Option<Doubt> {
        let suspects = u32::try_from(self.vigil.suspects() / LOOKED_FOR_MAX).unwrap_or(u32::MAX);
        let suspicion = doubt.suspicion.as_mut()?;
        if suspicion.ends_at <= ctx.now {
            if suspicion.looks >= LOOKS_MIN {
                let silent_for = ctx.now.since(suspicion.since);
                if !self.is_cut_off(silent_for, ctx) {
                    self.lose(id, ctx);
                }
                return None;
            }
            suspicion.ends_at = doubt.probe_at.max(ctx.now) + ctx.config.probe_again * 2;
        }
        if doubt.probe_at <= ctx.now {
            suspicion.looks += 1;
            if self.peers.get(&id).is_some_and(|peer| peer.best_path().is_some()) {
                doubt.probe_at = ctx.now + ctx.config.suspect_every * (suspects + 1);
                self.send_probe(id, &mut doubt, PROBE_DOUBTS, ctx);
            } else {
                // Nothing may go to it alone: it is asked before everybody, whoever else says that it did.
                let asking = u32::try_from(self.online_count / ASKING_MAX).unwrap_or(u32::MAX);
                doubt.probe_at = ctx.now + ctx.config.suspect_every * (suspects + asking + 1);
                suspicion.tell_at = Some(ctx.now);
            }
        }
        Some(doubt)
    }

    /// Tells everybody of our suspicions that are due, together.
    pub(super) fn tell_suspicions(&mut self, ctx: &mut Context<'_>) {
        let mut whom = Vec::new();
        for (&id, doubt) in &mut self.vigil.doubts {
            let Some(suspicion) = doubt.suspicion.as_mut() else { continue };
            let Some(peer) = self.peers.get(&id) else { continue };
            if whom.len() < NAMED_MAX && suspicion.tell_at.is_some_and(|at| at <= ctx.now) {
                suspicion.tell_at = suspicion.ours.then(|| ctx.now + ctx.config.suspect_every);
                whom.push(suspected(id, peer, suspicion.since, ctx));
            }
        }
        if whom.is_empty() {
            return;
        }
        if self.vigil.patient_from(self.vigil.heard_at) + ctx.config.suspect_for / 2 <= ctx.now {
            // Whoever is there and cannot be asked alone has no other occasion to be heard before we take ourselves
            // for gone.
            let mute = |peer: &Peer| peer.quality.mute || peer.best_path().is_none();
            let unasked = self.ring_after(ctx.me).filter(|(id, peer)| mute(peer) && !self.vigil.is_suspect(*id));
            whom.extend(unasked.map(|(id, peer)| suspected(id, peer, peer.heard_at, ctx)).take(NAMED_MAX - whom.len()));
        }
        ctx.posts.push_back(Post { to: To::Group, message: Message::Suspect(Suspect { whom }) });
    }

    /// Whether we hear nobody at all, of several, for this long: then it is we who are gone, and
    /// that is told once. One alone may be gone itself, unless we have nothing to hear it by.
    pub(super) fn is_cut_off(&mut self, silent_for: Duration, ctx: &mut Context<'_>) -> bool {
        let nobody = self.online_count > 1 || self.segments.is_empty();
        let silent = self.vigil.patient_from(self.vigil.heard_at) + silent_for <= ctx.now;
        if !self.vigil.cut_off && nobody && silent {
            self.vigil.cut_off = true;
            self.vigil.doubts.clear();
            self.vigil.call_at = Some(ctx.now);
            ctx.news.push_back(News::CutOff(self.online_count));
        }
        self.vigil.cut_off && nobody
    }

    /// A peer is lost.
    pub(super) fn lose(&mut self, id: PeerId, ctx: &mut Context<'_>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.presence = Presence::Lost;
        ctx.news.push_back(News::Lost(id));
        self.recount();
        self.vigil.forget(id);
        self.vigil.calls.insert(id, ctx.now + ctx.config.lost_every);
        self.vigil.call_at = Some(ctx.now);
    }
}

/// What is said of one from whom nothing came since then.
fn suspected(id: PeerId, peer: &Peer, since: Time, ctx: &Context<'_>) -> Suspected {
    let for_ms = u32::try_from(ctx.now.since(since).as_millis()).unwrap_or(u32::MAX);
    Suspected { id: body::bytes(id), boot: peer.boot, for_ms }
}

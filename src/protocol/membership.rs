//! Who is there: hellos, byes, and what silence means.
//!
//! Keeps the table of peers and where each was heard. Knows nothing of logs and of text; `node`
//! hands it every hello, bye and sign of life whose signature was checked.
//!
//! ```text
//!   ann                         bob
//!    |-- hello x3, all casts ---->|
//!    |   (see `meeting`)          |  joined
//!    |<-- hello (unicast) --------|  greets the newcomer back, spread over the group
//!    |-- hello every period ----->|
//!    |-- bye x3 ----------------->|  left
//! ```
//!
//! `probe` finds who has crashed, `suspect` makes sure of it, `calling` finds who is back.

mod calling;
mod contact;
mod greeting;
mod hearing;
mod meeting;
mod peer;
mod probe;
mod quality;
mod room;
mod rounds;
mod strangers;
mod suspect;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::address::{Cast, Segment, SegmentId, towards};
use crate::id::{PeerId, PublicKey};
use crate::protocol::{Context, Full, News, Post, To, earlier};
use crate::text::{Line, Nick};
use crate::time::{Agenda, Time};
use crate::wire::Message;
use crate::wire::body::{Bye, FLAG_ASKS, FLAG_EPHEMERAL, Hello};

pub use meeting::Deaf;
use meeting::Meetings;
pub use peer::{Heard, HearsUs, Path, Peer, Presence};
use probe::Vigil;
pub use quality::Quality;
use strangers::Strangers;

/// Who sent an authentic datagram, and how it got here.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Who.
    pub id: PeerId,
    /// Its public key.
    pub key: PublicKey,
    /// In which run.
    pub boot: u64,
    /// As which datagram of that run.
    pub counter: u64,
    /// On which segment.
    pub segment: SegmentId,
    /// By which cast.
    pub cast: Cast,
    /// From which address.
    pub address: SocketAddr,
    /// What was left of its TTL, where the system tells.
    pub ttl: Option<u8>,
    /// Its length, as far as it pays for what is sent there though nothing is proven.
    pub len: usize,
}

/// What our own hellos say about our log; `node` asks the log for it.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The next entry of our log.
    pub head: u64,
    /// The hash of our frontier.
    pub hash: u64,
    /// For each peer online, our first entry that was said after it joined.
    pub bases: &'a BTreeMap<PeerId, u64>,
    /// Peers to whom a stream is open.
    pub streams: &'a BTreeSet<PeerId>,
}

/// What an authentic datagram turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// From a peer we know, heard for the first time.
    Fresh,
    /// Heard before, or from an earlier run.
    Stale,
    /// From somebody who is not known to live: unknown, in a new run, or lost.
    Unproven,
}

/// The table of peers, and our own greeting.
#[derive(Debug)]
pub struct Membership {
    nick: Nick,
    away: Option<Line>,
    vigil: Vigil,
    peers: BTreeMap<PeerId, Peer>,
    segments: BTreeMap<SegmentId, Segment>,
    /// Hellos of the start that are still to come.
    starting: usize,
    started: Time,
    hello_at: Option<Time>,
    /// Peers to be greeted by unicast, and when.
    greet: Agenda<PeerId>,
    strangers: Strangers,
    meetings: Meetings,
    /// Whom the last hello on a segment told last, where it did not tell all.
    told_up_to: BTreeMap<SegmentId, PeerId>,
    /// Rounds of hellos so far.
    round: u32,
    /// When it may have changed how somebody is heard on a segment. Early, never late.
    look: Agenda<(PeerId, SegmentId)>,
    /// Peers to be told that they are heard otherwise than they know, on which segment, and when.
    tell: Agenda<(PeerId, SegmentId)>,
    /// When the table must be looked through for the silent. Early, never late.
    sweep_at: Option<Time>,
    last_joined: Option<Time>,
    /// When we could hear again: silence before it means nothing.
    resumed_at: Time,
    silent: bool,
    full_told: bool,
    online_count: usize,
}

impl Membership {
    /// A table without anybody in it. `key` is a secret of this run: who does not know it cannot make
    /// others believe that a recording is alive.
    #[must_use]
    pub fn new(nick: Nick, key: [u8; 32], now: Time) -> Self {
        Self {
            nick,
            away: None,
            vigil: Vigil::new(now),
            peers: BTreeMap::new(),
            segments: BTreeMap::new(),
            starting: 0,
            started: now,
            hello_at: Some(now),
            greet: Agenda::default(),
            strangers: Strangers::default(),
            meetings: Meetings::new(key),
            told_up_to: BTreeMap::new(),
            round: 0,
            look: Agenda::default(),
            tell: Agenda::default(),
            sweep_at: None,
            last_joined: None,
            resumed_at: now,
            silent: false,
            full_told: false,
            online_count: 0,
        }
    }

    /// What we call ourselves.
    #[must_use]
    pub const fn nick(&self) -> &Nick {
        &self.nick
    }

    /// Takes another name, and tells it at once.
    pub fn rename(&mut self, nick: Nick, ctx: &Context<'_>) {
        self.nick = nick;
        self.tell_anew(ctx.now);
    }

    /// What our hellos say is out of date.
    pub fn tell_anew(&mut self, now: Time) {
        self.hello_at = Some(now);
    }

    /// We were deaf for a while: others greet us anew, as we greet them, before they count as lost.
    pub fn on_resumed(&mut self, ctx: &Context<'_>) {
        self.resumed_at = ctx.now;
        self.start_greeting(ctx.now);
    }

    /// What we say about being away.
    #[must_use]
    pub const fn away(&self) -> Option<&Line> {
        self.away.as_ref()
    }

    /// Is away, or there again, and tells it at once.
    pub fn set_away(&mut self, away: Option<Line>, ctx: &Context<'_>) {
        if self.away != away {
            self.away = away;
            self.hello_at = Some(ctx.now);
        }
    }

    /// Everybody known, by id.
    pub fn peers(&self) -> impl Iterator<Item = (PeerId, &Peer)> {
        self.peers.iter().map(|(&id, peer)| (id, peer))
    }

    /// One peer.
    #[must_use]
    pub fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    /// Those who are online.
    pub fn online(&self) -> impl Iterator<Item = (PeerId, &Peer)> {
        self.peers().filter(|(_, peer)| peer.presence == Presence::Online)
    }

    /// How many are online.
    #[must_use]
    pub const fn online_count(&self) -> usize {
        self.online_count
    }

    fn recount(&mut self) {
        self.online_count = self.online().count();
    }

    /// Whether `id` runs its run `boot` and is online.
    #[must_use]
    pub fn is_online(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.presence == Presence::Online)
    }

    /// When somebody joined last.
    #[must_use]
    pub const fn last_joined(&self) -> Option<Time> {
        self.last_joined
    }

    /// When somebody joined last, or was asked, within a second of that, who may be about to.
    #[must_use]
    pub fn last_stirred(&self) -> Option<Time> {
        let joined = self.last_joined?;
        Some(self.meetings.asked_at().map_or(joined, |asked| asked.clamp(joined, joined + STIRS_FOR)))
    }

    /// The segments there are.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> + Clone {
        self.segments.values()
    }

    /// One segment.
    #[must_use]
    pub fn segment(&self, id: SegmentId) -> Option<&Segment> {
        self.segments.get(&id)
    }

    /// The segment to reach an address by: the one it is on, else the first of its family.
    #[must_use]
    pub fn segment_towards(&self, to: SocketAddr) -> Option<SegmentId> {
        towards(self.segments.values(), to).map(|segment| segment.id)
    }

    /// A segment is there: greet those on it.
    pub fn on_segment_up(&mut self, segment: Segment, ctx: &Context<'_>) {
        self.segments.insert(segment.id, segment);
        self.start_greeting(ctx.now);
        self.vigil.on_segment_up(ctx.now);
    }

    /// A segment is gone, and every path over it.
    pub fn on_segment_down(&mut self, segment: SegmentId) {
        self.segments.remove(&segment);
        self.told_up_to.remove(&segment);
        self.vigil.heard_on.remove(&segment);
        for peer in self.peers.values_mut() {
            peer.paths.remove(&segment);
        }
    }

    /// Says the next hello to all no later than then.
    pub fn hello_by(&mut self, at: Time) {
        self.hello_at = earlier(self.hello_at, Some(at));
    }

    fn start_greeting(&mut self, now: Time) {
        (self.started, self.starting, self.hello_at) = (now, 0, Some(now));
    }

    /// An authentic datagram of somebody else: is it new, and does its sender live?
    pub fn on_authentic(&mut self, origin: &Origin, ctx: &mut Context<'_>) -> Admission {
        let Some(peer) = self.peers.get_mut(&origin.id).filter(|peer| origin.boot <= peer.boot) else {
            return Admission::Unproven;
        };
        let newest = peer.window.is_newest(origin.counter);
        // What overtook a bye is not heard any more: gone is gone.
        if origin.boot < peer.boot || !peer.window.take(origin.counter) || peer.presence == Presence::Left {
            return Admission::Stale;
        }
        if peer.presence == Presence::Lost {
            return Admission::Unproven;
        }
        if !peer.note_path(origin, newest, ctx.now) {
            self.notice(origin, None, ctx);
        }
        self.on_life(origin, ctx);
        Admission::Fresh
    }

    /// A hello of a peer that is online.
    pub fn on_hello(&mut self, origin: &Origin, hello: &Hello, ctx: &mut Context<'_>) {
        let Some(peer) = self.peers.get_mut(&origin.id).filter(|peer| peer.presence == Presence::Online) else {
            return;
        };
        // In a new run of its, or back from being lost, a moment ago.
        let new = peer.joined_at == ctx.now;
        peer.note_told(origin, hello, ctx);
        peer.note_round(origin, hello, ctx.now);
        // By cast it may be an earlier run of ours that it hears.
        if origin.cast == Cast::Unicast && hello.heard_of(ctx.me).is_some() && peer.greetings.on_answer() {
            self.greet.remove(origin.id);
        }
        let reached = peer.is_reached(origin.segment, ctx.now);
        // One that has two interfaces here says of each what it hears there: what counts is where it is reached.
        if peer.is_heard_at(origin) {
            peer.note_hearing(origin.segment, hello, ctx);
        }
        if reached == Some(true) && peer.is_reached(origin.segment, ctx.now) == Some(false) {
            // No cast reaches it any more: it is to hear by unicast that we are here.
            self.tell.set((origin.id, origin.segment), ctx.now);
        }
        self.look.set((origin.id, origin.segment), ctx.now);
        if new || hello.flags & FLAG_ASKS != 0 {
            self.greet_soon(origin.id, ctx);
        }
        self.sweep_at = earlier(self.sweep_at, self.silence_deadline(origin.id, ctx));
    }

    /// Whether a datagram is one that was heard before, or before its sender's bye, as far as it can be told before
    /// its signature is checked: then that need not be.
    #[must_use]
    pub fn is_stale(&self, id: PeerId, boot: u64, counter: u64) -> bool {
        let heard = |peer: &Peer| peer.presence == Presence::Left || peer.window.has(counter);
        self.peers.get(&id).is_some_and(|peer| boot < peer.boot || boot == peer.boot && heard(peer))
    }

    /// A peer that is met, or in a new run: by this hello, at this host if that is proven. False if there is no room
    /// for it, or it runs anew too often.
    fn take_in(&mut self, origin: &Origin, hello: &Hello, host: Option<IpAddr>, ctx: &mut Context<'_>) -> bool {
        let nick = Nick::from_any(&hello.nick);
        let before = self.peers.get(&origin.id).map(|peer| peer.presence);
        if self.peers.get_mut(&origin.id).is_some_and(|peer| !peer.may_run(ctx.now)) {
            return false;
        }
        if before.is_none() && self.peers.len() >= ctx.config.peers_max && !self.make_room(host, ctx) {
            ctx.stats.peers_refused += 1;
            self.tell_full(ctx);
            return false;
        }
        let mut peer = Peer::new(nick, origin, ctx.now, ctx.config.hello_every);
        // Before anybody is told that it joined: whether its nick may be pinned depends on it.
        peer.ephemeral = hello.flags & FLAG_EPHEMERAL != 0;
        peer.window.take(origin.counter);
        peer.note_path(origin, true, ctx.now);
        if let Some(old) = self.peers.insert(origin.id, peer)
            && let Some(peer) = self.peers.get_mut(&origin.id)
        {
            peer.go_on(origin.id, old, ctx);
        }
        self.last_joined = Some(ctx.now);
        self.recount();
        ctx.news.push_back(match before {
            None | Some(Presence::Left) => News::Joined(origin.id),
            Some(Presence::Online | Presence::Lost) => News::Back(origin.id),
        });
        self.vigil.forget(origin.id);
        self.on_life(origin, ctx);
        true
    }

    /// There is no room for everybody; told once.
    fn tell_full(&mut self, ctx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.full_told, true) {
            ctx.news.push_back(News::Full(Full::Peers));
        }
    }

    /// A bye of a peer that is known.
    pub fn on_bye(&mut self, id: PeerId, ctx: &mut Context<'_>) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if peer.presence == Presence::Left {
            return false;
        }
        peer.presence = Presence::Left;
        self.forget(id);
        self.recount();
        ctx.news.push_back(News::Left(id));
        true
    }

    /// Says bye to everybody, and no more hellos.
    pub fn say_bye(&mut self, head: u64, ctx: &mut Context<'_>) {
        let bye = Message::Bye(Bye { head });
        self.silent = true;
        for segment in self.segments.keys() {
            for cast in [Cast::Multicast, Cast::Broadcast] {
                ctx.posts.push_back(Post { to: To::Segment(*segment, cast), message: bye.clone() });
            }
        }
        let afar = self.online().filter(|(_, peer)| peer.is_afar(ctx.now)).map(|(id, _)| To::Peer(id));
        ctx.posts.extend(afar.map(|to| Post { to, message: bye.clone() }));
    }

    /// When [`Membership::on_timeout`] has something to do.
    #[must_use]
    pub fn wake_at(&self) -> Option<Time> {
        if self.silent {
            return None;
        }
        let (greet, look, tell) = (self.greet.wake_at(), self.look.wake_at(), self.tell.wake_at());
        let hellos = earlier(earlier(self.hello_at, greet), earlier(look, tell));
        let hellos = earlier(hellos, self.meetings.wake_at());
        earlier(hellos, earlier(self.sweep_at, self.vigil.wake_at()))
    }

    /// Time passed: says hello, greets back, and finds the silent.
    pub fn on_timeout(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        if self.silent {
            return;
        }
        self.excuse(ctx);
        if self.hello_at.is_some_and(|at| at <= ctx.now) {
            self.say_hello(standing, ctx);
        }
        self.challenge_due(ctx);
        self.prove_alone(standing, ctx);
        self.greet_due(standing, ctx);
        self.look_due(standing, ctx);
        if self.sweep_at.is_some_and(|at| at <= ctx.now) {
            self.sweep(ctx);
        }
        self.watch(ctx);
        self.call(standing, ctx);
    }

    /// When a peer that stays silent is lost.
    fn silence_deadline(&self, id: PeerId, ctx: &Context<'_>) -> Option<Time> {
        let peer = self.peers.get(&id).filter(|peer| peer.presence == Presence::Online)?;
        // It may not have had occasion yet to tell that there are more of us, and that it says hello less often.
        let every = peer.every.max(self.period(ctx));
        Some(self.vigil.patient_from(peer.heard_at.max(self.resumed_at)) + every * ctx.config.lost_after)
    }

    fn sweep(&mut self, ctx: &mut Context<'_>) {
        let online: Vec<_> = self.online().map(|(id, _)| id).collect();
        self.sweep_at = None;
        for id in online {
            let Some(deadline) = self.silence_deadline(id, ctx) else { continue };
            if deadline > ctx.now {
                self.sweep_at = earlier(self.sweep_at, Some(deadline));
                continue;
            }
            self.sweep_at = earlier(self.sweep_at, Some(ctx.now + ctx.config.hello_every));
            if !self.is_cut_off(hearing::DEAF_AFTER, ctx) {
                self.accuse_silent(id, ctx);
            }
        }
    }
}

/// Strangers that come later than this do not put off what waits for nobody else to join: there may be many.
const STIRS_FOR: Duration = Duration::from_secs(1);
/// Who was heard for so long is no stranger any more.
const KNOWN_AFTER: Duration = Duration::from_secs(10);
/// Most bytes of what is said about being away; more is cut off.
pub const AWAY_MAX: usize = 80;
/// No peer is believed to say hello less often than this.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// The beginning of a text, at most so many bytes.
#[must_use]
pub fn clipped(text: &Line, max: usize) -> Line {
    text.chunks(max).first().map_or_else(|| text.clone(), |text| Line::from_peer(text))
}

//! Meeting: nobody is there because a datagram says so. It may be a recording, and its source may be forged.
//!
//! Whoever is not online, or is heard from an address where it never was, is sent a challenge that only
//! that address hears and only the key can answer. Nothing else is sent there until it is answered, and no
//! more bytes than came from there. Where probes do not get through, hellos carry challenge and proof
//! by the casts that do: such a peer is online, but nothing is sent to it alone.
//!
//! ```text
//!   ann                              bob
//!    |-- hello (all casts) ----------->|  may be anybody, any time
//!    |<------------ probe, challenge --|
//!    |-- answer, proof, challenge ---->|  ann joined
//!    |<---------------- hello, proof --|  bob joined
//! ```

mod deaf;

pub use deaf::Deaf;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::greeting::Greetings;
use super::peer::slot;
use super::way::Way;
use super::{Admission, Membership, Origin, Path, Peer, Presence, Standing};
use crate::address::{Cast, SegmentId};
use crate::config::DATAGRAM_MAX;
use crate::id::PeerId;
use crate::protocol::{Context, Post, To, earlier};
use crate::time::{Agenda, Rate, Time};
use crate::wire::body::{self, Answer, Hello, PROBE_DOUBTS, Probe, Proof};
use crate::wire::{Message, SIGNED_OVERHEAD};

/// Ways that wait for a proof. When full, the one heard longest ago makes room.
const WAITING_MAX: usize = 512;
/// Who is not heard on a way for this long is not waited for any more: in a large group hellos are rare.
const WAIT_FOR: Duration = Duration::from_secs(300);
/// Challenges to newcomers are spread over this time for each peer known or waiting, ...
const SPREAD: Duration = Duration::from_micros(500);
/// ... but no longer than this.
const SPREAD_MAX: Duration = Duration::from_millis(250);
/// A challenge is repeated after this, so often, ...
const AGAIN_AFTER: Duration = Duration::from_millis(60);
const HURRIED: u32 = 8;
/// ... and then less and less, but at least this often, while enough is heard to pay for it.
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// The first one to a peer that was lost is repeated after this: it is heard, so it should answer.
const MISSED_AFTER: Duration = Duration::from_millis(20);
/// A proof is as good as fresh for this long, and up to as long again.
const EPOCH: Duration = Duration::from_secs(8);
/// As long as that is one that was asked for by cast: in a large group hellos are rare.
const CAST_EPOCH: Duration = Duration::from_secs(300);
/// After so many challenges without an answer it is asked by cast.
const UNANSWERED: u32 = 2;
/// A hello may lie so many datagrams before the proof, ...
const LAG: u64 = 128;
/// ... and so many more for each peer known or waiting.
const LAG_EACH: u64 = 8;
/// Whoever is there by IPv4 and by IPv6 is met by IPv4, so that scripts find the address that they know.
const SECOND_FAMILY_AFTER: Duration = Duration::from_millis(10);
/// Proofs owed to others by cast. When full, no further one is owed until they were given.
const OWED_MAX: usize = 16;
/// Hellos that ask for a proof, or give one, are hurried no more often than this.
const HURRY_EVERY: Duration = Duration::from_millis(100);
/// For one peer no more often than this, ...
const HURRIES_EVERY: Duration = Duration::from_secs(5);
/// ... but for so many at once: all who hear it say hello then, to all.
const HURRIES_BURST: u32 = 4;
const HURRIES: Rate = Rate::one_every(HURRIES_EVERY, HURRIES_BURST);
/// And within this.
const HURRY_WITHIN: Duration = Duration::from_millis(20);

/// What an answered challenge proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proven {
    /// That its sender lives, and is where it seems to be.
    Place,
    /// That its sender lives.
    Life,
}

/// Somebody on a way of which nothing is proven.
#[derive(Debug)]
struct Meeting {
    boot: u64,
    /// Bytes heard and not answered, a datagram's worth at most.
    credit: usize,
    challenged: u32,
    /// It is lost, and was there before: it is waited for.
    is_missed: bool,
    since: Time,
    /// Our rounds of hellos until then.
    round: u32,
    /// It asked something of us: so it hears us.
    asked: bool,
    heard_at: Time,
    /// Its newest hello.
    hello: Option<(Origin, Hello)>,
    /// What came last by each cast, and when something came by it first and last.
    heard: [Option<(Origin, (Time, Time))>; 3],
}

/// Everybody who is about to be met.
#[derive(Debug)]
pub(super) struct Meetings {
    key: [u8; 32],
    waiting: BTreeMap<Way, Meeting>,
    /// When to challenge whom.
    challenges: Agenda<Way>,
    /// Who asked by cast for a proof that we live.
    owed: BTreeMap<PeerId, u64>,
    /// Who asked for it by unicast, and where.
    owed_alone: BTreeMap<Way, u64>,
    hurried_at: Option<Time>,
    /// When somebody was asked last who may be new.
    asked_at: Option<Time>,
}

impl Meetings {
    /// Nobody; `key` is a secret of this run.
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            waiting: BTreeMap::new(),
            challenges: Agenda::default(),
            owed: BTreeMap::new(),
            owed_alone: BTreeMap::new(),
            hurried_at: None,
            asked_at: None,
        }
    }

    /// When somebody was asked last who is not known, and was not asked long in vain.
    pub(super) const fn asked_at(&self) -> Option<Time> {
        self.asked_at
    }

    pub(super) fn wake_at(&self) -> Option<Time> {
        self.challenges.wake_at()
    }

    /// The challenge for a way, or for all who hear our casts. Nothing is remembered to know its proof.
    ///
    /// `ago`: how many units of time ago it was, or would have been, sent.
    fn challenge(&self, way: Option<(&Way, u64)>, now: Time, ago: u64) -> u64 {
        let unit = if way.is_some() { EPOCH } else { CAST_EPOCH };
        let epoch = (now.as_micros() / unit.as_micros() as u64).saturating_sub(ago);
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&epoch.to_be_bytes());
        if let Some((way, boot)) = way {
            hasher.update(&way.id.0).update(&boot.to_be_bytes()).update(&way.segment.0.to_be_bytes());
            hasher.update(&way.address.port().to_be_bytes());
            match way.address.ip() {
                IpAddr::V4(ip) => hasher.update(&ip.octets()),
                IpAddr::V6(ip) => hasher.update(&ip.octets()),
            };
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_be_bytes(first)
    }

    /// What `proof` proves that came on a way.
    fn proven(&self, way: &Way, boot: u64, proof: u64, now: Time) -> Option<Proven> {
        let is = |way| [0, 1].into_iter().any(|ago| self.challenge(way, now, ago) == proof);
        if is(Some((way, boot))) {
            return Some(Proven::Place);
        }
        is(None).then_some(Proven::Life)
    }

    /// The meeting on a way: there is one for the newest run that was heard.
    fn on(&mut self, way: Way, boot: u64, round: u32, now: Time) -> Option<&mut Meeting> {
        if !self.waiting.contains_key(&way) {
            self.waiting.retain(|_, meeting| now.since(meeting.heard_at) < WAIT_FOR);
            if self.waiting.len() >= WAITING_MAX
                && let Some(oldest) = self.waiting.iter().min_by_key(|(_, m)| m.heard_at).map(|(&way, _)| way)
            {
                self.remove(oldest);
            }
        }
        let new = || Meeting {
            boot,
            credit: 0,
            challenged: 0,
            is_missed: false,
            since: now,
            round,
            asked: false,
            heard_at: now,
            hello: None,
            heard: [None; 3],
        };
        let meeting = self.waiting.entry(way).or_insert_with(new);
        if meeting.boot < boot {
            *meeting = new();
        }
        (meeting.boot == boot).then_some(meeting)
    }

    /// Somebody left: nothing is owed to it.
    pub(super) fn forget(&mut self, id: PeerId) {
        self.owed.remove(&id);
        self.owed_alone.retain(|way, _| way.id != id);
    }

    fn remove(&mut self, way: Way) -> Option<Meeting> {
        self.challenges.remove(way);
        self.waiting.remove(&way)
    }

    /// Whether somebody is heard by cast who answers none of our probes.
    fn is_unanswered(&self) -> bool {
        let by_cast =
            |meeting: &Meeting| meeting.hello.as_ref().is_some_and(|(origin, _)| origin.cast != Cast::Unicast);
        self.waiting.values().any(|meeting| meeting.challenged >= UNANSWERED && by_cast(meeting))
    }
}

/// The length of a challenge as a datagram, at most.
pub(super) fn challenge_len() -> usize {
    SIGNED_OVERHEAD + body::encoded_len(&Probe::challenging(u32::MAX, PROBE_DOUBTS, u64::MAX))
}

impl Membership {
    /// What an authentic datagram says to whoever does not know yet whether its sender lives. `known` is what
    /// [`Membership::on_authentic`] said of it. Returns a hello of a peer that is online from now on, or on
    /// a way that is new: it was kept until then.
    pub fn on_meeting(
        &mut self,
        origin: &Origin,
        known: Admission,
        message: &Message,
        ctx: &mut Context<'_>,
    ) -> Option<(Origin, Hello)> {
        if self.silent {
            return None;
        }
        let me = body::bytes(ctx.me);
        let proof = match message {
            Message::Answer(answer) => answer.proof,
            Message::Hello(hello) => {
                hello.proofs.iter().flatten().find(|proof| proof.id == me).map(|proof| proof.challenge)
            }
            _ => None,
        };
        let proven = proof.and_then(|proof| self.meetings.proven(&origin.way(), origin.boot, proof, ctx.now));
        if known == Admission::Unproven {
            let hello = if let Message::Hello(hello) = message { Some(hello) } else { None };
            self.notice(origin, hello, ctx);
        }
        if let Some(meeting) = self.meetings.waiting.get_mut(&origin.way()).filter(|m| m.boot == origin.boot) {
            meeting.asked |= matches!(message, Message::Probe(_));
            if known == Admission::Unproven && matches!(message, Message::Bye(_)) {
                // It can but be gone: nobody waits for it.
                self.meetings.remove(origin.way());
            }
        }
        let met = proven.and_then(|proven| self.on_proof(origin, proven, ctx));
        self.note_asked(origin, message, ctx);
        met
    }

    /// Whether its sender is known, or about to be met where it is heard.
    #[must_use]
    pub fn is_noticed(&self, origin: &Origin) -> bool {
        self.peers.contains_key(&origin.id) || self.meetings.waiting.contains_key(&origin.way())
    }

    /// Something came on a way of which nothing is proven.
    pub(super) fn notice(&mut self, origin: &Origin, hello: Option<&Hello>, ctx: &mut Context<'_>) {
        let known = self.peers.get(&origin.id).filter(|peer| peer.boot == origin.boot);
        if hello.is_none() && known.is_none() {
            return;
        }
        // Where it was before it was lost whatever it says pays for one challenge at least.
        let was_there = known.and_then(|peer| peer.paths.get(&origin.segment)).and_then(Path::proven_address);
        let free = was_there == Some(origin.address);
        let many = u32::try_from(self.peers.len() + self.meetings.waiting.len()).unwrap_or(u32::MAX);
        let other = if self.is_second(origin.segment) { SECOND_FAMILY_AFTER } else { Duration::ZERO };
        let at = ctx.now + other + ctx.rng.within((SPREAD * many).min(SPREAD_MAX));
        let Some(meeting) = self.meetings.on(origin.way(), origin.boot, self.round, ctx.now) else { return };
        meeting.heard_at = ctx.now;
        meeting.is_missed = free;
        let least = if free { challenge_len() } else { 0 };
        meeting.credit = (meeting.credit + origin.len).clamp(least, DATAGRAM_MAX);
        let heard = &mut meeting.heard[slot(origin.cast)];
        let first = heard.map_or(ctx.now, |(_, (first, _))| first);
        *heard = Some((*origin, (first, ctx.now)));
        let newer = meeting.hello.as_ref().is_none_or(|(told, _)| told.counter < origin.counter);
        if let Some(hello) = hello.filter(|_| newer) {
            meeting.hello = Some((*origin, hello.clone()));
        }
        self.meetings.challenges.set_once(origin.way(), at);
    }

    /// A challenge of ours was answered.
    fn on_proof(&mut self, origin: &Origin, proven: Proven, ctx: &mut Context<'_>) -> Option<(Origin, Hello)> {
        let way = origin.way();
        let presence = self.peers.get(&origin.id).filter(|peer| peer.boot == origin.boot).map(|peer| peer.presence);
        match presence {
            Some(Presence::Left) => return None,
            Some(Presence::Lost) => self.revive(origin, ctx),
            Some(Presence::Online) => {}
            None => {
                let meeting = self.meetings.waiting.get_mut(&way).filter(|meeting| meeting.boot == origin.boot)?;
                let (told, mut hello) = meeting.hello.take()?;
                if told.counter != origin.counter {
                    if told.counter.saturating_add(self.lag_max()) < origin.counter {
                        return None;
                    }
                    // It may be an earlier run of ours that it hears.
                    let (me, all) = (body::bytes(ctx.me), hello.heard.len());
                    hello.heard.retain(|heard| heard.id != me);
                    let of = || u16::try_from(all).unwrap_or(u16::MAX);
                    hello.of = hello.of.or_else(|| (hello.heard.len() < all).then(of));
                }
                let host = (proven == Proven::Place).then(|| origin.address.ip());
                if !self.take_in(&told, &hello, host, ctx) {
                    return None;
                }
                if let Some(peer) = self.peers.get_mut(&origin.id) {
                    peer.window.take(origin.counter);
                }
                self.settle_down(origin, proven, ctx);
                return Some((told, hello));
            }
        }
        let meeting = self.settle_down(origin, proven, ctx);
        let peer = self.peers.get_mut(&origin.id)?;
        let (told, hello) = meeting.and_then(|meeting| meeting.hello).filter(|(told, _)| told.boot == peer.boot)?;
        (told.counter == origin.counter || peer.window.take(told.counter)).then_some((told, hello))
    }

    /// So far a hello may lie before the proof: what is old may be out of date, but a crowd says much at once.
    fn lag_max(&self) -> u64 {
        let crowd = self.peers.len() + self.meetings.waiting.len();
        LAG + LAG_EACH * u64::try_from(crowd).unwrap_or(u64::MAX)
    }

    /// A way needs no more proof, or it needs no more that its peer lives. What was heard there meanwhile counts
    /// from now on.
    fn settle_down(&mut self, origin: &Origin, proven: Proven, ctx: &mut Context<'_>) -> Option<Meeting> {
        let meeting = self.meetings.remove(origin.way());
        let peer = self.peers.get_mut(&origin.id)?;
        for (heard, _) in meeting.iter().flat_map(|meeting| meeting.heard).flatten() {
            peer.note_path(&heard, false, ctx.now);
        }
        if proven == Proven::Place {
            peer.prove(origin.segment, origin.address, ctx.now);
        } else if !self.is_on(&origin.way(), None) {
            // Its next hello may be long in coming: it is asked now where it is.
            self.notice(origin, None, ctx);
        }
        meeting
    }

    /// Whoever asks that we prove to live is answered at once, or by our next hello.
    fn note_asked(&mut self, origin: &Origin, message: &Message, ctx: &mut Context<'_>) {
        // Whoever runs anew may ask where it was never heard to have ended.
        let in_this_run = |peer: &Peer| peer.presence == Presence::Online && origin.boot <= peer.boot;
        let is_here = self.peers.get(&origin.id).is_some_and(in_this_run);
        match message {
            Message::Probe(probe) if !is_here && origin.cast == Cast::Unicast => {
                // Without what makes room for it the answer would be longer.
                let Some(proof) = probe.challenge.filter(|_| probe.pad.is_some()) else { return };
                let challenge = self.meetings.challenge(Some((&origin.way(), origin.boot)), ctx.now, 0);
                let answer = Answer { token: probe.token, proof: Some(proof), challenge: Some(challenge) };
                let to = To::Address(origin.segment, origin.address);
                ctx.posts.push_back(Post { to, message: Message::Answer(answer) });
            }
            Message::Answer(Answer { challenge: Some(challenge), .. })
                if self.is_on(&origin.way(), Some(origin.boot)) =>
            {
                self.owe_alone(origin, *challenge, ctx);
            }
            Message::Hello(hello) => {
                // Whom it says it hears it does not ask.
                let known = hello.heard_of(ctx.me).is_some();
                let Some(challenge) = hello.challenge.filter(|_| !known) else { return };
                if self.is_on(&origin.way(), Some(origin.boot)) {
                    self.owe_alone(origin, challenge, ctx);
                }
                // By cast as well: what we send it alone may not get there either.
                let owed = &mut self.meetings.owed;
                if owed.len() < OWED_MAX || owed.contains_key(&origin.id) {
                    owed.insert(origin.id, challenge);
                }
                // A stranger can wait for the next hello, and so can who may mean many others: there may be many.
                let few = hello.of.is_none_or(|of| usize::from(of) <= 2 * hello.heard.len());
                let online = self.peers.get_mut(&origin.id).filter(|peer| peer.presence == Presence::Online);
                if few && online.is_some_and(|peer| peer.claims.hurries.take(1, HURRIES, ctx.now)) {
                    self.hurry(ctx);
                }
            }
            _ => {}
        }
    }

    /// A proof is to go to a peer where it is, at once. No more of them than were proven to be there, a datagram each.
    fn owe_alone(&mut self, origin: &Origin, challenge: u64, ctx: &Context<'_>) {
        self.meetings.owed_alone.insert(origin.way(), challenge);
        self.greet.set(origin.id, ctx.now);
    }

    /// Says the next hello soon.
    fn hurry(&mut self, ctx: &mut Context<'_>) {
        if self.meetings.hurried_at.is_some_and(|at| at > ctx.now) {
            // One is on its way that says it all.
            return;
        }
        let soonest = self.meetings.hurried_at.map_or(ctx.now, |at| at + HURRY_EVERY);
        let at = soonest.max(ctx.now + ctx.rng.within(HURRY_WITHIN));
        self.meetings.hurried_at = Some(at);
        self.hello_by(at);
    }

    /// Somebody who was lost proved to live.
    fn revive(&mut self, origin: &Origin, ctx: &mut Context<'_>) {
        let Some(peer) = self.peers.get_mut(&origin.id) else { return };
        peer.presence = Presence::Online;
        peer.joined_at = ctx.now;
        peer.greetings = Greetings::default();
        peer.note_path(origin, true, ctx.now);
        self.last_joined = Some(ctx.now);
        ctx.news.push_back(crate::protocol::News::Back(origin.id));
        self.recount();
        self.sweep_at = earlier(self.sweep_at, self.silence_deadline(origin.id, ctx));
        self.on_life(origin, ctx);
        self.on_back(origin.id, ctx);
        self.greet_soon(origin.id, ctx);
    }

    /// A probe by which a peer proves that it lives, and where.
    pub(super) fn challenge(
        &self,
        id: PeerId,
        boot: u64,
        place: (SegmentId, SocketAddr),
        ctx: &mut Context<'_>,
    ) -> Probe {
        let way = Way { id, segment: place.0, address: place.1 };
        let challenge = self.meetings.challenge(Some((&way, boot)), ctx.now, 0);
        Probe::challenging(ctx.rng.next_u64() as u32, 0, challenge)
    }

    /// Sends the challenges that are due and paid for.
    pub(super) fn challenge_due(&mut self, ctx: &mut Context<'_>) {
        for way in self.meetings.challenges.take_due(ctx.now) {
            let Some(boot) = self.meetings.waiting.get(&way).map(|meeting| meeting.boot) else { continue };
            let probe = self.challenge(way.id, boot, (way.segment, way.address), ctx);
            let Some(meeting) = self.meetings.waiting.get_mut(&way) else { continue };
            let Some(credit) = meeting.credit.checked_sub(challenge_len()) else { continue };
            let doubled = meeting.challenged.saturating_sub(HURRIED);
            let again = if meeting.is_missed && meeting.challenged == 0 { MISSED_AFTER } else { AGAIN_AFTER };
            let again = (again * (1 << doubled.min(5))).min(AGAIN_MAX);
            meeting.credit = credit;
            self.meetings.challenges.set(way, ctx.now + again);
            meeting.challenged += 1;
            if !meeting.is_missed && meeting.challenged <= HURRIED && !self.peers.contains_key(&way.id) {
                self.meetings.asked_at = Some(ctx.now);
            }
            let hurries = meeting.is_missed && meeting.challenged == UNANSWERED;
            ctx.stats.challenges += 1;
            ctx.posts.push_back(Post { to: To::Address(way.segment, way.address), message: Message::Probe(probe) });
            if hurries {
                // Its machine may have forgotten ours with the link, and be silent for a second.
                self.hurry(ctx);
            }
        }
    }

    /// What our hellos to all ask for, and prove.
    pub(super) fn prove_to_all(&self, hello: &mut Hello, now: Time) {
        hello.challenge = self.meetings.is_unanswered().then(|| self.meetings.challenge(None, now, 0));
        let owed = self.meetings.owed.iter();
        let proofs: Vec<_> = owed.map(|(&id, &challenge)| Proof { id: body::bytes(id), challenge }).collect();
        hello.proofs = Some(proofs).filter(|proofs| !proofs.is_empty());
    }

    /// What was owed to all is given.
    pub(super) fn proved_to_all(&mut self) {
        self.meetings.owed.clear();
    }

    /// Says hello to those who wait for a proof, where they wait for it.
    pub(super) fn prove_alone(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        for (way, challenge) in std::mem::take(&mut self.meetings.owed_alone) {
            self.prove_at(way, challenge, standing, ctx);
        }
    }
}

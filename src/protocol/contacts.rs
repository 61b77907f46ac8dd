//! Whom to greet although no cast brings it: peers that others hear and we do not, and those
//! remembered from an earlier run.
//!
//! Hellos say whom their sender hears. Who is named there and stays unknown is asked for, and greeted
//! where the answer says; that makes one room of networks that nothing but one greeting connects.
//!
//! ```text
//!   ann (here)              bob (here)                cat (beyond a router)
//!    |<-- hello: I hear cat --|<------- hello ----------|
//!    |--- seek cat ---------->|                         |
//!    |<-- whereabouts of cat -|                         |
//!    |--- hello ------------------------------------- ->|  and they know each other
//! ```
//!
//! What a member says of others may be a lie, aimed at somebody who is none of us: only what was asked
//! for is taken, each address is greeted a few times, and addresses that one member told are never
//! sent more bytes than that member sent us.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::address::Segment;
use crate::id::PeerId;
use crate::protocol::{Context, Post, To, earlier};
use crate::time::Time;
use crate::wire::Message;
use crate::wire::body::{self, Place, Seek, Whereabouts};

/// Peers at once that others hear and we do not. Those beyond wait until there is room.
const WANTED_MAX: usize = 256;
/// Who stays unknown for this long after it was named will not come by itself: thrice a start's hellos.
const SEEK_AFTER: Duration = Duration::from_millis(1000);
/// Questions are at least this far apart, whoever is asked.
const SEEK_EVERY: Duration = Duration::from_millis(250);
/// Peers asked for at once.
const SEEK_MAX: usize = 16;
/// Bytes that a question is longer for each peer, so that no answer is longer than its question.
const SEEK_PADDING: usize = 21;
/// Who is not named for this long is forgotten.
const WANTED_FOR: Duration = Duration::from_secs(300);
/// Between two questions for one peer lies a second, then two and so on, at most this.
const SEEK_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Addresses at once where somebody may be. Those beyond are not taken.
const CONTACTS_MAX: usize = 64;
/// An address that was told is greeted so often, with pauses of 1 and 4 s, ...
const TRIES_MAX: u32 = 3;
/// ... and then not for this long.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// A remembered address is greeted after 1, 2, 4 s and so on, at most this.
const REMEMBERED_PAUSE_MAX: Duration = Duration::from_secs(300);
/// Greetings are at least this far apart.
const GREET_EVERY: Duration = Duration::from_millis(100);
/// No greeting is longer.
const LEAN_HELLO_MAX: usize = 512;
/// Bytes that a member's addresses may be sent at once.
const CREDIT_MAX: usize = 16 * 1024;

/// Peers looked for because one member names them, so that none can fill the table alone.
const WANTED_BY_MAX: usize = 64;

/// Members remembered that name one peer, to be asked in turn. When full, the one asked last makes room for another;
/// while none of them was asked, nobody does.
const NAMERS_MAX: usize = 8;

/// A candidate that was greeted so often in vain makes room for another.
const STALE_TRIES: u32 = 3;

/// A peer that others hear.
#[derive(Debug)]
struct Wanted {
    /// The members that name it: they say that they know where. Never empty.
    namers: Vec<Namer>,
    named_at: Time,
    /// The member asked last: its answer is taken.
    asked: Option<PeerId>,
    times: u32,
    ask_at: Time,
}

/// A member that names a peer.
#[derive(Debug)]
struct Namer {
    id: PeerId,
    /// Which of the questions it was asked last, from 1; 0 is none.
    turn: u32,
}

/// Who says that somebody is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// A member, of this peer.
    Told(PeerId, PeerId),
    /// We ourselves: it was there before it fell silent, or in an earlier run.
    Remembered,
}

/// An address where somebody may be.
#[derive(Debug)]
struct Candidate {
    source: Source,
    tries: u32,
    greet_at: Time,
}

/// Whom to find, and where.
#[derive(Debug, Default)]
pub struct Contacts {
    wanted: BTreeMap<PeerId, Wanted>,
    candidates: BTreeMap<SocketAddr, Candidate>,
    /// What each member sent us, less what was sent to addresses that it told.
    credit: BTreeMap<PeerId, usize>,
    seek_from: Time,
    greet_from: Time,
}

impl Contacts {
    /// Nobody is looked for but those at the addresses remembered from an earlier run.
    #[must_use]
    pub fn new(remembered: &[SocketAddr], now: Time) -> Self {
        let candidate = |&address| (address, Candidate { source: Source::Remembered, tries: 0, greet_at: now });
        Self { candidates: remembered.iter().take(CONTACTS_MAX).map(candidate).collect(), ..Self::default() }
    }

    /// A member sent us so many bytes.
    pub fn on_heard(&mut self, from: PeerId, len: usize, ctx: &Context<'_>) {
        if self.credit.len() < ctx.config.peers_max || self.credit.contains_key(&from) {
            let credit = self.credit.entry(from).or_insert(0);
            *credit = (*credit + len).min(CREDIT_MAX);
        }
    }

    /// A member says whom it hears; `online` tells who of them is known.
    pub fn on_named(
        &mut self,
        from: PeerId,
        heard: impl Iterator<Item = PeerId>,
        online: impl Fn(PeerId) -> bool,
        ctx: &mut Context<'_>,
    ) {
        for id in heard {
            if id == ctx.me || online(id) {
                continue;
            }
            let named = |contacts: &Self| contacts.wanted.values().filter(|wanted| wanted.is_by(from)).count();
            if let Some(wanted) = self.wanted.get_mut(&id) {
                wanted.on_named(from);
                wanted.named_at = ctx.now;
            } else if self.wanted.len() < WANTED_MAX && named(self) < WANTED_BY_MAX {
                let (namers, ask_at) = (vec![Namer { id: from, turn: 0 }], ctx.now + SEEK_AFTER);
                self.wanted.insert(id, Wanted { namers, named_at: ctx.now, asked: None, times: 0, ask_at });
            } else {
                ctx.stats.contacts_refused += 1;
            }
        }
    }

    /// Somebody is known now, at this address: it need not be looked for.
    pub fn on_online(&mut self, id: PeerId, address: SocketAddr) {
        self.wanted.remove(&id);
        let is_it = |source| matches!(source, Source::Told(told, _) if told == id);
        self.candidates.retain(|&at, candidate| at != address && !is_it(candidate.source));
    }

    /// Somebody whom no cast reaches fell silent: the way there may come back, and nobody else may tell.
    pub fn on_lost(&mut self, address: SocketAddr, ctx: &Context<'_>) {
        if self.has_room() {
            let candidate = Candidate { source: Source::Remembered, tries: 0, greet_at: ctx.now + SEEK_AFTER };
            self.candidates.entry(address).or_insert(candidate);
        }
    }

    /// A member is gone, and with it what its word is worth.
    pub fn on_gone(&mut self, id: PeerId) {
        self.credit.remove(&id);
        self.candidates.retain(|_, candidate| !matches!(candidate.source, Source::Told(_, by) if by == id));
    }

    /// Whether one more candidate can be taken; whoever was tried most often in vain makes room.
    fn has_room(&mut self) -> bool {
        if self.candidates.len() >= CONTACTS_MAX
            && let Some((&address, stale)) = self.candidates.iter().max_by_key(|(_, candidate)| candidate.tries)
            && stale.tries >= STALE_TRIES
        {
            self.candidates.remove(&address);
        }
        self.candidates.len() < CONTACTS_MAX
    }

    /// A member asks where others are; `place` tells where they were heard last. The answer has at most
    /// the bytes of the question.
    pub fn on_seek(
        &self,
        from: PeerId,
        seek: &Seek,
        place: impl Fn(PeerId) -> Option<SocketAddr>,
        ctx: &mut Context<'_>,
    ) {
        let room = body::encoded_len(seek);
        let mut answer = Whereabouts { peers: Vec::new() };
        for id in seek.ids.iter().take(SEEK_MAX) {
            let Some(address) = place(PeerId(**id)) else { continue };
            answer.peers.push(Place::new(PeerId(**id), address));
            if body::encoded_len(&answer) > room {
                answer.peers.pop();
                break;
            }
        }
        if !answer.peers.is_empty() {
            ctx.posts.push_back(Post { to: To::Peer(from), message: Message::Whereabouts(answer) });
        }
    }

    /// A member says where others are. What was not asked for, and what is nobody's address, is not taken.
    pub fn on_whereabouts<'a>(
        &mut self,
        from: PeerId,
        told: &Whereabouts,
        segments: impl Iterator<Item = &'a Segment> + Clone,
        ctx: &mut Context<'_>,
    ) {
        for place in &told.peers {
            let id = PeerId(*place.id);
            let asked = self.wanted.get(&id).is_some_and(|wanted| wanted.asked == Some(from));
            let address = place.address().filter(|&address| asked && is_usable(address, segments.clone()));
            let Some(address) = address else {
                ctx.stats.contacts_refused += 1;
                continue;
            };
            if self.candidates.contains_key(&address) {
                continue;
            }
            if !self.has_room() {
                ctx.stats.contacts_refused += 1;
                continue;
            }
            let source = Source::Told(id, from);
            self.candidates.insert(address, Candidate { source, tries: 0, greet_at: ctx.now });
        }
    }

    /// When there is something to do.
    #[must_use]
    pub fn wake_at(&self) -> Option<Time> {
        let seek = self.wanted.values().map(|wanted| wanted.ask_at).min().map(|at| at.max(self.seek_from));
        let greet = self.candidates.values().map(|candidate| candidate.greet_at).min();
        earlier(seek, greet.map(|at| at.max(self.greet_from)))
    }

    /// Time passed: asks where those are who are wanted. `online` tells who is known.
    pub fn on_timeout(&mut self, online: impl Fn(PeerId) -> bool, ctx: &mut Context<'_>) {
        let now = ctx.now;
        if now < self.seek_from || self.wanted.values().all(|wanted| wanted.ask_at > now) {
            return;
        }
        self.wanted.retain(|&id, wanted| {
            wanted.namers.retain(|namer| online(namer.id));
            now.since(wanted.named_at) < WANTED_FOR && !wanted.namers.is_empty() && !online(id)
        });
        let Some(by) = self.wanted.values().find(|wanted| wanted.ask_at <= now).and_then(Wanted::next) else { return };
        let mut ids = Vec::new();
        let its = self.wanted.iter_mut().filter(|(_, wanted)| wanted.ask_at <= now && wanted.next() == Some(by));
        for (&id, wanted) in its.take(SEEK_MAX) {
            wanted.ask_at = now + doubled(wanted.times, SEEK_PAUSE_MAX);
            wanted.on_asked(by);
            ids.push(body::bytes(id));
        }
        let padding = vec![0; ids.len() * SEEK_PADDING].into();
        ctx.stats.seeks += 1;
        ctx.posts.push_back(Post { to: To::Peer(by), message: Message::Seek(Seek { ids, padding }) });
        self.seek_from = now + SEEK_EVERY;
    }

    /// An address to be greeted now, and the number of this try, for [`crate::address::attempt`]. Whoever greets it
    /// says with [`Contacts::greeted`] what that cost.
    pub fn greeting_due(&mut self, ctx: &Context<'_>) -> Option<(SocketAddr, u32)> {
        let now = ctx.now;
        if now < self.greet_from {
            return None;
        }
        let is_spent =
            |candidate: &Candidate| matches!(candidate.source, Source::Told(..)) && candidate.tries >= TRIES_MAX;
        self.candidates.retain(|_, candidate| !(is_spent(candidate) && candidate.greet_at <= now));
        let credit = &self.credit;
        let affords = |source| match source {
            Source::Told(_, by) => credit.get(&by).is_some_and(|&credit| credit >= LEAN_HELLO_MAX),
            Source::Remembered => true,
        };
        for (&address, candidate) in self.candidates.iter_mut().filter(|(_, candidate)| candidate.greet_at <= now) {
            if affords(candidate.source) {
                // The tries of what is told again count from the beginning: not to be by the same few segments for
                // ever. Those of what is remembered go on.
                let spells = match candidate.source {
                    Source::Told(..) => now.since(Time::ZERO).as_secs() / TRY_AGAIN_AFTER.as_secs(),
                    Source::Remembered => 0,
                };
                return Some((address, candidate.tries.wrapping_add(u32::try_from(spells).unwrap_or(0))));
            }
            // Its teller has to say something first.
            candidate.greet_at = now + SEEK_AFTER;
        }
        None
    }

    /// An address was greeted, with so many bytes.
    pub fn greeted(&mut self, address: SocketAddr, len: usize, ctx: &Context<'_>) {
        debug_assert!(len <= LEAN_HELLO_MAX, "{len} bytes are more than a greeting has");
        self.greet_from = ctx.now + GREET_EVERY;
        let Some(candidate) = self.candidates.get_mut(&address) else { return };
        let pause = match candidate.source {
            Source::Remembered => doubled(candidate.tries, REMEMBERED_PAUSE_MAX),
            Source::Told(..) if candidate.tries + 1 >= TRIES_MAX => TRY_AGAIN_AFTER,
            Source::Told(..) => doubled(2 * candidate.tries, TRY_AGAIN_AFTER),
        };
        candidate.greet_at = ctx.now + pause;
        candidate.tries += 1;
        if let Source::Told(_, by) = candidate.source
            && let Some(credit) = self.credit.get_mut(&by)
        {
            *credit = credit.saturating_sub(len);
        }
    }

    /// Asserts that the tables are bounded.
    pub fn check(&self) {
        assert!(self.wanted.len() <= WANTED_MAX && self.candidates.len() <= CONTACTS_MAX, "contacts are bounded");
    }
}

impl Wanted {
    /// Whether this one is why it is looked for: the first of those who name it.
    fn is_by(&self, member: PeerId) -> bool {
        self.namers.first().is_some_and(|namer| namer.id == member)
    }

    /// A member names it, once more or first.
    fn on_named(&mut self, by: PeerId) {
        if self.namers.iter().any(|namer| namer.id == by) {
            return;
        }
        if self.namers.len() >= NAMERS_MAX {
            let asked = self.namers.iter().enumerate().filter(|(_, namer)| namer.turn > 0);
            let Some((last, _)) = asked.max_by_key(|(_, namer)| namer.turn) else { return };
            self.namers.remove(last);
        }
        self.namers.push(Namer { id: by, turn: 0 });
    }

    /// The one to ask next: whose turn is longest ago. How often it is named does not count.
    fn next(&self) -> Option<PeerId> {
        self.namers.iter().min_by_key(|namer| namer.turn).map(|namer| namer.id)
    }

    fn on_asked(&mut self, member: PeerId) {
        self.times += 1;
        self.asked = Some(member);
        if let Some(namer) = self.namers.iter_mut().find(|namer| namer.id == member) {
            namer.turn = self.times;
        }
    }
}

/// A second, doubled so many times, but no more than `max`.
fn doubled(times: u32, max: Duration) -> Duration {
    Duration::from_secs(1 << times.min(16)).min(max)
}

/// Whether one machine may have this address, and that machine is not this one.
fn is_usable<'a>(address: SocketAddr, mut segments: impl Iterator<Item = &'a Segment> + Clone) -> bool {
    let ip = address.ip();
    let near = segments.clone().any(|segment| segment.contains(ip));
    let one = match ip {
        IpAddr::V4(v4) => {
            let first = v4.octets()[0];
            (1..224).contains(&first) && (near || !v4.is_loopback() && !v4.is_link_local())
        }
        // A link-local address means nothing without the link.
        IpAddr::V6(v6) => {
            !v6.is_multicast() && !v6.is_unspecified() && !v6.is_unicast_link_local() && (near || !v6.is_loopback())
        }
    };
    let taken = |segment: &Segment| {
        segment.address == address || segment.broadcast.is_some_and(|broadcast| broadcast.ip() == ip)
    };
    one && address.port() != 0 && !segments.any(taken)
}

#[cfg(test)]
mod tests;

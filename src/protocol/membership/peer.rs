//! One peer: its name, its presence, and the paths on which it is heard.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::greeting::Greetings;
use super::quality::Quality;
use super::rounds::Rounds;
use super::{AWAY_MAX, Origin, SILENCE_MAX, clipped};
use crate::address::{Cast, SegmentId};
use crate::id::{PeerId, PublicKey};
use crate::protocol::{Context, News};
use crate::text::{Line, Nick};
use crate::time::{Bucket, Rate, Time};
use crate::wire::body::{FLAG_EPHEMERAL, FLAG_LISTENS, Hello};

/// What is heard within this many hello periods is heard now.
pub(super) const FRESH_PERIODS: u32 = 3;

/// Whether a peer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Heard within its time.
    Online,
    /// Silent for too long.
    Lost,
    /// It said bye.
    Left,
}

/// Somebody else.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What it calls itself.
    pub nick: Nick,
    /// Its public key, to which its id belongs.
    pub key: PublicKey,
    /// What it says about being away, if it is.
    pub away: Option<Line>,
    /// Its run.
    pub boot: u64,
    /// Its key is for this run only.
    pub ephemeral: bool,
    /// Whether it is there.
    pub presence: Presence,
    /// When its first hello of this run came.
    pub met_at: Time,
    /// When it was met in the first of the runs that it was met in since.
    pub(super) known_since: Time,
    /// When it joined or came back.
    pub joined_at: Time,
    /// When it was heard last.
    pub heard_at: Time,
    /// How often it says hello, as it says.
    pub every: Duration,
    /// What probes tell of the way to it and back.
    pub quality: Quality,
    pub(super) claims: Claims,
    /// Where it is heard, by segment.
    pub paths: BTreeMap<SegmentId, Path>,
    pub(super) greetings: Greetings,
    pub(super) window: Window,
    /// When it was asked for its hello.
    pub(super) asked_at: Option<Time>,
    /// The counter of the newest hello that was taken.
    told: u64,
    last_address: SocketAddr,
}

/// How often one key makes us do something. It has as much in all its runs together: a new one costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claims {
    /// It says that somebody is gone.
    pub(super) accusations: Bucket,
    /// Our next hello is hurried for it.
    pub(super) hurries: Bucket,
    /// It calls itself something else, or says something else about being away.
    words: Bucket,
    /// It runs anew.
    runs: Bucket,
}

/// How a peer is heard on one segment.
#[derive(Clone, Debug)]
pub struct Path {
    /// The source of its last datagram there; never something it says. Once it is proven that it is there, it
    /// changes only when that is proven of another.
    pub address: SocketAddr,
    proven: bool,
    /// It accepts streams there, as it said last.
    pub listens: bool,
    /// When it was heard from there last.
    there_at: Time,
    /// When it was first heard there.
    pub(super) since: Time,
    casts: [Heard; 3],
    rounds: Rounds,
    hears_us: Option<HearsUs>,
    /// The casts, other than unicast, that we told it last that we hear; none while it was told nothing.
    pub(super) told: Option<u8>,
}

/// How a peer is heard by one cast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// When it was heard first and last.
    pub span: Option<(Time, Time)>,
    /// The TTL that was left of the last datagram, where the system told.
    pub left: Option<u8>,
    /// The TTL with which it sends by this cast, as it says.
    pub sent: Option<u8>,
}

/// What a peer says it hears of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HearsUs {
    /// The casts, as bits of [`Cast::bit`], and of a stream.
    pub casts: u8,
    /// The TTLs that were left, by unicast, broadcast and multicast.
    pub left: [Option<u8>; 3],
    /// When it said so last, ...
    pub at: Time,
    /// ... since when it has said the same casts, ...
    pub since: Time,
    /// ... and until when that holds if it says nothing more.
    pub until: Time,
}

/// For so long at most a peer that was heard at one address is not believed to be at another of the same segment: it
/// says hello more often than that, but in a large group.
const STAYS_MAX: Duration = Duration::from_secs(10);

/// A peer that changes its nick, or what it says about being away, more often than this is shown as it was, ...
const WORDS_EVERY: Duration = Duration::from_secs(5);
/// ... but for so many changes at once; what it says then counts with its next hello.
const WORDS_BURST: u32 = 4;
const WORDS: Rate = Rate::one_every(WORDS_EVERY, WORDS_BURST);

/// A key that runs anew more often than this is as it was until its next hello: each run makes everybody greet it, and
/// has a log of its own. One that says a line in each of its runs, from a script, has no more than a few in a second.
const RUNS: Rate = Rate::per_second(4, 64);

/// Casts whose hearing decides what is sent: all but unicast.
pub(super) const WIDE: u8 = Cast::Broadcast.bit() | Cast::Multicast.bit();

impl Peer {
    pub(super) fn new(nick: Nick, origin: &Origin, now: Time, every: Duration) -> Self {
        Self {
            nick,
            key: origin.key,
            away: None,
            boot: origin.boot,
            ephemeral: false,
            presence: Presence::Online,
            met_at: now,
            known_since: now,
            joined_at: now,
            heard_at: now,
            every,
            quality: Quality::default(),
            claims: Claims::default(),
            paths: BTreeMap::new(),
            greetings: Greetings::default(),
            window: Window::default(),
            told: 0,
            asked_at: None,
            last_address: origin.address,
        }
    }

    /// Where it is, as far as that is known, or was.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.best_place().map_or(self.last_address, |(_, address)| address)
    }

    /// Whether it may run anew now.
    pub(super) fn may_run(&mut self, now: Time) -> bool {
        self.claims.runs.take(1, RUNS, now)
    }

    /// It runs anew: what was known of the key before, and of what it may make us do.
    pub(super) fn go_on(&mut self, id: PeerId, old: Self, ctx: &mut Context<'_>) {
        (self.away, self.claims, self.known_since) = (old.away, old.claims, old.known_since);
        if self.nick == old.nick {
            return;
        }
        if self.claims.words.take(1, WORDS, ctx.now) {
            ctx.news.push_back(News::Renamed(id, old.nick));
        } else {
            self.nick = old.nick;
        }
    }

    /// Where it was heard last, even if that segment is gone.
    #[must_use]
    pub const fn last_address(&self) -> SocketAddr {
        self.last_address
    }

    /// A datagram came. False if it is to be proven that the peer is where it came from. Only the newest of
    /// all may tell where the peer is: an older one may have been recorded, and be said again by another.
    pub(super) fn note_path(&mut self, origin: &Origin, newest: bool, now: Time) -> bool {
        self.heard_at = now;
        let path = self.paths.entry(origin.segment).or_insert_with(|| Path::new(origin.address, now));
        let moves = newest && !path.proven && now.since(path.there_at) >= (self.every * 3 / 2).min(STAYS_MAX);
        if moves {
            path.address = origin.address;
        }
        let settled = path.proven && path.address == origin.address;
        if path.address == origin.address {
            path.there_at = now;
        }
        let heard = &mut path.casts[slot(origin.cast)];
        heard.span = Some((heard.span.map_or(now, |(first, _)| first), now));
        heard.left = origin.ttl;
        path.rounds.on_sign(origin.cast, now);
        settled || !newest
    }

    /// Whether this came from where it is heard, proven or not.
    pub(super) fn is_heard_at(&self, origin: &Origin) -> bool {
        self.paths.get(&origin.segment).is_some_and(|path| path.address == origin.address)
    }

    /// The peer is where it seems to be; unless it is still heard where it is known to be. Who passes on all that two
    /// say to each other seems to be both.
    pub(super) fn prove(&mut self, segment: SegmentId, address: SocketAddr, now: Time) {
        let stays_for = (self.every * 3 / 2).min(STAYS_MAX);
        let path = self.paths.entry(segment).or_insert_with(|| Path::new(address, now));
        if path.proven && path.address != address && now.since(path.there_at) < stays_for {
            return;
        }
        (path.address, path.proven, path.there_at) = (address, true, now);
        self.last_address = address;
    }

    /// What a hello says of its sender, unless it said something newer before.
    pub(super) fn note_told(&mut self, origin: &Origin, hello: &Hello, ctx: &mut Context<'_>) {
        if origin.counter < self.told {
            return;
        }
        self.told = origin.counter;
        self.note_words(origin.id, hello, ctx);
        self.ephemeral = hello.flags & FLAG_EPHEMERAL != 0;
        self.every = Duration::from_millis(u64::from(hello.every_ms)).clamp(ctx.config.hello_every / 4, SILENCE_MAX);
    }

    /// What it calls itself, and what it says about being away.
    fn note_words(&mut self, id: PeerId, hello: &Hello, ctx: &mut Context<'_>) {
        let nick = Nick::from_any(&hello.nick);
        let away = hello.away.as_ref().map(|text| clipped(&Line::from_peer(text), AWAY_MAX));
        let renamed = self.nick != nick;
        if !renamed && self.away == away || !self.claims.words.take(1, WORDS, ctx.now) {
            return;
        }
        if renamed {
            let was = std::mem::replace(&mut self.nick, nick);
            ctx.news.push_back(News::Renamed(id, was));
        }
        if self.away != away {
            self.away.clone_from(&away);
            ctx.news.push_back(News::Away(id, away));
        }
    }

    /// A hello came by a path: which round it is of, with which TTL it was sent, and whether there is a listener.
    pub(super) fn note_round(&mut self, origin: &Origin, hello: &Hello, now: Time) {
        let Some(path) = self.paths.get_mut(&origin.segment) else { return };
        path.casts[slot(origin.cast)].sent = hello.ttl;
        // One that has two interfaces here may listen on one of them alone: what counts is where it is reached.
        if path.address == origin.address {
            path.listens = hello.flags & FLAG_LISTENS != 0;
        }
        if let Some(round) = hello.round {
            path.rounds.on_round(origin.cast, round, now);
        }
    }

    pub(super) fn note_hears_us(&mut self, segment: SegmentId, told: HearsUs) {
        if let Some(path) = self.paths.get_mut(&segment) {
            let same = path.hears_us.filter(|was| was.casts == told.casts && was.until >= told.at);
            path.hears_us = Some(HearsUs { since: same.map_or(told.at, |was| was.since), ..told });
        }
    }

    /// Whether it says that a cast of ours reaches it on a segment, if it says anything of us.
    pub(super) fn is_reached(&self, segment: SegmentId, now: Time) -> Option<bool> {
        self.paths.get(&segment)?.hears_us(now).map(|hears| hears.casts & WIDE != 0)
    }

    /// Whether no cast of ours is known to reach it on any path.
    pub(super) fn is_afar(&self, now: Time) -> bool {
        self.paths.values().all(|path| path.only_unicast(now, self.every))
    }

    /// The segments where it is heard now, and its address there.
    pub fn fresh_paths(&self) -> impl Iterator<Item = (SegmentId, &Path)> {
        let fresh = self.paths.iter().filter(|(_, path)| path.heard_casts(self.heard_at, self.every) != 0);
        fresh.map(|(&segment, path)| (segment, path))
    }

    /// The segment and address to reach it by alone; `None` where no address is proven to be its own.
    #[must_use]
    pub fn best_path(&self) -> Option<(SegmentId, SocketAddr)> {
        self.best(|path| path.proven)
    }

    /// The segment where it is best reached, by cast if it cannot be by unicast, and its address as it seems.
    #[must_use]
    pub fn best_place(&self) -> Option<(SegmentId, SocketAddr)> {
        self.best_path().or_else(|| self.best(|_| true))
    }

    /// Of some paths the one of the lowest segment where it is heard now by a cast and does not say that it hears
    /// nothing of us, or nearly so; else the one where it was heard last.
    fn best(&self, is_one: impl Fn(&Path) -> bool) -> Option<(SegmentId, SocketAddr)> {
        let now = self.heard_at;
        let rank = |path: &Path| {
            let deaf = path.hears_us(now).is_some_and(|hears| hears.casts == 0);
            (deaf, path.heard_casts(now, self.every) & WIDE == 0)
        };
        let best = self.fresh_paths().filter(|(_, path)| is_one(path)).min_by_key(|(_, path)| rank(path));
        let last = || self.paths.iter().filter(|(_, path)| is_one(path)).max_by_key(|(_, path)| path.heard_last());
        let best = best.or_else(|| last().map(|(&segment, path)| (segment, path)));
        best.map(|(segment, path)| (segment, path.address))
    }
}

impl Path {
    fn new(address: SocketAddr, since: Time) -> Self {
        let (casts, rounds) = ([Heard::default(); 3], Rounds::default());
        Self {
            address,
            proven: false,
            listens: false,
            there_at: since,
            since,
            casts,
            rounds,
            hears_us: None,
            told: None,
        }
    }

    /// Where to send what is for this peer alone; `None` while it is not proven that it is there.
    #[must_use]
    pub fn proven_address(&self) -> Option<SocketAddr> {
        self.proven.then_some(self.address)
    }

    /// How it is heard by one cast.
    #[must_use]
    pub const fn heard(&self, cast: Cast) -> Heard {
        self.casts[slot(cast)]
    }

    /// The casts by which the peer is heard now, as bits.
    #[must_use]
    pub fn heard_casts(&self, now: Time, every: Duration) -> u8 {
        let casts = [Cast::Unicast, Cast::Broadcast, Cast::Multicast];
        casts.into_iter().filter(|&cast| self.hears(cast, now, every)).map(Cast::bit).sum()
    }

    /// Whether it is heard now by one cast.
    fn hears(&self, cast: Cast, now: Time, every: Duration) -> bool {
        let recent = self.heard(cast).span.is_some_and(|(_, last)| now.since(last) <= every * FRESH_PERIODS);
        recent && self.rounds.works(cast, now, every).unwrap_or(true)
    }

    /// Whether a cast comes from there with the TTL that it was sent with, as its hellos say: no router lies between,
    /// whatever the addresses are.
    #[must_use]
    pub fn is_direct(&self, now: Time, every: Duration) -> bool {
        let casts = [Cast::Broadcast, Cast::Multicast].into_iter().filter(|&cast| self.hears(cast, now, every));
        casts.map(|cast| self.heard(cast)).any(|heard| heard.left.is_some() && heard.left == heard.sent)
    }

    /// When [`Path::heard_casts`] may say otherwise although nothing comes.
    pub(super) fn look_at(&self, now: Time, every: Duration) -> Option<Time> {
        self.rounds.look_at(now, every)
    }

    /// What it says it hears of us; `None` while it has not said, or has not said so for long.
    #[must_use]
    pub fn hears_us(&self, now: Time) -> Option<HearsUs> {
        self.hears_us.filter(|hears| now <= hears.until)
    }

    /// Whether it is heard by unicast alone: then our casts may not get there either.
    pub(super) fn only_unicast(&self, now: Time, every: Duration) -> bool {
        self.heard_casts(now, every) == Cast::Unicast.bit() || self.hears_us(now).is_some_and(|us| us.casts & WIDE == 0)
    }

    pub(super) fn heard_last(&self) -> Option<Time> {
        self.casts.iter().filter_map(|heard| heard.span).map(|(_, last)| last).max()
    }
}

pub(super) const fn slot(cast: Cast) -> usize {
    match cast {
        Cast::Unicast => 0,
        Cast::Broadcast => 1,
        Cast::Multicast => 2,
    }
}

/// Which datagrams of a run were taken: a sliding window of 128 counters (RFC 4303, 3.4.3).
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// The greatest counter taken.
    top: u64,
    /// Bit n: `top - n` was taken.
    seen: u128,
}

impl Window {
    /// Whether a counter is greater than any that was taken.
    pub(super) const fn is_newest(&self, counter: u64) -> bool {
        self.seen == 0 || counter > self.top
    }

    /// Whether a counter was taken before, or is too old to tell.
    pub(super) const fn has(&self, counter: u64) -> bool {
        if self.is_newest(counter) {
            return false;
        }
        let behind = self.top - counter;
        behind >= 128 || self.seen >> behind & 1 == 1
    }

    /// Takes a counter. False if it was taken before, or is too old to tell.
    pub(super) fn take(&mut self, counter: u64) -> bool {
        if self.seen == 0 || counter > self.top {
            let ahead = counter.saturating_sub(self.top);
            self.seen = if ahead < 128 { self.seen << ahead } else { 0 } | 1;
            self.top = counter;
            return true;
        }
        let is_new = !self.has(counter);
        if is_new {
            self.seen |= 1 << (self.top - counter);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PeerId;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn who_is_heard_where_it_is_known_to_be_does_not_move_by_the_word_of_another() {
        let at = |ms: u64| Time::from_micros(ms * 1000);
        let address = |host: u8| SocketAddr::from(([10, 0, 0, host], 5000 + u16::from(host)));
        let segment = SegmentId(1);
        let origin = |host| Origin {
            id: PeerId([2; 16]),
            key: [2; 32],
            boot: 1,
            counter: 1,
            segment,
            cast: Cast::Multicast,
            address: address(host),
            ttl: None,
            len: 100,
        };
        let mut bob = Peer::new(Nick::from_any("bob"), &origin(2), at(0), Duration::from_secs(2));
        bob.note_path(&origin(2), true, at(0));
        bob.prove(segment, address(2), at(0));
        let place = |bob: &Peer| bob.paths[&segment].proven_address();
        for second in 1..5 {
            bob.note_path(&origin(2), true, at(second * 2000));
            bob.note_path(&origin(9), true, at(second * 2000 + 1900));
            bob.prove(segment, address(9), at(second * 2000 + 1900));
            assert_eq!(place(&bob), Some(address(2)), "somebody passes on what both say");
        }
        bob.note_path(&origin(9), true, at(11_100));
        bob.prove(segment, address(9), at(11_100));
        assert_eq!(place(&bob), Some(address(9)), "it moved: where it was nothing comes from any more");
    }

    #[test]
    fn a_listener_at_another_address_was_taken_for_one_where_the_peer_is_reached() {
        let heard_at = |host: u8| Origin {
            id: PeerId([2; 16]),
            key: [2; 32],
            boot: 1,
            counter: 1,
            segment: SegmentId(1),
            cast: Cast::Multicast,
            address: SocketAddr::from(([10, 0, 0, host], 5000 + u16::from(host))),
            ttl: None,
            len: 100,
        };
        let mut bob = Peer::new(Nick::from_any("bob"), &heard_at(2), Time::ZERO, Duration::from_secs(2));
        bob.note_path(&heard_at(2), true, Time::ZERO);
        let mut listens_after = |host, flags| {
            bob.note_round(&heard_at(host), &Hello { flags, ..Hello::default() }, Time::ZERO);
            bob.paths[&SegmentId(1)].listens
        };
        assert!(!listens_after(3, FLAG_LISTENS), "it has two interfaces here");
        assert!(listens_after(2, FLAG_LISTENS) && listens_after(3, 0) && !listens_after(2, 0));
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set(counters in prop::collection::vec(0u64..400, 0..300)) {
            let (mut window, mut taken, mut top) = (Window::default(), BTreeSet::new(), 0);
            for counter in counters {
                let old = !taken.is_empty() && counter + 128 <= top;
                prop_assert_eq!(window.has(counter), old || taken.contains(&counter), "{}", counter);
                let expected = !old && taken.insert(counter);
                top = top.max(counter);
                prop_assert_eq!(window.take(counter), expected, "{}", counter);
            }
        }
    }
}

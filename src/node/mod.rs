//! Where the parts meet: the state machine.
//!
//! [`Node`] takes datagrams apart, believes what is signed, routes it to the one part concerned,
//! and signs and encodes what the parts post. It performs no I/O; `runtime` and the simulator
//! drive it alike.
//!
//! # The contract
//!
//! 1. What comes out depends only on identity, configuration, seed, inputs and times.
//! 2. `handle_*` cannot fail, block or panic, whatever the bytes. A refusal is an event or a counter.
//! 3. After each `handle_*` the caller drains [`Node::poll_output`] to `None`.
//! 4. Time never runs back: an earlier time counts as the latest one seen.
//! 5. After `handle_timeout(now)`, [`Node::poll_timeout`] is later than `now`.
//! 6. Every table and queue has a maximum, a stated policy when full, and a counter.

mod check;
mod contacts;
mod copies;
mod deaf;
mod doctor;
mod forks;
mod handshake;
mod inbound;
mod leaving;
mod letters;
mod machine;
mod names;
mod news;
mod outbound;
mod plain;
mod reach;
mod say;
mod sources;
mod streams;
mod tell;
#[cfg(test)]
mod tests;
mod unclaimed;
mod why;

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::address::{Cast, Errand, Segment, SegmentId, StreamId};
use crate::command::{CastChoice, Command};
use crate::config::Config;
use crate::crypto::{Courier, Identity, Keyring, Verifier, verify};
use crate::event::{Arrival, Event, PeerName};
use crate::protocol::contacts::Contacts;
use crate::protocol::diagnosis::{Records, Survey};
use crate::protocol::direct::Directs;
use crate::protocol::log::Logs;
use crate::protocol::matrix::Matrix;
use crate::protocol::membership::{Membership, Presence};
use crate::protocol::names::{Names, Trust};
use crate::protocol::relay::Relay;
use crate::protocol::session::{Session, View};
use crate::protocol::sources::Sources;
use crate::protocol::{Context, News, Post, Tally, earlier};
use crate::rng::Rng;
use crate::stats::Stats;
use crate::text::Line;
use crate::time::Time;
use copies::Copies;
use forks::Forks;
use leaving::Leaving;
use outbound::Outbound;
use streams::Streams;
use tell::PlainGate;
use unclaimed::Unclaimed;

pub use machine::Machine;
pub use names::Verification;
pub use plain::PlainNode;
pub use reach::{By, Carried, Cell, Grid, Known, Link, Reach, ReachNode, ReachPlace};
pub use streams::{StreamAct, StreamInput};
pub use why::{Reason, Route, Way, Why, WhyHeard, WhyHears, WhyPath, WhyState};

/// What can happen to a node.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram came in by a socket.
    Datagram {
        /// On which segment.
        segment: SegmentId,
        /// By which socket: unicast, broadcast or multicast.
        cast: Cast,
        /// From which address.
        from: SocketAddr,
        /// What was left of its TTL, or hop limit, where the system tells.
        ttl: Option<u8>,
        /// Its bytes, any number of them.
        bytes: &'a [u8],
    },
    /// A segment came or went.
    Segment(SegmentChange),
    /// Something happened to a stream.
    Stream {
        /// To which.
        stream: StreamId,
        /// What.
        what: StreamInput<'a>,
    },
    /// Whoever reads our events keeps up, or is so far behind that nothing more should be
    /// delivered; what is not delivered is not confirmed, so that speakers slow down.
    Reader {
        /// Whether events are taken.
        ready: bool,
    },
    /// The machine was looked at.
    Survey(Survey),
    /// This machine slept, or stood still: nothing was heard meanwhile, and that means nothing.
    Resumed,
    /// A person asked for something.
    Command(Command),
}

/// A segment came or went.
#[derive(Clone, Debug)]
pub enum SegmentChange {
    /// It is there, with these addresses; or it was, and is something else now.
    Up(Segment),
    /// It is gone.
    Down(SegmentId),
}

/// What is to be done. Every output is self-sufficient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send the bytes in the caller's buffer from the unicast socket of a segment.
    Send {
        /// On which segment.
        segment: SegmentId,
        /// By which cast.
        cast: Cast,
        /// To which address.
        to: SocketAddr,
    },
    /// Send the bytes in the caller's buffer to one address that is in no network of ours, once: from the segment by
    /// which the system would, whose address can be answered; from this one if that is none.
    SendBeyond {
        /// From which segment, if the system does not know better.
        segment: SegmentId,
        /// To which address.
        to: SocketAddr,
    },
    /// Do something with a stream; [`StreamAct::Write`] writes the bytes in the caller's buffer.
    Stream {
        /// With which.
        stream: StreamId,
        /// What.
        act: StreamAct,
    },
    /// Leave the group on a segment and join it again: the network may have forgotten us.
    Rejoin {
        /// On which segment.
        segment: SegmentId,
    },
    /// Tell the person.
    Event(Event),
}

/// A peer as `/who` shows it.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// Its name.
    pub name: PeerName,
    /// Where it was heard last; `None` when its segment is gone.
    pub place: Option<(SegmentId, SocketAddr)>,
    /// Heard within its time; else it is lost.
    pub online: bool,
    /// How long ago it joined.
    pub joined: Duration,
    /// How long ago it was heard.
    pub heard: Duration,
    /// Our casts that it says it hears, as bits of [`Cast::bit`]; `None` while it has not said.
    pub hears: Option<u8>,
    /// What it says about being away, if it is.
    pub away: Option<Line>,
    /// How long a probe and its answer take, smoothed, where that was measured.
    pub round_trip: Option<Duration>,
    /// How many of 100 probes get no answer at once, where that was measured.
    pub loss: Option<u8>,
    /// Whether its nick is its own.
    pub trust: Trust,
}

/// A node: the state machine.
#[derive(Debug)]
pub struct Node {
    identity: Identity,
    verifier: Verifier,
    config: Config,
    keyring: Keyring,
    courier: Courier,
    rng: Rng,
    now: Time,
    wake: Option<Time>,
    membership: Membership,
    names: Names,
    contacts: Contacts,
    logs: Logs,
    unclaimed: Unclaimed,
    directs: Directs,
    matrix: Matrix,
    relay: Relay,
    streams: Streams,
    session: Session,
    leaving: Option<Leaving>,
    gone: bool,
    posts: VecDeque<Post>,
    news: VecDeque<News>,
    outbound: Outbound,
    events: VecDeque<Event>,
    /// What is to be done besides.
    acts: VecDeque<Output>,
    records: Records,
    sources: Sources,
    forks: Forks,
    stats: Stats,
    /// Addresses whose unknown version was told.
    versions_told: BTreeSet<IpAddr>,
    alone_told: bool,
    relay_told: bool,
    plain_gate: PlainGate,
    copies: Copies,
}

/// The world of a part, from fields that are not the part itself.
macro_rules! context {
    ($node:expr) => {
        Context {
            now: $node.now,
            config: &$node.config,
            me: $node.identity.id(),
            rng: &mut $node.rng,
            posts: &mut $node.posts,
            news: &mut $node.news,
            stats: &mut $node.stats,
        }
    };
}

/// What our hellos say of our log.
macro_rules! standing {
    ($node:expr) => {{
        let hash = $node.logs.told_hash();
        let (bases, streams) = ($node.logs.bases(), $node.streams.peers());
        Standing { head: $node.logs.head(), hash, bases, streams }
    }};
}

use {context, standing};

use crate::protocol::membership::Standing;

/// Turns that one timeout may take: parts wake each other, but not for ever.
const TURNS_MAX: u32 = 16;

impl Node {
    /// A node that wakes now. `seed` decides every choice it makes at random.
    #[must_use]
    pub fn new(identity: Identity, config: Config, seed: [u8; 32], now: Time) -> Self {
        let mut words = seed.chunks_exact(8).map(|word| word.iter().fold(0, |all, &byte| all << 8 | u64::from(byte)));
        let folded = words.by_ref().fold(0, |all, word| all ^ word);
        let (mut rng, mut posts, mut news) = (Rng::new(folded), VecDeque::new(), VecDeque::new());
        let mut stats = Stats::default();
        let me = identity.id();
        let logs = {
            let (rng, posts, news) = (&mut rng, &mut posts, &mut news);
            let ctx = Context { now, config: &config, me, rng, posts, news, stats: &mut stats };
            Logs::new(identity.log(), &ctx)
        };
        Self {
            keyring: Keyring::new(&config.secrets, config.group),
            courier: Courier::new(&identity, &seed),
            membership: {
                let key = blake3::derive_key("udpnode 1 freshness challenges", &seed);
                Membership::new(config.nick.clone(), key, now)
            },
            names: Names::new(me, &config.nick, Vec::new(), now),
            contacts: Contacts::new(&config.remembered_peers, now),
            session: Session::new(now, &config),
            logs,
            unclaimed: Unclaimed::default(),
            directs: Directs::default(),
            matrix: Matrix::default(),
            relay: Relay::default(),
            streams: Streams::default(),
            rng,
            now,
            wake: Some(now),
            leaving: None,
            gone: false,
            posts,
            news,
            outbound: Outbound::default(),
            events: VecDeque::new(),
            acts: VecDeque::new(),
            records: Records::default(),
            sources: Sources::new(folded.rotate_left(32)),
            forks: Forks::default(),
            stats,
            versions_told: BTreeSet::new(),
            verifier: verify,
            alone_told: false,
            relay_told: false,
            plain_gate: PlainGate::default(),
            copies: Copies::default(),
            identity,
            config,
        }
    }

    /// Checks signatures in another way. It must answer as [`verify`] does.
    #[must_use]
    pub const fn with_verifier(mut self, verifier: Verifier) -> Self {
        self.verifier = verifier;
        self
    }

    /// Something happened.
    pub fn handle_input(&mut self, now: Time, input: Input<'_>) {
        debug_assert!(self.is_drained(), "drain the outputs after each handle_*");
        self.now = self.now.max(now);
        if self.gone {
            return;
        }
        match input {
            Input::Datagram { segment, cast, from, ttl, bytes } => {
                self.on_datagram(Arrival { segment, cast, address: from, ttl, errand: Errand::Said }, bytes);
            }
            Input::Segment(change) => self.on_segment(change),
            Input::Stream { stream, what } => self.on_stream(stream, what),
            Input::Reader { ready } => {
                self.logs.on_reader(ready, &mut context!(self));
                self.directs.on_reader(ready, &mut context!(self));
            }
            Input::Survey(survey) => self.records.on_survey(survey, self.now),
            Input::Resumed => {
                self.membership.on_resumed(&context!(self));
                self.session.on_resumed(self.now);
                self.logs.on_resumed(self.now);
            }
            Input::Command(command) => self.on_command(command),
        }
        self.settle();
        self.stop_lingering();
        self.arm();
        self.check();
    }

    /// Time passed. Calling early or twice does no harm.
    pub fn handle_timeout(&mut self, now: Time) {
        debug_assert!(self.is_drained(), "drain the outputs after each handle_*");
        self.now = self.now.max(now);
        for _ in 0..TURNS_MAX {
            if self.gone || self.wake.is_none_or(|wake| wake > self.now) {
                break;
            }
            self.turn();
            self.arm();
        }
        // A part that cannot rest is to wait like everybody else.
        self.wake = self.wake.map(|wake| wake.max(self.now + Duration::from_millis(1)));
        self.check();
    }

    /// When to call [`Node::handle_timeout`] at the latest. May be early, never late.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Time> {
        self.wake
    }

    /// The next thing to do. Where something is to be sent, `buf` then holds the bytes.
    pub fn poll_output(&mut self, buf: &mut Vec<u8>) -> Option<Output> {
        loop {
            if let Some(send) = self.outbound.next(buf, &mut self.stats) {
                return Some(send);
            }
            if let Some(act) = self.streams.next(buf) {
                return Some(act);
            }
            if let Some(outgoing) = self.directs.take_outgoing() {
                self.send_outgoing(&outgoing);
                continue;
            }
            let Some(post) = self.posts.pop_front() else { break };
            self.dispatch(post);
        }
        self.acts.pop_front().or_else(|| self.events.pop_front().map(Output::Event))
    }

    /// Takes in 32 random bytes, fresh from the system, before an [`Input::Stream`]: so that a machine that was copied
    /// while it ran, or set back to an earlier state, never uses one key for two streams.
    pub fn stir(&mut self, fresh: &[u8; 32]) {
        self.courier.stir(fresh);
    }

    /// While false, leave the next line in the pipe.
    #[must_use]
    pub fn wants_line(&self) -> bool {
        self.leaving.is_none() && self.session.is_open() && self.logs.has_room()
    }

    /// Everybody known and not gone, online or lost, by id.
    pub fn peers(&self) -> impl Iterator<Item = PeerStatus> {
        let here = self.membership.peers().filter(|(_, peer)| peer.presence != Presence::Left);
        here.map(|(id, peer)| {
            let place = peer.best_place();
            let path = place.and_then(|(segment, _)| peer.paths.get(&segment));
            PeerStatus {
                name: self.name_of(id, &peer.nick),
                place,
                online: peer.presence == Presence::Online,
                joined: self.now.since(peer.joined_at),
                heard: self.now.since(peer.heard_at),
                hears: path.and_then(|path| path.hears_us(self.now)).map(|hears| hears.casts),
                away: peer.away.clone(),
                round_trip: peer.quality.round_trip(),
                loss: peer.quality.loss(),
                trust: self.names.trust_in(id, &peer.nick),
            }
        })
    }

    /// The counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Bytes of entries kept for repair and history, and how many entries.
    #[must_use]
    pub fn kept(&self) -> (usize, usize) {
        self.logs.kept()
    }

    /// Our own name, as others see it.
    #[must_use]
    pub fn name(&self) -> PeerName {
        self.name_of(self.identity.id(), self.membership.nick())
    }

    /// Who we are, in which run.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether anybody on the network can read what is said.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.keyring.is_open()
    }

    /// Which cast carries group messages.
    #[must_use]
    pub const fn cast(&self) -> CastChoice {
        self.config.cast
    }

    fn is_drained(&self) -> bool {
        self.posts.is_empty()
            && self.events.is_empty()
            && self.acts.is_empty()
            && self.outbound.is_empty()
            && self.streams.is_empty()
            && self.directs.is_drained()
    }

    fn on_segment(&mut self, change: SegmentChange) {
        match change {
            SegmentChange::Up(segment) => self.membership.on_segment_up(segment, &context!(self)),
            SegmentChange::Down(id) => {
                self.membership.on_segment_down(id);
                self.matrix.on_segment_down(id);
                self.records.on_segment_down(id);
            }
        }
        // The families of one interface are one network.
        let networks: BTreeSet<_> = self.membership.segments().map(|segment| segment.name.as_str()).collect();
        self.logs.set_apart(!self.config.relay && networks.len() > 1);
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Say { lines, wall } => self.say(&lines, wall),
            Command::Tell { to, text, wall } => self.tell(&to, &text, wall),
            Command::Plain { to, text } => self.send_plain(to, &text),
            Command::LineWaiting => self.session.on_line_waiting(self.now),
            Command::LineTaken => self.session.on_said(),
            Command::Nick(nick) => {
                self.names.rename(&nick, self.now);
                self.membership.rename(nick, &context!(self));
            }
            Command::Trust(name) => self.trust(&name),
            Command::Verify { name, digits } => self.verify(&name, &digits),
            Command::Away(text) => self.set_away(text),
            Command::Cast(cast) => self.config.cast = cast,
            Command::Peers(addresses) => self.config.static_peers = addresses,
            Command::Examine => self.records.examination.begin(self.now),
            Command::EndOfInput => self.session.on_end(self.now),
            Command::Quit => self.quit(),
        }
    }

    /// One look at everything that time can move.
    fn turn(&mut self) {
        self.examine_on_time();
        self.membership.on_timeout(standing!(self), &mut context!(self));
        self.settle();
        self.logs.on_timeout(&mut context!(self));
        self.directs.on_timeout(&mut context!(self));
        self.relay.on_timeout(|log| self.logs.progress(log), &mut context!(self));
        self.streams.on_timeout(self.now, &mut self.stats);
        self.ask_unplaced();
        self.look_for_contacts();
        self.settle();
        self.stop_lingering();
        self.leave_on_time();
    }

    fn ask_unplaced(&mut self) {
        for id in self.logs.unplaced_since(self.now).collect::<Vec<_>>() {
            self.membership.ask(id, standing!(self), &mut context!(self));
        }
    }

    /// What the parts told, to where it belongs; then whether the run has ended.
    fn settle(&mut self) {
        while let Some(news) = self.news.pop_front() {
            self.relate(news);
        }
        let view = self.view();
        if self.leaving.is_none()
            && let Some(outcome) = self.session.step(self.now, &view, &self.config)
        {
            self.leave(outcome);
        }
    }

    fn view(&self) -> View {
        View {
            online: self.membership.online_count(),
            last_stirred: self.membership.last_stirred(),
            said: Tally { private: self.directs.open(), ..self.logs.tally() },
            progress_at: self
                .directs
                .progress_at()
                .map_or_else(|| self.logs.progress_at(), |at| at.max(self.logs.progress_at())),
        }
    }

    /// Sets the time to wake at.
    fn arm(&mut self) {
        if self.gone {
            self.wake = None;
            return;
        }
        let parts = earlier(self.membership.wake_at(), self.logs.wake_at(&self.config));
        let parts = earlier(parts, earlier(self.directs.wake_at(), self.streams.wake_at()));
        let parts = earlier(parts, earlier(self.relay.wake_at(), self.contacts_wake_at()));
        let parts = earlier(parts, self.records.examination.wake_at());
        let session = match &self.leaving {
            Some(leaving) => leaving.wake_at(&self.config),
            None => self.session.wake_at(&self.view(), &self.config),
        };
        self.wake = earlier(parts, session);
    }
}

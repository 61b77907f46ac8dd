//! The protocol, a part a concern: [`membership`] who is there, [`log`] what was said to all,
//! [`direct`] what was said to one, [`contacts`] whom to find though no cast brings it, [`relay`] what
//! others should hear as well, [`names`] whose a nick is, [`reach`] which cast gets where, [`matrix`] who says to
//! hear whom, [`diagnosis`] why somebody is not seen, [`session`] when a run has said everything, [`sources`] who
//! may make us check signatures.
//!
//! Parts do not know each other. They are handed a [`Context`], post typed messages and never
//! bytes, and tell [`News`]; `node` carries both to where they belong.

/// The context of a part that is tested alone, by something with fields of these names.
#[cfg(test)]
macro_rules! ctx {
    ($bench:expr) => {
        Context {
            now: $bench.now,
            config: &$bench.config,
            me: $bench.me,
            rng: &mut $bench.rng,
            posts: &mut $bench.posts,
            news: &mut $bench.news,
            stats: &mut $bench.stats,
        }
    };
}

pub mod contacts;
pub mod diagnosis;
pub mod direct;
pub mod log;
pub mod matrix;
pub mod membership;
pub mod names;
pub mod reach;
pub mod relay;
pub mod session;
pub mod sources;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::address::{Cast, SegmentId};
use crate::config::Config;
use crate::event::Arrival;
use crate::id::{LogId, PeerId};
use crate::rng::Rng;
use crate::stats::Stats;
use crate::text::{Line, Nick};
use crate::time::{Time, WallTime};
use crate::wire::Message;
use crate::wire::body::Digest;

/// What a part is handed while it works: its whole world.
pub struct Context<'a> {
    /// Now.
    pub now: Time,
    /// What the person and we have chosen.
    pub config: &'a Config,
    /// Who we are.
    pub me: PeerId,
    /// For jitter and choice.
    pub rng: &'a mut Rng,
    /// Messages to go out.
    pub posts: &'a mut VecDeque<Post>,
    /// What is to be told.
    pub news: &'a mut VecDeque<News>,
    /// The counters.
    pub stats: &'a mut Stats,
}

/// A message on its way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    /// For whom.
    pub to: To,
    /// What.
    pub message: Message,
}

/// For whom a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Everybody, by the casts that reach them.
    Group,
    /// Everybody who might be on a segment, by one cast.
    Segment(SegmentId, Cast),
    /// One peer, where it was heard last.
    Peer(PeerId),
    /// One address.
    Address(SegmentId, SocketAddr),
    /// One address in no network of ours, by the segment by which the system would send there; by this one if that is
    /// none.
    Beyond(SegmentId, SocketAddr),
    /// Everybody who is not on one of these segments.
    Elsewhere(BTreeSet<SegmentId>, PeerId),
}

/// Of what there may be no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Whose names are whose.
    Names,
    /// Names of whose impostors it is told.
    Impostors,
    /// Peers.
    Peers,
}

/// What a part has to tell. `node` puts names to it.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A peer was met, or came back after it had left.
    Joined(PeerId),
    /// A peer said bye.
    Left(PeerId),
    /// A peer fell silent.
    Lost(PeerId),
    /// A peer that is there made room for others: it is not known any more.
    GivenUp {
        /// Who.
        id: PeerId,
        /// What it called itself.
        nick: Nick,
        /// Where it was heard.
        address: SocketAddr,
    },
    /// A peer is heard again, or runs anew.
    Back(PeerId),
    /// A peer calls itself something else; holds its old nick.
    Renamed(PeerId, Nick),
    /// A peer's person is away, or there again.
    Away(PeerId, Option<Line>),
    /// A peer claims a nick that belongs to another key.
    Impostor {
        /// Who.
        id: PeerId,
        /// What it calls itself.
        nick: Nick,
        /// Whose that nick is, and how that one writes it.
        known: (PeerId, Nick),
        /// Further ones who claim it are not told of.
        last: bool,
    },
    /// A peer calls itself as we do, or nearly so.
    Namesake(PeerId, Nick),
    /// Its key says two things with one number.
    Forked(PeerId),
    /// There is no room for more of these; told once.
    Full(Full),
    /// Nobody is heard any more, of so many who are online: it may be we who are gone.
    CutOff(usize),
    /// Somebody is heard again.
    Connected,
    /// Our own message has its number.
    Sent {
        /// Its number.
        seq: u64,
        /// What was said.
        text: Line,
    },
    /// Somebody said something.
    Said(Said),
    /// How many have confirmed our message.
    Delivered {
        /// Its number.
        seq: u64,
        /// Peers that confirmed it.
        confirmed: usize,
        /// Peers that were to.
        online: usize,
    },
    /// Our message to one peer has its number; it waits if the peer is away.
    Told {
        /// Its number among our direct messages.
        mid: u64,
        /// For whom.
        to: PeerId,
        /// What.
        text: Line,
        /// The peer is away.
        queued: bool,
    },
    /// One peer has our message.
    TellDelivered {
        /// Its number.
        mid: u64,
        /// Who has it.
        to: PeerId,
    },
    /// A peer said something to us alone.
    Whispered {
        /// Who.
        from: PeerId,
        /// In which run.
        boot: u64,
        /// Its number among that peer's direct messages.
        mid: u64,
        /// When, by its clock.
        wall: WallTime,
        /// What.
        text: Line,
        /// How it got here.
        arrival: Arrival,
    },
    /// Messages that nobody can give us.
    Gap {
        /// In which log.
        log: LogId,
        /// What its author is called, where that is known.
        nick: Option<Nick>,
        /// How many.
        count: u64,
    },
}

/// A message that somebody said.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// In which log.
    pub log: LogId,
    /// What its author called itself then.
    pub nick: Nick,
    /// Its number in that log.
    pub seq: u64,
    /// When, by the author's clock.
    pub wall: WallTime,
    /// What.
    pub text: Line,
    /// Before we joined.
    pub history: bool,
    /// How it got here.
    pub arrival: Arrival,
}

/// An entry as it is handed from `node` to [`log`]: its signature was checked, or is our own.
#[derive(Clone, Debug)]
pub struct Believed {
    /// In which log.
    pub log: LogId,
    /// Its number there.
    pub seq: u64,
    /// What stands for it in the next one, ...
    pub digest: Digest,
    /// ... and for the one before in it.
    pub prev: Digest,
    /// It with its signature, as it stands on the wire.
    pub raw: Arc<[u8]>,
}

/// An entry before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its number in our log.
    pub seq: u64,
    /// The number of its first message.
    pub first: u64,
    /// How many messages it completes.
    pub count: u32,
    /// Its body, encoded.
    pub body: Vec<u8>,
}

/// How what was said fared so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries said.
    pub entries: u64,
    /// Entries that somebody online has not confirmed yet.
    pub open: u64,
    /// Entries that not everybody confirmed who was online when they were said.
    pub partial: u64,
    /// Entries said when nobody was online.
    pub unheard: u64,
    /// Direct messages that their peers have not acknowledged.
    pub private: u64,
}

/// The earlier of a time and one that may not be set.
#[must_use]
pub fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

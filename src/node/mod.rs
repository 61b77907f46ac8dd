//! The state machine (skeleton).

use std::net::SocketAddr;
use std::time::Duration;

use crate::address::{Cast, Segment, SegmentId};
use crate::command::{CastChoice, Command};
use crate::config::Config;
use crate::crypto::Identity;
use crate::event::{Event, PeerName};
use crate::id::PeerId;
use crate::stats::Stats;
use crate::time::Time;

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
        /// Its bytes, any number of them.
        bytes: &'a [u8],
    },
    /// A segment came or went.
    Segment(SegmentChange),
    /// Whoever reads our events keeps up (`true`), or is so far behind that nothing more should be delivered.
    Reader {
        /// Whether events are taken.
        ready: bool,
    },
    /// A person asked for something.
    Command(Command),
}

/// A segment came or went.
#[derive(Clone, Debug)]
pub enum SegmentChange {
    /// It is there, with these addresses.
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
    /// Tell the person.
    Event(Event),
}

/// A peer as `/who` shows it.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// Its name.
    pub name: PeerName,
    /// Where it was heard last.
    pub address: SocketAddr,
    /// On which segment.
    pub segment: SegmentId,
    /// Heard within its time; else it is lost.
    pub online: bool,
    /// How long ago it joined.
    pub joined: Duration,
    /// How long ago it was heard.
    pub heard: Duration,
    /// Our casts that it says it hears, as bits of [`Cast::bit`]; 0 while unknown.
    pub hears: u8,
}

/// A node: the state machine.
pub struct Node;

impl Node {
    /// A node that wakes now.
    #[must_use]
    pub fn new(_identity: Identity, _config: Config, _seed: [u8; 32], _now: Time) -> Self { Self }
    /// Something happened.
    pub fn handle_input(&mut self, _now: Time, _input: Input<'_>) {}
    /// Time passed.
    pub fn handle_timeout(&mut self, _now: Time) {}
    /// When to call [`Node::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> { None }
    /// The next thing to do. For a `Send`, `buf` holds the bytes.
    pub fn poll_output(&mut self, _buf: &mut Vec<u8>) -> Option<Output> { None }
    /// While false, leave the next line in the pipe.
    #[must_use]
    pub fn wants_line(&self) -> bool { true }
    /// Everybody known, online and lost, by name.
    pub fn peers(&self) -> impl Iterator<Item = PeerStatus> { std::iter::empty() }
    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Stats { unreachable!("skeleton") }
    /// Our own name, as others see it.
    #[must_use]
    pub fn name(&self) -> PeerName { unreachable!("skeleton") }
    /// Who we are.
    #[must_use]
    pub fn id(&self) -> PeerId { unreachable!("skeleton") }
    /// Which cast carries group messages.
    #[must_use]
    pub fn cast(&self) -> CastChoice { CastChoice::Auto }
}

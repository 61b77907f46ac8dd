//! What a person or a script is told: the mirror of [`crate::command`].
//!
//! Events hold only text that is safe to show and plain numbers; how they look is decided by
//! whoever prints them.

use std::net::SocketAddr;

use crate::address::{Cast, Errand, SegmentId};
use crate::id::PeerId;
use crate::text::{Line, Nick};
use crate::time::WallTime;

/// A peer as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerName {
    /// Who it is.
    pub id: PeerId,
    /// What it calls itself.
    pub nick: Nick,
    /// How many characters of its id stand behind the nick; none where the nick alone is its own.
    pub suffix: usize,
}

impl PeerName {
    /// The nick, or `nick~suffix` where it may be somebody else's.
    #[must_use]
    pub fn label(&self) -> String {
        match self.suffix {
            0 => self.nick.to_string(),
            len => format!("{}~{}", self.nick, self.id.beginning(len)),
        }
    }
}

/// How a message got here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// On which segment.
    pub segment: SegmentId,
    /// By which cast.
    pub cast: Cast,
    /// From which address.
    pub address: SocketAddr,
    /// What was left of its TTL, or hop limit, where the system tells.
    pub ttl: Option<u8>,
    /// What it came for, as its sender says.
    pub errand: Errand,
}

/// A message that somebody else said to the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its author.
    pub from: PeerName,
    /// The author's run.
    pub boot: u64,
    /// Its number: 1 for the first message of that run.
    pub seq: u64,
    /// What was said.
    pub text: Line,
    /// Said before this node joined.
    pub history: bool,
    /// When it was said, by the author's clock.
    pub wall: WallTime,
    /// How it got here.
    pub arrival: Arrival,
}

/// A message that somebody said to us alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whisper {
    /// Its author.
    pub from: PeerName,
    /// The author's run.
    pub boot: u64,
    /// Its number among the author's direct messages of that run.
    pub mid: u64,
    /// What was said.
    pub text: Line,
    /// When it was said, by the author's clock.
    pub wall: WallTime,
    /// How it got here.
    pub arrival: Arrival,
}

/// How a run that had something to say ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everybody who was online confirmed everything, or there was nothing to say.
    Complete,
    /// Nobody was there to hear it.
    Nobody,
    /// Only some confirmed.
    Partial,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer was met for the first time, or came back after it had left.
    Joined(PeerName, SocketAddr),
    /// A peer said bye.
    Left(PeerName, SocketAddr),
    /// A peer fell silent.
    Lost(PeerName, SocketAddr),
    /// A peer that was lost is heard again, or one that we knew was started anew.
    Back(PeerName, SocketAddr),
    /// A peer calls itself something else now; holds its old name.
    Renamed(PeerName, PeerName),
    /// A peer's person is away and says this about it, or is there again.
    Away(PeerName, Option<Line>),
    /// Nobody is heard any more, of so many who are online: it may be we who are gone.
    Disconnected(usize),
    /// Somebody is heard again.
    Connected,
    /// Our own message has its number.
    Sent {
        /// Our run.
        boot: u64,
        /// Its number.
        seq: u64,
        /// What was said.
        text: Line,
    },
    /// Somebody said something to the group.
    Message(Message),
    /// Our message to one peer has its number.
    Told {
        /// Its number among our direct messages.
        mid: u64,
        /// For whom.
        to: PeerName,
        /// What.
        text: Line,
        /// The peer is away: it waits.
        queued: bool,
    },
    /// One peer has our message.
    TellDelivered {
        /// Its number.
        mid: u64,
        /// Who has it.
        to: PeerName,
    },
    /// We leave, and one peer has not confirmed our message.
    TellFailed {
        /// Its number.
        mid: u64,
        /// Who may not have it.
        to: PeerName,
    },
    /// Somebody said something to us alone.
    Whisper(Whisper),
    /// Text that is not in our protocol: `nc -u`, socat, a script.
    Plain {
        /// How it got here.
        arrival: Arrival,
        /// What was said.
        text: Line,
    },
    /// In plain mode: we said this.
    PlainSent(Line),
    /// Something that was to be sent is not, and why.
    Refused(String),
    /// How many of those online have confirmed our message.
    Delivered {
        /// Its number.
        seq: u64,
        /// Peers that have confirmed it.
        confirmed: usize,
        /// Peers that were to confirm it.
        online: usize,
    },
    /// Messages that exist, or did, and that nobody here can give us.
    Gap {
        /// Their author.
        from: PeerName,
        /// How many messages.
        count: u64,
    },
    /// An answer or a remark, for people only.
    Notice(String),
    /// Something is not as it should be.
    Warning(String),
    /// The bye is said; nothing more will come.
    Done(Outcome),
}

//! What the system knows about this machine's interfaces, as the runtime found it out. Whatever it
//! could not find out is `None`, and nothing is concluded from that.

use std::collections::BTreeMap;

use crate::address::SegmentId;
use crate::config::DATAGRAM_MAX;
use crate::time::WallTime;

/// Bytes that IP and UDP put before a datagram.
const IP_UDP_LEN: u32 = 28;

/// One look at the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// What the wall clock shows.
    pub wall: WallTime,
    /// The interface of each segment.
    pub segments: BTreeMap<SegmentId, Facts>,
    /// Datagrams that the kernel dropped since the first look because their source would not be
    /// answered by the interface that they came in by.
    pub reverse_path_drops: Option<u64>,
    /// The bridges of this machine.
    pub bridges: Vec<Bridge>,
}

/// One interface, and how its segment was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// It is the loopback interface: it needs no flag and has no cable.
    pub loopback: bool,
    /// It leads to one other machine: casts are not expected there.
    pub tunnel: bool,
    /// It says that it does multicast.
    pub multicast: Option<bool>,
    /// The largest packet that it sends.
    pub mtu: Option<u32>,
    /// What is dropped by the reverse path: 0 nothing, 1 what it would not answer by this interface,
    /// 2 what it would not answer at all.
    pub reverse_path: Option<u8>,
    /// The port that the rule gives, if another one had to be taken, and who holds it.
    pub taken: Option<(u16, Holder)>,
    /// Why the group is not heard.
    pub deaf: Option<Refusal>,
    /// It is a bridge.
    pub bridge: Option<Bridge>,
}

/// Who holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// This program, with its process number.
    Program(String),
    /// Somebody whom we may not see, a program of another user, or nothing that can be known.
    Unknown,
}

impl Holder {
    /// The program, if it is known.
    #[must_use]
    pub fn program(self) -> Option<String> {
        if let Self::Program(name) = self { Some(name) } else { None }
    }
}

/// Why the system does not let us listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For a person, with who is to blame if that is known.
    pub why: String,
    /// Another program holds the port.
    pub taken: bool,
}

/// A bridge of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bridge {
    /// What the system calls it.
    pub name: String,
    /// It sends the multicasts of a group only to those who asked for them.
    pub snooping: bool,
    /// It asks who still wants them.
    pub querier: bool,
}

impl Bridge {
    /// Whether it forgets who is in a group, unless somebody else asks.
    #[must_use]
    pub const fn forgets(&self) -> bool {
        self.snooping && !self.querier
    }
}

impl Facts {
    /// Whether the largest datagrams must be cut into fragments to leave by it.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        self.mtu.is_some_and(|mtu| mtu < mtu_needed())
    }

    /// Whether multicasts are to be expected to work and the interface says they do not.
    #[must_use]
    pub fn lacks_multicast(&self) -> bool {
        self.multicast == Some(false) && !self.loopback && !self.tunnel
    }
}

/// The least MTU that carries our largest datagrams whole.
#[must_use]
pub(super) fn mtu_needed() -> u32 {
    u32::try_from(DATAGRAM_MAX).unwrap_or(u32::MAX).saturating_add(IP_UDP_LEN)
}

//! Why somebody is not seen: from what is heard, told and surveyed to causes and remedies.
//!
//! Pure: [`diagnose`] looks at a [`View`] and names what is wrong - the cast, the side and the
//! segment - with the command that mends it. What cannot be told from what is known is not named:
//! a healthy network has no findings. `node` makes the view, `runtime` surveys the machine and
//! shows the findings.
//!
//! ```text
//!   survey (interfaces, kernel) ──┐
//!   hellos: who hears whom, told ─┼─> View ─> local, told, casts ─> [Finding]
//!   strangers, doubles ───────────┘
//! ```

mod casts;
mod deaf;
mod examine;
mod hearing;
mod local;
mod records;
mod snoop;
mod strays;
mod survey;
#[cfg(test)]
pub(crate) mod tests;
mod told;
mod view;

use std::fmt;

use crate::address::Cast;

pub use examine::Examination;
pub use hearing::Hearing;
pub use records::{Came, Due, Records, Told, group_of};
pub use snoop::Snoop;
pub use strays::{Double, Foreign, Heard, Strays};
pub use survey::{Bridge, Facts, Holder, Refusal, Survey};
pub use view::{Cell, Deaf, Flaw, Member, Padded, SegmentView, Unheard, View};

/// What is wrong, by a name that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Two machines use one key.
    ClonedIdentity,
    /// Somebody is in another group.
    OtherGroup,
    /// Multicast needs an interface that says it does multicast.
    NoMulticastFlag,
    /// The switch forgets who is in the group, and nobody asks.
    SnoopingWithoutQuerier,
    /// The kernel drops what comes from addresses it would not answer by the same interface.
    ReversePathFilter,
    /// Multicasts do not arrive.
    MulticastDropped,
    /// Broadcasts do not arrive.
    BroadcastDropped,
    /// Somebody is heard one way only, or others hear it and we do not.
    NotHeard,
    /// Multicasts end at a router before they are there.
    TtlTooSmall,
    /// Our largest datagrams do not fit.
    MtuTooSmall,
    /// The address has no broadcast address.
    NoBroadcastAddress,
    /// Another program holds a port that the rule gives us.
    PortTaken,
    /// Clocks differ.
    ClockSkew,
}

impl Code {
    /// Every code, in the order in which findings are shown.
    pub const ALL: [Self; 13] = [
        Self::ClonedIdentity,
        Self::OtherGroup,
        Self::NoMulticastFlag,
        Self::SnoopingWithoutQuerier,
        Self::ReversePathFilter,
        Self::MulticastDropped,
        Self::BroadcastDropped,
        Self::NotHeard,
        Self::TtlTooSmall,
        Self::MtuTooSmall,
        Self::NoBroadcastAddress,
        Self::PortTaken,
        Self::ClockSkew,
    ];

    /// Whether messages take worse ways, or show worse, but all arrive.
    #[must_use]
    pub const fn is_mild(self) -> bool {
        matches!(self, Self::NoBroadcastAddress | Self::PortTaken | Self::ClockSkew)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClonedIdentity => "cloned-identity",
            Self::OtherGroup => "other-group",
            Self::NoMulticastFlag => "no-multicast-flag",
            Self::SnoopingWithoutQuerier => "snooping-without-querier",
            Self::ReversePathFilter => "reverse-path-filter",
            Self::MulticastDropped => "multicast-dropped",
            Self::BroadcastDropped => "broadcast-dropped",
            Self::NotHeard => "not-heard",
            Self::TtlTooSmall => "ttl-too-small",
            Self::MtuTooSmall => "mtu-too-small",
            Self::NoBroadcastAddress => "no-broadcast-address",
            Self::PortTaken => "port-taken",
            Self::ClockSkew => "clock-skew",
        })
    }
}

/// Where the cause is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// On this machine.
    Us,
    /// On the machine of one peer.
    Peer(String),
    /// On the way from one to another; which of them is at fault cannot be told.
    Between {
        /// Who speaks.
        from: String,
        /// Who does not hear it.
        to: String,
        /// And the other way round.
        both: bool,
    },
    /// In the network that connects all of them.
    Network,
}

/// How we are called in a [`Side::Between`].
pub const US: &str = "us";

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Us => f.write_str("this machine"),
            Self::Peer(name) => f.write_str(name),
            Self::Between { from, to, both: false } => write!(f, "from {from} to {to}"),
            Self::Between { from, to, both: true } => write!(f, "between {from} and {to}"),
            Self::Network => f.write_str("the network"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// On which segment of ours, by interface; `None` where that does not matter.
    pub segment: Option<String>,
    /// Which cast suffers, if one does.
    pub cast: Option<Cast>,
    /// Where the cause is.
    pub side: Side,
    /// What is wrong, in plain words.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

impl Finding {
    /// Whether it has to do with this peer: with it, with us, or with the network of both.
    #[must_use]
    pub fn concerns(&self, label: &str) -> bool {
        match &self.side {
            Side::Us | Side::Network => true,
            Side::Peer(name) => name == label,
            Side::Between { from, to, .. } => from == label || to == label,
        }
    }
}

/// Everything that is wrong, as far as it can be told; nothing if all is well.
#[must_use]
pub fn diagnose(view: &View) -> Vec<Finding> {
    let mut findings = local::findings(view);
    findings.extend(told::findings(view));
    for segment in &view.segments {
        findings.extend(casts::findings(view, segment));
        findings.extend(deaf::findings(segment));
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Where nobody is heard, what was looked at and what to try: a line for each segment.
#[must_use]
pub fn nobody(view: &View) -> Vec<String> {
    view.segments.iter().map(|segment| local::nobody(view, segment)).collect()
}

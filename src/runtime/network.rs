//! Follows the interfaces of this machine: what comes and goes becomes segments that open and
//! close, each told once.
//!
//! The system is asked once a second; that catches what the routing socket would tell, on every
//! kernel, and an interface that is deleted and made anew counts as another.

use std::io;

use mio::Registry;

use super::interfaces::{self, InterfaceError, Place, Wanted};
use super::sockets::{SocketError, Sockets};
use crate::address::Segment;
use crate::node::SegmentChange;

/// Why there is no network to start with.
#[derive(Debug)]
pub(crate) enum NetworkError {
    /// The interfaces are not there.
    Interface(InterfaceError),
    /// No segment could be opened.
    Socket(SocketError),
    /// The system does not tell its interfaces.
    Unknown(io::Error),
}

impl std::fmt::Display for NetworkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interface(why) => why.fmt(f),
            Self::Socket(why) => why.fmt(f),
            Self::Unknown(why) => write!(f, "cannot list the network interfaces: {why}"),
        }
    }
}

/// What a look at the interfaces brought.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// For the state machine.
    pub(crate) segments: Vec<SegmentChange>,
    /// For the person.
    pub(crate) warnings: Vec<String>,
}

/// The segments in use, and what they follow.
pub(crate) struct Network {
    wanted: Wanted,
    /// Whether loopback will do, because there never was anything else.
    loopback: bool,
    open: Vec<(Place, Segment)>,
    /// Places that could not be opened, each told once and tried again.
    failed: Vec<Place>,
}

impl Network {
    /// Opens what is wanted and there.
    ///
    /// # Errors
    /// A [`NetworkError`] if something that was asked for is not there, or nothing could be opened.
    pub(crate) fn start(
        wanted: Wanted,
        registry: &Registry,
        sockets: &mut Sockets,
    ) -> Result<(Self, Changes), NetworkError> {
        let there = interfaces::list().map_err(NetworkError::Unknown)?;
        interfaces::check(&there, &wanted).map_err(NetworkError::Interface)?;
        let mut changes = Changes::default();
        let mut network = Self { wanted, loopback: true, open: Vec::new(), failed: Vec::new() };
        let places = interfaces::choose(&there, &network.wanted, true);
        network.loopback = places.iter().all(|place| place.loopback);
        for place in places {
            match sockets.open(registry, &place, &mut changes.warnings) {
                Ok(segment) => {
                    changes.segments.push(SegmentChange::Up(segment.clone()));
                    network.open.push((place, segment));
                }
                Err(why @ SocketError::Taken(..)) => return Err(NetworkError::Socket(why)),
                Err(why) => network.fail(place, why, &mut changes)?,
            }
        }
        Ok((network, changes))
    }

    /// A place that cannot be opened at the start: fatal if there is no other.
    fn fail(&mut self, place: Place, why: SocketError, changes: &mut Changes) -> Result<(), NetworkError> {
        let named = self.wanted.interfaces.contains(&place.interface) || self.wanted.address.is_some();
        if named {
            return Err(NetworkError::Socket(why));
        }
        changes.warnings.push(why.to_string());
        self.failed.push(place);
        Ok(())
    }

    /// The segments in use.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.open.iter().map(|(_, segment)| segment)
    }

    /// Looks again, and closes and opens what changed.
    pub(crate) fn follow(&mut self, registry: &Registry, sockets: &mut Sockets) -> Changes {
        // Not being told now is no news; the next second tells.
        let Ok(there) = interfaces::list() else {
            return Changes::default();
        };
        let places = interfaces::choose(&there, &self.wanted, self.loopback);
        self.loopback = self.loopback && places.iter().all(|place| place.loopback);
        let open: Vec<Place> = self.open.iter().map(|(place, _)| place.clone()).collect();
        let (gone, appeared) = interfaces::diff(&open, &places);
        self.failed.retain(|place| appeared.contains(place));
        let mut changes = Changes::default();
        for place in &gone {
            self.close(place, registry, sockets, &mut changes);
        }
        for place in appeared {
            self.open(place, &gone, registry, sockets, &mut changes);
        }
        let stays = |place: &Place| self.open.iter().any(|(open, _)| open.interface == place.interface);
        for place in gone.iter().filter(|place| !stays(place)) {
            changes.warnings.push(self.farewell(&place.interface));
        }
        changes
    }

    fn close(&mut self, place: &Place, registry: &Registry, sockets: &mut Sockets, changes: &mut Changes) {
        let Some(at) = self.open.iter().position(|(open, _)| open == place) else {
            return;
        };
        let (_, segment) = self.open.remove(at);
        sockets.close(registry, segment.id);
        changes.segments.push(SegmentChange::Down(segment.id));
    }

    fn open(
        &mut self,
        place: Place,
        gone: &[Place],
        registry: &Registry,
        sockets: &mut Sockets,
        changes: &mut Changes,
    ) {
        let mut warnings = Vec::new();
        match sockets.open(registry, &place, &mut warnings) {
            Ok(segment) => {
                let known = gone.iter().any(|old| old.interface == place.interface);
                let (name, address) = (&place.interface, segment.address);
                changes.warnings.push(if known {
                    format!("{name} changed: its address is {address} now")
                } else {
                    format!("{name} ({address}) appeared")
                });
                changes.warnings.append(&mut warnings);
                changes.segments.push(SegmentChange::Up(segment.clone()));
                self.failed.retain(|failed| *failed != place);
                self.open.push((place, segment));
            }
            Err(why) if !self.failed.contains(&place) => {
                changes.warnings.push(why.to_string());
                self.failed.push(place);
            }
            Err(_) => {}
        }
    }

    fn farewell(&self, interface: &str) -> String {
        let mut left: Vec<&str> = self.open.iter().map(|(place, _)| place.interface.as_str()).collect();
        left.dedup();
        if left.is_empty() {
            format!("{interface} is gone, no network: waiting for an interface")
        } else {
            format!("{interface} is gone: chatting over {}", left.join(", "))
        }
    }
}

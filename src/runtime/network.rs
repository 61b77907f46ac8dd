//! Follows the interfaces of this machine: what comes and goes becomes segments that open and
//! close, each told once.
//!
//! Whoever calls has been woken by the routing socket ([`super::netlink`]), or looks once a second
//! where there is none. Only what is there now counts, so that bursts of changes are one; but an
//! interface that was deleted is another when it is there again, even with its old number.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use mio::Registry;

use super::interfaces::{self, Interface, InterfaceError, Place, Wanted};
use super::route;
use super::sockets::{SocketError, Sockets};
use crate::address::{Segment, SegmentId};
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

/// An address may be unusable for so long without a word: for one of IPv6 others are asked first.
const NOT_YET_MAX: Duration = Duration::from_secs(10);

/// Segments at once. Places beyond are left alone until there is room; that is told once.
const SEGMENTS_MAX: usize = 128;

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
    failed: Vec<Failed>,
    /// That there are too many was told.
    crowded: bool,
}

/// A place that could not be opened, told once and tried again.
struct Failed {
    place: Place,
    since: Instant,
    told: bool,
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
        let mut network = Self { wanted, loopback: true, open: Vec::new(), failed: Vec::new(), crowded: false };
        let places = network.choose(&there, &mut changes);
        network.loopback = places.iter().all(|place| place.loopback);
        let mut refused = Vec::new();
        for place in places {
            match sockets.open(registry, &place, &mut changes.warnings) {
                Ok(segment) => {
                    changes.segments.push(SegmentChange::Up(segment.clone()));
                    network.open.push((place, segment));
                }
                Err(why @ SocketError::Taken(..)) => return Err(NetworkError::Socket(why)),
                Err(why) => refused.push((place, why)),
            }
        }
        network.fail(refused, &mut changes)?;
        Ok((network, changes))
    }

    /// Places that cannot be opened at the start: fatal if an address was asked for, or an interface of which nothing
    /// can be used, unless it may become usable by itself. One family of an interface is enough.
    fn fail(&mut self, mut refused: Vec<(Place, SocketError)>, changes: &mut Changes) -> Result<(), NetworkError> {
        let may_come = |why: &SocketError| matches!(why, SocketError::NotYet(..));
        let is_of_use =
            |name: &str| self.uses(name) || refused.iter().any(|(place, why)| place.interface == name && may_come(why));
        let is_fatal = |(place, why): &(Place, SocketError)| {
            let asked = self.wanted.address.is_some_and(|asked| asked.ip == place.ip);
            let named = self.wanted.interfaces.contains(&place.interface) && !is_of_use(&place.interface);
            !may_come(why) && (asked || named)
        };
        if let Some(at) = refused.iter().position(is_fatal) {
            return Err(NetworkError::Socket(refused.swap_remove(at).1));
        }
        for (place, why) in refused {
            self.failed_again(place, &why, changes);
        }
        Ok(())
    }

    /// Tells of a place that cannot be opened: once, and not before it is known to be more than early.
    fn failed_again(&mut self, place: Place, why: &SocketError, changes: &mut Changes) {
        let at = self.failed.iter().position(|failed| failed.place == place).unwrap_or_else(|| {
            self.failed.push(Failed { place, since: Instant::now(), told: false });
            self.failed.len() - 1
        });
        let failed = &mut self.failed[at];
        let early = matches!(why, SocketError::NotYet(..)) && failed.since.elapsed() < NOT_YET_MAX;
        if !early && !std::mem::replace(&mut failed.told, true) {
            changes.warnings.push(why.to_string());
        }
    }

    /// Where there is to be a segment now.
    fn choose(&mut self, there: &[Interface], changes: &mut Changes) -> Vec<Place> {
        let mut places = interfaces::choose(there, &self.wanted, self.loopback);
        if places.len() > SEGMENTS_MAX && !std::mem::replace(&mut self.crowded, true) {
            let text = format!("there are too many interfaces: using {SEGMENTS_MAX} addresses, --interface chooses");
            changes.warnings.push(text);
        }
        places.truncate(SEGMENTS_MAX);
        places
    }

    /// Whether to look again soon: something could not be opened.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.failed.is_empty()
    }

    /// The segments in use.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.open.iter().map(|(_, segment)| segment)
    }

    /// The segment on the interface by which the system would send to an address now; that with the address it would
    /// send from, if there is one.
    pub(crate) fn routed(&self, to: SocketAddr) -> Option<SegmentId> {
        let from = source_towards(to).ok()?;
        let own: Vec<_> = self.open.iter().filter(|(place, _)| place.ip == from).collect();
        if let [first, others @ ..] = own.as_slice() {
            // Of several with one address the route tells.
            let leaves_by = if others.is_empty() { None } else { route::interface_towards(to.ip()) };
            let named = leaves_by.and_then(|name| own.iter().find(|(place, _)| place.interface == name));
            return Some(named.unwrap_or(first).1.id);
        }
        let interface =
            interfaces::list().ok()?.into_iter().find(|there| there.addresses.iter().any(|a| a.ip == from))?;
        let on_it =
            self.open.iter().find(|(place, _)| place.index == interface.index && place.ip.is_ipv4() == from.is_ipv4());
        on_it.map(|(_, segment)| segment.id)
    }

    /// Looks again, and closes and opens what changed. Interfaces with the numbers in `deleted`, which are taken out,
    /// have been deleted since the last look, whatever there is now.
    pub(crate) fn follow(&mut self, registry: &Registry, sockets: &mut Sockets, deleted: &mut Vec<u32>) -> Changes {
        // Not being told now is no news; the next look tells.
        let Ok(there) = interfaces::list() else {
            return Changes::default();
        };
        let deleted = std::mem::take(deleted);
        let mut changes = Changes::default();
        let places = self.choose(&there, &mut changes);
        self.loopback = self.loopback && places.iter().all(|place| place.loopback);
        let open: Vec<Place> = self.open.iter().map(|(place, _)| place.clone()).collect();
        let (remade, old): (Vec<_>, Vec<_>) = open.into_iter().partition(|place| deleted.contains(&place.index));
        let (mut gone, appeared) = interfaces::diff(&old, &places);
        gone.extend(remade);
        self.failed.retain(|failed| appeared.contains(&failed.place));
        for place in &gone {
            self.close(place, registry, sockets, &mut changes);
        }
        for place in appeared {
            self.open(place, &gone, registry, sockets, &mut changes);
        }
        self.listen_again(registry, sockets, &mut changes);
        let mut left: Vec<&str> = gone.iter().map(|place| place.interface.as_str()).collect();
        left.dedup();
        for name in left.into_iter().filter(|name| !self.uses(name)) {
            changes.warnings.push(self.farewell(name));
        }
        changes
    }

    /// Whether there is a segment on an interface, or will be as soon as its address is ready.
    fn uses(&self, interface: &str) -> bool {
        self.open.iter().any(|(open, _)| open.interface == interface)
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
                let (name, address) = (&place.interface, segment.address);
                // The other family of an interface in use is nothing to tell of.
                if gone.iter().any(|old| old.is_beside(&place)) {
                    changes.warnings.push(format!("{name} changed: its address is {address} now"));
                } else if !self.uses(name) {
                    changes.warnings.push(format!("{name} ({address}) appeared"));
                }
                changes.warnings.append(&mut warnings);
                changes.segments.push(SegmentChange::Up(segment.clone()));
                self.failed.retain(|failed| failed.place != place);
                self.open.push((place, segment));
            }
            Err(why) => self.failed_again(place, &why, changes),
        }
    }

    /// Whoever held a port may be gone: what could not be listened for is tried again, at each look. The segment stays
    /// the same, and is told anew.
    fn listen_again(&mut self, registry: &Registry, sockets: &mut Sockets, changes: &mut Changes) {
        for (place, segment) in &mut self.open {
            let heard = sockets.listen(registry, place, segment);
            if heard.is_empty() {
                continue;
            }
            changes.warnings.extend(heard.iter().map(|cast| format!("{cast} on {} is heard now", place.interface)));
            let is_it = |change: &SegmentChange| matches!(change, SegmentChange::Up(up) if up.id == segment.id);
            changes.segments.retain(|change| !is_it(change));
            changes.segments.push(SegmentChange::Up(segment.clone()));
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

/// The address from which the system would send. To connect a datagram socket sends nothing: the system only looks
/// for a way, and for the address that belongs to it.
fn source_towards(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_from_where_it_would_send() {
        let from = |to: &str| source_towards(to.parse().expect("an address")).map(|ip| ip.to_string());
        assert_eq!(from("127.81.0.3:5003").ok().as_deref(), Some("127.0.0.1"), "the address of loopback");
        assert!(from("255.255.255.255:5255").is_err(), "nowhere");
    }

    #[test]
    fn one_family_that_was_refused_ended_a_node_that_had_the_other() {
        let place = |ip: &str| Place {
            interface: "eth0".into(),
            index: 2,
            loopback: false,
            tunnel: false,
            ip: ip.parse().expect("an address"),
            shared: false,
            prefix_len: 24,
            relays: true,
            broadcast: None,
            port: None,
        };
        let (v4, v6) = (place("10.0.0.3"), place("fe80::3"));
        let refused = |place: &Place| {
            let why = io::ErrorKind::Unsupported.into();
            (place.clone(), SocketError::Refused("eth0".into(), SocketAddr::new(place.ip, 5003), why))
        };
        let not_yet =
            |place: &Place| (place.clone(), SocketError::NotYet("eth0".into(), SocketAddr::new(place.ip, 5003)));
        let fatal = |open: &[&Place], refused: Vec<_>, address: Option<&str>| {
            let address = address.map(|address| address.parse().expect("an address"));
            let wanted = Wanted { interfaces: vec!["eth0".into()], address, ..Wanted::default() };
            let open = open.iter().map(|&place| (place.clone(), Segment::eth0("10.0.0.3:5003"))).collect();
            let mut network = Network { wanted, loopback: false, open, failed: Vec::new(), crowded: false };
            network.fail(refused, &mut Changes::default()).is_err()
        };
        assert!(!fatal(&[&v4], vec![refused(&v6)], None), "one is enough");
        assert!(fatal(&[], vec![refused(&v4), refused(&v6)], None), "none is not");
        assert!(!fatal(&[], vec![refused(&v4), not_yet(&v6)], None), "it may come");
        assert!(fatal(&[&v4], vec![refused(&v6)], Some("fe80::3")), "an address was asked for");
    }
}

//! All socket lore in one place: how a segment's three sockets are opened, read and written.
//!
//! On Linux a socket bound to a unicast, a broadcast or a group address hears only its own kind, so
//! a segment has one of each. Everything is sent from the unicast socket: it is bound to its own
//! address, which needs no route, and makes a datagram's source its peer's address. It takes no
//! reuse flags: with them the last to bind would silently steal every unicast of the others.
//! IPv6 is the same without broadcast, with the interface's number wherever there is room for it.

mod opening;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::{InterfaceIndexOrAddress, SockRef};

use self::opening::{listener, off, own_address, unicast};
use super::gate::Gate;
use super::interfaces::Place;
use super::receive::{self, Margin, Received};
use crate::address::{Cast, Groups, Segment, SegmentId, Ttls, port_of, scoped};
use crate::protocol::diagnosis::Refusal;

/// Trouble of a kind that did not occur on a segment for this long is news again.
const TROUBLE_PASSES_AFTER: Duration = Duration::from_secs(60);

/// Errors that may wait on a socket before a datagram; beyond, the rest waits for the next event.
const ERRORS_MAX: usize = 64;

/// Names of segments remembered, those that are gone included. When full, the oldest is forgotten.
const NAMES_MAX: usize = 1024;

/// How group messages are sent and heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// The group of each family.
    pub(crate) addresses: Groups,
    /// The TTL of multicasts, their hop limit.
    pub(crate) ttl: u8,
}

/// Why a segment cannot be opened. Nothing of it is left open.
#[derive(Debug)]
pub(crate) enum SocketError {
    /// A port that was asked for is taken, by whom if that can be known.
    Taken(SocketAddr, Option<String>),
    /// The address is not ready: it is just being made or taken away, or whether another machine has
    /// it is still being asked.
    NotYet(String, SocketAddr),
    /// The system refuses.
    Refused(String, SocketAddr, io::Error),
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(addr, holder) => {
                let other = scoped(addr.ip(), 0, 0).to_string();
                let other = other.trim_end_matches('0');
                match holder {
                    Some(holder) => write!(
                        f,
                        "{addr} is taken by {holder}: end that, or choose another port with --address {other}PORT"
                    ),
                    None => write!(f, "{addr} is taken: choose another port with --address {other}PORT"),
                }
            }
            Self::NotYet(interface, addr) => {
                write!(f, "cannot use {addr} on {interface}: it is not ready, or another machine has it")
            }
            Self::Refused(interface, addr, why) => {
                write!(f, "cannot use {addr} on {interface}: {why}")
            }
        }
    }
}

/// What went wrong with sending, to be told once.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// On which segment.
    pub(crate) segment: SegmentId,
    /// For a person.
    pub(crate) text: String,
}

/// The sockets of one segment.
struct Wires {
    name: String,
    unicast: UdpSocket,
    broadcast: Option<UdpSocket>,
    group: Option<UdpSocket>,
    group_address: Option<SocketAddr>,
    /// The casts that cannot be listened for, where, and what the system says.
    deaf: BTreeMap<Cast, (SocketAddr, io::Error)>,
    /// The number of the interface.
    index: u32,
    /// The port was asked for.
    asked: bool,
    /// Casts are not expected to get through.
    tunnel: bool,
    /// What was told, and when it happened last.
    troubles: BTreeMap<Option<i32>, Instant>,
}

impl Wires {
    /// Why casts are not heard.
    fn refusals(&self) -> impl Iterator<Item = (Cast, Refusal)> {
        self.deaf.iter().map(|(&cast, (to, why))| (cast, off(&self.name, cast, *to, why)))
    }
}

/// Every socket of this node.
pub(crate) struct Sockets {
    group: Group,
    /// What keeps strangers out of a keyed group.
    gate: Option<Gate>,
    open: BTreeMap<SegmentId, Wires>,
    names: BTreeMap<SegmentId, String>,
    next: u32,
    first_token: usize,
    /// Datagrams the system had no room for. The protocol repairs.
    unsent: u64,
    troubles: Vec<Trouble>,
    margin: Margin,
}

impl Sockets {
    /// No socket yet. Tokens from `first_token` on are theirs; the gate will stand before all of them.
    pub(crate) fn new(group: Group, gate: Option<Gate>, first_token: usize) -> Self {
        Self {
            group,
            gate,
            open: BTreeMap::new(),
            names: BTreeMap::new(),
            next: 1,
            first_token,
            unsent: 0,
            troubles: Vec::new(),
            margin: Margin::new(),
        }
    }

    /// Opens a segment; what the person should know about it is added to `warnings`.
    ///
    /// # Errors
    /// A [`SocketError`] if there is no unicast socket; without the others a segment works, worse.
    pub(crate) fn open(
        &mut self,
        registry: &Registry,
        place: &Place,
        warnings: &mut Vec<String>,
    ) -> Result<Segment, SocketError> {
        let id = SegmentId(self.next);
        let refused = |why| SocketError::Refused(place.interface.clone(), own_address(place), why);
        let mut unicast = unicast(place, self.group.ttl, self.gate.as_ref(), warnings)?;
        let address = unicast.local_addr().map_err(refused)?;
        // What the system gives to what is not multicast.
        let socket = SockRef::from(&unicast);
        let other = if place.ip.is_ipv4() { socket.ttl_v4() } else { socket.unicast_hops_v6() };
        let other = other.ok().and_then(|ttl| u8::try_from(ttl).ok());
        let ttls = Ttls { group: self.group.ttl, other: other.unwrap_or_else(|| Ttls::default().other) };
        let token = self.token(id, Cast::Unicast);
        registry.register(&mut unicast, token, Interest::READABLE).map_err(refused)?;

        self.next += 1;
        let name = place.interface.clone();
        let mut segment = Segment {
            id,
            name: name.clone(),
            address,
            prefix_len: place.prefix_len,
            relays: place.relays,
            ttls,
            broadcast: place.broadcast.map(|ip| SocketAddr::new(ip.into(), port_of(ip.into()))),
            group: self.group.addresses.beside(place.ip),
            deaf_to: 0,
            listens: false,
        };
        self.remember(id, &name);
        let wires = Wires {
            name,
            unicast,
            broadcast: None,
            group: None,
            group_address: segment.group,
            deaf: BTreeMap::new(),
            index: place.index,
            asked: place.port.is_some(),
            tunnel: place.tunnel,
            troubles: BTreeMap::new(),
        };
        self.open.insert(id, wires);
        self.listen(registry, place, &mut segment);
        let deaf = self.open.get(&id).into_iter().flat_map(Wires::refusals);
        warnings.extend(deaf.map(|(_, refusal)| refusal.why));
        Ok(segment)
    }

    /// Listens for the casts of a segment that are not listened for yet: again, where it failed before, for whoever
    /// held the port may be gone. Returns those that are heard now, and changes the segment accordingly.
    pub(crate) fn listen(&mut self, registry: &Registry, place: &Place, segment: &mut Segment) -> Vec<Cast> {
        let mut heard = Vec::new();
        for cast in [Cast::Broadcast, Cast::Multicast] {
            let token = self.token(segment.id, cast);
            let (Some(to), Some(wires)) = (segment.goes_to(cast), self.open.get_mut(&segment.id)) else { continue };
            let socket = if cast == Cast::Multicast { &mut wires.group } else { &mut wires.broadcast };
            if socket.is_some() {
                continue;
            }
            match listener(registry, place, to, self.gate.as_ref(), token) {
                Ok(opened) => {
                    *socket = Some(opened);
                    wires.deaf.remove(&cast);
                    segment.deaf_to &= !cast.bit();
                    heard.push(cast);
                }
                Err(why) => {
                    wires.deaf.insert(cast, (to, why));
                    segment.deaf_to |= cast.bit();
                }
            }
        }
        heard
    }

    fn remember(&mut self, id: SegmentId, name: &str) {
        self.names.insert(id, name.to_owned());
        if self.names.len() > NAMES_MAX {
            self.names.pop_first();
        }
    }

    /// Closes a segment. What is not there cannot be closed and need not be.
    pub(crate) fn close(&mut self, registry: &Registry, id: SegmentId) {
        let Some(wires) = self.open.remove(&id) else {
            return;
        };
        let sockets = [Some(wires.unicast), wires.broadcast, wires.group];
        for mut socket in sockets.into_iter().flatten() {
            // Closing would do; a failure means that it is gone already.
            let _ = registry.deregister(&mut socket);
        }
    }

    /// What the system calls the interface of a segment, now or when it was there.
    pub(crate) fn name(&self, id: SegmentId) -> &str {
        self.names.get(&id).map_or("?", String::as_str)
    }

    /// Datagrams the system had no room for.
    pub(crate) const fn unsent(&self) -> u64 {
        self.unsent
    }

    fn token(&self, id: SegmentId, cast: Cast) -> Token {
        Token(self.first_token + id.0 as usize * 3 + cast_index(cast))
    }

    /// Which socket a token means.
    pub(crate) fn socket_of(&self, token: Token) -> Option<(SegmentId, Cast)> {
        let n = token.0.checked_sub(self.first_token)?;
        let cast = CASTS[n % 3];
        u32::try_from(n / 3).ok().map(|id| (SegmentId(id), cast))
    }

    /// The next datagram, if there is one; `None` as well if there is no such socket any more.
    pub(crate) fn receive(&mut self, id: SegmentId, cast: Cast, buf: &mut [u8]) -> Option<Received> {
        let wires = self.open.get(&id)?;
        let socket = match cast {
            Cast::Unicast => &wires.unicast,
            Cast::Broadcast => wires.broadcast.as_ref()?,
            Cast::Multicast => wires.group.as_ref()?,
        };
        for _ in 0..ERRORS_MAX {
            match receive::receive(socket, buf, &mut self.margin) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return None,
                // Errors that waited on the socket concern datagrams that are gone. Behind them there
                // may be others, of which no further event would tell.
                Err(_) => {}
                Ok(received) => {
                    let shuts = |gate: &mut Gate| gate.on_datagram(&buf[..received.len], Instant::now());
                    if self.gate.as_mut().is_some_and(shuts) {
                        self.guard();
                    }
                    return Some(received);
                }
            }
        }
        None
    }

    /// When the gate is to be looked after.
    pub(crate) fn gate_by(&self) -> Option<Instant> {
        self.gate.as_ref().and_then(Gate::opens_at)
    }

    /// Opens the gate when it is time.
    pub(crate) fn mind_gate(&mut self) {
        if self.gate.as_mut().is_some_and(|gate| gate.on_time(Instant::now())) {
            self.guard();
        }
    }

    /// Puts the gate as it stands now before every socket.
    fn guard(&self) {
        let Some(gate) = &self.gate else { return };
        for wires in self.open.values() {
            for socket in [Some(&wires.unicast), wires.broadcast.as_ref(), wires.group.as_ref()].into_iter().flatten() {
                // A wish: without it more is looked at, and refused, by us.
                let _ = gate.guard(SockRef::from(socket));
            }
        }
    }

    /// Sends one datagram. Failing is not fatal: it is counted or told, and the protocol repairs.
    pub(crate) fn send(&mut self, id: SegmentId, cast: Cast, to: SocketAddr, bytes: &[u8]) -> bool {
        let Some(wires) = self.open.get_mut(&id) else {
            return false;
        };
        match wires.unicast.send_to(bytes, to) {
            Ok(_) => return true,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => self.unsent += 1,
            // Most tunnels know no way for them, and say so each time.
            Err(_) if wires.tunnel && cast != Cast::Unicast => self.unsent += 1,
            Err(why) => {
                self.unsent += 1;
                let now = Instant::now();
                let last = wires.troubles.insert(why.raw_os_error(), now);
                if last.is_none_or(|last| now.duration_since(last) >= TROUBLE_PASSES_AFTER) {
                    let text = format!("{}: cannot send to {to}: {why}", wires.name);
                    self.troubles.push(Trouble { segment: id, text });
                }
            }
        }
        false
    }

    /// Takes what went wrong with sending since the last call.
    pub(crate) fn take_troubles(&mut self) -> Vec<Trouble> {
        std::mem::take(&mut self.troubles)
    }

    /// Why the group is not heard on a segment, if it is not.
    pub(crate) fn deaf(&self, id: SegmentId) -> Option<Refusal> {
        let mut refusals = self.open.get(&id)?.refusals();
        refusals.find_map(|(cast, refusal)| (cast == Cast::Multicast).then_some(refusal))
    }

    /// Whether the port of a segment was asked for.
    pub(crate) fn was_asked(&self, id: SegmentId) -> bool {
        self.open.get(&id).is_some_and(|wires| wires.asked)
    }

    /// Leaves the group on a segment and joins it again, so that the network is told. What cannot be
    /// left was forgotten by the system as well, with its interface; joining tells.
    pub(crate) fn rejoin(&self, id: SegmentId) {
        let Some(wires) = self.open.get(&id) else { return };
        let (Some(socket), Some(group)) = (&wires.group, wires.group_address) else { return };
        let (socket, on) = (SockRef::from(socket), InterfaceIndexOrAddress::Index(wires.index));
        let _ = match group.ip() {
            IpAddr::V4(group) => {
                let _ = socket.leave_multicast_v4_n(&group, &on);
                socket.join_multicast_v4_n(&group, &on)
            }
            IpAddr::V6(group) => {
                let _ = socket.leave_multicast_v6(&group, wires.index);
                socket.join_multicast_v6(&group, wires.index)
            }
        };
    }

    /// Whether a segment is open.
    pub(crate) fn is_open(&self, id: SegmentId) -> bool {
        self.open.contains_key(&id)
    }
}

/// In which order the sockets of a segment are read. A bye goes by every cast, what was said before
/// it mostly by multicast: read in this order, it is not overtaken.
const CASTS: [Cast; 3] = [Cast::Multicast, Cast::Broadcast, Cast::Unicast];

const fn cast_index(cast: Cast) -> usize {
    match cast {
        Cast::Multicast => 0,
        Cast::Broadcast => 1,
        Cast::Unicast => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_loopback(ip: &str, port: Option<u16>) -> Place {
        Place {
            interface: "lo".into(),
            index: 1,
            loopback: true,
            tunnel: false,
            ip: ip.parse().expect("an address"),
            shared: false,
            prefix_len: 8,
            relays: true,
            broadcast: None,
            port,
        }
    }

    fn sockets() -> (mio::Poll, Sockets) {
        let addresses = Groups::of("239.192.7.7:5007".parse().expect("a group"));
        let group = Group { addresses, ttl: 2 };
        (mio::Poll::new().expect("a poll"), Sockets::new(group, None, 8))
    }

    #[test]
    fn every_token_means_its_socket() {
        let (_, sockets) = sockets();
        for id in [1, 2, 700] {
            for cast in [Cast::Unicast, Cast::Broadcast, Cast::Multicast] {
                let token = sockets.token(SegmentId(id), cast);
                assert_eq!(sockets.socket_of(token), Some((SegmentId(id), cast)));
            }
        }
        assert_eq!(sockets.socket_of(Token(7)), None);
    }

    #[test]
    fn a_segment_of_ipv6_has_no_broadcast() {
        let (poll, mut sockets) = sockets();
        let place = Place { prefix_len: 128, ..on_loopback("::1", None) };
        let segment = match sockets.open(poll.registry(), &place, &mut Vec::new()) {
            Ok(segment) => segment,
            // IPv6 is off here: nothing that must be told.
            Err(why) => return assert!(matches!(why, SocketError::NotYet(..)), "{why}"),
        };
        assert_eq!((segment.address.ip(), segment.broadcast), (place.ip, None));
        assert_eq!(segment.group.map(|group| group.to_string()).as_deref(), Some("[ff05::7:7]:5007"));
        sockets.send(segment.id, Cast::Unicast, segment.address, b"x");
        let mut buf = [0; 8];
        let received = Received { len: 1, from: segment.address, ttl: Some(segment.ttls.other) };
        assert_eq!(sockets.receive(segment.id, Cast::Unicast, &mut buf), Some(received));
        let taken = Place { port: Some(segment.address.port()), ..place };
        let Err(why) = sockets.open(poll.registry(), &taken, &mut Vec::new()) else { panic!("taken") };
        assert!(why.to_string().contains("--address [::1]:PORT"), "{why}");
        assert!(why.to_string().contains(&format!("process {}", std::process::id())), "{why}");
    }

    #[test]
    fn a_port_that_is_taken_is_replaced_unless_it_was_asked_for() {
        let (poll, mut sockets) = sockets();
        let mut warnings = Vec::new();
        let port = {
            let free = std::net::UdpSocket::bind("127.81.0.7:0").expect("loopback is up");
            free.local_addr().expect("bound").port()
        };
        let asked = on_loopback("127.81.0.7", Some(port));
        let first = sockets.open(poll.registry(), &asked, &mut warnings).expect("free");
        assert_eq!(first.address.to_string(), format!("127.81.0.7:{port}"));
        let Err(why) = sockets.open(poll.registry(), &asked, &mut warnings) else { panic!("taken") };
        assert!(why.to_string().contains(&format!("process {}", std::process::id())), "{why}");

        let rule = on_loopback("127.81.0.8", None);
        let first = sockets.open(poll.registry(), &rule, &mut warnings).expect("free");
        warnings.clear();
        let second = sockets.open(poll.registry(), &rule, &mut warnings).expect("another port");
        assert_ne!(first.address.port(), second.address.port());
        assert!(warnings[0].contains("127.81.0.8:5008 is taken by"), "{warnings:?}");
    }

    #[test]
    fn a_cast_that_a_tunnel_does_not_take_was_told_at_each_start() {
        let (poll, mut sockets) = sockets();
        let tunnel = Place { tunnel: true, ..on_loopback("127.81.0.10", None) };
        let segment = sockets.open(poll.registry(), &tunnel, &mut Vec::new()).expect("free");
        let nobody = "127.81.0.10:0".parse().expect("an address");
        for (cast, told) in [(Cast::Multicast, 0), (Cast::Broadcast, 0), (Cast::Unicast, 1)] {
            assert!(!sockets.send(segment.id, cast, nobody, b"x"));
            assert_eq!(sockets.take_troubles().len(), told, "{cast}");
        }
        assert_eq!(sockets.unsent(), 3);
    }

    #[test]
    fn what_could_not_be_listened_for_was_never_tried_again() {
        let addresses = Groups::of("239.192.81.81:5981".parse().expect("a group"));
        let mut sockets = Sockets::new(Group { addresses, ttl: 2 }, None, 8);
        let poll = mio::Poll::new().expect("a poll");
        let holder = std::net::UdpSocket::bind("0.0.0.0:5981").expect("free");
        let place = on_loopback("127.81.0.12", None);
        let mut segment = sockets.open(poll.registry(), &place, &mut Vec::new()).expect("free");
        let refusal = sockets.deaf(segment.id).expect("taken");
        assert!(refusal.taken && refusal.why.contains("process"), "{refusal:?}");
        assert_eq!((segment.group, segment.hears()), (addresses.beside(place.ip), 0), "what is not heard is sent");
        assert_eq!(sockets.listen(poll.registry(), &place, &mut segment), []);
        drop(holder);
        assert_eq!(sockets.listen(poll.registry(), &place, &mut segment), [Cast::Multicast]);
        assert_eq!((sockets.deaf(segment.id), segment.hears()), (None, Cast::Multicast.bit()));
        assert!(sockets.listen(poll.registry(), &place, &mut segment).is_empty(), "nothing is lacking");
        sockets.send(segment.id, Cast::Multicast, segment.group.expect("there"), b"x");
        assert_eq!(sockets.receive(segment.id, Cast::Multicast, &mut [0; 8]).map(|received| received.len), Some(1));
    }

    #[test]
    fn trouble_that_comes_and_goes_is_told_once() {
        let (poll, mut sockets) = sockets();
        let segment = sockets.open(poll.registry(), &on_loopback("127.81.0.9", None), &mut Vec::new()).expect("free");
        let (own, nobody) = (segment.address, "127.81.0.9:0".parse().expect("an address"));
        for told in [1, 0] {
            sockets.send(segment.id, Cast::Unicast, nobody, b"x");
            sockets.send(segment.id, Cast::Unicast, own, b"");
            assert_eq!(sockets.take_troubles().len(), told);
        }
        assert_eq!(sockets.unsent(), 2);
        let wires = sockets.open.get_mut(&segment.id).expect("open");
        wires.troubles.values_mut().for_each(|last| *last = last.checked_sub(TROUBLE_PASSES_AFTER).expect("it is up"));
        sockets.send(segment.id, Cast::Unicast, nobody, b"x");
        assert_eq!(sockets.take_troubles().len(), 1, "long after the last it is news");
        assert_eq!(sockets.receive(segment.id, Cast::Unicast, &mut [0; 8]).map(|received| received.len), Some(0));
        sockets.close(poll.registry(), segment.id);
        assert!(!sockets.is_open(segment.id));
        assert_eq!(sockets.name(segment.id), "lo");
        assert_eq!(sockets.receive(segment.id, Cast::Unicast, &mut [0; 8]), None);
    }
}

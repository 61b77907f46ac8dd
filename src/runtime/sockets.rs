//! All socket lore in one place: how a segment's three sockets are opened, read and written.
//!
//! On Linux a socket bound to a unicast, a broadcast or a group address hears only its own kind, so
//! a segment has one of each. Everything is sent from the unicast socket: it is bound to its own
//! address, which needs no route, and makes a datagram's source its peer's address. It takes no
//! reuse flags: with them the last to bind would silently steal every unicast of the others.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};

use super::holder::{self, Table};
use super::interfaces::Place;
use super::receive::{self, Margin, Received};
use crate::address::{Cast, Segment, SegmentId, Ttls, port_of};

/// Asked for; the system may give less. The default holds one large datagram.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Asked for; the system may give less.
const SEND_BUFFER: usize = 1 << 20;

/// Kinds of trouble remembered per segment, so that each is told once. When full, all are forgotten.
const TROUBLES_MAX: usize = 64;

/// Names of segments remembered, those that are gone included. When full, the oldest is forgotten.
const NAMES_MAX: usize = 1024;

/// How group messages are sent and heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// The address and port of the group.
    pub(crate) address: SocketAddr,
    /// The TTL of multicasts.
    pub(crate) ttl: u8,
}

/// Why a segment cannot be opened. Nothing of it is left open.
#[derive(Debug)]
pub(crate) enum SocketError {
    /// A port that was asked for is taken, by whom if that can be known.
    Taken(SocketAddr, Option<String>),
    /// The system refuses.
    Refused(String, SocketAddr, io::Error),
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(addr, Some(holder)) => write!(
                f,
                "{addr} is taken by {holder}: end that, or choose another port with --address {}:PORT",
                addr.ip()
            ),
            Self::Taken(addr, None) => {
                write!(f, "{addr} is taken: choose another port with --address {}:PORT", addr.ip())
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
    /// Why the group is not heard.
    deaf: Option<String>,
    /// The number of the interface.
    index: u32,
    /// The port was asked for.
    asked: bool,
    /// What was told, and to which address sending failed; forgotten when that works again.
    troubles: BTreeMap<Option<i32>, SocketAddr>,
}

/// Every socket of this node.
pub(crate) struct Sockets {
    group: Group,
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
    /// No socket yet. Tokens from `first_token` on are theirs.
    pub(crate) fn new(group: Group, first_token: usize) -> Self {
        Self {
            group,
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
        let mut unicast = unicast(place, self.group.ttl, warnings)?;
        let address = unicast.local_addr().map_err(refused)?;
        // What the system gives to what is not multicast.
        let other = SockRef::from(&unicast).ttl_v4().ok().and_then(|ttl| u8::try_from(ttl).ok());
        let ttls = Ttls { group: self.group.ttl, other: other.unwrap_or_else(|| Ttls::default().other) };
        let token = self.token(id, Cast::Unicast);
        registry.register(&mut unicast, token, Interest::READABLE).map_err(refused)?;

        let mut deaf = None;
        let mut listen = |cast, to: SocketAddr| match listener(registry, place, to, self.token(id, cast)) {
            Ok(socket) => Some(socket),
            Err(why) => {
                let why = off(place, cast, to, &why);
                warnings.push(why.clone());
                deaf = Some(why).filter(|_| cast == Cast::Multicast);
                None
            }
        };
        let to = place.broadcast.map(|ip| SocketAddr::new(ip.into(), port_of(ip.into())));
        let broadcast = to.and_then(|to| listen(Cast::Broadcast, to));
        let group = listen(Cast::Multicast, self.group.address);

        self.next += 1;
        let name = place.interface.clone();
        let segment = Segment {
            id,
            name: name.clone(),
            address,
            prefix_len: place.prefix_len,
            relays: place.relays,
            ttls,
            broadcast: to.filter(|_| broadcast.is_some()),
            group: group.is_some().then_some(self.group.address),
        };
        self.remember(id, &name);
        let (index, asked, troubles) = (place.index, place.port.is_some(), BTreeMap::new());
        self.open.insert(id, Wires { name, unicast, broadcast, group, deaf, index, asked, troubles });
        Ok(segment)
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
        loop {
            match receive::receive(socket, buf, &mut self.margin) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                // Errors that waited on the socket concern datagrams that are gone; the next
                // event tells when there is something to read again.
                received => return received.ok(),
            }
        }
    }

    /// Sends one datagram. Failing is not fatal: it is counted or told, and the protocol repairs.
    pub(crate) fn send(&mut self, id: SegmentId, to: SocketAddr, bytes: &[u8]) {
        let Some(wires) = self.open.get_mut(&id) else {
            return;
        };
        match wires.unicast.send_to(bytes, to) {
            Ok(_) => wires.troubles.retain(|_, failed| *failed != to),
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => self.unsent += 1,
            Err(why) => {
                self.unsent += 1;
                if wires.troubles.len() >= TROUBLES_MAX {
                    wires.troubles.clear();
                }
                if let Entry::Vacant(new) = wires.troubles.entry(why.raw_os_error()) {
                    new.insert(to);
                    let text = format!("{}: cannot send to {to}: {why}", wires.name);
                    self.troubles.push(Trouble { segment: id, text });
                }
            }
        }
    }

    /// Takes what went wrong with sending since the last call.
    pub(crate) fn take_troubles(&mut self) -> Vec<Trouble> {
        std::mem::take(&mut self.troubles)
    }

    /// Why the group is not heard on a segment, if it is not.
    pub(crate) fn deaf(&self, id: SegmentId) -> Option<&str> {
        self.open.get(&id)?.deaf.as_deref()
    }

    /// Whether the port of a segment was asked for.
    pub(crate) fn was_asked(&self, id: SegmentId) -> bool {
        self.open.get(&id).is_some_and(|wires| wires.asked)
    }

    /// Leaves the group on a segment and joins it again, so that the network is told. What cannot be
    /// left was forgotten by the system as well, with its interface; joining tells.
    pub(crate) fn rejoin(&self, id: SegmentId) {
        let Some(wires) = self.open.get(&id) else { return };
        let (Some(socket), IpAddr::V4(group)) = (&wires.group, self.group.address.ip()) else { return };
        let (socket, on) = (SockRef::from(socket), InterfaceIndexOrAddress::Index(wires.index));
        let _ = socket.leave_multicast_v4_n(&group, &on);
        let _ = socket.join_multicast_v4_n(&group, &on);
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

/// The address of a node at this place: the port as asked, else by the rule.
fn own_address(place: &Place) -> SocketAddr {
    let ip = IpAddr::V4(place.ip);
    SocketAddr::new(ip, place.port.unwrap_or_else(|| port_of(ip)))
}

/// Why a cast is not heard on a segment.
fn off(place: &Place, cast: Cast, to: SocketAddr, why: &io::Error) -> String {
    let holder = (why.kind() == io::ErrorKind::AddrInUse).then(|| holder::of(Table::Udp, to)).flatten();
    let by = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
    format!("no {cast} on {}: cannot listen at {to}: {why}{by}", place.interface)
}

/// The socket that everything is sent from, bound to the own address.
fn unicast(place: &Place, ttl: u8, warnings: &mut Vec<String>) -> Result<UdpSocket, SocketError> {
    let address = own_address(place);
    let refused = |why| SocketError::Refused(place.interface.clone(), address, why);
    let socket = datagram_socket().map_err(refused)?;
    match socket.bind(&address.into()) {
        Ok(()) => {}
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => {
            let holder = holder::of(Table::Udp, address);
            if place.port.is_some() {
                return Err(SocketError::Taken(address, holder));
            }
            socket.bind(&SocketAddr::new(address.ip(), 0).into()).map_err(refused)?;
            warnings.push(another_port(&socket, address, holder));
        }
        Err(why) => return Err(refused(why)),
    }
    prepare_sending(&socket, place.ip, ttl).map_err(refused)?;
    Ok(UdpSocket::from_std(socket.into()))
}

fn another_port(socket: &Socket, wanted: SocketAddr, holder: Option<String>) -> String {
    let by = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
    let port = socket.local_addr().ok().and_then(|addr| addr.as_socket()).map_or(0, |addr| addr.port());
    format!("{wanted} is taken{by}: using port {port} instead")
}

fn prepare_sending(socket: &Socket, ip: Ipv4Addr, ttl: u8) -> io::Result<()> {
    socket.set_broadcast(true)?;
    socket.set_multicast_ttl_v4(ttl.into())?;
    socket.set_multicast_if_v4(&ip)?;
    // Other nodes on this machine are peers like any other.
    socket.set_multicast_loop_v4(true)
}

/// A socket that hears what is sent to `to`, a broadcast address or a group, on one interface.
fn listener(registry: &Registry, place: &Place, to: SocketAddr, token: Token) -> io::Result<UdpSocket> {
    let socket = datagram_socket()?;
    // Every node on this machine listens here.
    socket.set_reuse_address(true)?;
    // Two interfaces may have one broadcast address: this keeps their segments apart. Where it is
    // not permitted, a datagram is heard once per segment, and known the second time.
    let _ = socket.bind_device(Some(place.interface.as_bytes()));
    socket.bind(&to.into())?;
    if let IpAddr::V4(group) = to.ip()
        && group.is_multicast()
    {
        // Else the socket hears what any socket of this machine has joined, on any interface.
        socket.set_multicast_all_v4(false)?;
        socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(place.index))?;
    }
    let mut socket = UdpSocket::from_std(socket.into());
    registry.register(&mut socket, token, Interest::READABLE)?;
    Ok(socket)
}

fn datagram_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    // Wishes: with less, more is lost in bursts and repaired.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    receive::tell_ttl(&socket, true);
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_loopback(ip: &str, port: Option<u16>) -> Place {
        Place {
            interface: "lo".into(),
            index: 1,
            loopback: true,
            ip: ip.parse().expect("an address"),
            prefix_len: 8,
            relays: true,
            broadcast: None,
            port,
        }
    }

    fn sockets() -> (mio::Poll, Sockets) {
        let group = Group { address: "239.192.7.7:5007".parse().expect("a group"), ttl: 2 };
        (mio::Poll::new().expect("a poll"), Sockets::new(group, 8))
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
    fn trouble_is_told_once_until_sending_works_again() {
        let (poll, mut sockets) = sockets();
        let segment = sockets.open(poll.registry(), &on_loopback("127.81.0.9", None), &mut Vec::new()).expect("free");
        let (own, nobody) = (segment.address, "127.81.0.9:0".parse().expect("an address"));
        for told in [1, 0] {
            sockets.send(segment.id, nobody, b"x");
            sockets.send(segment.id, own, b"");
            assert_eq!(sockets.take_troubles().len(), told);
        }
        assert_eq!(sockets.receive(segment.id, Cast::Unicast, &mut [0; 8]).map(|received| received.len), Some(0));
        sockets.close(poll.registry(), segment.id);
        assert!(!sockets.is_open(segment.id));
        assert_eq!(sockets.name(segment.id), "lo");
        assert_eq!(sockets.receive(segment.id, Cast::Unicast, &mut [0; 8]), None);
    }
}

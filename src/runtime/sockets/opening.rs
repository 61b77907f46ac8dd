//! How each of the sockets of a segment is opened, and what is told where that fails.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};

use super::SocketError;
use crate::address::{Cast, port_of, scoped};
use crate::protocol::diagnosis::{Holder, Refusal};
use crate::runtime::gate::Gate;
use crate::runtime::holder::{self, Table};
use crate::runtime::interfaces::Place;
use crate::runtime::receive;

/// Asked for; the system may give less. The default holds one large datagram.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Asked for; the system may give less.
const SEND_BUFFER: usize = 1 << 20;

/// The address of a node at this place: the port as asked, else by the rule.
pub(super) fn own_address(place: &Place) -> SocketAddr {
    scoped(place.ip, place.port.unwrap_or_else(|| port_of(place.ip)), place.scope())
}

/// Why a cast is not heard on an interface, and by whose fault: to be asked when it is told.
pub(super) fn off(interface: &str, cast: Cast, to: SocketAddr, why: &io::Error) -> Refusal {
    let taken = why.kind() == io::ErrorKind::AddrInUse;
    let holder = taken.then(|| holder::of(Table::Udp, to)).and_then(Holder::program);
    let by = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
    let why = format!("no {cast} on {interface}: cannot listen at {to}: {why}{by}");
    Refusal { why, taken }
}

/// The socket that everything is sent from, bound to the own address.
pub(super) fn unicast(
    place: &Place,
    ttl: u8,
    gate: Option<&Gate>,
    warnings: &mut Vec<String>,
) -> Result<UdpSocket, SocketError> {
    let address = own_address(place);
    let refused = |why: io::Error| match why.kind() {
        io::ErrorKind::AddrNotAvailable => SocketError::NotYet(place.interface.clone(), address),
        _ => SocketError::Refused(place.interface.clone(), address, why),
    };
    let mut socket = datagram_socket(address, gate).map_err(refused)?;
    let on_device = match bind(&socket, place, address) {
        Ok(on_device) => on_device,
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => {
            let holder = holder::of(Table::Udp, address).program();
            if place.port.is_some() {
                return Err(SocketError::Taken(address, holder));
            }
            // A new one: who may not do everything may bind a socket to an interface once.
            socket = datagram_socket(address, gate).map_err(refused)?;
            let on_device = bind(&socket, place, scoped(place.ip, 0, place.scope())).map_err(refused)?;
            warnings.push(another_port(&socket, address, holder));
            on_device
        }
        Err(why) => return Err(refused(why)),
    };
    prepare_sending(&socket, place, ttl, on_device).map_err(refused)?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// Binds to an own address. One of an interface in a VRF belongs to that alone: who is not bound to the interface has
/// no such address. (One of IPv6 with a scope is.) For one that is not ready, or gone, that makes no difference. What
/// another interface has as well is bound to this one from the beginning. Says whether it was bound to the interface.
fn bind(socket: &Socket, place: &Place, address: SocketAddr) -> io::Result<bool> {
    // Where that is not permitted it stays as it was.
    let to_device = || socket.bind_device(Some(place.interface.as_bytes()));
    let on_device = place.shared && to_device().is_ok();
    match socket.bind(&address.into()) {
        Err(why) if why.kind() == io::ErrorKind::AddrNotAvailable && address.is_ipv4() && !on_device => {
            to_device().map_err(|_| why)?;
            socket.bind(&address.into()).map(|()| true)
        }
        bound => bound.map(|()| on_device),
    }
}

fn another_port(socket: &Socket, wanted: SocketAddr, holder: Option<String>) -> String {
    let by = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
    let port = socket.local_addr().ok().and_then(|addr| addr.as_socket()).map_or(0, |addr| addr.port());
    format!("{wanted} is taken{by}: using port {port} instead")
}

fn prepare_sending(socket: &Socket, place: &Place, ttl: u8, on_device: bool) -> io::Result<()> {
    // Other nodes on this machine are peers like any other: what goes to all loops back.
    match place.ip {
        IpAddr::V4(ip) => {
            socket.set_broadcast(true)?;
            socket.set_multicast_ttl_v4(ttl.into())?;
            // Another interface may have the same address, and would be taken for the one that is meant: what is bound
            // to its interface sends there as it is.
            if !on_device {
                socket.set_multicast_if_v4(&ip)?;
            }
            socket.set_multicast_loop_v4(true)
        }
        IpAddr::V6(_) => {
            socket.set_multicast_hops_v6(ttl.into())?;
            socket.set_multicast_if_v6(place.index)?;
            socket.set_multicast_loop_v6(true)
        }
    }
}

/// A socket that hears what is sent to `to`, a broadcast address or a group, on one interface.
pub(super) fn listener(
    registry: &Registry,
    place: &Place,
    to: SocketAddr,
    gate: Option<&Gate>,
    token: Token,
) -> io::Result<UdpSocket> {
    let socket = datagram_socket(to, gate)?;
    // Every node on this machine listens here.
    socket.set_reuse_address(true)?;
    // Two interfaces may have one broadcast address: this keeps their segments apart. Where it is
    // not permitted, a datagram is heard once per segment, and known the second time.
    let _ = socket.bind_device(Some(place.interface.as_bytes()));
    let index = if to.is_ipv6() { place.index } else { 0 };
    socket.bind(&scoped(to.ip(), to.port(), index).into())?;
    // A group socket that hears all hears what any socket of this machine has joined, on any interface. Kernels before
    // 4.20 have no such switch for IPv6; bound to its device it hears that of others no more than otherwise.
    match to.ip() {
        IpAddr::V4(group) if group.is_multicast() => {
            socket.set_multicast_all_v4(false)?;
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(place.index))?;
        }
        IpAddr::V6(group) => {
            let _ = socket.set_multicast_all_v6(false);
            socket.join_multicast_v6(&group, place.index)?;
        }
        IpAddr::V4(_) => {}
    }
    let mut socket = UdpSocket::from_std(socket.into());
    registry.register(&mut socket, token, Interest::READABLE)?;
    Ok(socket)
}

fn datagram_socket(address: SocketAddr, gate: Option<&Gate>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Wishes: with less, more is lost in bursts and repaired.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    receive::tell_ttl(&socket, address.is_ipv4());
    if let Some(gate) = gate {
        // Before it is bound, so that nothing slips in.
        let _ = gate.guard(SockRef::from(&socket));
    }
    Ok(socket)
}

//! The values of options: what is understood, and what is said about the rest.
//!
//! Each function reads one kind of value and answers with a sentence that says what to write.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::address::Endpoint;

/// The longest `--wait`, in seconds: a day.
const WAIT_MAX: f64 = 86_400.0;

/// A local address, and the port if one was asked for.
pub(crate) type Local = (Ipv4Addr, Option<u16>);

fn endpoint(text: &str) -> Result<Endpoint, String> {
    text.parse::<Endpoint>().map_err(|why| why.to_string())
}

/// A multicast group, by the port rule if no port is written.
pub(crate) fn group(text: &str) -> Result<SocketAddr, String> {
    let group = endpoint(text)?.socket_addr();
    match group.ip() {
        IpAddr::V6(_) => Err("an IPv6 group is not supported yet: choose an IPv4 group".into()),
        IpAddr::V4(ip) if ip.is_multicast() => Ok(group),
        IpAddr::V4(_) => Err("that is no multicast group: choose one from 224.0.0.0 to 239.255.255.255".into()),
    }
}

/// An address of this machine.
pub(crate) fn local_address(text: &str) -> Result<Local, String> {
    let Endpoint { ip, port } = endpoint(text)?;
    let IpAddr::V4(ip) = ip else {
        return Err("an IPv6 address is not supported yet: choose an IPv4 address".into());
    };
    if is_one_host(ip) { Ok((ip, port)) } else { Err("that is not the address of one machine".into()) }
}

/// The address of a peer, by the port rule if no port is written.
pub(crate) fn peer(text: &str) -> Result<SocketAddr, String> {
    let peer = endpoint(text)?.socket_addr();
    match peer.ip() {
        IpAddr::V6(_) => Err("an IPv6 peer is not supported yet: use its IPv4 address".into()),
        IpAddr::V4(ip) if is_one_host(ip) => Ok(peer),
        IpAddr::V4(_) => Err("that is not the address of one machine".into()),
    }
}

const fn is_one_host(ip: Ipv4Addr) -> bool {
    !ip.is_multicast() && !ip.is_unspecified() && !ip.is_broadcast()
}

/// How many routers a multicast may pass, plus one.
pub(crate) fn ttl(text: &str) -> Result<u8, String> {
    text.parse().map_err(|_| "a TTL is a number from 0 to 255".into())
}

/// A number of messages.
pub(crate) fn history(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "write a number of messages, 0 or more".into())
}

/// A time span in seconds.
pub(crate) fn wait(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|s| (0.0..=WAIT_MAX).contains(s));
    let refuse = || "write a number of seconds, at most 86400, for example 2.5".to_owned();
    seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).ok_or_else(refuse)
}

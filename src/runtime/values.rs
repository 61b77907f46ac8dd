//! The values of options: what is understood, and what is said about the rest.
//!
//! Each function reads one kind of value and answers with a sentence that says what to write.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::net::if_::if_nametoindex;

use crate::address::Endpoint;
use crate::text::Line;

/// The longest `--wait`, in seconds: a day.
const WAIT_MAX: f64 = 86_400.0;

/// An address; the scope of one of IPv6 may be the name of an interface.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    numbered(text)?.parse::<Endpoint>().map_err(|why| why.to_string())
}

/// An address with the number of its interface in place of the name.
fn numbered(text: &str) -> Result<Cow<'_, str>, String> {
    let Some((ip, rest)) = text.split_once('%') else { return Ok(text.into()) };
    let (name, port) = rest.find(']').map_or((rest, ""), |at| rest.split_at(at));
    if name.is_empty() || name.parse::<u32>().is_ok() {
        return Ok(text.into());
    }
    let index = if_nametoindex(name).map_err(|_| format!("there is no interface '{}'", Line::from_peer(name)))?;
    Ok(format!("{ip}%{index}{port}").into())
}

/// What was typed, with the number of an interface in place of its name where an address may stand.
pub(crate) fn with_numbers(text: &str) -> Cow<'_, str> {
    let command = text.strip_prefix("/plain").filter(|rest| rest.starts_with(char::is_whitespace));
    let parts = command.and_then(|rest| rest.trim_start().split_once(char::is_whitespace));
    match parts.map(|(address, said)| (address, numbered(address), said)) {
        // What is no address is refused where it is read.
        Some((address, Ok(number), said)) if number != address => format!("/plain {number} {said}").into(),
        _ => text.into(),
    }
}

/// A multicast group, by the port rule if no port is written.
pub(crate) fn group(text: &str) -> Result<SocketAddr, String> {
    let group = endpoint(text)?.socket_addr();
    if group.ip().is_multicast() {
        return Ok(group);
    }
    Err(match group {
        SocketAddr::V4(_) => "that is no multicast group: choose one from 224.0.0.0 to 239.255.255.255",
        SocketAddr::V6(_) => "that is no multicast group: choose one that begins with ff, for example ff05::7:7",
    }
    .into())
}

/// An address of this machine.
pub(crate) fn local_address(text: &str) -> Result<Endpoint, String> {
    let address = endpoint(text)?;
    if is_one_host(address.ip) { Ok(address) } else { Err("that is not the address of one machine".into()) }
}

/// The address of a peer, by the port rule if no port is written.
pub(crate) fn peer(text: &str) -> Result<SocketAddr, String> {
    let peer = endpoint(text)?.socket_addr();
    if is_one_host(peer.ip()) { Ok(peer) } else { Err("that is not the address of one machine".into()) }
}

fn is_one_host(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let in_v6 = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    !ip.is_multicast() && !ip.is_unspecified() && !broadcast && !in_v6
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

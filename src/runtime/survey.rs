//! Looks at this machine for the diagnosis: flags and MTUs of interfaces, filters of the kernel, bridges,
//! who holds a port.
//!
//! Read from `/proc` and `/sys`, as far as they can be read; what cannot is not known.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::holder::{self, Table};
use super::interfaces::in_sys;
use super::shell::wall;
use super::sockets::Sockets;
use crate::address::{Segment, port_of};
use crate::protocol::diagnosis::{Bridge, Facts, Holder, Survey};

/// Bridges looked at. Those beyond are not.
const BRIDGES_MAX: usize = 64;

/// Looks at the machine; remembers what the kernel had counted at the first look.
#[derive(Debug, Default)]
pub(crate) struct Surveyor {
    reverse_path_before: Option<u64>,
}

impl Surveyor {
    /// One look.
    pub(crate) fn look<'a>(&mut self, segments: impl Iterator<Item = &'a Segment>, sockets: &Sockets) -> Survey {
        let counted = fs::read_to_string("/proc/net/netstat").ok().and_then(|text| reverse_path_drops(&text));
        let before = *self.reverse_path_before.get_or_insert_with(|| counted.unwrap_or(0));
        // Once for all of them: a router has a hundred.
        let flags = flags();
        Survey {
            wall: wall(),
            segments: segments.map(|segment| (segment.id, facts(segment, &flags, sockets))).collect(),
            reverse_path_drops: counted.map(|counted| counted.saturating_sub(before)),
            bridges: bridges(),
        }
    }
}

fn facts(segment: &Segment, flags: &BTreeMap<String, InterfaceFlags>, sockets: &Sockets) -> Facts {
    let name = segment.name.as_str();
    let flags = flags.get(name);
    let has = |flag| flags.map(|flags| flags.contains(flag));
    Facts {
        loopback: has(InterfaceFlags::IFF_LOOPBACK).unwrap_or(false),
        tunnel: has(InterfaceFlags::IFF_POINTOPOINT).unwrap_or(false),
        multicast: has(InterfaceFlags::IFF_MULTICAST),
        mtu: in_sys(name, "mtu"),
        reverse_path: segment.address.is_ipv4().then(|| reverse_path(name)).flatten(),
        taken: taken(segment, sockets),
        deaf: sockets.deaf(segment.id),
        bridge: bridge(name),
    }
}

/// The flags of all interfaces, of this namespace for certain.
fn flags() -> BTreeMap<String, InterfaceFlags> {
    getifaddrs().into_iter().flatten().map(|entry| (entry.interface_name, entry.flags)).collect()
}

/// The stricter of what holds for all interfaces and for this one.
fn reverse_path(name: &str) -> Option<u8> {
    // A name with a dot is spelled with a slash there, and is a path of its own here.
    let of = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter")).ok();
    let modes = ["all", name].map(|name| of(name).and_then(|text| text.trim().parse().ok()));
    modes.into_iter().flatten().max()
}

/// What the kernel counted of datagrams dropped by the reverse path, in `/proc/net/netstat`.
fn reverse_path_drops(netstat: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
    pairs.find(|(name, _)| *name == "IPReversePathFilter").and_then(|(_, value)| value.parse().ok())
}

/// The port of the rule, if we had to take another, and who holds it now.
fn taken(segment: &Segment, sockets: &Sockets) -> Option<(u16, Holder)> {
    let ip = segment.address.ip();
    let rule = port_of(ip);
    let moved = segment.address.port() != rule && !sockets.was_asked(segment.id);
    moved.then(|| (rule, holder::of(Table::Udp, SocketAddr::new(IpAddr::clone(&ip), rule))))
}

fn bridge(name: &str) -> Option<Bridge> {
    let flag = |value: &str| in_sys::<u8>(name, &format!("bridge/{value}")).map(|flag| flag != 0);
    let (snooping, querier) = (flag("multicast_snooping")?, flag("multicast_querier")?);
    Some(Bridge { name: name.to_owned(), snooping, querier })
}

fn bridges() -> Vec<Bridge> {
    let Ok(entries) = fs::read_dir("/sys/class/net") else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut bridges: Vec<_> = names.filter_map(|name| bridge(&name)).take(BRIDGES_MAX).collect();
    bridges.sort_by(|a, b| a.name.cmp(&b.name));
    bridges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_of_the_kernel() {
        let text = "TcpExt: SyncookiesSent IPReversePathFilter Last\nTcpExt: 7 42 9\nIpExt: InNoRoutes\nIpExt: 5\n";
        assert_eq!(reverse_path_drops(text), Some(42));
        assert_eq!(reverse_path_drops("IpExt: InNoRoutes\nIpExt: 5\n"), None);
        assert_eq!(reverse_path_drops("TcpExt: IPReversePathFilter\n"), None);
        assert_eq!(reverse_path_drops(""), None);
    }

    #[test]
    fn what_is_not_there_is_not_known() {
        assert_eq!(in_sys::<u32>("no-such-interface", "mtu"), None);
        assert_eq!((bridge("lo"), flags().get("no-such-interface")), (None, None));
    }
}

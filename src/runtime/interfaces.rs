//! Which interfaces there are, which of them to use, and what changed.
//!
//! Asking the system is one function, [`list`]; choosing and comparing are pure. Only IPv4 for
//! now. Broadcast addresses are computed from the mask: what interfaces report is often wrong.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use crate::address::broadcast_of;

/// An interface, usable or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) up: bool,
    pub(crate) loopback: bool,
    /// It leads to one other machine.
    pub(crate) tunnel: bool,
    /// Its addresses with their masks, the first first.
    pub(crate) addresses: Vec<(Ipv4Addr, Ipv4Addr)>,
}

/// What a person asked for; nothing means everything that is up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) interfaces: Vec<String>,
    /// A local address, and its port if one was asked for.
    pub(crate) address: Option<(Ipv4Addr, Option<u16>)>,
}

impl Wanted {
    fn is_anything(&self) -> bool {
        self.interfaces.is_empty() && self.address.is_none()
    }
}

/// Where a segment is to be opened. Another index is another interface, whatever its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) interface: String,
    pub(crate) index: u32,
    pub(crate) loopback: bool,
    pub(crate) ip: Ipv4Addr,
    /// Leading bits of the address that all hosts of the network share.
    pub(crate) prefix_len: u8,
    /// Whether entries of other segments are passed on to it: not over a tunnel, unless it was named.
    pub(crate) relays: bool,
    pub(crate) broadcast: Option<Ipv4Addr>,
    /// A port that was asked for; else the rule gives it.
    pub(crate) port: Option<u16>,
}

/// Why there is nothing to chat over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InterfaceError {
    /// There is no interface of that name; holds those there are.
    NoSuch(String, Vec<String>),
    /// It is down.
    Down(String),
    /// It has no IPv4 address.
    NoAddress(String),
    /// No interface has that address; holds those there are.
    NotOurs(Ipv4Addr, Vec<String>),
    /// No interface is up with an address.
    Nothing,
}

impl fmt::Display for InterfaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuch(name, there) => {
                write!(f, "there is no interface '{name}': there are {}", there.join(", "))
            }
            Self::Down(name) => write!(f, "interface {name} is down: ip link set {name} up"),
            Self::NoAddress(name) => {
                write!(f, "interface {name} has no IPv4 address: ip address add ADDR/BITS dev {name}")
            }
            Self::NotOurs(ip, there) if there.is_empty() => {
                write!(f, "no interface has the address {ip}: none that is up has any address")
            }
            Self::NotOurs(ip, there) => {
                write!(f, "no interface that is up has the address {ip}: there are {}", there.join(", "))
            }
            Self::Nothing => {
                f.write_str("no interface is up with an IPv4 address, not even loopback: ip link set lo up")
            }
        }
    }
}

/// Every interface of this machine (of this network namespace).
///
/// # Errors
/// When the system does not tell.
pub(crate) fn list() -> io::Result<Vec<Interface>> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for entry in getifaddrs()? {
        // An address may carry a label, "eth0:1": that is eth0.
        let name = entry.interface_name.split(':').next().unwrap_or_default().to_owned();
        let at = interfaces.iter().position(|known| known.name == name).unwrap_or_else(|| {
            interfaces.push(interface(name, entry.flags));
            interfaces.len() - 1
        });
        interfaces[at].addresses.extend(ipv4(&entry));
    }
    Ok(interfaces)
}

fn interface(name: String, flags: InterfaceFlags) -> Interface {
    Interface {
        index: if_nametoindex(name.as_str()).unwrap_or(0),
        name,
        up: flags.contains(InterfaceFlags::IFF_UP),
        loopback: flags.contains(InterfaceFlags::IFF_LOOPBACK),
        tunnel: flags.contains(InterfaceFlags::IFF_POINTOPOINT),
        addresses: Vec::new(),
    }
}

fn ipv4(entry: &InterfaceAddress) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let ip = entry.address.as_ref()?.as_sockaddr_in()?.ip();
    let mask = entry.netmask.as_ref().and_then(|mask| mask.as_sockaddr_in().map(|mask| mask.ip()));
    Some((ip, mask.unwrap_or(Ipv4Addr::BROADCAST)))
}

/// Whether all that is wanted is there.
///
/// # Errors
/// An [`InterfaceError`] for the first thing that is not.
pub(crate) fn check(there: &[Interface], wanted: &Wanted) -> Result<(), InterfaceError> {
    for name in &wanted.interfaces {
        let Some(interface) = there.iter().find(|i| i.name == *name) else {
            let names = there.iter().map(|i| i.name.clone()).collect();
            return Err(InterfaceError::NoSuch(name.clone(), names));
        };
        if !interface.up {
            return Err(InterfaceError::Down(name.clone()));
        }
        if interface.addresses.is_empty() {
            return Err(InterfaceError::NoAddress(name.clone()));
        }
    }
    if let Some((ip, port)) = wanted.address
        && at_address(there, ip, port).is_none()
    {
        let addresses = there.iter().filter(|i| i.up).flat_map(|i| &i.addresses);
        return Err(InterfaceError::NotOurs(ip, addresses.map(|(ip, _)| ip.to_string()).collect()));
    }
    if choose(there, wanted, true).is_empty() {
        return Err(InterfaceError::Nothing);
    }
    Ok(())
}

/// Where to open segments: what is wanted, as far as it is there. `loopback` allows the loopback
/// interface when there is no other and none was named.
pub(crate) fn choose(there: &[Interface], wanted: &Wanted, loopback: bool) -> Vec<Place> {
    if wanted.is_anything() {
        let real: Vec<Place> = there.iter().filter(|i| !i.loopback).filter_map(own_place).collect();
        if !real.is_empty() || !loopback {
            return real;
        }
        return there.iter().filter_map(own_place).collect();
    }
    let asked = wanted.address.and_then(|(ip, port)| at_address(there, ip, port));
    let named = there.iter().filter(|i| wanted.interfaces.contains(&i.name)).filter_map(own_place);
    let named = named.map(|place| Place { relays: true, ..place });
    // An address that was asked for stands in for its interface's first.
    let named = named.filter(|place| asked.as_ref().is_none_or(|a| a.interface != place.interface));
    let mut places: Vec<Place> = named.collect();
    places.extend(asked);
    places
}

/// An interface with its first address, if it can be used.
fn own_place(interface: &Interface) -> Option<Place> {
    let &(ip, mask) = interface.addresses.first()?;
    interface.up.then(|| place(interface, ip, mask, None))
}

/// The interface that has `ip`. All of 127.0.0.0/8 belongs to loopback.
fn at_address(there: &[Interface], ip: Ipv4Addr, port: Option<u16>) -> Option<Place> {
    there.iter().filter(|i| i.up).find_map(|interface| {
        let own = interface.addresses.iter().find(|&&(own, _)| own == ip).map(|&(_, mask)| mask);
        let local = (interface.loopback && ip.is_loopback()).then_some(Ipv4Addr::new(255, 0, 0, 0));
        own.or(local).map(|mask| place(interface, ip, mask, port))
    })
}

fn place(interface: &Interface, ip: Ipv4Addr, mask: Ipv4Addr, port: Option<u16>) -> Place {
    Place {
        interface: interface.name.clone(),
        index: interface.index,
        loopback: interface.loopback,
        ip,
        prefix_len: u8::try_from(mask.to_bits().leading_ones()).unwrap_or(32),
        relays: !interface.tunnel,
        broadcast: broadcast_of(ip, mask),
        port,
    }
}

/// What is in `old` and no longer in `new`, and the other way round.
pub(crate) fn diff(old: &[Place], new: &[Place]) -> (Vec<Place>, Vec<Place>) {
    let gone = old.iter().filter(|place| !new.contains(place)).cloned().collect();
    let appeared = new.iter().filter(|place| !old.contains(place)).cloned().collect();
    (gone, appeared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, index: u32, up: bool, addresses: &[&str]) -> Interface {
        let mask = if name == "lo" { Ipv4Addr::new(255, 0, 0, 0) } else { Ipv4Addr::new(255, 255, 255, 0) };
        let addresses = addresses.iter().map(|ip| (ip.parse().expect("an address"), mask)).collect();
        Interface { name: name.into(), index, up, loopback: name == "lo", tunnel: false, addresses }
    }

    fn machine() -> Vec<Interface> {
        vec![
            interface("lo", 1, true, &["127.0.0.1"]),
            interface("eth0", 2, true, &["10.0.0.3", "10.0.0.33"]),
            interface("eth1", 3, false, &["10.0.1.3"]),
            interface("eth2", 4, true, &[]),
        ]
    }

    fn wanted(interfaces: &[&str], address: Option<&str>) -> Wanted {
        let address = address.map(|ip| (ip.parse().expect("an address"), None));
        Wanted { interfaces: interfaces.iter().map(ToString::to_string).collect(), address }
    }

    fn chosen(there: &[Interface], wanted: &Wanted) -> Vec<String> {
        choose(there, wanted, true).iter().map(|p| format!("{} {}", p.interface, p.ip)).collect()
    }

    #[test]
    fn all_that_are_up_and_loopback_only_alone() {
        let machine = machine();
        assert_eq!(chosen(&machine, &wanted(&[], None)), ["eth0 10.0.0.3"]);
        assert_eq!(chosen(&machine[..1], &wanted(&[], None)), ["lo 127.0.0.1"]);
        assert!(choose(&machine[..1], &wanted(&[], None), false).is_empty());
        assert_eq!(check(&machine[2..], &wanted(&[], None)), Err(InterfaceError::Nothing));
    }

    #[test]
    fn named_interfaces_and_addresses() {
        let machine = machine();
        assert_eq!(chosen(&machine, &wanted(&["lo", "eth0"], None)), ["lo 127.0.0.1", "eth0 10.0.0.3"]);
        assert_eq!(chosen(&machine, &wanted(&[], Some("10.0.0.33"))), ["eth0 10.0.0.33"]);
        assert_eq!(chosen(&machine, &wanted(&["eth0"], Some("10.0.0.33"))), ["eth0 10.0.0.33"]);
        let lo = choose(&machine, &wanted(&[], Some("127.0.0.9")), true);
        assert_eq!(lo[0].broadcast, Some(Ipv4Addr::new(127, 255, 255, 255)));
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let refused = |w: Wanted| check(&machine(), &w).expect_err("refused").to_string();
        assert!(refused(wanted(&["eth9"], None)).contains("lo, eth0, eth1, eth2"));
        assert!(refused(wanted(&["eth1"], None)).contains("is down"));
        assert!(refused(wanted(&["eth2"], None)).contains("no IPv4 address"));
        assert!(refused(wanted(&[], Some("10.9.9.9"))).contains("127.0.0.1, 10.0.0.3, 10.0.0.33"));
        assert!(refused(wanted(&[], Some("10.0.1.3"))).contains("10.0.0.3"), "an address of an interface that is down");
    }

    #[test]
    fn an_interface_made_anew_or_renumbered_is_another() {
        let before = choose(&machine(), &wanted(&[], None), true);
        assert_eq!(diff(&before, &before), (vec![], vec![]));
        for other in [interface("eth0", 7, true, &["10.0.0.3"]), interface("eth0", 2, true, &["10.0.0.4"])] {
            let after = choose(&[other], &wanted(&[], None), true);
            assert_eq!(diff(&before, &after), (before.clone(), after));
        }
        assert_eq!(diff(&before, &[]), (before.clone(), vec![]));
    }

    #[test]
    fn the_system_tells() {
        assert!(list().is_ok_and(|all| all.iter().all(|i| !i.name.is_empty())));
    }
}

//! Which interfaces there are, which of them to use, and what changed.
//!
//! Asking the system is one function, [`list`]; choosing and comparing are pure. A place is one
//! interface with one family: of IPv4 its first address, of IPv6 the link-local one, which everybody
//! on the link can answer. Broadcast addresses are computed from the mask: what interfaces report is
//! often wrong.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_indextoname, if_nametoindex};
use nix::sys::socket::SockaddrStorage;

use super::netlink::{self, Labelled};
use crate::address::{Endpoint, broadcast_of, is_link_local};

/// An interface, usable or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) up: bool,
    pub(crate) loopback: bool,
    /// It leads to one other machine.
    pub(crate) tunnel: bool,
    /// It belongs to a bridge or a bond, which hears all that comes in by it.
    pub(crate) port: bool,
    /// Its addresses, those of each family in the order of the system.
    pub(crate) addresses: Vec<Address>,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    /// Leading bits that all hosts of the network share.
    pub(crate) prefix_len: u8,
    pub(crate) broadcast: Option<Ipv4Addr>,
}

/// Which families to use on an interface that has both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Families {
    /// Each is a segment.
    #[default]
    Both,
    /// IPv4.
    RatherV4,
    /// IPv6.
    RatherV6,
}

/// What a person asked for; nothing means everything that is up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) interfaces: Vec<String>,
    /// A local address, and its port if one was asked for.
    pub(crate) address: Option<Endpoint>,
    pub(crate) families: Families,
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
    /// It leads to one other machine: casts are not expected to get through.
    pub(crate) tunnel: bool,
    pub(crate) ip: IpAddr,
    /// Another interface has this address as well: one of a VRF, or unnumbered links.
    pub(crate) shared: bool,
    /// Leading bits of the address that all hosts of the network share.
    pub(crate) prefix_len: u8,
    /// Whether entries of other segments are passed on to it: not over a tunnel, unless it was named.
    pub(crate) relays: bool,
    pub(crate) broadcast: Option<Ipv4Addr>,
    /// A port that was asked for; else the rule gives it.
    pub(crate) port: Option<u16>,
}

impl Place {
    /// Whether it is the same place: what is open stays as it was opened when another interface comes to share its
    /// address.
    fn is(&self, other: &Self) -> bool {
        Self { shared: other.shared, ..self.clone() } == *other
    }

    /// Whether another place is what this one has become: one interface, one family.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.interface == other.interface && self.ip.is_ipv4() == other.ip.is_ipv4()
    }

    /// The scope of its address.
    pub(crate) const fn scope(&self) -> u32 {
        if self.ip.is_ipv6() && is_link_local(self.ip) { self.index } else { 0 }
    }
}

/// Why there is nothing to chat over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InterfaceError {
    /// There is no interface of that name; holds those there are.
    NoSuch(String, Vec<String>),
    /// It is down.
    Down(String),
    /// It has no address.
    NoAddress(String),
    /// No interface has that address; holds those there are.
    NotOurs(IpAddr, Vec<String>),
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
                write!(f, "interface {name} has no address: ip address add ADDR/BITS dev {name}")
            }
            Self::NotOurs(ip, there) if there.is_empty() => {
                write!(f, "no interface has the address {ip}: none that is up has any address")
            }
            Self::NotOurs(ip, there) => {
                write!(f, "no interface that is up has the address {ip}: there are {}", there.join(", "))
            }
            Self::Nothing => f.write_str("no interface is up with an address, not even loopback: ip link set lo up"),
        }
    }
}

/// Every interface of this machine (of this network namespace).
///
/// # Errors
/// When the system does not tell.
pub(crate) fn list() -> io::Result<Vec<Interface>> {
    let (mut interfaces, mut labels): (Vec<Interface>, _) = (Vec::new(), None);
    for entry in getifaddrs()? {
        let known = interfaces.iter().position(|known| known.name == entry.interface_name);
        // One that is just going away has no number, and is none.
        let Some(at) = known.or_else(|| at_home(&mut interfaces, &entry, &mut labels)) else { continue };
        interfaces[at].addresses.extend(address(&entry));
    }
    Ok(interfaces)
}

/// Which interface an entry belongs to that was not there yet, or bears another name: an address may carry a label
/// instead, "eth0:1" or any word. `labels` is asked of the system once.
fn at_home(
    interfaces: &mut Vec<Interface>,
    entry: &InterfaceAddress,
    labels: &mut Option<Vec<Labelled>>,
) -> Option<usize> {
    let label = entry.interface_name.as_str();
    let by_name = |name: &str| if_nametoindex(name).ok().map(|index| (name.to_owned(), index));
    let by_label = || {
        let is_it = |known: &&Labelled| known.label == label && Some(known.ip.into()) == ip_of(entry.address.as_ref());
        let labels = labels.get_or_insert_with(|| netlink::addresses().unwrap_or_default());
        let index = labels.iter().find(is_it)?.index;
        Some((if_indextoname(index).ok()?.into_string().ok()?, index))
    };
    let by_part = || by_name(label.split_once(':')?.0);
    let (name, index) = by_name(label).or_else(by_label).or_else(by_part)?;
    let at = interfaces.iter().position(|known| known.index == index);
    Some(at.unwrap_or_else(|| {
        interfaces.push(interface(name, index, entry.flags));
        interfaces.len() - 1
    }))
}

/// A value that `/sys` has for an interface. It may show the interfaces of another network namespace, those of the
/// host to a container: nothing in it is believed of an interface whose number there is another one.
pub(crate) fn in_sys<T: FromStr>(name: &str, value: &str) -> Option<T> {
    let dir = PathBuf::from("/sys/class/net").join(name);
    let read = |value: &str| fs::read_to_string(dir.join(value)).ok().map(|text| text.trim().to_owned());
    let index: u32 = read("ifindex")?.parse().ok()?;
    (if_nametoindex(name) == Ok(index)).then(|| read(value)).flatten()?.parse().ok()
}

fn interface(name: String, index: u32, flags: InterfaceFlags) -> Interface {
    // A bond marks its members; a bridge does not, but tells where sysfs is there.
    let port = flags.contains(InterfaceFlags::IFF_SLAVE) || in_sys::<String>(&name, "brport/port_no").is_some();
    Interface {
        index,
        name,
        up: flags.contains(InterfaceFlags::IFF_UP),
        loopback: flags.contains(InterfaceFlags::IFF_LOOPBACK),
        tunnel: flags.contains(InterfaceFlags::IFF_POINTOPOINT),
        port,
        addresses: Vec::new(),
    }
}

fn ip_of(address: Option<&SockaddrStorage>) -> Option<IpAddr> {
    let address = address?;
    let v6 = || address.as_sockaddr_in6().map(|v6| v6.ip().into());
    address.as_sockaddr_in().map(|v4| v4.ip().into()).or_else(v6)
}

fn address(entry: &InterfaceAddress) -> Option<Address> {
    let ip = ip_of(entry.address.as_ref())?;
    let mask = ip_of(entry.netmask.as_ref());
    let (prefix_len, broadcast) = match (ip, mask) {
        (IpAddr::V4(ip), mask) => {
            let mask = mask.and_then(|mask| if let IpAddr::V4(mask) = mask { Some(mask) } else { None });
            let mask = mask.unwrap_or(Ipv4Addr::BROADCAST);
            let peer = ip_of(entry.destination.as_ref().or(entry.broadcast.as_ref()));
            (with_peer(ip, mask.to_bits().leading_ones(), peer), broadcast_of(ip, mask))
        }
        (IpAddr::V6(_), Some(IpAddr::V6(mask))) => (mask.to_bits().leading_ones(), None),
        (IpAddr::V6(_), _) => (128, None),
    };
    Some(Address { ip, prefix_len: u8::try_from(prefix_len).unwrap_or(128), broadcast })
}

/// The network of an address that has no more than a peer: `10.9.0.1 peer 10.9.0.2` is one of two
/// hosts. Peers far apart share none.
fn with_peer(ip: Ipv4Addr, prefix_len: u32, peer: Option<IpAddr>) -> u32 {
    match peer {
        Some(IpAddr::V4(peer)) if prefix_len == 32 => {
            let common = (ip.to_bits() ^ peer.to_bits()).leading_zeros();
            if common >= 24 { common } else { prefix_len }
        }
        _ => prefix_len,
    }
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
    if let Some(address) = wanted.address
        && at_address(there, address).is_none()
    {
        let addresses = there.iter().filter(|i| i.up).flat_map(|i| &i.addresses);
        return Err(InterfaceError::NotOurs(address.ip, addresses.map(|address| address.ip.to_string()).collect()));
    }
    if choose(there, wanted, true).is_empty() {
        return Err(InterfaceError::Nothing);
    }
    Ok(())
}

/// Where to open segments: what is wanted, as far as it is there. `loopback` allows the loopback
/// interface when there is no other and none was named.
pub(crate) fn choose(there: &[Interface], wanted: &Wanted, loopback: bool) -> Vec<Place> {
    let mut places = wanted_places(there, wanted, loopback);
    for place in &mut places {
        // One of IPv6 with a scope is another on each interface.
        let has_it = |other: &Interface| other.addresses.iter().any(|address| address.ip == place.ip);
        let other = |other: &&Interface| other.up && other.index != place.index;
        place.shared = place.scope() == 0 && there.iter().filter(other).any(has_it);
    }
    places
}

fn wanted_places(there: &[Interface], wanted: &Wanted, loopback: bool) -> Vec<Place> {
    let own = |interface| own_places(interface, wanted.families);
    if wanted.is_anything() {
        let usable = || there.iter().filter(|interface| !interface.port);
        let real: Vec<Place> = usable().filter(|i| !i.loopback).flat_map(own).collect();
        if !real.is_empty() || !loopback {
            return real;
        }
        return usable().flat_map(own).collect();
    }
    let asked = wanted.address.and_then(|address| at_address(there, address));
    let named = there.iter().filter(|i| wanted.interfaces.contains(&i.name)).flat_map(own);
    let named = named.map(|place| Place { relays: true, ..place });
    // An address that was asked for stands in for its interface's own.
    let named = named.filter(|place| asked.as_ref().is_none_or(|asked| !asked.is_beside(place)));
    let mut places: Vec<Place> = named.collect();
    places.extend(asked);
    places
}

/// An interface in each family, if it can be used. Loopback needs but one.
fn own_places(interface: &Interface, families: Families) -> Vec<Place> {
    if !interface.up {
        return Vec::new();
    }
    let mut of_v6 = interface.addresses.iter().filter(|address| address.ip.is_ipv6());
    let v4 = interface.addresses.iter().find(|address| address.ip.is_ipv4());
    let v6 = of_v6.clone().find(|address| is_link_local(address.ip)).or_else(|| of_v6.next());
    let chosen = match families {
        Families::Both if !interface.loopback => [v4, v6],
        Families::Both | Families::RatherV4 => [v4.or(v6), None],
        Families::RatherV6 => [v6.or(v4), None],
    };
    chosen.into_iter().flatten().map(|&address| place(interface, address, None)).collect()
}

/// The interface that has an address. All of 127.0.0.0/8 belongs to loopback.
fn at_address(there: &[Interface], asked: Endpoint) -> Option<Place> {
    let meant = |interface: &&Interface| interface.up && (asked.scope == 0 || asked.scope == interface.index);
    there.iter().filter(meant).find_map(|interface| {
        let own = interface.addresses.iter().find(|own| own.ip == asked.ip).copied();
        own.or_else(|| local(interface, asked.ip)).map(|address| place(interface, address, asked.port))
    })
}

fn local(interface: &Interface, ip: IpAddr) -> Option<Address> {
    let IpAddr::V4(v4) = ip else { return None };
    let broadcast = broadcast_of(v4, Ipv4Addr::new(255, 0, 0, 0));
    (interface.loopback && ip.is_loopback()).then_some(Address { ip, prefix_len: 8, broadcast })
}

fn place(interface: &Interface, address: Address, port: Option<u16>) -> Place {
    Place {
        interface: interface.name.clone(),
        index: interface.index,
        loopback: interface.loopback,
        tunnel: interface.tunnel,
        ip: address.ip,
        shared: false,
        prefix_len: address.prefix_len,
        relays: !interface.tunnel,
        broadcast: address.broadcast,
        port,
    }
}

/// What is in `old` and no longer in `new`, and the other way round.
pub(crate) fn diff(old: &[Place], new: &[Place]) -> (Vec<Place>, Vec<Place>) {
    let is_in = |all: &[Place], place: &Place| all.iter().any(|one| one.is(place));
    let gone = old.iter().filter(|place| !is_in(new, place)).cloned().collect();
    let appeared = new.iter().filter(|place| !is_in(old, place)).cloned().collect();
    (gone, appeared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(ip: &str) -> Address {
        let ip: IpAddr = ip.parse().expect("an address");
        match ip {
            IpAddr::V4(v4) => {
                let bits = if ip.is_loopback() { 8 } else { 24 };
                let mask = Ipv4Addr::from_bits(u32::MAX << (32 - bits));
                Address { ip, prefix_len: bits, broadcast: broadcast_of(v4, mask) }
            }
            IpAddr::V6(_) => Address { ip, prefix_len: 64, broadcast: None },
        }
    }

    fn interface(name: &str, index: u32, up: bool, addresses: &[&str]) -> Interface {
        let addresses = addresses.iter().map(|ip| address(ip)).collect();
        Interface { name: name.into(), index, up, loopback: name == "lo", tunnel: false, port: false, addresses }
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
        let address = address.map(|address| address.parse().expect("an address"));
        let interfaces = interfaces.iter().map(ToString::to_string).collect();
        Wanted { interfaces, address, families: Families::Both }
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
    fn an_address_that_two_interfaces_have_is_known() {
        let mut machine = machine();
        machine.push(interface("eth3", 5, true, &["10.0.0.3", "fe80::3"]));
        machine.push(interface("eth4", 6, true, &["10.0.4.3", "fe80::3"]));
        let shared = |there: &[Interface], named: &[&str]| -> Vec<_> {
            let places = choose(there, &wanted(named, None), true);
            places.iter().filter(|place| place.shared).map(|place| place.interface.clone()).collect()
        };
        assert_eq!(shared(&machine, &[]), ["eth0", "eth3"], "of IPv6 each has its scope");
        assert_eq!(shared(&machine, &["eth3"]), ["eth3"], "whether the other is used or not");
        let before = choose(&machine, &wanted(&[], None), true);
        machine[1].up = false;
        assert!(shared(&machine, &[]).is_empty());
        let now = choose(&machine, &wanted(&[], None), true);
        let names = |places: &[Place]| places.iter().map(|place| place.interface.clone()).collect::<Vec<_>>();
        let (gone, appeared) = diff(&before, &now);
        assert_eq!((names(&gone), names(&appeared)), (vec!["eth0".to_owned()], vec![]), "what is open stays open");
    }

    #[test]
    fn each_family_of_an_interface_is_a_place() {
        let both = ["2001:db8::3", "10.0.0.3", "fe80::3", "fe80::33"];
        let there = [interface("lo", 1, true, &["127.0.0.1", "::1"]), interface("eth0", 2, true, &both)];
        assert_eq!(chosen(&there, &wanted(&[], None)), ["eth0 10.0.0.3", "eth0 fe80::3"], "link-local first");
        assert_eq!(chosen(&there[..1], &wanted(&[], None)), ["lo 127.0.0.1"], "one is enough on loopback");
        assert_eq!(chosen(&there, &wanted(&["lo"], None)), ["lo 127.0.0.1"]);
        assert_eq!(chosen(&there, &wanted(&[], Some("::1"))), ["lo ::1"]);
        assert_eq!(chosen(&there, &wanted(&[], Some("2001:db8::3"))), ["eth0 2001:db8::3"]);
        assert_eq!(chosen(&there, &wanted(&["eth0"], Some("fe80::33"))), ["eth0 10.0.0.3", "eth0 fe80::33"]);
        let rather = |families| Wanted { families, ..wanted(&[], None) };
        assert_eq!(chosen(&there, &rather(Families::RatherV4)), ["eth0 10.0.0.3"]);
        assert_eq!(chosen(&there, &rather(Families::RatherV6)), ["eth0 fe80::3"]);
        let only = [interface("eth0", 2, true, &["fe80::3"]), interface("eth1", 3, true, &["fe80::3"])];
        assert_eq!(chosen(&only, &rather(Families::RatherV4)), ["eth0 fe80::3", "eth1 fe80::3"]);
        assert_eq!(chosen(&only, &wanted(&[], Some("fe80::3%3"))), ["eth1 fe80::3"]);
        assert_eq!(choose(&only, &wanted(&[], None), true)[1].scope(), 3);
        assert_eq!(choose(&there, &wanted(&[], Some("2001:db8::3")), true)[0].scope(), 0);
    }

    #[test]
    fn what_belongs_to_a_bridge_is_not_used_unless_named() {
        let mut port = interface("veth1", 3, true, &["fe80::4"]);
        port.port = true;
        let there = [interface("br0", 2, true, &["10.0.0.3"]), port];
        assert_eq!(chosen(&there, &wanted(&[], None)), ["br0 10.0.0.3"]);
        assert_eq!(chosen(&there, &wanted(&["veth1"], None)), ["veth1 fe80::4"]);
    }

    #[test]
    fn a_peer_makes_a_network_of_two() {
        let of = |ip: &str, len, peer: &str| with_peer(ip.parse().expect("v4"), len, peer.parse().ok());
        assert_eq!(of("10.9.0.1", 32, "10.9.0.2"), 30);
        assert_eq!(of("10.9.0.1", 32, "10.9.0.1"), 32);
        assert_eq!(of("10.9.0.1", 32, "192.168.7.1"), 32, "far apart");
        assert_eq!((of("10.9.0.1", 24, "10.9.0.2"), of("10.9.0.1", 32, "fe80::1")), (24, 32));
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let refused = |w: Wanted| check(&machine(), &w).expect_err("refused").to_string();
        assert!(refused(wanted(&["eth9"], None)).contains("lo, eth0, eth1, eth2"));
        assert!(refused(wanted(&["eth1"], None)).contains("is down"));
        assert!(refused(wanted(&["eth2"], None)).contains("has no address"));
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
        assert!(list().is_ok_and(|all| all.iter().all(|i| !i.name.is_empty() && i.index != 0)));
    }
}

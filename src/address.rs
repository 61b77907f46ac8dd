//! The port rule, segments, and what an address is good for.

use std::cmp::Reverse;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Added to the last octet of an address to make its port.
pub const PORT_BASE: u16 = 5000;

/// The port of an address by the rule: 5000 + its last octet.
///
/// Holds for host, broadcast and group addresses alike; a default, never an assumption.
#[must_use]
pub const fn port_of(ip: IpAddr) -> u16 {
    let last = match ip {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(v6) => v6.octets()[15],
    };
    PORT_BASE + last as u16
}

/// An address as a person writes it: `ADDR` or `ADDR:PORT` (`[ADDR]:PORT` for IPv6, where `ADDR`
/// may be `ADDR%SCOPE`, the scope a number).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub ip: IpAddr,
    /// The number of the interface that a link-local address belongs to; 0 where none was written.
    pub scope: u32,
    /// The port, where one was written.
    pub port: Option<u16>,
}

impl Endpoint {
    /// The address with its port; by the rule where none was written.
    #[must_use]
    pub fn socket_addr(self) -> SocketAddr {
        scoped(self.ip, self.port.unwrap_or_else(|| port_of(self.ip)), self.scope)
    }
}

/// An address with its port, and the scope if it is of IPv6.
#[must_use]
pub const fn scoped(ip: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, port),
        IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope)),
    }
}

/// Whether an address means another machine on each link.
#[must_use]
pub const fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Why a text is no [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointError(String);

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not an address: write ADDR or ADDR:PORT, for example 10.0.0.4 or 10.0.0.4:5004", self.0)
    }
}

impl std::str::FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Whoever pastes an address may paste more than is seen of it: letters that look like nothing are some.
        let seen = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let refuse = || EndpointError(text.chars().map(seen).take(80).collect());
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if let Some((ip, scope)) = host(inner.unwrap_or(text))
            && (inner.is_none() || ip.is_ipv6())
        {
            return Ok(Self { ip, scope, port: None });
        }
        match text.parse::<SocketAddr>() {
            Ok(addr) if addr.port() != 0 => {
                let scope = if let SocketAddr::V6(addr) = addr { addr.scope_id() } else { 0 };
                Ok(Self { ip: addr.ip(), scope, port: Some(addr.port()) })
            }
            _ => Err(refuse()),
        }
    }
}

/// `ADDR`, or `ADDR%SCOPE` for IPv6.
fn host(text: &str) -> Option<(IpAddr, u32)> {
    match text.split_once('%') {
        Some((ip, scope)) => Some((ip.parse::<Ipv6Addr>().ok()?.into(), scope.parse().ok()?)),
        None => text.parse().ok().map(|ip| (ip, 0)),
    }
}

/// One room in both families: a group of IPv4 and the one of IPv6 that belongs to it.
///
/// 239.192.X.Y and ff05::X:Y belong together, and so do any other A.B.C.D and ff05::A.B.C.D; both
/// have one port. A group of IPv6 that is not made so has none of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    v4: Option<SocketAddr>,
    v6: SocketAddr,
}

impl Groups {
    /// The room that either of its groups means.
    #[must_use]
    pub fn of(group: SocketAddr) -> Self {
        match group {
            SocketAddr::V4(v4) => {
                let ip = group_v6_of(*v4.ip());
                Self { v4: Some(group), v6: SocketAddr::new(ip.into(), group.port()) }
            }
            SocketAddr::V6(v6) => {
                let v4 = group_v4_of(*v6.ip()).map(|ip| SocketAddr::new(ip.into(), group.port()));
                Self { v4, v6: SocketAddr::new((*v6.ip()).into(), group.port()) }
            }
        }
    }

    /// The group that names the room: that of IPv4 if there is one.
    #[must_use]
    pub fn room(&self) -> SocketAddr {
        self.v4.unwrap_or(self.v6)
    }

    /// The group for those who have the address `ip`.
    #[must_use]
    pub const fn beside(&self, ip: IpAddr) -> Option<SocketAddr> {
        match ip {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => Some(self.v6),
        }
    }
}

const fn group_v6_of(group: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = group.octets();
    let (high, low) = match (a, b) {
        (239, 192) => (c as u16, d as u16),
        _ => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
    };
    Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, high, low)
}

fn group_v4_of(group: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., high, low] = group.segments();
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    let short = Ipv4Addr::new(239, 192, b, d);
    let v4 = [short, Ipv4Addr::new(a, b, c, d)].into_iter().find(|&v4| group_v6_of(v4) == group);
    v4.filter(Ipv4Addr::is_multicast)
}

/// The broadcast address of the network `ip` is in; `None` where there is none (/31, /32).
///
/// Computed from the mask: what interfaces report is often their own address (RFC 919).
#[must_use]
pub const fn broadcast_of(ip: Ipv4Addr, mask: Ipv4Addr) -> Option<Ipv4Addr> {
    let (ip, mask) = (ip.to_bits(), mask.to_bits());
    if mask.leading_ones() > 30 {
        return None;
    }
    Some(Ipv4Addr::from_bits(ip | !mask))
}

/// Names a segment for as long as the node runs. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u32);

/// Names a stream for as long as the node runs. Never used twice.
///
/// The node numbers those it opens with odd numbers, the runtime those it accepts with even ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// How a datagram travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cast {
    /// To one address.
    Unicast,
    /// To everybody on the segment.
    Broadcast,
    /// To the members of the group.
    Multicast,
}

impl Cast {
    /// The cast as one bit, for sets of casts on the wire: unicast 1, broadcast 2, multicast 4.
    #[must_use]
    pub const fn bit(self) -> u8 {
        match self {
            Self::Unicast => 1,
            Self::Broadcast => 2,
            Self::Multicast => 4,
        }
    }
}

/// How far what leaves a segment may go: TTLs, for IPv6 hop limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttls {
    /// Of multicasts.
    pub group: u8,
    /// Of everything else: what the system gives.
    pub other: u8,
}

impl Ttls {
    /// That of one cast.
    #[must_use]
    pub const fn of(self, cast: Cast) -> u8 {
        match cast {
            Cast::Multicast => self.group,
            Cast::Unicast | Cast::Broadcast => self.other,
        }
    }
}

impl Default for Ttls {
    fn default() -> Self {
        Self { group: 2, other: 64 }
    }
}

/// Why entries were sent, as their sender says. Not signed: fit to be shown, not to be relied on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Errand {
    /// They were said just now.
    #[default]
    Said,
    /// Said before, and sent again because not everybody has confirmed them.
    Repeat,
    /// Somebody asked for them.
    Repair,
    /// Somebody else said them, in another network.
    Relay,
}

impl Errand {
    /// As it stands on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Said => 0,
            Self::Repeat => 1,
            Self::Repair => 2,
            Self::Relay => 3,
        }
    }

    /// From the wire; what is not known counts as said.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Repeat,
            2 => Self::Repair,
            3 => Self::Relay,
            _ => Self::Said,
        }
    }
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Said => "said",
            Self::Repeat => "repeat",
            Self::Repair => "repair",
            Self::Relay => "relay",
        })
    }
}

impl fmt::Display for Cast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unicast => "unicast",
            Self::Broadcast => "broadcast",
            Self::Multicast => "multicast",
        })
    }
}

/// One interface with one address family: where datagrams come from and go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub id: SegmentId,
    /// The interface, as the system calls it.
    pub name: String,
    /// The address and port of the unicast socket; everything leaves from it.
    pub address: SocketAddr,
    /// Leading bits of the address that all hosts of the network share.
    pub prefix_len: u8,
    /// Whether entries are passed on to it from other segments. Not over a tunnel, unless asked for.
    pub relays: bool,
    /// How far what is sent here may go.
    pub ttls: Ttls,
    /// Where broadcasts go, if the segment has them.
    pub broadcast: Option<SocketAddr>,
    /// Where multicasts go, if the segment carries them.
    pub group: Option<SocketAddr>,
    /// The casts that go out here and cannot be listened for, as bits of [`Cast::bit`].
    pub deaf_to: u8,
    /// Streams are accepted at its address.
    pub listens: bool,
}

impl Segment {
    /// Where a cast goes, if there is such a place.
    #[must_use]
    pub const fn goes_to(&self, cast: Cast) -> Option<SocketAddr> {
        match cast {
            Cast::Unicast => None,
            Cast::Broadcast => self.broadcast,
            Cast::Multicast => self.group,
        }
    }

    /// The casts, other than unicast, that go out here, as bits.
    #[must_use]
    pub fn sends(&self) -> u8 {
        let casts = [Cast::Broadcast, Cast::Multicast];
        casts.into_iter().filter(|&cast| self.goes_to(cast).is_some()).map(Cast::bit).sum()
    }

    /// The casts, other than unicast, that are listened for here, as bits.
    #[must_use]
    pub fn hears(&self) -> u8 {
        self.sends() & !self.deaf_to
    }

    /// Whether `ip` belongs to the network this segment is in, so that no router lies between.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address.ip(), ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let host_bits = 32u32.saturating_sub(u32::from(self.prefix_len));
                (own.to_bits() ^ ip.to_bits()).checked_shr(host_bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let host_bits = 128u32.saturating_sub(u32::from(self.prefix_len));
                (own.to_bits() ^ ip.to_bits()).checked_shr(host_bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
impl Segment {
    /// For tests: eth0 with this address, in a network of 256, without broadcast or multicast.
    pub(crate) fn eth0(address: &str) -> Self {
        Self {
            id: SegmentId(1),
            name: "eth0".into(),
            address: address.parse().expect("an address"),
            prefix_len: 24,
            relays: true,
            ttls: Ttls::default(),
            broadcast: None,
            group: None,
            deaf_to: 0,
            listens: true,
        }
    }
}

/// The segment by which to reach an address: the one of the narrowest network that it is in, the first of equals; else
/// the first of its family. Where it has a scope, of that scope.
pub fn towards<'a>(segments: impl Iterator<Item = &'a Segment> + Clone, to: SocketAddr) -> Option<&'a Segment> {
    attempt(segments, to, 1).map(|(segment, _)| segment)
}

/// The segment by which to reach an address at one of many tries, counted from 0: as [`towards`] where it is in a
/// network of ours. And whether it goes by that which the system would choose instead.
///
/// What leaves a segment has the address of that segment, whichever way it takes: beyond a router or a tunnel only one
/// of them may be answered. The system mostly knows which: it has every second try, beginning with the first. Where it
/// does not, nobody here does: at the tries between the segments take turns.
pub fn attempt<'a>(
    segments: impl Iterator<Item = &'a Segment> + Clone,
    to: SocketAddr,
    tries: u32,
) -> Option<(&'a Segment, bool)> {
    let leads = segments.filter(|segment| match (segment.address, to) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => true,
        (SocketAddr::V6(own), SocketAddr::V6(to)) => {
            let (own, to) = (own.scope_id(), to.scope_id());
            own == 0 || to == 0 || own == to
        }
        _ => false,
    });
    let holds = leads.clone().filter(|segment| segment.contains(to.ip()));
    if let Some(narrowest) = holds.min_by_key(|segment| Reverse(segment.prefix_len)) {
        return Some((narrowest, false));
    }
    let count = u32::try_from(leads.clone().count()).unwrap_or(u32::MAX);
    let turn = leads.clone().nth((tries / 2).checked_rem(count)? as usize)?;
    // Of one there is nothing to choose.
    Some((turn, tries.is_multiple_of(2) && count > 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_in_a_refused_address_is_not_told_with_the_refusal() {
        let pasted = "1:70.\u{200d}\u{202e}\u{ffa0}\x1b[m";
        let why = pasted.parse::<Endpoint>().expect_err("no address").to_string();
        assert!(why.starts_with("'1:70.????[m' is not an address"), "{why}");
    }

    #[test]
    fn the_port_rule_holds_for_every_kind_of_address() {
        for (ip, port) in [("10.0.0.3", 5003), ("10.0.0.255", 5255), ("239.192.7.7", 5007), ("ff05::7:7", 5007)] {
            assert_eq!(port_of(ip.parse().expect("an address")), port);
        }
    }

    #[test]
    fn endpoints_with_and_without_a_port() {
        let addr = |text: &str| text.parse::<Endpoint>().map(Endpoint::socket_addr).map(|a| a.to_string());
        assert_eq!(addr("10.0.0.4").as_deref(), Ok("10.0.0.4:5004"));
        assert_eq!(addr("224.1.1.1:5007").as_deref(), Ok("224.1.1.1:5007"));
        assert_eq!(addr("[ff05::7:7]:9").as_deref(), Ok("[ff05::7:7]:9"));
        assert_eq!(addr("[::1]").as_deref(), Ok("[::1]:5001"));
        assert_eq!(addr("fe80::5%2").as_deref(), Ok("[fe80::5%2]:5005"));
        assert_eq!(addr("[fe80::5%2]").as_deref(), Ok("[fe80::5%2]:5005"));
        assert_eq!(addr("[fe80::5%2]:7").as_deref(), Ok("[fe80::5%2]:7"));
        for bad in ["10.0.0.4%2", "[10.0.0.4]", "fe80::5%", "fe80::5%eth0", "[fe80::5%2]:", "fe80::5%2:7"] {
            assert!(addr(bad).is_err(), "{bad}");
        }
        for bad in ["", "x", "10.0.0", "10.0.0.4:", "10.0.0.4:0", "10.0.0.4:70000", "10.0.0.4:5x"] {
            assert!(addr(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_room_has_a_group_in_each_family() {
        let both = |group: &str| {
            let groups = Groups::of(group.parse().expect("an address"));
            let of = |ip: &str| groups.beside(ip.parse().expect("an address"));
            (of("10.0.0.1").map(|v4| v4.to_string()), of("::1").map(|v6| v6.to_string()), groups.room().to_string())
        };
        for (v4, v6) in [
            ("239.192.7.7:5007", "[ff05::7:7]:5007"),
            ("239.192.10.255:5255", "[ff05::a:ff]:5255"),
            ("224.1.1.1:5007", "[ff05::e001:101]:5007"),
            ("239.193.7.7:5007", "[ff05::efc1:707]:5007"),
        ] {
            let expected = (Some(v4.to_owned()), Some(v6.to_owned()), v4.to_owned());
            assert_eq!((both(v4), both(v6)), (expected.clone(), expected));
        }
        for alone in ["[ff05::efc0:707]:5007", "[ff02::7:7]:5007", "[ff05::1:7:7]:5007", "[ff05::100:7]:5007"] {
            assert_eq!(both(alone), (None, Some(alone.to_owned()), alone.to_owned()));
        }
    }

    #[test]
    fn a_scope_leads_to_its_segment() {
        let segment = |id, address| Segment { id: SegmentId(id), prefix_len: 64, ..Segment::eth0(address) };
        let all = [segment(1, "10.0.0.3:5003"), segment(2, "[fe80::3%2]:5003"), segment(3, "[fe80::3%3]:5003")];
        let to = |to: &str| towards(all.iter(), to.parse().expect("an address")).map(|segment| segment.id.0);
        assert_eq!(to("[fe80::9%3]:5009"), Some(3));
        assert_eq!(to("[fe80::9]:5009"), Some(2), "the first that may be meant");
        assert_eq!((to("[2001:db8::9]:5009"), to("192.0.2.9:5009")), (Some(2), Some(1)), "for the kernel to route");
        assert_eq!(to("[fe80::9%4]:5009"), None);
    }

    #[test]
    fn what_is_in_no_network_was_sent_by_the_first_segment_for_ever() {
        let segment = |id, address, prefix_len| Segment { id: SegmentId(id), prefix_len, ..Segment::eth0(address) };
        let all =
            [segment(1, "192.168.1.5:5005", 24), segment(2, "[fe80::5%2]:5005", 64), segment(3, "10.8.0.2:5002", 32)];
        let tries = |to: &str| {
            let to = to.parse().expect("an address");
            [0, 1, 2, 3, 5, u32::MAX].map(|tries| {
                let (segment, by_the_system) = attempt(all.iter(), to, tries)?;
                Some(if by_the_system { 0 } else { segment.id.0 })
            })
        };
        let by = |ids: [u32; 6]| ids.map(Some);
        assert_eq!(tries("10.8.0.1:5001"), by([0, 1, 0, 3, 1, 3]), "every second time as the system would");
        assert_eq!(tries("192.168.1.9:5009"), by([1; 6]), "of its own network");
        assert_eq!(tries("[2001:db8::9]:5009"), by([2; 6]), "the only one of its family");
        assert_eq!(attempt(all[..1].iter(), "[::1]:5001".parse().expect("an address"), 1), None);
    }

    #[test]
    fn what_is_in_two_networks_was_sent_by_the_wider_one() {
        let segment = |id, address, prefix_len| Segment { id: SegmentId(id), prefix_len, ..Segment::eth0(address) };
        let all = [segment(1, "10.0.0.3:5003", 8), segment(2, "10.8.0.2:5002", 24), segment(3, "10.8.0.7:5007", 24)];
        let to = |to: &str| towards(all.iter(), to.parse().expect("an address")).map(|segment| segment.id.0);
        assert_eq!(
            (to("10.8.0.1:5001"), to("10.9.0.1:5001")),
            (Some(2), Some(1)),
            "the narrowest, the first of equals"
        );
    }

    #[test]
    fn a_segment_knows_its_network() {
        let segment = |prefix_len| Segment { prefix_len, ..Segment::eth0("10.0.0.3:5003") };
        let contains = |prefix_len, ip: &str| segment(prefix_len).contains(ip.parse().expect("an address"));
        assert!(contains(24, "10.0.0.200") && contains(0, "192.0.2.1") && contains(32, "10.0.0.3"));
        assert!(!contains(24, "10.0.1.3") && !contains(32, "10.0.0.4") && !contains(24, "fe80::1"));
    }

    #[test]
    fn broadcast_comes_from_the_mask() {
        let of = |ip: &str, bits: u32| {
            let mask = Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - bits).unwrap_or(0));
            broadcast_of(ip.parse().expect("an address"), mask).map(|b| b.to_string())
        };
        assert_eq!(of("10.0.0.3", 24).as_deref(), Some("10.0.0.255"));
        assert_eq!(of("10.77.1.3", 16).as_deref(), Some("10.77.255.255"));
        assert_eq!(of("127.0.0.2", 8).as_deref(), Some("127.255.255.255"));
        assert_eq!(of("10.0.0.2", 31), None);
        assert_eq!(of("10.0.0.2", 32), None);
    }
}

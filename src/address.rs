//! The port rule, segments, and what an address is good for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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

/// An address as a person writes it: `ADDR` or `ADDR:PORT` (`[ADDR]:PORT` for IPv6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub ip: IpAddr,
    /// The port, where one was written.
    pub port: Option<u16>,
}

impl Endpoint {
    /// The address with its port; by the rule where none was written.
    #[must_use]
    pub fn socket_addr(self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or_else(|| port_of(self.ip)))
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
        let refuse = || EndpointError(text.chars().filter(|c| !c.is_control()).take(80).collect());
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self { ip, port: None });
        }
        let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Some(ip) = inner.and_then(|t| t.parse::<Ipv6Addr>().ok()) {
            return Ok(Self { ip: ip.into(), port: None });
        }
        match text.parse::<SocketAddr>() {
            Ok(addr) if addr.port() != 0 => Ok(Self { ip: addr.ip(), port: Some(addr.port()) }),
            _ => Err(refuse()),
        }
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
}

impl Segment {
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

/// The segment by which to reach `ip`: the one whose network it is in, else any of its family.
pub fn towards<'a>(segments: impl Iterator<Item = &'a Segment> + Clone, ip: IpAddr) -> Option<&'a Segment> {
    let near = segments.clone().find(|segment| segment.contains(ip));
    near.or_else(|| segments.into_iter().find(|segment| segment.address.is_ipv4() == ip.is_ipv4()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for bad in ["", "x", "10.0.0", "10.0.0.4:", "10.0.0.4:0", "10.0.0.4:70000", "10.0.0.4:5x"] {
            assert!(addr(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_segment_knows_its_network() {
        let segment = |prefix_len| Segment {
            id: SegmentId(1),
            name: "eth0".into(),
            address: "10.0.0.3:5003".parse().expect("an address"),
            prefix_len,
            relays: true,
            ttls: Ttls::default(),
            broadcast: None,
            group: None,
        };
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

//! By which interface the system sends, where the address that it sends from belongs to several.

use std::cmp::Reverse;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};

/// The main table of routes, as the kernel prints it.
const TABLE: &str = "/proc/net/route";

/// Most bytes of it that are read, some 8,000 routes: the table of a router of the internet would hold up the loop.
const TABLE_MAX: u64 = 1 << 20;

/// A route that is used, ...
const UP: u32 = 1;
/// ... and one that refuses (`RTF_UP` and `RTF_REJECT`).
const REJECT: u32 = 0x200;

/// The name of the interface by which the route to an address leads, if the table tells. Addresses of IPv6 that several
/// interfaces have are told apart by their scopes.
pub(super) fn interface_towards(to: IpAddr) -> Option<String> {
    let IpAddr::V4(to) = to else { return None };
    let mut table = String::new();
    File::open(TABLE).ok()?.take(TABLE_MAX).read_to_string(&mut table).ok()?;
    leading(&table, to).map(str::to_owned)
}

/// The longest prefix, and of equals the least metric.
fn leading(table: &str, to: Ipv4Addr) -> Option<&str> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[interface, network, _, flags, _, _, metric, mask, ..] = fields.as_slice() else { return None };
        // Both are in the order of the network, read as a number of this machine.
        let hex = |text| u32::from_str_radix(text, 16).ok();
        let bits = |text| hex(text).map(|number| u32::from_be_bytes(number.to_ne_bytes()));
        let (network, mask, flags, metric) = (bits(network)?, bits(mask)?, hex(flags)?, metric.parse::<u32>().ok()?);
        let leads = flags & UP != 0 && flags & REJECT == 0 && to.to_bits() & mask == network;
        leads.then_some((mask.count_ones(), Reverse(metric), interface))
    });
    routes.max().map(|(_, _, interface)| interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_leads_and_then_the_least_metric() {
        let number = |ip: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(ip));
        let line = |interface: &str, network: [u8; 4], len: u32, flags: u32, metric: u32| {
            let mask = u32::MAX.checked_shl(32 - len).unwrap_or(0).to_be_bytes();
            format!(
                "{interface}\t{}\t00000000\t{flags:04X}\t0\t0\t{metric}\t{}\t0\t0\t0\n",
                number(network),
                number(mask)
            )
        };
        let table = [
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n".to_owned(),
            line("swp1", [0; 4], 0, 3, 100),
            line("swp2", [0; 4], 0, 3, 20),
            line("swp3", [10, 1, 0, 0], 16, 1, 0),
            line("swp4", [10, 1, 2, 0], 24, 1, 0),
            line("swp5", [10, 1, 2, 9], 32, 0x205, 0),
            "nonsense\n".to_owned(),
        ];
        let to = |ip: [u8; 4]| leading(&table.concat(), ip.into()).map(str::to_owned);
        assert_eq!(to([10, 1, 2, 9]).as_deref(), Some("swp4"), "what refuses does not lead");
        assert_eq!(to([10, 1, 3, 9]).as_deref(), Some("swp3"));
        assert_eq!(to([192, 0, 2, 1]).as_deref(), Some("swp2"), "the least metric");
        assert_eq!(leading(&table[0], Ipv4Addr::LOCALHOST), None);
    }
}

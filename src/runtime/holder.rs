//! Who holds a port of this machine, for error messages: read from `/proc`, as far as that can
//! be read. Other users' processes cannot, and a container may have no `/proc` at all.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;

use crate::protocol::diagnosis::Holder;
use crate::text::Line;

/// Sockets whose holders are remembered.
const FOUND_MAX: usize = 64;

/// Who has a socket open, by its inode, which is never another's while it is open: to find out every process is looked
/// at, which takes long where there are many.
static FOUND: Mutex<BTreeMap<String, Holder>> = Mutex::new(BTreeMap::new());

/// Whose ports.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table {
    Udp,
    Tcp,
}

/// Who holds `addr`.
pub(crate) fn of(table: Table, addr: SocketAddr) -> Holder {
    let files = match table {
        Table::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Table::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let read =
        |file| fs::read_to_string(file).ok().map(|text| if let Table::Tcp = table { listeners(text) } else { text });
    let tables: Vec<String> = files.into_iter().filter_map(read).collect();
    let Some(inode) = tables.iter().find_map(|table| inode_of(table, addr)) else {
        return if tables.is_empty() { Holder::Unknown } else { Holder::Nobody };
    };
    let known = FOUND.lock().ok().and_then(|found| found.get(inode).cloned());
    known.unwrap_or_else(|| {
        let holder = look_for(inode).map_or(Holder::Unknown, Holder::Program);
        if let Ok(mut found) = FOUND.lock() {
            if found.len() >= FOUND_MAX {
                found.clear();
            }
            found.insert(inode.to_owned(), holder.clone());
        }
        holder
    })
}

/// The program that has a socket open, as far as we may look.
fn look_for(inode: &str) -> Option<String> {
    let socket = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = numbers.into_iter().find(|pid| has_open(*pid, &socket))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    // A program may call itself anything.
    Some(format!("{} (process {pid})", Line::from_peer(name.trim_end())))
}

fn has_open(pid: u32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == socket))
}

/// Of the table of TCP its head and the sockets that listen: those in state 0A.
fn listeners(table: String) -> String {
    let listens =
        |line: &&str| line.split_ascii_whitespace().nth(3).is_some_and(|state| state == "0A" || state == "st");
    table.lines().filter(listens).collect::<Vec<_>>().join("\n")
}

/// The inode of the socket that is bound to `addr`, or to its port on every address. One of IPv6 may have taken an
/// address of IPv4: bound to every address, or to that one as it is spelled in IPv6.
fn inode_of(table: &str, addr: SocketAddr) -> Option<&str> {
    let spelled = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), addr.port()),
        IpAddr::V6(ip) => {
            let words = ip.to_bits().to_be_bytes();
            let words = words.as_chunks::<4>().0.iter().map(|&word| format!("{:08X}", u32::from_ne_bytes(word)));
            format!("{}:{:04X}", words.collect::<String>(), addr.port())
        }
    };
    let every = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let mapped = match addr.ip() {
        IpAddr::V4(ip) => vec![ip.to_ipv6_mapped().into(), Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().into()],
        IpAddr::V6(_) => Vec::new(),
    };
    let meant: Vec<_> = [addr.ip()].into_iter().chain(every).chain(mapped).map(spelled).collect();
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let local = words.nth(1)?;
        meant.iter().any(|meant| meant == local).then(|| words.nth(7)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_nobody_holds_was_said_to_be_held() {
        let socket = std::net::UdpSocket::bind("127.81.0.11:0").expect("loopback");
        let at = socket.local_addr().expect("bound");
        let own = |holder| matches!(holder, Holder::Program(name) if name.contains(&std::process::id().to_string()));
        assert!(own(of(Table::Udp, at)));
        drop(socket);
        assert_eq!(of(Table::Udp, at), Holder::Nobody);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_table_of_the_kernel() {
        let table = " sl local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt  uid  timeout inode\n\
            10: 0200007F:138A 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4242 2 0 0\n\
            11: 00000000:138B 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4343 2 0 0\n";
        let inode = |addr: &str| inode_of(table, addr.parse().expect("an address"));
        assert_eq!(inode("127.0.0.2:5002"), Some("4242"));
        assert_eq!(inode("10.0.0.3:5003"), Some("4343"));
        assert_eq!(inode("127.0.0.3:5002"), None);
        let v6 = " sl local_address remote_address st\n\
            10: 000080FE00000000FF00000302000001:138A 0:0000 07 0:0 0:0 0 0 0 4444 2 0 0\n\
            11: 00000000000000000000000000000000:138C 0:0000 07 0:0 0:0 0 0 0 4545 2 0 0\n\
            12: 0000000000000000FFFF00000300000A:138D 0:0000 07 0:0 0:0 0 0 0 4646 2 0 0\n";
        let held = |addr: &str| inode_of(v6, addr.parse().expect("an address"));
        assert_eq!(held("[fe80::300:ff:100:2]:5002"), Some("4444"));
        assert_eq!((held("10.0.0.3:5004"), held("[::1]:5004")), (Some("4545"), Some("4545")));
        assert_eq!(held("[::1]:5002"), None);
        assert_eq!((held("10.0.0.3:5005"), held("10.0.0.4:5005")), (Some("4646"), None));
        let tcp = table.replace(" 07 ", " 01 ").replacen(" 01 ", " 0A ", 1);
        let inode =
            |addr: &str| inode_of(&listeners(tcp.clone()), addr.parse().expect("an address")).map(str::to_owned);
        assert_eq!((inode("127.0.0.2:5002").as_deref(), inode("10.0.0.3:5003")), (Some("4242"), None));
    }
}

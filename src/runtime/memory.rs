//! The peers that a node remembers from run to run: the file `peers` in its state directory.
//!
//! Whom casts reach is found again by casts; remembered are those who were heard by unicast alone. A
//! line each: an address and the second of 1970 when somebody was heard there. The file is read as if
//! a stranger had written it, and replaced as a whole.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files;
use super::peers::is_one_host;
use crate::time::WallTime;

/// Addresses remembered. Beyond, those heard longest ago are forgotten.
const PEERS_MAX: usize = 64;

/// Addresses remembered of one host.
const PEERS_PER_HOST_MAX: usize = 8;

/// An address where nobody was heard for this long is forgotten.
const REMEMBERED_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Bytes of the file that are read.
const FILE_MAX: u64 = 64 * 1024;

/// What is remembered, and where.
pub(crate) struct Memory {
    dir: PathBuf,
    /// When somebody was heard last at each address, in seconds since 1970.
    heard: BTreeMap<SocketAddr, u64>,
    /// The addresses in the file.
    written: Vec<SocketAddr>,
}

impl Memory {
    /// What is remembered in this state directory. A file that is not there or means nothing means that
    /// nobody is.
    pub(crate) fn open(dir: &Path, now: WallTime) -> Self {
        let read = files::read(&dir.join("peers"), FILE_MAX).ok().flatten();
        let text = read.map_or_else(String::new, |(bytes, _)| String::from_utf8_lossy(&bytes).into_owned());
        let mut memory = Self { dir: dir.to_owned(), heard: parse(&text), written: Vec::new() };
        memory.bound(seconds(now));
        memory.written = memory.addresses();
        memory
    }

    /// The addresses remembered.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.heard.keys().copied().collect()
    }

    /// Somebody is heard at these addresses, by unicast alone.
    pub(crate) fn note(&mut self, heard: &[SocketAddr], now: WallTime) {
        self.heard.extend(heard.iter().map(|&address| (address, seconds(now))));
        self.bound(seconds(now));
    }

    fn bound(&mut self, now: u64) {
        self.heard.retain(|_, at| now.saturating_sub(*at) < REMEMBERED_FOR.as_secs());
        // A host may run several nodes, and is not to take the places of all others.
        let mut hosts: BTreeMap<IpAddr, Vec<(u64, SocketAddr)>> = BTreeMap::new();
        for (&address, &at) in &self.heard {
            hosts.entry(address.ip()).or_default().push((at, address));
        }
        for its in hosts.values_mut().filter(|its| its.len() > PEERS_PER_HOST_MAX) {
            its.sort_unstable();
            for (_, address) in &its[..its.len() - PEERS_PER_HOST_MAX] {
                self.heard.remove(address);
            }
        }
        while self.heard.len() > PEERS_MAX {
            let oldest = self.heard.iter().min_by_key(|(_, at)| **at).map(|(&address, _)| address);
            oldest.map(|address| self.heard.remove(&address));
        }
    }

    /// Writes the file, if other addresses are remembered than stand there, or with `anyway`, for the times.
    ///
    /// # Errors
    /// What the system says; the file is as it was.
    pub(crate) fn save(&mut self, anyway: bool) -> io::Result<()> {
        let addresses = self.addresses();
        if addresses == self.written && (!anyway || addresses.is_empty()) {
            return Ok(());
        }
        // Not to be tried again each second where it fails.
        self.written = addresses;
        let lines: Vec<String> = self.heard.iter().map(|(address, at)| format!("{address} {at}\n")).collect();
        // Not waited for until it is on the disk: a conversation is not to stand still for it, and of a file
        // that a crash cut short what is there is read.
        files::write(&self.dir, "peers", lines.concat().as_bytes(), false)
    }
}

/// The addresses remembered that a file holds.
pub(super) fn addresses_of(text: &str, now: WallTime) -> Vec<SocketAddr> {
    let heard = parse(text);
    let mut memory = Memory { dir: PathBuf::new(), heard, written: Vec::new() };
    memory.bound(seconds(now));
    memory.addresses()
}

/// What can be made of the file. Times to come stay what they are: where a machine wakes without a clock, all are.
fn parse(text: &str) -> BTreeMap<SocketAddr, u64> {
    let lines = text.lines().filter_map(|line| {
        let (address, at) = line.split_once(' ')?;
        let address = address.parse().ok().filter(|&address| is_one_host(address))?;
        Some((address, at.parse::<u64>().ok()?))
    });
    lines.collect()
}

const fn seconds(now: WallTime) -> u64 {
    now.0 / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::files::temp::Temp;
    use std::fs;

    const NOW: WallTime = WallTime(1_800_000_000_000);

    fn at(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 5000))
    }

    fn later(by: Duration) -> WallTime {
        WallTime(NOW.0 + u64::try_from(by.as_millis()).expect("small"))
    }

    #[test]
    fn what_is_noted_is_remembered_until_nobody_was_there_for_long() {
        let temp = Temp::made("memory-noted");
        let mut memory = Memory::open(&temp.0, NOW);
        assert_eq!(memory.addresses(), []);
        memory.note(&[at(1), at(2)], NOW);
        memory.save(false).expect("written");
        let day = Duration::from_secs(24 * 60 * 60);
        let mut memory = Memory::open(&temp.0, later(day * 29));
        assert_eq!(memory.addresses(), [at(1), at(2)]);
        memory.note(&[at(2)], later(day * 29));
        memory.save(false).expect("nothing to write");
        assert_eq!(Memory::open(&temp.0, later(day * 31)).addresses(), [], "the times were not written");
        memory.save(true).expect("written");
        assert_eq!(Memory::open(&temp.0, later(day * 31)).addresses(), [at(2)]);
    }

    #[test]
    fn a_file_that_anybody_wrote_does_no_harm() {
        let temp = Temp::made("memory-hostile");
        let lines = "10.0.0.1:5000 1800000000\n10.0.0.2:5000 99999999999999\n10.0.0.3:5000\n\
                     224.0.0.1:5000 1800000000\n255.255.255.255:1 1800000000\n0.0.0.0:1 1800000000\n\
                     10.0.0.4:0 1800000000\nx 1\n\n 1\n\u{1b}[m\n";
        fs::write(temp.0.join("peers"), [lines.as_bytes(), b"\xff\xfe 1800000000\n"].concat()).expect("written");
        assert_eq!(Memory::open(&temp.0, NOW).addresses(), [at(1), at(2)]);
        let line = |n| format!("10.{}.{}.9:5000 1800000000\n", n / 250, n % 250);
        let many: String = (0..100_000).map(line).collect();
        fs::write(temp.0.join("peers"), many).expect("written");
        assert_eq!(Memory::open(&temp.0, NOW).addresses().len(), PEERS_MAX);
    }

    #[test]
    fn a_clock_that_is_set_late_forgets_nobody() {
        let temp = Temp::made("memory-clock");
        let mut memory = Memory::open(&temp.0, NOW);
        memory.note(&[at(1)], NOW);
        memory.save(true).expect("written");
        let mut memory = Memory::open(&temp.0, WallTime(60_000));
        memory.note(&[at(2)], later(Duration::from_secs(5)));
        assert_eq!(memory.addresses(), [at(1), at(2)]);
    }

    #[test]
    fn those_heard_last_are_kept() {
        let temp = Temp::made("memory-bound");
        let mut memory = Memory::open(&temp.0, NOW);
        for n in 0..=255 {
            memory.note(&[at(n)], later(Duration::from_secs(u64::from(n))));
        }
        assert_eq!(memory.addresses(), (192..=255).map(at).collect::<Vec<_>>());
    }

    #[test]
    fn a_directory_that_is_gone_is_an_error_once() {
        let temp = Temp::made("memory-gone");
        let mut memory = Memory::open(&temp.0, NOW);
        fs::remove_dir_all(&temp.0).expect("removed");
        memory.note(&[at(1)], NOW);
        assert!(memory.save(false).is_err() && memory.save(false).is_ok());
    }
}

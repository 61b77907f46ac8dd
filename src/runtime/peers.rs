//! Peers that a person names with `--peer`: what may be written, and what names mean.
//!
//! The system takes its time to look a name up, seconds if it likes, so a thread of its own asks it,
//! one name after the other, and rings a bell that the poll loop hears. A name is looked up again
//! as long as nobody is heard from where it leads: machines get other addresses.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

use super::values;
use crate::address::Endpoint;
use crate::time::Time;

/// Names at once. More are refused on the command line.
pub(crate) const NAMES_MAX: usize = 64;

/// Addresses of one name that are greeted; the others are left alone.
const ADDRESSES_MAX: usize = 8;

/// The longest name (RFC 1035).
const NAME_MAX: usize = 253;

/// A name that leads to nobody is looked up again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// One that cannot be looked up, after this time, doubled each time up to [`AGAIN_AFTER`].
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A peer, as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// By its address.
    Address(SocketAddr),
    /// By a name; without a port, that of each address by the port rule.
    Name(String, Option<u16>),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(host, None) => f.write_str(host),
            Self::Name(host, Some(port)) => write!(f, "{host}:{port}"),
        }
    }
}

/// Reads `HOST[:PORT]`, an address or a name.
pub(crate) fn target(text: &str) -> Result<Target, String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|&port: &u16| port > 0).map(Some)),
        None => (text, Some(None)),
    };
    let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name = (1..=NAME_MAX).contains(&host.len()) && host.chars().all(of_name) && !host.starts_with(['-', '.']);
    let is_number = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    match port {
        Some(port) if is_name && !is_number => Ok(Target::Name(host.into(), port)),
        _ => values::peer(text).map(Target::Address),
    }
}

/// A name, and what is known of it.
struct Name {
    host: String,
    port: Option<u16>,
    addresses: Vec<SocketAddr>,
    /// It is being looked up.
    pending: bool,
    again_at: Time,
    failures: u32,
}

/// What came of looking a name up: which, and what.
type Answer = (usize, io::Result<Vec<SocketAddr>>);

/// Every peer that was named.
pub(crate) struct Peers {
    addresses: Vec<SocketAddr>,
    names: Vec<Name>,
    questions: Sender<usize>,
    answers: Receiver<Answer>,
    bell: Option<UnixStream>,
}

/// News of the names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// All addresses to be greeted, if they are others than before.
    pub(crate) addresses: Option<Vec<SocketAddr>>,
    /// For the person.
    pub(crate) warnings: Vec<String>,
}

impl Peers {
    /// The peers to be greeted. Names are looked up as soon as [`Peers::look`] is called.
    ///
    /// # Errors
    /// What the system says when it gives no thread or no socket.
    pub(crate) fn open(targets: &[Target], registry: &Registry, token: Token) -> io::Result<Self> {
        let (questions, asked) = channel();
        let (tell, answers) = channel();
        let mut peers = Self { addresses: Vec::new(), names: Vec::new(), questions, answers, bell: None };
        for target in targets {
            match target {
                Target::Address(address) => peers.addresses.push(*address),
                Target::Name(host, port) => peers.names.push(Name {
                    host: host.clone(),
                    port: *port,
                    addresses: Vec::new(),
                    pending: false,
                    again_at: Time::ZERO,
                    failures: 0,
                }),
            }
        }
        if peers.names.is_empty() {
            return Ok(peers);
        }
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut bell = UnixStream::from_std(ours);
        registry.register(&mut bell, token, Interest::READABLE)?;
        peers.bell = Some(bell);
        let names: Vec<_> = peers.names.iter().map(|name| (name.host.clone(), name.port)).collect();
        thread::Builder::new().name("names".into()).spawn(move || look_up(&names, &asked, &tell, theirs))?;
        Ok(peers)
    }

    /// Whether there are names to look up.
    pub(crate) const fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// Has names looked up whose time has come; `heard` tells from which addresses somebody is heard.
    pub(crate) fn look(&mut self, now: Time, heard: impl Fn(SocketAddr) -> bool) {
        for (n, name) in self.names.iter_mut().enumerate() {
            if name.pending || name.again_at > now {
                continue;
            }
            if name.addresses.iter().any(|&address| heard(address)) {
                name.again_at = now + AGAIN_AFTER;
            } else {
                // Without a thread there is nobody to ask.
                name.pending = self.questions.send(n).is_ok();
            }
        }
    }

    /// What was found out since the last call.
    pub(crate) fn take(&mut self, now: Time) -> Found {
        if let Some(bell) = &mut self.bell {
            // It tells nothing but that it rang.
            while bell.read(&mut [0; 64]).is_ok_and(|len| len > 0) {}
        }
        let (before, mut found) = (self.all(), Found::default());
        while let Ok((n, answer)) = self.answers.try_recv() {
            if let Some(name) = self.names.get_mut(n) {
                found.warnings.extend(name.on_answer(answer, now));
            }
        }
        let all = self.all();
        found.addresses = (all != before).then_some(all);
        found
    }

    fn all(&self) -> Vec<SocketAddr> {
        let named = self.names.iter().flat_map(|name| &name.addresses);
        let mut all: Vec<_> = self.addresses.iter().chain(named).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Name {
    /// Warns once of a name that leads nowhere, until it has led somewhere.
    fn on_answer(&mut self, answer: io::Result<Vec<SocketAddr>>, now: Time) -> Option<String> {
        self.pending = false;
        let why = match answer {
            Ok(addresses) if addresses.is_empty() => "it has no address of one machine".to_owned(),
            Ok(addresses) => {
                (self.addresses, self.failures, self.again_at) = (addresses, 0, now + AGAIN_AFTER);
                return None;
            }
            Err(why) => why.to_string(),
        };
        // What it meant before may still be true.
        self.again_at = now + (RETRY_AFTER * (1 << self.failures.min(8))).min(AGAIN_AFTER);
        self.failures += 1;
        let warning = || format!("cannot find the peer {}: {why}: it is tried again", self.host);
        (self.failures == 1).then(warning)
    }
}

/// The work of the thread: ends when nobody asks any more.
fn look_up(names: &[(String, Option<u16>)], asked: &Receiver<usize>, tell: &Sender<Answer>, mut bell: StdStream) {
    for n in asked {
        let Some((host, port)) = names.get(n) else { continue };
        let found = (host.as_str(), port.unwrap_or(0)).to_socket_addrs();
        let answer = found.map(|found| usable(found.map(|address| endpoint(address, *port))));
        if tell.send((n, answer)).is_err() || bell.write_all(&[1]).is_err() {
            return;
        }
    }
}

fn endpoint(address: SocketAddr, port: Option<u16>) -> Endpoint {
    let scope = match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    };
    Endpoint { ip: address.ip(), scope, port }
}

fn usable(found: impl Iterator<Item = Endpoint>) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = found.map(Endpoint::socket_addr).filter(|address| is_one_host(*address)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

/// Whether one machine may have it, and it is enough to reach that one by.
pub(crate) fn is_one_host(address: SocketAddr) -> bool {
    values::peer(&address.to_string()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_apart() {
        let read = |text: &str| target(text).map(|target| target.to_string());
        assert_eq!(read("10.0.0.4").as_deref(), Ok("10.0.0.4:5004"));
        assert_eq!(read("10.0.0.4:7").as_deref(), Ok("10.0.0.4:7"));
        assert_eq!(target("lab-7.example.org"), Ok(Target::Name("lab-7.example.org".into(), None)));
        assert_eq!(target("bob:5004"), Ok(Target::Name("bob".into(), Some(5004))));
        let long = "x".repeat(254);
        for bad in
            ["", "bob:x", "bob:0", "bob:", ":7", "300.1.1.1", "1.2.3", "a b", "-x", "b\x1b[m", "224.0.0.1", &long]
        {
            assert!(target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_looked_up_in_its_thread_and_tells_its_addresses() {
        let poll = mio::Poll::new().expect("a poll");
        let targets = [
            Target::Address("10.0.0.4:5004".parse().expect("an address")),
            Target::Name("localhost".into(), Some(7)),
            Target::Name("no-such-host.invalid".into(), None),
        ];
        let mut peers = Peers::open(&targets, poll.registry(), Token(0)).expect("a thread");
        let (mut addresses, mut warnings) = (Vec::new(), Vec::new());
        let began = std::time::Instant::now();
        while addresses.is_empty() || warnings.is_empty() {
            peers.look(Time::ZERO, |_| false);
            let found = peers.take(Time::ZERO);
            addresses.extend(found.addresses.unwrap_or_default());
            warnings.extend(found.warnings);
            assert!(began.elapsed() < Duration::from_secs(30), "{addresses:?} {warnings:?}");
            thread::yield_now();
        }
        assert!(addresses.iter().any(|address| address.to_string() == "127.0.0.1:7"), "{addresses:?}");
        assert!(addresses.contains(&"10.0.0.4:5004".parse().expect("an address")));
        assert!(warnings[0].contains("no-such-host.invalid"), "{warnings:?}");
    }

    #[test]
    fn a_name_is_warned_of_once_and_looked_up_again_while_it_is_silent() {
        let name = || Name {
            host: "bob".into(),
            port: None,
            addresses: Vec::new(),
            pending: false,
            again_at: Time::ZERO,
            failures: 0,
        };
        let (mut bob, now) = (name(), Time::ZERO);
        let fail = || Err(io::Error::other("no answer"));
        assert!(bob.on_answer(fail(), now).is_some_and(|warning| warning.contains("no answer")));
        assert_eq!((bob.on_answer(fail(), now), bob.again_at), (None, now + RETRY_AFTER * 2));
        let at: SocketAddr = "10.0.0.4:5004".parse().expect("an address");
        assert_eq!((bob.on_answer(Ok(vec![at]), now), bob.again_at), (None, now + AGAIN_AFTER));
        assert!(bob.on_answer(fail(), now).is_some() && bob.addresses == [at], "what it meant stays");
        let (questions, asked) = channel();
        let (_tell, answers) = channel();
        let mut peers = Peers { addresses: Vec::new(), names: vec![bob], questions, answers, bell: None };
        peers.look(now, |_| false);
        assert_eq!(asked.try_recv().ok(), None, "not yet");
        let later = now + AGAIN_AFTER;
        peers.look(later, |address| address == at);
        assert_eq!(asked.try_recv().ok(), None, "it is heard");
        peers.look(later + AGAIN_AFTER, |_| false);
        peers.look(later + AGAIN_AFTER, |_| false);
        assert_eq!((asked.try_recv().ok(), asked.try_recv().ok()), (Some(0), None), "asked once");
    }
}

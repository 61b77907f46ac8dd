//! Three members, a hostile one and a network, small and fast: what the targets that need a live group run in.
//!
//! Time is virtual, signatures are cheap and still nobody's but the signer's. After each step the town knows what
//! was truly said, and complains when a screen shows anything else, twice, or out of order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use udpnode::address::{Cast, Segment, SegmentId, StreamId, Ttls};
use udpnode::config::{Config, GroupSecret, SEALED_MAX};
use udpnode::crypto::{Identity, Keyring};
use udpnode::event::Event;
use udpnode::id::{PeerId, PublicKey};
use udpnode::node::{Input, Node, Output, SegmentChange, StreamAct, StreamInput};
use udpnode::rng::Rng;
use udpnode::text::Nick;
use udpnode::time::Time;
use udpnode::wire::EntryDomain;

/// Members that behave.
pub(crate) const HOSTS: usize = 3;

/// Datagrams that may come of one input of a node: a burst of repairs to everybody, twice over.
const SENDS_MAX: usize = 1024;

/// Events that may come of one input: a hole is filled, and all behind it is delivered.
const EVENTS_MAX: usize = 50_000;

/// Datagrams under way. What is sent beyond is lost, as anywhere.
const FLIGHTS_MAX: usize = 4096;

/// Times that a node may be woken in one millisecond in which nothing is handed to it.
const WAKES_MAX: u32 = 3;

/// What was sent to others and can be answered.
const STRAYS_MAX: usize = 16;

/// What was sent last and can be said again.
const OVERHEARD_MAX: usize = 32;

pub(crate) fn group() -> SocketAddr {
    SocketAddr::from(([239, 192, 7, 7], 5007))
}

/// A signature that costs nothing and fits one key, one purpose and these bytes.
pub(crate) fn sign(key: &PublicKey, domain: &[u8], bytes: &[u8]) -> [u8; 64] {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for part in [key, domain, bytes] {
        for chunk in part.chunks(8) {
            let word = chunk.iter().fold(chunk.len() as u64, |all, &byte| all << 8 | u64::from(byte));
            hash = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        }
    }
    let mut signature = [0x5A; 64];
    signature[..8].copy_from_slice(&hash.to_be_bytes());
    signature
}

/// Whether [`sign`] made it.
pub(crate) fn verify(key: &PublicKey, domain: &[u8], bytes: &[u8], signature: &[u8; 64]) -> bool {
    sign(key, domain, bytes) == *signature
}

/// What entries of its group are signed for.
pub(crate) fn entry_domain(keyed: bool) -> &'static [u8] {
    static DOMAINS: OnceLock<[EntryDomain; 2]> = OnceLock::new();
    let of = |keyed| Keyring::new(&config("", keyed).secrets, group()).entry_domains()[0];
    &DOMAINS.get_or_init(|| [of(false), of(true)])[usize::from(keyed)]
}

pub(crate) fn config(nick: &str, keyed: bool) -> Config {
    let mut config = Config::new(Nick::from_any(nick), group());
    config.stay = true;
    config.listens = true;
    config.woke = udpnode::time::WallTime(1_700_000_000_000);
    // Small enough that every bound is met.
    (config.peers_max, config.logs_max, config.entries_max) = (6, 12, 96);
    (config.store_max, config.ahead_max, config.history_max) = (48 << 10, 64, 64);
    if keyed {
        config.secrets = vec![GroupSecret::new([7; 32])];
    }
    config
}

/// A member in one of its runs, or somebody who speaks like one.
pub(crate) fn identity(n: usize, boot: u64) -> Identity {
    identities()[n].in_run(boot)
}

/// All of them, made once: it takes longer than most of what is done with them.
fn identities() -> &'static [Identity] {
    static IDENTITIES: OnceLock<Vec<Identity>> = OnceLock::new();
    let made = |n| Identity::new(&[n as u8 + 1; 32], 1).with_signer(sign);
    IDENTITIES.get_or_init(|| (0..HOSTS + 2).map(made).collect())
}

/// The public key of a member, or of somebody who speaks like one.
pub(crate) fn key(n: usize) -> PublicKey {
    *identities()[n].public()
}

pub(crate) fn node(n: usize, boot: u64, keyed: bool, seed: u8) -> Node {
    let config = config(&format!("n{n}"), keyed);
    Node::new(identity(n, boot), config, [seed; 32], Time::ZERO).with_verifier(verify)
}

pub(crate) fn address(net: usize, host: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, net as u8, host as u8 + 1], 5001 + host as u16))
}

pub(crate) fn segment(net: usize, host: usize) -> Segment {
    Segment {
        id: SegmentId(net as u32),
        name: format!("eth{net}"),
        address: address(net, host),
        prefix_len: 24,
        relays: true,
        ttls: Ttls::default(),
        broadcast: Some(SocketAddr::from(([10, 0, net as u8, 255], 5255))),
        group: Some(group()),
        deaf_to: 0,
        listens: true,
    }
}

/// What is on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cargo {
    Datagram { net: usize, cast: u8, from: SocketAddr, bytes: Vec<u8> },
    Accepted(u64, SocketAddr),
    Connected(u64),
    Bytes(u64, Vec<u8>),
    Closed(u64),
}

/// A datagram to an address where no member is.
pub(crate) struct Stray {
    pub(crate) host: usize,
    pub(crate) net: usize,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

struct Host {
    node: Option<Node>,
    boot: u64,
    woke: Time,
    /// When it was woken last, and how often in that millisecond.
    woken: (Time, u32),
    nets: [bool; 2],
    /// Somebody else speaks with its key: what it said is not known any more.
    copied: bool,
}

/// All of it.
pub(crate) struct Town {
    pub(crate) now: Time,
    hosts: Vec<Host>,
    flights: BinaryHeap<Reverse<(Time, u64, usize, Cargo)>>,
    order: u64,
    rng: Rng,
    keyed: bool,
    pub(crate) keyring: Keyring,
    /// Datagrams lost, of 256.
    pub(crate) loss: u8,
    /// How much longer than the shortest a datagram may take, in milliseconds: reorders.
    pub(crate) delay_ms: u64,
    /// Who does not hear whom: bit `3 * from + to`.
    pub(crate) cut: u16,
    /// Casts that get nowhere, as bits.
    pub(crate) blocked: u8,
    streams: BTreeMap<(usize, u64), (usize, u64)>,
    pub(crate) overheard: Vec<Vec<u8>>,
    /// What members sent to addresses where no member is.
    pub(crate) strays: Vec<Stray>,
    said: BTreeMap<(PeerId, u64, u64), String>,
    shown: BTreeMap<(usize, u64, PeerId, u64), u64>,
    ids: Vec<PeerId>,
    /// What came of those who keep to no rules: whether inputs get anywhere.
    pub(crate) came: BTreeSet<&'static str>,
    buf: Vec<u8>,
}

impl Town {
    /// Three nodes that have met; on one network, or the first between two.
    pub(crate) fn new(keyed: bool, chain: bool, seed: u8) -> Self {
        let secrets = config("", keyed).secrets;
        let mut town = Self {
            now: Time::ZERO,
            hosts: Vec::new(),
            flights: BinaryHeap::new(),
            order: 0,
            rng: Rng::new(u64::from(seed)),
            keyed,
            keyring: Keyring::new(&secrets, group()),
            loss: 0,
            delay_ms: 0,
            cut: 0,
            blocked: 0,
            streams: BTreeMap::new(),
            overheard: Vec::new(),
            strays: Vec::new(),
            said: BTreeMap::new(),
            shown: BTreeMap::new(),
            ids: Vec::new(),
            came: BTreeSet::new(),
            buf: Vec::new(),
        };
        for host in 0..HOSTS {
            let nets = if chain { [host != 2, host != 1] } else { [true, false] };
            let copied = false;
            town.hosts.push(Host { node: None, boot: 0, woke: Time::ZERO, woken: (Time::ZERO, 0), nets, copied });
            town.start(host);
            town.ids.push(town.hosts[host].node.as_ref().expect("started").identity().id());
        }
        town.run_for(Duration::from_millis(150));
        town
    }

    pub(crate) fn node(&self, host: usize) -> Option<&Node> {
        self.hosts[host].node.as_ref()
    }

    /// The run of a host.
    pub(crate) fn boot(&self, host: usize) -> u64 {
        self.hosts[host].boot
    }

    /// Somebody else speaks with this host's key from now on.
    pub(crate) fn copy(&mut self, host: usize) {
        self.hosts[host].copied = true;
    }

    /// Starts a host, anew if it runs.
    pub(crate) fn start(&mut self, host: usize) {
        let entry = &mut self.hosts[host];
        (entry.boot, entry.woke, entry.woken) = (entry.boot + 1, self.now, (Time::ZERO, 0));
        entry.node = Some(node(host, entry.boot, self.keyed, self.rng.next_u64() as u8));
        for net in 0..2 {
            self.plug(host, net);
        }
    }

    /// Ends a host without a word.
    pub(crate) fn crash(&mut self, host: usize) {
        self.hosts[host].node = None;
    }

    /// Plugs a host in, where it has a place.
    pub(crate) fn plug(&mut self, host: usize, net: usize) {
        if self.hosts[host].nets[net] {
            self.input(host, Input::Segment(SegmentChange::Up(segment(net, host))));
        }
    }

    /// Hands a node an input.
    pub(crate) fn input(&mut self, host: usize, input: Input<'_>) {
        let now = self.local(host);
        self.hosts[host].woken = (now, 0);
        if let Some(node) = &mut self.hosts[host].node {
            node.handle_input(now, input);
            self.perform(host);
        }
    }

    /// A datagram arrives at a host, whoever sent it.
    pub(crate) fn arrive(&mut self, host: usize, net: usize, cast: Cast, from: SocketAddr, bytes: &[u8]) {
        let (segment, ttl) = (SegmentId(net as u32), Some(1));
        self.input(host, Input::Datagram { segment, cast, from, ttl, bytes });
    }

    fn local(&self, host: usize) -> Time {
        Time::ZERO + self.now.since(self.hosts[host].woke)
    }

    fn perform(&mut self, host: usize) {
        let (mut sends, mut events) = (0, 0);
        let mut buf = std::mem::take(&mut self.buf);
        while let Some(output) = self.hosts[host].node.as_mut().and_then(|node| node.poll_output(&mut buf)) {
            match output {
                Output::Event(event) => {
                    events += 1;
                    self.judge(host, &event);
                }
                Output::Stream { stream, act } => {
                    sends += 1;
                    self.stream(host, stream.0, act, &buf);
                }
                Output::Rejoin { .. } => {}
                Output::SendBeyond { segment, to } => {
                    sends += 1;
                    self.send(host, segment.0 as usize, Cast::Unicast, to, &buf);
                }
                Output::Send { segment, cast, to } => {
                    sends += 1;
                    self.send(host, segment.0 as usize, cast, to, &buf);
                }
            }
        }
        self.buf = buf;
        assert!(sends <= SENDS_MAX, "{sends} sends come of one input");
        assert!(events <= EVENTS_MAX, "{events} events come of one input");
    }

    /// What is shown was said, by whom it is shown to be from, once and in order.
    fn judge(&mut self, host: usize, event: &Event) {
        let here = (host, self.hosts[host].boot);
        match event {
            Event::Sent { boot, seq, text } => {
                self.said.insert((self.ids_or_own(host), *boot, *seq), text.to_string());
            }
            Event::Message(message) => {
                let from = message.from.id;
                let Some(author) = self.ids.iter().position(|&id| id == from) else {
                    self.came.insert("heard");
                    return;
                };
                if self.hosts[author].copied {
                    return;
                }
                let said = self.said.get(&(from, message.boot, message.seq));
                assert_eq!(said.map(String::as_str), Some(message.text.as_str()), "{:?} never said that", message.from);
                let last = self.shown.entry((here.0, here.1, from, message.boot)).or_default();
                assert!(message.seq > *last, "message {} of {:?} after {last}", message.seq, message.from);
                *last = message.seq;
            }
            Event::Joined(who, _) if !self.ids.contains(&who.id) => drop(self.came.insert("met")),
            Event::Whisper(whisper) if !self.ids.contains(&whisper.from.id) => drop(self.came.insert("whispered")),
            _ => {}
        }
    }

    fn ids_or_own(&self, host: usize) -> PeerId {
        self.node(host).map_or(PeerId([0; 16]), |node| node.identity().id())
    }

    fn send(&mut self, host: usize, net: usize, cast: Cast, to: SocketAddr, bytes: &[u8]) {
        assert!(bytes.len() <= SEALED_MAX || bytes[0] != 0xFF, "{} bytes", bytes.len());
        if self.overheard.len() == OVERHEARD_MAX {
            let oldest = self.rng.below(OVERHEARD_MAX as u64) as usize;
            self.overheard.swap_remove(oldest);
        }
        self.overheard.push(bytes.to_vec());
        let from = address(net, host);
        let of_nobody = (0..HOSTS).all(|other| to != address(net, other));
        if cast == Cast::Unicast && of_nobody && self.strays.len() < STRAYS_MAX {
            self.strays.push(Stray { host, net, to, bytes: bytes.to_vec() });
        }
        for other in 0..HOSTS {
            if other == host || !self.hosts[other].nets[net] {
                continue;
            }
            let lost = (self.rng.next_u64() as u8) < self.loss
                || self.cut >> (3 * host + other) & 1 == 1
                || self.blocked & cast.bit() != 0
                || (cast == Cast::Unicast && to != address(net, other));
            if !lost {
                let delay = Duration::from_micros(100 + self.rng.below(self.delay_ms * 1000 + 50));
                self.later(delay, other, Cargo::Datagram { net, cast: cast.bit(), from, bytes: bytes.to_vec() });
            }
        }
    }

    fn stream(&mut self, host: usize, stream: u64, act: StreamAct, bytes: &[u8]) {
        let delay = Duration::from_micros(150);
        match act {
            StreamAct::Connect(to) => {
                let listener = (0..HOSTS)
                    .find(|&other| (0..2).any(|net| to == address(net, other) && self.hosts[other].nets[net]));
                let Some(listener) = listener.filter(|_| self.blocked & 8 == 0) else {
                    return self.later(delay, host, Cargo::Closed(stream));
                };
                self.order += 1;
                let far = self.order * 2;
                self.streams.insert((host, stream), (listener, far));
                self.streams.insert((listener, far), (host, stream));
                self.later(delay, listener, Cargo::Accepted(far, address(0, host)));
                self.later(delay * 2, host, Cargo::Connected(stream));
            }
            StreamAct::Write => {
                if let Some(&(other, far)) = self.streams.get(&(host, stream)) {
                    self.later(delay, other, Cargo::Bytes(far, bytes.to_vec()));
                }
            }
            StreamAct::Close => {
                if let Some((other, far)) = self.streams.remove(&(host, stream)) {
                    self.streams.remove(&(other, far));
                    self.later(delay, other, Cargo::Closed(far));
                }
            }
        }
    }

    fn later(&mut self, delay: Duration, to: usize, cargo: Cargo) {
        if self.flights.len() < FLIGHTS_MAX {
            self.order += 1;
            self.flights.push(Reverse((self.now + delay, self.order, to, cargo)));
        }
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let wakes = self.hosts.iter().enumerate().filter_map(|(n, host)| {
                let at = host.node.as_ref()?.poll_timeout()?;
                Some((host.woke + at.since(Time::ZERO), n))
            });
            let wake = wakes.min();
            let flight = self.flights.peek().map(|Reverse((at, ..))| *at);
            match (flight, wake) {
                (Some(at), wake) if at <= end && wake.is_none_or(|(wake, _)| at <= wake) => {
                    self.now = self.now.max(at);
                    self.land();
                }
                (_, Some((at, host))) if at <= end => {
                    self.now = self.now.max(at);
                    self.wake(host);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn land(&mut self) {
        let Some(Reverse((_, _, host, cargo))) = self.flights.pop() else { return };
        match cargo {
            Cargo::Datagram { net, cast, from, bytes } => {
                let cast = [Cast::Unicast, Cast::Broadcast, Cast::Multicast].into_iter().find(|c| c.bit() == cast);
                self.arrive(host, net, cast.unwrap_or(Cast::Unicast), from, &bytes);
            }
            Cargo::Accepted(stream, from) => self.on_stream(host, stream, StreamInput::Accepted(from)),
            Cargo::Connected(stream) => self.on_stream(host, stream, StreamInput::Connected),
            Cargo::Bytes(stream, bytes) => self.on_stream(host, stream, StreamInput::Bytes(&bytes)),
            Cargo::Closed(stream) => self.on_stream(host, stream, StreamInput::Closed),
        }
    }

    fn on_stream(&mut self, host: usize, stream: u64, what: StreamInput<'_>) {
        self.input(host, Input::Stream { stream: StreamId(stream), what });
    }

    fn wake(&mut self, host: usize) {
        let now = self.local(host);
        let entry = &mut self.hosts[host];
        let again = now.since(entry.woken.0) < Duration::from_millis(1);
        entry.woken = if again { (entry.woken.0, entry.woken.1 + 1) } else { (now, 1) };
        assert!(entry.woken.1 <= WAKES_MAX, "n{host} does not rest: woken {} times at {now}", entry.woken.1);
        if let Some(node) = &mut entry.node {
            node.handle_timeout(now);
            assert!(node.poll_timeout().is_none_or(|wake| wake > now), "after a timeout the next is later");
            self.perform(host);
        }
    }
}

//! Nodes behind a simulated network, in virtual time.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use udpnode::address::{Cast, Segment, SegmentId, StreamId, Ttls};
use udpnode::command::Command;
use udpnode::config::{Config, DATAGRAM_MAX, SEALED_MAX};
use udpnode::crypto::{Identity, verify};
use udpnode::event::Event;
use udpnode::id::PublicKey;
use udpnode::node::{Input, Node, Output, SegmentChange, StreamAct, StreamInput};
use udpnode::protocol::names::Pin;
use udpnode::rng::Rng;
use udpnode::text::{Line, Nick};
use udpnode::time::{Time, WallTime};
use udpnode::wire::dump::dump;

use crate::net::{Faults, Net};
use crate::watch::Watch;

/// Everything there is.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) nets: Vec<Net>,
    pub(crate) hosts: Vec<Host>,
    flights: BinaryHeap<Reverse<(Time, u64, usize)>>,
    cargo: BTreeMap<u64, Flight>,
    wakes: BTreeSet<(Time, usize)>,
    /// The two ends of each stream.
    pairs: BTreeMap<(usize, StreamId), (usize, StreamId)>,
    /// Whether streams can be opened.
    pub(crate) streams_work: bool,
    order: u64,
    seed: u64,
    trace: bool,
    /// Folds every delivery: the same seed gives the same hash.
    pub(crate) trace_hash: u64,
    /// Of every network, in bits.
    pub(crate) prefix_len: u8,
    /// Datagrams sent by multicast or broadcast.
    pub(crate) casts: u64,
    /// Datagrams sent by unicast.
    pub(crate) unicasts: u64,
    /// What is sent, if somebody wants to know: by whom, from where, how, and the bytes.
    pub(crate) tap: Option<Vec<Sent>>,
    /// What is written to streams, if somebody wants to know: by whom, and the bytes.
    pub(crate) streamed: Option<Vec<(usize, Rc<[u8]>)>>,
    /// Where each address is: a datagram for one is not offered to all.
    homes: HashMap<(usize, SocketAddr), (usize, usize)>,
    /// Nobody forges: signatures cost nothing, and are not checked.
    trusting: bool,
    /// Judges events instead of keeping them.
    pub(crate) watch: Option<Watch>,
}

/// One machine.
pub(crate) struct Host {
    pub(crate) node: Option<Node>,
    pub(crate) config: Config,
    /// The networks it is on, with its address there.
    pub(crate) places: Vec<(usize, SocketAddr)>,
    pub(crate) events: Vec<(Time, Event)>,
    /// Messages of others shown, and own messages said: counted, for the events are many.
    pub(crate) shown: usize,
    pub(crate) said: usize,
    /// Whose key it has: its own, unless it is a clone.
    pub(crate) key_of: usize,
    /// Whose names are whose, as its last run left them.
    pub(crate) pins: Vec<Pin>,
    boot: u64,
    woke: Time,
    armed: Option<Time>,
    /// It does not run until then; what arrives meanwhile waits.
    frozen_until: Option<Time>,
    waiting: Vec<Cargo>,
}

/// A datagram that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) host: usize,
    pub(crate) from: SocketAddr,
    pub(crate) cast: Cast,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Rc<[u8]>,
}

struct Flight {
    to: usize,
    cargo: Cargo,
}

enum Cargo {
    Datagram { segment: SegmentId, cast: Cast, from: SocketAddr, ttl: u8, bytes: Rc<[u8]> },
    Accepted(StreamId, SocketAddr),
    Connected(StreamId),
    Bytes(StreamId, Rc<[u8]>),
    Closed(StreamId),
}

impl Host {
    /// How often it was started.
    pub(crate) const fn boots(&self) -> u64 {
        self.boot
    }
}

impl Cargo {
    fn input(&self) -> Input<'_> {
        match self {
            Self::Datagram { segment, cast, from, ttl, bytes } => {
                Input::Datagram { segment: *segment, cast: *cast, from: *from, ttl: Some(*ttl), bytes }
            }
            Self::Accepted(stream, from) => Input::Stream { stream: *stream, what: StreamInput::Accepted(*from) },
            Self::Connected(stream) => Input::Stream { stream: *stream, what: StreamInput::Connected },
            Self::Bytes(stream, bytes) => Input::Stream { stream: *stream, what: StreamInput::Bytes(bytes) },
            Self::Closed(stream) => Input::Stream { stream: *stream, what: StreamInput::Closed },
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Datagram { bytes, .. } | Self::Bytes(_, bytes) => bytes.len(),
            _ => 0,
        }
    }
}

/// Checks each signature once: all nodes of a world live in one process.
fn remembering(key: &PublicKey, domain: &[u8], bytes: &[u8], signature: &[u8; 64]) -> bool {
    thread_local! {
        static CHECKED: RefCell<HashMap<[u8; 32], bool>> = RefCell::new(HashMap::new());
    }
    let mut hasher = blake3::Hasher::new();
    for part in [key.as_slice(), signature, &(domain.len() as u64).to_be_bytes(), domain, bytes] {
        hasher.update(part);
    }
    let what = *hasher.finalize().as_bytes();
    CHECKED.with_borrow_mut(|checked| {
        if checked.len() > 200_000 {
            checked.clear();
        }
        *checked.entry(what).or_insert_with(|| verify(key, domain, bytes, signature))
    })
}

/// The seed to run: one given from outside, or this one.
pub(crate) fn seed_or(fixed: u64) -> u64 {
    std::env::var("UDPNODE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(fixed)
}

impl World {
    /// An empty world with one network.
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            now: Time::ZERO,
            nets: vec![Net::new(faults, seed ^ 0xA5A5)],
            hosts: Vec::new(),
            flights: BinaryHeap::new(),
            cargo: BTreeMap::new(),
            wakes: BTreeSet::new(),
            pairs: BTreeMap::new(),
            streams_work: true,
            order: 0,
            seed,
            trace: std::env::var_os("UDPNODE_TRACE").is_some(),
            trace_hash: 0,
            prefix_len: 16,
            casts: 0,
            unicasts: 0,
            tap: None,
            streamed: None,
            homes: HashMap::new(),
            trusting: false,
            watch: None,
        }
    }

    /// As [`World::of`], where signatures are neither made nor checked: nobody forges, and millions are sent.
    pub(crate) fn trusting(count: usize, seed: u64, faults: Faults) -> Self {
        let mut world = Self { trusting: true, ..Self::new(seed, faults) };
        world.populate(count);
        world
    }

    fn populate(&mut self, count: usize) {
        for _ in 0..count {
            let host = self.add_host(&[0], |_| {});
            self.start(host);
        }
    }

    /// A world with `count` nodes on one network, all started at once.
    pub(crate) fn of(count: usize, seed: u64, faults: Faults) -> Self {
        let mut world = Self::new(seed, faults);
        world.populate(count);
        world
    }

    /// Another network. Returns its number.
    pub(crate) fn add_net(&mut self, faults: Faults) -> usize {
        let number = self.nets.len();
        self.nets.push(Net::new(faults, self.seed ^ 0xA5A5 ^ ((number as u64) << 32)));
        number
    }

    /// A machine on these networks, not yet started.
    pub(crate) fn add_host(&mut self, nets: &[usize], adjust: impl FnOnce(&mut Config)) -> usize {
        let host = self.hosts.len();
        let address = |net: &usize| {
            let [high, low] = u16::try_from(host + 1).expect("few hosts").to_be_bytes();
            (*net, SocketAddr::from(([10, u8::try_from(*net).expect("few nets"), high, low], 5000 + u16::from(low))))
        };
        let nick = Nick::new(&format!("n{host}")).expect("a nick");
        let mut config = Config::new(nick, "239.192.7.7:5007".parse().expect("an address"));
        adjust(&mut config);
        self.hosts.push(Host {
            node: None,
            config,
            places: nets.iter().map(address).collect(),
            events: Vec::new(),
            shown: 0,
            said: 0,
            key_of: host,
            pins: Vec::new(),
            boot: 0,
            woke: Time::ZERO,
            armed: None,
            frozen_until: None,
            waiting: Vec::new(),
        });
        for (index, &(net, address)) in self.hosts[host].places.iter().enumerate() {
            self.homes.insert((net, address), (host, index));
        }
        host
    }

    /// The key of a machine, in one of its runs.
    pub(crate) fn identity(&self, host: usize, boot: u64) -> Identity {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&(self.seed ^ ((self.hosts[host].key_of as u64) << 40)).to_be_bytes());
        Identity::new(&secret, boot)
    }

    /// Starts a machine; started again, it keeps its key and counts its run.
    pub(crate) fn start(&mut self, host: usize) {
        let identity = self.identity(host, self.hosts[host].boot + 1);
        let entry = &mut self.hosts[host];
        entry.boot += 1;
        entry.woke = self.now;
        let mut rng = Rng::new(self.seed ^ ((host as u64) << 20) ^ entry.boot);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&rng.next_u64().to_be_bytes());
        let (config, pins) = (entry.config.clone(), entry.pins.clone());
        entry.node = Some(if self.trusting {
            let identity = identity.with_signer(|_, _, _| [0; 64]);
            Node::new(identity, config, seed, Time::ZERO).with_pins(pins).with_verifier(|_, _, _, _| true)
        } else {
            Node::new(identity, config, seed, Time::ZERO).with_pins(pins).with_verifier(remembering)
        });
        for index in 0..self.hosts[host].places.len() {
            self.segment_up(host, index);
        }
    }

    /// Gives a machine another address at this place of its, where it is unplugged.
    pub(crate) fn move_to(&mut self, host: usize, index: usize, address: SocketAddr) {
        let (net, old) = self.hosts[host].places[index];
        self.homes.remove(&(net, old));
        self.homes.insert((net, address), (host, index));
        self.hosts[host].places[index] = (net, address);
    }

    /// Plugs a machine into the network at this place of its.
    pub(crate) fn segment_up(&mut self, host: usize, index: usize) {
        let (net, address) = self.hosts[host].places[index];
        let segment = Segment {
            id: SegmentId(u32::try_from(index).expect("few")),
            name: format!("eth{index}"),
            address,
            prefix_len: self.prefix_len,
            relays: true,
            ttls: Ttls::default(),
            broadcast: Some(SocketAddr::from(([10, u8::try_from(net).expect("few nets"), 255, 255], 5255))),
            group: Some("239.192.7.7:5007".parse().expect("an address")),
            deaf_to: 0,
            listens: true,
        };
        self.input(host, Input::Segment(SegmentChange::Up(segment)));
    }

    /// Ends a machine without a word. What it keeps of names it has kept by then.
    pub(crate) fn crash(&mut self, host: usize) {
        let entry = &mut self.hosts[host];
        if let Some(node) = entry.node.take() {
            entry.pins = node.pins(WallTime(0));
        }
        self.arm(host);
    }

    /// Hands an input to a node and carries out what comes of it.
    pub(crate) fn input(&mut self, host: usize, input: Input<'_>) {
        let now = self.local(host);
        if let Some(node) = self.hosts[host].node.as_mut() {
            node.handle_input(now, input);
            self.perform(host);
        }
    }

    /// Says one line.
    pub(crate) fn say(&mut self, host: usize, text: &str) {
        self.say_all(host, &[text]);
    }

    /// Says lines that waited together.
    pub(crate) fn say_all(&mut self, host: usize, texts: &[&str]) {
        let lines = texts.iter().map(|text| Line::new(text).expect("short")).collect();
        let wall = WallTime(1_700_000_000_000 + self.now.as_micros() / 1000);
        self.input(host, Input::Command(Command::Say { lines, wall }));
    }

    fn local(&self, host: usize) -> Time {
        Time::ZERO + self.now.since(self.hosts[host].woke)
    }

    fn perform(&mut self, host: usize) {
        let mut buf = Vec::new();
        while let Some(output) = self.hosts[host].node.as_mut().and_then(|node| node.poll_output(&mut buf)) {
            match output {
                Output::Event(event) => {
                    if self.trace {
                        eprintln!("{} n{host} {event:?}", self.now);
                    }
                    let entry = &mut self.hosts[host];
                    entry.shown += usize::from(matches!(event, Event::Message(_)));
                    entry.said += usize::from(matches!(event, Event::Sent { .. }));
                    match &mut self.watch {
                        Some(watch) => watch.on_event(self.now, host, &event),
                        None => entry.events.push((self.now, event)),
                    }
                }
                Output::Stream { stream, act } => self.stream(host, stream, act, &buf),
                // There is no switch that forgets.
                Output::Rejoin { .. } => {}
                Output::Send { segment, cast, to } => self.send(host, segment, cast, to, &buf),
                Output::SendBeyond { segment, to } => self.send(host, segment, Cast::Unicast, to, &buf),
            }
        }
        self.arm(host);
    }

    fn send(&mut self, host: usize, segment: SegmentId, cast: Cast, to: SocketAddr, bytes: &[u8]) {
        let most = if self.hosts[host].config.secrets.is_empty() { DATAGRAM_MAX } else { SEALED_MAX };
        assert!(bytes.len() <= most, "{} bytes", bytes.len());
        let (net, from) = self.hosts[host].places[segment.0 as usize];
        if cast == Cast::Unicast {
            self.unicasts += 1
        } else {
            self.casts += 1
        }
        if self.trace {
            eprintln!("{} n{host} {cast} to {to}: {}", self.now, dump(bytes));
        }
        // Each router takes one off and drops what has none left.
        let left = Ttls::default().of(cast).saturating_sub(self.nets[net].hops);
        if left == 0 {
            return;
        }
        let Some(queued) = self.nets[net].queue(host, bytes.len(), self.now) else { return };
        let bytes: Rc<[u8]> = Rc::from(bytes);
        if cast == Cast::Unicast && self.tap.is_none() {
            let Some(&(other, place)) = self.homes.get(&(net, to)).filter(|home| home.0 != host) else { return };
            return self.carry(host, other, place, (cast, left), queued, from, &bytes);
        }
        if let Some(tap) = &mut self.tap {
            tap.push(Sent { host, from, cast, to, bytes: Rc::clone(&bytes) });
        }
        for other in (0..self.hosts.len()).filter(|&other| other != host) {
            let place = self.hosts[other]
                .places
                .iter()
                .position(|&(there, address)| there == net && (cast != Cast::Unicast || address == to));
            let Some(place) = place else { continue };
            self.carry(host, other, place, (cast, left), queued, from, &bytes);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a datagram is all of that")]
    fn carry(
        &mut self,
        host: usize,
        other: usize,
        place: usize,
        (cast, ttl): (Cast, u8),
        queued: Duration,
        from: SocketAddr,
        bytes: &Rc<[u8]>,
    ) {
        let net = self.hosts[other].places[place].0;
        for delay in self.nets[net].fates(host, other, cast) {
            let segment = SegmentId(u32::try_from(place).expect("few"));
            self.later(queued + delay, other, Cargo::Datagram { segment, cast, from, ttl, bytes: Rc::clone(bytes) });
        }
    }

    /// Stops a machine for a while, as SIGSTOP does: its clock goes on, what arrives waits.
    pub(crate) fn freeze(&mut self, host: usize, span: Duration) {
        let until = self.now + span;
        self.hosts[host].frozen_until = Some(until);
        if let Some(at) = self.hosts[host].armed.replace(until) {
            self.wakes.remove(&(at, host));
        }
        self.wakes.insert((until, host));
    }

    /// Streams lose nothing: what is written arrives a little later, in order.
    fn stream(&mut self, host: usize, stream: StreamId, act: StreamAct, bytes: &[u8]) {
        let delay = Duration::from_micros(150);
        match act {
            StreamAct::Connect(to) => {
                let listener = self.hosts.iter().position(|other| {
                    other.node.is_some() && other.config.listens && other.places.iter().any(|place| place.1 == to)
                });
                let Some(listener) = listener.filter(|_| self.streams_work) else {
                    return self.later(delay, host, Cargo::Closed(stream));
                };
                self.order += 1;
                let far = StreamId(self.order * 2);
                self.pairs.insert((host, stream), (listener, far));
                self.pairs.insert((listener, far), (host, stream));
                let from = SocketAddr::new(self.hosts[host].places[0].1.ip(), 40_000);
                self.later(delay, listener, Cargo::Accepted(far, from));
                self.later(delay * 2, host, Cargo::Connected(stream));
            }
            StreamAct::Write => {
                let bytes: Rc<[u8]> = Rc::from(bytes);
                self.streamed.iter_mut().for_each(|all| all.push((host, Rc::clone(&bytes))));
                let Some(&(other, far)) = self.pairs.get(&(host, stream)) else { return };
                self.later(delay, other, Cargo::Bytes(far, bytes));
            }
            StreamAct::Close => {
                let Some((other, far)) = self.pairs.remove(&(host, stream)) else { return };
                self.pairs.remove(&(other, far));
                self.later(delay, other, Cargo::Closed(far));
            }
        }
    }

    fn later(&mut self, delay: Duration, to: usize, cargo: Cargo) {
        self.order += 1;
        self.flights.push(Reverse((self.now + delay, self.order, to)));
        self.cargo.insert(self.order, Flight { to, cargo });
    }

    fn arm(&mut self, host: usize) {
        let entry = &mut self.hosts[host];
        if let Some(at) = entry.armed.take() {
            self.wakes.remove(&(at, host));
        }
        let wake = entry.node.as_ref().and_then(Node::poll_timeout);
        entry.armed = wake.map(|local| entry.woke + local.since(Time::ZERO));
        self.wakes.extend(entry.armed.map(|at| (at, host)));
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let flight = self.flights.peek().map(|Reverse((at, ..))| *at);
            let wake = self.wakes.first().map(|(at, _)| *at);
            let Some(next) = [flight, wake].into_iter().flatten().min().filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            if flight == Some(next) { self.land() } else { self.wake() }
        }
        self.now = end;
    }

    /// Lets time pass until something holds, but no longer than `limit`. Returns how long it took.
    pub(crate) fn run_until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> Option<Duration> {
        let began = self.now;
        while self.now.since(began) < limit {
            if holds(self) {
                return Some(self.now.since(began));
            }
            self.run_for(Duration::from_millis(5));
        }
        holds(self).then(|| self.now.since(began))
    }

    fn land(&mut self) {
        let Some(Reverse((_, order, _))) = self.flights.pop() else { return };
        let Some(flight) = self.cargo.remove(&order) else { return };
        if self.hosts[flight.to].frozen_until.is_some() {
            return self.hosts[flight.to].waiting.push(flight.cargo);
        }
        self.trace_hash = self.trace_hash.rotate_left(5) ^ self.now.as_micros() ^ flight.cargo.len() as u64;
        self.input(flight.to, flight.cargo.input());
    }

    fn wake(&mut self) {
        let Some((_, host)) = self.wakes.pop_first() else { return };
        self.hosts[host].armed = None;
        self.hosts[host].frozen_until = None;
        let now = self.local(host);
        if let Some(node) = self.hosts[host].node.as_mut() {
            node.handle_timeout(now);
            assert!(node.poll_timeout().is_none_or(|wake| wake > now), "contract 5: time advances");
            self.perform(host);
        }
        for cargo in std::mem::take(&mut self.hosts[host].waiting) {
            self.input(host, cargo.input());
        }
    }
}

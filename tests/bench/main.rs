//! What signing and sealing cost: `make bench`.
//!
//! Two nodes and a perfect network in one process and one thread, in virtual time, so that what is measured is the
//! machine alone: from a typed line to a delivered one, encoding, signing, sealing, opening, verifying and confirming
//! included, sockets and terminals not. Seconds are those of one core. Each case is run three times in turn and the
//! fastest counts; ratios of one run mean more than its figures.

#![allow(clippy::print_stdout, reason = "figures are printed")]

use std::net::SocketAddr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use udpnode::address::{Cast, Segment, SegmentId, Ttls};
use udpnode::command::Command;
use udpnode::config::{Config, GroupSecret};
use udpnode::crypto::Identity;
use udpnode::event::Event;
use udpnode::node::{Input, Node, Output, SegmentChange};
use udpnode::text::{Line, Nick};
use udpnode::time::{Time, WallTime};

/// Lines of one case, and how often it is run.
const LINES: usize = 20_000;
const RUNS: usize = 3;

/// Lines that come together from a pipe.
const TOGETHER: usize = 256;

/// About as long as people write.
const TEXT: &str = "line 12345 of a measurement, about as long as people write";

/// How what is said is protected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Neither signed nor sealed: what all the rest takes.
    Bare,
    /// Signed: an open group.
    Open,
    /// Signed and sealed: a keyed group.
    Keyed,
}

/// Two nodes, and what they sent.
struct Pair {
    nodes: [Node; 2],
    now: Time,
    delivered: usize,
    /// What carries entries: bytes, and datagrams.
    carried: (usize, usize),
}

fn node(n: u8, kind: Kind) -> Node {
    let nick = Nick::from_any(&format!("n{n}"));
    let mut config = Config::new(nick, "239.192.7.7:5007".parse().expect("an address"));
    if kind == Kind::Keyed {
        config.secrets = vec![GroupSecret::new([7; 32])];
    }
    let identity = Identity::new(&[n; 32], 1);
    if kind == Kind::Bare {
        let identity = identity.with_signer(|_, _, _| [0; 64]);
        return Node::new(identity, config, [n; 32], Time::ZERO).with_verifier(|_, _, _, _| true);
    }
    Node::new(identity, config, [n; 32], Time::ZERO)
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n as u8 + 1], 5001 + n as u16))
}

impl Pair {
    fn new(kind: Kind) -> Self {
        let mut pair = Self { nodes: [node(1, kind), node(2, kind)], now: Time::ZERO, delivered: 0, carried: (0, 0) };
        for n in 0..2 {
            let segment = Segment {
                id: SegmentId(1),
                name: "eth0".into(),
                address: address(n),
                prefix_len: 24,
                relays: true,
                ttls: Ttls::default(),
                broadcast: Some("10.0.0.255:5255".parse().expect("an address")),
                group: Some("239.192.7.7:5007".parse().expect("an address")),
                deaf_to: 0,
                listens: true,
            };
            pair.input(n, Input::Segment(SegmentChange::Up(segment)));
        }
        pair.run_for(Duration::from_secs(3));
        assert_eq!(pair.nodes[0].peers().count(), 1, "they have met");
        pair.carried = (0, 0);
        pair
    }

    fn input(&mut self, n: usize, input: Input<'_>) {
        self.nodes[n].handle_input(self.now, input);
        self.carry(n);
    }

    /// What a node sends is there at once, and so is what comes of it.
    fn carry(&mut self, n: usize) {
        let (mut flights, mut buf) = (Vec::new(), Vec::new());
        while let Some(output) = self.nodes[n].poll_output(&mut buf) {
            match output {
                Output::Send { cast, .. } => flights.push((cast, buf.clone())),
                Output::Event(Event::Message(_)) => self.delivered += 1,
                _ => {}
            }
        }
        for (cast, bytes) in flights {
            let entries = self.nodes[1 - n].stats().entries;
            let (segment, from) = (SegmentId(1), address(n));
            self.input(1 - n, Input::Datagram { segment, cast, from, ttl: Some(2), bytes: &bytes });
            if cast == Cast::Multicast && self.nodes[1 - n].stats().entries > entries {
                self.carried = (self.carried.0 + bytes.len(), self.carried.1 + 1);
            }
        }
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let next = (0..2).filter_map(|n| Some((self.nodes[n].poll_timeout()?, n))).min();
            let Some((at, n)) = next.filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            self.nodes[n].handle_timeout(self.now);
            self.carry(n);
        }
        self.now = end;
    }

    /// Says all lines, so many at a time, and waits until the other has them.
    fn talk(&mut self, together: usize) -> Duration {
        let line = Line::new(TEXT).expect("short");
        let began = cpu_time();
        let mut said = 0;
        while self.delivered < LINES {
            if said < LINES && self.nodes[0].wants_line() {
                let lines = vec![line.clone(); together.min(LINES - said)];
                said += lines.len();
                self.input(0, Input::Command(Command::Say { lines, wall: WallTime(1) }));
            } else {
                self.run_for(Duration::from_millis(1));
            }
        }
        cpu_time() - began
    }
}

/// What this process took of a core: what else runs on the machine matters little then.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("Linux has it").into()
}

/// Lines a second, bytes that carry a line, and lines in a datagram.
struct Figures {
    rate: f64,
    carried: f64,
    lines: f64,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn measure(kind: Kind, together: usize, best: &mut Option<Figures>) {
    let mut pair = Pair::new(kind);
    let took = pair.talk(together);
    let per_line = |count: usize| count as f64 / LINES as f64;
    let rate = LINES as f64 / took.as_secs_f64();
    if best.as_ref().is_none_or(|best| best.rate < rate) {
        let lines = LINES as f64 / pair.carried.1 as f64;
        *best = Some(Figures { rate, carried: per_line(pair.carried.0), lines });
    }
}

fn main() {
    let kinds = [(Kind::Bare, "neither"), (Kind::Open, "open: signed"), (Kind::Keyed, "keyed: signed, sealed")];
    println!("{LINES} lines of {} bytes from one node to one, in one thread; best of {RUNS}", TEXT.len());
    println!();
    println!("| group | lines a datagram | lines/s of one core | of neither | bytes a line |");
    println!("|---|---|---|---|---|");
    for together in [1, TOGETHER] {
        let mut best = [None, None, None];
        for _ in 0..RUNS {
            for ((kind, _), best) in kinds.iter().zip(&mut best) {
                measure(*kind, together, best);
            }
        }
        let base = best[0].as_ref().map_or(1.0, |figures| figures.rate);
        for ((_, name), figures) in kinds.iter().zip(best.iter().flatten()) {
            let Figures { rate, carried, lines } = figures;
            println!("| {name} | {lines:.1} | {rate:.0} | {:.2} | {carried:.0} |", rate / base);
        }
    }
}

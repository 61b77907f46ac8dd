//! Target `group` and `keyed`: typed messages, right and wrong, validly signed by a member and by copies of members,
//! into a live group, with time, loss, partitions, crashes and commands drawn from the input.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use minicbor::Encoder;
use udpnode::address::{Cast, StreamId};
use udpnode::command::{CastChoice, Command};
use udpnode::node::{Input, SegmentChange, StreamInput};
use udpnode::text::{Line, Nick};
use udpnode::time::WallTime;
use udpnode::wire::header::{Header, Sender};
use udpnode::wire::stream::{PREAMBLE, write_frame};
use udpnode::wire::{DATAGRAM_DOMAIN, kind};

use super::choices::Choices;
use super::shapes::Writer;
use super::speakers::{self, Speakers};
use super::town::{HOSTS, Town, address, entry_domain, segment, sign};

/// Things that one input may do, and the time that it may take in all.
const ACTS_MAX: u64 = 160;
const SPAN_MAX: Duration = Duration::from_secs(20);

/// How much time passes at once, in milliseconds.
const STEPS: [u64; 6] = [1, 4, 20, 70, 250, 800];

/// Now and then, and rarely: with as much as nothing to be heard it takes longer than all else.
const LONG_STEPS: [u64; 2] = [2500, 9000];

/// What is over the header, the sender and the signature of the largest datagram.
const BODY_MAX: usize = 1158 - 128;

struct Play<'a> {
    town: Town,
    choices: Choices<'a>,
    speakers: Speakers,
    keyed: bool,
    span: Duration,
}

/// Plays one input in an open group.
pub(crate) fn open(input: &[u8]) -> u64 {
    play(input, false)
}

/// Plays one input in a keyed group.
pub(crate) fn keyed(input: &[u8]) -> u64 {
    play(input, true)
}

/// Plays one input. Returns how many acts it had.
fn play(input: &[u8], keyed: bool) -> u64 {
    played(input, keyed).0
}

/// Plays one input. Returns how many acts it had, and what came of those who keep to no rules.
pub(crate) fn played(input: &[u8], keyed: bool) -> (u64, BTreeSet<&'static str>) {
    let mut choices = Choices::new(input);
    let head = choices.byte();
    let town = Town::new(keyed, head & 1 == 1, head);
    let mut play = Play { town, choices, speakers: Speakers::new(), keyed, span: Duration::ZERO };
    let answers = head & 2 == 0;
    if head & 4 == 0 {
        play.join();
    }
    let mut acts = 0;
    while acts < ACTS_MAX && !play.choices.is_over() && play.span <= SPAN_MAX {
        play.act();
        acts += 1;
        if answers {
            play.answer();
        }
    }
    play.town.run_for(Duration::from_millis(400));
    if (0..HOSTS).any(|host| play.town.node(host).is_some_and(|node| node.stats().forks > 0)) {
        play.town.came.insert("found out");
    }
    (acts, play.town.came)
}

impl Play<'_> {
    fn act(&mut self) {
        let act = self.choices.byte();
        let host = usize::from(act >> 5) % HOSTS;
        match act & 31 {
            0..=5 => self.pass_time(),
            6..=8 => self.say(host),
            9..=15 => self.inject(host),
            16..=18 => self.inject_entries(host),
            19 => self.replay(host),
            20 => self.change_network(),
            21 => self.command(host),
            22 => self.stream(host),
            23 => self.change_segment(host),
            24 => self.town.crash(host),
            25 => self.town.start(host),
            26 => self.tell(host),
            27 => {
                let ready = self.choices.flip();
                self.town.input(host, Input::Reader { ready });
            }
            28 => {
                self.town.input(host, Input::Resumed);
            }
            29 => {
                let (net, cast, from) = self.place();
                let bytes = self.choices.bytes();
                self.town.arrive(host, net, cast, from, bytes);
            }
            _ => self.look(host),
        }
    }

    fn pass_time(&mut self) {
        let span = Duration::from_millis(match self.choices.byte() {
            step @ 0..=0xEF => STEPS[usize::from(step) % STEPS.len()],
            0xF0..=0xFB => LONG_STEPS[0],
            0xFC.. => LONG_STEPS[1],
        });
        self.span += span;
        self.town.run_for(span);
    }

    fn line(&mut self) -> Line {
        Line::from_peer(&self.choices.text())
    }

    fn wall(&self) -> WallTime {
        WallTime(1_700_000_000_000 + self.town.now.as_micros() / 1000)
    }

    fn say(&mut self, host: usize) {
        let wants = self.town.node(host).is_some_and(|node| node.wants_line());
        let count = 1 + self.choices.below(4);
        let mut lines: Vec<_> = (0..count).map(|_| self.line()).collect();
        if self.choices.rarely() {
            // Longer than a datagram.
            lines.push(Line::from_peer(&"long words ".repeat(400)));
        }
        if wants {
            let wall = self.wall();
            self.town.input(host, Input::Command(Command::Say { lines, wall }));
        }
    }

    fn tell(&mut self, host: usize) {
        let names = ["n0", "n1", "n2", "eve", "n1~", "nobody"];
        let to = Line::from_peer(names[self.choices.below(names.len())]);
        let (text, wall) = (self.line(), self.wall());
        self.town.input(host, Input::Command(Command::Tell { to, text, wall }));
    }

    fn command(&mut self, host: usize) {
        let command = match self.choices.below(12) {
            0 => Command::Nick(Nick::from_any(&self.choices.text())),
            1 => Command::Away(self.choices.flip().then(|| self.line())),
            2 => Command::Cast(CastChoice::Auto),
            3 => Command::Cast(CastChoice::Multicast),
            4 => Command::Cast(CastChoice::Broadcast),
            5 => Command::Cast(CastChoice::Unicast),
            6 => Command::Peers((0..self.choices.below(5)).map(|n| address(n % 2, n)).collect()),
            7 => Command::Examine,
            8 => Command::LineWaiting,
            9 => Command::EndOfInput,
            10 => Command::Quit,
            _ => Command::Plain { to: self.place().2, text: self.line() },
        };
        self.town.input(host, Input::Command(command));
    }

    fn change_network(&mut self) {
        match self.choices.below(5) {
            0 => self.town.loss = self.choices.byte() & 0x7F,
            1 => self.town.cut = u16::from(self.choices.byte()) << 1,
            2 => self.town.blocked = self.choices.byte() & 15,
            3 => self.town.delay_ms = u64::from(self.choices.byte() & 63),
            _ => (self.town.loss, self.town.cut, self.town.blocked, self.town.delay_ms) = (0, 0, 0, 0),
        }
    }

    fn change_segment(&mut self, host: usize) {
        let net = self.choices.below(2);
        match self.choices.below(3) {
            0 => self.town.input(host, Input::Segment(SegmentChange::Down(segment(net, host).id))),
            1 => self.town.plug(host, net),
            _ => {
                let mut other = segment(net, host);
                (other.broadcast, other.group) = (other.broadcast.filter(|_| self.choices.flip()), None);
                other.relays = self.choices.flip();
                self.town.input(host, Input::Segment(SegmentChange::Up(other)));
            }
        }
    }

    /// Where something comes from, and how.
    fn place(&mut self) -> (usize, Cast, SocketAddr) {
        let byte = self.choices.byte();
        let net = usize::from(byte & 1);
        let cast = [Cast::Multicast, Cast::Broadcast, Cast::Unicast, Cast::Multicast][usize::from(byte >> 1 & 3)];
        let from = match byte >> 3 & 7 {
            n @ 0..=4 => address(net, usize::from(n)),
            5 => SocketAddr::from(([192, 0, 2, byte], 7)),
            6 => SocketAddr::from(([10, 0, net as u8, 255], 5255)),
            _ => "[fe80::9%3]:5009".parse().unwrap_or_else(|_| address(0, 9)),
        };
        (net, cast, from)
    }

    /// Who speaks: most often the fourth key, sometimes a copy of a member's, or somebody who has not the key that
    /// he says he has.
    fn speaker(&mut self) -> (usize, bool) {
        match self.choices.byte() {
            0..=0x6F => (HOSTS, false),
            0x70..=0x9F => (HOSTS + 1, false),
            forger @ 0xA0..=0xDF => (usize::from(forger) % HOSTS, true),
            copy => {
                let member = usize::from(copy) % HOSTS;
                self.town.copy(member);
                (member, false)
            }
        }
    }

    /// The signature of a speaker; of a forger that of another key, or over other bytes.
    fn sign(&mut self, speaker: usize, forges: bool, domain: &[u8], bytes: &[u8]) -> [u8; 64] {
        match (forges, self.keyed) {
            (false, _) => sign(&self.speakers.keys[speaker], domain, bytes),
            (true, false) => sign(&self.speakers.keys[HOSTS], domain, bytes),
            (true, true) => sign(&self.speakers.keys[speaker], domain, &bytes[..bytes.len() - 1]),
        }
    }

    fn boot(&mut self, speaker: usize) -> u64 {
        match self.choices.byte() {
            0..=0xDF if speaker < HOSTS => self.town.boot(speaker),
            0..=0xDF => 1,
            _ => self.choices.number(),
        }
    }

    fn inject(&mut self, host: usize) {
        let (net, cast, from) = self.place();
        let (speaker, forges) = self.speaker();
        let boot = self.boot(speaker);
        let kind = self.choices.byte() & 15;
        self.speakers.counters[speaker] += 1;
        let counter = if self.choices.rarely() { self.choices.number() } else { self.speakers.counters[speaker] };
        let sender = Sender { key: self.speakers.keys[speaker], boot, counter };
        let body = speakers::body(&mut self.speakers, &mut self.choices, &self.town, (speaker, boot), kind);
        let body = &body[..body.len().min(BODY_MAX)];
        let mut bytes = speakers::datagram(self.town.keyring.tag(), kind, &sender, body);
        if !forges {
            self.speakers.spoke(from, speaker, boot);
        }
        let signature = self.sign(speaker, forges, DATAGRAM_DOMAIN, &bytes);
        bytes.extend_from_slice(&signature);
        self.deliver(host, net, cast, from, bytes);
    }

    /// Entries of whoever speaks, numbered as it likes.
    fn inject_entries(&mut self, host: usize) {
        let (net, cast, from) = self.place();
        let errand = self.choices.byte() & 7;
        let mut entries = Vec::new();
        for _ in 0..1 + self.choices.below(3) {
            entries.push(self.entry());
        }
        while entries.iter().map(Vec::len).sum::<usize>() > BODY_MAX {
            entries.pop();
        }
        let mut bytes = Vec::new();
        Header { kind: kind::ENTRIES, errand, group_tag: self.town.keyring.tag() }.write(&mut bytes);
        Encoder::new(&mut bytes).array(entries.len() as u64).expect("memory takes everything");
        bytes.extend(entries.concat());
        self.deliver(host, net, cast, from, bytes);
    }

    fn entry(&mut self) -> Vec<u8> {
        let (speaker, forges) = self.speaker();
        let (boot, seq, first) = (self.boot(speaker), self.choices.ordinal(), self.choices.ordinal());
        let count = self.choices.below(6);
        let content = Writer { choices: &mut self.choices, ids: &self.speakers.ids, digests: &[] }.content(count);
        let mut prev = self.speakers.before(speaker, boot, seq, &self.town);
        if self.choices.rarely() {
            prev = [self.choices.byte(); 16];
        }
        let (mut said, mut entry) = (Vec::new(), Vec::new());
        let public = self.speakers.keys[speaker];
        let written = (|| {
            let cbor = &mut Encoder::new(&mut said);
            cbor.map(10)?.u8(0)?.bytes(&public)?.u8(1)?.u64(boot)?.u8(2)?.u64(seq)?;
            cbor.u8(3)?.u64(self.choices.number())?.u8(4)?.str(&self.choices.text())?.u8(5)?.u64(first)?;
            let count = if self.choices.rarely() { self.choices.number() as u32 } else { count as u32 };
            let kind = if self.choices.rarely() { self.choices.byte() } else { 1 };
            cbor.u8(6)?.u32(count)?.u8(7)?.u8(kind)?.u8(8)?.bytes(&content)?.u8(9)?.bytes(&prev)?;
            Ok::<_, minicbor::encode::Error<std::convert::Infallible>>(())
        })();
        written.expect("memory takes everything");
        if !forges {
            self.speakers.said(speaker, boot, seq, &said);
        }
        let signature = self.sign(speaker, forges, entry_domain(self.keyed), &said);
        let cbor = &mut Encoder::new(&mut entry);
        cbor.array(2)
            .and_then(|c| c.bytes(&said))
            .and_then(|c| c.bytes(&signature))
            .map(drop)
            .expect("memory takes everything");
        entry
    }

    /// Seals it where the group has a key, and hands it to one or to all.
    fn deliver(&mut self, host: usize, net: usize, cast: Cast, from: SocketAddr, mut bytes: Vec<u8>) {
        self.town.keyring.seal(&mut bytes, &[1, 2, self.speakers.counters[HOSTS]]);
        if self.choices.flip() {
            (0..HOSTS).for_each(|host| self.town.arrive(host, net, cast, from, &bytes));
        } else {
            self.town.arrive(host, net, cast, from, &bytes);
        }
    }

    /// One of those who keep to no rules joins as anybody does.
    fn join(&mut self) {
        let from = address(0, HOSTS);
        let hello = self.speakers.hello(&self.town.keyring, from);
        (0..HOSTS).for_each(|host| self.town.arrive(host, 0, Cast::Multicast, from, &hello));
        self.answer();
        self.town.run_for(Duration::from_millis(50));
        self.answer();
    }

    /// Whoever is asked whether it lives says so, if it spoke from where it is asked.
    fn answer(&mut self) {
        for stray in std::mem::take(&mut self.town.strays) {
            if let Some(bytes) = self.speakers.answer(&self.town.keyring, stray.to, &stray.bytes) {
                self.town.arrive(stray.host, stray.net, Cast::Unicast, stray.to, &bytes);
            }
        }
    }

    /// Something that was sent before, as it was or with a byte changed, from anywhere.
    fn replay(&mut self, host: usize) {
        let (net, cast, from) = self.place();
        let which = self.choices.below(self.town.overheard.len().max(1));
        let Some(mut bytes) = self.town.overheard.get(which).cloned() else { return };
        if self.choices.flip() && !bytes.is_empty() {
            let at = (self.choices.number() as usize) % bytes.len();
            bytes[at] ^= 1 << (self.choices.byte() & 7);
        }
        self.town.arrive(host, net, cast, from, &bytes);
    }

    fn stream(&mut self, host: usize) {
        let stream = StreamId(1_000_000 + self.choices.below(4) as u64);
        let from = self.place().2;
        let mut bytes = Vec::new();
        let what = match self.choices.below(6) {
            0 | 1 => StreamInput::Accepted(from),
            2 => StreamInput::Closed,
            3 => StreamInput::Connected,
            4 => {
                bytes.extend_from_slice(self.choices.bytes());
                StreamInput::Bytes(&bytes)
            }
            _ => {
                if self.choices.flip() {
                    bytes.extend_from_slice(&PREAMBLE);
                }
                let which = self.choices.below(self.town.overheard.len().max(1));
                if let Some(frame) = self.town.overheard.get(which).filter(|frame| frame.len() < 1 << 16) {
                    write_frame(&mut bytes, frame);
                }
                StreamInput::Bytes(&bytes)
            }
        };
        self.town.input(host, Input::Stream { stream, what });
    }

    /// Asks what a person may ask.
    fn look(&mut self, host: usize) {
        let Some(node) = self.town.node(host) else { return };
        let reach = node.reach();
        assert!(reach.nodes.len() <= 1024, "{} nodes in the picture", reach.nodes.len());
        let _ = udpnode::protocol::diagnosis::diagnose(&node.diagnosable());
        for peer in node.peers() {
            let _ = node.why(&peer.name.label());
        }
    }
}

//! Plain mode: the protocol of the classroom, as a state machine of its own beside [`super::Node`].
//!
//! A datagram is raw text, sent once and never repeated; who is there, what was lost and in which
//! order things were said, nobody knows. Lines are paced, because the only buffer is the kernel's.
//!
//! ```text
//!   ann                         everybody
//!    |-- "ann: Entering user" ---->|
//!    |-- "ann: hi" --------------->|
//!    |<------------- "user2: hi" --|
//!    |-- "ann: quit" ------------->|
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::copies::Copies;
use super::tell::{PLAIN_MAX, is_its, without_line_end};
use super::{Input, Output, SegmentChange};
use crate::address::{Cast, Errand, Segment, SegmentId, towards};
use crate::command::{CastChoice, Command};
use crate::config::PlainConfig;
use crate::event::{Arrival, Event, Outcome};
use crate::stats::Stats;
use crate::text::Line;
use crate::time::Time;
use crate::wire::header::MAGIC;

/// What a person who joins says first.
const GREETING: &str = "Entering user";

/// What a person types to leave, and says last.
const QUIT: &str = "quit";

/// A node in plain mode. Its verbs and their contract are those of [`super::Node`].
#[derive(Debug)]
pub struct PlainNode {
    config: PlainConfig,
    now: Time,
    segments: BTreeMap<SegmentId, Segment>,
    /// When to greet; nothing is said before.
    greet_at: Option<Time>,
    greeted: bool,
    /// Lines that wait for their turn: those of one command, since until they went no more are wanted.
    lines: VecDeque<Line>,
    /// The pace allows no more until then, less [`PlainConfig::pace_lead`].
    busy_until: Time,
    /// Leave when the last line went.
    ending: bool,
    gone: bool,
    sends: VecDeque<Send>,
    events: VecDeque<Event>,
    stats: Stats,
    copies: Copies,
}

/// One datagram and where it still has to go.
#[derive(Debug)]
struct Send {
    bytes: Vec<u8>,
    targets: Vec<(SegmentId, Cast, SocketAddr)>,
    /// What is told once it went to all of them.
    then: Option<Event>,
}

impl PlainNode {
    /// A node that wakes now.
    #[must_use]
    pub fn new(config: PlainConfig, now: Time) -> Self {
        Self {
            config,
            now,
            segments: BTreeMap::new(),
            greet_at: None,
            greeted: false,
            lines: VecDeque::new(),
            busy_until: now,
            ending: false,
            gone: false,
            sends: VecDeque::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            copies: Copies::default(),
        }
    }

    /// Something happened.
    pub fn handle_input(&mut self, now: Time, input: Input<'_>) {
        self.now = self.now.max(now);
        if self.gone {
            return;
        }
        match input {
            Input::Datagram { segment, cast, from, ttl, bytes } => {
                self.on_datagram(Arrival { segment, cast, address: from, ttl, errand: Errand::Said }, bytes);
            }
            Input::Segment(SegmentChange::Up(segment)) => {
                // Those that are told of together are greeted together.
                self.greet_at = self.greet_at.or(Some(self.now));
                self.segments.insert(segment.id, segment);
            }
            Input::Segment(SegmentChange::Down(id)) => drop(self.segments.remove(&id)),
            Input::Command(Command::Say { lines, .. }) if !self.ending => self.lines.extend(lines),
            Input::Command(Command::EndOfInput | Command::Quit) => self.ending = true,
            Input::Command(_) | Input::Survey(_) | Input::Stream { .. } => {}
            Input::Reader { .. } | Input::Resumed => {}
        }
        self.step();
    }

    /// Time passed. Calling early or twice does no harm.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = self.now.max(now);
        if !self.greeted && self.greet_at.is_some_and(|at| at <= self.now) {
            self.greet();
        }
        self.step();
    }

    /// When to call [`PlainNode::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        match (self.gone, self.greeted) {
            (true, _) => None,
            (false, false) => self.greet_at,
            (false, true) => (!self.lines.is_empty()).then(|| self.busy_until - self.config.pace_lead),
        }
    }

    /// The next thing to do. Where something is to be sent, `buf` then holds the bytes.
    pub fn poll_output(&mut self, buf: &mut Vec<u8>) -> Option<Output> {
        while let Some(send) = self.sends.front_mut() {
            if let Some((segment, cast, to)) = send.targets.pop() {
                buf.clear();
                buf.extend_from_slice(&send.bytes);
                self.stats.sent += 1;
                self.stats.sent_bytes += buf.len() as u64;
                self.stats.casts += u64::from(cast != Cast::Unicast);
                let near = self.segments.get(&segment).is_none_or(|on| on.contains(to.ip()));
                return Some(match cast {
                    Cast::Unicast if !near => Output::SendBeyond { segment, to },
                    _ => Output::Send { segment, cast, to },
                });
            }
            if let Some(event) = self.sends.pop_front().and_then(|send| send.then) {
                return Some(Output::Event(event));
            }
        }
        self.events.pop_front().map(Output::Event)
    }

    /// While false, leave the next line in the pipe.
    #[must_use]
    pub fn wants_line(&self) -> bool {
        self.greeted && self.lines.is_empty() && !self.ending && !self.gone
    }

    /// The counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What we are called, by ourselves.
    #[must_use]
    pub fn label(&self) -> String {
        self.config.name.as_ref().map_or_else(|| "me".into(), ToString::to_string)
    }

    fn on_datagram(&mut self, arrival: Arrival, bytes: &[u8]) {
        self.stats.heard += 1;
        self.stats.heard_bytes += bytes.len() as u64;
        if self.segments.values().any(|segment| is_its(segment, arrival.address)) {
            self.stats.echoes += 1;
            return;
        }
        let text = Line::from_bytes(without_line_end(bytes)).ok();
        let Some(text) = text.filter(|_| !bytes.is_empty() && !bytes.starts_with(&MAGIC)) else {
            self.stats.plain_hidden += 1;
            return;
        };
        let there: Vec<_> = self.segments.keys().copied().collect();
        if self.copies.is_copy(self.now, &there, &arrival, bytes) {
            return;
        }
        self.stats.plain += 1;
        let leaves = self.is_leave_word(&text);
        self.events.push_back(Event::Plain { arrival, text });
        if leaves {
            self.leave();
        }
    }

    /// Says what is due, and leaves after the last line.
    fn step(&mut self) {
        while !self.gone && self.greeted && self.busy_until <= self.now + self.config.pace_lead {
            let Some(line) = self.lines.pop_front() else { break };
            self.say(&line);
        }
        if self.ending && self.lines.is_empty() {
            self.leave();
        }
    }

    fn say(&mut self, line: &Line) {
        if without_name(line.as_str()) == QUIT {
            return self.leave();
        }
        let bytes = self.named(line.as_str());
        let len = bytes.len();
        if len > PLAIN_MAX {
            let text =
                format!("not sent: a datagram holds at most {PLAIN_MAX} bytes, and this line makes one of {len}");
            return self.events.push_back(Event::Refused(text));
        }
        let cost = self.config.pace_each.max(self.config.pace_each_kib * u32::try_from(len / 1024).unwrap_or(u32::MAX));
        self.busy_until = self.busy_until.max(self.now) + cost;
        if !self.send(bytes, Some(Event::PlainSent(line.clone()))) {
            let text = format!("not sent: no network to reach anybody by {}", self.config.cast);
            return self.events.push_back(Event::Refused(text));
        }
        // Whoever says it leaves with all the others.
        if self.is_leave_word(line) {
            self.leave();
        }
    }

    /// What is said, as it goes out.
    fn named(&self, text: &str) -> Vec<u8> {
        match &self.config.name {
            Some(name) => format!("{name}: {text}").into_bytes(),
            None => text.as_bytes().to_vec(),
        }
    }

    fn greet(&mut self) {
        self.greeted = true;
        self.send_as_somebody(GREETING);
    }

    /// Says so and is gone. Lines that wait are not said any more.
    fn leave(&mut self) {
        if self.gone {
            return;
        }
        self.lines.clear();
        if self.greeted {
            self.send_as_somebody(QUIT);
        }
        self.gone = true;
        self.events.push_back(Event::Done(Outcome::Complete));
    }

    /// What only those say who have a name.
    fn send_as_somebody(&mut self, text: &str) {
        if self.config.name.is_some() {
            // Nobody can be reached: there is nobody to greet.
            let _ = self.send(self.named(text), None);
        }
    }

    /// Sends something, and `then` says so. False if there is nowhere to send it to.
    fn send(&mut self, bytes: Vec<u8>, then: Option<Event>) -> bool {
        let targets = self.targets();
        let reaches = !targets.is_empty();
        if reaches {
            self.sends.push_back(Send { bytes, targets, then });
        }
        reaches
    }

    fn targets(&self) -> Vec<(SegmentId, Cast, SocketAddr)> {
        let segments = self.segments.values();
        match self.config.cast {
            CastChoice::Unicast => {
                let to = self.config.dest;
                let segment = to.and_then(|to| towards(segments, to));
                segment.zip(to).map(|(segment, to)| (segment.id, Cast::Unicast, to)).into_iter().collect()
            }
            CastChoice::Broadcast => self.casts(Cast::Broadcast),
            CastChoice::Auto | CastChoice::Multicast => self.casts(Cast::Multicast),
        }
    }

    /// One cast on each network: where several segments are one, on the first of them.
    fn casts(&self, cast: Cast) -> Vec<(SegmentId, Cast, SocketAddr)> {
        let mut chosen: Vec<(&Segment, SocketAddr)> = Vec::new();
        for segment in self.segments.values() {
            let Some(to) = segment.goes_to(cast) else { continue };
            if !chosen.iter().any(|&(other, there)| there == to && self.copies.are_one(other, segment)) {
                chosen.push((segment, to));
            }
        }
        chosen.into_iter().map(|(segment, to)| (segment.id, cast, to)).collect()
    }

    fn is_leave_word(&self, text: &Line) -> bool {
        let word = self.config.leave_word.as_ref();
        word.is_some_and(|word| word == text || word.as_str() == without_name(text.as_str()))
    }
}

/// What is said, without who says it: `ann: hi` is `hi`. Names are one word.
fn without_name(text: &str) -> &str {
    match text.split_once(": ") {
        Some((name, said)) if !name.is_empty() && !name.contains(char::is_whitespace) => said,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Nick;
    use crate::time::WallTime;
    use std::time::Duration;

    fn config(name: &str, cast: CastChoice) -> PlainConfig {
        let group = "224.1.1.1:5007".parse().expect("an address");
        PlainConfig { cast, ..PlainConfig::new(Nick::new(name).ok(), group) }
    }

    fn segment(id: u32) -> Segment {
        let ip = format!("10.0.{id}");
        let at = |last: &str| format!("{ip}.{last}").parse().expect("an address");
        Segment {
            id: SegmentId(id),
            name: format!("eth{id}"),
            broadcast: Some(at("255:5255")),
            group: Some("224.1.1.1:5007".parse().expect("an address")),
            ..Segment::eth0(&format!("{ip}.3:5003"))
        }
    }

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    /// What comes out: `cast>to text` for what is sent, else the event in short.
    fn drain(node: &mut PlainNode) -> Vec<String> {
        let mut buf = Vec::new();
        let mut out = Vec::new();
        while let Some(output) = node.poll_output(&mut buf) {
            out.push(match output {
                Output::Send { cast, to, .. } => format!("{cast}>{to} {}", String::from_utf8_lossy(&buf)),
                Output::Event(Event::Plain { text, .. }) => format!("shown {text}"),
                Output::Event(Event::PlainSent(text)) => format!("sent {text}"),
                Output::Event(Event::Refused(why)) => format!("refused {why}"),
                Output::Event(Event::Done(outcome)) => format!("done {outcome:?}"),
                other => format!("{other:?}"),
            });
        }
        out
    }

    /// A node on one segment that has greeted.
    fn joined(config: PlainConfig) -> PlainNode {
        let mut node = PlainNode::new(config, at(0));
        assert!(!node.wants_line() && node.poll_timeout().is_none());
        node.handle_input(at(0), Input::Segment(SegmentChange::Up(segment(1))));
        node.handle_timeout(at(0));
        assert!(node.wants_line() && node.poll_timeout().is_none());
        node
    }

    #[test]
    fn two_interfaces_on_one_network_say_and_show_a_thing_once() {
        let mut node = PlainNode::new(config("ann", CastChoice::Auto), at(0));
        let other = Segment { id: SegmentId(2), address: "10.0.1.33:5033".parse().expect("an address"), ..segment(1) };
        for segment in [segment(1), other] {
            node.handle_input(at(0), Input::Segment(SegmentChange::Up(segment)));
        }
        node.handle_timeout(at(0));
        assert_eq!(drain(&mut node), ["multicast>224.1.1.1:5007 ann: Entering user"]);
        let (from, bytes) = ("10.0.1.4:5004".parse().expect("an address"), b"bob: hi");
        for segment in [1, 2].map(SegmentId) {
            node.handle_input(at(9), Input::Datagram { segment, cast: Cast::Multicast, from, ttl: None, bytes });
        }
        assert_eq!(drain(&mut node), ["shown bob: hi"]);
    }

    fn say(node: &mut PlainNode, now: Time, lines: &[&str]) {
        let lines = lines.iter().map(|text| Line::new(text).expect("short")).collect();
        node.handle_input(now, Input::Command(Command::Say { lines, wall: WallTime(0) }));
    }

    fn hear(node: &mut PlainNode, from: &str, bytes: &[u8]) {
        let from = from.parse().expect("an address");
        node.handle_input(
            at(9),
            Input::Datagram { segment: SegmentId(1), cast: Cast::Multicast, from, ttl: None, bytes },
        );
    }

    #[test]
    fn enters_says_and_quits_by_the_chosen_cast() {
        for (cast, to) in [
            (CastChoice::Auto, "multicast>224.1.1.1:5007"),
            (CastChoice::Multicast, "multicast>224.1.1.1:5007"),
            (CastChoice::Broadcast, "broadcast>10.0.1.255:5255"),
            (CastChoice::Unicast, "unicast>10.0.1.9:5009"),
        ] {
            let dest = Some("10.0.1.9:5009".parse().expect("an address"));
            let mut node = joined(PlainConfig { dest, ..config("ann", cast) });
            assert_eq!(drain(&mut node), [format!("{to} ann: Entering user")]);
            say(&mut node, at(1), &["hi", "", "quit", "never"]);
            let [hi, nothing, quit] = [" ann: hi", " ann: ", " ann: quit"].map(|text| format!("{to}{text}"));
            // What is sent is told of once it was handed to the network.
            let expected = [&hi, "sent hi", &nothing, "sent ", &quit, "done Complete"];
            assert_eq!(drain(&mut node), expected);
            assert!(!node.wants_line() && node.poll_timeout().is_none());
        }
    }

    #[test]
    fn without_a_name_lines_are_bare_and_nobody_enters_or_quits() {
        let mut node = joined(config("", CastChoice::Auto));
        say(&mut node, at(1), &["hi"]);
        node.handle_input(at(1), Input::Command(Command::EndOfInput));
        assert_eq!(drain(&mut node), ["multicast>224.1.1.1:5007 hi", "sent hi", "done Complete"]);
    }

    #[test]
    fn all_segments_that_are_there_at_first_are_greeted_once() {
        let mut node = PlainNode::new(config("ann", CastChoice::Broadcast), at(0));
        for id in [1, 2] {
            node.handle_input(at(0), Input::Segment(SegmentChange::Up(segment(id))));
        }
        assert_eq!(node.poll_timeout(), Some(at(0)));
        node.handle_timeout(at(0));
        assert_eq!(drain(&mut node).len(), 2);
        node.handle_input(at(5), Input::Segment(SegmentChange::Down(SegmentId(1))));
        node.handle_input(at(6), Input::Segment(SegmentChange::Up(segment(3))));
        node.handle_timeout(at(7));
        assert_eq!(drain(&mut node), Vec::<String>::new());
    }

    #[test]
    fn what_arrives_is_shown_as_it_is_but_for_controls() {
        let mut node = joined(config("ann", CastChoice::Auto));
        drain(&mut node);
        for (bytes, shown) in [
            (&b"user2: hi\n"[..], "shown user2: hi"),
            (b"dos\r\n", "shown dos"),
            (b"two\n\n", "shown two\u{240A}"),
            (b"\n", "shown "),
            (b"\x1b[2J\xFF", "shown \u{241B}[2J\u{FFFD}"),
            (b"user2: quit", "shown user2: quit"),
        ] {
            hear(&mut node, "10.0.1.4:40000", bytes);
            assert_eq!(drain(&mut node), [shown]);
        }
        // Native datagrams, empty ones, and our own that came back.
        for (from, bytes) in
            [("10.0.1.4:5004", &b"\xFFudn\x01\x01"[..]), ("10.0.1.4:5004", b""), ("10.0.1.3:5003", b"me")]
        {
            hear(&mut node, from, bytes);
            assert_eq!(drain(&mut node), Vec::<String>::new());
        }
        assert_eq!((node.stats.plain_hidden, node.stats.echoes, node.stats.plain), (2, 1, 6));
    }

    #[test]
    fn at_the_leave_word_everybody_leaves() {
        let config = || PlainConfig { leave_word: Line::new("Adiós").ok(), ..config("ann", CastChoice::Auto) };
        for word in ["Adiós", "user2: Adiós", "user2: Adiós\n"] {
            let mut node = joined(config());
            drain(&mut node);
            hear(&mut node, "10.0.1.4:40000", word.as_bytes());
            assert_eq!(drain(&mut node)[0], "multicast>224.1.1.1:5007 ann: quit");
            assert!(node.gone, "{word}");
        }
        let mut node = joined(config());
        for other in ["adiós", "Adiós.", "Adiós a todos", "the word: Adiós", "user2: not: Adiós", "quit", "user2: quit"]
        {
            hear(&mut node, "10.0.1.4:40000", other.as_bytes());
            assert!(!node.gone, "{other}");
        }
        drain(&mut node);
        say(&mut node, at(1), &["Adiós"]);
        let told = drain(&mut node);
        let to = "multicast>224.1.1.1:5007 ann:";
        assert_eq!(told[..3], [format!("{to} Adiós"), "sent Adiós".into(), format!("{to} quit")]);
    }

    #[test]
    fn the_longest_datagram_goes_and_a_longer_one_is_refused() {
        let mut node = joined(config("ann", CastChoice::Auto));
        drain(&mut node);
        let text = "x".repeat(PLAIN_MAX - "ann: ".len());
        say(&mut node, at(1), &[&text]);
        assert_eq!(drain(&mut node)[0].len(), "multicast>224.1.1.1:5007 ".len() + PLAIN_MAX);
        say(&mut node, at(100), &[&format!("{text}x"), "next"]);
        let told = drain(&mut node);
        assert!(told[0].ends_with("ann: next") && told[1] == "sent next" && told[2].starts_with("refused not sent"));
    }

    #[test]
    fn what_goes_beyond_every_network_was_sent_by_the_first_segment_whatever_the_system_knew() {
        for (dest, beyond) in [("10.0.1.9:5009", false), ("10.9.0.9:5009", true)] {
            let dest = dest.parse().ok();
            let mut node = joined(PlainConfig { dest, ..config("ann", CastChoice::Unicast) });
            let sent = drain(&mut node).concat();
            assert_eq!(sent.starts_with("SendBeyond"), beyond, "{sent}");
        }
    }

    #[test]
    fn without_a_network_a_line_is_refused_aloud() {
        let mut node = joined(config("ann", CastChoice::Auto));
        drain(&mut node);
        node.handle_input(at(1), Input::Segment(SegmentChange::Down(SegmentId(1))));
        say(&mut node, at(2), &["hi"]);
        assert!(drain(&mut node)[0].starts_with("refused not sent: no network"));
    }

    #[test]
    fn many_lines_go_at_a_pace_and_in_order() {
        let mut node = joined(config("", CastChoice::Auto));
        let lines: Vec<String> = (0..250).map(|n| n.to_string()).collect();
        say(&mut node, at(10), &lines.iter().map(String::as_str).collect::<Vec<_>>());
        node.handle_input(at(10), Input::Command(Command::EndOfInput));
        let (mut now, mut sent) = (at(10), Vec::new());
        loop {
            let told = drain(&mut node);
            let burst: Vec<_> = told.iter().filter_map(|told| told.strip_prefix("sent ").map(str::to_owned)).collect();
            assert!(burst.len() <= 5, "{}", burst.len());
            sent.extend(burst);
            let Some(at) = node.poll_timeout() else { break };
            assert!(at > now, "a timeout is later than the last");
            now = at;
            node.handle_timeout(now);
        }
        assert_eq!(sent, lines);
        let least = node.config.pace_each * 240;
        assert!(now.since(at(10)) >= least && now.since(at(10)) < least + Duration::from_millis(10));
        assert!(node.gone);
    }

    #[test]
    fn long_lines_go_slower() {
        let mut node = joined(config("", CastChoice::Auto));
        say(&mut node, at(10), &["x".repeat(60_000).as_str(), "y"]);
        assert_eq!(drain(&mut node).len(), 2);
        assert!(node.poll_timeout().is_some_and(|next| next > at(15)));
    }
}

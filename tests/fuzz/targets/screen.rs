//! Target `screen`: text of a peer, by every road there is, into a terminal: it sees printable text and our own few
//! sequences, and its modes, its title and the prompt are as they were.

use std::num::NonZero;
use std::time::Duration;

use minicbor::Encoder;
use udpnode::address::Cast;
use udpnode::command::{Typed, parse};
use udpnode::crypto::open_group_tag;
use udpnode::event::Event;
use udpnode::node::{Input, Node, Output, SegmentChange};
use udpnode::runtime::foreign::{Told, answered, client_is_told, reply, shown};
use udpnode::text::Line;
use udpnode::time::Time;
use udpnode::wire::body::NO_DIGEST;
use udpnode::wire::header::{Header, Sender};
use udpnode::wire::{DATAGRAM_DOMAIN, Datagram, Message, kind};

use super::choices::Choices;
use super::town::{address, entry_domain, group, key, node, segment, sign};

/// What somebody types while all this comes.
const TYPED: &str = "half a line";

/// The window.
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// Zero-width characters that may stand in a row.
const MARKS_MAX: usize = 4;

/// Complains of whatever a terminal is told besides text.
pub(crate) struct Watcher;

impl vt100::Callbacks for Watcher {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        panic!("the bell");
    }
    fn resize(&mut self, _: &mut vt100::Screen, _: (u16, u16)) {
        panic!("another size");
    }
    fn set_window_icon_name(&mut self, _: &mut vt100::Screen, _: &[u8]) {
        panic!("another icon");
    }
    fn set_window_title(&mut self, _: &mut vt100::Screen, _: &[u8]) {
        panic!("another title");
    }
    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], _: &[u8]) {
        panic!("the clipboard");
    }
    fn paste_from_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8]) {
        panic!("the clipboard");
    }
    fn unhandled_char(&mut self, _: &mut vt100::Screen, c: char) {
        panic!("the control {c:?}");
    }
    fn unhandled_control(&mut self, _: &mut vt100::Screen, byte: u8) {
        panic!("the control {byte:02x}");
    }
    fn unhandled_escape(&mut self, _: &mut vt100::Screen, _: Option<u8>, _: Option<u8>, byte: u8) {
        panic!("the sequence {byte:02x}");
    }
    fn unhandled_csi(&mut self, _: &mut vt100::Screen, _: Option<u8>, _: Option<u8>, _: &[&[u16]], c: char) {
        panic!("the sequence {c}");
    }
    fn unhandled_osc(&mut self, _: &mut vt100::Screen, _: &[&[u8]]) {
        panic!("a string");
    }
}

/// Texts that one input has: three of each of three hellos, two of an entry, one that is no message, and all of it.
const TEXTS: u64 = 13;

/// Runs one input: texts behind their lengths.
pub(crate) fn run(input: &[u8]) -> u64 {
    let mut choices = Choices::new(input);
    let keyed = false;
    let mut ann = node(0, 1, keyed, 1);
    ann.handle_input(Time::ZERO, Input::Segment(SegmentChange::Up(segment(0, 0))));
    let mut events = drain(&mut ann);
    let now = Time::from_micros(900_000);
    let hear = |ann: &mut Node, now: Time, cast: Cast, bytes: &[u8]| {
        let (segment, from) = (segment(0, 0).id, address(0, 3));
        ann.handle_input(now, Input::Datagram { segment, cast, from, ttl: Some(2), bytes });
    };
    let said = said(&mut choices);
    for (cast, bytes) in &said[..2] {
        hear(&mut ann, now, *cast, bytes);
        events.extend(drain(&mut ann));
    }
    let now = now + Duration::from_millis(100);
    ann.handle_timeout(now);
    for challenge in challenges(&mut ann, &mut events) {
        let answer = written(|cbor| cbor.map(2)?.u8(0)?.u8(0)?.u8(1)?.u64(challenge).map(drop));
        hear(&mut ann, now, Cast::Unicast, &signed(kind::ANSWER, 3, &answer));
        events.extend(drain(&mut ann));
    }
    for (cast, bytes) in &said[2..] {
        hear(&mut ann, now, *cast, bytes);
        events.extend(drain(&mut ann));
    }
    assert!(events.len() >= 3, "a peer came, or somebody spoke: {events:?}");
    judge(&events, &ann, input.iter().map(|&byte| usize::from(byte)).sum());
    let line = Line::from_peer(&String::from_utf8_lossy(input));
    assert!(safe(line.as_str()), "{line:?}");
    assert_eq!(Line::from_peer(line.as_str()), line, "made safe twice it is the same");
    assert!(safe(&reply(&String::from_utf8_lossy(input)).replace('\n', "")));
    TEXTS
}

/// What a node asks of whoever says hello, to believe that it lives.
fn challenges(node: &mut Node, events: &mut Vec<Event>) -> Vec<u64> {
    let (mut buf, mut asked) = (Vec::new(), Vec::new());
    while let Some(output) = node.poll_output(&mut buf) {
        match output {
            Output::Event(event) => events.push(event),
            Output::Send { .. } => {
                if let Some(Message::Probe(probe)) = Datagram::parse(&buf).ok().and_then(|told| told.message().ok()) {
                    asked.extend(probe.challenge);
                }
            }
            Output::SendBeyond { .. } | Output::Stream { .. } | Output::Rejoin { .. } => {}
        }
    }
    asked
}

/// What somebody says, with its own texts wherever there may be one.
fn said(choices: &mut Choices<'_>) -> Vec<(Cast, Vec<u8>)> {
    let hello = |n: u64, choices: &mut Choices<'_>| signed(kind::HELLO, n, &hello(choices));
    let (first, second) = (hello(1, choices), hello(2, choices));
    let (entry, third) = (entries(choices), hello(4, choices));
    let plain = choices.rest().to_vec();
    vec![
        (Cast::Multicast, first),
        (Cast::Broadcast, second),
        (Cast::Multicast, entry),
        (Cast::Broadcast, third),
        (Cast::Unicast, plain),
        // A version that we do not speak.
        (Cast::Unicast, b"\xFFudn\x07".to_vec()),
    ]
}

fn signed(kind: u8, counter: u64, body: &[u8]) -> Vec<u8> {
    let eve = key(3);
    let mut bytes = Vec::new();
    Header { kind, errand: 0, group_tag: open_group_tag(group()) }.write(&mut bytes);
    Sender { key: eve, boot: 1, counter }.write(&mut bytes);
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(&sign(&eve, DATAGRAM_DOMAIN, &bytes));
    bytes
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn written(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Written) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Encoder::new(&mut bytes)).expect("memory takes everything");
    bytes
}

/// A text that fits a datagram beside others.
fn text(choices: &mut Choices<'_>) -> String {
    let mut text = choices.text();
    text.truncate(text.floor_char_boundary(300));
    text
}

fn hello(choices: &mut Choices<'_>) -> Vec<u8> {
    let (nick, interface, away) = (text(choices), text(choices), text(choices));
    written(|cbor| {
        cbor.map(8)?.u8(0)?.str(&nick)?.u8(1)?.u8(0)?.u8(2)?.u32(2000)?.u8(3)?.u64(1)?.u8(4)?.u64(0)?;
        cbor.u8(5)?.array(0)?.u8(6)?.str(&interface)?.u8(12)?.str(&away)?;
        Ok(())
    })
}

fn entries(choices: &mut Choices<'_>) -> Vec<u8> {
    let eve = key(3);
    let (nick, line) = (text(choices), text(choices));
    let body = written(|cbor| cbor.map(1)?.u8(0)?.array(1)?.str(&line).map(drop));
    let entry = written(|cbor| {
        cbor.map(10)?.u8(0)?.bytes(&eve)?.u8(1)?.u64(1)?.u8(2)?.u64(1)?.u8(3)?.u64(1_800_000_000_000)?;
        cbor.u8(4)?.str(&nick)?.u8(5)?.u64(1)?.u8(6)?.u32(1)?.u8(7)?.u8(1)?.u8(8)?.bytes(&body)?;
        cbor.u8(9)?.bytes(&NO_DIGEST)?;
        Ok(())
    });
    let signature = sign(&eve, entry_domain(false), &entry);
    let mut bytes = Vec::new();
    Header { kind: kind::ENTRIES, errand: 0, group_tag: open_group_tag(group()) }.write(&mut bytes);
    bytes.extend(written(|cbor| cbor.array(1)?.array(2)?.bytes(&entry)?.bytes(&signature).map(drop)));
    bytes
}

/// What a person is told, and everything that may be asked: each question in one of its forms, another for each `turn`.
pub(crate) fn judge(events: &[Event], node: &Node, turn: usize) {
    let mut terminal = Terminal::new();
    terminal.takes(&shown(Told::Prompt, events, Some(node), TYPED));
    terminal.has_its_prompt();
    plain(&shown(Told::Text, events, None, ""));
    json(&shown(Told::Json, events, Some(node), ""));
    for event in events {
        json(&client_is_told(event).unwrap_or_default());
    }
    let mut questions = vec![Typed::Who, Typed::Doctor(None), Typed::Paths { dot: false }, Typed::Paths { dot: true }];
    for peer in node.peers() {
        questions.extend(parse(&format!("/why {}", peer.name.label())));
        questions.extend(parse(&format!("/doctor {}", peer.name.label())));
    }
    for (n, question) in questions.iter().enumerate() {
        match (turn + n) % 3 {
            0 => terminal.takes(&answered(Told::Prompt, node, question)),
            1 => plain(&answered(Told::Text, node, question)),
            _ => json(&answered(Told::Json, node, question)),
        }
    }
    terminal.is_as_it_was();
}

/// Lines without any sequence.
fn plain(lines: &str) {
    assert!(lines.split('\n').all(safe), "{lines:?}");
}

/// Lines of JSON, safe on a terminal as they stand.
fn json(lines: &str) {
    for line in lines.lines() {
        assert!(safe(line) && !line.contains('\t'), "{line:?}");
        let read = serde_json::from_str::<serde_json::Value>(line);
        assert!(read.is_ok_and(|value| value.is_object()), "{line:?}");
    }
}

/// A terminal that takes our own sequences and safe text, which leave it as it was.
struct Terminal(vt100::Parser<Watcher>);

impl Terminal {
    fn new() -> Self {
        let size = |n| NonZero::new(n).expect("not nothing");
        Self(vt100::Parser::new_with_callbacks(size(ROWS), size(COLUMNS), 0, Watcher))
    }

    fn takes(&mut self, output: &str) {
        plain(&ours_taken_out(output));
        self.0.process(as_terminals_do(output).as_bytes());
    }

    fn has_its_prompt(&self) {
        let (row, column) = self.0.screen().cursor_position();
        let expected = format!("> {TYPED}");
        assert_eq!(usize::from(column), expected.len(), "the cursor");
        assert_eq!(self.0.screen().rows(0, COLUMNS).nth(row.into()), Some(expected), "the prompt");
    }

    fn is_as_it_was(&self) {
        let screen = self.0.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste(), "modes");
        assert!(!screen.application_keypad() && !screen.application_cursor(), "modes");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert!(!screen.bold() && !screen.inverse() && !screen.underline());
        assert_eq!(screen.fgcolor(), vt100::Color::Default);
    }
}

/// The model of a terminal does not show U+FFFD; terminals do, in one column. It cannot be told not to wrap either.
pub(crate) fn as_terminals_do(output: &str) -> String {
    output.replace('\u{FFFD}', "?").replace("\x1b[?7l", "").replace("\x1b[?7h", "")
}

/// The text without `CR`, erasing to the end of the line, wrapping or not, and colours.
fn ours_taken_out(output: &str) -> String {
    let mut text = String::with_capacity(output.len());
    let mut rest = output;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\x1b' {
            text.extend((c != '\r').then_some(c));
            continue;
        }
        let sequence = rest.strip_prefix('[').expect("a sequence of ours");
        if let Some(tail) = sequence.strip_prefix("?7l").or_else(|| sequence.strip_prefix("?7h")) {
            rest = tail;
            continue;
        }
        let digits = sequence.len() - sequence.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = sequence.split_at(digits);
        let ours = match tail.chars().next() {
            Some('K') => number.is_empty(),
            Some('m') => matches!(number, "0" | "" | "2" | "31" | "32" | "33" | "35"),
            _ => false,
        };
        assert!(ours, "{sequence:?}");
        rest = &tail[1..];
    }
    text
}

/// Whether a terminal shows a text as text: an opinion of its own, not that of `text.rs`.
pub(crate) fn safe(text: &str) -> bool {
    let mut marks = 0;
    let loose = ["\u{200C}\u{200D}", "\u{200D}\u{200C}", "\u{200D}\u{200D}", "\u{200D} ", "\u{200C} "];
    !loose.iter().any(|pair| text.contains(pair))
        && text.chars().all(|c| {
            let hidden = match c {
                '\t' => false,
                '\0'..='\x1f' | '\x7f'..='\u{9f}' => true,
                // Line ends, directions, what joins words, what only hides, what annotates.
                '\u{2028}' | '\u{2029}' | '\u{200E}' | '\u{200F}' | '\u{61C}' | '\u{202A}'..='\u{202E}' => true,
                '\u{2060}'..='\u{206F}' | '\u{200B}' | '\u{FEFF}' | '\u{AD}' | '\u{34F}' | '\u{FFF0}'..='\u{FFFB}' => {
                    true
                }
                '\u{E0000}'..='\u{E0FFF}' | '\u{3164}' | '\u{FFA0}' => true,
                // Noncharacters.
                c => c as u32 & 0xFFFE == 0xFFFE || ('\u{FDD0}'..='\u{FDEF}').contains(&c),
            };
            let wide = unicode_width::UnicodeWidthChar::width(c) != Some(0);
            marks = if wide { 0 } else { marks + 1 };
            !hidden && marks <= MARKS_MAX
        })
}

fn drain(node: &mut Node) -> Vec<Event> {
    let (mut buf, mut events) = (Vec::new(), Vec::new());
    while let Some(output) = node.poll_output(&mut buf) {
        if let Output::Event(event) = output {
            events.push(event);
        }
    }
    events
}

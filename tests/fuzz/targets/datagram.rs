//! Target `datagram`: datagrams of any bytes, by any cast, into the parser, the printer and a live node.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use udpnode::address::Cast;
use udpnode::config::SEALED_MAX;
use udpnode::crypto::Keyring;
use udpnode::node::{Input, Node, Output, SegmentChange};
use udpnode::time::Time;
use udpnode::wire::body::{self, Text};
use udpnode::wire::dump::dump;
use udpnode::wire::header::{Header, Sender};
use udpnode::wire::{Datagram, Message, encode, parse_entry};

use super::choices::Choices;
use super::town::{address, config, group, node, segment};

/// Datagrams that may come of one that nobody signed.
const SENDS_MAX: usize = 16;

/// Datagrams that one input may have. Until two nodes know each other takes as long as many of them.
const DATAGRAMS_MAX: u64 = 64;

/// The longest of several, in units of eight bytes: no longer than one alone may be.
const LONGEST: u8 = 187;

/// Runs one input: one datagram, or several that each say how long they are.
pub(crate) fn run(input: &[u8]) -> u64 {
    let mut choices = Choices::new(input);
    let head = choices.byte();
    let keyed = head & 1 == 1;
    let secrets = config("", keyed).secrets;
    let keyring = Keyring::new(&secrets, group());
    let mut node = acquainted(keyed);
    let mut now = Time::from_micros(400_000);
    if head & SEVERAL == 0 {
        hear(&mut node, now, head, &keyring, choices.rest());
        return 1;
    }
    let mut heard = 0;
    while heard < DATAGRAMS_MAX && !choices.is_over() {
        let (head, eights, odd) = (choices.byte(), choices.byte(), choices.byte());
        let bytes = choices.take(usize::from(eights.min(LONGEST)) * 8 + usize::from(odd & 7));
        hear(&mut node, now, head, &keyring, bytes);
        heard += 1;
        // The other is not lost meanwhile, and whoever may say only so much may say more.
        now = now + Duration::from_millis(u64::from(odd >> 3));
    }
    heard
}

/// In the first byte: several datagrams follow.
const SEVERAL: u8 = 8;

/// A node hears this, twice, however the head says.
fn hear(node: &mut Node, mut now: Time, head: u8, keyring: &Keyring, rest: &[u8]) {
    let bytes = datagram(head, keyring, rest);
    read(&bytes);
    // What proves itself is not for this target: here nobody can sign.
    let from: SocketAddr = if head & 16 == 0 { address(0, 1) } else { address(0, 7) };
    let cast = [Cast::Multicast, Cast::Broadcast, Cast::Unicast][usize::from(head >> 5) % 3];
    let before = node.stats().heard;
    let (mut sends, mut sent) = (0, 0);
    for _ in 0..2 {
        let input = Input::Datagram { segment: segment(0, 0).id, cast, from, ttl: Some(1), bytes: &bytes };
        node.handle_input(now, input);
        let (count, len) = drain(node);
        (sends, sent) = (sends + count, sent + len);
        now = now + Duration::from_micros(1);
    }
    assert_eq!(node.stats().heard, before + 2, "each is counted");
    assert!(sends <= SENDS_MAX, "{sends} datagrams of {sent} bytes come of one");
    node.handle_timeout(now + Duration::from_micros(10));
    drain(node);
}

/// The bytes of the input; as the input has it behind a header of ours, or sealed.
fn datagram(head: u8, keyring: &Keyring, rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if head & 2 != 0 {
        let kind = rest.first().copied().unwrap_or(0) & 31;
        Header { kind, errand: 0, group_tag: keyring.tag() }.write(&mut bytes);
        bytes.extend_from_slice(rest.get(1..).unwrap_or_default());
    } else {
        bytes.extend_from_slice(rest);
    }
    if head & 4 != 0 && bytes.len() >= 16 && bytes.len() + 42 <= SEALED_MAX {
        keyring.seal(&mut bytes, &[0; 3]);
    }
    bytes
}

/// Reads everything there is to read, and writes again what can be read.
fn read(bytes: &[u8]) {
    let shown = dump(bytes);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    let Ok(datagram) = Datagram::parse(bytes) else { return };
    for raw in datagram.entries().unwrap_or_default() {
        if let Ok(entry) = parse_entry(raw) {
            let _ = body::decode::<Text>(entry.entry.body);
        }
    }
    let Ok(message) = datagram.message() else { return };
    let sender = datagram.signed.as_ref().map_or(Sender { key: [0; 32], boot: 0, counter: 0 }, |signed| signed.sender);
    let mut again = Vec::new();
    encode(&mut again, datagram.header.group_tag, &sender, &message, |_| [0; 64]);
    let read: Option<Message> = Datagram::parse(&again).ok().and_then(|datagram| datagram.message().ok());
    // Written shorter, it can only have been written with fields of no meaning, or numbers in long form.
    assert!(read.as_ref() == Some(&message) || again.len() > bytes.len(), "{message:?} became {read:?}");
}

/// A node that has met one other.
fn acquainted(keyed: bool) -> Node {
    let mut nodes = [node(0, 1, keyed, 1), node(1, 1, keyed, 2)];
    for (n, node) in nodes.iter_mut().enumerate() {
        node.handle_input(Time::ZERO, Input::Segment(SegmentChange::Up(segment(0, n))));
        drain(node);
    }
    for now in (0..=400).step_by(10).map(|ms| Time::from_micros(ms * 1000)) {
        let mut mail = VecDeque::new();
        for from in [0, 1] {
            nodes[from].handle_timeout(now);
            post(&mut nodes[from], from, &mut mail);
        }
        while let Some((from, cast, bytes)) = mail.pop_front() {
            let (to, id, address) = (1 - from, segment(0, 0).id, address(0, from));
            let input = Input::Datagram { segment: id, cast, from: address, ttl: Some(2), bytes: &bytes };
            nodes[to].handle_input(now, input);
            post(&mut nodes[to], to, &mut mail);
        }
    }
    let [mut ann, _] = nodes;
    drain(&mut ann);
    assert_eq!(ann.peers().count(), 1, "they have met");
    ann
}

/// What a node sends, to be heard by the other.
fn post(node: &mut Node, from: usize, mail: &mut VecDeque<(usize, Cast, Vec<u8>)>) {
    let mut buf = Vec::new();
    while let Some(output) = node.poll_output(&mut buf) {
        if let Output::Send { cast, .. } = output {
            mail.push_back((from, cast, buf.clone()));
        }
    }
}

/// How much is sent, datagrams and bytes.
fn drain(node: &mut Node) -> (usize, usize) {
    let (mut buf, mut count, mut len) = (Vec::new(), 0, 0);
    while let Some(output) = node.poll_output(&mut buf) {
        if matches!(output, Output::Send { .. }) {
            (count, len) = (count + 1, len + buf.len());
        }
    }
    (count, len)
}

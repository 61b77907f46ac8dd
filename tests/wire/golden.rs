//! Datagrams made by fixed identities, as bytes and as one line of text.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use udpnode::address::Errand;
use udpnode::config::DATAGRAM_MAX;
use udpnode::crypto::{Courier, Identity, Keyring, Party, open_group_tag, verify};
use udpnode::wire::body::{
    self, Alive, Answer, Bye, Condition, Direct, ENTRY_TEXT, Entry, FLAG_ASKS, FLAG_EPHEMERAL, FLAG_LISTENS,
    FLAW_REVERSE_PATH, FLAW_REVIVED, Frontier, Heard, Hello, Hole, Letter, NO_DIGEST, Nack, PROBE_DOUBTS,
    PROBE_LARGE_CAME, PROBE_PROMPTS, Place, Probe, Progress, Proof, Receipt, Seek, Suspect, Suspected, Text,
    Whereabouts,
};
use udpnode::wire::dump::dump;
use udpnode::wire::header::Sender;
use udpnode::wire::secret::{SECRET_MAX, Secret};
use udpnode::wire::{
    DATAGRAM_DOMAIN, Datagram, EntryDomain, Message, NUMBER_MAX, encode, encode_entry, kind, parse_entry,
};

pub(crate) fn ann() -> Identity {
    Identity::new(&[1; 32], 3)
}

fn bob() -> Identity {
    Identity::new(&[2; 32], 1 << 40)
}

fn group() -> SocketAddr {
    SocketAddr::from(([239, 192, 7, 7], 5007))
}

fn tag() -> [u8; 8] {
    open_group_tag(group())
}

/// What entries of the default group are signed for.
pub(crate) fn entry_domain() -> EntryDomain {
    Keyring::new(&[], group()).entry_domains()[0]
}

pub(crate) fn datagram(message: &Message, counter: u64) -> Vec<u8> {
    let ann = ann();
    let sender = Sender { key: *ann.public(), boot: ann.boot(), counter };
    let mut bytes = Vec::new();
    encode(&mut bytes, tag(), &sender, message, |bytes| ann.sign(DATAGRAM_DOMAIN, bytes));
    bytes
}

/// An entry of `author` that says `text`, with the number of its first message and how many it completes.
fn entry(author: &Identity, seq: u64, first: u64, count: u32, text: &Text) -> Arc<[u8]> {
    let mut content = Vec::new();
    body::encode(&mut content, text);
    let entry = Entry {
        author: (*author.public()).into(),
        boot: author.boot(),
        seq,
        wall_ms: 1_769_861_045_678,
        nick: "zoë",
        first,
        count,
        kind: ENTRY_TEXT,
        body: content.as_slice().into(),
        prev: if seq == 1 { NO_DIGEST.into() } else { [0xA5; 16].into() },
    };
    encode_entry(&entry, |bytes| author.sign(&entry_domain(), bytes))
}

fn lines(lines: &[&str]) -> Text {
    Text { lines: lines.iter().map(ToString::to_string).collect(), part: None, parts: None }
}

fn part(text: &str, part: u16, parts: u16) -> Text {
    Text { lines: vec![text.into()], part: Some(part), parts: Some(parts) }
}

fn entries() -> Message {
    Message::Entries(
        Errand::Repair,
        vec![
            entry(&ann(), 7, 12, 2, &lines(&["hi", "say \"ü\""])),
            entry(&bob(), 1, 1, 0, &part("first half, ", 0, 2)),
            entry(&bob(), 2, 1, 1, &part("second half", 1, 2)),
        ],
    )
}

fn hello() -> Message {
    let heard = |id: &Identity, casts, base, unicast_ttl, multicast_ttl| Heard {
        id: body::bytes(id.id()),
        casts,
        base,
        unicast_ttl,
        broadcast_ttl: None,
        multicast_ttl,
    };
    Message::Hello(Hello {
        nick: "ann".into(),
        flags: FLAG_ASKS | FLAG_EPHEMERAL | FLAG_LISTENS,
        every_ms: 2000,
        head: 300,
        hash: 0x0123_4567_89AB_CDEF,
        heard: vec![heard(&bob(), 7, 24, Some(63), Some(1)), heard(&ann(), 9, 70_000, None, None)],
        interface: Some("eth0".into()),
        ttl: Some(64),
        of: Some(300),
        round: Some(7),
        sends: Some(6),
        condition: Some(condition()),
        away: None,
        challenge: Some(1 << 40),
        proofs: Some(vec![Proof { id: body::bytes(bob().id()), challenge: u64::MAX }]),
        pad: Some(vec![0; 3].into()),
    })
}

fn condition() -> Condition {
    Condition {
        clock_ms: Some(1_769_861_045_678),
        flaws: Some(FLAW_REVERSE_PATH | FLAW_REVIVED),
        mtu: Some(1000),
        ttl: Some(2),
        group: Some(vec![239, 1, 1, 1, 0x13, 0x89].into()),
        probe: Some(PROBE_PROMPTS | PROBE_LARGE_CAME),
        pad: Some(vec![0; 5].into()),
    }
}

/// Every kind, the ones with optional fields with and without them.
pub(crate) fn samples() -> Vec<(&'static str, Message)> {
    let logs =
        vec![Progress::new(bob().log(), 5_000_000_000, 1, NO_DIGEST), Progress::new(ann().log(), 24, 23, [0xA5; 16])];
    let holes = vec![Hole::new(bob().log(), 2, 4), Hole::new(bob().log(), 9, 300)];
    let alone = Message::Hello(Hello {
        nick: String::new(),
        every_ms: u32::MAX,
        head: 1,
        hash: u64::MAX,
        away: Some("at lunch".into()),
        ..Hello::default()
    });
    vec![
        ("hello", hello()),
        ("hello-alone", alone),
        ("bye", Message::Bye(Bye { head: NUMBER_MAX })),
        ("entries", entries()),
        ("entries-none", Message::Entries(Errand::Said, Vec::new())),
        ("frontier-hash", Message::Frontier(Frontier { hash: 23, logs: Vec::new(), whole: None })),
        ("frontier-whole", Message::Frontier(Frontier { hash: 1 << 63, logs: logs.clone(), whole: Some(true) })),
        ("frontier-part", Message::Frontier(Frontier { hash: 0, logs, whole: Some(false) })),
        ("nack", Message::Nack(Nack { asked: None, round: 0, holes: holes.clone() })),
        ("nack-asked", Message::Nack(Nack { asked: Some(body::bytes(bob().id())), round: 255, holes })),
        ("direct", Message::Direct(letter(&Secret::Direct(direct(None))))),
        ("direct-part", Message::Direct(letter(&Secret::Direct(direct(Some(2)))))),
        ("receipt", Message::Receipt(letter(&Secret::Receipt(Receipt { boot: 9, next: 17, ahead: 1 << 63 | 5 })))),
        ("seek", Message::Seek(Seek { ids: vec![body::bytes(bob().id())], padding: vec![0; 21].into() })),
        ("whereabouts", Message::Whereabouts(whereabouts())),
        ("probe", Message::Probe(Probe::new(23, 0))),
        ("probe-doubts", Message::Probe(Probe::new(u32::MAX, PROBE_DOUBTS))),
        ("answer", Message::Answer(Answer::new(70_000))),
        ("suspect", Message::Suspect(Suspect { whom: vec![suspected(&bob(), 0), suspected(&ann(), 1280)] })),
        ("alive", Message::Alive(Alive {})),
        ("probe-challenge", Message::Probe(Probe::challenging(23, 0, u64::MAX))),
        ("answer-proof", Message::Answer(Answer { proof: Some(u64::MAX), challenge: Some(24), ..Answer::new(23) })),
    ]
}

fn whereabouts() -> Whereabouts {
    let at = |id: &Identity, address: &str| Place::new(id.id(), address.parse().expect("an address"));
    Whereabouts { peers: vec![at(&bob(), "10.0.0.4:5004"), at(&ann(), "[2001:db8::3]:5003")] }
}

fn suspected(who: &Identity, for_ms: u32) -> Suspected {
    Suspected { id: body::bytes(who.id()), boot: who.boot(), for_ms }
}

fn direct(part: Option<u16>) -> Direct {
    let text = "only for you".into();
    Direct { seq: 17, base: 9, mid: 300, wall_ms: 1_769_861_045_678, text, part, parts: part.map(|part| part + 1) }
}

fn party(who: &Identity) -> Party {
    Party { key: *who.public(), boot: who.boot() }
}

/// Sealed by ann for bob.
fn letter(secret: &Secret) -> Letter {
    let sealed = Courier::new(&ann(), &[7; 32]).seal(&party(&bob()), secret.kind(), &secret.encode());
    Letter { to: body::bytes(bob().id()), sealed: sealed.expect("sealed").into() }
}

#[test]
fn a_letter_that_was_kept_opens_for_whom_it_is_for() {
    let opened = |name: &str, kind: u8| {
        let kept = fs::read_to_string(file(&format!("{name}.hex"))).expect("kept");
        let digits: Vec<u8> = kept.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
        let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
        let (Message::Direct(letter) | Message::Receipt(letter)) =
            Datagram::parse(&bytes).and_then(|read| read.message()).expect("ours")
        else {
            panic!("{name} is no letter");
        };
        let secret = Courier::new(&bob(), &[1; 32]).open(&party(&ann()), kind, &letter.sealed).expect("opens");
        Secret::parse(kind, &secret).expect("read")
    };
    assert_eq!(opened("direct", kind::DIRECT), Secret::Direct(direct(None)));
    assert_eq!(opened("direct-part", kind::DIRECT), Secret::Direct(direct(Some(2))));
    let receipt = Receipt { boot: 9, next: 17, ahead: 1 << 63 | 5 };
    assert_eq!(opened("receipt", kind::RECEIPT), Secret::Receipt(receipt));
}

#[test]
fn the_longest_letter_fits_a_datagram_exactly() {
    let sealed = Courier::new(&ann(), &[7; 32]).seal(&party(&bob()), kind::DIRECT, &[0; SECRET_MAX]).expect("sealed");
    let letter = Letter { to: body::bytes(bob().id()), sealed: sealed.into() };
    assert_eq!(datagram(&Message::Direct(letter), u64::MAX).len(), DATAGRAM_MAX);
}

fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    bytes.chunks(32).map(line).collect()
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Compares with the file, or writes it.
fn golden(name: &str, text: &str) {
    let path = file(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).expect("written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, text, "{} is not what we write: UPDATE_GOLDEN=1 takes it over", path.display());
}

#[test]
fn every_kind_is_written_as_it_always_was() {
    for (counter, (name, message)) in (1..).zip(samples()) {
        let bytes = datagram(&message, counter << 33);
        golden(&format!("{name}.hex"), &hex(&bytes));
        golden(&format!("{name}.dump"), &format!("{}\n", dump(&bytes)));
    }
}

#[test]
fn numbers_that_nobody_counts_to_are_refused() {
    for (name, message) in [
        ("bye", Message::Bye(Bye { head: NUMBER_MAX + 1 })),
        ("nack", Message::Nack(Nack { asked: None, round: 0, holes: vec![Hole::new(bob().log(), 1, NUMBER_MAX + 1)] })),
    ] {
        assert!(Datagram::parse(&datagram(&message, 1)).expect(name).message().is_err(), "{name}");
    }
    // What follows the last would have a number that no frontier may tell.
    for (seq, first) in [(0, 1), (1, 0), (NUMBER_MAX, 1), (NUMBER_MAX + 1, 1), (1, NUMBER_MAX + 1)] {
        assert!(parse_entry(&entry(&ann(), seq, first, 1, &lines(&["hi"]))).is_err(), "{seq} {first}");
    }
    assert!(parse_entry(&entry(&ann(), NUMBER_MAX - 1, NUMBER_MAX, 1, &lines(&["hi"]))).is_ok());
}

#[test]
fn no_golden_file_is_left_over() {
    let names: Vec<_> = samples().iter().map(|(name, _)| (*name).to_owned()).collect();
    for found in fs::read_dir(file("")).expect("there") {
        let found = found.expect("readable").file_name().to_string_lossy().into_owned();
        let Some(stem) = found.strip_suffix(".hex").or_else(|| found.strip_suffix(".dump")) else { continue };
        assert!(names.iter().any(|name| name == stem), "{found} belongs to no sample");
    }
}

#[test]
fn what_is_written_is_read_and_verifies() {
    for (counter, (name, message)) in (1..).zip(samples()) {
        let bytes = datagram(&message, counter);
        let read = Datagram::parse(&bytes).expect(name);
        assert_eq!(read.message().as_ref(), Ok(&message), "{name}");
        assert_eq!(read.header.group_tag, tag());
        if let Some(signed) = &read.signed {
            assert_eq!((signed.sender.boot, signed.sender.counter), (3, counter), "{name}");
            assert!(verify(&signed.sender.key, DATAGRAM_DOMAIN, signed.bytes, signed.signature), "{name}");
            assert!(!verify(&signed.sender.key, &entry_domain(), signed.bytes, signed.signature), "{name}");
        } else {
            assert!(matches!(message, Message::Entries(..)), "{name} is signed");
        }
        for raw in read.entries().unwrap_or_default() {
            let entry = parse_entry(raw).expect(name);
            assert!(verify(entry.author(), &entry_domain(), entry.bytes, entry.signature), "{name}");
            assert!(!verify(entry.author(), DATAGRAM_DOMAIN, entry.bytes, entry.signature), "{name}");
        }
    }
}

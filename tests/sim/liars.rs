//! A member that lies about logs: it wastes a bounded number of datagrams, and nothing else.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use udpnode::address::{Cast, Errand, Segment, SegmentId, Ttls};
use udpnode::command::Command;
use udpnode::config::{Config, GroupSecret};
use udpnode::crypto::{Identity, Keyring, Opened, open_group_tag, verify};
use udpnode::event::Event;
use udpnode::id::{LogId, PeerId, PublicKey};
use udpnode::node::{Input, Node, Output, SegmentChange};
use udpnode::text::{Line, Nick};
use udpnode::time::{Time, WallTime};
use udpnode::wire::body::{
    Answer, Bye, Digest, ENTRY_TEXT, Entry, FLAG_ASKS, Frontier, Hello, Hole, NO_DIGEST, Nack, Progress, Text,
};
use udpnode::wire::header::Sender;
use udpnode::wire::{DATAGRAM_DOMAIN, Datagram, Message, digest, encode, encode_entry};

use crate::check::{all_met, screen};
use crate::net::Faults;
use crate::scenarios::secs;
use crate::world::{World, seed_or};

const GROUP: &str = "239.192.7.7:5007";

thread_local! {
    /// How many signatures were checked.
    static CHECKED: Cell<usize> = const { Cell::new(0) };
}

fn counting(key: &PublicKey, domain: &[u8], bytes: &[u8], signature: &[u8; 64]) -> bool {
    CHECKED.set(CHECKED.get() + 1);
    verify(key, domain, bytes, signature)
}

/// A node, and somebody with a key of its own who says what it likes.
struct Scene {
    node: Node,
    keyring: Keyring,
    counter: u64,
    now: Time,
    told: Vec<Event>,
    /// What the node sent, decoded.
    sent: Vec<Message>,
    /// Where repairs went.
    repaired: Vec<SocketAddr>,
    /// Where hellos went that ask for one, and tell nothing.
    asked: Vec<SocketAddr>,
    /// Those who answer when they are asked for a proof that they live, and where they are.
    alive: Vec<(Identity, u8)>,
}

impl Scene {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut scene = Self::alone(change);
        scene.greet();
        scene.run_for(2000);
        (scene.told, scene.sent) = (Vec::new(), Vec::new());
        scene
    }

    /// A node that has met nobody yet.
    fn alone(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(Nick::from_any("ann"), GROUP.parse().expect("an address"));
        change(&mut config);
        let keyring = Keyring::new(&config.secrets, config.group);
        let node = Node::new(Identity::new(&[1; 32], 1), config, [1; 32], Time::ZERO).with_verifier(counting);
        let (told, sent, repaired, asked, alive) = Default::default();
        let mut scene = Self { node, keyring, counter: 0, now: Time::ZERO, told, sent, repaired, asked, alive };
        let segment = Segment {
            id: SegmentId(1),
            name: "eth0".into(),
            address: SocketAddr::from(([10, 0, 0, 1], 5001)),
            prefix_len: 24,
            relays: true,
            ttls: Ttls::default(),
            broadcast: None,
            group: Some(GROUP.parse().expect("an address")),
            deaf_to: 0,
            listens: true,
        };
        scene.node.handle_input(Time::ZERO, Input::Segment(SegmentChange::Up(segment)));
        scene.drain();
        scene
    }

    fn greet(&mut self) {
        self.meet(Identity::new(&[66; 32], 1), "eve", 1);
    }

    /// Somebody says hello and proves to live.
    fn meet(&mut self, who: Identity, nick: &str, head: u64) {
        self.say_as(&who, hello(nick, head));
        self.alive.push((who, 66));
        self.run_for(100);
    }

    /// Everybody who lives answers what the node asks; it knows whose answer is the right one.
    fn answer(&mut self) {
        let probe = |message: &Message| if let Message::Probe(probe) = message { Some(*probe) } else { None };
        let asked: Vec<_> = self.sent.iter().filter_map(probe).collect();
        self.sent.retain(|message| probe(message).is_none());
        let alive = std::mem::take(&mut self.alive);
        for ((who, host), probe) in alive.iter().flat_map(|who| asked.iter().map(move |asked| (who, asked))) {
            let answer = Answer { proof: probe.challenge, ..Answer::new(probe.token) };
            self.hear_of(*host, who, &Message::Answer(answer), true);
        }
        self.alive = alive;
    }

    fn drain(&mut self) {
        let mut buf = Vec::new();
        while let Some(output) = self.node.poll_output(&mut buf) {
            match output {
                Output::Event(event) => self.told.push(event),
                Output::Send { to, .. } => {
                    let bytes = match self.keyring.open(&buf) {
                        Opened::Inside(inside) => inside,
                        Opened::AsItIs | Opened::Outsider => buf.clone(),
                    };
                    let message = Datagram::parse(&bytes).ok().and_then(|datagram| datagram.message().ok());
                    self.repaired
                        .extend(Some(to).filter(|_| matches!(message, Some(Message::Entries(Errand::Repair, _)))));
                    let is_asking = |hello: &Hello| hello.flags & FLAG_ASKS != 0 && hello.heard.is_empty();
                    let asks = |message: &Message| matches!(message, Message::Hello(hello) if is_asking(hello));
                    self.asked.extend(Some(to).filter(|_| message.as_ref().is_some_and(asks)));
                    self.sent.extend(message);
                }
                Output::SendBeyond { .. } | Output::Stream { .. } | Output::Rejoin { .. } => {}
            }
        }
    }

    fn run_for(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.node.poll_timeout().filter(|&at| at <= end) {
            self.now = at;
            self.node.handle_timeout(at);
            self.drain();
            self.answer();
        }
        self.now = end;
    }

    /// The liar says something, signed with its own key.
    fn say(&mut self, message: Message) {
        let liar = Identity::new(&[66; 32], 1);
        self.say_as(&liar, message);
    }

    fn say_as(&mut self, who: &Identity, message: Message) {
        self.counter += 1;
        let sender = Sender { key: *who.public(), boot: who.boot(), counter: self.counter };
        let mut out = Vec::new();
        encode(&mut out, self.keyring.tag(), &sender, &message, |bytes| who.sign(DATAGRAM_DOMAIN, bytes));
        self.keyring.seal(&mut out, &[self.counter, 0, 0]);
        let from = SocketAddr::from(([10, 0, 0, 66], 5066));
        let input = Input::Datagram { segment: SegmentId(1), cast: Cast::Multicast, from, ttl: None, bytes: &out };
        self.node.handle_input(self.now, input);
        self.drain();
    }

    /// Bytes from an address.
    fn hear(&mut self, host: u8, bytes: &[u8]) {
        let from = SocketAddr::from(([10, 0, 0, host], 5000 + u16::from(host)));
        let input = Input::Datagram { segment: SegmentId(1), cast: Cast::Multicast, from, ttl: None, bytes };
        self.node.handle_input(self.now, input);
        self.drain();
    }

    /// A datagram of somebody at an address, its signature as good as that.
    fn hear_of(&mut self, host: u8, who: &Identity, message: &Message, good: bool) {
        self.counter += 1;
        let mut bytes = signed_in(self.keyring.tag(), who, self.counter, message, good);
        self.keyring.seal(&mut bytes, &[self.counter, 0, 0]);
        self.hear(host, &bytes);
    }

    /// Passes on what an author said who is not here, as a relay does.
    fn pass_on(&mut self, author: &Identity, seqs: &[u64]) {
        self.claim(author.log(), seqs.iter().copied().min().unwrap_or(1), 1);
        let lines = seqs.iter().map(|&seq| line(author, author.boot(), seq)).collect();
        self.say(Message::Entries(Errand::Relay, lines));
    }

    fn claim(&mut self, log: LogId, next: u64, floor: u64) {
        let logs = vec![Progress::new(log, next, floor, NO_DIGEST)];
        self.say(Message::Frontier(Frontier { hash: 7, logs, whole: None }));
    }

    /// Somebody comes, and lives.
    fn arrive(&mut self, n: u8, boot: u64, host: u8) {
        let who = Identity::new(&[n; 32], boot);
        self.hear_of(host, &who, &hello(&format!("n{n}"), 1), true);
        self.alive.push((who, host));
        self.run_for(1000);
    }

    /// Whether one of this name is online.
    fn is_there(&self, nick: &str) -> bool {
        self.node.peers().any(|peer| peer.online && peer.name.nick.as_str() == nick)
    }

    fn nacks(&self) -> usize {
        self.sent.iter().filter(|message| matches!(message, Message::Nack(_))).count()
    }
}

fn hello(nick: &str, head: u64) -> Message {
    // No shorter than one of a node: a stranger is sent no more than it sends.
    let (interface, round, ttl) = (Some("eth0".into()), Some(1), Some(64));
    let hello = Hello { nick: nick.into(), every_ms: 60_000, head, interface, round, ttl, ..Hello::default() };
    Message::Hello(Hello { sends: Some(6), ..hello })
}

/// A line of an author, signed by it, of those that are told apart by their numbers alone.
fn line(author: &Identity, boot: u64, seq: u64) -> Arc<[u8]> {
    one_of(author, boot, seq, |seq| (format!("line {seq}"), None, (seq, 1)))
}

/// A part of one long line, which is all that its author says.
fn part(author: &Identity, part: u16, parts: u16) -> Arc<[u8]> {
    let text = |seq: u64| {
        let part = u16::try_from(seq - 1).expect("a part");
        ("x".repeat(900), Some((part, parts)), (1, u32::from(part + 1 == parts)))
    };
    one_of(author, author.boot(), u64::from(part) + 1, text)
}

/// Text, which part it is, and its messages.
type Content = (String, Option<(u16, u16)>, (u64, u32));

/// Where and when its author signed an entry.
#[derive(Clone, Copy)]
struct Terms<'a> {
    group: &'a str,
    /// The key of the group, if it has one.
    key: Option<u8>,
    wall_ms: u64,
}

/// In our group, by one whose clock was never set.
const USUAL: Terms<'_> = Terms { group: GROUP, key: None, wall_ms: 1_000_000_000 };

/// The entry `seq` of a log of which this is said.
fn one_of(author: &Identity, boot: u64, seq: u64, content: impl Fn(u64) -> Content) -> Arc<[u8]> {
    one_on(USUAL, author, boot, seq, content)
}

/// The same, said on these terms.
fn one_on(terms: Terms<'_>, author: &Identity, boot: u64, seq: u64, content: impl Fn(u64) -> Content) -> Arc<[u8]> {
    let prev = (1..seq).fold(NO_DIGEST, |prev, seq| follow(author, boot, seq, content(seq), prev, (terms, false)).1);
    follow(author, boot, seq, content(seq), prev, (terms, true)).0
}

/// The entry that follows the one with this digest, and its own; signed, if it is to be sent.
fn follow(
    author: &Identity,
    boot: u64,
    seq: u64,
    content: Content,
    prev: Digest,
    (terms, signs): (Terms<'_>, bool),
) -> (Arc<[u8]>, Digest) {
    let (line, part, (first, count)) = content;
    let text = Text { lines: vec![line], part: part.map(|part| part.0), parts: part.map(|part| part.1) };
    let mut body = Vec::new();
    udpnode::wire::body::encode(&mut body, &text);
    let (nick, wall_ms, kind, body) = ("dan", terms.wall_ms, ENTRY_TEXT, body.as_slice().into());
    let (author_key, prev) = ((*author.public()).into(), prev.into());
    let entry = Entry { author: author_key, boot, seq, wall_ms, nick, first, count, kind, body, prev };
    let mut own = NO_DIGEST;
    let raw = encode_entry(&entry, |bytes| {
        own = digest(bytes);
        let secrets: Vec<_> = terms.key.iter().map(|&key| GroupSecret::new([key; 32])).collect();
        let keyring = Keyring::new(&secrets, terms.group.parse().expect("an address"));
        if signs { author.sign(&keyring.entry_domains()[0], bytes) } else { [0; 64] }
    });
    (raw, own)
}

/// What is told of two lines that an author said so, and a member brings us after it told of less: whether each is
/// history, where as much of that is wanted.
fn brought(terms: Terms<'_>, first_claim: u64, wanted: usize) -> Vec<bool> {
    let mut scene = Scene::new(|config| (config.woke, config.history) = (WallTime(NOON), wanted));
    let dan = Identity::new(&[50; 32], 7);
    scene.claim(dan.log(), first_claim, 1);
    scene.claim(dan.log(), 3, 1);
    let lines = (1..3).map(|seq| one_on(terms, &dan, 7, seq, |seq| (format!("line {seq}"), None, (seq, 1))));
    scene.say(Message::Entries(Errand::Repair, lines.collect()));
    scene.run_for(5000);
    let history = |event: &Event| if let Event::Message(message) = event { Some(message.history) } else { None };
    scene.told.iter().filter_map(history).collect()
}

/// When we woke, in Unix time.
const NOON: u64 = 1_800_000_000_000;

#[test]
fn what_was_said_in_another_group_is_not_said_in_this_one() {
    let now = Terms { wall_ms: NOON + 1000, ..USUAL };
    assert_eq!(brought(now, 3, 50), [false, false]);
    for elsewhere in ["239.192.7.8:5007", "239.192.7.7:5008"] {
        assert!(brought(Terms { group: elsewhere, ..now }, 3, 50).is_empty(), "{elsewhere}");
    }
}

#[test]
fn what_was_said_before_we_woke_is_history_whoever_brings_it_and_what_may_be_new_is_told() {
    let yesterday = Terms { wall_ms: NOON - 86_400_000, ..USUAL };
    for first_claim in [1, 2, 3] {
        assert_eq!(brought(yesterday, first_claim, 50), [true, true], "{first_claim}");
    }
    // A clock may be wrong: only of what was told of at first no more is shown than is wanted.
    assert_eq!(brought(yesterday, 1, 0), [true, true]);
    assert_eq!(brought(yesterday, 2, 0), [true]);
    assert!(brought(yesterday, 3, 0).is_empty());
    // Whose clock is a little behind may have said now what nobody told of before; one never set says nothing.
    assert_eq!(brought(Terms { wall_ms: NOON - 1_800_000, ..USUAL }, 1, 0), [false, false]);
    assert_eq!(brought(USUAL, 3, 0), [false, false]);
}

#[test]
fn while_a_key_is_replaced_what_is_signed_for_the_old_one_says_nothing_against_what_comes_with_it() {
    const OLD: u8 = 4;
    const NEW: u8 = 5;
    let mut scene = Scene::new(|config| config.secrets.push(GroupSecret::new([NEW; 32])));
    let (dan, fay) = (Identity::new(&[50; 32], 7), Identity::new(&[51; 32], 7));
    scene.claim(dan.log(), 2, 1);
    scene.claim(fay.log(), 2, 1);
    let said = |who, key, text: &str| {
        one_on(Terms { key: Some(key), ..USUAL }, who, 7, 1, |seq| (text.into(), None, (seq, 1)))
    };
    scene.say(Message::Entries(Errand::Repair, vec![said(&dan, OLD, "then"), said(&fay, NEW, "now")]));
    scene.run_for(5000);
    let text = |event: &Event| if let Event::Message(message) = event { Some(message.text.to_string()) } else { None };
    assert_eq!(scene.told.iter().filter_map(text).collect::<Vec<_>>(), ["now"]);
}

#[test]
fn who_does_not_place_us_is_asked_however_many_strangers_there_are() {
    let asked = |strangers: u8| {
        let mut scene = Scene::alone(|_| {});
        let far = Identity::new(&[99; 32], 1);
        for n in 0..strangers {
            let frontier = Frontier { hash: 7, logs: vec![Progress::new(far.log(), 1, 1, NO_DIGEST)], whole: None };
            scene.hear_of(100 + n, &Identity::new(&[100 + n; 32], 1), &Message::Frontier(frontier), true);
        }
        scene.greet();
        scene.asked.clear();
        for n in 0..3 * strangers {
            let n = n % strangers;
            let frontier = Frontier { hash: 7, logs: vec![Progress::new(far.log(), 1, 1, NO_DIGEST)], whole: None };
            scene.hear_of(100 + n, &Identity::new(&[100 + n; 32], 1), &Message::Frontier(frontier), true);
            scene.run_for(5);
        }
        scene.run_for(600);
        scene.asked.iter().filter(|to| to.port() == 5066).count()
    };
    let alone = asked(0);
    assert!((2..=5).contains(&alone), "a quarter of a second apart: {alone}");
    assert!(asked(70) >= alone);
}

#[test]
fn long_lines_that_are_not_finished_take_no_more_room_than_there_is() {
    const PARTS: u16 = 40;
    let mut scene = Scene::new(|config| config.assembling_max = 100_000);
    let authors: Vec<_> = (0..8).map(|n| Identity::new(&[100 + n; 32], 1)).collect();
    let tell = |scene: &mut Scene, which: std::ops::Range<u16>| {
        for (author, n) in authors.iter().flat_map(|author| which.clone().map(move |n| (author, n))) {
            scene.claim(author.log(), u64::from(n) + 1, 1);
            scene.say(Message::Entries(Errand::Relay, vec![part(author, n, PARTS)]));
            scene.run_for(5);
        }
    };
    tell(&mut scene, 0..PARTS - 1);
    scene.run_for(2000);
    tell(&mut scene, PARTS - 1..PARTS);
    scene.run_for(5000);
    let count = |is: fn(&Event) -> bool| scene.told.iter().filter(|event| is(event)).count();
    let shown = count(|event| matches!(event, Event::Message(message) if message.text.as_str().len() == 36_000));
    let lost = count(|event| matches!(event, Event::Gap { count: 1, .. }));
    assert_eq!((shown, lost), (2, 6), "two of 36,000 bytes have room, and what has none is told: {:?}", scene.told);
}

#[test]
fn what_a_member_claims_of_the_dead_is_asked_for_a_while_and_no_gap_is_told_on_its_word() {
    let mut scene = Scene::new(|_| {});
    let dead = Identity::new(&[9; 32], 3);
    scene.meet(Identity::new(&[9; 32], 3), "dan", 2);
    scene.say(Message::Entries(Errand::Said, vec![line(&dead, 3, 1)]));
    scene.run_for(1000);
    scene.say_as(&dead, Message::Bye(Bye { head: 2 }));
    let dead = dead.log();
    for _ in 0..10 {
        scene.claim(dead, 1 << 40, 1);
        scene.run_for(10_000);
    }
    let asked = scene.nacks();
    assert!((1..=120).contains(&asked), "{asked} requests for ten lies");
    scene.greet();
    scene.run_for(60_000);
    assert!(scene.nacks() <= asked + 12, "it is given up: {asked}, then {}", scene.nacks());
    assert!(!scene.told.iter().any(|event| matches!(event, Event::Gap { .. })), "{:?}", scene.told);
}

#[test]
fn what_an_author_said_last_before_it_crashed_is_told_as_lost_when_it_is_back() {
    let mut scene = Scene::new(|_| {});
    scene.meet(Identity::new(&[9; 32], 3), "dan", 2);
    let gaps = |scene: &Scene| scene.told.iter().filter(|event| matches!(event, Event::Gap { count: 1, .. })).count();
    scene.alive.pop();
    scene.run_for(60_000);
    assert_eq!(gaps(&scene), 0, "it may come back with it");
    scene.greet();
    scene.meet(Identity::new(&[9; 32], 4), "dan", 1);
    scene.run_for(30_000);
    assert_eq!(gaps(&scene), 1, "{:?}", scene.told);
}

#[test]
fn what_follows_a_hole_is_shown_though_a_member_claims_to_fill_it() {
    let mut scene = Scene::new(|_| {});
    let dan = Identity::new(&[9; 32], 3);
    scene.meet(Identity::new(&[9; 32], 3), "dan", 1);
    let lines = [1, 2, 3, 5].map(|seq| line(&dan, 3, seq));
    scene.say(Message::Entries(Errand::Said, lines.to_vec()));
    scene.say_as(&dan, Message::Bye(Bye { head: 6 }));
    for _ in 0..12 {
        scene.claim(dan.log(), 6, 1);
        scene.run_for(5000);
    }
    let said = scene.told.iter().filter(|event| matches!(event, Event::Message(_))).count();
    assert_eq!(said, 4, "{:?}", scene.told);
    assert!(scene.told.iter().any(|event| matches!(event, Event::Gap { count: 1, .. })), "{:?}", scene.told);
}

/// A request to everybody that pretends to be the last of many is answered by everybody: each gives a little.
#[test]
fn who_asks_all_at_once_gets_little_of_each() {
    let mut scene = Scene::new(|_| {});
    for n in 0..150 {
        let lines = vec![Line::from_peer(&format!("line {n}"))];
        scene.node.handle_input(scene.now, Input::Command(Command::Say { lines, wall: WallTime(1_000_000_000) }));
        scene.drain();
        scene.run_for(20);
    }
    let own = scene.node.identity().log();
    scene.run_for(60_000);
    let mut given = |round: u8, asked: bool| {
        scene.sent.clear();
        let asked = asked.then(|| scene.node.identity().id().0.into());
        scene.say(Message::Nack(Nack { asked, round, holes: vec![Hole::new(own, 1, 150)] }));
        scene.run_for(10_000);
        let lines = |message: &Message| if let Message::Entries(_, lines) = message { lines.len() } else { 0 };
        scene.sent.iter().map(lines).sum::<usize>()
    };
    assert_eq!([given(8, false), given(255, false)], [4, 2]);
    assert!(given(8, true) >= 100, "who is asked alone gives what it has");
}

/// Whoever never gives what it says that it said, and greets nobody, keeps newcomers from nothing for long.
#[test]
fn a_newcomer_does_not_wait_for_what_is_never_given() {
    let mut scene = Scene::alone(|_| {});
    scene.meet(Identity::new(&[66; 32], 1), "eve", 1000);
    let dan = Identity::new(&[9; 32], 3);
    scene.meet(Identity::new(&[9; 32], 3), "dan", 1);
    let whole = Frontier { hash: 7, logs: Vec::new(), whole: Some(true) };
    scene.say_as(&dan, Message::Frontier(whole));
    let began = scene.now;
    let mut shown = None;
    for seq in 1..=30 {
        scene.say(Message::Entries(Errand::Said, vec![line(&dan, 3, seq)]));
        scene.run_for(1000);
        let is_line = |event: &Event| matches!(event, Event::Message(_));
        shown = shown.or_else(|| scene.told.iter().any(is_line).then(|| scene.now.since(began)));
    }
    assert!(shown.is_some_and(|took| took <= secs(8)), "{shown:?}");
}

#[test]
fn what_an_author_said_at_its_end_and_nobody_has_is_told_as_lost() {
    let mut scene = Scene::new(|_| {});
    let dan = Identity::new(&[9; 32], 3);
    scene.meet(Identity::new(&[9; 32], 3), "dan", 1);
    scene.say(Message::Entries(Errand::Said, vec![line(&dan, 3, 1)]));
    scene.say_as(&dan, Message::Bye(Bye { head: 4 }));
    scene.run_for(20_000);
    let gaps = scene.told.iter().filter(|event| matches!(event, Event::Gap { count: 2, .. })).count();
    assert_eq!(gaps, 1, "{:?}", scene.told);
}

#[test]
fn what_follows_a_hole_is_shown_though_its_author_crashed_while_it_was_asked() {
    let mut scene = Scene::new(|_| {});
    let dan = Identity::new(&[9; 32], 3);
    scene.meet(Identity::new(&[9; 32], 3), "dan", 1);
    scene.say(Message::Entries(Errand::Said, [1, 3].map(|seq| line(&dan, 3, seq)).to_vec()));
    // It is asked in vain for a while, and then it is gone.
    scene.run_for(1000);
    scene.alive.retain(|(who, _)| who.id() != dan.id());
    let lost = |scene: &Scene| scene.told.iter().any(|event| matches!(event, Event::Lost(..)));
    for _ in 0..70 {
        scene.run_for(10_000);
        scene.greet();
    }
    assert!(lost(&scene), "{:?}", scene.told);
    let said = scene.told.iter().filter(|event| matches!(event, Event::Message(_))).count();
    assert_eq!(said, 2, "{:?}", scene.told);
    assert!(scene.told.iter().any(|event| matches!(event, Event::Gap { count: 1, .. })), "{:?}", scene.told);
}

#[test]
fn claims_of_logs_that_nobody_has_do_not_keep_out_those_who_speak() {
    let mut scene = Scene::new(|config| config.logs_max = 64);
    for author in (100..180).map(|n| Identity::new(&[n; 32], 1)) {
        scene.pass_on(&author, &[1]);
    }
    scene.run_for(3000);
    let kept = scene.node.kept().1;
    assert!(kept > 60, "{kept}");
    for n in 0..500u64 {
        let author = PeerId(std::array::from_fn(|i| n.to_le_bytes()[i % 8]));
        scene.claim(LogId { author, boot: 1 }, 5, 1);
        scene.run_for(5);
    }
    assert_eq!(scene.node.kept().1, kept, "what was said is kept");
    let dan = Identity::new(&[4; 32], 9);
    scene.pass_on(&dan, &[2, 1]);
    scene.run_for(3000);
    let said = |event: &&Event| matches!(event, Event::Message(message) if message.from.id == dan.id());
    assert_eq!(scene.told.iter().filter(said).count(), 2, "an entry makes room for itself");
}

#[test]
fn a_log_that_made_room_is_not_shown_again() {
    let mut scene = Scene::new(|config| config.logs_max = 8);
    let authors: Vec<_> = (0..40).map(|n| Identity::new(&[100 + n; 32], 1)).collect();
    for author in &authors {
        scene.pass_on(author, &[1]);
        scene.run_for(50);
    }
    // Somebody still has them all, and repairs them unasked.
    for author in &authors {
        scene.claim(author.log(), 2, 1);
        scene.say(Message::Entries(Errand::Said, vec![line(author, 1, 1)]));
        scene.run_for(50);
    }
    scene.pass_on(&authors[0], &[2]);
    scene.run_for(3000);
    let said = scene.told.iter().filter(|event| matches!(event, Event::Message(_))).count();
    assert_eq!(said, authors.len() + 1);
    assert!(!scene.told.iter().any(|event| matches!(event, Event::Gap { .. })), "numbers go on where they were");
}

#[test]
fn entries_beyond_a_hole_do_not_outgrow_the_store() {
    let store_max = 64 * 1024;
    let mut scene = Scene::new(|config| config.store_max = store_max);
    for author in (0..200).map(|n| Identity::new(&[n; 32], 1)) {
        for seq in 2..20 {
            scene.pass_on(&author, &[seq]);
        }
    }
    assert!(scene.node.kept().0 <= store_max, "{:?}", scene.node.kept());
}

#[test]
fn requests_of_others_put_off_our_own_but_once() {
    let mut scene = Scene::new(|_| {});
    let dan = Identity::new(&[4; 32], 9);
    scene.pass_on(&dan, &[1]);
    scene.run_for(3000);
    scene.pass_on(&dan, &[3]);
    let before = scene.nacks();
    for _ in 0..200 {
        scene.say(Message::Nack(Nack { asked: None, round: 0, holes: vec![Hole::new(dan.log(), 2, 3)] }));
        scene.run_for(5);
    }
    assert!(scene.nacks() > before, "a second of others asking");
}

#[test]
fn a_difference_that_stays_is_told_ever_less() {
    let mut scene = Scene::new(|_| {});
    let dan = Identity::new(&[4; 32], 9);
    scene.pass_on(&dan, &[1]);
    scene.run_for(5000);
    scene.sent.clear();
    for _ in 0..600 {
        scene.say(Message::Frontier(Frontier { hash: 7, ..Frontier::default() }));
        scene.run_for(100);
    }
    let whole = |message: &&Message| matches!(message, Message::Frontier(frontier) if frontier.whole == Some(true));
    let told = scene.sent.iter().filter(whole).count();
    assert!((10..=40).contains(&told), "{told} frontiers in a minute");
}

/// A datagram of somebody, its signature as good as that.
fn signed(who: &Identity, counter: u64, message: &Message, good: bool) -> Vec<u8> {
    signed_in(open_group_tag(GROUP.parse().expect("an address")), who, counter, message, good)
}

fn signed_in(tag: [u8; 8], who: &Identity, counter: u64, message: &Message, good: bool) -> Vec<u8> {
    let sender = Sender { key: *who.public(), boot: who.boot(), counter };
    let mut out = Vec::new();
    encode(&mut out, tag, &sender, message, |bytes| if good { who.sign(DATAGRAM_DOMAIN, bytes) } else { [7; 64] });
    out
}

#[test]
fn who_floods_with_forged_signatures_is_not_looked_at_for_long_and_others_are() {
    let mut scene = Scene::new(|_| {});
    let (bob, mallory) = (Identity::new(&[8; 32], 1), Identity::new(&[77; 32], 1));
    scene.hear_of(8, &bob, &hello("bob", 1), true);
    scene.alive.push((Identity::new(&[8; 32], 1), 8));
    scene.run_for(1000);
    let before = scene.node.stats().clone();
    let mut heard = 0;
    for _ in 0..100 {
        for n in 0..200 {
            // From an address of its own, and from bob's, in its own name and in bob's.
            let (host, who) = if n % 2 == 0 { (77, &mallory) } else { (8, &mallory) };
            scene.hear_of(host, who, &hello("mallory", 1), false);
        }
        scene.hear_of(8, &bob, &hello("bob", 1), true);
        scene.run_for(10);
        heard += 1;
    }
    let stats = scene.node.stats();
    let (forged, unchecked) = (stats.forged - before.forged, stats.unchecked - before.unchecked);
    assert_eq!(forged + unchecked, 20_000, "bob was heard each time of {heard}");
    assert!((1..=250).contains(&forged), "{forged} were looked at");
    let peers: Vec<_> = scene.node.peers().map(|peer| peer.name.label()).collect();
    assert!(peers.contains(&"bob".to_owned()) && !peers.contains(&"mallory".to_owned()), "{peers:?}");
}

#[test]
fn entries_in_anothers_name_cost_no_more_than_hellos_do() {
    let mut scene = Scene::new(|_| {});
    let dan = Identity::new(&[4; 32], 9);
    scene.meet(Identity::new(&[4; 32], 9), "dan", 1);
    let before = scene.node.stats().clone();
    let tag = open_group_tag(GROUP.parse().expect("an address"));
    let sender = Sender { key: *dan.public(), boot: 9, counter: 0 };
    for seq in 1..=3000 {
        let mut entry = line(&dan, 9, 1 + seq % 200).to_vec();
        *entry.last_mut().expect("a signature") ^= 1;
        let (mut out, message) = (Vec::new(), Message::Entries(Errand::Said, vec![entry.into()]));
        encode(&mut out, tag, &sender, &message, |_| [0; 64]);
        scene.hear(77, &out);
    }
    let stats = scene.node.stats();
    let (forged, unchecked) = (stats.forged - before.forged, stats.unchecked - before.unchecked);
    assert_eq!(forged + unchecked, 3000);
    assert!((1..=64).contains(&forged), "{forged} were looked at");
}

#[test]
fn sprayed_identities_take_neither_the_table_nor_the_time_of_those_who_are_here() {
    let mut scene = Scene::new(|config| config.peers_max = 64);
    let bob = Identity::new(&[8; 32], 1);
    scene.hear_of(8, &bob, &hello("bob", 1), true);
    scene.alive.push((Identity::new(&[8; 32], 1), 8));
    scene.run_for(3000);
    let mut taken = 0;
    for n in 0..4000u32 {
        let mut secret = [5; 32];
        secret[..4].copy_from_slice(&n.to_be_bytes());
        let fresh = Identity::new(&secret, 1);
        scene.hear_of(77, &fresh, &hello("x", 1), true);
        if n % 100 == 0 {
            scene.hear_of(8, &bob, &hello("bob", 1), true);
            scene.run_for(100);
        }
        taken = taken.max(scene.node.peers().count());
    }
    assert!(taken <= 64, "{taken} peers");
    assert!(scene.node.peers().any(|peer| peer.name.nick.as_str() == "bob" && peer.online));
    let joined = scene.told.iter().filter(|event| matches!(event, Event::Joined(..))).count();
    assert_eq!(joined, 1, "bob, and nobody who does not prove that it lives");
    assert!(scene.node.stats().peers_refused + scene.node.stats().unchecked > 3000);
}

/// Whoever makes up identities makes up listeners who confirm nothing.
#[test]
fn listeners_who_are_nobody_do_not_hold_up_the_talk() {
    let mut world = World::of(2, seed_or(96), Faults::NONE);
    assert!(world.run_until(secs(5), all_met).is_some());
    world.run_for(secs(1));
    for n in 0..100 {
        let fresh = Identity::new(&[100 + n; 32], 1);
        let from = SocketAddr::from(([10, 0, 0, 77], 5077));
        let bytes = signed(&fresh, 1, &hello("x", 1), true);
        let (segment, cast) = (SegmentId(0), Cast::Multicast);
        world.tap = Some(Vec::new());
        world.input(0, Input::Datagram { segment, cast, from, ttl: None, bytes: &bytes });
        world.run_for(Duration::from_millis(5));
        for sent in world.tap.take().unwrap_or_default().into_iter().filter(|sent| sent.host == 0) {
            let Some(Message::Probe(probe)) = Datagram::parse(&sent.bytes).ok().and_then(|read| read.message().ok())
            else {
                continue;
            };
            let answer = Answer { proof: probe.challenge, ..Answer::new(probe.token) };
            let bytes = signed(&fresh, 2, &Message::Answer(answer), true);
            world.input(0, Input::Datagram { segment, cast: Cast::Unicast, from, ttl: None, bytes: &bytes });
        }
    }
    let met = world.hosts[0].node.as_ref().map_or(0, |node| node.peers().count());
    assert!(met > 3, "{met} are there");
    let began = world.now;
    let mut said = 0;
    while said < 200 && world.now.since(began) < secs(60) {
        if world.hosts[0].node.as_ref().is_some_and(Node::wants_line) {
            world.say(0, &format!("line {said}"));
            said += 1;
        }
        world.run_for(Duration::from_millis(20));
    }
    let took = world.now.since(began);
    assert!(took < secs(10), "{said} lines took {took:?}");
    world.run_for(secs(1));
    assert_eq!(screen(&world, 1).remove("n0").map_or(0, |lines| lines.len()), 200);
}

/// A host that fills the table with identities that live gives one up for another host, and no more.
#[test]
fn one_host_does_not_keep_the_others_out() {
    let mut scene = Scene::new(|config| config.peers_max = 8);
    (100..120).for_each(|n| scene.arrive(n, 1, 77));
    assert!(scene.is_there("eve") && scene.node.peers().count() == 8);
    for n in 120..123 {
        scene.arrive(n, 1, n);
        assert!(scene.is_there(&format!("n{n}")), "it has a host of its own");
    }
    assert!(scene.is_there("eve"), "and so has she");
    (130..140).for_each(|n| scene.arrive(n, 1, 77));
    assert!((120..123).all(|n| scene.is_there(&format!("n{n}"))), "who has most of it gets no more");
    let mut told = BTreeSet::from(["eve".to_owned()]);
    for event in &scene.told {
        match event {
            Event::Joined(who, _) => assert!(told.insert(who.nick.as_str().to_owned()), "{who:?} joined already"),
            Event::Lost(who, _) => assert!(told.remove(who.nick.as_str()), "{who:?} was not there"),
            _ => {}
        }
    }
    let there: BTreeSet<_> = scene.node.peers().map(|peer| peer.name.nick.as_str().to_owned()).collect();
    assert_eq!(told, there, "who made room is told to be gone");
}

/// Nor with those that fell silent, who are waited for.
#[test]
fn one_host_does_not_keep_the_others_out_by_whom_it_left_behind() {
    let mut scene = Scene::new(|config| config.peers_max = 8);
    (100..107).for_each(|n| scene.arrive(n, 1, 77));
    scene.run_for(15_000);
    scene.alive.retain(|&(_, host)| host != 77);
    scene.run_for(10_000);
    let lost = |scene: &Scene| scene.node.peers().filter(|peer| !peer.online).count();
    assert!(scene.is_there("eve") && lost(&scene) == 7, "{} are lost", lost(&scene));
    for n in 120..126 {
        scene.arrive(n, 1, n);
        assert!((120..=n).all(|n| scene.is_there(&format!("n{n}"))), "{n}");
    }
    assert!(scene.is_there("eve"));
    // One at a time, each silent when the next comes.
    for n in 130..140 {
        scene.arrive(n, 1, 77);
        scene.run_for(15_000);
        scene.alive.retain(|&(_, host)| host != 77);
        scene.run_for(10_000);
    }
    assert!(scene.is_there("eve") && (120..126).all(|n| scene.is_there(&format!("n{n}"))), "nobody is pushed out");
}

/// Of those at one host the regulars stay, in whichever run they are.
#[test]
fn who_restarts_beside_many_made_up_ones_is_not_the_first_to_go() {
    let mut scene = Scene::new(|config| config.peers_max = 8);
    (100..107).for_each(|n| scene.arrive(n, 1, 77));
    scene.alive.remove(1);
    scene.arrive(100, 2, 77);
    scene.arrive(120, 1, 120);
    assert!(scene.is_there("n120") && scene.is_there("n100"));
}

/// A new run costs its author nothing: it renews nothing of what the key may make others do.
#[test]
fn a_key_that_runs_anew_over_and_over_is_followed_now_and_then() {
    let mut scene = Scene::new(|_| {});
    let mut boot = 1;
    while boot < 401 {
        boot += 1;
        let who = Identity::new(&[66; 32], boot);
        scene.hear_of(66, &who, &hello(&format!("eve{boot}"), 1), true);
        scene.alive = vec![(who, 66)];
        scene.run_for(50);
    }
    let count = |scene: &Scene, is_one: fn(&Event) -> bool| scene.told.iter().filter(|&event| is_one(event)).count();
    let back = count(&scene, |event| matches!(event, Event::Back(..)));
    let renamed = count(&scene, |event| matches!(event, Event::Renamed(..)));
    assert!((20..=64 + 20 * 4 + 8).contains(&back), "{back} runs in 20 s");
    assert!((2..=10).contains(&renamed), "{renamed} names in 20 s");
    scene.run_for(6000);
    let who = Identity::new(&[66; 32], boot);
    for _ in 0..2 {
        scene.hear_of(66, &who, &hello("eve-at-last", 1), true);
        scene.run_for(1000);
    }
    assert!(scene.is_there("eve-at-last"), "the last one counts");
}

/// Who asks each 100 ms for a proof gets one, and not a hello of everybody to all each time.
#[test]
fn who_asks_for_proof_over_and_over_hurries_few_hellos() {
    let mut scene = Scene::new(|_| {});
    let greeted = |scene: &Scene| scene.sent.iter().filter(|sent| matches!(sent, Message::Hello(_))).count();
    scene.run_for(20_000);
    let (calm, before) = (greeted(&scene), scene.sent.len());
    scene.sent.drain(..before);
    for n in 0..200 {
        let Message::Hello(asking) = hello("eve", 1) else { return };
        scene.say(Message::Hello(Hello { challenge: Some(n + 1), ..asking }));
        scene.run_for(100);
    }
    let asked = greeted(&scene);
    // She is answered each time where she is; all the others are not.
    assert!(asked <= calm + 200 + 24, "{calm} in 20 s, and {asked} when asked");
}

#[test]
fn who_is_called_otherwise_each_time_is_told_of_now_and_then() {
    let mut scene = Scene::new(|_| {});
    for n in 0..600 {
        scene.say(hello(&format!("eve{n}"), 1));
        scene.run_for(100);
    }
    let renamed = scene.told.iter().filter(|event| matches!(event, Event::Renamed(..))).count();
    assert!((5..=17).contains(&renamed), "{renamed} in a minute");
    scene.run_for(6000);
    scene.say(hello("eve-at-last", 1));
    let last = scene.told.iter().rev().find_map(|event| match event {
        Event::Renamed(now, _) => Some(now.nick.as_str().to_owned()),
        _ => None,
    });
    assert_eq!(last.as_deref(), Some("eve-at-last"));
}

/// Who confirms an entry now and then would hold up the talk of everybody.
#[test]
fn who_confirms_one_entry_at_a_time_is_not_waited_for() {
    let mut scene = Scene::new(|_| {});
    let own = Identity::new(&[1; 32], 1).log();
    let (mut said, mut confirmed) = (0, 1);
    for n in 0..1200 {
        if n % 100 == 0 {
            confirmed += 1;
            let logs = vec![Progress::new(own, confirmed, 1, NO_DIGEST)];
            scene.say(Message::Frontier(Frontier { hash: 7, logs, whole: None }));
        }
        for _ in 0..10 {
            if scene.node.wants_line() {
                let line = Line::from_peer(&format!("line {said}"));
                scene
                    .node
                    .handle_input(scene.now, Input::Command(Command::Say { lines: vec![line], wall: WallTime(0) }));
                scene.drain();
                said += 1;
            }
        }
        scene.run_for(250);
    }
    assert!(said > 5000, "{said} lines in five minutes");
}

/// What was heard before is not looked at, so that it uses up nobody's budget.
#[test]
fn a_recording_costs_no_signatures() {
    let mut scene = Scene::new(|_| {});
    scene.counter += 1;
    let eve = Identity::new(&[66; 32], 1);
    let frontier = Message::Frontier(Frontier { hash: 7, logs: Vec::new(), whole: None });
    let bytes = signed(&eve, scene.counter, &frontier, true);
    scene.hear(66, &bytes);
    let (before, checked) = (scene.node.stats().replayed, CHECKED.get());
    (0..20_000).for_each(|_| scene.hear(66, &bytes));
    assert_eq!((scene.node.stats().replayed - before, CHECKED.get() - checked), (20_000, 0));
    scene.say(frontier);
    assert_eq!(CHECKED.get(), checked + 1, "what is new is looked at");
    let forged: Vec<_> =
        (2..5).map(|seq| follow(&eve, 1, seq, ("x".into(), None, (seq, 1)), [1; 16], (USUAL, false)).0).collect();
    scene.say(Message::Entries(Errand::Said, forged));
    assert_eq!(CHECKED.get(), checked + 2, "nor what stands behind what is forged");
}

/// What the author said, as its entries went over the wire.
fn entries_said(world: &mut World, author: usize, lines: &[&str]) -> Vec<Vec<u8>> {
    world.tap = Some(Vec::new());
    for line in lines {
        world.say(author, line);
        world.run_for(Duration::from_millis(20));
    }
    let sent = world.tap.take().expect("tapped");
    let datagrams = sent.iter().filter_map(|sent| Datagram::parse(&sent.bytes).ok());
    let mut all: Vec<_> = datagrams.filter_map(|d| d.entries().ok()).flatten().map(<[u8]>::to_vec).collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn a_stranger_who_repairs_in_everybodys_place_keeps_nobody_from_repairing() {
    let mut world = World::of(4, seed_or(7), Faults::NONE);
    assert!(world.run_until(secs(60), all_met).is_some());
    world.run_for(secs(3));
    world.nets[0].partition(&[2], &[0, 1, 3]);
    let said = entries_said(&mut world, 0, &["one", "two"]);
    assert_eq!(said.len(), 2);
    world.crash(0);
    world.nets[0].links.clear();
    // Each holder hears, at any moment, that somebody just gave it to everybody.
    let (from, stranger) = ("10.0.0.99:5099".parse().expect("an address"), Identity::new(&[9; 32], 1));
    let shown = world.hosts[2].shown;
    for _ in 0..500 {
        for raw in &said {
            let bytes = signed(&stranger, 1, &Message::Entries(Errand::Repair, vec![raw.as_slice().into()]), false);
            for host in [1, 3] {
                let cast = Cast::Multicast;
                world.input(host, Input::Datagram { segment: SegmentId(0), cast, from, ttl: None, bytes: &bytes });
            }
        }
        world.run_for(Duration::from_millis(4));
    }
    assert_eq!(world.hosts[2].shown - shown, 2, "within two seconds");
}

/// Somebody who is a member to all of a world, and says to each what it likes.
struct Intruder {
    who: Identity,
    counter: u64,
}

impl Intruder {
    /// Where it seems to be.
    const FROM: ([u8; 4], u16) = ([10, 0, 0, 77], 5077);

    fn say(&mut self, world: &mut World, host: usize, message: &Message) {
        self.counter += 1;
        let bytes = signed(&self.who, self.counter, message, true);
        let (segment, from) = (SegmentId(0), SocketAddr::from(Self::FROM));
        world.input(host, Input::Datagram { segment, cast: Cast::Unicast, from, ttl: None, bytes: &bytes });
    }

    /// It says hello to each, and proves that it lives.
    fn join(world: &mut World, hosts: &[usize]) -> Self {
        let mut eve = Self { who: Identity::new(&[66; 32], 1), counter: 0 };
        for &host in hosts {
            world.tap = Some(Vec::new());
            eve.say(world, host, &hello("eve", 1));
            world.run_for(Duration::from_millis(100));
            for sent in world.tap.take().unwrap_or_default().into_iter().filter(|sent| sent.host == host) {
                let read = Datagram::parse(&sent.bytes).ok().and_then(|read| read.message().ok());
                let Some(Message::Probe(probe)) = read.filter(|_| sent.to == SocketAddr::from(Self::FROM)) else {
                    continue;
                };
                let answer = Answer { proof: probe.challenge, ..Answer::new(probe.token) };
                eve.say(world, host, &Message::Answer(answer));
            }
            let node = world.hosts[host].node.as_ref().expect("it runs");
            assert!(node.peers().any(|peer| peer.online && peer.name.nick.as_str() == "eve"), "n{host} met her");
        }
        eve
    }

    fn leave(mut self, world: &mut World, head: u64) {
        (0..world.hosts.len()).for_each(|host| self.say(world, host, &Message::Bye(Bye { head })));
    }

    /// The first that it says, in one of many ways.
    fn first(&self, way: usize) -> Message {
        let (raw, _) = follow(&self.who, 1, 1, (format!("way {way}"), None, (1, 1)), NO_DIGEST, (USUAL, true));
        Message::Entries(Errand::Said, vec![raw])
    }
}

/// Sixteen who have met, what two minutes of silence take, and a liar among them.
fn sixteen(change: impl Fn(&mut Config)) -> (World, u64, Intruder) {
    let mut world = World::new(seed_or(97), Faults::NONE);
    for _ in 0..16 {
        let host = world.add_host(&[0], &change);
        world.start(host);
    }
    assert!(world.run_until(secs(10), all_met).is_some());
    world.say(0, "something");
    world.run_for(secs(10));
    let calm = two_minutes(&mut world);
    let eve = Intruder::join(&mut world, &(0..16).collect::<Vec<_>>());
    (world, calm, eve)
}

/// How much is cast in two minutes: in half a minute chance alone makes a difference of a tenth.
fn two_minutes(world: &mut World) -> u64 {
    let casts = world.casts;
    world.run_for(secs(120));
    world.casts - casts
}

/// Of entries that nobody has, an author may tell each another digest.
#[test]
fn what_an_author_tells_each_otherwise_leaves_no_difference_behind() {
    let (mut world, calm, mut eve) = sixteen(|_| {});
    let log = eve.who.log();
    for host in 0..16u8 {
        let tips = [NO_DIGEST, [1 + host; 16]].map(|tip| Progress::new(log, 5, 5, tip));
        let frontier = Frontier { hash: 7, logs: tips.to_vec(), whole: None };
        eve.say(&mut world, host.into(), &Message::Frontier(frontier));
    }
    eve.leave(&mut world, 5);
    world.run_for(secs(60));
    let after = two_minutes(&mut world);
    assert!(after <= calm + calm / 10, "{calm} casts before she came, {after} after she left");
}

/// Who heard both of what a key says in one place ends its log; the others do so when they are shown both.
#[test]
fn who_has_the_proof_that_two_write_a_log_gives_it_to_those_who_do_not() {
    let (mut world, calm, mut eve) = sixteen(|_| {});
    (0..16).for_each(|host| eve.say(&mut world, host, &eve.first(1)));
    world.run_for(secs(1));
    eve.say(&mut world, 3, &eve.first(2));
    eve.leave(&mut world, 2);
    world.run_for(secs(60));
    let after = two_minutes(&mut world);
    let told = (0..16).filter(|&host| world.hosts[host].node.as_ref().is_some_and(|node| node.stats().forks > 0));
    assert_eq!(told.count(), 16, "all know");
    assert!(after <= calm + calm / 10, "{calm} casts before she came, {after} after she left");
    // Who comes later is told as well.
    let late = world.add_host(&[0], |_| {});
    world.start(late);
    world.run_for(secs(60));
    let after = two_minutes(&mut world);
    assert!(after <= calm + calm / 5, "{calm} casts before she came, {after} of one more");
}

/// Where nobody keeps anything, nobody can show anybody anything.
#[test]
fn a_difference_that_nobody_can_end_costs_little() {
    let (mut world, calm, mut eve) = sixteen(|config| config.store_max = 0);
    (0..16).for_each(|host| eve.say(&mut world, host, &eve.first(host)));
    eve.leave(&mut world, 2);
    world.run_for(secs(90));
    let after = two_minutes(&mut world);
    eprintln!("{calm} casts before she came, {after} after she left");
    assert!(after <= calm * 2, "{calm} casts before she came, {after} after she left");
    let before = world.casts;
    for n in 0..15 {
        world.say(n, "a line");
        world.run_for(secs(2));
    }
    let talk = world.casts - before;
    eprintln!("{talk} with 15 lines");
    // What half a minute takes, the line, and each says once how far it is.
    assert!(talk <= after / 4 + 15 * 32, "{after} casts in silence, {talk} with 15 lines");
}

/// How many of twenty lines a relay passes on, and how often it asks, where somebody claims that more was said.
fn relayed_by(relay: usize) -> (u64, u64) {
    let mut world = World::new(seed_or(98), Faults::NONE);
    (0..2).for_each(|_| _ = world.add_net(Faults::NONE));
    for nets in [&[0][..], &[0, 1], &[1, 2], &[2], &[0], &[0]] {
        let host = world.add_host(nets, |_| {});
        world.start(host);
    }
    world.run_for(secs(3));
    world.say(0, "the first");
    world.run_for(secs(3));
    let mut eve = Intruder::join(&mut world, &[relay]);
    let log = world.identity(0, 1).log();
    let count = |world: &World, of: fn(&udpnode::stats::Stats) -> u64| {
        world.hosts[relay].node.as_ref().map_or(0, |node| of(node.stats()))
    };
    let before = (count(&world, |stats| stats.relayed), count(&world, |stats| stats.nacks));
    let logs = vec![Progress::new(log, 1 << 48, 1, NO_DIGEST)];
    eve.say(&mut world, relay, &Message::Frontier(Frontier { hash: 7, logs, whole: None }));
    for n in 0..20 {
        world.run_for(Duration::from_millis(300));
        world.say(0, &format!("line {n}"));
    }
    world.run_for(Duration::from_millis(300));
    (count(&world, |stats| stats.relayed) - before.0, count(&world, |stats| stats.nacks) - before.1)
}

/// Who relays goes on doing so, and nobody asks an author who is here for what somebody made up.
#[test]
fn what_a_member_claims_of_another_keeps_nobody_from_relaying() {
    let (relayed, asked) = relayed_by(1);
    assert!(relayed >= 20, "{relayed} of 20 lines are passed on");
    assert!(asked <= 30, "{asked} requests for what nobody said");
    let (relayed, _) = relayed_by(2);
    assert!(relayed >= 20, "{relayed} of 20 lines of one who is not here are passed on");
}

/// Whoever says that an author who is here is far ahead, and that nothing of it can be given, has nobody skip what
/// that author says next.
#[test]
fn who_tells_that_an_author_lost_much_silences_nobody() {
    let mut scene = Scene::new(|_| {});
    let dan = Identity::new(&[9; 32], 3);
    scene.meet(Identity::new(&[9; 32], 3), "dan", 1);
    scene.pass_on(&dan, &[1]);
    for _ in 0..20 {
        scene.claim(dan.log(), 1 << 48, 1 << 48);
        scene.run_for(500);
    }
    scene.say(Message::Entries(Errand::Said, vec![line(&dan, 3, 2)]));
    scene.run_for(1000);
    let said = scene.told.iter().filter(|event| matches!(event, Event::Message(_))).count();
    assert_eq!(said, 2, "{:?}", scene.told);
}

#[test]
fn an_author_in_another_run_knows_no_more_of_what_it_said_than_others() {
    let mut scene = Scene::new(|_| {});
    let (before, now) = (Identity::new(&[9; 32], 3), Identity::new(&[9; 32], 4));
    scene.meet(Identity::new(&[9; 32], 4), "dan", 1);
    // It has nothing of its last run any more, but others have.
    let logs = vec![Progress::new(before.log(), 4, 4, NO_DIGEST)];
    scene.say_as(&now, Message::Frontier(Frontier { hash: 7, logs, whole: None }));
    scene.run_for(100);
    scene.claim(before.log(), 4, 1);
    let lines = [1, 2, 3].map(|seq| line(&before, 3, seq));
    scene.say(Message::Entries(Errand::Repair, lines.to_vec()));
    scene.run_for(5000);
    let said = scene.told.iter().filter(|event| matches!(event, Event::Message(_))).count();
    assert_eq!(said, 3, "{:?}", scene.told);
}

#[test]
fn who_asks_all_the_time_keeps_nobody_from_being_answered() {
    let mut scene = Scene::new(|_| {});
    let (bob, dan) = (Identity::new(&[8; 32], 1), Identity::new(&[4; 32], 9));
    scene.hear_of(8, &bob, &hello("bob", 1), true);
    scene.alive.push((Identity::new(&[8; 32], 1), 8));
    scene.run_for(1000);
    scene.pass_on(&dan, &[1]);
    scene.run_for(3000);
    let asked = Some(udpnode::wire::body::bytes(Identity::new(&[1; 32], 1).id()));
    let nack = Message::Nack(Nack { asked, round: 1, holes: vec![Hole::new(dan.log(), 1, 2)] });
    scene.repaired.clear();
    for n in 0..200 {
        scene.say(nack.clone());
        if n % 7 == 6 {
            scene.hear_of(8, &bob, &nack, true);
        }
        scene.run_for(1);
    }
    let to = |port: u16| scene.repaired.iter().filter(|to| to.port() == port).count();
    assert!(to(5008) > 0, "{:?}", scene.repaired);
    assert!(to(5066) + to(5008) <= 100, "nor does asking often help: {} and {}", to(5066), to(5008));
}

#[test]
fn who_asks_for_everything_all_the_time_leaves_something_for_the_others() {
    let mut scene = Scene::new(|config| (config.repair_rate, config.repair_burst) = (20_000, 4000));
    let (bob, dan) = (Identity::new(&[8; 32], 1), Identity::new(&[4; 32], 9));
    scene.hear_of(8, &bob, &hello("bob", 1), true);
    scene.alive.push((Identity::new(&[8; 32], 1), 8));
    scene.run_for(1000);
    (0..10).for_each(|n| scene.pass_on(&dan, &[1, 2, 3, 4].map(|seq| n * 4 + seq)));
    scene.run_for(3000);
    let asked = Some(udpnode::wire::body::bytes(Identity::new(&[1; 32], 1).id()));
    let nack = |from, to| Message::Nack(Nack { asked, round: 1, holes: vec![Hole::new(dan.log(), from, to)] });
    // Eve takes all that she gets, for three seconds; bob asks after two.
    for n in 0..3000 {
        if n == 2000 {
            scene.repaired.clear();
        }
        scene.say(nack(1, 41));
        if n >= 2000 && n % 100 == 99 {
            scene.hear_of(8, &bob, &nack(1, 5), true);
        }
        scene.run_for(1);
    }
    let to = |port: u16| scene.repaired.iter().filter(|to| to.port() == port).count();
    assert!(scene.node.stats().repairs_throttled > 100, "there is not enough for all");
    assert!(to(5008) >= 8, "{} answers of ten", to(5008));
}

#[test]
fn what_is_lost_is_told_once_whoever_claims_to_have_it() {
    let mut scene = Scene::new(|_| {});
    let dan = Identity::new(&[9; 32], 3);
    scene.meet(Identity::new(&[9; 32], 3), "dan", 1);
    scene.say(Message::Entries(Errand::Said, vec![line(&dan, 3, 1)]));
    scene.say_as(&dan, Message::Bye(Bye { head: 4 }));
    for _ in 0..8 {
        scene.claim(dan.log(), 4, 1);
        scene.run_for(12_000);
    }
    let gaps: Vec<_> = scene.told.iter().filter(|event| matches!(event, Event::Gap { .. })).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(scene.node.stats().lost, 2);
}

#[test]
fn who_asks_for_much_that_is_gone_is_told_in_datagrams_that_fit() {
    let mut scene = Scene::new(|config| config.entries_max = 2);
    let dan = Identity::new(&[4; 32], u64::MAX);
    (0..6).for_each(|n| scene.pass_on(&dan, &[1, 2, 3, 4, 5].map(|seq| n * 5 + seq)));
    scene.run_for(3000);
    scene.sent.clear();
    let asked = Some(udpnode::wire::body::bytes(Identity::new(&[1; 32], 1).id()));
    let holes = (0..22).map(|_| Hole::new(dan.log(), 1, 2)).collect();
    scene.say(Message::Nack(Nack { asked, round: 1, holes }));
    scene.run_for(5);
    let told = scene.sent.iter().map(|message| match message {
        Message::Frontier(frontier) if frontier.hash == 0 => frontier.logs.len(),
        _ => 0,
    });
    assert_eq!(told.sum::<usize>(), 22);
}

#[test]
fn a_log_that_two_write_stays_ended_when_it_made_room() {
    let mut scene = Scene::new(|config| config.logs_max = 8);
    let dan = Identity::new(&[4; 32], 9);
    scene.pass_on(&dan, &[1]);
    let other = follow(&dan, 9, 1, ("otherwise".into(), None, (1, 1)), NO_DIGEST, (USUAL, true)).0;
    scene.say(Message::Entries(Errand::Relay, vec![other]));
    assert_eq!(scene.node.stats().forks, 1);
    for author in (100..140).map(|n| Identity::new(&[n; 32], 1)) {
        scene.pass_on(&author, &[1]);
        scene.run_for(50);
    }
    scene.pass_on(&dan, &[2]);
    scene.run_for(3000);
    let said = |event: &&Event| matches!(event, Event::Message(message) if message.from.id == dan.id());
    assert_eq!(scene.told.iter().filter(said).count(), 1, "{:?}", scene.told);
}

/// What was skipped has the digest that somebody tells, until one who can give it shows another.
#[test]
fn what_is_told_of_an_entry_gives_way_to_the_entry() {
    let mut scene = Scene::new(|_| {});
    let dan = Identity::new(&[4; 32], 9);
    let tip_told = |scene: &mut Scene| {
        scene.sent.clear();
        scene.say(Message::Frontier(Frontier { hash: 7, logs: Vec::new(), whole: Some(true) }));
        scene.run_for(40_000);
        let told = scene.sent.iter().rev().find_map(|message| match message {
            Message::Frontier(frontier) => frontier.logs.iter().find(|progress| progress.log() == dan.log()),
            _ => None,
        });
        told.map(|progress| (progress.next, progress.floor, *progress.tip))
    };
    let say = |scene: &mut Scene, floor, tip| {
        let logs = vec![Progress::new(dan.log(), 4, floor, tip)];
        scene.say(Message::Frontier(Frontier { hash: 7, logs, whole: None }));
        scene.run_for(100);
    };
    scene.meet(Identity::new(&[4; 32], 9), "dan", 4);
    let logs = vec![Progress::new(dan.log(), 4, 4, NO_DIGEST)];
    scene.say_as(&dan, Message::Frontier(Frontier { hash: 7, logs, whole: None }));
    say(&mut scene, 4, [8; 16]);
    say(&mut scene, 4, [9; 16]);
    assert_eq!(tip_told(&mut scene), Some((4, 4, [8; 16])));
    scene.greet();
    scene.sent.clear();
    let (raw, digest) = (1..4).fold((Arc::from([]), NO_DIGEST), |(_, prev), seq| {
        follow(&dan, 9, seq, (format!("line {seq}"), None, (seq, 1)), prev, (USUAL, true))
    });
    say(&mut scene, 1, digest);
    let asks = |message: &Message| matches!(message, Message::Nack(nack) if nack.holes == [Hole::new(dan.log(), 3, 4)]);
    assert!(scene.sent.iter().any(asks), "{:?}", scene.sent);
    scene.say(Message::Entries(Errand::Repair, vec![raw]));
    say(&mut scene, 4, [1; 16]);
    assert_eq!(tip_told(&mut scene), Some((4, 3, digest)));
    assert!(!scene.told.iter().any(|event| matches!(event, Event::Message(_))), "it was skipped");
}

//! A member that lies about logs: it wastes a bounded number of datagrams, and nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use udpnode::address::{Cast, Errand, Segment, SegmentId, Ttls};
use udpnode::config::Config;
use udpnode::crypto::{Identity, open_group_tag};
use udpnode::event::Event;
use udpnode::id::{LogId, PeerId};
use udpnode::node::{Input, Node, Output, SegmentChange};
use udpnode::text::Nick;
use udpnode::time::Time;
use udpnode::wire::body::{Answer, Bye, ENTRY_TEXT, Entry, Frontier, Hello, Hole, Nack, Progress, Text};
use udpnode::wire::header::Sender;
use udpnode::wire::{DATAGRAM_DOMAIN, Datagram, ENTRY_DOMAIN, Message, encode, encode_entry};

const GROUP: &str = "239.192.7.7:5007";

/// A node, and somebody with a key of its own who says what it likes.
struct Scene {
    node: Node,
    counter: u64,
    now: Time,
    told: Vec<Event>,
    /// What the node sent, decoded.
    sent: Vec<Message>,
    /// Those who answer when they are asked for a proof that they live.
    alive: Vec<Identity>,
}

impl Scene {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(Nick::from_any("ann"), GROUP.parse().expect("an address"));
        change(&mut config);
        let node = Node::new(Identity::new(&[1; 32], 1), config, [1; 32], Time::ZERO);
        let mut scene =
            Self { node, counter: 0, now: Time::ZERO, told: Vec::new(), sent: Vec::new(), alive: Vec::new() };
        let segment = Segment {
            id: SegmentId(1),
            name: "eth0".into(),
            address: SocketAddr::from(([10, 0, 0, 1], 5001)),
            prefix_len: 24,
            relays: true,
            ttls: Ttls::default(),
            broadcast: None,
            group: Some(GROUP.parse().expect("an address")),
        };
        scene.node.handle_input(Time::ZERO, Input::Segment(SegmentChange::Up(segment)));
        scene.drain();
        scene.greet();
        scene.run_for(2000);
        (scene.told, scene.sent) = (Vec::new(), Vec::new());
        scene
    }

    fn greet(&mut self) {
        self.meet(Identity::new(&[66; 32], 1), "eve", 1);
    }

    /// Somebody says hello and proves to live.
    fn meet(&mut self, who: Identity, nick: &str, head: u64) {
        self.say_as(&who, hello(nick, head));
        self.alive.push(who);
        self.run_for(100);
    }

    /// Everybody who lives answers what the node asks; it knows whose answer is the right one.
    fn answer(&mut self) {
        let probe = |message: &Message| if let Message::Probe(probe) = message { Some(*probe) } else { None };
        let asked: Vec<_> = self.sent.iter().filter_map(probe).collect();
        self.sent.retain(|message| probe(message).is_none());
        let alive = std::mem::take(&mut self.alive);
        for (who, probe) in alive.iter().flat_map(|who| asked.iter().map(move |asked| (who, asked))) {
            let answer = Answer { proof: probe.challenge, ..Answer::new(probe.token) };
            self.say_as(who, Message::Answer(answer));
        }
        self.alive = alive;
    }

    fn drain(&mut self) {
        let mut buf = Vec::new();
        while let Some(output) = self.node.poll_output(&mut buf) {
            match output {
                Output::Event(event) => self.told.push(event),
                Output::Send { .. } => {
                    self.sent.extend(Datagram::parse(&buf).ok().and_then(|datagram| datagram.message().ok()));
                }
                Output::Stream { .. } | Output::Rejoin { .. } => {}
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
        let tag = open_group_tag(GROUP.parse().expect("an address"));
        encode(&mut out, tag, &sender, &message, |bytes| who.sign(DATAGRAM_DOMAIN, bytes));
        let from = SocketAddr::from(([10, 0, 0, 66], 5066));
        let input = Input::Datagram { segment: SegmentId(1), cast: Cast::Multicast, from, ttl: None, bytes: &out };
        self.node.handle_input(self.now, input);
        self.drain();
    }

    /// Passes on what an author said who is not here, as a relay does.
    fn pass_on(&mut self, author: &Identity, seqs: &[u64]) {
        self.claim(author.log(), seqs.iter().copied().min().unwrap_or(1), 1);
        let lines = seqs.iter().map(|&seq| line(author, author.boot(), seq)).collect();
        self.say(Message::Entries(Errand::Relay, lines));
    }

    fn claim(&mut self, log: LogId, next: u64, floor: u64) {
        let logs = vec![Progress::new(log, next, floor)];
        self.say(Message::Frontier(Frontier { hash: 7, logs, whole: None }));
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

/// A line of an author, signed by it.
fn line(author: &Identity, boot: u64, seq: u64) -> std::sync::Arc<[u8]> {
    let text = Text { lines: vec![format!("line {seq}")], part: None, parts: None };
    let mut body = Vec::new();
    udpnode::wire::body::encode(&mut body, &text);
    let (nick, first, wall_ms) = ("dan", seq, 1_000_000_000);
    let author_key = (*author.public()).into();
    let body = body.as_slice().into();
    let entry = Entry { author: author_key, boot, seq, wall_ms, nick, first, count: 1, kind: ENTRY_TEXT, body };
    encode_entry(&entry, |bytes| author.sign(ENTRY_DOMAIN, bytes))
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

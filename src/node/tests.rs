//! The contract, a test a sentence, and what a single node does without a network.

mod clones;
mod families;
mod letters;
mod names;

use super::*;
use crate::event::Outcome;
use crate::text::Line;
use crate::text::Nick;
use crate::time::WallTime;
use crate::wire::dump::dump;

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1000)
}

fn config() -> Config {
    Config::new(Nick::from_any("ann"), "239.192.7.7:5007".parse().expect("an address"))
}

fn node(secret: u8, config: Config) -> Node {
    Node::new(Identity::new(&[secret; 32], 1), config, [secret; 32], Time::ZERO)
}

fn segment(last: u8) -> Segment {
    Segment {
        broadcast: Some("10.0.0.255:5255".parse().expect("an address")),
        group: Some("239.192.7.7:5007".parse().expect("an address")),
        ..Segment::eth0(&format!("10.0.0.{last}:{}", 5000 + u16::from(last)))
    }
}

/// Everything a node wants done now: datagrams, and events.
fn drain_casts(node: &mut Node) -> (Vec<(Cast, Vec<u8>)>, Vec<Event>) {
    let (mut sent, mut told, mut buf) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(output) = node.poll_output(&mut buf) {
        match output {
            Output::Send { cast, .. } => sent.push((cast, buf.clone())),
            Output::Event(event) => told.push(event),
            Output::SendBeyond { .. } | Output::Stream { .. } | Output::Rejoin { .. } => {}
        }
    }
    (sent, told)
}

fn drain(node: &mut Node) -> (Vec<Vec<u8>>, Vec<Event>) {
    let (sent, told) = drain_casts(node);
    (sent.into_iter().map(|(_, bytes)| bytes).collect(), told)
}

fn up(node: &mut Node, last: u8) {
    node.handle_input(Time::ZERO, Input::Segment(SegmentChange::Up(segment(last))));
    drain(node);
}

fn put(node: &mut Node, now: Time, from: u8, cast: Cast, bytes: &[u8]) {
    let from = SocketAddr::from(([10, 0, 0, from], 5000 + u16::from(from)));
    node.handle_input(now, Input::Datagram { segment: SegmentId(1), cast, from, ttl: Some(2), bytes });
}

fn hear(node: &mut Node, now: Time, from: u8, bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<Event>) {
    put(node, now, from, Cast::Multicast, bytes);
    drain(node)
}

/// Lets two nodes, with the last octets of their addresses, talk for some milliseconds; what each tells of it.
fn converse(nodes: &mut [(Node, u8); 2], ms: std::ops::Range<u64>) -> [Vec<Event>; 2] {
    let mut told = [Vec::new(), Vec::new()];
    for now in ms.map(at) {
        let mut mail = [Vec::new(), Vec::new()];
        let take = |who: usize, nodes: &mut [(Node, u8); 2], mail: &mut [Vec<_>; 2], told: &mut [Vec<Event>; 2]| {
            let (sent, events) = drain_casts(&mut nodes[who].0);
            mail[1 - who].extend(sent);
            told[who].extend(events);
        };
        for who in [0, 1] {
            nodes[who].0.handle_timeout(now);
            take(who, nodes, &mut mail, &mut told);
        }
        for _ in 0..100 {
            for who in [0, 1] {
                for (cast, bytes) in std::mem::take(&mut mail[who]) {
                    let from = nodes[1 - who].1;
                    put(&mut nodes[who].0, now, from, cast, &bytes);
                    take(who, nodes, &mut mail, &mut told);
                }
            }
        }
        assert!(mail.iter().all(Vec::is_empty), "they never fall silent");
    }
    told
}

fn command(node: &mut Node, now: Time, command: Command) -> (Vec<Vec<u8>>, Vec<Event>) {
    node.handle_input(now, Input::Command(command));
    drain(node)
}

fn say(text: &str) -> Command {
    Command::Say { lines: vec![Line::new(text).expect("short")], wall: WallTime(1) }
}

/// Two nodes that have met.
fn pair() -> (Node, Node) {
    let mut nodes = [(node(1, config()), 1), (node(2, config()), 2)];
    nodes.iter_mut().for_each(|(node, last)| up(node, *last));
    converse(&mut nodes, 0..1000);
    let [(ann, _), (bob, _)] = nodes;
    (ann, bob)
}

#[test]
fn contract_1_what_comes_out_depends_only_on_what_goes_in() {
    let run = || {
        let mut node = node(1, config());
        up(&mut node, 1);
        let mut sent = Vec::new();
        for now in (0..10_000).step_by(10).map(at) {
            node.handle_timeout(now);
            sent.extend(drain(&mut node).0);
        }
        sent
    };
    assert!(!run().is_empty());
    assert_eq!(run(), run());
}

#[test]
fn contract_2_no_bytes_are_refused_with_more_than_a_counter() {
    let mut node = node(1, config());
    up(&mut node, 1);
    for len in 0..200 {
        let bytes: Vec<u8> =
            crate::wire::header::MAGIC.into_iter().chain((0..len).map(|n: u8| n.wrapping_mul(7))).collect();
        hear(&mut node, at(1), 9, &bytes);
        hear(&mut node, at(1), 9, &bytes[4..]);
    }
    assert_eq!(node.stats().heard, 400);
}

#[test]
fn contract_3_outputs_are_drained_to_none() {
    let mut node = node(1, config());
    up(&mut node, 1);
    node.handle_timeout(at(0));
    let (sent, _) = drain(&mut node);
    assert_eq!(sent.len(), 2, "a hello by multicast and one by broadcast");
    assert!(node.poll_output(&mut Vec::new()).is_none());
}

#[test]
fn contract_4_time_never_runs_back() {
    let mut node = node(1, config());
    up(&mut node, 1);
    node.handle_timeout(at(5000));
    drain(&mut node);
    let wake = node.poll_timeout();
    node.handle_timeout(at(1));
    assert!(drain(&mut node).0.is_empty());
    assert_eq!(node.poll_timeout(), wake);
}

#[test]
fn contract_5_the_next_timeout_is_later_than_this_one() {
    let (mut ann, _) = pair();
    command(&mut ann, at(1000), say("unheard from now on"));
    for _ in 0..1000 {
        let now = ann.poll_timeout().expect("it runs");
        ann.handle_timeout(now);
        drain(&mut ann);
        assert!(ann.poll_timeout().is_none_or(|next| next > now));
    }
}

#[test]
fn contract_6_the_table_of_peers_has_a_maximum_and_a_counter() {
    let config = Config { peers_max: 4, ..config() };
    let mut node = node(1, config.clone());
    up(&mut node, 1);
    for secret in 2..12 {
        let other = self::node(secret, config.clone());
        let mut nodes = [(node, 1), (other, secret)];
        up(&mut nodes[1].0, secret);
        let ms = u64::from(secret) * 100;
        converse(&mut nodes, ms..ms + 100);
        node = {
            let [(node, _), _] = nodes;
            node
        };
    }
    assert_eq!(node.peers().count(), 4);
    assert!(node.stats().peers_refused >= 6);
}

#[test]
fn the_key_of_another_does_not_sign_for_it() {
    let (mut ann, mut bob) = pair();
    let (sent, _) = command(&mut bob, at(1000), Command::Quit);
    let mut forged = sent[0].clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(hear(&mut ann, at(1001), 2, &forged).1, []);
    assert_eq!(ann.stats().forged, 1);
    assert!(matches!(hear(&mut ann, at(1001), 2, &sent[0]).1[..], [Event::Left(..)]));
    assert_eq!(hear(&mut ann, at(1002), 2, &sent[0]).1, [], "a bye is not taken twice");
    assert_eq!(ann.stats().replayed, 1);
}

#[test]
fn one_newcomer_is_one_however_often_it_says_hello() {
    let (mut ann, mut bob) = pair();
    for n in 0..200 {
        let rename = Command::Nick(Nick::from_any(&format!("bob{n}")));
        bob.handle_input(at(10 * n), Input::Command(rename));
        let (hellos, _) = command(&mut bob, at(10 * n), Command::LineWaiting);
        bob.handle_timeout(at(10 * n));
        for hello in hellos.into_iter().chain(drain(&mut bob).0) {
            hear(&mut ann, at(10 * n), 2, &hello);
        }
    }
    assert!(ann.stats().heard >= 200 && ann.stats().peers_refused == 0, "{:?}", ann.stats());
}

#[test]
fn a_stranger_that_is_heard_is_asked_for_its_hello() {
    let (_, mut bob) = pair();
    let mut late = node(3, config());
    up(&mut late, 3);
    late.handle_timeout(at(0));
    drain(&mut late);
    let (sent, _) = command(&mut bob, at(1000), say("hi"));
    let (asked, told) = hear(&mut late, at(1000), 2, &sent[0]);
    assert_eq!(told, [], "held until it is known whether it is history");
    assert!(asked.is_empty(), "what came is shorter than the question");
    let (sent, _) = command(&mut bob, at(1001), say("anybody there?"));
    let (asked, _) = hear(&mut late, at(1001), 2, &sent[0]);
    assert!(
        asked.iter().any(|bytes| dump(bytes).contains(" asks")),
        "{:?}",
        asked.iter().map(|b| dump(b)).collect::<Vec<_>>()
    );
}

#[test]
fn two_of_one_name_are_told_apart() {
    let mut nodes = [(node(1, config()), 1), (node(2, config()), 2)];
    nodes.iter_mut().for_each(|(node, last)| up(node, *last));
    let [told, _] = converse(&mut nodes, 0..100);
    let [ann, other] = nodes.map(|(node, _)| node.identity().id().suffix());
    let [Event::Joined(name, _), Event::Notice(notice)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(name.label(), format!("ann~{other}"));
    assert!(notice.contains(&name.label()) && notice.contains(&ann), "{notice}");
}

#[test]
fn who_quits_alone_is_gone_at_once() {
    let mut node = node(1, config());
    up(&mut node, 1);
    let (sent, told) = command(&mut node, at(1), Command::Quit);
    assert_eq!(told, [Event::Done(Outcome::Complete)]);
    assert_eq!(sent.len(), 2, "a bye by each cast, for whom we have not heard");
    assert_eq!(node.poll_timeout(), None);
}

#[test]
fn who_quits_in_company_says_bye_three_times() {
    let (mut ann, _) = pair();
    let (mut sent, mut told) = command(&mut ann, at(1000), Command::Quit);
    while let Some(now) = ann.poll_timeout() {
        ann.handle_timeout(now);
        let more = drain(&mut ann);
        sent.extend(more.0);
        told.extend(more.1);
    }
    let byes = sent.iter().filter(|bytes| dump(bytes).contains(" bye head=")).count();
    assert_eq!((byes, told), (6, vec![Event::Done(Outcome::Complete)]));
}

#[test]
fn who_quits_right_after_the_last_word_waits_for_it_to_arrive() {
    let (mut ann, mut bob) = pair();
    let (said, _) = command(&mut ann, at(1000), say("last word"));
    let (sent, told) = command(&mut ann, at(1001), Command::Quit);
    assert!(sent.is_empty() && told.is_empty(), "no bye before anybody has it: {told:?}");
    let (confirmed, _) = {
        hear(&mut bob, at(1002), 1, &said[0]);
        bob.handle_timeout(at(1100));
        drain(&mut bob)
    };
    // A probe may come before it.
    let (mut sent, mut told) = (Vec::new(), Vec::new());
    for bytes in &confirmed {
        let more = hear(&mut ann, at(1101), 2, bytes);
        sent.extend(more.0);
        told.extend(more.1);
    }
    assert!(told.iter().any(|event| matches!(event, Event::Delivered { confirmed: 1, .. })), "{told:?}");
    assert!(sent.iter().any(|bytes| dump(bytes).contains(" bye head=2")));
}

#[test]
fn who_quits_waits_no_longer_than_a_moment_nor_when_told_twice() {
    for twice in [false, true] {
        let (mut ann, _) = pair();
        command(&mut ann, at(1000), say("nobody confirms this"));
        command(&mut ann, at(1001), Command::Quit);
        let (mut now, mut told) = (at(1001), Vec::new());
        if twice {
            told = command(&mut ann, at(1002), Command::Quit).1;
        }
        while let Some(wake) = ann.poll_timeout() {
            now = wake;
            ann.handle_timeout(now);
            told.extend(drain(&mut ann).1);
        }
        assert_eq!(told.last(), Some(&Event::Done(Outcome::Complete)));
        let took = now.since(at(1001));
        assert!(took <= Duration::from_millis(if twice { 170 } else { 1170 }), "{took:?}, twice: {twice}");
    }
}

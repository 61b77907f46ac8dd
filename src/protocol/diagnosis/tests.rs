//! Tables of views: what is found in each, and nothing else.

use std::collections::BTreeMap;

use super::casts::{Verdict, classify};
use super::*;
use crate::id::PeerId;
use crate::text::Nick;
use crate::time::Time;

const OK: Cell = Cell { unicast: Some(true), broadcast: Some(true), multicast: Some(true) };
const NO_MULTICAST: Cell = Cell { multicast: Some(false), ..OK };
const NO_BROADCAST: Cell = Cell { broadcast: Some(false), ..OK };
const SILENT: Cell = Cell { unicast: None, broadcast: Some(false), multicast: Some(false) };

fn member(label: &str, address: &str) -> Member {
    Member {
        label: label.into(),
        address: address.parse().expect("an address"),
        flaws: Vec::new(),
        skew_ms: Some(3),
        hops: Some(0),
        ttl: Some(2),
        padded: Padded::Fits,
    }
}

/// A healthy network: us, bob, cat and so on, on eth0.
pub(crate) fn healthy(others: usize) -> View {
    let names = [US, "bob", "cat", "dan", "eve"];
    let members: Vec<_> =
        (1..).zip(&names[..=others]).map(|(n, name)| member(name, &format!("10.0.0.{n}:500{n}"))).collect();
    let pairs = (0..members.len()).flat_map(|a| (0..members.len()).map(move |b| (a, b))).filter(|(a, b)| a != b);
    let segment = SegmentView {
        name: "eth0".into(),
        address: members[0].address,
        prefix_len: 24,
        broadcast: "10.0.0.255:5255".parse().ok(),
        group: "239.192.7.7:5007".parse().ok(),
        deaf_to: 0,
        facts: Facts { multicast: Some(true), mtu: Some(1500), reverse_path: Some(0), ..Facts::default() },
        revived: false,
        cells: pairs.map(|pair| (pair, OK)).collect(),
        members,
        unheard: Vec::new(),
        deaf: Vec::new(),
    };
    View {
        group: "239.192.7.7:5007".parse().expect("a group"),
        ttl: 2,
        segments: vec![segment],
        foreign: Vec::new(),
        doubles: Vec::new(),
        reverse_path_drops: Some(0),
        bridges: Vec::new(),
    }
}

#[test]
fn whoever_is_heard_and_answers_nothing_is_named_with_its_side() {
    let deaf = |n: u8, hears_nobody: bool| Deaf {
        label: format!("deaf{n}"),
        address: std::net::SocketAddr::from(([10, 0, 0, 10 + n], 5010 + u16::from(n))),
        hears_nobody,
    };
    let with = |others: usize, all: &[bool]| {
        let all: Vec<_> = (0..).zip(all).map(|(n, &hears_nobody)| deaf(n, hears_nobody)).collect();
        found(others, |view, _| view.segments[0].deaf = all)
    };
    assert_eq!(with(1, &[true]), ["not-heard: deaf0"], "another answers us");
    assert_eq!(with(1, &[false]), ["not-heard: from us to deaf0"], "it hears somebody");
    assert_eq!(with(0, &[true]), ["not-heard: from us to deaf0"], "of two it is the way");
    assert_eq!(with(0, &[false, false]), ["not-heard: this machine"], "they hear each other, and we are mute");
    assert_eq!(with(0, &[true, true]), ["not-heard: from us to deaf0", "not-heard: from us to deaf1"]);
    assert_eq!(with(2, &[true; 40]).len(), 8, "whoever makes them up makes up many");
    let mut view = healthy(1);
    view.segments[0].deaf = vec![Deaf { address: "10.9.0.1:5001".parse().expect("an address"), ..deaf(0, true) }];
    let remedy = &diagnose(&view)[0].remedy;
    assert!(remedy.contains("dport { 5001, 5255, 5007 } accept") && remedy.contains("route"), "{remedy}");
}

/// The code and the side of each finding of a view that was healthy before `spoil`.
fn found(others: usize, spoil: impl FnOnce(&mut View, usize)) -> Vec<String> {
    let mut view = healthy(others);
    assert_eq!(diagnose(&view), [], "healthy before");
    spoil(&mut view, others + 1);
    let findings = diagnose(&view);
    for finding in &findings {
        assert!(!finding.cause.is_empty() && !finding.remedy.is_empty());
        assert!(finding.cause.len() < 250 && finding.remedy.len() < 250, "{finding:?}");
    }
    findings.iter().map(|finding| format!("{}: {}", finding.code, finding.side)).collect()
}

fn here(view: &mut View) -> &mut SegmentView {
    &mut view.segments[0]
}

/// Everybody but itself does not hear it, or it does not hear everybody.
fn spoil(view: &mut View, count: usize, x: usize, hears: bool, cell: Cell) {
    for other in (0..count).filter(|&other| other != x) {
        let pair = if hears { (x, other) } else { (other, x) };
        here(view).cells.insert(pair, cell);
    }
}

#[test]
fn codes_have_names_of_their_own() {
    let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), Code::ALL.len());
    assert!(Code::ALL.is_sorted());
}

#[test]
fn a_healthy_network_has_nothing_to_find() {
    for others in 0..=4 {
        assert_eq!(diagnose(&healthy(others)), []);
        let mut view = healthy(others);
        here(&mut view).cells.clear();
        assert_eq!(diagnose(&view), [], "what is not known is not named");
    }
}

#[test]
fn who_is_deaf_and_who_is_mute() {
    for (cell, code) in [(NO_MULTICAST, "multicast-dropped"), (NO_BROADCAST, "broadcast-dropped")] {
        for (x, side) in [(0, "this machine"), (1, "bob"), (2, "cat")] {
            for hears in [true, false] {
                let found = found(2, |view, count| spoil(view, count, x, hears, cell));
                assert_eq!(found, [format!("{code}: {side}")], "{x} {hears}");
            }
        }
    }
    let both = found(3, |view, count| {
        spoil(view, count, 1, true, NO_MULTICAST);
        spoil(view, count, 1, false, NO_MULTICAST);
    });
    assert_eq!(both, ["multicast-dropped: bob", "multicast-dropped: bob"]);
}

#[test]
fn of_two_it_cannot_be_told_which() {
    let one = |pairs: &[(usize, usize)]| {
        found(1, |view, _| {
            for &pair in pairs {
                here(view).cells.insert(pair, NO_MULTICAST);
            }
        })
    };
    assert_eq!(one(&[(1, 0)]), ["multicast-dropped: from us to bob"]);
    assert_eq!(one(&[(0, 1)]), ["multicast-dropped: from bob to us"]);
    assert_eq!(one(&[(0, 1), (1, 0)]), ["multicast-dropped: between bob and us"]);
}

#[test]
fn the_switch_drops_for_all_or_between_two() {
    let all = found(2, |view, _| here(view).cells.values_mut().for_each(|cell| *cell = NO_MULTICAST));
    assert_eq!(all, ["multicast-dropped: the network"]);
    let pair = found(3, |view, _| {
        here(view).cells.insert((1, 2), NO_BROADCAST);
        here(view).cells.insert((2, 1), NO_BROADCAST);
    });
    assert_eq!(pair, ["broadcast-dropped: between cat and bob"]);
}

#[test]
fn grids() {
    let grid = |rows: &[&str]| {
        let rows: Vec<Vec<char>> = rows.iter().map(|row| row.chars().collect()).collect();
        classify(rows.len(), |listener, speaker| match rows[listener][speaker] {
            '+' => Some(true),
            '-' => Some(false),
            _ => None,
        })
    };
    assert_eq!(grid(&[".++", "+.+", "++."]), []);
    assert_eq!(grid(&["..."]), []);
    assert_eq!(grid(&[".--", "+.+", "++."]), [Verdict::Deaf(0)]);
    assert_eq!(grid(&[".-+", "+.+", "+-."]), [Verdict::Mute(1)]);
    assert_eq!(grid(&[".-?", "?.?", "??."]), [Verdict::Pair(0, 1, false)], "little is known");
    assert_eq!(grid(&[".--", "+.-", "+-."]), [Verdict::Mute(1), Verdict::Mute(2)]);
    assert_eq!(grid(&[".--", "-.-", "--."]), [Verdict::All]);
}

#[test]
fn nodes_of_one_machine_say_nothing_of_the_network_and_share_a_firewall() {
    let twins = found(3, |view, count| {
        here(view).members[3].address = "10.0.0.1:40000".parse().expect("an address");
        for (listener, speaker) in (0..count).flat_map(|a| (0..count).map(move |b| (a, b))) {
            if listener != speaker && (listener == 0 || listener == 3) && speaker != 0 && speaker != 3 {
                here(view).cells.insert((listener, speaker), NO_MULTICAST);
            }
        }
    });
    assert_eq!(twins, ["multicast-dropped: this machine"]);
}

#[test]
fn a_switch_that_forgets_is_known_by_what_joining_anew_does() {
    let dead = |view: &mut View| here(view).cells.values_mut().for_each(|cell| *cell = NO_MULTICAST);
    let bridge = Bridge { name: "br0".into(), snooping: true, querier: false };
    let revived = found(2, |view, _| {
        dead(view);
        here(view).revived = true;
    });
    assert_eq!(revived, ["snooping-without-querier: the network"]);
    let told = found(2, |view, _| here(view).members[1].flaws = vec![Flaw::Revived]);
    assert_eq!(told, ["snooping-without-querier: the network"]);
    let own = found(2, |view, _| {
        dead(view);
        here(view).facts.bridge = Some(bridge.clone());
    });
    assert_eq!(own, ["snooping-without-querier: this machine"]);
    let works = found(2, |view, _| here(view).facts.bridge = Some(bridge.clone()));
    assert!(works.is_empty(), "as long as it floods nothing is wrong: {works:?}");
}

#[test]
fn the_reverse_path_needs_an_address_of_another_network() {
    let filters = |flaws: Vec<Flaw>, address: &str| {
        found(2, |view, _| {
            here(view).members[1].flaws = flaws;
            here(view).members[2].address = address.parse().expect("an address");
            here(view).cells.insert((1, 2), SILENT);
        })
    };
    assert_eq!(filters(vec![Flaw::ReversePath], "10.9.9.3:5003"), ["reverse-path-filter: bob"]);
    let near = filters(vec![Flaw::ReversePath], "10.0.0.3:5003");
    assert_eq!(near, ["multicast-dropped: from cat to bob", "broadcast-dropped: from cat to bob"]);
    let harmless = found(2, |view, _| here(view).members[1].flaws = vec![Flaw::ReversePath]);
    assert!(harmless.is_empty(), "filtering alone is no fault: {harmless:?}");
}

#[test]
fn whom_others_hear_and_we_do_not() {
    let of = |address: Option<&str>, drops: u64, lasting| {
        let address = address.map(|ip| ip.parse().expect("an address"));
        found(2, |view, _| {
            here(view).members[0].flaws = vec![Flaw::ReversePath];
            here(view).unheard = vec![Unheard { label: "~k7f2q".into(), by: vec!["bob".into()], address, lasting }];
            view.reverse_path_drops = Some(drops);
        })
    };
    let ours = |drops, lasting| of(None, drops, lasting);
    assert_eq!(of(Some("10.9.9.9"), 9, false), ["reverse-path-filter: this machine"]);
    assert_eq!(
        of(Some("10.0.0.9"), 9, true),
        ["not-heard: from ~k7f2q to us"],
        "one of our network is not filtered so"
    );
    assert!(of(Some("10.0.0.9"), 9, false).is_empty());
    assert_eq!(ours(9, false), ["reverse-path-filter: this machine"]);
    assert_eq!(ours(0, true), ["not-heard: from ~k7f2q to us"]);
    assert!(ours(0, false).is_empty(), "it may just have left");
}

#[test]
fn a_ttl_is_too_small_only_where_multicasts_are_routed() {
    let beyond = |ttl, there: Cell, back: Cell| {
        found(2, |view, _| {
            view.ttl = ttl;
            here(view).members[2].address = "10.0.9.3:5003".parse().expect("an address");
            here(view).members[2].hops = Some(1);
            for near in [0, 1] {
                here(view).cells.insert((near, 2), NO_BROADCAST);
                here(view).cells.insert((2, near), NO_BROADCAST);
            }
            here(view).cells.insert((2, 0), Cell { broadcast: Some(false), ..there });
            here(view).cells.insert((0, 2), Cell { broadcast: Some(false), ..back });
        })
    };
    assert_eq!(beyond(1, NO_MULTICAST, OK), ["ttl-too-small: this machine"]);
    assert!(beyond(2, OK, OK).is_empty());
    let unrouted = found(1, |view, _| {
        view.ttl = 1;
        here(view).members[1].address = "10.0.9.3:5003".parse().expect("an address");
        here(view).members[1].hops = Some(1);
        let none = Cell { unicast: Some(true), broadcast: Some(false), multicast: Some(false) };
        here(view).cells.values_mut().for_each(|cell| *cell = none);
    });
    assert!(unrouted.is_empty(), "nothing routes multicasts: {unrouted:?}");
    let theirs = found(2, |view, _| {
        let cat = &mut here(view).members[2];
        (cat.address, cat.hops, cat.ttl) = ("10.0.9.3:5003".parse().expect("an address"), Some(1), Some(1));
        here(view).cells.insert((0, 2), Cell { unicast: Some(true), ..SILENT });
        here(view).cells.insert((1, 2), Cell { unicast: Some(true), ..SILENT });
    });
    assert_eq!(theirs, ["ttl-too-small: cat"]);
}

#[test]
fn a_tunnel_need_not_carry_casts() {
    let silent = |tunnel: bool, works: bool| {
        found(3, |view, _| {
            let segment = here(view);
            segment.facts.tunnel = tunnel;
            for (pair, cell) in &mut segment.cells {
                *cell = if works && *pair == (0, 1) { OK } else { SILENT };
            }
        })
    };
    assert!(silent(true, false).is_empty() && !silent(false, false).is_empty());
    assert!(!silent(true, true).is_empty(), "one that does carry them is to carry all");
}

#[test]
fn what_the_system_tells_of_this_machine() {
    let facts = |change: fn(&mut SegmentView)| found(2, |view, _| change(here(view)));
    assert_eq!(facts(|s| s.facts.multicast = Some(false)), ["no-multicast-flag: this machine"]);
    assert_eq!(facts(|s| s.facts.mtu = Some(1000)), ["mtu-too-small: this machine"]);
    assert!(facts(|s| s.facts.mtu = Some(1228)).is_empty());
    assert_eq!(facts(|s| s.broadcast = None), ["no-broadcast-address: this machine"]);
    assert!(facts(|s| (s.broadcast, s.facts.tunnel) = (None, true)).is_empty());
    assert!(facts(|s| (s.facts.multicast, s.facts.loopback) = (Some(false), true)).is_empty());
    assert_eq!(
        facts(|s| s.facts.taken = Some((5001, Holder::Program("nc (process 7)".into())))),
        ["port-taken: this machine"]
    );
    assert_eq!(facts(|s| s.facts.taken = Some((5001, Holder::Unknown))), ["port-taken: this machine"]);
    assert!(facts(|s| s.facts.taken = Some((5001, Holder::Program("udpnode (process 7)".into())))).is_empty());
    assert!(
        facts(|s| {
            s.facts.taken = Some((5001, Holder::Unknown));
            s.members[1].address = "10.0.0.1:5001".parse().expect("an address");
        })
        .is_empty(),
        "a node of another user"
    );
    let refused = |taken| move |s: &mut SegmentView| s.facts.deaf = Some(Refusal { why: "why".into(), taken });
    assert_eq!(found(2, |view, _| refused(true)(here(view))), ["port-taken: this machine"]);
    assert_eq!(found(2, |view, _| refused(false)(here(view))), ["multicast-dropped: this machine"], "no port");
    assert_eq!(facts(|s| s.deaf_to = Cast::Broadcast.bit()), ["broadcast-dropped: this machine"]);
    assert!(facts(|s| s.facts = Facts::default()).is_empty(), "what is not known is not named");
}

#[test]
fn what_peers_tell_of_theirs() {
    let told = |flaw, cell: Option<Cell>| {
        found(2, |view, count| {
            here(view).members[1].flaws = vec![flaw];
            if let Some(cell) = cell {
                spoil(view, count, 1, true, cell);
                spoil(view, count, 1, false, cell);
            }
        })
    };
    assert_eq!(told(Flaw::NoMulticastFlag, Some(NO_MULTICAST)), ["no-multicast-flag: bob"]);
    assert_eq!(told(Flaw::NoBroadcast, Some(NO_BROADCAST)), ["no-broadcast-address: bob"]);
    assert_eq!(told(Flaw::NoGroup, Some(NO_MULTICAST)), ["multicast-dropped: bob"]);
    assert_eq!(told(Flaw::Narrow(1000), None), ["mtu-too-small: bob"]);
    let narrow = found(2, |view, _| {
        here(view).members[2].flaws = vec![Flaw::Narrow(900)];
        here(view).members[2].padded = Padded::NotThere;
    });
    assert_eq!(narrow, ["mtu-too-small: cat"], "one cause, one finding");
    let between = |padded| found(2, |view, _| here(view).members[2].padded = padded);
    assert_eq!(between(Padded::NotThere), ["mtu-too-small: from us to cat"]);
    assert_eq!(between(Padded::NotBack), ["mtu-too-small: from cat to us"]);
    assert!(between(Padded::Unknown).is_empty());
}

#[test]
fn who_says_that_it_cannot_listen_is_to_be_heard_all_the_same() {
    for (cast, cell) in [(Cast::Multicast, NO_MULTICAST), (Cast::Broadcast, NO_BROADCAST)] {
        let deaf = |hears| {
            found(2, |view, count| {
                here(view).members[1].flaws = vec![Flaw::Deaf(cast)];
                spoil(view, count, 1, hears, cell);
            })
        };
        let said = format!("{cast}-dropped: bob");
        assert_eq!(deaf(true), [said.as_str()], "that explains what it does not hear");
        assert_eq!(deaf(false), [said.as_str(), &said], "and not that nobody hears it");
    }
    let mut view = healthy(1);
    here(&mut view).members[1].flaws = vec![Flaw::Deaf(Cast::Multicast)];
    assert!(!diagnose(&view)[0].cause.contains("another program"), "nobody said so");
    let mut view = healthy(0);
    here(&mut view).deaf_to = 6;
    let lines = nobody(&view);
    assert!(lines[0].contains("5007 not heard") && lines[0].contains("5255 not heard"), "{lines:?}");
}

#[test]
fn clocks_differ_by_more_than_two_seconds() {
    let skew = |ms| found(2, |view, _| here(view).members[1].skew_ms = ms);
    assert!(skew(Some(2000)).is_empty() && skew(Some(-2000)).is_empty() && skew(None).is_empty());
    assert_eq!(skew(Some(2001)), ["clock-skew: between bob and us"]);
    let twice = found(1, |view, _| {
        here(view).members[1].skew_ms = Some(-3_600_000);
        let again = view.segments[0].clone();
        view.segments.push(again);
    });
    assert_eq!(twice, ["clock-skew: between bob and us"], "once, on however many segments");
}

#[test]
fn strangers_and_doubles() {
    let foreign = found(1, |view, _| {
        let (address, group) = ("10.0.0.9:5009".parse().expect("an address"), "239.1.1.1:5001".parse().ok());
        view.foreign = vec![Foreign { address, nick: Some(Nick::from_any("zoe")), group, other_key: false }];
    });
    assert_eq!(foreign, ["other-group: zoe (10.0.0.9:5009)"]);
    let keyed = found(1, |view, _| {
        let address = "10.0.0.9:5009".parse().expect("an address");
        view.foreign = vec![Foreign { address, nick: None, group: None, other_key: true }];
    });
    assert_eq!(keyed, ["other-group: 10.0.0.9:5009"]);
    let addresses = ["10.0.0.1:5001".parse().expect("an address"), "10.0.0.9:5009".parse().expect("an address")];
    for (label, side) in [(US, "this machine"), ("bob", "bob")] {
        let double = Double { id: PeerId([1; 16]), addresses };
        let doubles = found(1, |view, _| view.doubles = vec![(double, label.to_owned())]);
        assert_eq!(doubles, [format!("cloned-identity: {side}")]);
    }
}

#[test]
fn nobody_is_explained_by_segment() {
    let view = healthy(0);
    let lines = nobody(&view);
    assert_eq!(lines.len(), 1);
    for word in ["eth0 (10.0.0.1/24)", "239.192.7.7:5007", "5001, 5255, 5007", "MTU 1500", "--peer"] {
        assert!(lines[0].contains(word), "{word}: {lines:?}");
    }
}

#[test]
fn one_key_on_two_machines() {
    let (bob, at) = (PeerId([2; 16]), |ms: u64| Time::from_micros(ms * 1000));
    let place = |n: u8| std::net::SocketAddr::from(([10, 0, 0, n], 5000 + u16::from(n)));
    let say = |strays: &mut Strays, n: u8, counter: u64, fresh: bool, ms: u64| {
        let signature = [n, u8::try_from(counter).unwrap_or(0), 0, 0, 0, 0, 0, 0];
        strays.on_heard(Heard { id: bob, address: place(n), mark: (5, counter), signature, fresh }, at(ms));
    };
    let mut strays = Strays::default();
    for n in 0..4 {
        say(&mut strays, 2, 100 + n, true, n * 400);
        say(&mut strays, 3, 10 + n, false, n * 400 + 7);
    }
    let doubles = strays.doubles(at(1300), PeerId([1; 16]), None);
    assert_eq!(doubles, [Double { id: bob, addresses: [place(2), place(3)] }]);
    assert!(strays.doubles(at(60_000), PeerId([1; 16]), None).is_empty(), "that is over");

    // A machine with two interfaces in one network: the same datagram comes from both.
    let mut strays = Strays::default();
    for n in 0..20 {
        for (from, fresh) in [(2, true), (3, false)] {
            let heard = Heard { id: bob, address: place(from), mark: (5, n), signature: [7; 8], fresh };
            strays.on_heard(heard, at(n * 400));
        }
    }
    assert!(strays.doubles(at(8000), PeerId([1; 16]), None).is_empty());

    // Run anew from another address: what comes late of the old run is soon over.
    let mut strays = Strays::default();
    for n in 0..20 {
        say(&mut strays, 2, 100 + n, true, n * 400);
    }
    for n in 0..5 {
        say(&mut strays, 3, 10 + n, false, n * 10);
    }
    assert!(strays.doubles(at(8000), PeerId([1; 16]), None).is_empty());
}

#[test]
fn strangers_are_bounded_and_forgotten() {
    let (mut strays, at) = (Strays::default(), |ms: u64| Time::from_micros(ms * 1000));
    for n in 0..200u8 {
        let address = std::net::SocketAddr::from(([10, 0, 0, n], 5000));
        assert!(strays.wants(address, at(n.into())));
        strays.on_foreign(Foreign { address, nick: None, group: None, other_key: false }, at(n.into()));
        assert!(!strays.wants(address, at(n.into())));
    }
    assert_eq!(strays.foreign(at(200)).count(), 16);
    assert_eq!(strays.foreign(at(60_000)).count(), 0);
}

#[test]
fn cells_of_a_map_that_is_empty_are_unknown() {
    let segment = SegmentView { cells: BTreeMap::new(), ..healthy(1).segments.remove(0) };
    assert_eq!(segment.hears(0, 1, Cast::Multicast), None);
}

#[test]
fn a_port_that_is_free_again_was_said_to_be_held_by_another_user() {
    let cause = |holder: Holder| {
        let mut view = healthy(2);
        here(&mut view).facts.taken = Some((5001, holder));
        let found = local::findings(&view);
        format!("{}: {}", found[0].cause, found[0].remedy)
    };
    assert!(cause(Holder::Nobody).contains("is free now") && cause(Holder::Nobody).contains("start udpnode again"));
    assert!(cause(Holder::Unknown).contains("is held by a program of another user"));
}

//! Holds udpnode(1) and the events to each other: each event has exactly the keys that the page tells of it,
//! and so has each object inside one.
//!
//! The page tells the keys of an event as `.Va key` below `.It Cm event`; those of the objects of an array
//! below `.It Va array`, in a list of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::render::{self, Ready, View};
use super::{answers, render_paths, render_why, report};
use crate::address::{Cast, Errand, SegmentId};
use crate::event::{Arrival, Event, Message, PeerName, Whisper};
use crate::id::PeerId;
use crate::node::{By, PeerStatus, Reason, Route, Verification, Way, Why, WhyHeard, WhyHears, WhyPath, WhyState};
use crate::protocol::diagnosis::tests::healthy;
use crate::protocol::diagnosis::{Deaf, Foreign};
use crate::protocol::names::Trust;
use crate::text::{Line, Nick};
use crate::time::WallTime;

/// The keys of each event, and of each object in it: `doctor.findings` for those of that array.
type Keys = BTreeMap<String, BTreeSet<String>>;

/// What people are shown of a peer stands in every object that names one: told once, of `joined`.
const EVERYWHERE: &str = "label";

fn told() -> Keys {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/udpnode.1");
    let page = fs::read_to_string(page).expect("the page is there");
    let text = page.split(".Ss JSON").nth(1).and_then(|text| text.split(".Sh ").next()).expect("the section is there");
    let (mut keys, mut events, mut inside) = (Keys::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [".Bl", ..] => inside.push(None),
            [".El"] => {
                inside.pop();
                // What stands behind the list is about events in general.
                if inside.is_empty() {
                    events.clear();
                }
            }
            [".It", "Cm", names @ ..] => {
                events = names.iter().filter(|name| **name != ",").map(ToString::to_string).collect();
                for event in &events {
                    keys.entry(event.clone()).or_default();
                }
            }
            [".It", "Va", key, ..] => {
                inside.pop();
                note(&mut keys, &events, &inside, key);
                inside.push(Some((*key).to_owned()));
            }
            [".Va", key, ..] => note(&mut keys, &events, &inside, key),
            _ => {}
        }
    }
    keys
}

fn note(keys: &mut Keys, events: &[String], inside: &[Option<String>], key: &str) {
    for event in events {
        let path: Vec<&str> = std::iter::once(event).chain(inside.iter().flatten()).map(String::as_str).collect();
        keys.entry(path.join(".")).or_default().insert(key.to_owned());
    }
}

/// Notes what is in one object.
fn look(object: &Value, path: &str, keys: &mut Keys) {
    let Some(object) = object.as_object() else { return };
    let known = keys.entry(path.to_owned()).or_default();
    known.extend(object.keys().filter(|key| *key != "event").cloned());
    for (key, value) in object {
        for part in value.as_array().into_iter().flatten() {
            look(part, &format!("{path}.{key}"), keys);
        }
    }
}

fn name(n: u8, nick: &str) -> PeerName {
    PeerName { id: PeerId([n; 16]), nick: Nick::from_any(nick), suffix: PeerId::SUFFIX_LEN }
}

fn address() -> SocketAddr {
    "10.0.0.4:5004".parse().expect("an address")
}

fn arrival() -> Arrival {
    let (segment, cast, errand) = (SegmentId(1), Cast::Multicast, Errand::Repair);
    Arrival { segment, cast, address: address(), ttl: Some(1), errand }
}

/// One of each, with everything that it may tell.
fn events() -> Vec<Event> {
    let (bob, text, arrival) = (name(2, "bob"), Line::from_peer("hi"), arrival());
    let (from, to, wall) = (bob.clone(), bob.clone(), WallTime(0));
    let message = Message { from, boot: 1, seq: 1, text: text.clone(), history: false, wall, arrival };
    let whisper = Whisper { from: bob.clone(), boot: 1, mid: 1, text: text.clone(), wall, arrival };
    vec![
        Event::Joined(bob.clone(), address()),
        Event::Left(bob.clone(), address()),
        Event::Lost(bob.clone(), address()),
        Event::Back(bob.clone(), address()),
        Event::Renamed(bob.clone(), bob.clone()),
        Event::Away(bob.clone(), Some(text.clone())),
        Event::Away(bob.clone(), None),
        Event::Disconnected(3),
        Event::Connected,
        Event::Sent { boot: 1, seq: 1, text: text.clone() },
        Event::Message(message),
        Event::Told { mid: 1, to: to.clone(), text: text.clone(), queued: true },
        Event::TellDelivered { mid: 1, to: to.clone() },
        Event::TellFailed { mid: 1, to },
        Event::Whisper(whisper),
        Event::Plain { arrival, text: text.clone() },
        Event::PlainSent(text),
        Event::Delivered { seq: 1, confirmed: 1, online: 2 },
        Event::Gap { from: bob, count: 37 },
        Event::Notice("well".into()),
        Event::Warning("oh".into()),
    ]
}

fn shown(event: &Event) -> String {
    let route = Route { arrival: arrival(), via: Some(name(3, "cat")), hops: Some(1) };
    let came = matches!(event, Event::Message(_) | Event::Whisper(_) | Event::Plain { .. });
    let segment = |_| "eth0".to_owned();
    let view = View { now: WallTime(0), segment: &segment, route: came.then_some(&route) };
    render::json(event, view).expect("told")
}

fn ready(plain: bool) -> String {
    let ann = name(1, "ann");
    let own = (!plain).then_some((&ann, 7));
    let (addresses, group) = (vec![address()], address());
    render::json_ready(&Ready { label: "ann", own, plain_name: "ann", addresses, group, keyed: false })
}

fn who() -> String {
    let peer = PeerStatus {
        name: name(2, "bob"),
        place: Some((SegmentId(1), address())),
        online: true,
        joined: Duration::ZERO,
        heard: Duration::ZERO,
        hears: None,
        away: Some(Line::from_peer("at lunch")),
        round_trip: Some(Duration::ZERO),
        loss: Some(0),
        trust: Trust::Pinned,
    };
    answers::who(vec![peer], &[(name(9, "eve"), (SegmentId(1), address()))], |_| "eth0".into()).json
}

fn why(state: WhyState, way: Way) -> String {
    let (first_ago, last_ago) = (Duration::ZERO, Duration::ZERO);
    let heard = WhyHeard { by: By::Unicast, first_ago, last_ago, fresh: true, ttl_sent: Some(2), ttl_left: Some(1) };
    let us = WhyHears { by: vec![(By::Unicast, Some(1), 2)], since: Duration::ZERO, said_ago: Duration::ZERO };
    let path = WhyPath {
        segment: SegmentId(1),
        name: "eth0".into(),
        address: address(),
        best: true,
        heard: vec![heard],
        hears_us: Some(us),
    };
    let why = Why { name: name(2, "bob"), state, paths: vec![path], round_trip: Duration::ZERO, way };
    render_why::why(&why, |_| "eth0".into()).json
}

/// Findings at a peer, on the way to one, and about somebody of another group.
fn doctor() -> [String; 2] {
    let (eve, fay) = (name(5, "eve"), name(6, "fay"));
    let deaf = |name: &PeerName, hears_nobody| Deaf { label: name.label(), address: address(), hears_nobody };
    let mut view = healthy(2);
    view.segments[0].deaf = vec![deaf(&eve, true), deaf(&fay, false)];
    view.foreign = vec![Foreign { address: address(), nick: None, group: None, other_key: false }];
    if let Some(cell) = view.segments[0].cells.get_mut(&(0, 1)) {
        cell.multicast = Some(false);
    }
    // The other way round: who is not heard is the first that is named.
    let mut back = healthy(1);
    back.segments[0].members[1].label = eve.label();
    back.segments[0].members[1].padded = crate::protocol::diagnosis::Padded::NotBack;
    let names = report::Names::with(name(1, "ann"), [eve, fay]);
    [view, back].map(|view| report::answer(&view, &names, None).json)
}

/// What the program tells, of everything.
fn real() -> Keys {
    let mut all: Vec<String> = events().iter().map(shown).collect();
    all.extend([ready(false), ready(true), who(), render_paths::paths(&render_paths::tests::reach(), 80).json]);
    all.extend([answers::own_key(&name(1, "ann")).json, render::json_done(1, Some("no"))]);
    let verification = Verification { name: name(2, "bob"), digits: "12345".into() };
    all.push(answers::verification(&verification, &name(1, "ann")).json);
    let online = WhyState::Online(Duration::ZERO, Duration::ZERO);
    all.push(why(online, Way::Cast(SegmentId(1), Cast::Multicast, Reason::Heard)));
    all.push(why(WhyState::Lost(Duration::ZERO), Way::Copy(SegmentId(1), address(), Reason::Missed)));
    all.push(why(WhyState::Beyond, Way::Relay(Some(name(3, "cat")))));
    all.push(why(WhyState::Deaf(Duration::ZERO), Way::Nowhere));
    all.extend(doctor());
    let mut keys = Keys::new();
    for json in all {
        let json: Value = serde_json::from_str(&json).expect("JSON");
        look(&json, json["event"].as_str().expect("an event"), &mut keys);
    }
    keys
}

#[test]
fn each_event_has_the_keys_that_the_manual_tells() {
    let (mut told, mut real) = (told(), real());
    assert!(told["joined"].contains(EVERYWHERE) && real["joined"].contains(EVERYWHERE), "{told:#?}");
    // Its counters are told in a section of their own, and held to it by a test of their own.
    assert!(told.remove("stats").is_some_and(|keys| keys.len() == 1));
    for keys in told.values_mut().chain(real.values_mut()) {
        keys.remove(EVERYWHERE);
    }
    assert!(real.len() > 25 && real["doctor.findings"].contains("from_id"), "{real:#?}");
    for (path, keys) in &real {
        assert_eq!(told.get(path), Some(keys), "of {path} the page tells, and the program");
    }
    assert_eq!(told.keys().collect::<Vec<_>>(), real.keys().collect::<Vec<_>>());
}

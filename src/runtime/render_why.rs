//! One peer explained in sentences, and one message's way in a few words.
//!
//! Pure functions; `/why`, `/trace` and whoever asks by the control socket show what they give.

use std::time::Duration;

use super::answers::{Answer, span};
use super::render::Object;
use super::render_paths::millis;
use crate::address::{Errand, SegmentId};
use crate::event::Event;
use crate::node::{Reason, Route, Way, Why, WhyHeard, WhyHears, WhyPath, WhyState};
use crate::term::{Paint, Painted};
use crate::time::WallTime;

/// The answer to `/why`; `segment` is what the system calls a segment.
pub(crate) fn why(why: &Why, segment: impl Fn(SegmentId) -> String) -> Answer {
    let name = why.name.label();
    let mut lines = vec![state_line(why)];
    for path in &why.paths {
        path_lines(&name, path, &mut lines);
    }
    if matches!(why.state, WhyState::Online(..)) {
        let trip = format!("the group answers within {} ms", why.round_trip.as_millis());
        lines.push(Painted::plain(&trip));
    }
    lines.push(way_line(&name, &why.way, &segment));
    let status = u8::from(!matches!(why.state, WhyState::Online(..)));
    Answer::painted(json(why, segment), lines, status)
}

fn state_line(why: &Why) -> Painted {
    let (paint, what) = match why.state {
        WhyState::Online(joined, heard) => {
            (Paint::Good, format!("is online for {}, heard {} ago", span(joined), short(heard)))
        }
        WhyState::Lost(heard) => (Paint::Bad, format!("is lost, silent for {}", span(heard))),
        WhyState::Left => (Paint::Faint, "has left".to_owned()),
        WhyState::Beyond => (Paint::Fair, "is not heard here; others pass on what it says".to_owned()),
        WhyState::Deaf(heard) => {
            (Paint::Bad, format!("is heard for {}, but answers nothing that is sent to it", span(heard)))
        }
    };
    Painted::plain(&format!("{} ({}) ", why.name.label(), why.name.id)).and(paint, &what)
}

fn path_lines(name: &str, path: &WhyPath, lines: &mut Vec<Painted>) {
    let best = if path.best { ", by which it is reached" } else { "" };
    lines.push(Painted::plain(&format!("on {}, at {}{best}:", path.name, path.address)));
    for heard in &path.heard {
        lines.push(heard_line(heard));
    }
    lines.push(match &path.hears_us {
        None => Painted::default().and(Paint::Faint, &format!("  {name} has not said what it hears of me")),
        Some(us) => hears_line(name, us),
    });
}

fn heard_line(heard: &WhyHeard) -> Painted {
    let way = ttl_words(heard.ttl_sent, heard.ttl_left);
    let (paint, what) = if heard.fresh {
        (Paint::Good, format!("heard by {}", heard.by))
    } else {
        (Paint::Bad, format!("not heard by {} any more", heard.by))
    };
    let since = format!(", last {} ago, first {} ago", short(heard.last_ago), span(heard.first_ago));
    Painted::plain("  ").and(paint, &what).and(Paint::Plain, &format!("{since}{way}"))
}

fn hears_line(name: &str, us: &WhyHears) -> Painted {
    if us.by.is_empty() {
        let what = format!("  {name} says that it hears nothing of me");
        return Painted::default().and(Paint::Bad, &what).and(Paint::Plain, &format!(", for {}", span(us.since)));
    }
    let by = us.by.iter().map(|&(by, left, sent)| format!("{by}{}", ttl_words(Some(sent), left)));
    let by: Vec<_> = by.collect();
    let said = format!(", for {}, said {} ago", span(us.since), short(us.said_ago));
    let line =
        Painted::default().and(Paint::Good, &format!("  {name} says that it hears me by {}", by.join(" and by ")));
    line.and(Paint::Plain, &said)
}

/// How far something went, where that is known.
fn ttl_words(sent: Option<u8>, left: Option<u8>) -> String {
    match (sent.zip(left).and_then(|(sent, left)| sent.checked_sub(left)), left) {
        (Some(hops), Some(left)) => format!(" ({}, TTL {left} left)", hop_words(hops)),
        (_, Some(left)) => format!(" (TTL {left} left)"),
        _ => String::new(),
    }
}

fn hop_words(hops: u8) -> String {
    if hops == 1 { "1 hop".into() } else { format!("{hops} hops") }
}

fn way_line(name: &str, way: &Way, segment: &impl Fn(SegmentId) -> String) -> Painted {
    let because = |reason: &Reason, cast: &str| match reason {
        Reason::Chosen => "as it was chosen with /cast or --cast".to_owned(),
        Reason::Heard => format!("for {name} says that it hears {cast}, and no other cast reaches more"),
        Reason::Hoped => format!("for {name} has not said yet what it hears"),
        Reason::Unheard => format!("for {name} hears no cast that reaches the others"),
        Reason::Missed => format!("though {name} says that it does not hear {cast}: it asks for what it misses"),
        Reason::NoCast => "for there is neither broadcast nor multicast there".to_owned(),
    };
    let (paint, what) = match way {
        Way::Cast(on, cast, reason) => {
            (Paint::Good, format!("by {cast} on {}, {}", segment(*on), because(reason, &cast.to_string())))
        }
        Way::Copy(on, to, reason) => {
            (Paint::Poor, format!("as a copy by unicast to {to} on {}, {}", segment(*on), because(reason, "unicast")))
        }
        Way::Relay(Some(by)) => (Paint::Fair, format!("passed on by {}, as what it says comes here", by.label())),
        Way::Relay(None) => (Paint::Fair, "passed on by others".to_owned()),
        Way::Away => (Paint::Faint, "when it is back, as history".to_owned()),
        Way::Nowhere => (Paint::Bad, format!("not at all (/doctor {name} says what to try)")),
    };
    Painted::plain(&format!("what I say to the group reaches {name} ")).and(paint, &what)
}

fn json(why: &Why, segment: impl Fn(SegmentId) -> String) -> Object {
    let object = Object::new("why").named("peer", &why.name);
    let object = match why.state {
        WhyState::Online(joined, heard) => {
            object.text("state", "online").number("joined_ms", millis(joined)).number("heard_ms", millis(heard))
        }
        WhyState::Lost(heard) => object.text("state", "lost").number("heard_ms", millis(heard)),
        WhyState::Left => object.text("state", "left"),
        WhyState::Beyond => object.text("state", "beyond"),
        WhyState::Deaf(heard) => object.text("state", "deaf").number("since_ms", millis(heard)),
    };
    let object = object.list("paths", why.paths.iter().map(path_json));
    let object = object.number("round_trip_us", u64::try_from(why.round_trip.as_micros()).unwrap_or(u64::MAX));
    match &why.way {
        Way::Cast(on, cast, reason) => {
            object.text("way", &cast.to_string()).text("segment", &segment(*on)).text("because", word(*reason))
        }
        Way::Copy(on, to, reason) => {
            let object = object.text("way", "unicast").text("segment", &segment(*on)).text("address", &to.to_string());
            object.text("because", word(*reason))
        }
        Way::Relay(by) => {
            let object = object.text("way", "relay");
            if let Some(by) = by { object.also_named("by", by) } else { object }
        }
        Way::Away | Way::Nowhere => object.text("way", "none"),
    }
}

const fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Chosen => "chosen",
        Reason::Heard => "heard",
        Reason::Hoped => "hoped",
        Reason::Unheard => "unheard",
        Reason::Missed => "missed",
        Reason::NoCast => "no cast",
    }
}

fn path_json(path: &WhyPath) -> Object {
    let heard = path.heard.iter().map(|heard| {
        let object = Object::part().text("cast", &heard.by.to_string()).flag("fresh", heard.fresh);
        let object = object.number("first_ms", millis(heard.first_ago)).number("last_ms", millis(heard.last_ago));
        let hops = heard.ttl_sent.zip(heard.ttl_left).and_then(|(sent, left)| sent.checked_sub(left));
        object.maybe("ttl_sent", heard.ttl_sent).maybe("ttl_left", heard.ttl_left).maybe("hops", hops)
    });
    let object = Object::part().text("segment", &path.name).text("address", &path.address.to_string());
    let object = object.flag("best", path.best).list("heard", heard);
    let Some(us) = &path.hears_us else { return object };
    let by = us.by.iter().map(|&(by, left, sent)| {
        let object = Object::part().text("cast", &by.to_string()).number("ttl_sent", sent.into());
        let hops = left.and_then(|left| sent.checked_sub(left));
        object.maybe("ttl_left", left).maybe("hops", hops)
    });
    let object = object.list("hears_us", by);
    object.number("hears_since_ms", millis(us.since)).number("hears_said_ms", millis(us.said_ago))
}

/// A short span: with a tenth of a second below ten seconds.
fn short(ago: Duration) -> String {
    if ago < Duration::from_secs(10) { format!("{:.1} s", ago.as_secs_f32()) } else { span(ago) }
}

/// How a message came, behind its line.
pub(crate) fn trace(event: &Event, route: &Route, segment: &str, now: WallTime) -> String {
    let arrival = &route.arrival;
    let mut parts = vec![format!("{} on {segment}", arrival.cast)];
    parts.extend(route.hops.map(hop_words));
    parts.extend(arrival.ttl.map(|left| format!("TTL {left} left")));
    parts.extend(latency(event, now).map(|ms| format!("{ms} ms by the clocks")));
    if !matches!(event, Event::Plain { .. }) {
        let by = route.via.as_ref().map(|name| format!(" by {}", name.label()));
        parts.push(match arrival.errand {
            Errand::Said if by.is_none() => "first hand".to_owned(),
            Errand::Said => format!("sent{}", by.unwrap_or_default()),
            Errand::Repeat => format!("repeated{}", by.unwrap_or_default()),
            Errand::Repair => format!("repaired{}", by.unwrap_or_else(|| " by its author".to_owned())),
            Errand::Relay => format!("passed on{}", by.unwrap_or_default()),
        });
    }
    format!("  [{}]", parts.join(", "))
}

/// The same as fields of the event.
pub(crate) fn trace_json(object: Object, event: &Event, route: &Route, now: WallTime) -> Object {
    let object = object.maybe("ttl", route.arrival.ttl).maybe("hops", route.hops);
    let object = match latency(event, now) {
        Some(ms) => object.raw("clock_latency_ms", &ms.to_string()),
        None => object,
    };
    if matches!(event, Event::Plain { .. }) {
        return object;
    }
    let object = object.text("errand", &route.arrival.errand.to_string());
    match &route.via {
        Some(name) => object.also_named("via", name),
        None => object,
    }
}

/// What our clock shows less what its author's did; below zero if they differ by more than it took.
fn latency(event: &Event, now: WallTime) -> Option<i64> {
    let said = match event {
        Event::Message(message) if !message.history => message.wall,
        Event::Whisper(whisper) => whisper.wall,
        _ => return None,
    };
    i64::try_from(now.0).ok()?.checked_sub(i64::try_from(said.0).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Cast;
    use crate::event::{Arrival, Message, PeerName};
    use crate::id::PeerId;
    use crate::node::By;
    use crate::text::{Line, Nick};

    fn name(nick: &str) -> PeerName {
        PeerName { id: PeerId([7; 16]), nick: Nick::from_any(nick), suffix: 0 }
    }

    fn path(hears_us: Option<WhyHears>) -> WhyPath {
        let (first_ago, last_ago) = (Duration::from_secs(300), Duration::from_millis(1240));
        let heard = |by, fresh, ttl_left| WhyHeard { by, first_ago, last_ago, fresh, ttl_sent: Some(2), ttl_left };
        WhyPath {
            segment: SegmentId(1),
            name: "eth0".into(),
            address: "10.0.0.4:5004".parse().expect("an address"),
            best: true,
            heard: vec![heard(By::Broadcast, true, None), heard(By::Multicast, false, Some(1))],
            hears_us,
        }
    }

    fn explained(state: WhyState, paths: Vec<WhyPath>, way: Way) -> Answer {
        let round_trip = Duration::from_millis(20);
        why(&Why { name: name("bob"), state, paths, round_trip, way }, |_| "eth0".into())
    }

    #[test]
    fn a_peer_is_explained_in_sentences() {
        let us = WhyHears {
            by: vec![(By::Unicast, Some(63), 64)],
            since: Duration::from_secs(70),
            said_ago: Duration::from_secs(1),
        };
        let online = WhyState::Online(Duration::from_secs(300), Duration::from_millis(1240));
        let to = "10.0.0.4:5004".parse().expect("an address");
        let answer = explained(online, vec![path(Some(us))], Way::Copy(SegmentId(1), to, Reason::Unheard));
        let id = PeerId([7; 16]);
        let expected = format!(
            "bob ({id}) is online for 5 min, heard 1.2 s ago
on eth0, at 10.0.0.4:5004, by which it is reached:
  heard by broadcast, last 1.2 s ago, first 5 min ago
  not heard by multicast any more, last 1.2 s ago, first 5 min ago (1 hop, TTL 1 left)
  bob says that it hears me by unicast (1 hop, TTL 63 left), for 1 min, said 1.0 s ago
the group answers within 20 ms
what I say to the group reaches bob as a copy by unicast to 10.0.0.4:5004 on eth0, for bob hears no cast that \
reaches the others"
        );
        assert_eq!((answer.text.as_str(), answer.status), (expected.as_str(), 0));
        let json: serde_json::Value = serde_json::from_str(&answer.json).expect("JSON");
        assert_eq!(
            (&json["event"], &json["state"], &json["way"]),
            (&"why".into(), &"online".into(), &"unicast".into())
        );
        let heard = serde_json::json!({
            "cast": "multicast", "fresh": false, "first_ms": 300_000, "last_ms": 1240,
            "ttl_sent": 2, "ttl_left": 1, "hops": 1
        });
        assert_eq!(json["paths"][0]["heard"][1], heard);
        assert_eq!(json["paths"][0]["hears_us"][0]["hops"], 1);
    }

    #[test]
    fn who_is_not_here_is_explained_as_well() {
        let beyond = explained(WhyState::Beyond, Vec::new(), Way::Relay(Some(name("cat"))));
        assert!(
            beyond.text.contains("is not heard here")
                && beyond.text.ends_with("passed on by cat, as what it says comes here")
        );
        assert_eq!(beyond.status, 1);
        let deaf = path(Some(WhyHears { by: Vec::new(), since: Duration::ZERO, said_ago: Duration::ZERO }));
        let lost = explained(WhyState::Lost(Duration::from_secs(9)), vec![deaf, path(None)], Way::Away);
        assert!(lost.text.contains("bob says that it hears nothing of me"), "{}", lost.text);
        assert!(lost.text.contains("bob has not said what it hears of me"));
        assert!(!lost.text.contains("the group answers"));
    }

    fn traced(errand: Errand, via: Option<&str>, wall: u64, history: bool) -> (String, serde_json::Value) {
        let address = "10.0.0.4:5004".parse().expect("an address");
        let arrival = Arrival { segment: SegmentId(1), cast: Cast::Multicast, address, ttl: Some(1), errand };
        let (from, text) = (name("bob"), Line::from_peer("hi"));
        let message = Message { from, boot: 1, seq: 1, text, history, wall: WallTime(wall), arrival };
        let (event, route) = (Event::Message(message), Route { arrival, via: via.map(name), hops: Some(1) });
        let object = trace_json(Object::new("message"), &event, &route, WallTime(1000));
        (trace(&event, &route, "eth0", WallTime(1000)), serde_json::from_str(&object.finish()).expect("JSON"))
    }

    #[test]
    fn the_way_of_a_message_stands_behind_it() {
        let said = |errand, via| traced(errand, via, 997, false).0;
        assert_eq!(
            said(Errand::Said, None),
            "  [multicast on eth0, 1 hop, TTL 1 left, 3 ms by the clocks, first hand]"
        );
        assert!(said(Errand::Repeat, None).ends_with(", repeated]"));
        assert!(said(Errand::Repair, None).ends_with(", repaired by its author]"));
        assert!(said(Errand::Repair, Some("cat")).ends_with(", repaired by cat]"));
        assert!(said(Errand::Relay, Some("cat")).ends_with(", passed on by cat]"));
        assert!(said(Errand::Said, Some("cat")).ends_with(", sent by cat]"), "whoever says so");
    }

    #[test]
    fn clocks_that_differ_are_shown_as_they_are_and_history_has_no_latency() {
        assert!(traced(Errand::Said, None, 1500, false).0.contains(", -500 ms by the clocks,"));
        assert!(!traced(Errand::Said, None, 1, true).0.contains("clocks"));
        assert!(!traced(Errand::Said, None, u64::MAX, false).0.contains("clocks"), "no clock shows that");
        let json = traced(Errand::Repair, Some("cat"), 997, false).1;
        let expected = serde_json::json!({
            "event": "message", "ttl": 1, "hops": 1, "clock_latency_ms": 3, "errand": "repair", "via": "cat",
            "via_id": PeerId([7; 16]).to_string()
        });
        assert_eq!(json, expected);
    }
}

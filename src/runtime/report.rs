//! How a diagnosis is told: one line if all is well, what is wrong and what to do about it if not; the
//! same as one JSON object.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::Answer;
use super::render::Object;
use crate::address::Cast;
use crate::event::PeerName;
use crate::node::{Known, Node};
use crate::protocol::diagnosis::{Cell, Finding, Foreign, SegmentView, Side, US, View, diagnose, nobody};
use crate::text::Line;

/// Exit statuses: something is wrong; nobody is there.
const FOUND: u8 = 1;
const NOBODY: u8 = 3;

/// Names told one by one; where there are more, they are counted.
const NAMES_MAX: usize = 6;

/// Who is meant by what a [`View`] calls somebody: scripts are told nick and id.
pub(crate) struct Names {
    me: PeerName,
    others: BTreeMap<String, PeerName>,
}

impl Names {
    /// Everybody of whom a node knows.
    pub(crate) fn of(node: &Node) -> Self {
        let deaf = node.deaf().into_iter().map(|(name, _)| (name.label(), name));
        let known = node.reach().nodes.into_iter().map(|known| match known.known {
            // Who told no name is called by the beginning of its id.
            Known::Hearsay => (format!("~{}", known.id.suffix()), known.name),
            _ => (known.name.label(), known.name),
        });
        // Of two who are called alike the one is meant that is known to live.
        Self { me: node.name(), others: deaf.chain(known).collect() }
    }

    #[cfg(test)]
    pub(crate) fn with(me: PeerName, others: impl IntoIterator<Item = PeerName>) -> Self {
        Self { me, others: others.into_iter().map(|name| (name.label(), name)).collect() }
    }

    /// Who that is, under this key; without an id where nothing is known but what it is called.
    fn put(&self, key: &str, object: Object, label: &str) -> Object {
        if let Some(name) = if label == US { Some(&self.me) } else { self.others.get(label) } {
            return object.also_named(key, name);
        }
        let object = object.text(key, nick(label));
        if label.contains('~') { object.text(&format!("{key}_label"), label) } else { object }
    }
}

/// The nick in what somebody is called.
fn nick(label: &str) -> &str {
    label.split_once('~').map_or(label, |(nick, _)| nick)
}

/// The answer to `/doctor`, or to `/doctor NAME`.
pub(crate) fn answer(view: &View, names: &Names, name: Option<&Line>) -> Answer {
    let mut findings = diagnose(view);
    if let Some(name) = name {
        let Some(label) = named(view, name.as_str()) else {
            let answer = Answer::new(object(view, names, &[], false), format!("nobody here is called {name}"), NOBODY);
            return Answer { refused: true, ..answer };
        };
        findings.retain(|finding| finding.concerns(label));
    }
    let object = object(view, names, &findings, findings.is_empty() && others(view).next().is_some());
    let told: Vec<String> = findings.iter().map(shown).collect();
    if others(view).chain(deaf(view)).next().is_none() {
        let lines = nobody(view).into_iter().chain(told);
        let text = lines.collect::<Vec<_>>().join("\n");
        let text = if text.is_empty() { "nobody is heard: no interface is in use".into() } else { text };
        return Answer::new(object, text, NOBODY);
    }
    if findings.is_empty() {
        return Answer::new(object, healthy(view, name), 0);
    }
    Answer::new(object, told.join("\n"), FOUND)
}

fn others(view: &View) -> impl Iterator<Item = &str> {
    let members = view.segments.iter().flat_map(|segment| segment.members.iter().skip(1));
    members.map(|member| member.label.as_str())
}

/// How somebody is shown whom a name means: a peer, if need be without its suffix where only one is called so, else one
/// who is heard and answers nothing, or whom others hear.
fn named<'a>(view: &'a View, name: &str) -> Option<&'a str> {
    let is_nick = |label: &&str| label.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('~'));
    let called: BTreeSet<&str> = others(view).filter(is_nick).collect();
    let only = || called.first().copied().filter(|_| called.len() == 1);
    called.get(name).copied().or_else(only).or_else(|| deaf(view).chain(unheard(view)).find(is_nick))
}

/// Those whom others hear and we do not, and who are to be told of.
fn unheard(view: &View) -> impl Iterator<Item = &str> {
    let all = view.segments.iter().flat_map(|segment| &segment.unheard);
    all.filter(|other| other.lasting).map(|other| other.label.as_str())
}

/// Those who are heard and answer nothing.
fn deaf(view: &View) -> impl Iterator<Item = &str> {
    view.segments.iter().flat_map(|segment| &segment.deaf).map(|deaf| deaf.label.as_str())
}

/// One line: nothing is wrong.
fn healthy(view: &View, name: Option<&Line>) -> String {
    if let Some(name) = name {
        return format!("healthy: nothing is wrong between us and {name}");
    }
    let segments = view.segments.iter().map(|segment| {
        let names: BTreeSet<&str> = segment.members.iter().skip(1).map(|member| member.label.as_str()).collect();
        let who = match names.len() {
            0 => "nobody".to_owned(),
            1..=NAMES_MAX => names.into_iter().collect::<Vec<_>>().join(", "),
            many => format!("{many} others"),
        };
        format!("{who} on {}", segment.shown())
    });
    format!("healthy: {}; nothing is wrong", segments.collect::<Vec<_>>().join("; "))
}

/// What is wrong, and below it what to do.
fn shown(finding: &Finding) -> String {
    let place = finding.segment.as_ref().map_or_else(String::new, |segment| format!(", {segment}"));
    let mildness = if finding.code.is_mild() { " (mild)" } else { "" };
    format!("{} [{}{place}]{mildness}: {}\n    {}", finding.code, finding.side, finding.cause, finding.remedy)
}

fn object(view: &View, names: &Names, findings: &[Finding], healthy: bool) -> Object {
    let segments = view.segments.iter().map(|segment| {
        let address = format!("{}/{}", segment.address.ip(), segment.prefix_len);
        let object = Object::part().text("segment", &segment.name).text("address", &address);
        let others = u64::try_from(segment.members.len().saturating_sub(1)).unwrap_or(u64::MAX);
        object.number("others", others)
    });
    let object = Object::new("doctor").text("id", &names.me.id.to_string()).flag("healthy", healthy);
    let object = object.list("segments", segments);
    let object = object.list("hears", view.segments.iter().flat_map(|segment| hears(segment, names)));
    object.list("findings", findings.iter().map(|found| finding(view, names, found)))
}

/// Who hears whom, and not, as far as that is known.
fn hears(segment: &SegmentView, names: &Names) -> impl Iterator<Item = Object> {
    let label = |x: usize| segment.members.get(x).map_or("", |member| member.label.as_str());
    segment.cells.iter().map(move |(&(listener, speaker), cell)| {
        let object = names.put("from", Object::part().text("segment", &segment.name), label(speaker));
        let object = names.put("to", object, label(listener));
        object.text("by", &casts(cell, true)).text("not_by", &casts(cell, false))
    })
}

/// The letters of the casts of which this is known.
fn casts(cell: &Cell, hears: bool) -> String {
    let all = [('U', Cast::Unicast), ('B', Cast::Broadcast), ('M', Cast::Multicast)];
    all.into_iter().filter(|(_, cast)| cell.by(*cast) == Some(hears)).map(|(letter, _)| letter).collect()
}

fn finding(view: &View, names: &Names, finding: &Finding) -> Object {
    let object = Object::part().text("code", &finding.code.to_string());
    let object = object.text("severity", if finding.code.is_mild() { "warning" } else { "error" });
    let object = match &finding.segment {
        Some(segment) => object.text("segment", segment),
        None => object,
    };
    let object = match finding.cast {
        Some(cast) => object.text("cast", &cast.to_string()),
        None => object,
    };
    let object = match &finding.side {
        Side::Us => object.text("side", "us"),
        Side::Network => object.text("side", "network"),
        Side::Peer(label) => culprit(view, names, object.text("side", "peer"), label),
        Side::Between { from, to, both } => {
            let object = names.put("from", object.text("side", "between"), from);
            names.put("to", object, to).flag("both", *both)
        }
    };
    object.text("cause", &finding.cause).text("remedy", &finding.remedy)
}

/// Who is at fault. Of somebody in another group at most a nick and an address are known.
fn culprit(view: &View, names: &Names, object: Object, label: &str) -> Object {
    if let Some(name) = names.others.get(label) {
        return object.named("peer", name);
    }
    let is_meant = |stranger: &&Foreign| {
        let address = stranger.address.to_string();
        label
            .strip_suffix(&format!(" ({address})"))
            .map_or(label == address, |nick| stranger.nick.as_ref().is_some_and(|known| known.as_str() == nick))
    };
    let Some(stranger) = view.foreign.iter().find(is_meant) else {
        let object = object.text("peer", nick(label));
        return if label.contains('~') { object.text("label", label) } else { object };
    };
    let object = match &stranger.nick {
        Some(nick) => object.text("peer", nick.as_str()),
        None => object,
    };
    object.text("address", &stranger.address.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::id::PeerId;
    use crate::protocol::diagnosis::Deaf;
    use crate::protocol::diagnosis::tests::healthy;
    use crate::text::Nick;

    fn name(n: u8, nick: &str, suffix: usize) -> PeerName {
        PeerName { id: PeerId([n; 16]), nick: Nick::from_any(nick), suffix }
    }

    /// Ann asks; bob and cat are known, and eve by what she is shown as.
    fn names() -> Names {
        Names::with(name(1, "ann", 0), [name(2, "bob", 0), name(3, "cat", 0), name(5, "eve", 5)])
    }

    fn answer(view: &View, name: Option<&Line>) -> Answer {
        super::answer(view, &names(), name)
    }

    fn id(n: u8) -> String {
        PeerId([n; 16]).to_string()
    }

    fn parsed(answer: &Answer) -> Value {
        serde_json::from_str(&answer.json).expect("JSON")
    }

    #[test]
    fn a_healthy_network_is_one_line() {
        let answer = answer(&healthy(2), None);
        assert_eq!(answer.text, "healthy: bob, cat on eth0 (10.0.0.1/24); nothing is wrong");
        assert_eq!(answer.status, 0);
        let json = parsed(&answer);
        assert_eq!((json["healthy"].as_bool(), json["findings"].as_array().map(Vec::len)), (Some(true), Some(0)));
        assert_eq!(json["hears"].as_array().map(Vec::len), Some(6));
        let link = serde_json::json!({
            "segment": "eth0", "from": "bob", "from_id": id(2), "to": "ann", "to_id": id(1), "by": "UBM", "not_by": ""
        });
        assert_eq!((&json["hears"][0], &json["id"]), (&link, &id(1).into()));
    }

    /// What the first finding says of those it names.
    fn named(view: &View) -> Value {
        let mut finding = parsed(&answer(view, None))["findings"][0].take();
        let fields = finding.as_object_mut().expect("an object");
        fields.retain(|key, _| {
            !["code", "severity", "segment", "cast", "side", "both", "cause", "remedy"].contains(&key.as_str())
        });
        finding
    }

    #[test]
    fn scripts_are_told_nick_and_id_of_whoever_is_named() {
        let mut view = healthy(2);
        let deaf = |label: &str, hears_nobody| Deaf {
            label: label.into(),
            address: "10.0.0.9:5009".parse().expect("an address"),
            hears_nobody,
        };
        let label = names().others[&name(5, "eve", 5).label()].label();
        view.segments[0].deaf = vec![deaf(&label, true)];
        assert_eq!(named(&view), serde_json::json!({ "peer": "eve", "id": id(5), "label": label }));
        view.segments[0].deaf = vec![deaf(&label, false)];
        let way = serde_json::json!({
            "from": "ann", "from_id": id(1), "to": "eve", "to_id": id(5), "to_label": label
        });
        assert_eq!(named(&view), way);
        view.segments[0].deaf = vec![deaf("mal~zzzzz", true)];
        assert_eq!(named(&view), serde_json::json!({ "peer": "mal", "label": "mal~zzzzz" }), "beyond those known");
        view.segments[0].deaf = vec![deaf("mal~zzzzz", false)];
        let way = serde_json::json!({ "from": "ann", "from_id": id(1), "to": "mal", "to_label": "mal~zzzzz" });
        assert_eq!(named(&view), way);
    }

    #[test]
    fn of_somebody_in_another_group_nick_and_address_are_told() {
        let address = "10.0.0.7:5007".parse().expect("an address");
        for nick in [Some("zoe"), None] {
            let mut view = healthy(1);
            let nick = nick.map(Nick::from_any);
            view.foreign = vec![Foreign { address, nick: nick.clone(), group: None, other_key: false }];
            let mut expected = serde_json::json!({ "address": "10.0.0.7:5007" });
            if let Some(nick) = nick {
                expected["peer"] = nick.as_str().into();
            }
            assert_eq!(named(&view), expected);
        }
    }

    #[test]
    fn what_is_wrong_and_what_to_do() {
        let mut view = healthy(2);
        for listener in [0, 2] {
            if let Some(cell) = view.segments[0].cells.get_mut(&(listener, 1)) {
                cell.multicast = Some(false);
            }
        }
        let told = answer(&view, None);
        assert!(told.text.starts_with("multicast-dropped [bob, eth0]: bob's multicasts reach nobody"), "{}", told.text);
        assert_eq!((told.text.lines().count(), told.status), (2, 1));
        let json = parsed(&told);
        let finding = &json["findings"][0];
        assert_eq!((finding["side"].as_str(), finding["peer"].as_str()), (Some("peer"), Some("bob")));
        assert_eq!(finding["id"], id(2));
        assert_eq!((finding["cast"].as_str(), finding["severity"].as_str()), (Some("multicast"), Some("error")));
        assert_eq!(answer(&view, Some(&Line::from_peer("cat"))).status, 0);
        assert_eq!(answer(&view, Some(&Line::from_peer("bob"))).status, 1);
        let unknown = answer(&view, Some(&Line::from_peer("zoe")));
        assert_eq!((unknown.status, parsed(&unknown)["healthy"].as_bool()), (3, Some(false)));
    }

    #[test]
    fn who_answers_nothing_is_nobody_but_is_told_of() {
        let mut view = healthy(0);
        let address = "10.0.0.2:5002".parse().expect("an address");
        view.segments[0].deaf = vec![Deaf { label: "bob~abcde".into(), address, hears_nobody: true }];
        let told = answer(&view, None);
        assert!(told.text.starts_with("not-heard [from us to bob~abcde, eth0]: "), "{}", told.text);
        assert_eq!((told.status, parsed(&told)["healthy"].as_bool()), (1, Some(false)));
        for (name, status) in [("bob", 1), ("bob~abcde", 1), ("bo", 3), ("bob~", 3)] {
            assert_eq!(answer(&view, Some(&Line::from_peer(name))).status, status, "{name}");
        }
    }

    #[test]
    fn nobody_is_no_health() {
        let answer = answer(&healthy(0), None);
        assert!(answer.text.starts_with("nobody is heard on eth0 (10.0.0.1/24): "), "{}", answer.text);
        assert_eq!((answer.status, parsed(&answer)["healthy"].as_bool()), (3, Some(false)));
    }
}

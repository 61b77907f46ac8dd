//! How a diagnosis is told: one line if all is well, what is wrong and what to do about it if not; the
//! same as one JSON object.

use std::collections::BTreeSet;

use super::answers::Answer;
use super::render::Object;
use crate::address::Cast;
use crate::protocol::diagnosis::{Cell, Finding, SegmentView, Side, View, diagnose, nobody};
use crate::text::Line;

/// Exit statuses: something is wrong; nobody is there.
const FOUND: u8 = 1;
const NOBODY: u8 = 3;

/// Names told one by one; where there are more, they are counted.
const NAMES_MAX: usize = 6;

/// The answer to `/doctor`, or to `/doctor NAME`.
pub(crate) fn answer(view: &View, name: Option<&Line>) -> Answer {
    let mut findings = diagnose(view);
    if let Some(name) = name {
        let Some(label) = named(view, name.as_str()) else {
            let answer = Answer::new(object(view, &[], false), format!("nobody here is called {name}"), NOBODY);
            return Answer { refused: true, ..answer };
        };
        findings.retain(|finding| finding.concerns(label));
    }
    let object = object(view, &findings, findings.is_empty() && others(view).next().is_some());
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
/// who is heard and answers nothing.
fn named<'a>(view: &'a View, name: &str) -> Option<&'a str> {
    let is_nick = |label: &&str| label.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('~'));
    let called: BTreeSet<&str> = others(view).filter(is_nick).collect();
    let only = || called.first().copied().filter(|_| called.len() == 1);
    called.get(name).copied().or_else(only).or_else(|| deaf(view).find(is_nick))
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

fn object(view: &View, findings: &[Finding], healthy: bool) -> Object {
    let segments = view.segments.iter().map(|segment| {
        let address = format!("{}/{}", segment.address.ip(), segment.prefix_len);
        let object = Object::part().text("segment", &segment.name).text("address", &address);
        let others = u64::try_from(segment.members.len().saturating_sub(1)).unwrap_or(u64::MAX);
        object.number("others", others)
    });
    let object = Object::new("doctor").flag("healthy", healthy);
    let object = object.list("segments", segments);
    let object = object.list("hears", view.segments.iter().flat_map(hears));
    object.list("findings", findings.iter().map(finding))
}

/// Who hears whom, and not, as far as that is known.
fn hears(segment: &SegmentView) -> impl Iterator<Item = Object> {
    let name = |x: usize| segment.members.get(x).map_or("", |member| member.label.as_str());
    segment.cells.iter().map(move |(&(listener, speaker), cell)| {
        let object = Object::part().text("segment", &segment.name).text("from", name(speaker));
        let object = object.text("to", name(listener));
        object.text("by", &casts(cell, true)).text("not_by", &casts(cell, false))
    })
}

/// The letters of the casts of which this is known.
fn casts(cell: &Cell, hears: bool) -> String {
    let all = [('U', Cast::Unicast), ('B', Cast::Broadcast), ('M', Cast::Multicast)];
    all.into_iter().filter(|(_, cast)| cell.by(*cast) == Some(hears)).map(|(letter, _)| letter).collect()
}

fn finding(finding: &Finding) -> Object {
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
        Side::Peer(name) => object.text("side", "peer").text("peer", name),
        Side::Between { from, to, both } => {
            object.text("side", "between").text("from", from).text("to", to).flag("both", *both)
        }
    };
    object.text("cause", &finding.cause).text("remedy", &finding.remedy)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::protocol::diagnosis::Deaf;
    use crate::protocol::diagnosis::tests::healthy;

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
        assert_eq!(json["hears"][0]["by"], "UBM");
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

//! What `/help`, `/who`, `/stats` and `/cast` answer: text for people, and with it, where programs ask
//! too, the same as fields of an event.

use std::net::SocketAddr;
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use crate::address::SegmentId;
use crate::command::{CastChoice, HELP};
use crate::event::PeerName;
use crate::node::{PeerStatus, Verification};
use crate::protocol::names::Trust;
use crate::runtime::render::{self, Object};
use crate::term::Painted;

/// The exit status of a question that nobody is there to be asked about.
pub(super) const NOBODY: u8 = 3;

/// What a question is answered. Whoever asks - a person at the prompt, a script, a subcommand by the
/// control socket - is given the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// For people: one line or several.
    pub(crate) text: String,
    /// For programs: one JSON object, which holds the text as well.
    pub(crate) json: String,
    /// The text in colours, for a terminal, where there is more to it than the text.
    pub(crate) colours: Option<Vec<Painted>>,
    /// The exit status of a subcommand that asks this.
    pub(crate) status: u8,
    /// It says why there is no answer.
    pub(crate) refused: bool,
    /// Its lines are shown as they are, however wide: it is to be copied, for a program to read.
    pub(crate) whole: bool,
}

impl Answer {
    /// Text and nothing else.
    pub(crate) fn remark(text: String) -> Self {
        Self {
            json: render::json_remark("notice", &text),
            text,
            colours: None,
            status: 0,
            refused: false,
            whole: false,
        }
    }

    /// Why there is no answer.
    pub(crate) fn refused(text: String) -> Self {
        Self { status: 1, refused: true, ..Self::remark(text) }
    }

    /// What is in `object` for programs, the text for people.
    pub(crate) fn new(object: Object, text: String, status: u8) -> Self {
        Self { json: object.text("text", &text).finish(), status, ..Self::remark(text) }
    }

    /// The same, with colours where there are any.
    pub(crate) fn painted(object: Object, lines: Vec<Painted>, status: u8) -> Self {
        let text = lines.iter().map(Painted::text).collect::<Vec<_>>().join("\n");
        Self { colours: Some(lines), ..Self::new(object, text, status) }
    }
}

/// The answer to `/help`.
pub(crate) fn help() -> String {
    let rows: Vec<Vec<String>> = HELP.iter().map(|&(usage, what)| vec![usage.to_owned(), what.to_owned()]).collect();
    table(&rows)
}

/// The answer to `/who`: those who are here, and below them who is heard and answers nothing. `segment` is what the
/// system calls a segment.
pub(crate) fn who(
    mut peers: Vec<PeerStatus>,
    deaf: &[(PeerName, (SegmentId, SocketAddr))],
    segment: impl Fn(SegmentId) -> String,
) -> Answer {
    peers.sort_by_cached_key(|peer| peer.name.label());
    let object = Object::new("who").list("peers", peers.iter().map(|peer| who_json(peer, &segment)));
    let object = if deaf.is_empty() {
        object
    } else {
        let place = |(name, (on, address)): &(PeerName, (SegmentId, SocketAddr))| {
            let object = Object::part().named("peer", name).text("address", &address.to_string());
            object.text("segment", &segment(*on))
        };
        object.list("deaf", deaf.iter().map(place))
    };
    let here = peers.iter().map(|peer| row(peer, &segment));
    let rows: Vec<Vec<String>> = here.chain(deaf.iter().map(|one| deaf_row(one, &segment))).collect();
    let text = match (peers.is_empty(), rows.is_empty()) {
        (true, true) => "nobody else is here".to_owned(),
        (true, false) => format!("nobody else is here\n{}", table(&rows)),
        (false, _) => table(&rows),
    };
    let status = if peers.iter().any(|peer| peer.online) { 0 } else { NOBODY };
    Answer::new(object, text, status)
}

fn deaf_row(
    (name, (on, address)): &(PeerName, (SegmentId, SocketAddr)),
    segment: impl Fn(SegmentId) -> String,
) -> Vec<String> {
    let state = "heard, but answers nothing: /doctor says what to try";
    vec![name.label(), address.to_string(), segment(*on), String::new(), state.to_owned()]
}

fn who_json(peer: &PeerStatus, segment: impl Fn(SegmentId) -> String) -> Object {
    let object = Object::part().named("peer", &peer.name);
    let object = object.flag("online", peer.online).text("trust", trust(peer.trust));
    let object = object.number("joined", peer.joined.as_secs()).number("heard", peer.heard.as_secs());
    let object = match &peer.away {
        Some(away) => object.text("away", away.as_str()),
        None => object,
    };
    let object = match peer.round_trip {
        Some(took) => object.number("round_trip_us", u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
        None => object,
    };
    let object = object.maybe("loss", peer.loss);
    match peer.place {
        Some((on, address)) => object.text("address", &address.to_string()).text("segment", &segment(on)),
        None => object,
    }
}

fn row(peer: &PeerStatus, segment: impl Fn(SegmentId) -> String) -> Vec<String> {
    let (address, on) = peer.place.map_or_else(Default::default, |(on, address)| (address.to_string(), segment(on)));
    let state = if peer.online {
        format!("online for {}", span(peer.joined))
    } else {
        format!("lost, silent for {}", span(peer.heard))
    };
    let state = format!("{state}, {}", trust(peer.trust));
    let state = match &peer.away {
        Some(away) if peer.online => format!("{state}, away: {away}"),
        _ => state,
    };
    vec![peer.name.label(), address, on, quality(peer), state]
}

const fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::New => "new",
        Trust::Pinned => "pinned",
        Trust::Trusted => "trusted",
        Trust::Impostor => "impostor",
    }
}

/// The answer to `/verify` without a name.
pub(crate) fn own_key(me: &PeerName) -> Answer {
    let (id, nick, suffix) = (me.id, &me.nick, me.id.suffix());
    let text = format!("your key is {id}: who knows another {nick} sees you as {nick}~{suffix}");
    Answer::new(Object::new("verify").text("id", &id.to_string()), text, 0)
}

/// The answer to `/verify NAME`.
pub(crate) fn verification(verification: &Verification, me: &PeerName) -> Answer {
    let Verification { name, digits } = verification;
    let (label, id, own) = (name.label(), name.id, format!("{}~{}", me.nick, me.id.suffix()));
    let text = format!(
        "{digits}  ({label}, key {id})\n\
         the same digits stand there after /verify {own}: let it read them to you, and not by this chat\n\
         if they are the same: /trust {label}, or /verify {label} and the digits; if not, it is somebody else"
    );
    let object = Object::new("verify").named("peer", name);
    Answer::new(object.text("digits", digits), text, 0)
}

/// How long a probe and its answer take, and how many of 100 get none, where that was measured.
fn quality(peer: &PeerStatus) -> String {
    let Some(round_trip) = peer.round_trip else { return String::new() };
    let loss = peer.loss.filter(|&loss| loss > 0).map(|loss| format!(", {loss} % lost"));
    format!("{:.1} ms{}", round_trip.as_secs_f64() * 1000.0, loss.unwrap_or_default())
}

/// The answer to `/stats`: for people every counter that is not zero, for programs all of them.
pub(crate) fn stats(counters: impl Iterator<Item = (&'static str, u64)>) -> Answer {
    let all: Vec<_> = counters.collect();
    let object = all.iter().fold(Object::new("stats"), |object, &(name, count)| object.number(name, count));
    let counted = all.iter().filter(|(_, count)| *count > 0);
    let rows: Vec<Vec<String>> = counted.map(|(name, count)| vec![name.replace('_', " "), count.to_string()]).collect();
    let text = if rows.is_empty() { "nothing was counted yet".into() } else { table(&rows) };
    Answer::new(object, text, 0)
}

/// The answer to `/trace`.
pub(crate) fn trace(on: bool) -> Answer {
    Answer::remark(if on {
        "from now on each message is shown with the way it came; /trace ends that".into()
    } else {
        "messages are shown without the way they came".into()
    })
}

/// The answer to `/cast`.
pub(crate) fn cast(choice: CastChoice) -> String {
    format!("group messages are carried by: {choice}")
}

/// A time span in its largest unit.
pub(crate) fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// The rows as lines, their columns aligned.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest =
        |column: usize| rows.iter().filter_map(|row: &Vec<String>| row.get(column)).map(|cell| cell.width()).max();
    let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            format!("{cell}{padding}")
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PeerId;
    use crate::text::{Line, Nick};

    #[test]
    fn who_is_here() {
        let peer = |nick: &str, online, place: Option<&str>| PeerStatus {
            name: PeerName { id: PeerId([1; 16]), nick: Nick::from_any(nick), suffix: 0 },
            place: place.map(|address| (SegmentId(1), address.parse().expect("an address"))),
            online,
            joined: Duration::from_secs(3700),
            heard: Duration::from_secs(8),
            hears: None,
            away: online.then(|| Line::from_peer("at lunch")),
            round_trip: online.then_some(Duration::from_micros(420)),
            loss: online.then_some(3),
            trust: if online { Trust::Pinned } else { Trust::Impostor },
        };
        let peers = vec![peer("bob", true, Some("10.0.0.4:5004")), peer("你好吗", false, None)];
        let expected = "bob     10.0.0.4:5004  eth0  0.4 ms, 3 % lost  online for 1 h, pinned, away: at lunch\n\
                        你好吗                                         lost, silent for 8 s, impostor";
        let answer = who(peers, &[], |_| "eth0".into());
        assert_eq!((answer.text.as_str(), answer.status), (expected, 0));
        let json: serde_json::Value = serde_json::from_str(&answer.json).expect("JSON");
        assert_eq!((&json["event"], &json["text"]), (&"who".into(), &expected.into()));
        let bob = serde_json::json!({
            "peer": "bob", "id": PeerId([1; 16]).to_string(), "online": true, "trust": "pinned",
            "joined": 3700, "heard": 8, "away": "at lunch", "round_trip_us": 420, "loss": 3,
            "address": "10.0.0.4:5004", "segment": "eth0"
        });
        assert_eq!(json["peers"][0], bob);
        assert_eq!(json["peers"][1].get("round_trip_us").or_else(|| json["peers"][1].get("loss")), None);
        assert_eq!(json["peers"][1]["online"], false);
        let deaf = (
            PeerName { id: PeerId([9; 16]), nick: Nick::from_any("eve"), suffix: 5 },
            (SegmentId(0), "10.0.0.9:5009".parse().expect("an address")),
        );
        let nobody = who(Vec::new(), &[deaf], |_| "eth0".into());
        let row = "eve~beeqs  10.0.0.9:5009  eth0    heard, but answers nothing: /doctor says what to try";
        assert_eq!((nobody.text, nobody.status), (format!("nobody else is here\n{row}"), NOBODY));
        let nobody = who(Vec::new(), &[], |_| String::new());
        assert_eq!((nobody.text.as_str(), nobody.status), ("nobody else is here", NOBODY));
        assert_eq!(nobody.json, r#"{"event":"who","peers":[],"text":"nobody else is here"}"#);
    }

    #[test]
    fn what_to_compare() {
        let name = |n, nick: &str, suffix| PeerName { id: PeerId([n; 16]), nick: Nick::from_any(nick), suffix };
        let (ann, bob) = (name(1, "ann", 0), name(2, "bob", 5));
        let verification = Verification { name: bob, digits: "12345 67890".into() };
        let answer = super::verification(&verification, &ann);
        let (label, own) = (verification.name.label(), format!("ann~{}", ann.id.suffix()));
        assert!(answer.text.starts_with("12345 67890  (bob~") && answer.text.contains(&format!("/verify {own}:")));
        let json: serde_json::Value = serde_json::from_str(&answer.json).expect("JSON");
        assert_eq!(
            (&json["peer"], &json["label"], &json["digits"]),
            (&"bob".into(), &label.into(), &"12345 67890".into())
        );
        assert!(own_key(&ann).text.contains(&ann.id.to_string()) && own_key(&ann).text.contains(&own));
    }

    #[test]
    fn only_what_was_counted() {
        let counters = [("heard", 12), ("other_group", 3), ("lost", 0)];
        let answer = stats(counters.into_iter());
        assert_eq!(answer.text, "heard        12\nother group  3");
        let json: serde_json::Value = serde_json::from_str(&answer.json).expect("JSON");
        assert_eq!((&json["event"], &json["other_group"], &json["lost"]), (&"stats".into(), &3.into(), &0.into()));
        assert_eq!(stats(std::iter::empty()).text, "nothing was counted yet");
    }

    #[test]
    fn help_names_every_command() {
        assert_eq!(help().lines().count(), HELP.len());
    }
}

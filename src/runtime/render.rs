//! How an event looks: as a line for a person, or as a line of JSON for a script.
//!
//! Pure: nothing is printed here. The keys of the JSON lines are promised to scripts; fields may
//! be added, never renamed.

use std::net::SocketAddr;

use chrono::{DateTime, Local, SecondsFormat, Utc};

use super::render_why;
use crate::address::{Cast, SegmentId};
use crate::event::{Arrival, Event, Message, PeerName, Whisper};
use crate::node::Route;
use crate::text::Line;
use crate::time::WallTime;

/// The last moment of the year 9999; RFC 3339 knows no later one.
const LAST: u64 = 253_402_300_799_999;

/// What an event alone does not tell.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// What the wall clock shows.
    pub(crate) now: WallTime,
    /// What the system calls a segment.
    pub(crate) segment: &'a dyn Fn(SegmentId) -> String,
    /// By what way a message came, where that is to be shown.
    pub(crate) route: Option<&'a Route>,
}

impl View<'_> {
    /// The line with the way the message came behind it, where that is to be shown.
    pub(crate) fn traced(&self, line: String, event: &Event) -> String {
        let Some(route) = self.route else { return line };
        line + &render_why::trace(event, route, &(self.segment)(route.arrival.segment), self.now)
    }
}

/// Who we are, as a script is told when everything is open.
pub(crate) struct Ready<'a> {
    /// What we are called, as a person is shown it.
    pub(crate) label: &'a str,
    /// Who we are, and in which run; nobody in plain mode.
    pub(crate) own: Option<(&'a PeerName, u64)>,
    /// Our name, where it is all there is; empty if there is none.
    pub(crate) plain_name: &'a str,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) group: SocketAddr,
    /// Only who has the key of the group can read what is said.
    pub(crate) keyed: bool,
}

/// The event as a line of text, if a person is told about it. Warnings are not: they have a place
/// of their own.
pub(crate) fn text(event: &Event, now: WallTime) -> Option<String> {
    let now = clock(now);
    let peer = |peer: &PeerName, what: &str, address: &SocketAddr| {
        Some(format!("{now} * {} {what} ({address})", peer.label()))
    };
    match event {
        Event::Joined(name, address) => peer(name, "joined", address),
        Event::Left(name, address) => peer(name, "left", address),
        Event::Lost(name, address) => peer(name, "is lost", address),
        Event::Back(name, address) => peer(name, "is back", address),
        Event::Renamed(name, was) => Some(format!("{now} * {} is now {}", was.label(), name.label())),
        Event::Away(name, Some(why)) => Some(format!("{now} * {} is away: {why}", name.label())),
        Event::Away(name, None) => Some(format!("{now} * {} is back", name.label())),
        Event::Disconnected(_) => Some(format!("{now} * you seem disconnected: nobody is heard any more")),
        Event::Connected => Some(format!("{now} * you are connected again")),
        Event::Message(message) if message.history => {
            let said = clock(message.wall);
            Some(format!("{said} (history) {}: {}", message.from.label(), message.text))
        }
        Event::Message(message) => Some(format!("{now} {}: {}", message.from.label(), message.text)),
        Event::Plain { arrival, text } => Some(format!("{now} {} (plain): {text}", arrival.address)),
        Event::Told { to, queued: true, .. } => {
            Some(format!("{now} * {} is away: your message waits until it is back", to.label()))
        }
        Event::TellFailed { mid, to } => Some(format!("{now} * message {mid} to {} was not confirmed", to.label())),
        Event::Whisper(whisper) => Some(format!("{now} {} -> me: {}", whisper.from.label(), whisper.text)),
        Event::Gap { from, count: 1 } => Some(format!("{now} * 1 message from {} is gone", from.label())),
        Event::Gap { from, count } => Some(format!("{now} * {count} messages from {} are gone", from.label())),
        Event::Notice(text) => Some(format!("{now} * {}", Line::from_peer(text))),
        Event::Sent { .. } | Event::Delivered { .. } | Event::Told { .. } | Event::TellDelivered { .. } => None,
        Event::PlainSent(_) | Event::Warning(_) | Event::Refused(_) | Event::Done(_) => None,
    }
}

/// As [`text`], with what only somebody who types wants to see.
pub(crate) fn terminal(event: &Event, now: WallTime, own: &str) -> Option<String> {
    match event {
        Event::Sent { text, .. } | Event::PlainSent(text) => Some(format!("{} {own}: {text}", clock(now))),
        Event::Told { to, text, queued: false, .. } => Some(format!("{} me -> {}: {text}", clock(now), to.label())),
        Event::Delivered { confirmed, online, .. } if confirmed < online => {
            Some(format!("{} * {confirmed} of {online} have confirmed", clock(now)))
        }
        _ => text(event, now),
    }
}

/// The event as a line of JSON, if scripts are told about it.
pub(crate) fn json(event: &Event, view: View<'_>) -> Option<String> {
    let peer = |event, name: &PeerName, address: &SocketAddr| {
        Object::new(event).named("peer", name).text("address", &address.to_string())
    };
    let object = match event {
        Event::Joined(name, address) => peer("joined", name, address),
        Event::Left(name, address) => peer("left", name, address),
        Event::Lost(name, address) => peer("lost", name, address),
        Event::Back(name, address) => peer("back", name, address),
        Event::Renamed(name, was) => Object::new("renamed").named("peer", name).text("was", was.nick.as_str()),
        Event::Away(name, why) => {
            let object = Object::new("away").named("peer", name);
            match why {
                Some(why) => object.text("text", why.as_str()),
                None => object.null("text"),
            }
        }
        Event::Disconnected(online) => Object::new("disconnected").number("online", *online as u64),
        Event::Connected => Object::new("connected"),
        Event::Sent { boot, seq, text } => {
            Object::new("sent").number("boot", *boot).number("seq", *seq).text("text", text.as_str())
        }
        Event::Message(message) => json_message(message, view),
        Event::Plain { arrival, text } => json_plain(arrival, text, view),
        Event::PlainSent(text) => Object::new("sent").flag("plain", true).text("text", text.as_str()),
        Event::Delivered { seq, confirmed, online } => Object::new("delivered")
            .number("seq", *seq)
            .number("confirmed", *confirmed as u64)
            .number("online", *online as u64),
        Event::Told { mid, to, text, queued } => {
            let object = Object::new("sent").flag("direct", true).number("mid", *mid).named("to", to);
            object.text("text", text.as_str()).flag("queued", *queued)
        }
        Event::TellDelivered { mid, to } => tell_outcome(*mid, to, 1),
        Event::TellFailed { mid, to } => tell_outcome(*mid, to, 0),
        Event::Whisper(whisper) => json_whisper(whisper, view),
        Event::Gap { from, count } => Object::new("gap").named("from", from).number("count", *count),
        Event::Notice(text) => return Some(json_remark("notice", text)),
        Event::Warning(text) | Event::Refused(text) => return Some(json_remark("warning", text)),
        Event::Done(_) => return None,
    };
    let object = match view.route {
        Some(route) => render_why::trace_json(object, event, route, view.now),
        None => object,
    };
    Some(object.finish())
}

fn json_message(message: &Message, view: View<'_>) -> Object {
    Object::new("message")
        .named("from", &message.from)
        .number("boot", message.boot)
        .number("seq", message.seq)
        .text("text", message.text.as_str())
        .flag("direct", false)
        .flag("history", message.history)
        .arrival(&message.arrival, view)
        .text("time", &rfc3339(message.wall))
}

fn json_whisper(whisper: &Whisper, view: View<'_>) -> Object {
    Object::new("message")
        .named("from", &whisper.from)
        .number("boot", whisper.boot)
        .number("mid", whisper.mid)
        .text("text", whisper.text.as_str())
        .flag("direct", true)
        .flag("history", false)
        .arrival(&whisper.arrival, view)
        .text("time", &rfc3339(whisper.wall))
}

fn tell_outcome(mid: u64, to: &PeerName, confirmed: u64) -> Object {
    let object = Object::new("delivered").flag("direct", true).number("mid", mid).named("to", to);
    object.number("confirmed", confirmed).number("online", 1)
}

fn json_plain(arrival: &Arrival, text: &Line, view: View<'_>) -> Object {
    Object::new("message")
        .flag("plain", true)
        .text("from", &arrival.address.to_string())
        .text("text", text.as_str())
        .arrival(arrival, view)
        .text("time", &rfc3339(view.now))
}

/// A warning or a notice as a line of JSON.
pub(crate) fn json_remark(event: &str, text: &str) -> String {
    Object::new(event).text("text", text).finish()
}

/// That all is told about a line of a client, as a line of JSON; why, if nothing was done.
pub(crate) fn json_done(status: u8, why: Option<&str>) -> String {
    let object = Object::new("done").number("status", u64::from(status));
    if let Some(why) = why { object.text("text", why).finish() } else { object.finish() }
}

/// That everything is open, as a line of JSON.
pub(crate) fn json_ready(ready: &Ready<'_>) -> String {
    let addresses: Vec<String> = ready.addresses.iter().map(|a| quoted(&a.to_string())).collect();
    let object = match ready.own {
        Some((own, boot)) => Object::new("ready").text("id", &own.id.to_string()).number("boot", boot),
        None => Object::new("ready"),
    };
    let name = ready.own.map_or(ready.plain_name, |(own, _)| own.nick.as_str());
    let object = object.text("name", name).raw("addresses", &format!("[{}]", addresses.join(",")));
    let object = object.text("group", &ready.group.to_string());
    match ready.own {
        Some(_) => object.flag("keyed", ready.keyed).finish(),
        None => object.flag("plain", true).finish(),
    }
}

/// That everything is open, for somebody at a terminal.
pub(crate) fn greeting(ready: &Ready<'_>) -> String {
    let addresses: Vec<String> = ready.addresses.iter().map(ToString::to_string).collect();
    let hint = if ready.own.is_some() { "/help lists the commands" } else { "plain text; quit leaves" };
    let room = match ready.keyed {
        _ if ready.own.is_none() => "",
        true => "the keyed group ",
        // Said where people see it, and once: there is no other sign of it.
        false => "the OPEN group ",
    };
    format!("* {} in {room}{} from {}; {hint}", ready.label, ready.group, addresses.join(", "))
}

/// One JSON object under construction. Its keys keep their order, for people who read along.
pub(crate) struct Object(String);

impl Object {
    /// An event of this kind.
    pub(crate) fn new(event: &str) -> Self {
        Self(format!("{{\"event\":\"{event}\""))
    }

    /// An object inside an event.
    pub(crate) fn part() -> Self {
        Self("{".into())
    }

    /// A value that is JSON already.
    pub(crate) fn raw(mut self, key: &str, value: &str) -> Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        self.0.push_str(&format!("{comma}\"{key}\":{value}"));
        self
    }

    /// These objects, as an array.
    pub(crate) fn list(self, key: &str, objects: impl Iterator<Item = Self>) -> Self {
        let objects: Vec<_> = objects.map(Self::finish).collect();
        self.raw(key, &format!("[{}]", objects.join(",")))
    }

    pub(crate) fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, &quoted(value))
    }

    fn null(self, key: &str) -> Self {
        self.raw(key, "null")
    }

    pub(crate) fn number(self, key: &str, value: u64) -> Self {
        self.raw(key, &value.to_string())
    }

    /// A small number, if there is one.
    pub(crate) fn maybe(self, key: &str, value: Option<u8>) -> Self {
        match value {
            Some(value) => self.number(key, value.into()),
            None => self,
        }
    }

    pub(crate) fn flag(self, key: &str, value: bool) -> Self {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// Who somebody is: the nick under this key, the id, and where the nick alone is not its own what people see.
    pub(crate) fn named(self, key: &str, name: &PeerName) -> Self {
        let object = self.text(key, name.nick.as_str()).text("id", &name.id.to_string());
        if name.suffix > 0 { object.text("label", &name.label()) } else { object }
    }

    /// The same of a second one in an object: the id and what people see are named after the key.
    pub(crate) fn also_named(self, key: &str, name: &PeerName) -> Self {
        let object = self.text(key, name.nick.as_str()).text(&format!("{key}_id"), &name.id.to_string());
        if name.suffix > 0 { object.text(&format!("{key}_label"), &name.label()) } else { object }
    }

    fn arrival(self, arrival: &Arrival, view: View<'_>) -> Self {
        let object = self.text("cast", cast(arrival.cast)).text("segment", &(view.segment)(arrival.segment));
        object.text("address", &arrival.address.to_string())
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

const fn cast(cast: Cast) -> &'static str {
    match cast {
        Cast::Unicast => "unicast",
        Cast::Broadcast => "broadcast",
        Cast::Multicast => "multicast",
    }
}

/// A JSON string that is safe on a terminal: serde_json escapes what JSON requires, which leaves
/// DEL, the C1 controls and two line ends.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", c as u32)),
            _ => safe.push(c),
        }
    }
    safe
}

fn moment(time: WallTime) -> DateTime<Utc> {
    let millis = i64::try_from(time.0.min(LAST)).unwrap_or(0);
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

fn rfc3339(time: WallTime) -> String {
    moment(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The time of day here.
fn clock(time: WallTime) -> String {
    moment(time).with_timezone(&Local).format("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Errand;
    use crate::id::PeerId;
    use crate::text::Nick;

    const NOW: WallTime = WallTime(1_769_861_045_678);

    fn bob(shared: bool) -> PeerName {
        let suffix = if shared { PeerId::SUFFIX_LEN } else { 0 };
        PeerName { id: PeerId([7; 16]), nick: Nick::from_any("bob"), suffix }
    }

    fn address() -> SocketAddr {
        "10.0.0.4:5004".parse().expect("an address")
    }

    fn message(text: &str, history: bool) -> Event {
        let arrival = Arrival {
            segment: SegmentId(1),
            cast: Cast::Multicast,
            address: address(),
            ttl: Some(2),
            errand: Errand::Said,
        };
        Event::Message(Message {
            from: bob(false),
            boot: 3,
            seq: 12,
            text: Line::from_peer(text),
            history,
            wall: NOW,
            arrival,
        })
    }

    fn as_json(event: &Event) -> serde_json::Value {
        let segment = |_| "eth0".to_owned();
        let line = json(event, View { now: NOW, segment: &segment, route: None }).expect("told");
        serde_json::from_str(&line).expect("JSON")
    }

    /// The line without its time of day.
    fn as_text(event: &Event) -> String {
        let line = text(event, NOW).expect("told");
        let (time, rest) = line.split_at(9);
        assert!(time.bytes().all(|b| b.is_ascii_digit() || b == b':' || b == b' '), "{line}");
        rest.to_owned()
    }

    #[test]
    fn peers_come_and_go() {
        for (event, what, key) in [
            (Event::Joined(bob(false), address()), "joined", "joined"),
            (Event::Left(bob(false), address()), "left", "left"),
            (Event::Lost(bob(false), address()), "is lost", "lost"),
            (Event::Back(bob(false), address()), "is back", "back"),
        ] {
            assert_eq!(as_text(&event), format!("* bob {what} (10.0.0.4:5004)"));
            let id = PeerId([7; 16]).to_string();
            let expected = serde_json::json!({"event": key, "peer": "bob", "id": id, "address": "10.0.0.4:5004"});
            assert_eq!(as_json(&event), expected);
        }
    }

    #[test]
    fn a_shared_nick_has_its_suffix_for_people_and_not_for_scripts() {
        let event = Event::Joined(bob(true), address());
        assert_eq!(as_text(&event), format!("* bob~{} joined (10.0.0.4:5004)", PeerId([7; 16]).suffix()));
        assert_eq!(as_json(&event)["peer"], "bob");
        assert_eq!(as_json(&event)["label"], format!("bob~{}", PeerId([7; 16]).suffix()), "unless they ask for it");
        assert_eq!(as_json(&Event::Joined(bob(false), address())).get("label"), None);
    }

    #[test]
    fn messages_from_now_and_from_before() {
        assert_eq!(as_text(&message("hi", false)), "bob: hi");
        assert_eq!(as_text(&message("hi", true)), "(history) bob: hi");
        let expected = serde_json::json!({
            "event": "message", "from": "bob", "id": PeerId([7; 16]).to_string(), "boot": 3, "seq": 12,
            "text": "hi", "direct": false, "history": false, "cast": "multicast", "segment": "eth0",
            "address": "10.0.0.4:5004", "time": "2026-01-31T12:04:05.678Z"
        });
        assert_eq!(as_json(&message("hi", false)), expected);
    }

    #[test]
    fn plain_text_shows_its_address() {
        let arrival =
            Arrival { segment: SegmentId(1), cast: Cast::Unicast, address: address(), ttl: None, errand: Errand::Said };
        let event = Event::Plain { arrival, text: Line::from_peer("hi") };
        assert_eq!(as_text(&event), "10.0.0.4:5004 (plain): hi");
        let expected = serde_json::json!({
            "event": "message", "plain": true, "from": "10.0.0.4:5004", "text": "hi", "cast": "unicast",
            "segment": "eth0", "address": "10.0.0.4:5004", "time": "2026-01-31T12:04:05.678Z"
        });
        assert_eq!(as_json(&event), expected);
    }

    #[test]
    fn gaps_names_and_numbers() {
        let gap = |count| Event::Gap { from: bob(false), count };
        assert_eq!(as_text(&gap(37)), "* 37 messages from bob are gone");
        assert_eq!(as_text(&gap(1)), "* 1 message from bob is gone");
        assert_eq!(as_json(&gap(37))["count"], 37);
        let renamed = Event::Renamed(bob(false), PeerName { nick: Nick::from_any("rob"), ..bob(false) });
        assert_eq!(as_text(&renamed), "* rob is now bob");
        assert_eq!(as_json(&renamed)["was"], "rob");
        let delivered = Event::Delivered { seq: 12, confirmed: 4, online: 5 };
        let expected = serde_json::json!({"event": "delivered", "seq": 12, "confirmed": 4, "online": 5});
        assert_eq!(as_json(&delivered), expected);
    }

    #[test]
    fn who_is_away_says_why() {
        let away = Event::Away(bob(false), Some(Line::from_peer("at lunch")));
        assert_eq!(as_text(&away), "* bob is away: at lunch");
        let id = PeerId([7; 16]).to_string();
        let expected = serde_json::json!({"event": "away", "peer": "bob", "id": id, "text": "at lunch"});
        assert_eq!(as_json(&away), expected);
        let back = Event::Away(bob(false), None);
        assert_eq!(as_text(&back), "* bob is back");
        assert_eq!(as_json(&back)["text"], serde_json::Value::Null);
    }

    #[test]
    fn who_hears_nobody_is_told_so() {
        assert_eq!(as_text(&Event::Disconnected(3)), "* you seem disconnected: nobody is heard any more");
        assert_eq!(as_json(&Event::Disconnected(3)), serde_json::json!({"event": "disconnected", "online": 3}));
        assert_eq!(as_text(&Event::Connected), "* you are connected again");
        assert_eq!(as_json(&Event::Connected), serde_json::json!({"event": "connected"}));
    }

    #[test]
    fn what_was_sent_is_shown_to_the_one_who_typed_it() {
        let sent = Event::Sent { boot: 7, seq: 12, text: Line::from_peer("hi") };
        assert_eq!(text(&sent, NOW), None);
        assert!(terminal(&sent, NOW, "ann").is_some_and(|line| line.ends_with(" ann: hi")));
        assert_eq!(as_json(&sent), serde_json::json!({"event": "sent", "boot": 7, "seq": 12, "text": "hi"}));
        let delivered = |confirmed| Event::Delivered { seq: 12, confirmed, online: 5 };
        assert_eq!(terminal(&delivered(5), NOW, "ann"), None);
        assert!(terminal(&delivered(4), NOW, "ann").is_some_and(|line| line.contains("4 of 5")));
    }

    #[test]
    fn ready_tells_a_script_who_we_are() {
        let own = bob(false);
        let group = "239.192.7.7:5007".parse().expect("a group");
        let mut ready = Ready {
            label: "bob",
            own: Some((&own, 7)),
            plain_name: "",
            addresses: vec![address()],
            group,
            keyed: false,
        };
        let json: serde_json::Value = serde_json::from_str(&json_ready(&ready)).expect("JSON");
        let expected = serde_json::json!({
            "event": "ready", "id": PeerId([7; 16]).to_string(), "boot": 7, "name": "bob",
            "addresses": ["10.0.0.4:5004"], "group": "239.192.7.7:5007", "keyed": false
        });
        assert_eq!(json, expected);
        (ready.own, ready.plain_name) = (None, "bob");
        let json: serde_json::Value = serde_json::from_str(&json_ready(&ready)).expect("JSON");
        let expected = serde_json::json!({
            "event": "ready", "name": "bob", "addresses": ["10.0.0.4:5004"], "group": "239.192.7.7:5007", "plain": true
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn json_holds_nothing_that_a_terminal_obeys() {
        let json = quoted("a\x1b\u{7f}\u{9b}\u{2028}\"\\é");
        assert_eq!(json, "\"a\\u001b\\u007f\\u009b\\u2028\\\"\\\\é\"");
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), "a\x1b\u{7f}\u{9b}\u{2028}\"\\é");
    }

    #[test]
    fn any_time_can_be_shown() {
        assert_eq!(rfc3339(WallTime(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(WallTime(u64::MAX)), "9999-12-31T23:59:59.999Z");
        assert_eq!(clock(WallTime(u64::MAX)).len(), 8);
    }
}

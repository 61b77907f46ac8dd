//! Any bytes as one line of text: our tcpdump, for traces, tests and the curious.

use std::fmt::Write;

use crate::address::Errand;
use crate::id::PublicKey;
use crate::text::Line;
use crate::wire::body::{
    Condition, ENTRY_TEXT, Entry, FLAG_ASKS, FLAG_EPHEMERAL, FLAG_LISTENS, Frontier, HEARD_BY_STREAM, Hello, Letter,
    NO_DIGEST, Nack, PROBE_DOUBTS, Place, Text, decode,
};
use crate::wire::{Datagram, Message, WireError, parse_entry};

/// Longest text shown of a line or of a plain datagram, in characters.
const TEXT_MAX: usize = 60;

/// One line that says what a datagram says. Believes nothing: signatures are not checked.
#[must_use]
pub fn dump(bytes: &[u8]) -> String {
    let datagram = match Datagram::parse(bytes) {
        Ok(datagram) => datagram,
        Err(WireError::Plain) => {
            return format!("plain {} bytes {:?}", bytes.len(), clip(&String::from_utf8_lossy(bytes)));
        }
        Err(why) => return format!("{why}, {} bytes", bytes.len()),
    };
    let mut line = format!("v1 group={}", hex(&datagram.header.group_tag));
    if let Some(signed) = &datagram.signed {
        let sender = &signed.sender;
        put(&mut line, format_args!(" from={} boot={} #{}", key(&sender.key), sender.boot, sender.counter));
    }
    match datagram.message() {
        Ok(Message::Hello(hello)) => dump_hello(&mut line, &hello),
        Ok(Message::Bye(bye)) => put(&mut line, format_args!(" bye head={}", bye.head)),
        Ok(Message::Entries(errand, entries)) => {
            if errand != Errand::Said {
                put(&mut line, format_args!(" errand={errand}"));
            }
            entries.iter().for_each(|raw| dump_entry(&mut line, raw));
        }
        Ok(Message::Frontier(frontier)) => dump_frontier(&mut line, &frontier),
        Ok(Message::Nack(nack)) => dump_nack(&mut line, &nack),
        Ok(Message::Direct(letter)) => dump_letter(&mut line, "direct", &letter),
        Ok(Message::Receipt(letter)) => dump_letter(&mut line, "receipt", &letter),
        Ok(Message::Seek(seek)) => {
            line.push_str(" seek");
            seek.ids.iter().for_each(|id| put(&mut line, format_args!(" {}", hex(&id[..4]))));
        }
        Ok(Message::Whereabouts(told)) => {
            line.push_str(" whereabouts");
            told.peers.iter().for_each(|place| dump_place(&mut line, place));
        }
        Ok(message) => dump_presence(&mut line, &message),
        Err(why) => put(&mut line, format_args!(" kind={} {why}", datagram.header.kind)),
    }
    line
}

fn put(line: &mut String, text: std::fmt::Arguments<'_>) {
    let done = line.write_fmt(text);
    debug_assert!(done.is_ok(), "memory takes everything");
}

fn dump_hello(line: &mut String, hello: &Hello) {
    put(line, format_args!(" hello nick={:?} every={}ms", clip(&hello.nick), hello.every_ms));
    put(line, format_args!(" head={} hash={:016x}", hello.head, hello.hash));
    if hello.flags & FLAG_EPHEMERAL != 0 {
        line.push_str(" ephemeral");
    }
    if hello.flags & FLAG_ASKS != 0 {
        line.push_str(" asks");
    }
    if hello.flags & FLAG_LISTENS != 0 {
        line.push_str(" listens");
    }
    if let Some(away) = &hello.away {
        put(line, format_args!(" away={:?}", clip(away)));
    }
    if let Some(interface) = &hello.interface {
        put(line, format_args!(" on={:?}", clip(interface)));
    }
    number(line, "ttl", hello.ttl);
    number(line, "round", hello.round);
    if let Some(sends) = hello.sends {
        put(line, format_args!(" sends={}", casts(sends)));
    }
    number(line, "of", hello.of);
    hello.condition.iter().for_each(|condition| dump_condition(line, condition));
    challenge(line, "challenge", hello.challenge);
    for proof in hello.proofs.iter().flatten() {
        put(line, format_args!(" proves={}:{:016x}", hex(&proof.id[..4]), proof.challenge));
    }
    if let Some(pad) = &hello.pad {
        put(line, format_args!(" pad={}", pad.len()));
    }
    for heard in &hello.heard {
        put(line, format_args!(" hears={}:{}", hex(&heard.id[..4]), casts(heard.casts)));
        let left = [('U', heard.unicast_ttl), ('B', heard.broadcast_ttl), ('M', heard.multicast_ttl)];
        for (cast, ttl) in left.into_iter().filter_map(|(cast, ttl)| Some((cast, ttl?))) {
            put(line, format_args!(":{cast}{ttl}"));
        }
    }
}

fn dump_condition(line: &mut String, condition: &Condition) {
    if let Some(clock) = condition.clock_ms {
        put(line, format_args!(" clock={clock}"));
    }
    number(line, "flaws", condition.flaws);
    number(line, "mtu", condition.mtu);
    number(line, "casts-ttl", condition.ttl);
    if let Some(group) = &condition.group {
        put(line, format_args!(" group={}", hex(&group[..group.len().min(18)])));
    }
    number(line, "probe", condition.probe);
    if let Some(pad) = &condition.pad {
        put(line, format_args!(" pad={}", pad.len()));
    }
}

fn number(line: &mut String, name: &str, value: Option<impl Into<u32>>) {
    if let Some(value) = value {
        put(line, format_args!(" {name}={}", value.into()));
    }
}

fn challenge(line: &mut String, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        put(line, format_args!(" {name}={value:016x}"));
    }
}

fn dump_place(line: &mut String, place: &Place) {
    match place.address() {
        Some(address) => put(line, format_args!(" {}={address}", hex(&place.id[..4]))),
        None => put(line, format_args!(" {}=malformed", hex(&place.id[..4]))),
    }
}

/// The kinds by which peers watch over each other.
fn dump_presence(line: &mut String, message: &Message) {
    match message {
        Message::Probe(probe) => {
            let doubts = if probe.flags & PROBE_DOUBTS != 0 { " doubts" } else { "" };
            put(line, format_args!(" probe {:08x}{doubts}", probe.token));
            challenge(line, "challenge", probe.challenge);
        }
        Message::Answer(answer) => {
            put(line, format_args!(" answer {:08x}", answer.token));
            challenge(line, "proof", answer.proof);
            challenge(line, "challenge", answer.challenge);
        }
        Message::Suspect(suspect) => {
            line.push_str(" suspect");
            for one in &suspect.whom {
                put(line, format_args!(" {}/{} for={}ms", hex(&one.id[..4]), one.boot, one.for_ms));
            }
        }
        Message::Alive(_) => line.push_str(" alive"),
        _ => debug_assert!(false, "dumped elsewhere"),
    }
}

fn dump_entry(line: &mut String, raw: &[u8]) {
    let Ok(signed) = parse_entry(raw) else {
        line.push_str(" entry malformed");
        return;
    };
    let Entry { author, boot, seq, nick, first, count, kind, body, prev, .. } = signed.entry;
    put(line, format_args!(" entry={}/{boot}/{seq} nick={:?} messages={first}+{count}", key(&author), clip(nick)));
    if seq > 1 {
        put(line, format_args!(" prev={}", hex(&prev[..4])));
    }
    match decode::<Text>(body) {
        Ok(text) if kind == ENTRY_TEXT => {
            if let (Some(part), Some(parts)) = (text.part, text.parts) {
                put(line, format_args!(" part={part}/{parts}"));
            }
            text.lines.iter().for_each(|text| put(line, format_args!(" {:?}", clip(text))));
        }
        _ => put(line, format_args!(" kind={kind} {} bytes", body.len())),
    }
}

fn dump_frontier(line: &mut String, frontier: &Frontier) {
    put(line, format_args!(" frontier hash={:016x}", frontier.hash));
    if frontier.whole == Some(true) {
        line.push_str(" whole");
    }
    for log in &frontier.logs {
        put(line, format_args!(" {}/{} next={} floor={}", hex(&log.author[..4]), log.boot, log.next, log.floor));
        if *log.tip != NO_DIGEST {
            put(line, format_args!(" tip={}", hex(&log.tip[..4])));
        }
    }
}

fn dump_nack(line: &mut String, nack: &Nack) {
    put(line, format_args!(" nack round={}", nack.round));
    if let Some(asked) = &nack.asked {
        put(line, format_args!(" asked={}", hex(&asked[..4])));
    }
    for hole in &nack.holes {
        put(line, format_args!(" {}/{} {}..{}", hex(&hole.author[..4]), hole.boot, hole.from, hole.to));
    }
}

fn dump_letter(line: &mut String, what: &str, letter: &Letter) {
    put(line, format_args!(" {what} to={} {} bytes sealed", hex(&letter.to[..4]), letter.sealed.len()));
}

/// The beginning of a text, safe to show.
fn clip(text: &str) -> String {
    Line::from_peer(&text.chars().take(TEXT_MAX).collect::<String>()).to_string()
}

/// The beginning of a key.
fn key(key: &PublicKey) -> String {
    hex(&key[..4])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        put(&mut text, format_args!("{byte:02x}"));
        text
    })
}

/// Casts by their initials: U B M, and T for a stream.
fn casts(bits: u8) -> String {
    let initials = [(1, 'U'), (2, 'B'), (4, 'M'), (HEARD_BY_STREAM, 'T')];
    initials.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, initial)| initial).collect()
}

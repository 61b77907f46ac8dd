//! What `/help`, `/who`, `/stats` and `/cast` answer: text of one line or several, for people.

use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use crate::address::SegmentId;
use crate::command::{CastChoice, HELP};
use crate::node::PeerStatus;

/// The answer to `/help`.
pub(crate) fn help() -> String {
    let rows: Vec<Vec<String>> = HELP.iter().map(|&(usage, what)| vec![usage.to_owned(), what.to_owned()]).collect();
    table(&rows)
}

/// The answer to `/who`; `segment` is what the system calls a segment.
pub(crate) fn who(mut peers: Vec<PeerStatus>, segment: impl Fn(SegmentId) -> String) -> String {
    if peers.is_empty() {
        return "nobody else is here".into();
    }
    peers.sort_by_cached_key(|peer| peer.name.label());
    let rows: Vec<Vec<String>> = peers.iter().map(|peer| row(peer, &segment)).collect();
    table(&rows)
}

fn row(peer: &PeerStatus, segment: impl Fn(SegmentId) -> String) -> Vec<String> {
    let (address, on) = peer.place.map_or_else(Default::default, |(on, address)| (address.to_string(), segment(on)));
    let state = if peer.online {
        format!("online for {}", span(peer.joined))
    } else {
        format!("lost, silent for {}", span(peer.heard))
    };
    let state = match &peer.away {
        Some(away) if peer.online => format!("{state}, away: {away}"),
        _ => state,
    };
    vec![peer.name.label(), address, on, quality(peer), state]
}

/// How long a probe and its answer take, and how many of 100 get none, where that was measured.
fn quality(peer: &PeerStatus) -> String {
    let Some(round_trip) = peer.round_trip else { return String::new() };
    let loss = peer.loss.filter(|&loss| loss > 0).map(|loss| format!(", {loss} % lost"));
    format!("{:.1} ms{}", round_trip.as_secs_f64() * 1000.0, loss.unwrap_or_default())
}

/// The answer to `/stats`: every counter that is not zero.
pub(crate) fn stats(counters: impl Iterator<Item = (&'static str, u64)>) -> String {
    let counted = counters.filter(|&(_, count)| count > 0);
    let rows: Vec<Vec<String>> = counted.map(|(name, count)| vec![name.replace('_', " "), count.to_string()]).collect();
    if rows.is_empty() { "nothing was counted yet".into() } else { table(&rows) }
}

/// The answer to `/cast`.
pub(crate) fn cast(choice: CastChoice) -> String {
    format!("group messages are carried by: {choice}")
}

/// A time span in its largest unit.
fn span(span: Duration) -> String {
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
    use crate::event::PeerName;
    use crate::id::PeerId;
    use crate::text::{Line, Nick};

    #[test]
    fn who_is_here() {
        let peer = |nick: &str, online, place: Option<&str>| PeerStatus {
            name: PeerName { id: PeerId([1; 16]), nick: Nick::from_any(nick), shared: false },
            place: place.map(|address| (SegmentId(1), address.parse().expect("an address"))),
            online,
            joined: Duration::from_secs(3700),
            heard: Duration::from_secs(8),
            hears: None,
            away: online.then(|| Line::from_peer("at lunch")),
            round_trip: online.then_some(Duration::from_micros(420)),
            loss: online.then_some(3),
        };
        let peers = vec![peer("bob", true, Some("10.0.0.4:5004")), peer("你好吗", false, None)];
        let expected = "bob     10.0.0.4:5004  eth0  0.4 ms, 3 % lost  online for 1 h, away: at lunch\n\
                        你好吗                                         lost, silent for 8 s";
        assert_eq!(who(peers, |_| "eth0".into()), expected);
        assert_eq!(who(Vec::new(), |_| String::new()), "nobody else is here");
    }

    #[test]
    fn only_what_was_counted() {
        let counters = [("heard", 12), ("other_group", 3), ("lost", 0)];
        assert_eq!(stats(counters.into_iter()), "heard        12\nother group  3");
        assert_eq!(stats(std::iter::empty()), "nothing was counted yet");
    }

    #[test]
    fn help_names_every_command() {
        assert_eq!(help().lines().count(), HELP.len());
    }
}

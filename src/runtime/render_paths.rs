//! Who hears whom, to look at: a grid of letters for people, an object for programs, a drawing for Graphviz.
//!
//! Pure functions over [`Reach`]; `/paths` shows what they give, and so does whoever asks by the control socket.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr;

use super::answers::{Answer, NOBODY};
use super::render::Object;
use crate::address::{Cast, Segment, SegmentId};
use crate::id::PeerId;
use crate::node::{By, Carried, Cell, Grid, Known, Link, Reach, ReachNode};
use crate::term::{Paint, Painted};

/// Columns between a name and the first cell, and between two cells.
const GAP: &str = "  ";
/// A name is cut to so many columns.
const NAME_MAX: usize = 24;

/// The answer to `/paths`, no wider than so many columns where names allow it.
pub(crate) fn paths(reach: &Reach, columns: usize) -> Answer {
    let mut lines = Vec::new();
    for segment in &reach.segments {
        if !lines.is_empty() {
            lines.push(Painted::default());
        }
        segment_lines(reach, segment, columns, &mut lines);
    }
    if reach.segments.is_empty() {
        lines.push(Painted::plain("no interface is up"));
    } else {
        lines.push(legend());
    }
    Answer::painted(json(reach), lines, status(reach))
}

/// 3 where nobody is: CLI and manual promise it of every subcommand.
fn status(reach: &Reach) -> u8 {
    let online = reach.nodes.iter().any(|node| node.known == Known::Online);
    if online { 0 } else { NOBODY }
}

/// The answer to `/paths --dot`: for programs the same as without, and the drawing as its text.
pub(crate) fn drawing(reach: &Reach) -> Answer {
    Answer { whole: true, ..Answer::new(json(reach), dot(reach), status(reach)) }
}

fn segment_lines(reach: &Reach, segment: &Segment, columns: usize, lines: &mut Vec<Painted>) {
    let title = format!("{} {}/{}", segment.name, segment.address, segment.prefix_len);
    let grid = reach.grid(segment.id);
    if grid.nodes.len() < 2 {
        return lines.push(Painted::plain(&format!("{title}: nobody else is known here")));
    }
    lines.push(Painted::plain(&format!("{title}: rows speak, columns hear")));
    grid_lines(&grid, columns, lines);
    lines.extend(reach.carried.iter().filter(|carried| carried.segment == segment.id).map(|c| carried_line(reach, c)));
}

/// The grid, in as many pieces beside each other as its width takes.
fn grid_lines(grid: &Grid, columns: usize, lines: &mut Vec<Painted>) {
    let names: Vec<String> = (1..).zip(&grid.nodes).map(|(n, node)| format!("{n} {}", label(node))).collect();
    let widest = names.iter().map(|name| name.width()).max().unwrap_or(0);
    let cell = GAP.len() + By::ALL.len();
    let fit = (columns.saturating_sub(widest) / cell).max(1);
    let all: Vec<usize> = (0..grid.nodes.len()).collect();
    for piece in all.chunks(fit) {
        let head = piece.iter().map(|n| format!("{GAP}{:>4}", n + 1)).collect::<String>();
        lines.push(Painted::plain(&" ".repeat(widest)).and(Paint::Faint, &head));
        for (name, row) in names.iter().zip(&grid.cells) {
            let mut line = Painted::plain(&format!("{name}{}", " ".repeat(widest - name.width())));
            for &column in piece {
                line = cell_parts(line.and(Paint::Plain, GAP), row[column]);
            }
            lines.push(line);
        }
    }
}

/// The name of a row, and what is to be said of it.
fn label(node: &ReachNode) -> String {
    let mut name = String::new();
    for c in node.name.label().chars() {
        if name.width() >= NAME_MAX {
            break;
        }
        name.push(c);
    }
    match node.known {
        Known::Ourselves => format!("{name} (me)"),
        Known::Online => name,
        Known::Lost => format!("{name} (lost)"),
        Known::Hearsay => format!("{name} (not heard here)"),
    }
}

fn cell_parts(mut line: Painted, cell: Cell) -> Painted {
    match cell {
        Cell::Itself => line.and(Paint::Faint, "   -"),
        Cell::Unknown => line.and(Paint::Faint, "   ?"),
        Cell::Unheard => line.and(Paint::Bad, "...."),
        Cell::Heard(casts) => {
            for by in By::ALL {
                line = match by {
                    _ if casts & by.bit() == 0 => line.and(Paint::Faint, "."),
                    By::Multicast => line.and(Paint::Good, "M"),
                    By::Broadcast => line.and(Paint::Fair, "B"),
                    By::Unicast => line.and(Paint::Poor, "U"),
                    By::Stream => line.and(Paint::Good, "T"),
                };
            }
            line
        }
    }
}

fn legend() -> Painted {
    let line = Painted::default().and(Paint::Poor, "U").and(Paint::Plain, " unicast, ");
    let line = line.and(Paint::Fair, "B").and(Paint::Plain, " broadcast, ");
    let line = line.and(Paint::Good, "M").and(Paint::Plain, " multicast, ");
    let line = line.and(Paint::Good, "T").and(Paint::Plain, " tcp, ");
    let line = line.and(Paint::Bad, "....").and(Paint::Plain, " not heard, ");
    line.and(Paint::Faint, "?").and(Paint::Plain, " not told; of others, as they say")
}

/// How what we say leaves now.
fn carried_line(reach: &Reach, carried: &Carried) -> Painted {
    let names: Vec<_> = carried.copies.iter().map(|&id| name(reach, id)).collect();
    let copies = match names.len() {
        0 => String::new(),
        1..=8 => format!("copies by unicast to {}", names.join(", ")),
        many => format!("copies by unicast to {} and {} more", names[..8].join(", "), many - 8),
    };
    let cast = carried.cast.map_or_else(String::new, |cast| format!("by {cast}"));
    let and = if cast.is_empty() || copies.is_empty() { "" } else { ", and " };
    let paint = match carried.cast {
        Some(_) if names.is_empty() => Paint::Plain,
        _ => Paint::Poor,
    };
    Painted::plain("what I say goes ").and(paint, &format!("{cast}{and}{copies}"))
}

fn name(reach: &Reach, id: PeerId) -> String {
    reach.node(id).map_or_else(|| id.suffix(), |node| node.name.label())
}

/// The picture as an object, for programs.
pub(crate) fn json(reach: &Reach) -> Object {
    let segments = reach.segments.iter().map(|segment| {
        let object = Object::part().text("segment", &segment.name).text("address", &segment.address.to_string());
        let object = object.number("prefix", segment.prefix_len.into());
        object.number("ttl", segment.ttls.group.into())
    });
    let nodes = reach.nodes.iter().map(|node| node_json(reach, node));
    let links = reach.links.iter().map(|link| link_json(reach, link));
    let carried = reach.carried.iter().map(|carried| carried_json(reach, carried));
    let object = Object::new("paths").text("id", &reach.me.to_string()).list("segments", segments);
    object.list("nodes", nodes).list("links", links).list("carried", carried)
}

fn node_json(reach: &Reach, node: &ReachNode) -> Object {
    let known = match node.known {
        Known::Ourselves => "me",
        Known::Online => "online",
        Known::Lost => "lost",
        Known::Hearsay => "hearsay",
    };
    let places = node.places.iter().map(|place| {
        let object = Object::part().text("segment", reach.segment_name(place.segment));
        let object = object.text("address", &place.address.to_string()).text("interface", place.interface.as_str());
        let object = object.number("said_ms", millis(place.said_ago)).flag("whole", place.whole);
        match place.sends {
            Some(sends) => object.text("sends", &letters(sends)),
            None => object,
        }
    });
    Object::part().named("peer", &node.name).text("known", known).list("places", places)
}

fn link_json(reach: &Reach, link: &Link) -> Object {
    let object = Object::part().text("from", &link.from.to_string()).text("to", &link.to.to_string());
    let object = object.text("segment", reach.segment_name(link.segment)).text("cast", &link.by.to_string());
    let object = object.number("seen_ms", millis(link.seen_ago)).flag("fresh", link.fresh);
    let object = object.flag("claimed", link.claimed);
    object.maybe("ttl_sent", link.ttl_sent).maybe("ttl_left", link.ttl_left).maybe("hops", link.hops())
}

fn carried_json(reach: &Reach, carried: &Carried) -> Object {
    let object = Object::part().text("segment", reach.segment_name(carried.segment));
    let object = match carried.cast {
        Some(cast) => object.text("cast", &cast.to_string()),
        None => object,
    };
    object.list("copies", carried.copies.iter().map(|&id| Object::part().text("id", &id.to_string())))
}

pub(crate) fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Casts as letters.
fn letters(casts: u8) -> String {
    By::ALL.into_iter().filter(|by| casts & by.bit() != 0).map(By::letter).collect()
}

/// The picture as a graph: `udpnode paths --dot | dot -Tsvg`. What goes both ways alike is one line with two heads.
pub(crate) fn dot(reach: &Reach) -> String {
    let mut lines = vec!["digraph udpnode {".to_owned(), "  node [shape=box];".to_owned()];
    for node in &reach.nodes {
        let addresses: Vec<_> = node.places.iter().map(|place| place.address.to_string()).collect();
        let style = match node.known {
            Known::Ourselves => ", style=bold",
            Known::Online => "",
            Known::Lost => ", style=dashed",
            Known::Hearsay => ", style=dotted",
        };
        let label = [vec![node.name.label()], addresses].concat().join("\n");
        lines.push(format!("  {} [label={}{style}];", dot_text(&node.id.to_string()), dot_text(&label)));
    }
    let mut edges: BTreeMap<(SegmentId, PeerId, PeerId), u8> = BTreeMap::new();
    for link in reach.links.iter().filter(|link| link.fresh) {
        *edges.entry((link.segment, link.from, link.to)).or_default() |= link.by.bit();
    }
    for (&(segment, from, to), &casts) in &edges {
        let back = edges.get(&(segment, to, from)) == Some(&casts);
        if back && from > to {
            continue;
        }
        let colour = match casts {
            casts if casts & Cast::Multicast.bit() != 0 => "darkgreen",
            casts if casts & Cast::Broadcast.bit() != 0 => "orange",
            _ => "purple",
        };
        let label = dot_text(&format!("{} {}", reach.segment_name(segment), letters(casts)));
        let both = if back { ", dir=both" } else { "" };
        let (from, to) = (dot_text(&from.to_string()), dot_text(&to.to_string()));
        lines.push(format!("  {from} -> {to} [label={label}, color={colour}{both}];"));
    }
    lines.push("}".to_owned());
    lines.join("\n")
}

/// A quoted string of the DOT language. Text is safe to show already; quotes and backslashes are not to end it.
fn dot_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::PeerName;
    use crate::node::ReachPlace;
    use crate::text::{Line, Nick};
    use std::time::Duration;

    const ETH0: SegmentId = SegmentId(1);

    fn id(n: u8) -> PeerId {
        PeerId([n; 16])
    }

    fn node(n: u8, nick: &str, known: Known, whole: bool) -> ReachNode {
        let place = ReachPlace {
            segment: ETH0,
            address: format!("10.0.0.{n}:500{n}").parse().expect("an address"),
            interface: Line::from_peer("eth9"),
            sends: Some(6),
            said_ago: Duration::from_millis(1500),
            whole,
        };
        let places = if known == Known::Hearsay { Vec::new() } else { vec![place] };
        ReachNode { id: id(n), name: PeerName { id: id(n), nick: Nick::from_any(nick), suffix: 0 }, known, places }
    }

    fn link(from: u8, to: u8, by: By, fresh: bool) -> Link {
        let (segment, seen_ago) = (ETH0, Duration::from_secs(1));
        let (from, to, ttl_sent, ttl_left) = (id(from), id(to), Some(2), Some(1));
        Link { segment, from, to, by, seen_ago, fresh, ttl_sent, ttl_left, claimed: to != id(1) }
    }

    /// We are ann; bob hears us by unicast alone, cat does not tell all, dan is only spoken of.
    pub(in crate::runtime) fn reach() -> Reach {
        let segment = Segment::eth0("10.0.0.1:5001");
        let nodes = vec![
            node(1, "ann", Known::Ourselves, true),
            node(2, "bob\"", Known::Online, true),
            node(3, "cat", Known::Lost, false),
            node(4, "dan", Known::Hearsay, false),
        ];
        let links = vec![
            link(1, 2, By::Unicast, true),
            link(2, 1, By::Broadcast, true),
            link(2, 1, By::Multicast, true),
            link(2, 1, By::Unicast, false),
            link(3, 2, By::Stream, true),
            link(4, 2, By::Multicast, true),
            link(2, 3, By::Stream, true),
        ];
        let carried = vec![Carried { segment: ETH0, cast: Some(Cast::Multicast), copies: vec![id(2)] }];
        Reach { me: id(1), nodes, segments: vec![segment], links, carried }
    }

    #[test]
    fn rows_speak_and_columns_hear() {
        let text = paths(&reach(), 80).text;
        let expected = "\
eth0 10.0.0.1:5001/24: rows speak, columns hear
                            1     2     3     4
1 ann (me)                  -  U...     ?     ?
2 bob\"                   .BM.     -  ...T     ?
3 cat (lost)             ....  ...T     -     ?
4 dan (not heard here)   ....  ..M.     ?     -
what I say goes by multicast, and copies by unicast to bob\"
U unicast, B broadcast, M multicast, T tcp, .... not heard, ? not told; of others, as they say";
        let squeezed = |text: &str| text.replace("  ", " ").replace("  ", " ").replace("  ", " ");
        assert_eq!(squeezed(&text), squeezed(expected));
    }

    #[test]
    fn what_is_too_wide_is_shown_in_pieces() {
        let text = paths(&reach(), 36).text;
        let heads: Vec<_> =
            text.lines().filter(|line| line.trim_start().starts_with(['1', '3']) && !line.contains("(")).collect();
        assert_eq!(heads.len(), 2, "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("1 ann")).count(), 2);
        assert!(text.lines().filter(|line| line.contains('.')).all(|line| line.contains("legend") || line.len() < 100));
    }

    #[test]
    fn colours_are_beside_the_text_and_never_in_it() {
        let answer = paths(&reach(), 80);
        assert!(!answer.text.contains('\x1b') && !answer.json.contains("\\u001b"));
        let lines = answer.colours.expect("painted");
        let row = lines.iter().map(Painted::coloured).find(|line| line.contains("2 bob")).expect("its row");
        assert!(row.contains("\x1b[32mM\x1b[0m") && row.contains("\x1b[33mB\x1b[0m"), "{row:?}");
    }

    #[test]
    fn programs_get_every_link_with_its_ttls() {
        let json: serde_json::Value = serde_json::from_str(&paths(&reach(), 80).json).expect("JSON");
        assert_eq!(json["event"], "paths");
        assert_eq!(json["nodes"][1]["places"][0]["sends"], "BM");
        let expected = serde_json::json!({
            "from": id(1).to_string(), "to": id(2).to_string(), "segment": "eth0", "cast": "unicast", "seen_ms": 1000,
            "fresh": true, "claimed": true, "ttl_sent": 2, "ttl_left": 1, "hops": 1
        });
        assert_eq!(json["links"][0], expected);
        assert_eq!(json["carried"][0]["copies"][0]["id"], id(2).to_string());
    }

    #[test]
    fn the_drawing_is_a_graph_whatever_they_are_called() {
        let dot = dot(&reach());
        assert!(dot.starts_with("digraph udpnode {\n") && dot.ends_with("\n}"));
        assert!(dot.contains("[label=\"bob\\\"\\n10.0.0.2:5002\"]"), "{dot}");
        assert_eq!(dot.matches("dir=both").count(), 1, "the stream between bob and cat: {dot}");
        assert!(dot.contains("[label=\"eth0 BM\", color=darkgreen]"), "{dot}");
        assert_eq!(dot.matches('"').count() % 2, dot.matches("\\\"").count() % 2);
    }

    #[test]
    fn without_anybody_it_says_so() {
        let mut alone = reach();
        alone.nodes.truncate(1);
        (alone.links, alone.carried) = (Vec::new(), Vec::new());
        assert!(paths(&alone, 80).text.starts_with("eth0 10.0.0.1:5001/24: nobody else is known here"));
        alone.segments.clear();
        assert_eq!(paths(&alone, 80).text, "no interface is up");
    }
}

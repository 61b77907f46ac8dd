//! What the runtime makes of bytes that others wrote - files, pipes, sockets, a keyboard - and what it shows of them,
//! without the files and without a terminal: for the fuzzers in `tests/fuzz`, which see only what is public.
//!
//! Nothing else calls this room, and nothing here decides anything: each function is one line of what the program
//! does, from its outermost bytes to its innermost.

use std::net::SocketAddr;

use super::answers;
use super::console::{Console, Item, Kind};
use super::control::Name;
use super::jobs::Show;
use super::lines::{Lines, Piece};
use super::output::Output;
use super::render::{self, View};
use super::teller::{Form, Teller};
use super::{keyfile, memory, netlink, peers, render_paths, render_why, report, state, values};
use crate::address::SegmentId;
use crate::command::Typed;
use crate::event::Event;
use crate::node::Node;
use crate::text::Line;
use crate::time::WallTime;

/// What a clock shows in here.
pub const NOW: WallTime = WallTime(1_769_861_045_678);

/// The key in the file `key`.
#[must_use]
pub fn secret_key(bytes: &[u8]) -> Option<[u8; 32]> {
    state::key_of(bytes)
}

/// The run in the file `boot`.
#[must_use]
pub fn run_number(text: &str) -> Option<u64> {
    state::boot_of(text)
}

/// The addresses in the file `peers`.
#[must_use]
pub fn remembered_peers(text: &str) -> Vec<SocketAddr> {
    memory::addresses_of(text, NOW)
}

/// How many keys a key file holds.
///
/// # Errors
/// What is wrong with it.
pub fn group_keys(text: &str) -> Result<usize, String> {
    keyfile::count(text)
}

/// The interfaces that packets of the routing socket say are gone.
#[must_use]
pub fn deleted_links(packet: &[u8]) -> Vec<u32> {
    netlink::deleted(packet)
}

/// How many nodes of ours the kernel's table of sockets names.
#[must_use]
pub fn running_nodes(table: &str) -> usize {
    Name::all(table, 0).len()
}

/// What is read of a value on the command line, as each option may read it: the good ones, as they are shown.
#[must_use]
pub fn option_values(text: &str) -> Vec<String> {
    let mut read = Vec::new();
    read.extend(values::group(text).map(|group| group.to_string()));
    read.extend(values::peer(text).map(|peer| peer.to_string()));
    read.extend(values::local_address(text).map(|at| at.socket_addr().to_string()));
    read.extend(values::ttl(text).map(|ttl| ttl.to_string()));
    read.extend(values::history(text).map(|count| count.to_string()));
    read.extend(values::wait(text).map(|span| format!("{span:?}")));
    read.extend(peers::target(text).map(|target| target.to_string()));
    read
}

/// What standard input brings: from somebody who types, or from a pipe whose lines may be commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A terminal with the line editor.
    Keyboard,
    /// A pipe of text.
    Pipe,
    /// A pipe of commands.
    Commands,
}

/// What these reads of standard input mean, each thing as text; and what is typed and not finished.
#[must_use]
pub fn meaning(source: Source, reads: &[&[u8]]) -> (Vec<String>, String, usize) {
    let kind = if source == Source::Keyboard { Kind::Edited } else { Kind::Piped };
    let mut console = Console::detached(kind, source == Source::Commands, false);
    let mut items = Vec::new();
    for read in reads {
        console.feed(read);
        while let Some(item) = console.take() {
            items.push(match item {
                Item::Say(lines) => lines.iter().map(Line::as_str).collect::<Vec<_>>().join("\n"),
                Item::Remark(text) | Item::Refused(text) => text,
                item => format!("{item:?}"),
            });
        }
    }
    let (typed, cursor) = console.typed();
    (items, typed.to_owned(), cursor)
}

/// The lines that a client of the control socket wrote, in these reads; those that are too long are left out.
#[must_use]
pub fn client_lines(reads: &[&[u8]]) -> Vec<Vec<u8>> {
    let (mut lines, mut whole) = (Lines::default(), Vec::new());
    let mut keep = |piece| {
        if let Piece::Line(line) = piece {
            whole.push(line);
        }
    };
    for read in reads {
        lines.push(read);
        std::iter::from_fn(|| lines.next()).for_each(&mut keep);
    }
    lines.finish().into_iter().for_each(&mut keep);
    whole
}

/// What `udpnode who` prints of a line that came by a control socket.
#[must_use]
pub fn reply(json: &str) -> String {
    Show::Text.shown(json)
}

/// How something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Above a prompt, on a terminal.
    Prompt,
    /// As lines of text.
    Text,
    /// As lines of JSON.
    Json,
}

fn teller(form: Told) -> Teller {
    let form = match form {
        Told::Prompt => Form::Prompt,
        Told::Text => Form::Text,
        Told::Json => Form::Json,
    };
    Teller::new(form, Output::detached())
}

fn segment(id: SegmentId) -> String {
    format!("eth{}", id.0)
}

/// What is written to standard output when these events happen while somebody types, with the way that messages
/// came if there is a node that knows it. (As text, warnings go to standard error, and are left out here.)
#[must_use]
pub fn shown(form: Told, events: &[Event], node: Option<&Node>, typed: &str) -> String {
    let mut teller = teller(form);
    teller.typed(typed, typed.len());
    for event in events {
        if form == Told::Text && matches!(event, Event::Warning(_) | Event::Refused(_)) {
            continue;
        }
        let route = node.and_then(|node| node.route(event));
        teller.event(event, "me", View { now: NOW, segment: &segment, route: route.as_ref() });
    }
    teller.output.take()
}

/// What is written to standard output when a question is asked; nothing if it is none.
#[must_use]
pub fn answered(form: Told, node: &Node, question: &Typed) -> String {
    let answer = match question {
        Typed::Who => answers::who(node.peers().collect(), &node.deaf(), segment),
        Typed::Doctor(name) => report::answer(&node.diagnosable(), &report::Names::of(node), name.as_ref()),
        Typed::Paths { dot: true } => render_paths::drawing(&node.reach()),
        Typed::Paths { dot: false } => render_paths::paths(&node.reach(), 80),
        Typed::Why(name) => match node.why(name.as_str()) {
            Ok(why) => render_why::why(&why, segment),
            Err(text) => answers::Answer::remark(text),
        },
        _ => return String::new(),
    };
    let mut teller = teller(form);
    teller.answer(&answer);
    teller.output.take()
}

/// The line of JSON that a client of the control socket is told of an event, if it is told one.
#[must_use]
pub fn client_is_told(event: &Event) -> Option<String> {
    render::json(event, View { now: NOW, segment: &segment, route: None })
}

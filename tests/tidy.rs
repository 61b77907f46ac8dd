//! Holds the shape of the house: who may import whom, and how long things may get.
//!
//! The floors are drawn in `src/lib.rs`. Sources are read as text: comments and literals are
//! blanked out first, the `#[cfg(test)]` parts left out of the counts. A rule that cannot fail
//! proves nothing, so each rule is also fed a source that breaks it.

use std::fs;
use std::path::{Path, PathBuf};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;
const COLUMNS_MAX: usize = 120;

/// The floor of each room, by the first part of its path.
const FLOORS: &[(&str, u8)] = &[
    ("time", 0),
    ("rng", 0),
    ("id", 0),
    ("text", 0),
    ("address", 0),
    ("config", 0),
    ("stats", 0),
    ("wire", 1),
    ("term", 1),
    ("command", 1),
    ("event", 1),
    ("crypto", 2),
    ("protocol", 3),
    ("node", 4),
    ("runtime", 5),
    ("main", 6),
];

/// What `config` may name besides nothing: it holds what a person may choose.
const CONFIG_MAY_NAME: &[&str] = &["command", "text", "address", "time"];

/// What only the runtime may touch.
const ONLY_RUNTIME: &[&str] = &[
    "HashMap",
    "HashSet",
    "std::time::Instant",
    "Instant::now",
    "SystemTime",
    "UdpSocket",
    "std::fs",
    "std::thread",
    "std::env",
    "print!",
    "println!",
    "eprint!",
    "eprintln!",
];

/// One source file: its place under `src/` and its text.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// `["protocol", "log"]` for `protocol/log.rs`, `["protocol"]` for `protocol/mod.rs`.
    fn module(&self) -> Vec<String> {
        let mut parts: Vec<String> =
            self.path.with_extension("").iter().map(|p| p.to_string_lossy().into_owned()).collect();
        if parts.last().is_some_and(|p| p == "mod") {
            parts.pop();
        }
        parts
    }

    fn floor(&self) -> Option<u8> {
        floor_of(&self.module()[0])
    }
}

fn floor_of(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// The text with comments and literals blanked out, line for line.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => find(&chars, at, |c| c[0] == '\n'),
            '/' if chars.get(at + 1) == Some(&'*') => end_of_block_comment(&chars, at),
            '"' => end_of_string(&chars, at),
            'r' | 'b' | 'c' if at == 0 || !is_word(chars[at - 1]) => end_of_prefixed(&chars, at),
            '\'' => end_of_char(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find(chars: &[char], from: usize, hit: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|&i| hit(&chars[i..])).unwrap_or(chars.len())
}

fn end_of_block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// `r"..."`, `r#"..."#`, `b"..."`, `br#"..."#`; nothing if it is only a word.
fn end_of_prefixed(chars: &[char], at: usize) -> usize {
    let mut i = at;
    let mut raw = false;
    while matches!(chars.get(i), Some('r' | 'b' | 'c')) && i < at + 2 {
        raw |= chars[i] == 'r';
        i += 1;
    }
    let hashes = chars[i..].iter().take_while(|&&c| c == '#').count();
    if chars.get(i + hashes) != Some(&'"') || (hashes > 0 && !raw) {
        return at;
    }
    if !raw {
        return end_of_string(chars, i);
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    (find(chars, i + hashes + 1, |c| c.starts_with(&close)) + close.len()).min(chars.len())
}

/// A character literal; nothing if it is a lifetime.
fn end_of_char(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => find(chars, at + 3, |c| c[0] == '\'') + 1,
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// The blanked text without its `#[cfg(test)]` items; their lines stay, empty.
fn without_tests(blanked: &str) -> String {
    let mut text = blanked.to_string();
    while let Some(start) = text.find("#[cfg(test)]") {
        let open = text[start..].find(['{', ';']).map_or(text.len(), |i| start + i);
        let end = if text[open..].starts_with('{') { end_of_block(&text, open) } else { (open + 1).min(text.len()) };
        let hole: String = text[start..end].chars().filter(|&c| c == '\n').collect();
        text.replace_range(start..end, &hole);
    }
    text
}

/// Just behind the brace that closes the one at `open`.
fn end_of_block(text: &str, open: usize) -> usize {
    let mut depth = 0;
    for (i, c) in text[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + i + 1;
        }
    }
    text.len()
}

/// Every path that begins with `head`, braces unfolded: `crate::a::{b, c::d}` gives two.
fn paths(text: &str, head: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(head) {
        if text[..at].chars().next_back().is_some_and(|c| is_word(c) || c == ':') {
            continue;
        }
        let rest: String = text[at + head.len()..].chars().take(4000).collect();
        unfold(rest.trim_start(), &mut Vec::new(), &mut found);
    }
    found
}

/// Reads one path, or a group in braces, and returns what stands behind it.
fn unfold<'a>(mut text: &'a str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let depth = before.len();
    loop {
        text = text.trim_start();
        if let Some(inner) = text.strip_prefix('{') {
            text = unfold_group(inner, before, found);
            break;
        }
        let end = text.find(|c| !is_word(c) && c != '*').unwrap_or(text.len());
        before.push(text[..end].to_string());
        text = text[end..].trim_start();
        match text.strip_prefix("::") {
            Some(rest) => text = rest,
            None => {
                found.push(before.clone());
                break;
            }
        }
    }
    before.truncate(depth);
    text
}

fn unfold_group<'a>(mut text: &'a str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if let Some(rest) = text.strip_prefix('}') {
            return rest;
        }
        if text.is_empty() {
            return text;
        }
        let left = text.len();
        text = unfold(text, before, found);
        // ` as name`, and whatever this reader does not know.
        text = &text[text.find([',', '}']).unwrap_or(text.len())..];
        assert!(text.len() < left, "a path that this test cannot read");
    }
}

/// Everything of ours that a file names, as paths from the crate's root.
fn imports(source: &Source, text: &str) -> Vec<Vec<String>> {
    let mut all = paths(text, "crate::");
    all.extend(paths(text, "udpnode::"));
    for path in paths(text, "super::") {
        let mut base = source.module();
        base.pop();
        let ups = path.iter().take_while(|p| *p == "super").count();
        base.truncate(base.len().saturating_sub(ups));
        base.extend(path.into_iter().skip(ups));
        all.push(base);
    }
    all
}

/// Why a file may not name what it names; empty if it may.
fn floors(source: &Source, all: &[Source]) -> Vec<String> {
    let module = source.module();
    if source.path == Path::new("lib.rs") {
        return Vec::new();
    }
    let Some(floor) = source.floor() else {
        return vec![format!("{}: on no floor; give it one in tests/tidy.rs and src/lib.rs", source.path.display())];
    };
    let text = without_tests(&blank(&source.text));
    let mut faults = Vec::new();
    for path in imports(source, &text) {
        let other = path.first().cloned().unwrap_or_default();
        let Some(below) = floor_of(&other) else {
            faults.push(format!("{}: names {}, which is on no floor", source.path.display(), path.join("::")));
            continue;
        };
        let allowed = if other == module[0] {
            floor == 5 || same_room(&module, &path, all)
        } else if module[0] == "config" {
            CONFIG_MAY_NAME.contains(&other.as_str())
        } else {
            below < floor
        };
        if !allowed {
            faults.push(format!(
                "{}: on floor {floor}, may not name {} on floor {below}",
                source.path.display(),
                path.join("::")
            ));
        }
    }
    if module[0] == "protocol" {
        let crypto = paths(&text, "crate::").into_iter().filter(|p| p[0] == "crypto");
        faults.extend(crypto.map(|_| format!("{}: protocol may not name crypto", source.path.display())));
    }
    faults
}

/// Inside one room files may know each other, and everybody the `mod.rs` they stand under. A room is
/// a directory or file of `src/`, except under `protocol/`: there each concern is a room.
fn same_room(module: &[String], path: &[String], all: &[Source]) -> bool {
    if module[0] != "protocol" || module.len() == 1 {
        return true;
    }
    // The longest beginning of the path that is a file.
    let file = (1..=path.len()).rev().find(|&n| all.iter().any(|s| s.module() == path[..n]));
    file == Some(1) || path.get(1) == module.get(1)
}

/// Functions that are too long, by name.
fn functions(source: &Source) -> Vec<String> {
    let text = without_tests(&blank(&source.text));
    let mut faults = Vec::new();
    for (at, _) in text.match_indices("fn ") {
        if text[..at].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let name: String = text[at + 3..].chars().take_while(|&c| is_word(c)).collect();
        let Some(open) = text[at..].find(['{', ';']).map(|i| at + i) else {
            continue;
        };
        if name.is_empty() || text[open..].starts_with(';') {
            continue;
        }
        let lines = text[at..end_of_block(&text, open)].lines().count();
        if lines > FUNCTION_LINES_MAX {
            let file = source.path.display();
            faults.push(format!("{file}: fn {name} has {lines} lines (at most {FUNCTION_LINES_MAX})"));
        }
    }
    faults
}

/// Files that are too long without their tests, and lines that are too wide.
fn lengths(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let test = source.text.find("#[cfg(test)]\nmod ").unwrap_or(source.text.len());
    let lines = source.text[..test].lines().count();
    if lines > FILE_LINES_MAX {
        faults.push(format!("{}: {lines} lines without tests (at most {FILE_LINES_MAX})", source.path.display()));
    }
    faults.extend(wide_lines(source));
    faults
}

fn wide_lines(source: &Source) -> Vec<String> {
    let wide = source.text.lines().enumerate().filter(|(_, line)| line.chars().count() > COLUMNS_MAX);
    wide.map(|(n, _)| format!("{}:{}: wider than {COLUMNS_MAX} columns", source.path.display(), n + 1)).collect()
}

/// What touches the operating system, or has no order, below the runtime.
fn purity(source: &Source) -> Vec<String> {
    if source.floor().is_none_or(|floor| floor >= 5) {
        return Vec::new();
    }
    let text = without_tests(&blank(&source.text));
    let named = |word: &&&str| text.match_indices(**word).any(|(at, _)| !text[..at].ends_with(is_word));
    ONLY_RUNTIME
        .iter()
        .filter(named)
        .map(|word| format!("{}: {word} belongs to the runtime", source.path.display()))
        .chain(grouped_std(&text, source))
        .collect()
}

/// The same, hidden in braces: `use std::{fs, thread}`.
fn grouped_std(text: &str, source: &Source) -> Vec<String> {
    paths(text, "std::")
        .into_iter()
        .filter(|p| {
            matches!(p[0].as_str(), "fs" | "thread" | "env")
                || (p[0] == "time" && p.get(1).is_some_and(|t| t == "Instant"))
        })
        .map(|p| format!("{}: std::{} belongs to the runtime", source.path.display(), p.join("::")))
        .collect()
}

fn read(root: &Path, under: &Path, into: &mut Vec<Source>) {
    let entries = fs::read_dir(under).unwrap_or_else(|e| panic!("{}: {e}", under.display()));
    let mut entries: Vec<PathBuf> = entries.map(|e| e.expect("readable").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read(root, &path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            into.push(Source { path: path.strip_prefix(root).expect("below").to_path_buf(), text });
        }
    }
}

fn sources(below: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(below);
    let mut all = Vec::new();
    read(&root, &root, &mut all);
    assert!(!all.is_empty(), "no sources in {}", root.display());
    all
}

fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn rooms_name_only_floors_below() {
    let all = sources("src");
    none(all.iter().flat_map(|s| floors(s, &all)).collect());
}

#[test]
fn functions_are_short() {
    none(sources("src").iter().flat_map(functions).collect());
}

#[test]
fn files_and_lines_are_short() {
    none(sources("src").iter().flat_map(lengths).collect());
    none(sources("tests").iter().flat_map(wide_lines).collect());
}

#[test]
fn only_the_runtime_touches_the_system() {
    none(sources("src").iter().flat_map(purity).collect());
}

/// What `floors` says of a file among these.
fn judge(path: &str, text: &str) -> Vec<String> {
    let all = [
        Source::new("time.rs", ""),
        Source::new("wire/mod.rs", ""),
        Source::new("wire/body.rs", ""),
        Source::new("protocol/mod.rs", "pub struct Context;"),
        Source::new("protocol/log.rs", ""),
        Source::new("protocol/session.rs", ""),
        Source::new("crypto/mod.rs", ""),
        Source::new("runtime/mod.rs", ""),
        Source::new("runtime/console.rs", ""),
    ];
    floors(&Source::new(path, text), &all)
}

#[test]
fn the_checker_allows_what_is_allowed() {
    for (path, text) in [
        ("wire/body.rs", "use crate::time::Time; use super::header::Header;"),
        ("protocol/log/store.rs", "use super::Log; use crate::protocol::{Context, log::author::Author};"),
        ("config.rs", "use crate::command::CastChoice;"),
        ("protocol/log.rs", "use super::Context; use crate::protocol::Context; use crate::{time::Time, wire};"),
        ("protocol/mod.rs", "mod log; use crate::protocol::log::Log; use self::session::S;"),
        ("node/mod.rs", "use crate::{crypto::Identity, event::Event, protocol::log::{Log, Entry as E}};"),
        ("runtime/console.rs", "use crate::runtime::sockets::Sockets; use super::cli;"),
        ("main.rs", "fn main() { udpnode::runtime::run(); }"),
        ("text.rs", "// use crate::node::Node;\nconst A: &str = \"crate::node\"; const B: char = '\"'; // \""),
        ("text.rs", "#[cfg(test)]\nmod tests { use crate::node::Node; }"),
    ] {
        assert_eq!(judge(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn the_checker_catches_a_wrong_floor() {
    for (path, text) in [
        ("time.rs", "use crate::text::Line;"),
        ("config.rs", "use crate::event::Event;"),
        ("wire/body.rs", "use crate::term::keys::Key;"),
        ("wire/body.rs", "use crate::{time::Time, crypto};"),
        ("wire/body.rs", "fn f() { crate::node::f(); }"),
        ("wire/body.rs", "use super::super::node::Node;"),
        ("event.rs", "use crate::command::Command;"),
        ("protocol/log.rs", "use crate::crypto::Identity;"),
        ("protocol/log.rs", "use crate::protocol::session::Session;"),
        ("protocol/log.rs", "use super::{Context, session};"),
        ("protocol/log/store.rs", "use super::super::session::Session;"),
        ("node/mod.rs", "use crate::\n    runtime::cli;"),
        ("attic.rs", ""),
    ] {
        assert!(!judge(path, text).is_empty(), "missed in {path}: {text}");
    }
}

#[test]
fn the_checker_catches_what_is_too_long() {
    let body = |n: usize| format!("impl X {{\n    pub fn long(&self) {{\n{}    }}\n}}\n", "        f();\n".repeat(n));
    assert_eq!(functions(&Source::new("a.rs", &body(FUNCTION_LINES_MAX - 2))), Vec::<String>::new());
    assert_eq!(functions(&Source::new("a.rs", &body(FUNCTION_LINES_MAX - 1))).len(), 1);
    let brace_in_text = "fn f() {\n let a = \"{\"; let b = '{'; let c = r#\"{\"#; /* { */ // {\n}\n";
    let two = format!("{brace_in_text}{}", "// filler\n".repeat(80));
    assert_eq!(functions(&Source::new("a.rs", &two)), Vec::<String>::new());

    let lines = "a\n".repeat(FILE_LINES_MAX);
    assert!(lengths(&Source::new("a.rs", &format!("{lines}#[cfg(test)]\nmod tests {{\n{lines}}}\n"))).is_empty());
    assert_eq!(lengths(&Source::new("a.rs", &format!("{lines}a\n"))).len(), 1);
    assert_eq!(lengths(&Source::new("a.rs", &"é".repeat(COLUMNS_MAX))), Vec::<String>::new());
    assert_eq!(lengths(&Source::new("a.rs", &"é".repeat(COLUMNS_MAX + 1))).len(), 1);
}

#[test]
fn the_checker_catches_what_is_impure() {
    for text in [
        "use std::collections::HashMap;",
        "use std::time::Instant;",
        "use std::time::{Duration, Instant};",
        "use std::{fmt, fs};",
        "fn f() { std::thread::spawn(g); }",
        "fn f() { println!(\"x\"); }",
        "use std::net::UdpSocket;",
    ] {
        assert!(!purity(&Source::new("node/mod.rs", text)).is_empty(), "missed: {text}");
        assert_eq!(purity(&Source::new("runtime/mod.rs", text)), Vec::<String>::new(), "{text}");
    }
    let fine = "use std::time::Duration; // HashMap\nfn fingerprint() {}\nfn f() { writeln!(f, \"println!\"); }";
    assert_eq!(purity(&Source::new("node/mod.rs", fine)), Vec::<String>::new());
}

/// The mutants of a list whose old text does not stand exactly once where they say: they would show nothing.
fn misfits(list: &str, read: impl Fn(&str) -> String) -> Vec<String> {
    let mutants = list.split("\n## ").skip(1);
    let fits = |mutant: &str| {
        let file = mutant.lines().find_map(|line| line.strip_prefix("file: ")).unwrap_or_default();
        let old: String =
            mutant.lines().filter_map(|line| line.strip_prefix('-')).flat_map(|line| [line, "\n"]).collect();
        read(file).matches(&old).count() == 1
    };
    mutants.filter(|mutant| !fits(mutant)).filter_map(|mutant| mutant.lines().next()).map(str::to_owned).collect()
}

#[test]
fn every_mutant_has_its_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("tests/mutants/list.txt")).expect("the list is there");
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    assert_eq!(misfits(&list, read), Vec::<String>::new());
    let broken = "# a list\n\n## fits\nfile: a\n-x\n+y\n\n## is gone\nfile: a\n-z\n\n## is there twice\nfile: a\n-w\n";
    assert_eq!(misfits(broken, |_| "x\nw\nw\n".into()), ["is gone", "is there twice"]);
}

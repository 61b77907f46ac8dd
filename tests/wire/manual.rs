//! What man/udpnode.7 says is what the program does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use udpnode::address::{Segment, SegmentId, Ttls};
use udpnode::command::Command;
use udpnode::config::Config;
use udpnode::crypto::open_group_tag;
use udpnode::node::{Input, Node, Output, SegmentChange};
use udpnode::stats::Stats;
use udpnode::text::{Line, Nick};
use udpnode::time::{Time, WallTime};
use udpnode::wire::body::{Text, decode};
use udpnode::wire::header::{HEADER_LEN, MAGIC, SENDER_LEN, SIGNATURE_LEN};
use udpnode::wire::secret::LENGTHS;
use udpnode::wire::stream::{GREETING_MAX, PREAMBLE};
use udpnode::wire::{
    DATAGRAM_DOMAIN, Datagram, ENTRY_DOMAIN, LETTER_DOMAIN, NUMBER_MAX, SIGNED_OVERHEAD, STREAM_DOMAIN, parse_entry,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn manual() -> String {
    fs::read_to_string(root().join("man/udpnode.7")).expect("the page is there")
}

/// The first two columns of the tables in one section: name and value.
fn table(section: &str) -> BTreeMap<String, String> {
    let manual = manual();
    let text = manual.split(".Sh ").find(|text| text.starts_with(section)).expect("the section is there");
    let rows = text.lines().filter_map(|line| line.strip_prefix(".It "));
    let cells = rows.map(|row| row.split(" Ta ").map(str::to_owned).collect::<Vec<_>>());
    cells
        .filter(|cells| cells.len() == 3 && !cells[0].starts_with("Em "))
        .map(|cells| (cells[0].clone(), cells[1].clone()))
        .collect()
}

fn group() -> std::net::SocketAddr {
    "239.192.7.7:5007".parse().expect("an address")
}

fn config() -> Config {
    Config::new(Nick::from_any("ann"), group())
}

/// `Debug` of a duration, a list of them or a number, as the page writes it.
fn written(debug: &str) -> Option<String> {
    let debug = debug.trim();
    if let Some(list) = debug.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let items: Option<Vec<_>> = list.split(", ").map(|item| millis(item).or_else(|| number(item))).collect();
        return items.filter(|items| !items.is_empty()).map(|items| format!("{} ms", items.join(", ")));
    }
    millis(debug).map(|ms| format!("{ms} ms")).or_else(|| number(debug))
}

fn number(text: &str) -> Option<String> {
    text.parse::<u64>().ok().map(|n| n.to_string())
}

/// `2s`, `1.5ms` in milliseconds.
fn millis(text: &str) -> Option<String> {
    let units = [("ns", 1e-6), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let (value, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    value.parse::<f64>().ok().map(|value| (value * factor).to_string())
}

/// The fields of the configuration that are numbers, with their defaults.
fn numbers() -> BTreeMap<String, String> {
    let debug =
        format!("{:#?}", config()).replace(",\n        ", ", ").replace("[\n        ", "[").replace(",\n    ]", "]");
    let fields = debug.lines().filter_map(|line| line.strip_prefix("    ")?.trim_end_matches(',').split_once(": "));
    fields.filter_map(|(name, value)| Some((name.to_owned(), written(value)?))).collect()
}

#[test]
fn the_numbers_are_those_of_the_configuration() {
    let told: BTreeMap<_, _> =
        table("NUMBERS").into_iter().filter(|(name, _)| name.starts_with(char::is_lowercase)).collect();
    let real = numbers();
    assert!(real.len() > 25 && real["hello_at"] == "0, 100, 400 ms", "{real:#?}");
    assert_eq!(told, real);
}

/// Every source file below `dir`, one after the other.
fn sources(dir: &Path) -> String {
    let mut entries: Vec<_> = fs::read_dir(dir).expect("there").map(|entry| entry.expect("readable").path()).collect();
    entries.sort();
    let read = |path: PathBuf| if path.is_dir() { sources(&path) } else { fs::read_to_string(path).expect("UTF-8") };
    entries.into_iter().map(read).collect()
}

/// The value of `const NAME: T = VALUE;`, as the page writes it.
fn constant(sources: &str, name: &str) -> Option<String> {
    let line = sources.lines().find(|line| line.contains(&format!("const {name}: ")))?;
    let value = line.split_once(" = ")?.1.trim_end_matches(';').replace('_', "");
    let inside = |start: &str| value.strip_prefix(start).and_then(|v| v.strip_suffix(')')?.parse::<u64>().ok());
    if let Some(ms) = inside("Duration::frommillis(").or_else(|| inside("Duration::fromsecs(").map(|s| s * 1000)) {
        return Some(format!("{ms} ms"));
    }
    number(&value)
}

#[test]
fn the_constants_are_those_of_the_sources() {
    let sources = sources(&root().join("src"));
    let told: Vec<_> = table("NUMBERS").into_iter().filter(|(name, _)| !name.starts_with(char::is_lowercase)).collect();
    assert!(told.len() > 20, "{told:?}");
    for (name, value) in told {
        assert_eq!(constant(&sources, &name).as_ref(), Some(&value), "{name}");
    }
}

#[test]
fn the_tables_have_the_lengths_of_the_header() {
    let offsets = table("DATAGRAMS");
    let ends = |offset: usize| offset + offsets[&offset.to_string()].parse::<usize>().expect("a length");
    assert_eq!((0, 4, 5, 6), (0, ends(0), ends(4), ends(5)));
    assert_eq!(
        (ends(6), ends(7), ends(8), ends(16), ends(48), ends(56)),
        (7, 8, HEADER_LEN, 48, 56, HEADER_LEN + SENDER_LEN)
    );
    assert_eq!(SIGNED_OVERHEAD, 128);
    assert_eq!(NUMBER_MAX, 1 << 48);
    let preamble = PREAMBLE.map(|byte| format!("{byte:02X}")).join(" ");
    assert!(manual().contains(&format!("begins with the 8 bytes {preamble}:")));
    let lengths = LENGTHS.map(|len| len.to_string()).join(", ");
    assert!(manual().contains(&format!("the least of {lengths} bytes")));
    assert!(manual().contains(&format!("at most {GREETING_MAX} bytes until")));
    assert_eq!(offsets["Ar L No - 64"], SIGNATURE_LEN.to_string());
    let magic = MAGIC.map(|byte| format!("{byte:02X}")).join(" ");
    assert!(manual().contains(&format!("begins with the four bytes {magic}.")));
}

#[test]
fn the_domains_and_the_tag_are_ours() {
    let manual = manual();
    for domain in [DATAGRAM_DOMAIN, ENTRY_DOMAIN, LETTER_DOMAIN, STREAM_DOMAIN] {
        let text = String::from_utf8_lossy(domain).replace('\0', "\\e0");
        assert!(manual.contains(&format!("the {} bytes\n.Ql {text}\n", domain.len())), "{text}");
    }
    let tag = open_group_tag(group()).map(|byte| format!("{byte:02X}")).join(" ");
    assert!(manual.contains(&format!("For the default group it is {tag}.")), "{tag}");
}

/// Each counter with what its declaration says of it, as one line.
fn counters() -> Vec<(String, String)> {
    let source = fs::read_to_string(root().join("src/stats.rs")).expect("UTF-8");
    let list = source.split("\ncounters! {\n").nth(1).and_then(|text| text.split("\n}").next()).expect("the list");
    let (mut counters, mut said) = (Vec::new(), Vec::new());
    for line in list.lines().map(str::trim) {
        match line.strip_prefix("/// ") {
            Some(text) => said.push(text),
            None => counters.push((line.trim_end_matches(',').to_owned(), std::mem::take(&mut said).join(" "))),
        }
    }
    counters
}

#[test]
fn each_counter_is_explained_and_none_besides() {
    let page = fs::read_to_string(root().join("man/udpnode.1")).expect("the page is there");
    let text = page.split(".Sh ").find(|text| text.starts_with("COUNTERS\n")).expect("the section is there");
    let list = text.split(".It Va ").skip(1).map(|item| item.split(".El\n").next().unwrap_or_default());
    let told: Vec<(String, String)> = list
        .filter_map(|item| item.split_once('\n'))
        .map(|(name, said)| (name.to_owned(), said.lines().collect::<Vec<_>>().join(" ")))
        .collect();
    let stats = Stats::default();
    let real: Vec<&str> = stats.iter().map(|(name, _)| name).collect();
    assert_eq!(told.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), real);
    assert_eq!(told, counters(), "the page says of each what its declaration says");
}

/// What a node casts when it says this.
fn said(text: &str) -> Vec<Vec<u8>> {
    let mut node = Node::new(crate::golden::ann(), config(), [1; 32], Time::ZERO);
    let address = "10.0.0.3:5003".parse().expect("an address");
    let (id, name, group) = (SegmentId(1), "eth0".into(), Some(group()));
    let ttls = Ttls::default();
    let (broadcast, listens) = (None, true);
    let segment =
        Segment { id, name, address, prefix_len: 24, relays: true, ttls, broadcast, group, deaf_to: 0, listens };
    let say = Command::Say { lines: vec![Line::new(text).expect("short")], wall: WallTime(0) };
    let mut sent = Vec::new();
    for input in [Input::Segment(SegmentChange::Up(segment)), Input::Command(say)] {
        node.handle_input(Time::ZERO + Duration::from_millis(1), input);
        let mut bytes = Vec::new();
        while let Some(output) = node.poll_output(&mut bytes) {
            if matches!(output, Output::Send { .. }) {
                sent.push(bytes.clone());
            }
        }
    }
    sent
}

#[test]
fn a_long_line_is_cut_as_the_page_says() {
    let told = manual();
    let max: usize =
        told.split("parts of at most ").nth(1).and_then(|t| t.split(' ').next()?.parse().ok()).expect("told");
    let mut lengths = Vec::new();
    for bytes in said(&"x".repeat(2 * max + 1)) {
        let read = Datagram::parse(&bytes).expect("ours");
        for raw in read.entries().unwrap_or_default() {
            let entry = parse_entry(raw).expect("ours").entry;
            let text: Text = decode(entry.body).expect("ours");
            lengths.push((text.lines[0].len(), text.part, text.parts, entry.first, entry.count));
        }
    }
    let parts = Some(3);
    let expected = [(max, Some(0), parts, 1, 0), (max, Some(1), parts, 1, 0), (1, Some(2), parts, 1, 1)];
    assert_eq!(lengths, expected);
}

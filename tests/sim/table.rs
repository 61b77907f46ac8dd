//! The table of figures: what a line costs and how long it takes, by loss and by size of the group.
//!
//! `cargo test --test sim table` compares what the simulator says with `tests/golden/loss.txt`, and
//! that with the section MEASURED of `man/udpnode.7`; `UPDATE_GOLDEN=1` before it writes both anew.
//! Time is virtual and the seed fixed: the same program gives the same figures on every machine.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use udpnode::rng::Rng;

use crate::check::all_met;
use crate::net::{Burst, Faults};
use crate::watch::Watch;
use crate::world::World;

/// The one seed of the table.
const SEED: u64 = 20_000;
/// How long a line may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

const LOSSES: [u8; 6] = [0, 1, 5, 10, 20, 30];
const SIZES: [usize; 4] = [2, 4, 16, 32];

const HEAD: &str = "\
Every datagram takes 0.1 to 1.1 ms, in whatever order that gives; one in
twenty comes twice.  Whoever speaks is chosen at random, line for line.
said     lines said, each to be shown by all others
lost     of what was to be shown, what was not within 10 s of the last line
twice    what was shown more than once
p50 ...  from saying to showing, in milliseconds, over all who show it
casts    multicasts and broadcasts of all nodes for each line, unicasts
         beside: everything sent from the first line until the last was
         shown everywhere, and so repeats, requests, repairs, confirmations,
         and all the hellos and comparisons that go on meanwhile
bursts   a link turns bad with one datagram of 100, good again with one of 5,
         and loses all while it is bad: 4.8 % in all (Gilbert and Elliott)
narrow   each node may send 1 Mbit/s; what would wait over 200 ms is lost
";

/// How a conversation goes.
#[derive(Clone, Copy)]
struct Talk {
    lines: u32,
    /// Between two lines.
    gap: Duration,
}

/// A hundred lines a second from all together.
const BUSY: Talk = Talk { lines: 300, gap: Duration::from_millis(10) };
/// A line each two seconds: each is the last for a while, and no later one tells that it is lacking.
const SPARSE: Talk = Talk { lines: 40, gap: Duration::from_secs(2) };

/// One row: what came of a conversation.
fn row(label: &str, nodes: usize, faults: Faults, talk: Talk) -> String {
    let mut world = World::of(nodes, SEED, faults);
    assert!(world.run_until(Duration::from_secs(60), all_met).is_some(), "{label}, {nodes} nodes: all meet");
    world.run_for(Duration::from_secs(3));
    world.watch = Some(Watch::of(nodes));
    let (casts, unicasts) = (world.casts, world.unicasts);
    let mut rng = Rng::new(SEED);
    for line in 0..talk.lines {
        world.say(rng.below(nodes as u64) as usize, &format!("line {line}"));
        world.run_for(talk.gap);
    }
    let owed = |world: &World| world.watch.as_ref().map_or(0, Watch::owed);
    world.run_until(PATIENCE, |world| owed(world) == 0);
    let each = |sent: u64| sent as f64 / f64::from(talk.lines);
    let (casts, unicasts) = (each(world.casts - casts), each(world.unicasts - unicasts));
    let watch = world.watch.take().expect("put there above");
    let faulty = watch.twice + watch.disordered + watch.wrong + watch.false_marks;
    assert_eq!(faulty, 0, "{label}, {nodes} nodes: {watch:?}");
    let millis = |time: Duration| time.as_micros() as f64 / 1000.0;
    format!(
        "{label:>6} {nodes:5} {:5} {:5} {:5} {:7.1} {:7.1} {:7.1} {casts:6.2} {unicasts:8.2}\n",
        talk.lines,
        watch.owed(),
        watch.twice,
        millis(watch.within(0.5)),
        millis(watch.within(0.99)),
        millis(watch.longest()),
    )
}

/// The network of the table at this loss.
fn rough(percent: u8) -> Faults {
    Faults::rough(f64::from(percent) / 100.0, 0.05, 1)
}

fn block(name: &str, talk: Talk) -> String {
    let mut text = format!("\n{name}\n  loss nodes  said  lost twice     p50     p99     max  casts unicasts\n");
    for percent in LOSSES {
        for nodes in SIZES {
            text += &row(&format!("{percent} %"), nodes, rough(percent), talk);
        }
    }
    let burst = Some(Burst { begins: 0.01, ends: 0.2 });
    text += &row("bursts", 16, Faults { burst, ..rough(0) }, talk);
    text += &row("narrow", 16, Faults { rate: Some(125_000), ..rough(0) }, talk);
    text
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Both texts, line for line where they differ.
fn differences(old: &str, new: &str) -> String {
    let (mut old, mut new, mut text) = (old.lines(), new.lines(), String::new());
    loop {
        match (old.next(), new.next()) {
            (None, None) => return text,
            (old, new) if old != new => {
                let line = |line: Option<&str>| line.unwrap_or("(no line)").to_owned();
                let _ = writeln!(text, "golden {}\n   now {}", line(old), line(new));
            }
            _ => {}
        }
    }
}

/// Where the table begins on the page, and what stands behind it.
const SECTION: (&str, &str) = (".Sh MEASURED\n", ".Ss Signing and sealing\n");

/// The page with this table in its section.
fn page_with(page: &str, table: &str) -> String {
    let (before, rest) = page.split_once(SECTION.0).expect("a section MEASURED");
    let (_, after) = rest.split_once(SECTION.1).expect("followed by other figures");
    let intro = "What the simulator of the sources measures, by tests/sim/table.rs.\n";
    let literal = format!(".Bd -literal\n{table}.Ed\n");
    format!("{before}{}{intro}{literal}{}{after}", SECTION.0, SECTION.1)
}

fn update(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
}

#[test]
fn the_table_of_figures_is_golden_and_in_the_manual() {
    let busy = block("busy: 100 lines a second from all together", BUSY);
    let sparse = block("sparse: a line each 2 s", SPARSE);
    let table = format!("{HEAD}{busy}{sparse}");
    let (golden, manual) = (root().join("tests/golden/loss.txt"), root().join("man/udpnode.7"));
    let page = fs::read_to_string(&manual).expect("the page is there");
    let expected = page_with(&page, &table);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update(&golden, &table);
        return update(&manual, &expected);
    }
    let kept = fs::read_to_string(&golden).unwrap_or_default();
    let differ = differences(&kept, &table);
    assert!(differ.is_empty(), "figures changed; UPDATE_GOLDEN=1 takes them as they are now:\n{differ}");
    let differ = differences(&page, &expected);
    assert!(differ.is_empty(), "man/udpnode.7 has other figures; UPDATE_GOLDEN=1 puts these there:\n{differ}");
}

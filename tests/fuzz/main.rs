//! A little fuzzing in every run of the tests: each target replays its corpus and a few thousand mutations of it.
//!
//! The seed is fixed, so a run fails for everybody or for nobody; `UDPNODE_SEED` gives another one, `FUZZ_INPUTS` more
//! inputs. `make fuzz` looks for new inputs with a coverage-guided engine: see `tests/fuzz/run.sh`.

#![allow(clippy::print_stderr, reason = "the input that fails is printed, and how much was tried")]

mod corpus;
mod mutate;
mod targets;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use udpnode::rng::Rng;

/// Mutations of each target; a slow machine tries fewer.
const INPUTS: usize = 3000;
const SPAN_MAX: Duration = Duration::from_secs(5);

/// So many are tried however slow it is.
const INPUTS_MIN: usize = 50;

/// Prints an input that was not survived, as a line for the corpus.
struct Suspect<'a>(&'a str, &'a [u8]);

impl Drop for Suspect<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("target {} does not survive, as a line of its corpus:\n{}", self.0, corpus::line(self.1));
        }
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn fuzz(name: &str) {
    let target = targets::ALL.iter().find(|target| target.name == name).expect("a target");
    let corpus = corpus::read(name);
    assert!(!corpus.is_empty(), "no corpus of {name}");
    let try_one = |input: &[u8]| {
        let suspect = Suspect(name, input);
        let things = (target.run)(input);
        drop(suspect);
        things
    };
    let mut things: u64 = corpus.iter().map(|input| try_one(input)).sum();
    let mut rng = Rng::new(number("UDPNODE_SEED", 1));
    let (began, wanted) = (Instant::now(), number("FUZZ_INPUTS", INPUTS as u64) as usize);
    let bounded = wanted == INPUTS;
    for tried in 0..wanted {
        if bounded && tried >= INPUTS_MIN && began.elapsed() > SPAN_MAX {
            break;
        }
        things += try_one(&mutate::mutated(&corpus, target.len_max, &mut rng));
    }
    eprintln!("{name}: {things} {}", target.things);
}

macro_rules! targets {
    ($($test:ident $name:literal)+) => {
        $(#[test]
        fn $test() {
            fuzz($name);
        })+

        #[test]
        fn every_target_is_run() {
            let run = [$($name),+];
            assert!(targets::ALL.iter().map(|target| target.name).eq(run));
        }
    };
}

targets! {
    any_datagram_is_survived "datagram"
    any_member_is_survived_by_an_open_group "group"
    any_member_is_survived_by_a_keyed_group "keyed"
    anything_can_be_typed "typed"
    any_file_can_stand_in_the_state_directory "files"
    no_text_of_a_peer_does_more_to_a_terminal_than_stand_there "screen"
    any_bytes_can_come_by_a_stream "streams"
}

/// The corpora are worth something: those who keep to no rules are met, believed and found out.
#[test]
fn hostile_members_get_into_the_groups() {
    for (name, keyed) in [("group", false), ("keyed", true)] {
        let came: BTreeSet<_> = corpus::read(name).iter().flat_map(|input| targets::played(input, keyed).1).collect();
        let all = BTreeSet::from(["met", "heard", "whispered", "found out"]);
        assert_eq!(came, all, "what comes of the corpus of {name}");
    }
}

#[test]
fn bodies_of_targets_are_those_that_nodes_read() {
    for kind in targets::KINDS {
        let told = targets::right_body(kind);
        assert!(told.is_some(), "kind {kind} is not read: see what has been added to its body");
    }
}

#[test]
fn corpora_are_small() {
    let lens: Vec<usize> =
        targets::ALL.iter().map(|target| corpus::read(target.name).iter().map(Vec::len).sum()).collect();
    assert!(lens.iter().sum::<usize>() < 150_000, "{lens:?} bytes");
}

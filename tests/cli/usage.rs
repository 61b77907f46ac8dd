//! Help, version, and every way to get the command line wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::driver::{Net, harmless};

/// The options that work now. Later ones are added when they work, not before.
const OPTIONS: &[&str] = &[
    "--address",
    "--cast",
    "--commands",
    "--dest",
    "--ephemeral",
    "--group",
    "--help",
    "--history",
    "--interface",
    "--json",
    "--key-file",
    "--leave-word",
    "--name",
    "--no-relay",
    "--peer",
    "--plain",
    "--state-dir",
    "--stay",
    "--tcp",
    "--ttl",
    "--version",
    "--wait",
];

const SHORT: &[(&str, &str)] = &[
    ("-n", "--name"),
    ("-i", "--interface"),
    ("-a", "--address"),
    ("-g", "--group"),
    ("-t", "--ttl"),
    ("-c", "--cast"),
    ("-p", "--peer"),
    ("-k", "--key-file"),
    ("-d", "--dest"),
    ("-j", "--json"),
    ("-w", "--wait"),
    ("-V", "--version"),
    ("-h", "--help"),
];

/// Every `--word` in a text, without the dashes of pictures and sentences.
fn long_options(text: &str) -> BTreeSet<String> {
    let text = text.replace("\\-", "-");
    let is_option = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = text.split(|c| !is_option(c));
    words
        .filter(|w| w.strip_prefix("--").is_some_and(|w| w.starts_with(|c: char| c.is_ascii_lowercase())))
        .map(|w| w.trim_end_matches('-').to_string())
        .collect()
}

fn help(option: &str) -> String {
    printed(&[option])
}

fn printed(args: &[&str]) -> String {
    let mut node = Net::new().bare(args).stdin(Stdio::null()).start();
    node.exits(0);
    assert_eq!(node.errors(), "");
    String::from_utf8(node.output()).expect("UTF-8")
}

#[test]
fn help_is_on_standard_output_and_names_every_option_that_works() {
    let text = help("--help");
    assert_eq!(text, help("-h"));
    harmless(text.as_bytes());
    let wanted: BTreeSet<String> = OPTIONS.iter().map(ToString::to_string).collect();
    assert_eq!(long_options(&text), wanted, "{text}");
    for (short, long) in SHORT {
        let line = text.lines().find(|l| l.contains(long) && l.trim_start().starts_with('-'));
        let line = line.unwrap_or_else(|| panic!("{long} has a line of its own:\n{text}"));
        assert!(line.contains(short), "{long} has {short}:\n{text}");
    }
}

#[test]
fn the_manual_and_help_name_the_same_options() {
    // In mdoc an option is `.It Fl n , Fl Fl name Ar NAME`.
    let manual = section("OPTIONS");
    let items = manual.lines().filter_map(|line| line.strip_prefix(".It Fl "));
    let told: BTreeSet<(Option<String>, String)> = items
        .map(|item| {
            let words: Vec<&str> = item.split(' ').collect();
            match words.as_slice() {
                [short, ",", "Fl", "Fl", long, ..] => (Some(format!("-{short}")), format!("--{long}")),
                ["Fl", long, ..] => (None, format!("--{long}")),
                _ => panic!("{item}"),
            }
        })
        .collect();
    let short = |long: &str| SHORT.iter().find(|(_, of)| *of == long).map(|(short, _)| (*short).to_owned());
    let real = OPTIONS.iter().map(|long| (short(long), (*long).to_owned())).collect();
    assert_eq!(told, real);
}

/// One section of udpnode(1).
fn section(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/udpnode.1");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let found = page.split("\n.Sh ").find(|text| text.lines().next() == Some(name));
    found.unwrap_or_else(|| panic!("{name} is a section")).to_owned()
}

/// What the manual says may stand behind each subcommand: `doctor` and `[-j | --dot] [NAME]`.
fn synopsis() -> BTreeMap<String, String> {
    let text = section("SYNOPSIS").replace("\\-", "-");
    let commands = text.split(".Nm\n").filter_map(|usage| {
        let usage = usage.strip_prefix(".Op Ar options\n").unwrap_or(usage);
        let (name, rest) = usage.strip_prefix(".Cm ")?.split_once('\n')?;
        let rest = rest.lines().map(|line| {
            let plain = line.replace("Fl Fl ", "--").replace("Fl ", "-").replace("Cm ", "").replace("Ar ", "");
            match plain.strip_prefix(".Op ") {
                Some(optional) => format!("[{optional}]"),
                None => plain.trim_start_matches('.').to_owned(),
            }
        });
        Some((name.to_owned(), rest.collect::<Vec<_>>().join(" ")))
    });
    commands.collect()
}

#[test]
fn each_subcommand_has_a_help_of_its_own_that_the_manual_knows() {
    let general = help("--help");
    let listed = general.split("Commands:").nth(1).expect("a list").lines().skip(1);
    let listed: BTreeSet<String> = listed.map_while(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    let told = synopsis();
    assert_eq!(listed, told.keys().cloned().collect(), "{general}");
    for (name, usage) in told {
        let text = printed(&[&name, "--help"]);
        harmless(text.as_bytes());
        assert_eq!(text, printed(&["--json", "-n", "ann", &name, "-h"]), "wherever it stands");
        if name == "completions" {
            // It is the one argument that must be there.
            assert!(usage == "bash | zsh | fish" && text.contains("SHELL") && text.contains("bash, zsh or fish"));
        } else {
            assert_eq!(text.lines().next(), Some(format!("Usage: udpnode {name} {usage}").as_str()));
        }
        assert!(text.contains("udpnode --help lists them") && !text.contains("--history"), "{text}");
        for option in long_options(&usage) {
            let described = text.lines().any(|line| line.trim_start().split(' ').any(|word| word == option));
            assert!(described, "{option}: {text}");
        }
    }
    assert_eq!(printed(&["--help", "who"]), general, "what stands before a subcommand is about all");
    assert_eq!(printed(&["-n", "who", "--help"]), general, "a value is no subcommand");
}

#[test]
fn version_is_on_standard_output_with_the_protocol_version() {
    for option in ["--version", "-V"] {
        let mut node = Net::new().bare(&[option]).stdin(Stdio::null()).start();
        node.exits(0);
        let text = String::from_utf8(node.output()).expect("UTF-8");
        assert!(text.starts_with(&format!("udpnode {}", env!("CARGO_PKG_VERSION"))), "{text}");
        assert!(text.contains("protocol"), "{text}");
    }
}

#[test]
fn help_wins_anywhere_on_the_command_line() {
    let mut node = Net::new().bare(&["--json", "-n", "ann", "--help"]).stdin(Stdio::null()).start();
    node.exits(0);
    assert!(String::from_utf8_lossy(&node.output()).contains("--name"));
}

/// A wrong command line: one clear line on standard error, nothing on standard output, exit 2.
fn refused(args: &[&str], names: &str) {
    let net = Net::new();
    let mut node = net.bare(&["--ephemeral"]).args(args).stdin(Stdio::null()).start();
    let code = node.exit();
    assert_eq!(code, 2, "{args:?}{}", node.story());
    assert_eq!(node.output(), b"", "{args:?}");
    let errors = node.errors();
    harmless(errors.as_bytes());
    assert!(errors.contains(names), "{args:?}: says {names:?}: {errors}");
    assert_eq!(errors.trim_end().lines().count(), 1, "{args:?}: one line: {errors}");
}

#[test]
fn an_unknown_option_is_refused() {
    refused(&["--nonsense"], "--nonsense");
    refused(&["-Z"], "-Z");
}

#[test]
fn a_word_that_is_no_subcommand_is_refused() {
    refused(&["dance"], "dance");
}

#[test]
fn a_blank_name_is_not_everybody() {
    for blank in ["", " ", "\u{200B}"] {
        refused(&["doctor", blank], "NAME");
        refused(&["doctor", "--dot", blank], "NAME");
    }
    refused(&["keygen", ""], "FILE");
}

#[test]
fn what_bash_completes_is_not_carried_out() {
    let net = Net::new();
    let (script, names) = (net.directory(), net.directory());
    for name in ["eth0", "$(>carried-out)", "`id`", "a&b"] {
        std::fs::create_dir(names.join(name)).expect("a directory");
    }
    let text = printed(&["completions", "bash"]);
    let file = script.join("udpnode.bash");
    assert!(text.contains("/sys/class/net"), "{text}");
    std::fs::write(&file, text.replace("/sys/class/net", names.to_str().expect("UTF-8"))).expect("a file");
    let line = r#"source "$0"; COMP_WORDS=(udpnode -i "$1"); COMP_CWORD=2; _udpnode; printf '%s\n' "${COMPREPLY[@]}""#;
    let completed = |word: &str| {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", line, file.to_str().expect("UTF-8"), word]).current_dir(&script);
        let output = bash.output().expect("bash");
        let mut words: Vec<_> = String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect();
        words.sort();
        words
    };
    assert_eq!(completed(""), ["\\$\\(\\>carried-out\\)", "\\`id\\`", "a\\&b", "eth0"]);
    assert_eq!(completed("e"), ["eth0"]);
    assert_eq!(std::fs::read_dir(&script).expect("a directory").count(), 1, "nothing was carried out");
}

#[test]
fn a_missing_value_is_refused() {
    refused(&["--name"], "--name");
    refused(&["--wait"], "--wait");
}

#[test]
fn a_single_option_given_twice_is_refused() {
    refused(&["-n", "ann", "-n", "bob"], "-n");
    refused(&["--ttl", "1", "--ttl", "2"], "ttl");
    refused(&["-g", "239.1.1.1", "-g", "239.1.1.2"], "-g");
    refused(&["-w", "1", "--wait", "2"], "wait");
}

#[test]
fn a_group_that_is_no_multicast_address_is_refused() {
    refused(&["--group", "10.0.0.1"], "10.0.0.1");
    refused(&["--group", "here"], "here");
    refused(&["--group", "239.1.1.1:0"], "239.1.1.1:0");
    refused(&["--group", "239.1.1.1:65536"], "239.1.1.1:65536");
}

#[test]
fn a_ttl_out_of_range_is_refused() {
    for ttl in ["256", "-1", "x", ""] {
        refused(&["--ttl", ttl], "ttl");
    }
}

#[test]
fn an_unknown_cast_is_refused_with_the_choices() {
    refused(&["--cast", "shout"], "auto, multicast, broadcast, unicast");
}

#[test]
fn an_address_that_is_none_is_refused() {
    refused(&["--address", "300.1.1.1"], "300.1.1.1");
    refused(&["--peer", "nobody:x"], "nobody:x");
}

#[test]
fn what_plain_mode_does_not_know_is_refused() {
    let senseless = [
        &["--tcp"][..],
        &["--peer", "127.0.0.9"],
        &["--no-relay"],
        &["--history", "5"],
        &["--state-dir", "x"],
        &["--key-file", "x"],
        &["--commands"],
    ];
    let mut told = BTreeSet::new();
    for option in senseless {
        refused(&[&["--plain"], option].concat(), &format!("'{}' means nothing with --plain", option[0]));
        told.insert(option[0].to_owned());
    }
    let manual = section("PLAIN MODE").replace("Fl Fl ", "--");
    let (before, _) = manual.split_once("mean nothing in plain mode and are refused").expect("told");
    let refused_there = before.rsplit(".Pp").next().unwrap_or_default();
    assert_eq!(long_options(refused_there), told);
    refused(&["--plain", "--cast", "unicast"], "--dest");
    refused(&["--plain", "--dest", "127.0.0.9"], "--cast unicast");
    refused(&["--dest", "127.0.0.9"], "--plain");
    refused(&["--leave-word", "bye"], "--plain");
}

#[test]
fn a_time_or_a_number_that_is_none_is_refused() {
    refused(&["--wait", "soon"], "wait");
    refused(&["--wait", "-1"], "wait");
    refused(&["--history", "-1"], "history");
    refused(&["--history", "x"], "history");
}

#[test]
fn a_name_that_does_not_fit_is_refused() {
    for name in ["a b", "", "a:b", "a~b", "-x", "/x", "abcdefghijklmnopqrstuvwxyz", "\x1b[31mred"] {
        refused(&["--name", name], "name");
    }
}

#[test]
fn two_places_for_the_state_are_refused() {
    let net = Net::new();
    let dir = net.directory();
    let state = dir.to_str().expect("UTF-8");
    let mut node = net.node("ann", 2).args(&["--state-dir", state]).stdin(Stdio::null()).start();
    let code = node.exit();
    assert_eq!(code, 2, "{}", node.story());
    assert!(node.errors().contains("--state-dir and --ephemeral exclude each other"), "{}", node.errors());
    assert_eq!(std::fs::read_dir(&dir).expect("a directory").count(), 0, "nothing is kept");
}

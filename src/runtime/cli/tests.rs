//! What is understood, what is refused, and how it is said.

use super::*;

fn read(args: &[&str]) -> Result<Asked, UsageError> {
    parse(args.iter().map(OsString::from))
}

fn settings(args: &[&str]) -> Settings {
    match read(args) {
        Ok(Asked::Run(settings)) => *settings,
        other => panic!("{args:?}: {other:?}"),
    }
}

fn refused(args: &[&str]) -> String {
    let text = read(args).expect_err("refused").to_string();
    assert!(!text.contains('\n'), "one line: {text:?}");
    text
}

#[test]
fn nothing_asked_for_means_the_defaults() {
    let s = settings(&[]);
    assert_eq!(s.group.to_string(), "239.192.7.7:5007");
    assert_eq!((s.ttl, s.cast, s.keep.clone()), (2, CastChoice::Auto, Keep::Usual));
    let config = s.config(Nick::from_any("ann"), true).expect("valid");
    assert_eq!((config.wait, config.history, config.piped), (Duration::from_secs(5), 50, true));
    assert!(config.relay);
}

#[test]
fn relaying_can_be_turned_off() {
    let config = settings(&["--no-relay"]).config(Nick::from_any("ann"), true).expect("valid");
    assert!(!config.relay);
    assert!(refused(&["--no-relay", "--no-relay"]).contains("twice"));
}

#[test]
fn long_short_and_joined_options_mean_the_same() {
    let long = settings(&["--name", "ann", "--ttl", "0", "--json", "--wait", "0.5"]);
    assert_eq!(long, settings(&["-n", "ann", "-t", "0", "-j", "-w", "0.5"]));
    assert_eq!(long, settings(&["--name=ann", "--ttl=0", "-j", "--wait=0.5"]));
    assert_eq!(long.wait, Some(Duration::from_millis(500)));
}

#[test]
fn the_port_rule_holds_everywhere() {
    let s = settings(&["-g", "224.1.1.1", "-p", "10.0.0.4", "-p", "10.0.0.9:7", "-a", "127.0.0.2"]);
    assert_eq!(s.group.to_string(), "224.1.1.1:5001");
    assert_eq!(s.peers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.4:5004", "10.0.0.9:7"]);
    assert_eq!(s.address, "127.0.0.2".parse().ok());
    let s = settings(&["-g", "ff05::7:7", "-p", "fe80::4%lo", "-p", "[fe80::9%1]:7", "-a", "[fe80::3%lo]:9"]);
    assert_eq!(s.config(Nick::from_any("a"), true).map(|c| c.group.to_string()).as_deref(), Ok("239.192.7.7:5007"));
    assert_eq!(s.peers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["[fe80::4%1]:5004", "[fe80::9%1]:7"]);
    assert_eq!(s.address, "[fe80::3%1]:9".parse().ok());
}

#[test]
fn what_may_be_repeated_and_what_may_not() {
    assert_eq!(settings(&["-i", "eth0", "--interface", "eth1"]).interfaces, ["eth0", "eth1"]);
    for twice in [["--ttl", "1", "-t", "2"], ["-g", "224.0.0.5", "-g", "224.0.0.5"]] {
        assert!(refused(&twice).contains("duplicate"), "{twice:?}");
    }
    assert!(refused(&["-j", "--json"]).contains("twice"));
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for args in [["-t", "256"], ["-t", "-1"], ["-t", "x"]] {
        assert!(refused(&args).contains("from 0 to 255"), "{args:?}");
    }
    for args in [["-w", "-1"], ["-w", "nan"], ["-w", "inf"], ["-w", "1e9"], ["-w", ""]] {
        assert!(refused(&args).contains("seconds"), "{args:?}");
    }
    assert!(refused(&["-g", "10.0.0.1"]).contains("224.0.0.0"));
    assert!(refused(&["-g", "fe80::1"]).contains("begins with ff"));
    assert!(refused(&["-p", "::ffff:10.0.0.4"]).contains("one machine"));
    assert!(refused(&["-a", "fe80::3%no such"]).contains("there is no interface 'no such'"));
    assert!(refused(&["-c", "x"]).contains("auto, multicast"));
    assert!(refused(&["-a", "224.0.0.1"]).contains("one machine"));
    assert!(refused(&["-p", "bob"].repeat(65)).contains("at most 64"));
    assert!(refused(&["-p", "bob:x"]).contains("is not an address"));
    assert!(refused(&["-n", "a b"]).contains("one word"));
    assert!(refused(&["-n", ""]).contains("at least one"));
    assert!(refused(&["--state-dir", "x", "--ephemeral"]).contains("exclude"));
    let many = settings(&["--history", "10241"]);
    assert!(many.config(Nick::from_any("a"), false).is_err());
}

#[test]
fn plain_mode_has_options_of_its_own_and_lacks_others() {
    let plain = |args: &[&str]| {
        let s = settings(&[&["--plain"], args].concat());
        s.plain_config(&Environment { login: Some("log".into()), ..Environment::default() }).expect("valid")
    };
    assert_eq!(plain(&[]).name, Nick::new("log").ok());
    assert_eq!(plain(&["-n", ""]).name, None);
    let to = plain(&["-n", "ann", "-c", "unicast", "-d", "10.0.0.4", "--leave-word", "Adiós"]);
    assert_eq!(
        (to.dest.map(|dest| dest.to_string()).as_deref(), to.name),
        (Some("10.0.0.4:5004"), Nick::new("ann").ok())
    );
    assert_eq!(to.leave_word.map(|word| word.to_string()).as_deref(), Some("Adiós"));
    let senseless: [&[&str]; 5] =
        [&["--tcp"], &["-p", "10.0.0.4"], &["--history", "1"], &["--state-dir", "x"], &["--commands"]];
    for args in senseless {
        assert!(refused(&[&["--plain"], args].concat()).contains("means nothing with --plain"), "{args:?}");
    }
    assert!(refused(&["--plain", "-c", "unicast"]).contains("needs --dest"));
    assert!(refused(&["--plain", "-d", "10.0.0.4"]).contains("--cast unicast"));
    assert!(refused(&["--plain", "--leave-word", ""]).contains("needs a word"));
    assert!(refused(&["-d", "10.0.0.4"]).contains("is for --plain"));
    assert!(refused(&["--leave-word", "x"]).contains("is for --plain"));
}

#[test]
fn help_is_asked_for_by_its_options_only() {
    assert!(refused(&["help"]).contains("help"));
    assert_eq!(settings(&["-n", "help"]).name, Nick::new("help").ok());
    for args in [&["-h"][..], &["--help"], &["--json", "-h", "-t", "900"], &["--bogus", "--help"]] {
        assert!(matches!(read(args), Ok(Asked::Print(text)) if text.starts_with("Usage: udpnode [OPTIONS]")));
    }
    assert!(refused(&["--bogus"]).contains("--bogus"));
    assert!(refused(&["send", "hi"]).contains("send"));
    assert!(refused(&["-n"]).contains("No value"));
}

#[test]
fn subcommands_stand_behind_the_options_and_are_checked() {
    for shell in ["bash", "zsh", "fish"] {
        let asked = read(&["-n", "completions", "--wait=1", "completions", shell]);
        assert!(matches!(asked, Ok(Asked::Print(text)) if text.contains("--history") || text.contains("-l history")));
    }
    assert!(refused(&["completions", "tcsh"]).contains("bash, zsh or fish"));
    assert!(refused(&["completions"]).contains("SHELL"));
    assert!(refused(&["completions", "bash", "zsh"]).contains("zsh"));
    assert!(refused(&["--state-dir", "x", "--ephemeral", "completions", "bash"]).contains("exclude"));
}

#[test]
fn the_version_names_the_protocol() {
    assert_eq!(read(&["-V"]), Ok(Asked::Print("udpnode 0.1.0 (protocol 1)\n".into())));
}

#[test]
fn the_help_names_every_option_and_fits_a_terminal() {
    let text = help(None);
    for (short, long) in with_value() {
        assert!(text.contains(&long) && text.contains(&short), "{long}");
    }
    for switch in [
        "--tcp",
        "--no-relay",
        "--plain",
        "--ephemeral",
        "--json",
        "--stay",
        "--commands",
        "--version",
        "--help",
        "Exit status",
    ] {
        assert!(text.contains(switch), "{switch}");
    }
    let widest = text.lines().max_by_key(|line| line.len()).unwrap_or_default();
    assert!(widest.len() <= 90, "{widest}");
}

#[test]
fn refusals_are_safe_to_print() {
    assert!(!refused(&["-n", "\x1b[2J"]).contains('\x1b'));
    assert!(!refused(&["--x\x1b[2J\n"]).contains('\x1b'));
}

#[test]
fn the_name_comes_from_the_person_then_from_the_machine() {
    let mut environment =
        Environment { name: Some("envy".into()), login: Some("log in".into()), host: Some("box.example.org".into()) };
    let nick = |args: &[&str], e: &Environment| settings(args).nick(e).map(|n| n.to_string());
    assert_eq!(nick(&["-n", "ann"], &environment).as_deref(), Ok("ann"));
    assert_eq!(nick(&[], &environment).as_deref(), Ok("envy"));
    environment.name = Some("a/b".into());
    assert!(nick(&[], &environment).is_err());
    environment.name = None;
    assert_eq!(nick(&[], &environment).as_deref(), Ok("login"));
    environment.login = None;
    assert_eq!(nick(&[], &environment).as_deref(), Ok("box"));
    environment.host = None;
    assert_eq!(nick(&[], &environment).as_deref(), Ok("nameless"));
}

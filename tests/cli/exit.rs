//! How it ends: 0, 1, 2, 3, 4, 130, 143, 129, and by a closed pipe.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::driver::{BIN, Net};

#[test]
fn done_is_0_when_everybody_online_confirmed() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    let mut cat = net.listener("cat", 4);
    let mut ann = net.node("ann", 2).args(&["--json"]).feed(b"hi\n");
    ann.exits(0);
    for node in [&mut bob, &mut cat] {
        node.message("hi");
        node.event_where("left", |v| v["peer"] == "ann");
    }
    let delivered = ann.events("delivered");
    let last = delivered.last().expect("delivered is told");
    assert_eq!((&last["seq"], &last["confirmed"], &last["online"]), (&1.into(), &2.into(), &2.into()));
}

#[test]
fn empty_input_is_0_at_once() {
    let net = Net::new();
    let start = Instant::now();
    net.node("ann", 2).feed(b"").exits(0);
    assert!(start.elapsed() < Duration::from_secs(3), "at once, not after {:?}", start.elapsed());
}

#[test]
fn dev_null_is_0_at_once() {
    let net = Net::new();
    let start = Instant::now();
    net.node("ann", 2).args(&["--wait", "10"]).stdin(Stdio::null()).start().exits(0);
    assert!(start.elapsed() < Duration::from_secs(3), "at once, not after {:?}", start.elapsed());
}

#[test]
fn nobody_there_is_3_within_the_wait() {
    let net = Net::new();
    let start = Instant::now();
    let mut ann = net.node("ann", 2).args(&["--wait", "1"]).feed(b"hi\n");
    ann.exits(3);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(900), "waited {took:?}");
    assert!(took < Duration::from_secs(4), "waited {took:?}");
    assert_ne!(ann.errors(), "", "says why");
}

#[test]
fn only_some_confirmed_is_4() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    let mut cat = net.listener("cat", 4);
    let mut ann = net.node("ann", 2).args(&["--json", "--wait", "2"]).start();
    for peer in ["bob", "cat"] {
        ann.joined(peer);
    }
    bob.joined("ann");
    cat.joined("ann");
    cat.signal(Signal::SIGSTOP);
    ann.say("hi");
    ann.end_input();
    ann.exits(4);
    cat.signal(Signal::SIGCONT);
    bob.message("hi");
    assert_ne!(ann.errors(), "", "says who or how many");
}

#[test]
fn signals_end_it_after_saying_bye() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let net = Net::new();
        let mut bob = net.listener("bob", 3);
        let mut ann = net.listener("ann", 2);
        bob.joined("ann");
        ann.signal(signal);
        ann.exits(code);
        bob.event_where("left", |v| v["peer"] == "ann");
        assert_eq!(ann.errors(), "", "{signal}: quietly");
    }
}

#[test]
fn a_closed_output_pipe_is_0_and_quiet() {
    let net = Net::new();
    let mut ann = net.listener("ann", 2);
    let mut bob = net.node("bob", 3).args(&["--json"]).start();
    bob.joined("ann");
    ann.joined("bob");
    // Who reads for us notices at the next line.
    ann.close_output();
    bob.say("first");
    bob.say("second");
    bob.event_where("left", |v| v["peer"] == "ann");
    ann.exits(0);
    assert_eq!(ann.errors(), "");
}

#[test]
fn an_explicit_port_that_is_taken_is_1_and_names_the_holder() {
    let net = Net::new();
    let ann = net.listener("ann", 2);
    let taken = format!("{}:5002", net.address(2));
    let mut bob = net
        .bare(&["-n", "bob", "-a", &taken, "-g", &net.group(), "--ephemeral"])
        .stdin(Stdio::null())
        .args(&["--stay"])
        .start();
    bob.exits(1);
    let errors = bob.errors();
    assert!(errors.contains("5002"), "{errors}");
    assert!(errors.contains("udpnode") && errors.contains(&ann.pid().to_string()), "names the holder: {errors}");
}

#[test]
fn no_such_interface_fails_and_names_it() {
    let net = Net::new();
    let mut ann = net.bare(&["-n", "ann", "-i", "nosuch0", "--ephemeral", "--stay"]).stdin(Stdio::null()).start();
    ann.exits(1);
    assert!(ann.errors().contains("nosuch0"), "{}", ann.errors());
}

#[test]
fn an_address_of_somebody_else_fails_and_names_it() {
    let net = Net::new();
    let args = ["-n", "ann", "-a", "192.0.2.77", "-g", &net.group(), "--ephemeral", "--stay"];
    let mut ann = net.bare(&args).stdin(Stdio::null()).start();
    ann.exits(1);
    assert!(ann.errors().contains("192.0.2.77"), "{}", ann.errors());
}

/// Runs a line of shell with the program as `$0`, this test's address and group as `$1` and `$2`.
fn shell(net: &Net, line: &str) -> (Option<i32>, String) {
    let mut sh = Command::new("timeout");
    sh.args(["15", "sh", "-c", line, BIN, &net.address(2), &net.group()]);
    let out = sh.stdin(Stdio::null()).output().expect("sh and timeout");
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn a_full_disk_is_1_with_the_reason() {
    let (code, errors) = shell(&Net::new(), "exec \"$0\" -n ann --ephemeral --json --stay -a $1 -g $2 >/dev/full");
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("space") && !errors.contains("panicked"), "{errors}");
    let node = "-n ann --ephemeral -w 0.3 -a $1 -g $2 who";
    for what in [node, "--help", "--version", "keygen", "completions bash"] {
        let (code, errors) = shell(&Net::new(), &format!("exec \"$0\" {what} >/dev/full"));
        assert_eq!((code, errors.contains("cannot write standard output")), (Some(1), true), "{what}: {errors}");
    }
}

#[test]
fn who_has_seen_enough_of_what_is_printed_ends_it_with_0() {
    for what in [&["--help"][..], &["keygen"], &["completions", "zsh"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let out = Command::new(BIN).args(what).stdout(writer).output().expect("runs");
        assert_eq!((out.status.code(), out.stderr.len()), (Some(0), 0), "{what:?}");
    }
}

#[test]
fn closed_outputs_are_survived() {
    for closed in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        let net = Net::new();
        let (code, errors) = shell(&net, &format!("exec \"$0\" -n ann --ephemeral --json -a $1 -g $2 {closed}"));
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{closed}");
    }
}

#[test]
fn who_was_stopped_while_it_waited_hears_who_came_meanwhile() {
    let net = Net::new();
    let mut ann = net.node("ann", 2).args(&["--json", "--wait", "2"]).feed(b"are you there?\n");
    ann.event("ready");
    ann.signal(Signal::SIGSTOP);
    let mut bob = net.listener("bob", 3);
    // Longer than she waits for somebody.
    std::thread::park_timeout(Duration::from_secs(4));
    ann.signal(Signal::SIGCONT);
    bob.message("are you there?");
    ann.exits(0);
}

/// How bob ends who is told more than a pipe holds, and leaves; then he is sent this signal, and all is read.
fn told_while_printing(signal: Signal) -> (Option<i32>, String) {
    let net = Net::new();
    let mut cat = net.listener("cat", 4);
    let mut bob = Command::new(BIN);
    let at = net.address(3);
    bob.args(["-n", "bob", "-a", &at, "-g", &net.group(), "--ephemeral", "--stay", "--wait", "10"]);
    let mut bob = bob.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    cat.joined("bob");
    net.node("ann", 2).feed(("y".repeat(40_000) + "\n").repeat(3).as_bytes()).exits(0);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(bob.id()).expect("a pid"));
    let tell = |signal| nix::sys::signal::kill(pid, signal).expect("it runs");
    tell(Signal::SIGTERM);
    cat.event_where("left", |v| v["peer"] == "bob");
    // Longer than he goes on after his last word.
    std::thread::park_timeout(Duration::from_millis(500));
    tell(signal);
    std::thread::park_timeout(Duration::from_millis(200));
    let mut text = String::new();
    bob.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    (bob.wait().expect("it ends").code(), text)
}

#[test]
fn a_window_that_changes_at_the_end_costs_nothing() {
    for signal in [Signal::SIGWINCH, Signal::SIGCONT] {
        let (code, text) = told_while_printing(signal);
        assert_eq!((code, text.matches(": yyy").count()), (Some(143), 3), "{signal}");
    }
}

#[test]
fn a_signal_while_the_last_is_printed_ends_it_at_once_and_makes_the_status() {
    let (code, text) = told_while_printing(Signal::SIGINT);
    assert!(text.len() < 120_000, "it was cut off");
    assert_eq!(code, Some(130));
}

/// Bob is told more than a pipe holds, and leaves; whoever reads for him stops for `pause` before
/// each portion. What was read, and what bob complained of.
fn read_slowly(wait: &str, pause: Duration, portions: usize) -> (String, String) {
    let net = Net::new();
    let mut bob = Command::new(BIN);
    let at = net.address(3);
    bob.args(["-n", "bob", "-a", &at, "-g", &net.group(), "--ephemeral", "--stay", "--wait", wait]);
    let mut bob = bob.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut ann = net.node("ann", 2).feed(("y".repeat(40_000) + "\n").repeat(3).as_bytes());
    ann.exits(0);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(bob.id()).expect("a pid"));
    nix::sys::signal::kill(pid, Signal::SIGTERM).expect("it runs");
    let mut out = bob.stdout.take().expect("piped");
    let mut read = vec![0; 200];
    let mut text = Vec::new();
    for _ in 0..portions {
        std::thread::park_timeout(pause);
        let len = out.read(&mut read).expect("readable");
        text.extend_from_slice(&read[..len]);
    }
    if portions == 0 {
        bob.wait().expect("it ends");
    }
    out.read_to_end(&mut text).expect("readable");
    assert_eq!(bob.wait().expect("it ends").code(), Some(143));
    let mut errors = String::new();
    bob.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
    (String::from_utf8(text).expect("UTF-8"), errors)
}

#[test]
fn at_the_end_a_reader_that_pauses_for_less_than_the_wait_gets_everything() {
    let (text, errors) = read_slowly("10", Duration::from_secs(3), 1);
    assert_eq!((text.matches(": yyy").count(), errors.as_str()), (3, ""));
}

#[test]
fn what_nobody_reads_at_the_end_is_told() {
    let (text, errors) = read_slowly("1", Duration::ZERO, 0);
    assert!(text.len() < 120_000, "it was cut off");
    assert!(errors.contains("lines are lost"), "{errors}");
}

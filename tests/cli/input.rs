//! Standard input that is not a terminal, in every form it comes in.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;
use nix::unistd::write;

use crate::driver::{BIN, Net, Node};

/// What bob and the sender tell when ann is fed these bytes through a pipe.
fn heard(input: &[u8], args: &[&str]) -> (Vec<String>, Node) {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    let mut ann = net.node("ann", 2).args(args).feed(input);
    ann.exits(0);
    bob.event_where("left", |v| v["peer"] == "ann");
    (bob.texts(), ann)
}

#[test]
fn each_line_of_a_pipe_is_a_message() {
    assert_eq!(heard(b"one\ntwo\nthree\n", &[]).0, ["one", "two", "three"]);
}

#[test]
fn a_regular_file_is_read_to_its_end() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    net.node("ann", 2).file(&net, b"one\ntwo\n").start().exits(0);
    bob.event_where("left", |v| v["peer"] == "ann");
    assert_eq!(bob.texts(), ["one", "two"]);
}

#[test]
fn blank_lines_are_messages() {
    assert_eq!(heard(b"a\n\n\nb\n", &[]).0, ["a", "", "", "b"]);
}

#[test]
fn a_return_before_the_line_end_is_dropped() {
    assert_eq!(heard(b"dos\r\nunix\n\r\n", &[]).0, ["dos", "unix", ""]);
}

#[test]
fn a_last_line_without_a_line_end_is_sent() {
    assert_eq!(heard(b"a\nlast", &[]).0, ["a", "last"]);
}

#[test]
fn slashes_are_text() {
    let lines: &[u8] = b"/who\n/quit\n//x\nhelp\n/unknown\n!exit\n";
    assert_eq!(heard(lines, &[]).0, ["/who", "/quit", "//x", "help", "/unknown", "!exit"]);
}

#[test]
fn with_commands_lines_may_be_commands() {
    let (texts, ann) = heard(b"/who\n//x\nhelp\n", &["--commands", "--json"]);
    assert_eq!(texts, ["/x", "help"]);
    assert_eq!(ann.events("who").len(), 1, "{}", ann.story());
}

#[test]
fn with_commands_what_is_asked_is_answered_before_it_ends() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    // The first waits until bob is there, as a line would.
    let input = b"/why bob\n/doctor\nhi\n/doctor bob\n/who\n";
    let mut ann = net.node("ann", 2).args(&["--commands", "--json"]).feed(input);
    ann.exits(0);
    let told = [ann.events("doctor").len(), ann.events("who").len()];
    assert_eq!((told, ann.errors().as_str()), ([2, 1], ""), "{}", ann.story());
    bob.message("hi");
}

#[test]
fn with_commands_quit_leaves_at_once() {
    assert_eq!(heard(b"before\n/quit\nafter\n", &["--commands"]).0, ["before"]);
}

#[test]
fn what_is_not_utf_8_is_replaced_with_one_warning() {
    let (texts, ann) = heard(b"caf\xe9\nb\xff\xfe\nok\n", &[]);
    assert_eq!(texts, ["caf\u{FFFD}", "b\u{FFFD}\u{FFFD}", "ok"]);
    let warnings: Vec<String> = ann.errors().lines().filter(|l| l.contains("UTF-8")).map(Into::into).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn the_longest_message_arrives_whole() {
    let long: String = (0..65_536).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
    let (texts, _) = heard(format!("{long}\nnext\n").as_bytes(), &[]);
    assert_eq!(texts.len(), 2);
    assert!(texts[0] == long, "{} bytes arrived", texts[0].len());
}

#[test]
fn a_longer_message_is_refused_and_the_rest_goes_on() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    let mut ann = net.node("ann", 2).feed(format!("one\n{}\ntwo\n", "x".repeat(65_537)).as_bytes());
    ann.exits(1);
    assert!(ann.errors().contains("65536"), "{}", ann.errors());
    bob.event_where("left", |v| v["peer"] == "ann");
    assert_eq!(bob.texts(), ["one", "two"]);
}

#[test]
fn closed_input_is_nothing_said() {
    let net = Net::new();
    let mut sh = Command::new("sh");
    let line = "exec \"$0\" -n ann --ephemeral -a \"$1\" -g \"$2\" <&-";
    sh.args(["-c", line, BIN, &net.address(2), &net.group()]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = sh.spawn().expect("sh");
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("our child") {
            break status;
        }
        if start.elapsed() > Duration::from_secs(10) {
            let _ = child.kill();
            let _ = child.wait();
            panic!("still running");
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(0));
}

#[test]
fn input_that_cannot_be_read_has_nothing_to_say() {
    // As nohup(1) leaves it where a terminal was.
    let unreadable = || File::options().write(true).open("/dev/null").expect("it is there");
    let net = Net::new();
    let mut ann = net.node("ann", 2).stdin(unreadable()).start();
    ann.exits(0);
    assert_eq!(ann.errors(), "");
    let mut bob = net.node("bob", 3).args(&["--json", "--stay"]).stdin(unreadable()).start();
    net.node("cat", 4).feed(b"hi\n").exits(0);
    bob.message("hi");
    bob.signal(Signal::SIGTERM);
    bob.exits(143);
}

#[test]
fn with_stay_it_goes_on_as_a_listener() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    let mut ann = net.node("ann", 2).args(&["--json", "--stay"]).feed(b"hi\n");
    bob.message("hi");
    bob.joined("ann");
    let mut cat = net.node("cat", 4).feed(b"still there?\n");
    cat.exits(0);
    ann.message("still there?");
}

/// A window, and the terminal in it. Nobody inherits the window: when it is dropped it is closed.
fn pty() -> (PtyMaster, File) {
    let window = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("a pty");
    grantpt(&window).and_then(|()| unlockpt(&window)).expect("ours");
    let mut terminal = File::options();
    terminal.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
    let path = ptsname_r(&window).expect("a path");
    (window, terminal.open(path).expect("a terminal"))
}

#[test]
fn with_stay_it_outlives_a_terminal_that_nobody_edits_on() {
    let net = Net::new();
    let (window, terminal) = pty();
    let mut ann = net.node("ann", 2).args(&["--json", "--stay"]).stdin(terminal).start();
    ann.event("ready");
    // The window is closed.
    drop(window);
    net.node("bob", 3).feed(b"still there?\n").exits(0);
    ann.message("still there?");
    ann.signal(Signal::SIGTERM);
    ann.exits(143);
}

#[test]
fn whoever_ends_what_is_typed_leaves() {
    let net = Net::new();
    let (window, terminal) = pty();
    let mut ann = net.node("ann", 2).args(&["--json", "--stay"]).stdin(terminal).start();
    ann.event("ready");
    write(&window, b"\x04").expect("the terminal takes keys");
    ann.exits(0);
}

#[test]
fn an_open_pipe_without_lines_listens() {
    let net = Net::new();
    let mut ann = net.node("ann", 2).args(&["--json", "--wait", "1"]).start();
    ann.event("ready");
    // Longer than the wait: nothing was said, so nobody is missed.
    let mut bob = net.node("bob", 3).args(&["--wait", "2"]).feed(b"");
    bob.exits(0);
    let mut cat = net.node("cat", 4).args(&["--wait", "2"]).feed(b"hi\n");
    cat.exits(0);
    ann.message("hi");
    ann.end_input();
    ann.exits(0);
}

#[test]
fn a_question_that_waited_is_not_missed_when_it_is_answered() {
    let net = Net::new();
    let bob = net.listener("bob", 3);
    let mut ann = net.node("ann", 2).args(&["--json", "--commands", "--wait", "1"]).start();
    ann.say("/who");
    ann.event("who");
    bob.signal(Signal::SIGTERM);
    ann.event_where("left", |v| v["peer"] == "bob");
    // Longer than the wait: nothing waits to be said, so nobody is missed.
    Net::new().node("dan", 2).args(&["--wait", "2"]).feed(b"nobody there\n").exits(3);
    let mut cat = net.node("cat", 4).args(&["--wait", "2"]).feed(b"hi\n");
    cat.exits(0);
    ann.message("hi");
    ann.end_input();
    ann.exits(0);
}

#[test]
fn lines_wait_for_a_peer_that_comes_later() {
    let net = Net::new();
    let mut ann = net.node("ann", 2).args(&["--json", "--wait", "15"]).feed(b"early\n");
    ann.event("ready");
    let mut bob = net.listener("bob", 3);
    bob.message("early");
    ann.exits(0);
}

#[test]
fn what_was_not_sent_makes_status_1_and_the_rest_goes_on() {
    let long = "x".repeat(70_000);
    for (line, why) in [
        ("/tell nosuch hi", "nobody here is called"),
        ("/tell bob", "usage"),
        ("/nonsense", "unknown command"),
        ("/why nosuch", "nobody here is called"),
        ("/verify nosuch", "nobody here is called"),
        ("/plain 10.99.99.99 x", "not sent"),
        (long.as_str(), "65536"),
    ] {
        let net = Net::new();
        let mut bob = net.listener("bob", 3);
        let mut ann = net.node("ann", 2).args(&["--commands"]).feed(format!("one\n{line}\ntwo\n").as_bytes());
        ann.exits(1);
        assert!(ann.errors().contains(why), "{why}{}", ann.story());
        bob.event_where("left", |v| v["peer"] == "ann");
        assert_eq!(bob.texts(), ["one", "two"]);
    }
}

#[test]
fn a_name_that_two_bear_is_told_to_nobody_and_makes_status_1() {
    let net = Net::new();
    let mut bobs: Vec<_> = [3, 4].map(|host| net.listener("bob", host)).into();
    let mut ann = net.node("ann", 2).args(&["--commands"]).feed(b"one\n/tell bob hi\n");
    ann.exits(1);
    assert!(ann.errors().contains("say which"), "{}", ann.story());
    for bob in &mut bobs {
        bob.event_where("left", |v| v["peer"] == "ann");
        assert_eq!(bob.texts(), ["one"]);
    }
}

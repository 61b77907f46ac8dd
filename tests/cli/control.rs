//! The control socket, and the subcommand `who`, which asks by it.
//!
//! Every test of this binary runs its nodes in one network namespace, so there are always several:
//! each test names those that it means.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use serde_json::Value;

use crate::driver::{BIN, DEADLINE, Net, Node, harmless};

/// The abstract name of a node's control socket.
fn name(node: &Node) -> String {
    let start = format!("@udpnode/{}/{}/", geteuid(), node.pid());
    let table = std::fs::read("/proc/net/unix").expect("a table");
    let table = String::from_utf8_lossy(&table);
    // Those that are connected bear the name that it had then.
    let listens = table.lines().filter(|line| line.contains(" 00010000 "));
    let found = listens.flat_map(str::split_ascii_whitespace).find(|word| word.starts_with(&start));
    let found = found.map(|word| word[1..].to_owned());
    found.unwrap_or_else(|| panic!("no {start} in\n{table}"))
}

/// A client of a node.
struct Client(BufReader<UnixStream>);

impl Client {
    fn of(node: &Node) -> Self {
        let address = SocketAddr::from_abstract_name(name(node)).expect("a name");
        let socket = UnixStream::connect_addr(&address).expect("it listens");
        socket.set_read_timeout(Some(DEADLINE)).expect("set");
        Self(BufReader::new(socket))
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("it reads");
    }

    fn end(&mut self) {
        self.0.get_mut().shutdown(Shutdown::Write).expect("open");
    }

    /// The next event; `None` at the end, also amid a line.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let len = match self.0.read_line(&mut line) {
            // What it wrote was not read: then it is cut off hard.
            Err(why) if why.kind() == ErrorKind::ConnectionReset => 0,
            read => read.expect("in time"),
        };
        harmless(line.as_bytes());
        (len > 0 && line.ends_with('\n')).then(|| serde_json::from_str(&line).expect("JSON"))
    }

    /// Everything up to the end of the answer; the last is `done`.
    fn answer(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while events.last().is_none_or(|event: &Value| event["event"] != "done") {
            events.push(self.next().unwrap_or_else(|| panic!("ended after {events:?}")));
        }
        events
    }

    fn ask(&mut self, line: &str) -> Vec<Value> {
        self.write(format!("{line}\n").as_bytes());
        self.answer()
    }
}

fn two(net: &Net) -> (Node, Node) {
    let (mut ann, mut bob) = (net.listener("ann", 2), net.listener("bob", 3));
    ann.joined("bob");
    bob.joined("ann");
    (ann, bob)
}

fn done(status: u64) -> Value {
    serde_json::json!({"event": "done", "status": status})
}

#[test]
fn a_client_is_greeted_asks_and_is_answered() {
    let net = Net::new();
    let (mut ann, mut bob) = two(&net);
    let mut client = Client::of(&ann);
    assert_eq!(client.next(), Some(ann.event("ready")));
    let who = client.ask("/who");
    assert_eq!((who.len(), &who[1]), (2, &done(0)));
    assert_eq!((&who[0]["event"], &who[0]["peers"][0]["peer"]), (&"who".into(), &"bob".into()));
    assert!(who[0]["text"].as_str().is_some_and(|text| text.starts_with("bob  ")));
    let said = client.ask("from elsewhere");
    assert_eq!((&said[0]["event"], &said[0]["text"]), (&"sent".into(), &"from elsewhere".into()));
    bob.message("from elsewhere");
    let told = client.ask("/tell bob psst");
    assert_eq!((&told[0]["event"], &told[0]["direct"]), (&"sent".into(), &true.into()));
    bob.event_where("message", |v| v["text"] == "psst" && v["direct"] == true);
}

#[test]
fn the_doctor_names_everybody_by_nick_and_id() {
    let net = Net::new();
    let (ann, mut bob) = two(&net);
    let mut client = Client::of(&ann);
    let own = client.next().expect("greeted")["id"].clone();
    let id = bob.event("ready")["id"].clone();
    let doctor = client.ask("/doctor").swap_remove(0);
    assert_eq!((&doctor["event"], &doctor["id"]), (&"doctor".into(), &own));
    let hears = doctor["hears"].as_array().expect("an array");
    let ways: Vec<_> =
        hears.iter().map(|link| [&link["from"], &link["from_id"], &link["to"], &link["to_id"]]).collect();
    let (ann, bob) = (Value::from("ann"), Value::from("bob"));
    for way in [[&ann, &own, &bob, &id], [&bob, &id, &ann, &own]] {
        assert!(ways.contains(&way), "{way:?} in {doctor}");
    }
}

#[test]
fn what_is_refused_is_told_to_the_client_and_does_not_spoil_the_status_of_the_node() {
    let net = Net::new();
    let (ann, mut bob) = two(&net);
    let mut client = Client::of(&ann);
    client.next();
    for (line, why) in [("/tell nosuch hi", "nobody here is called"), ("/fly", "unknown command"), ("/nick", "usage")] {
        let answer = client.ask(line);
        let done = answer.last().expect("done");
        assert_eq!(done["status"], 1, "{answer:?}");
        assert!(done["text"].as_str().is_some_and(|text| text.contains(why)), "{answer:?}");
    }
    assert_eq!(client.ask("/who")[1], done(0));
    let mut piped = net.node("cat", 4).args(&["--json"]).start();
    piped.joined("bob");
    bob.joined("cat");
    let mut client = Client::of(&piped);
    client.next();
    assert_eq!(client.ask("/tell nosuch hi").last().expect("done")["status"], 1);
    piped.say("only this");
    piped.end_input();
    piped.exits(0);
}

#[test]
fn who_asks_for_events_is_told_what_happens() {
    let net = Net::new();
    let (ann, mut bob) = two(&net);
    let mut client = Client::of(&ann);
    client.next();
    assert_eq!(client.ask("/events"), [done(0)]);
    bob.signal(Signal::SIGTERM);
    bob.exits(143);
    let left = client.next().expect("an event");
    assert_eq!((&left["event"], &left["peer"]), (&"left".into(), &"bob".into()));
}

#[test]
fn quit_ends_the_node_and_a_nick_renames_its_socket() {
    let net = Net::new();
    let (mut ann, mut bob) = two(&net);
    assert!(name(&ann).ends_with("/-/ann"));
    let mut client = Client::of(&ann);
    client.next();
    assert_eq!(client.ask("/nick zoe").last(), Some(&done(0)));
    bob.event("renamed");
    assert!(name(&ann).ends_with("/-/zoe"));
    assert_eq!(client.ask("/quit"), [done(0)]);
    assert_eq!(client.next(), None);
    ann.exits(0);
    bob.event("left");
}

#[test]
fn half_open_clients_get_their_answers_and_are_let_go() {
    let net = Net::new();
    let (ann, _bob) = two(&net);
    let mut client = Client::of(&ann);
    client.write(b"/who\n/who");
    client.end();
    client.next();
    for _ in 0..2 {
        assert_eq!(client.answer().len(), 2, "the last line needs no end");
    }
    assert_eq!(client.next(), None);
}

#[test]
fn hostile_clients_harm_nobody() {
    let net = Net::new();
    let (ann, mut bob) = two(&net);
    let mut client = Client::of(&ann);
    client.next();
    // Garbage.
    let answer = client.ask("\u{1b}[2J/\0");
    assert_eq!(answer.last(), Some(&done(0)), "text like any other");
    client.write(b"\xff\xfe\n");
    assert!(client.answer()[0]["text"].as_str().is_some_and(|text| text.contains("UTF-8")));
    // A line without an end: thrown away as it comes, and told when it ends.
    client.write(&vec![b'x'; 1 << 20]);
    client.write(b"\n");
    assert!(client.answer()[0]["text"].as_str().is_some_and(|text| text.contains("65536")));
    // Connections that do nothing do not keep out who has a question; the oldest are let go.
    let idle: Vec<_> = (0..100).map(|_| Client::of(&ann)).collect();
    for _ in 0..3 {
        let mut other = Client::of(&ann);
        assert_eq!(other.next().expect("a greeting")["event"], "ready");
        assert_eq!(other.ask("/who")[1], done(0));
    }
    drop(idle);
    // And the conversation went on.
    bob.say_hi_to(&ann);
}

impl Node {
    /// By its control socket.
    fn say_hi_to(&mut self, other: &Self) {
        let mut client = Client::of(other);
        client.next();
        client.ask("/events");
        let mut own = Client::of(self);
        own.next();
        own.ask("hi there");
        while client.next().expect("the message")["text"] != "hi there" {}
    }
}

#[test]
fn who_reads_nothing_is_dropped_and_memory_stays_small() {
    let net = Net::new();
    let (ann, bob) = two(&net);
    let mut slow = Client::of(&ann);
    slow.next();
    slow.ask("/events");
    let mut own = Client::of(&bob);
    own.next();
    let line = "x".repeat(60_000);
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", ann.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("told");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    // Four times what is kept for a client that reads nothing.
    for _ in 0..80 {
        own.ask(&line);
    }
    // Whoever is told all the same knows when ann has heard the last.
    let mut quick = Client::of(&ann);
    quick.next();
    quick.ask("/events");
    own.ask("the last");
    while quick.next().expect("an event")["text"] != "the last" {}
    assert!(resident() < 40_000, "{} kB", resident());
    let mut told = 0;
    while slow.next().is_some() {
        told += 1;
    }
    assert!(told < 40, "it was dropped, and not told {told} events of 60 kB");
}

#[test]
fn who_asks_the_node_that_runs() {
    let net = Net::new();
    let (mut ann, mut bob) = two(&net);
    let which = ["-a", &net.address(2), "-g", &net.group()];
    let mut who = net.bare(&which).args(&["who"]).start();
    who.exits(0);
    let text = String::from_utf8(who.output()).expect("UTF-8");
    assert!(text.starts_with("bob  ") && text.contains("online for") && text.lines().count() == 1, "{text}");
    assert_eq!(who.errors(), "");
    for args in [&["--json", "who"][..], &["who", "-j"], &["who", "--wait", "1", "--json"]] {
        let mut who = net.bare(&which).args(args).start();
        who.exits(0);
        let json: Value = serde_json::from_slice(&who.output()).expect("one object");
        let peer = &json["peers"][0];
        assert_eq!((&json["event"], &peer["peer"], &peer["online"]), (&"who".into(), &"bob".into(), &true.into()));
        assert_eq!(peer["address"], format!("{}:5003", net.address(3)));
    }
    // Nobody joined for that.
    ann.signal(Signal::SIGTERM);
    ann.exits(143);
    assert_eq!(ann.events("joined").len(), 1);
    bob.event("left");
    // Alone there is nobody to tell of.
    let mut who = net.bare(&["-a", &net.address(3)]).args(&["who"]).start();
    bob.event("left");
    who.exits(3);
    assert_eq!(String::from_utf8_lossy(&who.output()), "nobody else is here\n");
}

#[test]
fn who_becomes_a_node_where_none_runs() {
    let net = Net::new();
    let (mut ann, _bob) = two(&net);
    let mut who = net.node("eve", 9).args(&["who", "-j"]).start();
    who.exits(0);
    let json: Value = serde_json::from_slice(&who.output()).expect("one object");
    let names: Vec<_> = json["peers"].as_array().expect("peers").iter().map(|peer| peer["peer"].clone()).collect();
    assert_eq!(names, ["ann", "bob"]);
    ann.joined("eve");
    ann.event_where("left", |v| v["peer"] == "eve");
    // Its input is left alone, and with nobody there it waits as long as asked.
    let start = Instant::now();
    let empty = Net::new();
    let mut who = empty.node("eve", 9).args(&["who", "--wait", "0.5"]).feed(b"hello\n");
    who.exits(3);
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
    assert_eq!(String::from_utf8_lossy(&who.output()), "nobody else is here\n");
}

#[test]
fn several_nodes_are_told_apart_by_name_and_by_state_directory() {
    let net = Net::new();
    let dir = net.directory();
    let dir = dir.to_str().expect("UTF-8");
    let at = net.address(2);
    let args = ["-n", "twin7", "-a", &at, "-g", &net.group(), "--state-dir", dir, "--json", "--stay"];
    let mut kept = net.bare(&args).stdin(Stdio::null()).start();
    kept.event("ready");
    let mut other = net.listener("twin7", 3);
    kept.joined("twin7");
    other.joined("twin7");
    let mut who = net.bare(&["-n", "twin7", "who"]).start();
    who.exits(2);
    let errors = who.errors();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    for node in [&kept, &other] {
        assert!(errors.contains(&format!("twin7 (process {})", node.pid())), "{errors}");
    }
    assert!(errors.contains("--state-dir"), "{errors}");
    for args in [&["who", "--state-dir", dir, "-j"][..], &["--state-dir", dir, "who", "-j"]] {
        let mut who = net.bare(args).start();
        who.exits(0);
        let json: Value = serde_json::from_slice(&who.output()).expect("one object");
        assert_eq!(json["peers"][0]["address"], format!("{}:5003", net.address(3)), "{json}");
    }
}

#[test]
fn a_node_that_does_not_answer_is_told_and_not_waited_for_for_ever() {
    let net = Net::new();
    let ann = net.listener("stopped5", 2);
    ann.signal(Signal::SIGSTOP);
    let start = Instant::now();
    let mut who = net.bare(&["-n", "stopped5", "who", "-w", "1"]).start();
    who.exits(1);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert!(who.errors().contains("does not answer"), "{}", who.errors());
    ann.signal(Signal::SIGCONT);
}

#[test]
fn options_behind_a_subcommand_are_given_once() {
    let net = Net::new();
    for args in [
        &["-w", "1", "who", "-w", "2"][..],
        &["--state-dir", "x", "who", "--state-dir", "y"],
        &["-j", "who", "-j"],
        &["paths", "--dot", "--dot"],
        &["doctor", "--dot", "--dot"],
        &["-V", "-V"],
        &["-w", "1", "keygen", "-w", "1"],
    ] {
        let mut who = net.bare(args).start();
        who.exits(2);
        assert!(who.errors().contains("twice"), "{args:?}: {}", who.errors());
    }
    for subcommand in [&["keygen"][..], &["completions", "bash"]] {
        let behind = ["--json", "--wait", "1", "--state-dir", "x"];
        net.bare(&[subcommand, &behind].concat()).start().exits(0);
    }
    for args in [&["who", "bob"][..], &["who", "--nonsense"], &["--plain", "who"], &["who", "-w", "x"]] {
        let mut who = net.bare(args).start();
        who.exits(2);
        assert_eq!((who.errors().lines().count(), who.output().len()), (1, 0), "{args:?}");
    }
}

/// Runs a line of shell as another user, if we may: with the program as `$0`.
fn as_nobody(line: &str, argument: &str) -> Option<(i32, String)> {
    let mut sh = Command::new("timeout");
    sh.args(["15", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", line, BIN, argument]);
    let out = sh.stdin(Stdio::null()).output().ok().filter(|_| geteuid().is_root())?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    Some((out.status.code()?, text))
}

#[test]
fn another_user_is_turned_away_without_a_word() {
    let net = Net::new();
    let (ann, _bob) = two(&net);
    let line = "exec python3 -c 'import socket, sys\n\
        s = socket.socket(socket.AF_UNIX)\n\
        s.connect(\"\\0\" + sys.argv[1])\n\
        try: print(s.recv(100))\n\
        except ConnectionResetError: print(b\"\")' \"$1\"";
    let Some((code, text)) = as_nobody(line, &name(&ann)) else {
        assert!(!geteuid().is_root(), "root can become somebody else");
        return;
    };
    assert_eq!((code, text.as_str()), (0, "b''\n"));
    let mut client = Client::of(&ann);
    assert!(client.next().is_some(), "we are not");
}

#[test]
fn a_name_that_somebody_else_took_is_not_believed() {
    let net = Net::new();
    let squat = format!("udpnode/{}/1/-/squat{}", geteuid(), std::process::id());
    let line = "exec python3 -c 'import socket, sys\n\
        s = socket.socket(socket.AF_UNIX)\n\
        s.bind(\"\\0\" + sys.argv[1])\n\
        s.listen()\n\
        print(1, flush=True)\n\
        c, _ = s.accept()\n\
        try: c.sendall(b\"{}\\n\")\n\
        except OSError: pass\n\
        s.accept()' \"$1\"";
    let nick = squat.rsplit('/').next().expect("a nick").to_owned();
    let held = std::thread::spawn({
        let squat = squat.clone();
        move || as_nobody(line, &squat)
    });
    let start = Instant::now();
    let listens = || {
        let table = std::fs::read("/proc/net/unix").expect("a table");
        String::from_utf8_lossy(&table).contains(&squat)
    };
    while geteuid().is_root() && !listens() {
        assert!(start.elapsed() < DEADLINE, "it never listened");
        std::thread::yield_now();
    }
    let mut who =
        net.bare(&["-n", &nick, "-a", &net.address(9), "-g", &net.group(), "--ephemeral", "who", "-w", "0.2"]);
    who = who.stdin(Stdio::null());
    who.start().exits(3);
    if geteuid().is_root() {
        // A second connection ends it.
        let address = SocketAddr::from_abstract_name(&squat).expect("a name");
        let _ = UnixStream::connect_addr(&address).map(|mut socket| socket.read(&mut [0; 8]));
        assert!(held.join().expect("no panic").is_some());
    }
    // Nor is one believed that is ours and no node's.
    let ours = format!("udpnode/{}/2/-/ours{}", geteuid(), std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&ours).expect("a name")).expect("free");
    let nick = ours.rsplit('/').next().expect("a nick");
    let mut who = net.bare(&["-n", nick, "who", "-w", "0.2"]).start();
    let (mut stranger, _) = listener.accept().expect("who connects");
    stranger.write_all(b"garbage\n").expect("taken");
    who.exits(1);
    assert!(who.errors().contains("does not answer"), "{}", who.errors());
}

#[test]
fn paths_are_shown_asked_for_as_json_and_drawn() {
    let net = Net::new();
    let (_ann, _bob) = two(&net);
    let which = ["-a", &net.address(2), "paths"];
    let start = Instant::now();
    // Those who run have to have said whom they hear.
    loop {
        let mut paths = net.bare(&which).args(&["-j"]).start();
        paths.exits(0);
        let json: Value = serde_json::from_slice(&paths.output()).expect("one object");
        assert_eq!(json["event"], "paths");
        if json["text"].as_str().is_some_and(|text| text.contains("bob") && text.contains("ann")) {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "{json}");
    }
    let mut paths = net.bare(&which).start();
    paths.exits(0);
    let text = String::from_utf8(paths.output()).expect("UTF-8");
    assert!(text.lines().count() > 2 && !text.contains("digraph"), "{text}");
    let mut paths = net.bare(&which).args(&["--dot"]).start();
    paths.exits(0);
    let text = String::from_utf8(paths.output()).expect("UTF-8");
    assert!(text.starts_with("digraph udpnode {\n") && text.ends_with("}\n"), "{text}");
    net.bare(&which).args(&["--dot", "--json"]).start().exits(2);
    // Where none runs, one is started, which hears the others and is told by them.
    let mut paths = net.node("eve", 9).args(&["paths", "--dot"]).start();
    paths.exits(0);
    let text = String::from_utf8(paths.output()).expect("UTF-8");
    for name in ["ann", "bob", "eve"] {
        assert!(text.contains(name), "{name}: {text}");
    }
}

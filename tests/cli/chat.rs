//! What nodes tell each other, as JSON and as text.

use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::driver::{Net, Node, harmless};

fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00.000Z"
}

fn chatter(net: &Net, name: &str, host: u8) -> Node {
    let mut node = net.node(name, host).args(&["--json"]).start();
    node.event("ready");
    node
}

/// A node that prints text.
fn reader(net: &Net, name: &str, host: u8) -> Node {
    net.node(name, host).args(&["--stay"]).stdin(Stdio::null()).start()
}

/// Every line of text output begins with the time; the rest of them.
fn lines(node: &Node) -> Vec<String> {
    let text = String::from_utf8(node.output()).expect("UTF-8");
    let rest = |line: &str| {
        let shape: String = line.chars().take(9).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "00:00:00 ", "{line}");
        line[9..].to_string()
    };
    text.lines().map(rest).collect()
}

#[test]
fn ready_tells_who_and_where() {
    let net = Net::new();
    let mut ann = net.node("ann", 7).args(&["--json", "--stay"]).stdin(Stdio::null()).start();
    let ready = ann.event("ready");
    assert_eq!(ready["name"], "ann");
    assert_eq!(ready["group"], net.group());
    assert_eq!(ready["addresses"], serde_json::json!([format!("{}:5007", net.address(7))]));
    assert!(ready["boot"].is_u64());
    assert!(ready["id"].as_str().is_some_and(|id| id.len() >= 5 && id.chars().all(|c| c.is_ascii_alphanumeric())));
}

#[test]
fn a_message_tells_everything_about_itself() {
    let net = Net::new();
    let mut bob = chatter(&net, "bob", 3);
    let mut ann = chatter(&net, "ann", 2);
    let id = ann.event("ready")["id"].clone();
    let boot = ann.event("ready")["boot"].clone();
    let joined = bob.joined("ann");
    assert_eq!(joined["id"], id);
    assert_eq!(joined["address"], format!("{}:5002", net.address(2)));
    ann.joined("bob");

    ann.say("first");
    ann.say("grüße 🦀");
    let sent = ann.event_where("sent", |v| v["seq"] == 2);
    assert_eq!((&sent["boot"], &sent["text"]), (&boot, &"grüße 🦀".into()));
    let message = bob.message("grüße 🦀");
    assert_eq!(message["from"], "ann");
    assert_eq!(message["id"], id);
    assert_eq!(message["boot"], boot);
    assert_eq!(message["seq"], 2);
    assert_eq!(message["direct"], false);
    assert_eq!(message["history"], false);
    assert_eq!(message["segment"], "lo");
    assert_eq!(message["address"], format!("{}:5002", net.address(2)));
    assert!(["multicast", "broadcast", "unicast"].iter().any(|c| message["cast"] == *c), "{message}");
    assert!(is_time(&message["time"]), "{message}");
    let delivered = ann.event_where("delivered", |v| v["seq"] == 2);
    assert_eq!((&delivered["confirmed"], &delivered["online"]), (&1.into(), &1.into()));

    ann.end_input();
    ann.exits(0);
    let left = bob.event_where("left", |v| v["peer"] == "ann");
    assert_eq!(left["id"], id);
    assert_eq!(ann.texts(), Vec::<String>::new(), "own lines do not come back");
}

#[test]
fn each_cast_carries_and_is_named() {
    for cast in ["multicast", "broadcast", "unicast"] {
        let net = Net::new();
        let mut bob = chatter(&net, "bob", 3);
        let mut ann = net.node("ann", 2).args(&["--json", "--cast", cast]).start();
        ann.joined("bob");
        ann.say("hi");
        assert_eq!(bob.message("hi")["cast"], cast);
        ann.end_input();
        ann.exits(0);
        let heard = bob.texts();
        assert_eq!(heard, ["hi"], "{cast}: once");
    }
}

#[test]
fn one_that_falls_silent_is_lost_and_then_back() {
    let net = Net::new();
    let mut ann = chatter(&net, "ann", 2);
    let mut bob = net.listener("bob", 3);
    ann.joined("bob");
    bob.joined("ann");
    bob.signal(Signal::SIGSTOP);
    let lost = ann.event_where("lost", |v| v["peer"] == "bob");
    assert!(lost["id"].is_string() && lost["address"].is_string(), "{lost}");
    bob.signal(Signal::SIGCONT);
    ann.event_where("back", |v| v["peer"] == "bob");
    ann.say("you are back");
    bob.message("you are back");
    assert_eq!(ann.events("left").len(), 0, "lost is not left");
}

#[test]
fn a_late_joiner_gets_as_much_history_as_it_asked_for() {
    let net = Net::new();
    let mut ann = chatter(&net, "ann", 2);
    let mut bob = net.listener("bob", 3);
    ann.joined("bob");
    for n in 1..=5 {
        ann.say(&format!("old {n}"));
    }
    bob.message("old 5");
    let late = |name: &str, host: u8, history: &str| {
        net.node(name, host).args(&["--json", "--history", history, "--stay"]).stdin(Stdio::null()).start()
    };
    let mut two = late("two", 4, "2");
    let mut none = late("none", 5, "0");
    for peer in ["two", "none"] {
        ann.joined(peer);
    }
    assert_eq!(two.message("old 5")["history"], true);
    ann.say("new");
    for node in [&mut two, &mut none] {
        assert_eq!(node.message("new")["history"], false);
    }
    assert_eq!(two.texts(), ["old 4", "old 5", "new"]);
    assert_eq!(none.texts(), ["new"]);
}

#[test]
fn another_group_is_not_heard() {
    let (net, other) = (Net::new(), Net::new());
    let mut ann = chatter(&net, "ann", 2);
    let mut bob = net.listener("bob", 3);
    let mut eve = other.listener("eve", 4);
    ann.joined("bob");
    let mut mal = chatter(&other, "mal", 5);
    mal.joined("eve");
    mal.say("secret");
    eve.message("secret");
    ann.say("hi");
    bob.message("hi");
    assert_eq!(bob.texts(), ["hi"]);
    assert_eq!(bob.events("joined").len(), 1);
}

#[test]
fn a_peer_is_found_by_its_address_alone() {
    let net = Net::new();
    let to = format!("{}:5003", net.address(3));
    let mut bob = net.listener("bob", 3);
    let mut ann = net.node("ann", 2).args(&["--json", "--peer", &to, "--cast", "unicast"]).start();
    ann.joined("bob");
    ann.say("hi");
    assert_eq!(bob.message("hi")["cast"], "unicast");
}

#[test]
fn text_output_has_a_time_a_name_and_nothing_else() {
    let net = Net::new();
    let mut bob = reader(&net, "bob", 3);
    let mut ann = chatter(&net, "ann", 2);
    ann.joined("bob");
    bob.line(&["* ann joined (", &format!("{}:5002)", net.address(2))]);
    ann.say("hi there");
    bob.line(&["ann: hi there"]);
    ann.end_input();
    ann.exits(0);
    bob.line(&["* ann left"]);
    bob.signal(Signal::SIGTERM);
    bob.exits(143);
    harmless(&bob.output());
    let all = lines(&bob);
    let joined = format!("* ann joined ({}:5002)", net.address(2));
    assert!(all.contains(&joined) && all.contains(&"ann: hi there".to_string()), "{all:?}");
}

#[test]
fn plain_text_is_shown_with_where_it_came_from() {
    let net = Net::new();
    let mut bob = reader(&net, "bob", 3);
    let mut cat = net.listener("cat", 4);
    bob.line(&["* cat joined"]);
    let to_bob = net.datagram(9, &format!("{}:5003", net.address(3)), b"hello from nc\n");
    bob.line(&[&format!("{to_bob} (plain): hello from nc")]);
    let to_cat = net.datagram(9, &format!("{}:5004", net.address(4)), b"to you");
    let message = cat.event_where("message", |v| v["plain"] == true);
    assert_eq!(message["from"], to_cat.as_str());
    assert_eq!(message["address"], to_cat.as_str());
    assert_eq!(
        (&message["text"], &message["cast"], &message["segment"]),
        (&"to you".into(), &"unicast".into(), &"lo".into())
    );
    assert!(is_time(&message["time"]), "{message}");
}

#[test]
fn escape_sequences_and_their_like_are_shown_not_obeyed() {
    let net = Net::new();
    let mut bob = reader(&net, "bob", 3);
    let mut cat = net.listener("cat", 4);
    let nasty = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{7f}a\u{0}b\u{202e}c\u{2028}d\u{8}";
    let mut ann = net.node("ann", 2).feed(format!("{nasty} one\nlone \r return\nlast\n").as_bytes());
    ann.exits(0);
    bob.line(&["ann: ", "]0;owned", "[2J", " one"]);
    bob.line(&["ann: last"]);
    cat.message("last");
    let plain = format!("{}:5003", net.address(3));
    net.datagram(9, &plain, format!("{nasty}\nann: forged\r\n00:00:00 ann: forged").as_bytes());
    net.datagram(9, &plain, b"\xc3\x28\x80\x9b\x1b[0m");
    net.datagram(9, &plain, b"");
    net.datagram(9, &plain, b"end of plain");
    bob.line(&["(plain): end of plain"]);
    for node in [&mut bob, &mut cat] {
        node.signal(Signal::SIGTERM);
        node.exits(143);
        harmless(&node.output());
        harmless(node.errors().as_bytes());
    }
    let all = lines(&bob);
    assert!(!all.iter().any(|l| l.starts_with("ann: forged")), "{all:?}");
}

#[test]
fn two_of_one_name_are_told_apart() {
    let net = Net::new();
    let mut cat = reader(&net, "cat", 4);
    let mut one = chatter(&net, "bob", 2);
    cat.line(&["* bob", "joined", ":5002"]);
    let mut two = chatter(&net, "bob", 3);
    cat.line(&["* bob", "joined", ":5003"]);
    for node in [&mut one, &mut two] {
        node.event("joined");
        node.joined("cat");
    }
    one.say("from the first");
    two.say("from the second");
    let first = cat.line(&["bob", ": from the first"]);
    let second = cat.line(&["bob", ": from the second"]);
    let label = |line: &str| line[9..].split(": ").next().unwrap_or_default().to_string();
    let (first, second) = (label(&first), label(&second));
    assert_ne!(first, second);
    let id = |node: &mut Node| node.event("ready")["id"].as_str().expect("an id").to_string();
    for (label, id) in [(first, id(&mut one)), (second, id(&mut two))] {
        let suffix = label.strip_prefix("bob").expect("its nick");
        assert!(suffix.is_empty() || id.starts_with(suffix.strip_prefix('~').expect("~")), "{label} {id}");
    }
}

#[test]
fn the_same_names_stay_bare_in_json() {
    let net = Net::new();
    let mut cat = net.listener("cat", 4);
    let _one = net.listener("bob", 2);
    let _two = net.listener("bob", 3);
    for port in ["5002", "5003"] {
        let joined = cat.event_where("joined", |v| v["address"].as_str().is_some_and(|a| a.ends_with(port)));
        assert_eq!(joined["peer"], "bob");
    }
}

#[test]
fn a_second_node_at_one_address_takes_a_free_port() {
    let net = Net::new();
    let mut ann = net.listener("ann", 2);
    let mut bob = net.node("bob", 2).args(&["--json"]).start();
    let ready = bob.event("ready");
    let address = ready["addresses"][0].as_str().expect("an address").to_string();
    assert!(address.starts_with(&net.address(2)) && !address.ends_with(":5002"), "{ready}");
    assert_eq!(ann.joined("bob")["address"], address.as_str());
    bob.joined("ann");
    bob.say("hi");
    ann.message("hi");
    bob.end_input();
    bob.exits(0);
    let told = bob.events("warning").iter().map(ToString::to_string).collect::<String>() + &bob.errors();
    assert!(told.contains("5002"), "says that it took another{}", bob.story());
}

#[test]
fn an_explicit_port_is_used() {
    let net = Net::new();
    let port = 21_000 + std::process::id() % 20_000;
    let address = format!("{}:{port}", net.address(2));
    let args = ["-n", "ann", "-a", &address, "-g", &net.group(), "--ephemeral", "--json"];
    let mut ann = net.bare(&args).start();
    assert_eq!(ann.event("ready")["addresses"], serde_json::json!([address]));
    let mut bob = net.listener("bob", 3);
    assert_eq!(bob.joined("ann")["address"], address.as_str());
}

#[test]
fn the_name_comes_from_the_environment() {
    let net = Net::new();
    let args = ["-a", &net.address(2), "-g", &net.group(), "--ephemeral", "--json", "--stay"];
    let mut ann = net.bare(&args).env("UDPNODE_NAME", "envy").stdin(Stdio::null()).start();
    assert_eq!(ann.event("ready")["name"], "envy");
    let mut bob = net.bare(&args).args(&["-n", "bob"]).env("UDPNODE_NAME", "envy").stdin(Stdio::null()).start();
    assert_eq!(bob.event("ready")["name"], "bob", "the option wins");
}

#[test]
fn without_a_name_there_is_one() {
    let net = Net::new();
    let args = ["-a", &net.address(2), "-g", &net.group(), "--ephemeral", "--json", "--stay"];
    let mut ann = net.bare(&args).stdin(Stdio::null()).start();
    let ready = ann.event("ready");
    assert!(ready["name"].as_str().is_some_and(|n| !n.is_empty() && n != "root"), "{ready}");
}

#[test]
fn renaming_is_told_and_used() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    let mut ann = net.node("ann", 2).args(&["--json", "--commands"]).start();
    ann.joined("bob");
    bob.joined("ann");
    ann.say("/nick anna");
    ann.say("it is me");
    assert_eq!(bob.message("it is me")["id"], ann.event("ready")["id"]);
    // The new name travels with the next hello, or with the message.
    ann.say("/quit");
    ann.exits(0);
    let left = bob.event("left");
    assert_eq!(left["peer"], "anna", "{left}");
}

#[test]
fn an_interface_can_be_chosen() {
    let net = Net::new();
    let on_lo = |name: &str| {
        let args = ["-n", name, "-i", "lo", "-g", &net.group(), "--ephemeral", "--json"];
        let mut node = net.bare(&args).start();
        let ready = node.event("ready");
        assert!(ready["addresses"][0].as_str().is_some_and(|a| a.starts_with("127.0.0.1:")), "{ready}");
        node
    };
    let mut ann = on_lo("ann");
    let mut bob = on_lo("bob");
    ann.joined("bob");
    bob.joined("ann");
    bob.say("over lo");
    assert_eq!(ann.message("over lo")["segment"], "lo");
}

#[test]
fn a_ttl_in_range_is_taken() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    for ttl in ["1", "255"] {
        net.node("ann", 2).args(&["--ttl", ttl]).feed(format!("with {ttl}\n").as_bytes()).exits(0);
        bob.message(&format!("with {ttl}"));
    }
}

#[test]
fn a_name_that_leads_nowhere_is_told_once_and_does_not_hold_up_the_chat() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    let peers = ["--peer", "no-such-host.invalid", "--peer", "localhost:9", "--json", "--stay"];
    let mut ann = net.node("ann", 2).args(&peers).stdin(Stdio::null()).start();
    ann.joined("bob");
    bob.joined("ann");
    ann.event_where("warning", |v| v["text"].as_str().is_some_and(|text| text.contains("no-such-host.invalid")));
    bob.signal(Signal::SIGTERM);
    ann.event_where("left", |v| v["peer"] == "bob");
    assert_eq!(ann.events("warning").len(), 1, "{}", ann.story());
}

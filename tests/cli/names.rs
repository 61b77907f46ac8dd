//! Whose a name is, with real programs and what they keep.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::driver::{Net, Node, harmless};

/// A node with a key that it keeps; it tells JSON and takes commands.
fn start(net: &Net, name: &str, host: u8, dir: &Path) -> Node {
    let mut node = run(net, name, host, dir, &["--json", "--commands", "--stay"]);
    node.event("ready");
    node
}

fn run(net: &Net, name: &str, host: u8, dir: &Path, args: &[&str]) -> Node {
    let state = dir.to_str().expect("UTF-8");
    let of = ["-n", name, "-a", &net.address(host), "-g", &net.group(), "--state-dir", state];
    net.bare(&of).args(args).start()
}

fn stop(mut node: Node) -> Node {
    node.signal(Signal::SIGTERM);
    node.exits(143);
    node
}

fn id(node: &mut Node) -> String {
    node.event("ready")["id"].as_str().expect("an id").to_owned()
}

fn label(nick: &str, id: &str) -> String {
    format!("{nick}~{}", &id[..5])
}

/// Warnings about impostors.
fn alarms(node: &Node) -> Vec<String> {
    let texts = node.events("warning").into_iter().filter_map(|v| v["text"].as_str().map(str::to_owned));
    texts.filter(|text| text.contains("is NOT the")).collect()
}

/// What a node that runs knows of this peer.
fn known(net: &Net, dir: &Path, id: &str) -> Value {
    let mut who = net.bare(&["who", "--json", "--state-dir", dir.to_str().expect("UTF-8")]).start();
    who.exits(0);
    let all: Value = serde_json::from_slice(&who.output()).expect("one object");
    let peers = all["peers"].as_array().expect("peers");
    peers.iter().find(|peer| peer["id"] == id).unwrap_or_else(|| panic!("{id} in {all}")).clone()
}

#[test]
fn a_pin_outlives_restarts_the_impostor_is_told_of_once_and_trust_turns_it_round() {
    let net = Net::new();
    let (of_cat, of_bob, of_eve) = (net.directory().join("cat"), net.directory(), net.directory());
    let mut cat = start(&net, "cat", 2, &of_cat);
    let mut bob = start(&net, "bob", 3, &of_bob);
    let bobs = id(&mut bob);
    assert_eq!(cat.joined("bob").get("label"), None);
    stop(bob);
    cat.event("left");
    let mut eve = start(&net, "bob", 4, &of_eve);
    let eves = id(&mut eve);
    let evil = label("bob", &eves);
    let is_eve = |v: &Value| v["id"] == eves.as_str();
    assert_eq!(cat.event_where("joined", is_eve)["label"], evil.as_str());
    eve.joined("cat");
    eve.say("lend me ten");
    assert_eq!(cat.message("lend me ten")["label"], evil.as_str());
    assert_eq!(alarms(&cat).len(), 1, "{:?}", alarms(&cat));
    assert!(alarms(&cat)[0].contains(&evil) && alarms(&cat)[0].contains(&bobs[..5]), "{:?}", alarms(&cat));
    stop(cat);

    let pins = std::fs::metadata(of_cat.join("pins")).expect("kept");
    assert_eq!(pins.permissions().mode() & 0o777, 0o600);
    let mut cat = start(&net, "cat", 2, &of_cat);
    assert_eq!(cat.event_where("joined", is_eve)["label"], evil.as_str());
    cat.event_where("warning", |v| v["text"].as_str().is_some_and(|text| text.contains("is NOT the")));
    let bob = start(&net, "bob", 3, &of_bob);
    assert_eq!(cat.event_where("joined", |v| v["id"] == bobs.as_str()).get("label"), None);
    assert_eq!(known(&net, &of_cat, &bobs)["trust"], "pinned");
    assert_eq!(known(&net, &of_cat, &eves)["trust"], "impostor");
    assert_eq!(alarms(&cat).len(), 1, "{:?}", alarms(&cat));

    cat.say(&format!("/trust {evil}"));
    cat.event_where("notice", |v| v["text"].as_str().is_some_and(|text| text.contains("no longer")));
    // What a person said is kept at once, whatever becomes of the program.
    cat.signal(Signal::SIGKILL);
    cat.wait_killed();
    let mut cat = start(&net, "cat", 2, &of_cat);
    assert_eq!(cat.event_where("joined", is_eve).get("label"), None);
    cat.event_where("joined", |v| v["id"] == bobs.as_str() && v["label"] == label("bob", &bobs).as_str());
    assert_eq!(known(&net, &of_cat, &eves)["trust"], "trusted");
    cat.say("/trust nobody-at-all");
    cat.event_where("warning", |v| v["text"].as_str().is_some_and(|text| text.contains("nobody here is called")));
    stop(bob);
    stop(eve);
}

#[test]
fn people_see_the_suffix_and_one_warning_on_standard_error() {
    let net = Net::new();
    let of_cat = net.directory();
    let mut cat = run(&net, "cat", 2, &of_cat, &["--stay", "--commands"]);
    let bob = net.directory();
    let mut bob = start(&net, "bob", 3, &bob);
    cat.line(&["* bob joined"]);
    let of_eve = net.directory();
    let mut eve = start(&net, "BOB", 4, &of_eve);
    let evil = label("BOB", &id(&mut eve));
    cat.line(&[&format!("* {evil} joined")]);
    for node in [&mut bob, &mut eve] {
        node.joined("cat");
    }
    eve.say("from eve");
    bob.say("from bob");
    cat.line(&[&format!("{evil}: from eve")]);
    cat.line(&[" bob: from bob"]);
    cat.say("/who");
    cat.line(&[&evil, "impostor"]);
    cat.say("/help");
    cat.line(&["/trust NAME"]);
    cat.line(&["/verify [NAME [DIGITS]]"]);
    let cat = stop(cat);
    assert_eq!(cat.errors().matches("is NOT the bob you know").count(), 1, "{}", cat.errors());
    harmless(&cat.output());
    harmless(cat.errors().as_bytes());
}

#[test]
fn both_read_the_same_digits_and_whoever_types_them_trusts() {
    let net = Net::new();
    let (of_ann, of_bob) = (net.directory(), net.directory());
    let mut ann = start(&net, "ann", 2, &of_ann);
    let mut bob = start(&net, "bob", 3, &of_bob);
    ann.joined("bob");
    bob.joined("ann");
    let bobs = id(&mut bob);
    bob.say("/verify");
    assert_eq!(bob.event("verify")["id"], bobs.as_str());
    ann.say("/verify bob");
    let shown = ann.event("verify");
    assert_eq!((&shown["peer"], &shown["id"]), (&"bob".into(), &bobs.as_str().into()));
    let digits = shown["digits"].as_str().expect("digits").to_owned();
    bob.say("/verify ann");
    assert_eq!(bob.event_where("verify", |v| v["peer"] == "ann")["digits"], digits.as_str());
    assert!(shown["text"].as_str().is_some_and(|text| text.contains(&digits)));
    ann.say("/verify bob 00000 11111 22222 33333 44444 55555");
    ann.event_where("warning", |v| v["text"].as_str().is_some_and(|text| text.contains("do not trust")));
    assert_eq!(known(&net, &of_ann, &bobs)["trust"], "pinned");
    ann.say(&format!("/verify bob {digits}"));
    ann.event_where("notice", |v| v["text"].as_str().is_some_and(|text| text.contains("trusted")));
    assert_eq!(known(&net, &of_ann, &bobs)["trust"], "trusted");
}

#[test]
fn pins_that_are_damaged_are_told_of_once_set_aside_and_made_anew() {
    let net = Net::new();
    let (of_cat, of_bob) = (net.directory(), net.directory());
    let garbage = b"udpnode pins 1\npinned \x1b[2J\x07 1 1 b\xff\xfeob\n\x9b31m";
    stop(start(&net, "cat", 2, &of_cat));
    std::fs::write(of_cat.join("pins"), garbage).expect("written");
    let mut cat = run(&net, "cat", 2, &of_cat, &["--stay"]);
    let mut bob = start(&net, "bob", 3, &of_bob);
    cat.line(&["* bob joined"]);
    let bobs = id(&mut bob);
    let cat = stop(cat);
    assert_eq!(cat.errors().lines().count(), 1, "{}", cat.errors());
    assert!(cat.errors().contains("pins was damaged"), "{}", cat.errors());
    harmless(cat.errors().as_bytes());
    assert_eq!(std::fs::read(of_cat.join("pins.damaged")).expect("set aside"), garbage);
    let pins = std::fs::read_to_string(of_cat.join("pins")).expect("made anew");
    assert!(pins.contains(&bobs), "{pins}");
    let cat = stop(start(&net, "cat", 2, &of_cat));
    assert_eq!(cat.events("warning").len(), 0, "said once{}", cat.story());
}

#[test]
fn a_node_that_keeps_nothing_pins_for_its_run_and_a_key_for_one_run_is_not_pinned() {
    let net = Net::new();
    let (of_bob, of_eve) = (net.directory(), net.directory());
    let mut cat = net.node("cat", 2).args(&["--json", "--commands", "--stay"]).start();
    cat.event("ready");
    let mut dan = net.node("dan", 5).args(&["--json", "--stay"]).stdin(Stdio::null()).start();
    cat.joined("dan");
    cat.say("/trust dan");
    cat.event_where("warning", |v| v["text"].as_str().is_some_and(|text| text.contains("for this run only")));
    let mut bob = start(&net, "bob", 3, &of_bob);
    cat.joined("bob");
    let mut eve = start(&net, "bob", 4, &of_eve);
    let eves = id(&mut eve);
    cat.event_where("joined", |v| v["id"] == eves.as_str() && v["label"] == label("bob", &eves).as_str());
    cat.say("/trust bob");
    cat.event_where("notice", |v| v["text"].as_str().is_some_and(|text| text.contains("only in this run")));
    assert_eq!(alarms(&cat).len(), 1);
    bob.event("joined");
    dan.joined("cat");
}

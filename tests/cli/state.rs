//! The state directory: one node, its key, its lock.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::driver::{Net, Node};

fn start(net: &Net, host: u8, dir: &Path) -> (Node, Value) {
    let state = dir.to_str().expect("UTF-8");
    let args = ["-n", "ann", "-a", &net.address(host), "-g", &net.group(), "--state-dir", state, "--json", "--stay"];
    let mut node = net.bare(&args).stdin(Stdio::null()).start();
    let ready = node.event("ready");
    (node, ready)
}

fn end(mut node: Node) -> Node {
    node.signal(nix::sys::signal::Signal::SIGTERM);
    node.exits(143);
    node
}

/// Standard error and warnings together.
fn warnings(node: &Node) -> String {
    let told = node.events("warning").iter().map(|v| v["text"].to_string()).collect::<Vec<_>>();
    told.join("\n") + &node.errors()
}

#[test]
fn the_key_is_kept_and_boots_are_counted() {
    let net = Net::new();
    let dir = net.directory().join("new").join("deep");
    let (node, first) = start(&net, 2, &dir);
    end(node);
    let (node, second) = start(&net, 2, &dir);
    let node = end(node);
    assert_eq!(first["id"], second["id"]);
    assert_eq!(first["boot"].as_u64().map(|b| b + 1), second["boot"].as_u64());
    assert_eq!(warnings(&node), "");
}

#[test]
fn a_kill_does_not_repeat_a_boot() {
    let net = Net::new();
    let dir = net.directory();
    let (mut node, first) = start(&net, 2, &dir);
    node.signal(nix::sys::signal::Signal::SIGKILL);
    node.wait_killed();
    let (_node, second) = start(&net, 2, &dir);
    assert_eq!(first["id"], second["id"]);
    assert!(second["boot"].as_u64() > first["boot"].as_u64(), "{first} {second}");
}

#[test]
fn nobody_else_may_read_the_key() {
    let net = Net::new();
    let dir = net.directory().join("state");
    let (node, _) = start(&net, 2, &dir);
    end(node);
    let files: Vec<_> = std::fs::read_dir(&dir).expect("made").map(|e| e.expect("readable").path()).collect();
    assert!(!files.is_empty());
    let private = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o077 == 0;
    let key = files.iter().filter(|p| p.to_string_lossy().contains("key")).collect::<Vec<_>>();
    assert!(!key.is_empty(), "a key among {files:?}");
    assert!(private(&dir) || key.iter().all(|p| private(p)), "{files:?}");
    assert!(key.iter().all(|p| private(p)), "{files:?}");
}

#[test]
fn who_starts_while_the_one_before_says_bye_is_no_stranger() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    let dir = net.directory();
    let (first, one) = start(&net, 2, &dir);
    bob.joined("ann");
    // It says bye three times, for 160 ms.
    first.signal(nix::sys::signal::Signal::SIGTERM);
    let (second, two) = start(&net, 2, &dir);
    assert_eq!(two["id"], one["id"]);
    assert_eq!(two["boot"].as_u64(), one["boot"].as_u64().map(|boot| boot + 1));
    assert_eq!(warnings(&end(second)), "");
}

#[test]
fn a_second_node_in_a_locked_directory_is_ephemeral_and_says_so() {
    let net = Net::new();
    let dir = net.directory();
    let (first, one) = start(&net, 2, &dir);
    let (second, two) = start(&net, 3, &dir);
    assert_ne!(one["id"], two["id"]);
    let second = end(second);
    assert_ne!(warnings(&second), "", "says so");
    end(first);
}

#[test]
fn a_directory_that_cannot_be_written_makes_it_ephemeral() {
    let net = Net::new();
    let file = net.file(b"not a directory");
    let (node, _) = start(&net, 2, &file.join("below"));
    let node = end(node);
    assert_ne!(warnings(&node), "", "says so");
}

#[test]
fn without_a_home_it_is_ephemeral_and_says_so_once() {
    let net = Net::new();
    let args = ["-n", "ann", "-a", &net.address(2), "-g", &net.group(), "--json", "--stay"];
    let run = net.bare(&args).without_env("HOME").without_env("XDG_STATE_HOME");
    let mut node = run.stdin(Stdio::null()).start();
    node.event("ready");
    let node = end(node);
    let told = node.events("warning").len() + node.errors().lines().count();
    assert!(told >= 1, "says so{}", node.story());
    assert!(node.errors().lines().count() <= 1 && node.events("warning").len() <= 1, "once{}", node.story());
}

#[test]
fn the_default_place_is_below_the_state_home() {
    let net = Net::new();
    let home = net.directory();
    let args = ["-n", "ann", "-a", &net.address(2), "-g", &net.group(), "--json", "--stay"];
    let run = net.bare(&args).env("XDG_STATE_HOME", home.to_str().expect("UTF-8"));
    let mut node = run.stdin(Stdio::null()).start();
    node.event("ready");
    end(node);
    assert!(home.join("udpnode/ann").is_dir());
}

#[test]
fn ephemeral_keeps_nothing() {
    let net = Net::new();
    let home = net.directory();
    let args = ["-n", "ann", "-a", &net.address(2), "-g", &net.group(), "--json", "--stay", "--ephemeral"];
    let run = net.bare(&args).env("XDG_STATE_HOME", home.to_str().expect("UTF-8"));
    let mut node = run.stdin(Stdio::null()).start();
    node.event("ready");
    let node = end(node);
    assert_eq!(std::fs::read_dir(&home).expect("there").count(), 0);
    assert_eq!(warnings(&node), "", "asked for, so nothing to say");
}

#[test]
fn a_broken_key_is_an_error_not_a_new_identity() {
    let net = Net::new();
    let dir = net.directory();
    let (node, first) = start(&net, 2, &dir);
    end(node);
    for entry in std::fs::read_dir(&dir).expect("there") {
        let path = entry.expect("readable").path();
        if path.to_string_lossy().contains("key") {
            std::fs::write(&path, b"short").expect("written");
        }
    }
    let state = dir.to_str().expect("UTF-8");
    let args = ["-n", "ann", "-a", &net.address(2), "-g", &net.group(), "--state-dir", state, "--json"];
    let mut node = net.bare(&args).stdin(Stdio::null()).start();
    let code = node.exit();
    let other = node.events("ready").iter().any(|v| v["id"] != first["id"]);
    assert!(code == 1 || !other || !warnings(&node).is_empty(), "silently somebody else{}", node.story());
}

/// Starts a node on this directory that cannot: its status and its one line on standard error.
fn refused(net: &Net, dir: &Path) -> String {
    let state = dir.to_str().expect("UTF-8");
    let args = ["-n", "ann", "-a", &net.address(2), "-g", &net.group(), "--state-dir", state, "--json"];
    let mut node = net.bare(&args).stdin(Stdio::null()).start();
    node.exits(1);
    assert!(node.events("ready").is_empty(), "it did not begin{}", node.story());
    assert_eq!(node.errors().lines().count(), 1, "{}", node.errors());
    node.errors()
}

#[test]
fn a_key_that_must_not_be_used_ends_the_run_with_what_to_do() {
    let net = Net::new();
    let dir = net.directory().join("state");
    let (node, first) = start(&net, 2, &dir);
    end(node);
    let key = dir.join("key");
    let secret = std::fs::read(&key).expect("there");
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    set(&key, 0o644);
    assert!(refused(&net, &dir).contains(&format!("chmod 600 {}", key.display())));
    set(&key, 0o600);
    set(&dir, 0o777);
    assert!(refused(&net, &dir).contains(&format!("chmod 700 {}", dir.display())));
    set(&dir, 0o700);
    for (bytes, why) in [(&secret[..31], "31 bytes"), (&[7; 4000], "4000 bytes"), (&[0; 32], "zeros"), (&[], "0 bytes")]
    {
        std::fs::write(&key, bytes).expect("written");
        let told = refused(&net, &dir);
        assert!(told.contains(why) && told.contains("restore it, or remove it"), "{told}");
        assert_eq!(std::fs::read(&key).expect("there"), bytes, "it is left as it is");
    }
    std::fs::remove_file(&key).expect("removed");
    std::fs::create_dir(&key).expect("made");
    assert!(refused(&net, &dir).contains("move it away"));
    std::fs::remove_dir(&key).expect("removed");
    let elsewhere = dir.join("elsewhere");
    std::fs::write(&elsewhere, &secret).expect("written");
    set(&elsewhere, 0o600);
    std::os::unix::fs::symlink(&elsewhere, &key).expect("made");
    assert!(refused(&net, &dir).contains("is a link"));
    std::fs::rename(&elsewhere, &key).expect("mended");
    let (node, again) = start(&net, 2, &dir);
    end(node);
    assert_eq!(first["id"], again["id"]);
}

#[test]
fn a_directory_of_other_things_is_not_closed_to_others() {
    let net = Net::new();
    let dir = net.directory();
    std::fs::write(dir.join("thesis"), "").expect("written");
    assert!(refused(&net, &dir).contains("--state-dir"));
    assert_eq!(std::fs::metadata(&dir).expect("there").permissions().mode() & 0o777, 0o755);
}

#[test]
fn a_copy_of_another_machines_state_is_told_once_and_never_repeats_a_boot() {
    let net = Net::new();
    let dir = net.directory().join("state");
    let (node, first) = start(&net, 2, &dir);
    end(node);
    std::fs::write(dir.join("machine"), "0123456789abcdef\n").expect("written");
    let (node, copy) = start(&net, 2, &dir);
    let node = end(node);
    assert_eq!(first["id"], copy["id"]);
    assert!(warnings(&node).contains("another machine"), "{}", node.story());
    assert!(copy["boot"].as_u64() > Some(1_000_000), "{copy}");
    let (node, again) = start(&net, 2, &dir);
    let node = end(node);
    assert_eq!(warnings(&node), "");
    assert_eq!(copy["boot"].as_u64().map(|boot| boot + 1), again["boot"].as_u64());
}

//! Keyed groups: who has the key file is one room, and who has not hears nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::driver::{Net, Node};

/// A key file made by `udpnode keygen`.
fn keygen(net: &Net) -> PathBuf {
    let path = net.directory().join("key");
    let mut made = net.bare(&["keygen", text(&path)]).stdin(Stdio::null()).start();
    made.exits(0);
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn keyed(net: &Net, name: &str, host: u8, key: &Path) -> Node {
    let options = ["--json", "--stay", "--tcp", "--commands", "--key-file", text(key)];
    let mut node = net.node(name, host).args(&options).start();
    assert_eq!(node.event("ready")["keyed"], true);
    node
}

#[test]
fn who_has_the_key_chats_and_who_has_not_hears_nothing() {
    let net = Net::new();
    let key = keygen(&net);
    let (mut ann, mut bob) = (keyed(&net, "ann", 1, &key), keyed(&net, "bob", 2, &key));
    let mut eve = net.node("eve", 3).args(&["--json", "--stay", "--commands"]).start();
    assert_eq!(eve.event("ready")["keyed"], false);
    ann.joined("bob");
    bob.joined("ann");
    ann.say("for members");
    bob.message("for members");
    bob.say("/tell ann by stream");
    ann.message("by stream");
    eve.say("let me in");
    // Text of a stranger is not heard here either.
    net.datagram(9, &format!("{}:{}", net.address(1), 5001), b"plain text");
    ann.say("the last");
    bob.message("the last");
    for node in [&mut ann, &mut bob] {
        assert!(node.texts().iter().all(|text| !text.contains("let me in") && !text.contains("plain")));
        assert_eq!(node.events("joined").len(), 1);
        node.end_input();
    }
    assert!(eve.events("joined").is_empty() && eve.events("message").is_empty(), "{}", eve.story());
}

/// As the manual says it: below the old key, then first, then alone. At each step some are a step behind.
#[test]
fn a_group_goes_over_to_another_key_without_a_break() {
    let net = Net::new();
    let (old, new) = (keygen(&net), keygen(&net));
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file");
    let (old, new) = (read(&old), read(&new));
    let directory = net.directory();
    let steps = [old.clone(), format!("{old}{new}"), format!("{new}{old}"), new];
    let files: Vec<PathBuf> = (0..)
        .zip(steps)
        .map(|(n, keys)| {
            let file = directory.join(format!("step{n}"));
            std::fs::write(&file, keys).expect("written");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("changed");
            file
        })
        .collect();
    for (step, pair) in files.windows(2).enumerate() {
        let net = Net::new();
        let (mut ann, mut bob) = (keyed(&net, "ann", 1, &pair[0]), keyed(&net, "bob", 2, &pair[1]));
        ann.joined("bob");
        bob.joined("ann");
        ann.say(&format!("still at step {step}"));
        bob.message(&format!("still at step {step}"));
        bob.say(&format!("beyond step {step}"));
        ann.message(&format!("beyond step {step}"));
    }
}

#[test]
fn a_passphrase_makes_a_room_too() {
    let net = Net::new();
    let file = net.directory().join("words");
    std::fs::write(&file, "passphrase correct horse battery\n").expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("changed");
    let (mut ann, mut bob) = (keyed(&net, "ann", 1, &file), keyed(&net, "bob", 2, &file));
    ann.joined("bob");
    bob.say("words will do");
    ann.message("words will do");
}

#[test]
fn a_key_that_cannot_be_used_ends_the_run_with_a_reason() {
    let net = Net::new();
    let key = keygen(&net);
    assert_eq!(std::fs::metadata(&key).expect("there").permissions().mode() & 0o777, 0o600);
    let mut again = net.bare(&["keygen", text(&key)]).stdin(Stdio::null()).start();
    again.exits(1);
    assert!(again.errors().contains("is left as it is"), "{}", again.errors());
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let mut ann = net.node("ann", 1).args(&["-k", text(&key)]).stdin(Stdio::null()).start();
    ann.exits(1);
    assert!(ann.errors().contains("chmod 600"), "{}", ann.errors());
    let mut bob = net.node("bob", 1).args(&["-k", "/nowhere"]).stdin(Stdio::null()).start();
    bob.exits(1);
    assert!(bob.errors().contains("/nowhere"), "{}", bob.errors());
    let mut printed = net.bare(&["keygen"]).stdin(Stdio::null()).start();
    printed.exits(0);
    assert!(String::from_utf8_lossy(&printed.output()).contains("udpnode-key-1 "));
}

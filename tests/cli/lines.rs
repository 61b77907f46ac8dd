//! Many lines: each of them, once, in order, at every receiver.

use crate::driver::{Net, Node};

const LINES: usize = 2000;

fn text() -> (Vec<String>, Vec<u8>) {
    let lines: Vec<String> = (1..=LINES).map(|n| format!("line {n} of {LINES}")).collect();
    let bytes = (lines.join("\n") + "\n").into_bytes();
    (lines, bytes)
}

fn receivers(net: &Net) -> Vec<Node> {
    (3..6).map(|host| net.listener(&format!("n{host}"), host)).collect()
}

fn all_arrived(receivers: &mut [Node], lines: &[String]) {
    for node in receivers {
        node.event_where("left", |v| v["peer"] == "ann");
        let texts = node.texts();
        assert_eq!(texts.len(), lines.len(), "{}", node.story());
        assert!(texts == lines, "in order");
        let seqs: Vec<u64> = node.events("message").iter().map(|v| v["seq"].as_u64().expect("a number")).collect();
        assert!(seqs.iter().copied().eq(1..=lines.len() as u64), "numbered from 1 without a hole");
        assert_eq!(node.events("gap").len(), 0);
    }
}

#[test]
fn two_thousand_lines_of_a_pipe() {
    let net = Net::new();
    let (lines, bytes) = text();
    let mut receivers = receivers(&net);
    let mut ann = net.node("ann", 2).feed(&bytes);
    ann.exits(0);
    all_arrived(&mut receivers, &lines);
}

#[test]
fn two_thousand_lines_of_a_file() {
    let net = Net::new();
    let (lines, bytes) = text();
    let mut receivers = receivers(&net);
    let mut ann = net.node("ann", 2).file(&net, &bytes).start();
    ann.exits(0);
    all_arrived(&mut receivers, &lines);
}

#[test]
fn two_speak_at_once_and_each_stays_in_order() {
    let net = Net::new();
    let mut cat = net.listener("cat", 4);
    let feed = |who: &str| (1..=300).map(|n| format!("{who} {n}")).collect::<Vec<_>>();
    let mut ann = net.node("ann", 2).args(&["--stay"]).feed((feed("ann").join("\n") + "\n").as_bytes());
    let mut bob = net.node("bob", 3).args(&["--stay"]).feed((feed("bob").join("\n") + "\n").as_bytes());
    for who in ["ann", "bob"] {
        cat.message(&format!("{who} 300"));
        let from: Vec<String> = cat
            .events("message")
            .iter()
            .filter(|v| v["from"] == who)
            .map(|v| v["text"].as_str().unwrap_or_default().to_string())
            .collect();
        assert_eq!(from, feed(who));
    }
    for node in [&mut ann, &mut bob] {
        node.signal(nix::sys::signal::Signal::SIGTERM);
        node.exits(143);
    }
}

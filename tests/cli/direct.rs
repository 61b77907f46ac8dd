//! Direct messages, by datagram and by TCP, and text that is not in our protocol.

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::driver::{Net, Node};

/// A node that tells JSON and takes commands from a pipe.
fn speaker(net: &Net, name: &str, host: u8, args: &[&str]) -> Node {
    let mut node = net.node(name, host).args(&["--json", "--commands"]).args(args).start();
    node.event("ready");
    node
}

#[test]
fn a_direct_message_goes_to_one_alone_with_and_without_tcp() {
    for tcp in [&[][..], &["--tcp"]] {
        let net = Net::new();
        let mut ann = speaker(&net, "ann", 2, tcp);
        let mut bob = speaker(&net, "bob", 3, tcp);
        let mut cat = net.listener("cat", 4);
        for node in [&mut ann, &mut bob] {
            node.joined("cat");
        }
        ann.joined("bob");
        bob.joined("ann");
        ann.say("/tell bob for you");
        let heard = bob.message("for you");
        assert_eq!((&heard["direct"], &heard["mid"], &heard["from"]), (&true.into(), &1.into(), &"ann".into()));
        assert_eq!(heard.get("seq"), None, "a direct message has no seq");
        let sent = ann.event_where("sent", |v| v["direct"] == true);
        assert_eq!((&sent["mid"], &sent["to"], &sent["queued"]), (&1.into(), &"bob".into(), &false.into()));
        ann.event_where("delivered", |v| v["direct"] == true && v["mid"] == 1 && v["confirmed"] == 1);
        bob.say("/tell ann and for you");
        ann.message("and for you");
        bob.event_where("delivered", |v| v["direct"] == true);
        ann.say("for all");
        cat.message("for all");
        ann.end_input();
        ann.exits(0);
        cat.event_where("left", |v| v["peer"] == "ann");
        assert_eq!(cat.texts(), ["for all"]);
    }
}

#[test]
fn what_one_alone_cannot_take_yet_stays_in_the_pipe() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    // More than is kept for others.
    let lines: String = (1..=100).map(|n| format!("/tell bob {n} {}\n", "x".repeat(60_000))).collect();
    let mut ann = net.node("ann", 2).args(&["--commands"]).feed(lines.as_bytes());
    for n in [25, 50, 75, 100] {
        let begins = format!("{n} x");
        bob.event_where("message", |v| v["text"].as_str().is_some_and(|text| text.starts_with(&begins)));
    }
    ann.exits(0);
    assert_eq!((ann.errors().as_str(), bob.texts().len()), ("", 100));
}

#[test]
fn a_pipe_waits_for_the_one_it_has_something_to_tell() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    let mut ann = net.node("ann", 2).args(&["--commands"]).feed(b"/tell bob you there?\n");
    ann.exits(0);
    bob.message("you there?");
    let mut alone = Net::new().node("ann", 2).args(&["--commands", "--wait", "0.2"]).feed(b"/tell bob x\n");
    alone.exits(3);
}

#[test]
fn text_output_marks_what_is_for_one_alone() {
    let net = Net::new();
    let mut bob = net.node("bob", 3).args(&["--stay"]).stdin(Stdio::null()).start();
    let mut ann = speaker(&net, "ann", 2, &[]);
    ann.joined("bob");
    ann.say("/tell bob psst");
    bob.line(&["ann -> me: psst"]);
    ann.say("/tell nobody x");
    ann.event_where("warning", |v| v["text"].as_str().is_some_and(|text| text.contains("nobody here is called")));
}

#[test]
fn what_nobody_has_at_the_end_makes_status_4() {
    let net = Net::new();
    let mut bob = net.listener("bob", 3);
    let mut ann = speaker(&net, "ann", 2, &["--wait", "0.5"]);
    ann.joined("bob");
    bob.signal(Signal::SIGTERM);
    bob.exits(143);
    ann.event_where("left", |v| v["peer"] == "bob");
    ann.say("/tell bob are you there?");
    ann.event_where("sent", |v| v["queued"] == true);
    ann.end_input();
    ann.exits(4);
    assert_eq!(ann.events("delivered").last().map(|v| v["confirmed"].clone()), Some(0.into()));
}

#[test]
fn a_tcp_port_that_was_asked_for_and_is_taken_is_fatal_and_its_holder_named() {
    let net = Net::new();
    let holder = TcpListener::bind((net.address(2), 0)).expect("an address");
    let address = holder.local_addr().expect("bound").to_string();
    let args = ["-n", "ann", "-a", &address, "-g", &net.group(), "--ephemeral", "--tcp"];
    let mut ann = net.bare(&args).stdin(Stdio::null()).start();
    ann.exits(1);
    let errors = ann.errors();
    let pid = format!("process {}", std::process::id());
    assert!(errors.contains(&address) && errors.contains("TCP") && errors.contains(&pid), "{errors}");
}

#[test]
fn a_tcp_port_that_is_taken_leaves_udp() {
    let net = Net::new();
    let _holder = TcpListener::bind((net.address(2), 5002)).expect("an address");
    let mut ann = speaker(&net, "ann", 2, &["--tcp"]);
    ann.event_where("warning", |v| v["text"].as_str().is_some_and(|text| text.contains("TCP")));
    let mut bob = speaker(&net, "bob", 3, &[]);
    bob.joined("ann");
    bob.say("/tell ann still here?");
    ann.message("still here?");
    bob.event_where("delivered", |v| v["direct"] == true);
}

#[test]
fn strangers_on_the_tcp_port_are_closed_and_harm_nobody() {
    let net = Net::new();
    let mut ann = speaker(&net, "ann", 2, &["--tcp"]);
    let mut bob = speaker(&net, "bob", 3, &[]);
    bob.joined("ann");
    let to = (net.address(2), 5002);
    let mut garbage = TcpStream::connect(&to).expect("ann listens");
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("taken");
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(&to).expect("ann listens")).collect();
    bob.say("/tell ann hi");
    ann.message("hi");
    bob.event_where("delivered", |v| v["direct"] == true);
    // Closed at once, not when it gets boring.
    garbage.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let end = std::io::Read::read(&mut garbage, &mut [0; 16]);
    assert!(matches!(end, Ok(0)) || end.is_err_and(|why| why.kind() == std::io::ErrorKind::ConnectionReset));
    drop(silent);
}

#[test]
fn plain_text_is_shown_marked_and_answered() {
    let net = Net::new();
    let mut ann = speaker(&net, "ann", 2, &[]);
    let socket = UdpSocket::bind((net.address(9), 0)).expect("an address");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let from = socket.local_addr().expect("bound").to_string();
    socket.send_to(b"hi ann\r\n", (net.address(2), 5002)).expect("sent");
    let heard = ann.message("hi ann");
    assert_eq!((&heard["plain"], &heard["from"]), (&true.into(), &from.clone().into()));
    assert_eq!((&heard["cast"], &heard["address"]), (&"unicast".into(), &from.clone().into()));
    ann.say(&format!("/plain {from} hi yourself"));
    let mut buf = [0; 64];
    let (len, back) = socket.recv_from(&mut buf).expect("an answer");
    assert_eq!((&buf[..len], back.to_string()), (&b"hi yourself"[..], format!("{}:5002", net.address(2))));
}

//! Plain mode: raw text datagrams, with a socket of this test as the other side.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::driver::{Net, Node, Run};

/// A socket of this test's that waits, but not for ever.
fn socket(net: &Net, host: u8, port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((net.address(host), port)).expect("an address");
    socket.set_read_timeout(Some(Duration::from_secs(15))).expect("set");
    socket
}

fn next(socket: &UdpSocket) -> String {
    let mut buf = vec![0; 65_536];
    // One that waits with a deadline is interrupted by what happens to the machine, and does not go on by itself.
    let (len, _) = loop {
        match socket.recv_from(&mut buf) {
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
            received => break received.expect("a datagram"),
        }
    };
    String::from_utf8(buf[..len].to_vec()).expect("UTF-8")
}

/// A plain node that talks to `to` by unicast.
fn plain(net: &Net, name: &str, host: u8, to: &UdpSocket) -> Run {
    let to = to.local_addr().expect("bound").to_string();
    net.node(name, host).args(&["--plain", "--cast", "unicast", "--dest", &to])
}

fn ready(mut node: Node) -> Node {
    node.event("ready");
    node
}

#[test]
fn enters_says_each_line_and_quits_at_the_end_of_input() {
    let net = Net::new();
    let other = socket(&net, 9, 0);
    let mut ann = plain(&net, "ann", 2, &other).args(&["--json"]).feed("hi\n\n/who\nGrüße\r\nlast".as_bytes());
    let expected = ["ann: Entering user", "ann: hi", "ann: ", "ann: /who", "ann: Grüße", "ann: last", "ann: quit"];
    assert_eq!(expected.map(|_| next(&other)), expected);
    ann.exits(0);
    let ready = ann.event("ready");
    assert_eq!((&ready["plain"], &ready["name"]), (&true.into(), &"ann".into()));
    assert_eq!((ready.get("id"), ready.get("boot")), (None, None));
    assert_eq!(ready["addresses"][0], format!("{}:5002", net.address(2)));
    let sent: Vec<_> = ann.events("sent").iter().map(|v| v["text"].clone()).collect();
    assert_eq!(sent, ["hi", "", "/who", "Grüße", "last"]);
}

#[test]
fn typed_quit_and_signals_say_quit_as_well() {
    for signal in [None, Some(Signal::SIGTERM)] {
        let net = Net::new();
        let other = socket(&net, 9, 0);
        let mut ann = ready(plain(&net, "ann", 2, &other).args(&["--json", "--stay"]).start());
        ann.say("hi");
        assert_eq!([next(&other), next(&other)], ["ann: Entering user", "ann: hi"]);
        match signal {
            None => ann.say("quit"),
            Some(signal) => ann.signal(signal),
        }
        assert_eq!(next(&other), "ann: quit");
        ann.exits(signal.map_or(0, |_| 143));
    }
}

#[test]
fn without_a_name_lines_are_bare() {
    let net = Net::new();
    let other = socket(&net, 9, 0);
    let to = other.local_addr().expect("bound").to_string();
    let args = ["-n", "", "-a", &net.address(2), "--plain", "-c", "unicast", "-d", &to, "-g", &net.group()];
    net.bare(&args).feed(b"one\ntwo\n").exits(0);
    assert_eq!([next(&other), next(&other)], ["one", "two"]);
    other.set_read_timeout(Some(Duration::from_millis(50))).expect("set");
    assert!(other.recv_from(&mut [0; 16]).is_err(), "no greeting, no quit");
}

#[test]
fn shows_what_comes_by_unicast_and_multicast_and_nothing_of_the_native_protocol() {
    let net = Net::new();
    let mut ann = ready(net.node("ann", 2).args(&["--plain", "--json", "--stay"]).stdin(Stdio::null()).start());
    let mut native = net.listener("nat", 3);
    let other = socket(&net, 9, 0);
    let from = other.local_addr().expect("bound").to_string();
    let unicast = format!("{}:5002", net.address(2));
    // A broadcast would reach the nodes of all other tests.
    for (to, cast) in [(unicast.as_str(), "unicast"), (net.group().as_str(), "multicast")] {
        other.send_to(b"", to).expect("sent");
        other.send_to(format!("user2: by {cast}\n").as_bytes(), to).expect("sent");
        let heard = ann.message(&format!("user2: by {cast}"));
        assert_eq!(
            (&heard["plain"], &heard["cast"], &heard["from"]),
            (&true.into(), &cast.into(), &from.clone().into())
        );
        assert_eq!((&heard["address"], heard.get("id"), heard.get("seq")), (&from.clone().into(), None, None));
    }
    native.message("user2: by multicast");
    assert_eq!(native.events("message")[0]["plain"], true);
    // Hellos of the native node came all the while.
    let foreign = |v: &&serde_json::Value| v["from"] == format!("{}:5003", net.address(3));
    assert_eq!(ann.events("message").iter().filter(foreign).count(), 0, "{}", ann.story());
    assert_eq!(ann.events("joined").len() + native.events("joined").len(), 0);
}

#[test]
fn text_output_has_the_address_and_own_lines_are_not_shown() {
    let net = Net::new();
    let mut bob = ready(net.node("bob", 3).args(&["--plain", "--json"]).start());
    let mut ann = net.node("ann", 2).args(&["--plain", "--stay"]).start();
    bob.message("ann: Entering user");
    bob.say("hi");
    ann.line(&[&format!("{}:5003 (plain): bob: hi", net.address(3))]);
    ann.say("hello");
    bob.message("ann: hello");
    ann.signal(Signal::SIGTERM);
    ann.exits(143);
    let shown = String::from_utf8_lossy(&ann.output()).into_owned();
    assert!(!shown.contains("ann: "), "{shown}");
    bob.message("ann: quit");
}

#[test]
fn at_the_leave_word_all_leave_and_quit_of_another_changes_nothing() {
    let net = Net::new();
    let node = |name, host| {
        ready(net.node(name, host).args(&["--plain", "--json", "--stay", "--leave-word", "Adiós"]).start())
    };
    let (mut ann, mut bob) = (node("ann", 2), node("bob", 3));
    net.datagram(9, &net.group(), b"cat: quit");
    for node in [&mut ann, &mut bob] {
        node.message("cat: quit");
    }
    net.datagram(9, &net.group(), "cat: Adiós".as_bytes());
    for node in [&mut ann, &mut bob] {
        node.message("cat: Adiós");
        node.exits(0);
    }
}

#[test]
fn the_longest_datagram_goes_and_a_longer_line_is_refused() {
    let net = Net::new();
    let mut bob = ready(net.node("bob", 3).args(&["--plain", "--json", "--stay"]).stdin(Stdio::null()).start());
    let mut native = net.listener("nat", 4);
    let longest = "x".repeat(65_507 - "ann: ".len());
    let input = format!("{longest}\n{longest}x\n{}\nnext\n", "y".repeat(70_000));
    let mut ann = net.node("ann", 2).args(&["--plain"]).feed(input.as_bytes());
    ann.exits(1);
    let errors = ann.errors();
    assert_eq!(errors.matches("not sent").count(), 2, "{errors}");
    assert!(errors.contains("65508") && errors.contains("70000"), "{errors}");
    for node in [&mut bob, &mut native] {
        node.message("ann: quit");
        let expected = ["ann: Entering user", &format!("ann: {longest}"), "ann: next", "ann: quit"];
        // Bob enters about when the other begins to listen.
        let texts: Vec<_> = node.texts().into_iter().filter(|text| text.starts_with("ann: ")).collect();
        assert!(texts == expected, "{}", node.story());
    }
}

#[test]
fn two_thousand_lines_of_a_pipe_arrive_at_a_simple_receiver() {
    let net = Net::new();
    let other = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("an address");
    other.set_read_timeout(Some(Duration::from_secs(15))).expect("set");
    // Other tests take the processors away for as long as they like.
    let _ = socket2::SockRef::from(&other).set_recv_buffer_size(1 << 20);
    let to = format!("{}:{}", net.address(9), other.local_addr().expect("bound").port());
    let lines: Vec<String> = (1..=2000).map(|n| format!("line {n}")).collect();
    let args = ["--plain", "--cast", "unicast", "--dest", &to];
    let mut ann = net.node("ann", 2).args(&args).feed((lines.join("\n") + "\n").as_bytes());
    assert_eq!(next(&other), "ann: Entering user");
    for line in &lines {
        assert_eq!(next(&other), format!("ann: {line}"));
    }
    assert_eq!(next(&other), "ann: quit");
    ann.exits(0);
}

#[test]
fn what_no_network_takes_is_not_told_as_sent_and_makes_status_1() {
    let net = Net::new();
    // From an address of this machine alone nothing goes elsewhere.
    let args = ["--plain", "--json", "--cast", "unicast", "--dest", "10.99.99.99:5099"];
    let mut ann = net.node("ann", 2).args(&args).feed(b"hi\n");
    ann.exits(1);
    assert_eq!(ann.events("sent").len(), 0, "{}", ann.story());
    let warnings = ann.events("warning");
    assert!(warnings.iter().any(|v| v["text"].as_str().is_some_and(|text| text.contains("not sent"))), "{warnings:?}");
}

//! The chat as a person has it: the real program in a terminal, with a model of the screen.

#[allow(dead_code, reason = "the command line suite uses the rest")]
#[path = "../cli/driver.rs"]
mod driver;
mod terminal;

use nix::sys::signal::{Signal, kill};

use driver::{Net, Node};
use terminal::Terminal;

/// Ann in a terminal, bob telling JSON, and each knows the other.
fn pair(net: &Net, columns: u16) -> (Terminal, Node) {
    let mut bob = net.node("bob", 3).args(&["--json"]).start();
    bob.event("ready");
    let mut ann = Terminal::chat(net, "ann", 2, columns);
    ann.shows("bob joined");
    bob.joined("ann");
    (ann, bob)
}

#[test]
fn a_typed_line_arrives_and_an_answer_is_shown() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    ann.type_in("hello bob\r");
    assert_eq!(bob.message("hello bob")["from"], "ann");
    bob.say("hello ann");
    ann.shows("bob: hello ann");
    ann.type_in("\x04");
    ann.ends(0);
    bob.event_where("left", |v| v["peer"] == "ann");
    assert_eq!(bob.texts(), ["hello bob"]);
}

#[test]
fn what_comes_in_leaves_the_line_being_typed_alone() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    ann.type_in("half a sen");
    ann.typed("half a sen");
    for n in 1..=5 {
        bob.say(&format!("interruption {n}"));
        ann.shows(&format!("bob: interruption {n}"));
        ann.typed("half a sen");
    }
    let shown = ann.contents();
    assert_eq!(shown.matches("half a sen").count(), 1, "{shown}");
    assert!(!shown.contains("senbob") && !shown.contains("sen bob:"), "{shown}");
    ann.type_in("tence\r");
    bob.message("half a sentence");
}

#[test]
fn many_lines_scroll_and_the_line_being_typed_stays_last() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    ann.type_in("draft");
    ann.typed("draft");
    for n in 1..=60 {
        bob.say(&format!("row {n}"));
    }
    ann.shows("bob: row 60");
    ann.typed("draft");
    let shown = ann.contents();
    let (fifty, sixty, draft) = (shown.find("row 50"), shown.find("row 60"), shown.rfind("draft"));
    assert!(fifty < sixty && sixty < draft && fifty.is_some(), "{shown}");
    assert_eq!(shown.matches("draft").count(), 1, "{shown}");
}

#[test]
fn a_line_longer_than_the_window_is_sent_whole_and_survives_what_comes_in() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 40);
    let long = "0123456789".repeat(12);
    ann.type_in(&long);
    ann.typed("56789");
    bob.say("in between");
    ann.shows("bob: in between");
    ann.typed("56789");
    ann.type_in("\r");
    bob.message(&long);
}

/// Whether a row of the window begins so.
fn begins(ann: &Terminal, row: &str) -> bool {
    ann.rows().iter().any(|shown| shown.starts_with(row))
}

#[test]
fn no_line_goes_on_in_a_row_that_looks_like_another() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    for wide in [" ".repeat(66), "x".repeat(66), "你".repeat(33), "👩\u{200D}🚀".repeat(33)] {
        bob.say(&format!("{wide}12:04:06 alice: the key is 7"));
        bob.say(&format!("{wide}* cat left"));
        bob.say("done");
        ann.shows("bob: done");
        assert!(!begins(&ann, "12:04:06 alice") && !begins(&ann, "* cat"), "{}", ann.contents());
        assert!(ann.contents().contains("alice: the key is 7"), "{}", ann.contents());
        ann.type_in("\x0c");
        ann.until("the screen is clean", |ann| !ann.contents().contains("alice"));
    }
    ann.resize(50);
    ann.type_in("draft");
    ann.typed("> draft");
    bob.say(&format!("{}12:04:06 alice: the key is 7", " ".repeat(36)));
    ann.shows("         12:04:06 alice: the key is 7");
}

#[test]
fn nor_where_there_is_no_prompt() {
    let net = Net::new();
    let mut bob = net.node("bob", 3).args(&["--json"]).start();
    bob.event("ready");
    let mut ann = Terminal::listener(&net, "ann", 2, 80);
    bob.joined("ann");
    bob.say(&format!("{}12:04:06 alice: the key is 7", " ".repeat(66)));
    ann.shows("alice");
    assert!(begins(&ann, "         12:04:06 alice: the key is 7"), "{}", ann.contents());
}

#[test]
fn a_refused_line_is_there_to_be_mended() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    ann.type_in("/tell bbo it is long\r");
    ann.shows("nobody here is called bbo");
    ann.typed("> /tell bbo it is long");
    ann.type_in("\x01\x1b[C\x1b[C\x1b[C\x1b[C\x1b[C\x1b[C\x0bbob mended\r");
    assert_eq!(bob.message("mended")["direct"], true);
    ann.type_in("/fly\rthe next");
    ann.shows("* not done: /fly");
    ann.shows("unknown command /fly");
    ann.typed("> the next");
}

#[test]
fn a_window_without_room_shows_what_is_said_and_no_prompt() {
    let net = Net::new();
    let mut bob = net.node("bob", 3).args(&["--json"]).start();
    bob.event("ready");
    let mut ann = Terminal::chat(&net, "ann", 2, 3);
    bob.joined("ann");
    ann.type_in("hi bob");
    bob.say("xyz");
    ann.until("it is said", |ann| ann.rows().concat().contains("xyz"));
    ann.type_in("\r");
    bob.message("hi bob");
    ann.until("it is shown", |ann| ann.rows().concat().replace(' ', "").contains("ann:hibob"));
    assert!(!begins(&ann, ">"), "{}", ann.contents());
}

#[test]
fn backspace_takes_back_whole_characters() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    ann.type_in("hellx\x7fo");
    ann.typed("hello");
    ann.type_in("\r");
    bob.message("hello");
    ann.type_in("grü\u{7f}\u{7f}ün 漢字\u{7f}");
    ann.typed("gün 漢");
    ann.type_in("\r");
    bob.message("gün 漢");
    ann.type_in("\x7f\x7f\x7fstill fine\r");
    bob.message("still fine");
}

#[test]
fn pasted_lines_are_all_sent() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    ann.type_in("one\rtwo\rthree\r");
    for text in ["one", "two", "three"] {
        bob.message(text);
    }
    assert_eq!(bob.texts(), ["one", "two", "three"]);
}

#[test]
fn blank_lines_are_nothing() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    ann.type_in("\r   \r\rafter\r");
    bob.message("after");
    assert_eq!(bob.texts(), ["after"]);
}

#[test]
fn an_unknown_command_says_so_and_sends_nothing() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    ann.type_in("/dance with me\r");
    ann.shows("unknown command /dance");
    ann.type_in("\x15//dance\r");
    bob.message("/dance");
    assert_eq!(bob.texts(), ["/dance"]);
}

#[test]
fn an_impostor_is_warned_of_above_the_prompt_and_trusted_by_a_command() {
    let net = Net::new();
    let node = |host, n: &str| {
        let dir = net.directory().join(n);
        let state = dir.to_str().expect("UTF-8");
        net.bare(&["-n", "bob", "-a", &net.address(host), "-g", &net.group(), "--state-dir", state, "--json"]).start()
    };
    let mut ann = Terminal::chat(&net, "ann", 2, 160);
    let _bob = node(3, "bob");
    ann.shows("bob joined");
    ann.type_in("half a sen");
    let mut eve = node(4, "eve");
    let id = eve.event("ready")["id"].as_str().expect("an id").to_owned();
    let label = format!("bob~{}", &id[..5]);
    ann.shows(&format!("{label} joined"));
    ann.shows(&format!("udpnode: {label} is NOT the bob you know"));
    ann.typed("half a sen");
    ann.type_in(&format!("\x15/verify {label}\r"));
    ann.shows("let it read them to you");
    ann.type_in(&format!("/trust {label}\r"));
    ann.shows(&format!("bob is ~{} from now on", &id[..5]));
}

#[test]
fn help_lists_the_commands() {
    let net = Net::new();
    let (mut ann, bob) = pair(&net, 160);
    ann.type_in("/help\r");
    for command in ["/who", "/nick NAME", "/trust NAME", "/verify", "/cast", "/quit", "//text"] {
        ann.shows(command);
    }
    assert_eq!(bob.texts(), Vec::<String>::new());
}

#[test]
fn who_lists_the_peers_with_their_addresses() {
    let net = Net::new();
    let (mut ann, _bob) = pair(&net, 80);
    let _cat = net.listener("cat", 4);
    ann.shows("cat joined");
    ann.type_in("/who\r");
    let (bob, cat) = (format!("{}:5003", net.address(3)), format!("{}:5004", net.address(4)));
    ann.until("who names both with their addresses", |t| {
        let shown = t.contents();
        let who = shown.rfind("/who").map_or(shown.as_str(), |at| &shown[at..]);
        [("bob", &bob), ("cat", &cat)].iter().all(|(name, addr)| who.contains(name) && who.contains(addr.as_str()))
    });
}

#[test]
fn nick_renames_for_everybody() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    let id = bob.joined("ann")["id"].clone();
    ann.type_in("/nick anna\r");
    ann.type_in("it is me\r");
    assert_eq!(bob.message("it is me")["id"], id);
    ann.type_in("/nick a b\r");
    ann.shows("a name is one word");
    ann.type_in("\x15\x04");
    ann.ends(0);
    assert_eq!(bob.event("left")["peer"], "anna");
}

#[test]
fn cast_shows_and_changes_what_carries() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    ann.type_in("/cast\r");
    ann.shows("auto");
    for cast in ["broadcast", "unicast", "multicast"] {
        ann.type_in(&format!("/cast {cast}\r"));
        ann.type_in(&format!("by {cast}\r"));
        assert_eq!(bob.message(&format!("by {cast}"))["cast"], cast);
    }
    ann.type_in("/cast pigeon\r");
    ann.shows("a cast is one of");
}

#[test]
fn every_way_out_restores_the_terminal() {
    for (keys, code) in [("\x04", 0), ("/quit\r", 0), ("!exit\r", 0), ("\x03", 130), ("half a line\x03", 130)] {
        let net = Net::new();
        let (mut ann, mut bob) = pair(&net, 80);
        ann.type_in(keys);
        ann.ends(code);
        bob.event_where("left", |v| v["peer"] == "ann");
    }
}

#[test]
fn signals_restore_the_terminal() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let net = Net::new();
        let (mut ann, mut bob) = pair(&net, 80);
        ann.type_in("half a line");
        ann.typed("half a line");
        ann.signal(signal);
        ann.ends(code);
        bob.event_where("left", |v| v["peer"] == "ann");
    }
}

#[test]
fn a_terminal_that_is_closed_makes_129_after_the_bye() {
    let net = Net::new();
    let (ann, mut bob) = pair(&net, 80);
    assert_eq!(ann.hang_up(), Some(129));
    bob.event_where("left", |v| v["peer"] == "ann");
}

#[test]
fn what_strangers_send_does_not_steer_the_terminal() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    ann.type_in("draft");
    ann.typed("draft");
    let nasty = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{1b}[?1049h\u{1b}c\u{8}\u{8}\u{202e}";
    net.datagram(9, &format!("{}:5002", net.address(2)), format!("{nasty}plain").as_bytes());
    ann.shows("(plain)");
    bob.say(&format!("{nasty}native"));
    ann.shows("native");
    ann.typed("draft");
    ann.shows("bob joined");
    let raw = String::from_utf8_lossy(ann.raw()).into_owned();
    for bytes in ["\u{1b}]0;owned", "\u{1b}[2J\u{1b}]", "\u{1b}[?1049h", "\u{1b}c", "\u{9b}", "\u{202e}"] {
        assert!(!raw.contains(bytes), "{} in {}", bytes.escape_debug(), raw.escape_debug());
    }
}

#[test]
fn alone_it_waits_for_somebody() {
    let net = Net::new();
    let mut ann = Terminal::chat(&net, "ann", 2, 80);
    ann.type_in("draft");
    ann.typed("draft");
    let mut bob = net.node("bob", 3).args(&["--json"]).start();
    ann.shows("bob joined");
    bob.joined("ann");
    ann.typed("draft");
    ann.type_in(" sent\r");
    bob.message("draft sent");
}

#[test]
fn in_plain_mode_every_line_is_text_but_quit() {
    let net = Net::new();
    let mut bob = net.node("bob", 3).args(&["--plain", "--json", "--stay"]).start();
    bob.event("ready");
    let mut ann = Terminal::chat_with(&net, "ann", 2, 80, &["--plain"]);
    bob.message("ann: Entering user");
    ann.type_in("/who\r");
    bob.message("ann: /who");
    ann.shows("ann: /who");
    bob.say("hello");
    ann.shows("(plain): bob: hello");
    ann.type_in("quit\r");
    bob.message("ann: quit");
    ann.ends(0);
}

#[test]
fn who_hears_whom_is_shown_in_colours_and_a_message_with_its_way() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 100);
    ann.type_in("/paths\r");
    ann.shows("2 bob");
    ann.shows("not told; of others, as they say");
    let coloured = |raw: &[u8]| raw.windows(9).any(|part| part == b"\x1b[32mM\x1b[0");
    ann.until("M in green", |ann| coloured(ann.raw()));
    ann.type_in("/why bob\r");
    ann.shows("what I say to the group reaches bob");
    ann.type_in("/trace\r");
    ann.shows("from now on each message is shown with the way it came");
    bob.say("hello ann");
    ann.shows("bob: hello ann  [multicast on lo, 0 hops, TTL 2 left, ");
    ann.type_in("/trace\r");
    ann.shows("without the way they came");
    bob.say("once more");
    ann.shows("bob: once more");
    assert!(!ann.contents().contains("once more  ["), "{}", ann.contents());
}

#[test]
fn a_terminal_that_nobody_reads_any_more_holds_up_nothing_but_itself() {
    let net = Net::new();
    let (mut ann, mut bob) = pair(&net, 80);
    // More than a terminal holds, less than what is kept for a slow reader.
    let text = "as on a link that died ".repeat(4);
    for n in 1..=400 {
        bob.say(&format!("{n} {text}"));
    }
    bob.event_where("delivered", |v| v["seq"] == 400 && v["confirmed"] == 1);
    ann.signal(Signal::SIGTERM);
    bob.event_where("left", |v| v["peer"] == "ann");
    ann.ends(143);
}

#[test]
fn what_is_stopped_can_be_continued_and_ended() {
    for before in ["", "bg; "] {
        let net = Net::new();
        let mut bob = net.node("bob", 3).args(&["--json"]).start();
        bob.event("ready");
        let mut shell = Terminal::shell(160);
        shell.shows("$");
        // It tells at once how what runs in it ends.
        shell.type_in("set -b\r");
        shell.type_in(&format!("{} -n ann -a {} -g {} --ephemeral\r", driver::BIN, net.address(2), net.group()));
        shell.shows("bob joined");
        shell.type_in("\x1a");
        shell.shows("Stopped");
        shell.type_in("fg\rhere again\r");
        bob.message("here again");
        shell.type_in("\x1a");
        shell.until("it is stopped once more", |shell| shell.contents().matches("Stopped").count() == 2);
        if !before.is_empty() {
            // From the background it comes back with its line editor as well.
            shell.type_in("bg\r");
            shell.until("it goes on behind", |shell| shell.contents().contains("--ephemeral &"));
            shell.type_in("echo $((6 * 7))\r");
            shell.shows("42");
            bob.say("are you there?");
            shell.shows("are you there?");
            let told = shell.contents().matches("--ephemeral").count();
            shell.type_in("fg\r");
            shell.until("it is in front", |shell| shell.contents().matches("--ephemeral").count() > told);
            shell.type_in("not this\x15but this\r");
            bob.message("but this");
            shell.type_in("\x1a");
            shell.until("it is stopped again", |shell| shell.contents().matches("Stopped").count() == 3);
        }
        shell.type_in(&format!("{before}kill %1\r"));
        bob.event_where("left", |v| v["peer"] == "ann");
        shell.shows("Exit 143");
    }
}

/// Ann's terminal holds a part of a row, and nobody reads the rest.
fn amid_a_row(shell: &mut Terminal, bob: &mut Node) {
    // More than a terminal holds, less than what is kept for a slow reader.
    for _ in 0..5 {
        bob.say(&"grün ".repeat(1400));
    }
    bob.event_where("delivered", |v| v["seq"] == 5 && v["confirmed"] == 1);
    shell.until("a row is written in part", |shell| !shell.wraps());
}

#[test]
fn whoever_ends_it_amid_a_row_has_a_terminal_that_wraps() {
    for (keys, code) in [("\x1c", 131), ("\x03", 130)] {
        let net = Net::new();
        let (mut ann, mut bob) = pair(&net, 80);
        amid_a_row(&mut ann, &mut bob);
        ann.type_in(keys);
        ann.ends(code);
    }
}

/// A shell in which ann runs, in front.
fn shell_with_ann(net: &Net, columns: u16) -> (Terminal, Node) {
    shell_and_ann(net, columns, "")
}

/// A shell in which ann runs: in front, or behind if `how` is an ampersand.
fn shell_and_ann(net: &Net, columns: u16, how: &str) -> (Terminal, Node) {
    let mut bob = net.node("bob", 3).args(&["--json"]).start();
    bob.event("ready");
    let mut shell = Terminal::shell(columns);
    shell.shows("$");
    // It tells at once how what runs in it ends.
    shell.type_in("set -b\r");
    shell.type_in(&format!("{} -n ann -a {} -g {} --ephemeral {how}\r", driver::BIN, net.address(2), net.group()));
    shell.shows("bob joined");
    (shell, bob)
}

/// Ann, who runs behind, is brought in front, says something there and is stopped.
fn brings_in_front_and_stops(shell: &mut Terminal, bob: &mut Node) {
    let told = shell.contents().matches("--ephemeral").count();
    // No signal tells who runs behind that it is in front, and what was typed before that has been there all the time.
    shell.type_in("sleep 0.3; fg\rin front\r");
    shell.until("it is in front", |shell| shell.contents().matches("--ephemeral").count() > told);
    bob.message("in front");
    shell.type_in("half\x01x");
    shell.shows("> xhalf");
    shell.type_in("\r");
    bob.message("xhalf");
    shell.type_in("\x1a");
}

fn ends_it_by_kill(shell: &mut Terminal, bob: &mut Node) {
    shell.type_in("kill %1\r");
    bob.event_where("left", |v| v["peer"] == "ann");
    shell.shows("Exit 143");
    assert!(!shell.contents().contains("tty output"), "{}", shell.contents());
}

#[test]
fn whoever_stops_it_amid_a_row_has_a_terminal_that_wraps() {
    let net = Net::new();
    let (mut shell, mut bob) = shell_with_ann(&net, 120);
    amid_a_row(&mut shell, &mut bob);
    shell.type_in("\x1a");
    shell.shows("Stopped");
    assert!(shell.wraps());
    shell.type_in("kill %1; fg\r");
    bob.event_where("left", |v| v["peer"] == "ann");
}

#[test]
fn what_is_stopped_without_a_word_can_go_on_behind_and_in_front() {
    for in_front in [true, false] {
        let net = Net::new();
        let (mut shell, mut bob) = shell_with_ann(&net, 200);
        kill(shell.job(), Signal::SIGSTOP).expect("it runs");
        shell.shows("Stopped");
        shell.type_in("bg\r");
        shell.until("it goes on behind", |shell| shell.contents().contains("--ephemeral &"));
        bob.say("are you there?");
        shell.shows("are you there?");
        // Only who is in front is told that the window has another width.
        shell.resize(60);
        bob.say(&format!("{}12:04:06 alice: the key is 7", "x".repeat(46)));
        shell.shows("the key is 7");
        assert!(!begins(&shell, "12:04:06 alice"), "{}", shell.contents());
        if in_front {
            brings_in_front_and_stops(&mut shell, &mut bob);
            shell.until("it is stopped again", |shell| shell.contents().matches("Stopped").count() == 2);
        }
        ends_it_by_kill(&mut shell, &mut bob);
    }
}

#[test]
fn what_is_started_behind_can_be_ended_there_and_brought_in_front() {
    for in_front in [true, false] {
        let net = Net::new();
        let (mut shell, mut bob) = shell_and_ann(&net, 200, "&");
        shell.type_in("echo $((6 * 7))\r");
        shell.shows("42");
        if in_front {
            brings_in_front_and_stops(&mut shell, &mut bob);
            shell.shows("Stopped");
        }
        ends_it_by_kill(&mut shell, &mut bob);
    }
}

#[test]
fn a_drawing_is_shown_as_it_is_to_be_copied() {
    let net = Net::new();
    let (mut ann, _bob) = pair(&net, 40);
    ann.type_in("/paths --dot\r");
    // What is written passes through the terminal, which adds to line ends.
    let drawn = |ann: &Terminal| String::from_utf8_lossy(ann.raw()).replace('\r', "");
    ann.until("it is drawn", |ann| drawn(ann).contains("\n}\n"));
    let raw = drawn(&ann);
    let nodes: Vec<&str> = raw.lines().filter(|row| row.contains("[label=\"bob")).collect();
    assert!(nodes.len() == 1 && nodes[0].starts_with("  \"") && nodes[0].ends_with("];"), "{raw:?}");
    ann.type_in("still here");
    ann.typed("> still here");
}

//! Drives real nodes over loopback: start one, wait for what it tells, end it.
//!
//! Nothing here sleeps: every wait is for an event, with a deadline. Each test has addresses and a
//! group of its own, so that tests that run at the same time do not meet.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;

/// The program under test.
pub(crate) const BIN: &str = env!("CARGO_BIN_EXE_udpnode");

/// Long enough for a loaded machine; whoever waits that long has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

static NETS: AtomicU32 = AtomicU32::new(1);

/// Addresses and a group for one test.
pub(crate) struct Net {
    third: u32,
    second: u32,
    names: AtomicU32,
}

impl Net {
    pub(crate) fn new() -> Self {
        let third = NETS.fetch_add(1, Ordering::Relaxed);
        assert!(third < 250, "a test binary has at most 250 nets");
        Self { third, second: 1 + std::process::id() % 250, names: AtomicU32::new(0) }
    }

    /// A loopback address of this test's.
    pub(crate) fn address(&self, host: u8) -> String {
        format!("127.{}.{}.{host}", self.second, self.third)
    }

    pub(crate) fn group(&self) -> String {
        format!("239.193.{}.{}:{}", self.second, self.third, 20_000 + self.third)
    }

    /// A command line with a name, an address and this test's group, without a state directory.
    pub(crate) fn node(&self, name: &str, host: u8) -> Run {
        self.bare(&["-n", name, "-a", &self.address(host), "-g", &self.group(), "--ephemeral"])
    }

    /// A listener that tells JSON and outlives its input.
    pub(crate) fn listener(&self, name: &str, host: u8) -> Node {
        let mut node = self.node(name, host).args(&["--json", "--stay"]).stdin(Stdio::null()).start();
        node.event("ready");
        node
    }

    /// A command line of these arguments alone, in an environment without surprises.
    pub(crate) fn bare(&self, args: &[&str]) -> Run {
        let mut command = Command::new(BIN);
        command.args(args).env_remove("UDPNODE_NAME").env("XDG_STATE_HOME", self.directory()).env("TZ", "UTC");
        Run { command, stdin: Some(Stdio::piped()) }
    }

    /// A directory of this test's, new at every call.
    pub(crate) fn directory(&self) -> PathBuf {
        let n = self.names.fetch_add(1, Ordering::Relaxed);
        let path =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}-{}-{n}", std::process::id(), self.third));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    /// A file that holds these bytes.
    pub(crate) fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.directory().join("input");
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// Sends one datagram that is not of our protocol; the address it came from.
    pub(crate) fn datagram(&self, from_host: u8, to: &str, bytes: &[u8]) -> String {
        let socket = UdpSocket::bind((self.address(from_host), 0)).expect("an address");
        socket.send_to(bytes, to).expect("sent");
        socket.local_addr().expect("bound").to_string()
    }
}

/// A node that is about to start.
pub(crate) struct Run {
    command: Command,
    stdin: Option<Stdio>,
}

impl Run {
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Standard input is a regular file of these bytes.
    pub(crate) fn file(self, net: &Net, bytes: &[u8]) -> Self {
        self.stdin(File::open(net.file(bytes)).expect("readable"))
    }

    pub(crate) fn start(mut self) -> Node {
        let stdin = self.stdin.take().unwrap_or_else(Stdio::null);
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the program starts");
        let out = child.stdout.take().expect("piped");
        let err = child.stderr.take().expect("piped");
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || pump(out, &tell));
        let errors = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&errors);
        std::thread::spawn(move || collect(err, &keep));
        Node { stdin: child.stdin.take(), child, lines, seen: Vec::new(), errors, status: None }
    }

    /// Starts it and gives it this input, all at once.
    pub(crate) fn feed(self, input: &[u8]) -> Node {
        let mut node = self.start();
        let mut stdin = node.stdin.take().expect("piped");
        let input = input.to_vec();
        // The node may leave its input in the pipe until it is wanted.
        std::thread::spawn(move || stdin.write_all(&input));
        node
    }
}

fn pump(mut out: impl Read, tell: &mpsc::Sender<Vec<u8>>) {
    let mut rest = Vec::new();
    let mut buf = [0; 16 * 1024];
    while let Ok(n @ 1..) = out.read(&mut buf) {
        rest.extend_from_slice(&buf[..n]);
        while let Some(end) = rest.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if tell.send(line).is_err() {
                return;
            }
        }
    }
    if !rest.is_empty() {
        let _ = tell.send(rest);
    }
}

fn collect(mut from: impl Read, into: &Mutex<Vec<u8>>) {
    let mut buf = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buf) {
        into.lock().expect("no panic").extend_from_slice(&buf[..n]);
    }
}

/// A node that runs. Killed when it goes out of scope.
pub(crate) struct Node {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    seen: Vec<Vec<u8>>,
    errors: Arc<Mutex<Vec<u8>>>,
    status: Option<ExitStatus>,
}

impl Node {
    /// Writes a line to its standard input.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        stdin.write_all(line.as_bytes()).and_then(|()| stdin.write_all(b"\n")).expect("it reads");
    }

    /// Ends its standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        signal::kill(pid, signal).expect("it runs");
    }

    /// The first line so far, or from now on, that fits.
    fn find<T>(&mut self, what: &str, fits: impl Fn(&[u8]) -> Option<T>) -> T {
        if let Some(found) = self.seen.iter().find_map(|line| fits(line)) {
            return found;
        }
        let start = Instant::now();
        loop {
            match self.lines.recv_timeout(DEADLINE.saturating_sub(start.elapsed())) {
                Ok(line) => {
                    let found = fits(&line);
                    self.seen.push(line);
                    if let Some(found) = found {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what} in {DEADLINE:?}{}", self.story()),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without {what}{}", self.story()),
            }
        }
    }

    /// The first event of this kind.
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        self.event_where(kind, |_| true)
    }

    /// The first event of this kind that fits.
    pub(crate) fn event_where(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.find(kind, |line| {
            let value = json(line);
            (value["event"] == kind && fits(&value)).then_some(value)
        })
    }

    /// The message that says this.
    pub(crate) fn message(&mut self, text: &str) -> Value {
        self.event_where("message", |v| v["text"] == text)
    }

    /// The peer of this name has joined.
    pub(crate) fn joined(&mut self, peer: &str) -> Value {
        self.event_where("joined", |v| v["peer"] == peer)
    }

    /// The first line that holds all these parts, in this order.
    pub(crate) fn line(&mut self, parts: &[&str]) -> String {
        self.find(&format!("line of {parts:?}"), |line| {
            let text = String::from_utf8_lossy(line).trim_end_matches('\n').to_string();
            let mut rest = text.as_str();
            for part in parts {
                rest = &rest[rest.find(part)? + part.len()..];
            }
            Some(text)
        })
    }

    /// What it has told so far, or until it ended: every event of this kind.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        self.seen.iter().map(|line| json(line)).filter(|v| v["event"] == kind).collect()
    }

    /// The texts of the messages so far, in order.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.events("message").iter().map(|v| v["text"].as_str().unwrap_or_default().to_string()).collect()
    }

    /// All of its standard output, once it has ended.
    pub(crate) fn output(&self) -> Vec<u8> {
        self.seen.concat()
    }

    /// Its standard error so far; all of it once it has ended.
    pub(crate) fn errors(&self) -> String {
        String::from_utf8_lossy(&self.errors.lock().expect("no panic")).into_owned()
    }

    /// Waits for its end; its exit status.
    pub(crate) fn exit(&mut self) -> i32 {
        let start = Instant::now();
        loop {
            match self.lines.recv_timeout(DEADLINE.saturating_sub(start.elapsed())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("still running after {DEADLINE:?}{}", self.story()),
            }
        }
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            assert!(start.elapsed() < DEADLINE, "closed its output but still runs{}", self.story());
            std::thread::park_timeout(Duration::from_millis(5));
        };
        self.status = Some(status);
        // Its standard error ends with it; whoever collects it needs a moment.
        while Arc::strong_count(&self.errors) > 1 && start.elapsed() < DEADLINE {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        status.code().unwrap_or_else(|| panic!("{status}{}", self.story()))
    }

    /// Waits for the end of a node that was killed.
    pub(crate) fn wait_killed(&mut self) {
        self.status = Some(self.child.wait().expect("our child"));
    }

    /// Asserts how it ends.
    pub(crate) fn exits(&mut self, code: i32) {
        let got = self.exit();
        assert_eq!(got, code, "exit status{}", self.story());
    }

    /// No longer reads its standard output.
    pub(crate) fn close_output(&mut self) {
        self.lines = mpsc::channel().1;
    }

    /// Everything it told, for the reader of a failure.
    pub(crate) fn story(&self) -> String {
        let mut story = String::from("\n");
        for line in self.seen.iter().rev().take(40).rev() {
            let text = String::from_utf8_lossy(line);
            let cut: String = text.chars().take(300).collect();
            let _ = writeln!(story, "  out: {}", cut.trim_end().escape_debug());
        }
        for line in self.errors().lines().take(40) {
            let _ = writeln!(story, "  err: {}", line.escape_debug());
        }
        story
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn json(line: &[u8]) -> Value {
    serde_json::from_slice(line)
        .unwrap_or_else(|e| panic!("not JSON: {e}: {}", String::from_utf8_lossy(line).escape_debug()))
}

/// Asserts that bytes do nothing to a terminal but show text.
pub(crate) fn harmless(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let bad = text.chars().find(|&c| c.is_control() && c != '\n' && c != '\t');
    assert_eq!(bad, None, "in {}", text.escape_debug());
    let hidden = text.chars().find(|c| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'));
    assert_eq!(hidden, None, "in {}", text.escape_debug());
}

//! A terminal with the program in it: type, and see what a person sees.
//!
//! `setsid --ctty` of util-linux makes the pty the controlling terminal, so that Ctrl-C and
//! hang-ups come from the kernel as they do in real life.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::time::Instant;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;

use crate::driver::{BIN, DEADLINE, Net};

const ROWS: u16 = 24;

const fn some(size: u16) -> NonZero<u16> {
    NonZero::new(size).expect("a window has rows and columns")
}

/// The program in a terminal of its own. Killed when it goes out of scope.
pub(crate) struct Terminal {
    master: File,
    /// Kept open, so that its settings can be read when the program is gone.
    slave: OwnedFd,
    child: Child,
    screen: vt100::Parser,
    raw: Vec<u8>,
    before: Termios,
}

impl Terminal {
    /// A chat under this name, as wide as asked for.
    pub(crate) fn chat(net: &Net, name: &str, host: u8, columns: u16) -> Self {
        Self::chat_with(net, name, host, columns, &[])
    }

    /// The same with more options.
    pub(crate) fn chat_with(net: &Net, name: &str, host: u8, columns: u16, options: &[&str]) -> Self {
        let (address, group) = (net.address(host), net.group());
        let usual = [BIN, "-n", name, "-a", &address, "-g", &group, "--ephemeral"];
        Self::running(&[&usual, options].concat(), columns)
    }

    /// One that listens, with nothing to type in.
    pub(crate) fn listener(net: &Net, name: &str, host: u8, columns: u16) -> Self {
        let (address, group) = (net.address(host), net.group());
        let node = [BIN, "-n", name, "-a", &address, "-g", &group, "--ephemeral", "--stay"];
        Self::running(&[&["sh", "-c", "exec \"$@\" </dev/null", "sh"], &node[..]].concat(), columns)
    }

    /// An interactive shell, which can stop and continue what is started in it.
    pub(crate) fn shell(columns: u16) -> Self {
        Self::running(&["bash", "--norc", "--noprofile", "-i"], columns)
    }

    fn running(command: &[&str], columns: u16) -> Self {
        let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a pty");
        // Whoever has the other end keeps the terminal from being closed.
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("set");
        }
        let before = tcgetattr(&pty.slave).expect("settings");
        let slave = || pty.slave.try_clone().expect("a descriptor");
        let child = Command::new("setsid")
            .arg("--ctty")
            .args(command)
            .env("PS1", "$ ")
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .env_remove("NO_COLOR")
            .env_remove("UDPNODE_NAME")
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .expect("setsid of util-linux");
        let screen = vt100::Parser::new(some(ROWS), some(columns), 0);
        Self { master: File::from(pty.master), slave: pty.slave, child, screen, raw: Vec::new(), before }
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")), signal).expect("it runs");
    }

    /// The program that this shell runs.
    pub(crate) fn job(&self) -> Pid {
        let shell = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).expect("its children");
        Pid::from_raw(children.trim().parse().expect("one child"))
    }

    /// What the screen shows.
    pub(crate) fn contents(&self) -> String {
        self.screen.screen().contents()
    }

    /// The same row by row.
    pub(crate) fn rows(&self) -> Vec<String> {
        self.screen.screen().rows(0, self.screen.screen().size().1.get()).collect()
    }

    /// Gives the window another width; the program is told by a signal.
    pub(crate) fn resize(&mut self, columns: u16) {
        let slave = self.slave.try_clone().expect("a descriptor");
        let set = Command::new("stty").args(["columns", &columns.to_string()]).stdin(slave).status().expect("stty");
        assert!(set.success(), "{set}");
        self.screen.screen_mut().set_size(some(ROWS), some(columns));
    }

    /// Every byte that was written to the terminal.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Whether the terminal breaks what is wider than it is, as it did before.
    pub(crate) fn wraps(&self) -> bool {
        let last = |sequence: &[u8]| self.raw.windows(sequence.len()).rposition(|part| part == sequence);
        last(b"\x1b[?7h") >= last(b"\x1b[?7l")
    }

    /// The row the cursor is in.
    pub(crate) fn cursor_row(&self) -> String {
        let (row, _) = self.screen.screen().cursor_position();
        let columns = self.screen.screen().size().1;
        self.screen.screen().rows(0, columns.get()).nth(usize::from(row)).unwrap_or_default()
    }

    /// Reads what is written within a moment; false if nothing is.
    fn take(&mut self) -> bool {
        let mut ready = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::from(50u8)).expect("poll") == 0 {
            return false;
        }
        let mut buf = [0; 4096];
        let n = self.master.read(&mut buf).unwrap_or(0);
        self.screen.process(&buf[..n]);
        self.raw.extend_from_slice(&buf[..n]);
        n > 0
    }

    /// Waits until the screen is as it should be.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            self.take();
            assert!(start.elapsed() < DEADLINE, "not so: {what}; the screen:\n{}\n--", self.contents());
        }
    }

    /// Waits until the screen shows this.
    pub(crate) fn shows(&mut self, text: &str) {
        self.until(&format!("shows {text:?}"), |t| t.contents().contains(text));
    }

    /// Waits until the cursor stands behind this, at the end of its row.
    pub(crate) fn typed(&mut self, text: &str) {
        self.until(&format!("{text:?} stands at the cursor"), |t| t.cursor_row().trim_end().ends_with(text));
    }

    /// Closes the terminal, as a window or a connection is closed; the exit status.
    pub(crate) fn hang_up(mut self) -> Option<i32> {
        self.master = File::open("/dev/null").expect("there");
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status.code();
            }
            assert!(start.elapsed() < DEADLINE, "still runs");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Waits for its end, asserts the exit status and that the terminal is as it was.
    pub(crate) fn ends(&mut self, code: i32) {
        let start = Instant::now();
        let status = loop {
            self.take();
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            assert!(start.elapsed() < DEADLINE, "still runs; the screen:\n{}\n--", self.contents());
        };
        while self.take() {}
        assert_eq!(status.code(), Some(code), "{status}; the screen:\n{}\n--", self.contents());
        let after = tcgetattr(&self.slave).expect("settings");
        let all = |t: &Termios| {
            let codes = t.control_chars;
            (t.input_flags, t.output_flags, t.control_flags, t.local_flags, codes)
        };
        assert_eq!(all(&self.before), all(&after), "the settings are restored");
        assert!(self.wraps(), "long lines are wrapped");
        assert!(!self.screen.screen().hide_cursor(), "the cursor is visible");
        assert!(!self.screen.screen().alternate_screen(), "the screen is the usual one");
        assert!(!self.screen.screen().bracketed_paste(), "bracketed paste is off");
        assert_eq!(self.screen.screen().cursor_position().1, 0, "the shell's prompt begins a row");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

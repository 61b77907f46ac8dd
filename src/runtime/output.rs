//! Standard output: a bounded queue in front of a reader that may be slow, stopped or gone.
//!
//! Nothing here blocks: descriptor 1 stays as the parent shell shares it, so poll(2) is asked
//! before each write, and no write is larger than what poll(2) promises to be taken whole. Of a
//! terminal that is no promise: whoever holds the other end may stop reading in the midst of it.
//! Nor is it of a pipe into which others write as well. So both are opened once more, for us alone, and there
//! writing does not block.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Stderr, Stdout};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{isatty, write};

use super::terminal;

/// Bytes in the queue at which the reader counts as too slow.
const HIGH: usize = 64 * 1024;

/// Bytes in the queue at which a slow reader has caught up.
const LOW: usize = 16 * 1024;

/// Most bytes in the queue. What comes when it is full is left out and counted; what finds it empty is taken whatever
/// its size, since it would never find more room.
const QUEUE_MAX: usize = 4 << 20;

/// Most bytes written at once: what a pipe that is ready takes whole.
const WRITE_MAX: usize = 4096;

/// The same for a terminal.
const WRITE_TERMINAL_MAX: usize = 512;

/// How long to wait for a terminal that says it is ready and takes nothing, in milliseconds.
const NAP_MS: u8 = 5;

/// How long a reader may take nothing before the rest is given up, at the end; longer where the
/// person waits longer for other things.
const PATIENCE: Duration = Duration::from_secs(2);

/// What became of the reader.
#[derive(Debug)]
pub(crate) enum Reader {
    /// It takes what it takes.
    There,
    /// It closed its end: nobody is interested any more.
    Gone,
    /// What it reads cannot be written: a disk is full, a device broken.
    Failed(io::Error),
}

/// A standard stream, by a description of our own where it is a terminal or a pipe that can be opened once more.
struct Sink<T> {
    shared: T,
    own: Option<File>,
}

impl<T: AsFd + AsRawFd> Sink<T> {
    fn new(shared: T) -> Self {
        let own = if isatty(&shared).unwrap_or(false) || is_pipe(&shared) { terminal::own(&shared) } else { None };
        Self { own, shared }
    }
}

fn is_pipe(stream: impl AsFd) -> bool {
    fstat(stream).is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFIFO.bits())
}

impl<T: AsFd> AsFd for Sink<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.own.as_ref().map_or_else(|| self.shared.as_fd(), AsFd::as_fd)
    }
}

/// Standard output.
pub(crate) struct Output {
    sink: Sink<Stdout>,
    queue: VecDeque<u8>,
    terminal: bool,
    /// Too slow: told so, and not caught up since.
    slow: bool,
    /// Nothing can be written any more.
    closed: bool,
    /// Lines left out because the queue was full.
    left_out: u64,
}

impl Output {
    /// Standard output, with `token` for what epoll tells about it.
    pub(crate) fn open(registry: &Registry, token: Token) -> Self {
        let sink = Sink::new(io::stdout());
        // Refused for files, which are always ready. Registered for good: that a reader is gone is
        // told even when there is nothing to write.
        let _ = registry.register(&mut SourceFd(&sink.as_fd().as_raw_fd()), token, Interest::WRITABLE);
        Self { sink, terminal: Self::is_terminal(), ..Self::detached() }
    }

    /// A queue that nothing empties but [`Output::take`]: for the fuzzers.
    pub(crate) fn detached() -> Self {
        let sink = Sink { shared: io::stdout(), own: None };
        Self { sink, queue: VecDeque::new(), terminal: true, slow: false, closed: false, left_out: 0 }
    }

    /// What waits in the queue, which is empty then.
    pub(crate) fn take(&mut self) -> String {
        let bytes: Vec<u8> = self.queue.drain(..).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether standard output is a terminal.
    pub(crate) fn is_terminal() -> bool {
        isatty(io::stdout()).unwrap_or(false)
    }

    /// Whether this goes to a terminal.
    pub(crate) const fn terminal(&self) -> bool {
        self.terminal
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Puts text into the queue: whole, or not at all when that is full.
    pub(crate) fn push(&mut self, text: &str) {
        if self.closed {
            return;
        }
        if !self.queue.is_empty() && self.queue.len() + text.len() > QUEUE_MAX {
            self.left_out += 1;
            return;
        }
        self.queue.extend(text.as_bytes());
    }

    /// Whether the reader became too slow (`Some(false)`) or caught up (`Some(true)`).
    pub(crate) fn reader_change(&mut self) -> Option<bool> {
        if !self.slow && self.queue.len() > HIGH {
            self.slow = true;
            return Some(false);
        }
        if self.slow && self.queue.len() < LOW {
            self.slow = false;
            return Some(true);
        }
        None
    }

    /// How many lines were left out, once the reader has caught up.
    pub(crate) fn take_left_out(&mut self) -> u64 {
        if self.queue.len() < LOW { std::mem::take(&mut self.left_out) } else { 0 }
    }

    /// Writes as much as the reader takes now.
    pub(crate) fn write(&mut self) -> Reader {
        while !self.queue.is_empty() {
            match self.state(PollTimeout::ZERO) {
                State::Busy => return Reader::There,
                State::Gone => return self.close(Reader::Gone),
                State::Ready => {}
            }
            let most = if self.terminal { WRITE_TERMINAL_MAX } else { WRITE_MAX };
            let part = self.queue.as_slices().0;
            let part = &part[..part.len().min(most)];
            match write(&self.sink, part) {
                Ok(len) => drop(self.queue.drain(..len)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Reader::There,
                Err(Errno::EPIPE | Errno::ECONNRESET) => return self.close(Reader::Gone),
                // The terminal is gone.
                Err(Errno::EIO) if self.terminal => return self.close(Reader::Gone),
                Err(why) => return self.close(Reader::Failed(why.into())),
            }
        }
        Reader::There
    }

    /// Whether the reader is still there, asked when epoll tells something.
    pub(crate) fn look(&mut self) -> Reader {
        match self.state(PollTimeout::ZERO) {
            State::Gone => self.close(Reader::Gone),
            State::Busy | State::Ready => Reader::There,
        }
    }

    /// Writes the rest, as long as the reader takes something now and then, at least each `wait`, and
    /// `go_on` allows; says how many lines nobody took.
    ///
    /// # Errors
    /// Why the rest cannot be written.
    pub(crate) fn flush(&mut self, wait: Duration, mut go_on: impl FnMut() -> bool) -> io::Result<u64> {
        let mut progress = Instant::now();
        let mut left = self.queue.len();
        loop {
            match self.write() {
                Reader::There => {}
                Reader::Gone => return Ok(0),
                Reader::Failed(why) => return Err(why),
            }
            if self.queue.len() < left {
                (left, progress) = (self.queue.len(), Instant::now());
            }
            if self.queue.is_empty() || progress.elapsed() > wait.max(PATIENCE) || !go_on() {
                let lines = self.queue.iter().filter(|&&byte| byte == b'\n').count();
                return Ok(self.left_out + lines as u64);
            }
            if let State::Ready = self.state(PollTimeout::from(50_u8)) {
                // A terminal with a little room may take nothing of it.
                let _ = poll(&mut [], PollTimeout::from(NAP_MS));
            }
        }
    }

    fn close(&mut self, reader: Reader) -> Reader {
        self.closed = true;
        self.queue.clear();
        reader
    }

    fn state(&self, wait: PollTimeout) -> State {
        if self.closed {
            return State::Gone;
        }
        let mut fds = [PollFd::new(self.sink.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut fds, wait).unwrap_or(0) == 0 {
            return State::Busy;
        }
        let told = fds[0].revents().unwrap_or(PollFlags::empty());
        if told.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
            State::Gone
        } else {
            State::Ready
        }
    }
}

/// What poll(2) tells.
enum State {
    Ready,
    Busy,
    Gone,
}

/// Writes a line to standard error, if it can be written at once: nobody there is worth waiting for.
pub(crate) fn complain(text: &str) {
    let stderr: Sink<Stderr> = Sink::new(io::stderr());
    let line = terminal::rows_for(format!("udpnode: {text}\n"), &io::stderr());
    for part in line.as_bytes().chunks(WRITE_TERMINAL_MAX) {
        let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut fds, PollTimeout::ZERO).unwrap_or(0) == 0 || write(&stderr, part) != Ok(part.len()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output() -> Output {
        Output { terminal: false, ..Output::detached() }
    }

    #[test]
    fn a_slow_reader_is_told_once_and_so_is_its_catching_up() {
        let mut output = output();
        assert_eq!(output.reader_change(), None);
        output.push(&"x".repeat(HIGH + 1));
        assert_eq!((output.reader_change(), output.reader_change()), (Some(false), None));
        output.queue.truncate(LOW);
        assert_eq!(output.reader_change(), None);
        output.queue.truncate(LOW - 1);
        assert_eq!((output.reader_change(), output.reader_change()), (Some(true), None));
    }

    #[test]
    fn the_queue_has_a_bound_and_tells_what_it_left_out() {
        let mut output = output();
        output.push(&"x".repeat(QUEUE_MAX));
        output.push("y");
        output.push("z");
        assert_eq!((output.queue.len(), output.take_left_out()), (QUEUE_MAX, 0));
        output.queue.clear();
        assert_eq!((output.take_left_out(), output.take_left_out()), (2, 0));
    }

    #[test]
    fn an_answer_larger_than_the_queue_is_taken_where_nothing_waits() {
        let mut output = output();
        output.push(&"x".repeat(QUEUE_MAX + 1));
        output.push("y");
        assert_eq!(output.queue.len(), QUEUE_MAX + 1);
        output.queue.clear();
        assert_eq!(output.take_left_out(), 1);
    }
}

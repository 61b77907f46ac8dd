//! Signals as events of the poll loop.
//!
//! SIGINT comes by the ctrlc crate, whose handler counts and wakes the loop and does nothing else;
//! the others by a signalfd. They are blocked before ctrlc starts its thread, which inherits the
//! mask: else that thread would take them.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token, Waker};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// To say bye and leave, with this exit status.
    Leave(u8),
    /// To leave at once, with this exit status.
    Abort(u8),
    /// The window has another size.
    Resized,
    /// The shell wants the terminal.
    Stop,
    /// The terminal is ours again.
    Continued,
}

/// Why signals cannot be heard.
#[derive(Debug)]
pub(crate) enum SignalError {
    /// The system refuses.
    Refused(io::Error),
    /// The handler of SIGINT cannot be set.
    Handler(ctrlc::Error),
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "cannot watch for signals: {why}"),
            Self::Handler(why) => write!(f, "cannot watch for SIGINT: {why}"),
        }
    }
}

/// The signals this process hears.
pub(crate) struct Signals {
    others: SignalFd,
    interrupts: Arc<AtomicUsize>,
    heard: usize,
}

impl Signals {
    /// Hears signals from now on; `token` for what epoll tells, `wake` for SIGINT. With `terminal`
    /// those that concern a terminal in our mode too.
    ///
    /// # Errors
    /// A [`SignalError`] when the system refuses.
    pub(crate) fn open(registry: &Registry, token: Token, wake: Token, terminal: bool) -> Result<Self, SignalError> {
        let refused = SignalError::Refused;
        let mask = mask(terminal);
        mask.thread_block().map_err(|why| refused(why.into()))?;
        let others = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(|why| refused(why.into()))?;
        registry.register(&mut SourceFd(&others.as_raw_fd()), token, Interest::READABLE).map_err(refused)?;

        let waker = Waker::new(registry, wake).map_err(refused)?;
        let interrupts = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&interrupts);
        ctrlc::set_handler(move || {
            count.fetch_add(1, Ordering::Relaxed);
            // The loop wakes for other reasons too; nothing is lost but time.
            let _ = waker.wake();
        })
        .map_err(SignalError::Handler)?;
        Ok(Self { others, interrupts, heard: 0 })
    }

    /// The next thing asked for, if there is one.
    pub(crate) fn next(&mut self) -> Option<Heard> {
        if self.interrupts.load(Ordering::Relaxed) > self.heard {
            self.heard += 1;
            return Some(Heard::Leave(status(Signal::SIGINT)));
        }
        while let Ok(Some(told)) = self.others.read_signal() {
            let signal = i32::try_from(told.ssi_signo).ok().and_then(|n| Signal::try_from(n).ok());
            if let Some(heard) = signal.and_then(meaning) {
                return Some(heard);
            }
        }
        None
    }

    /// The exit status of the next signal that asks for an end; what others ask for is nothing any more.
    pub(crate) fn next_end(&mut self) -> Option<u8> {
        std::iter::from_fn(|| self.next()).find_map(|heard| match heard {
            Heard::Leave(status) | Heard::Abort(status) => Some(status),
            Heard::Resized | Heard::Stop | Heard::Continued => None,
        })
    }

    /// Stops this process as the terminal asked; returns when it goes on.
    pub(crate) fn stop(&self) {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGTSTP);
        // Where this fails, nothing stops, and the terminal is taken again: no harm.
        if mask.thread_unblock().is_ok() {
            let _ = raise(Signal::SIGTSTP);
            let _ = mask.thread_block();
        }
    }
}

fn meaning(signal: Signal) -> Option<Heard> {
    match signal {
        Signal::SIGTERM | Signal::SIGHUP => Some(Heard::Leave(status(signal))),
        Signal::SIGQUIT => Some(Heard::Abort(status(signal))),
        Signal::SIGWINCH => Some(Heard::Resized),
        Signal::SIGTSTP => Some(Heard::Stop),
        Signal::SIGCONT => Some(Heard::Continued),
        _ => None,
    }
}

/// What the shell calls an end by this signal.
const fn status(signal: Signal) -> u8 {
    128 + signal as u8
}

fn mask(terminal: bool) -> SigSet {
    let ignored = fs::read_to_string("/proc/self/status").map_or(0, |status| ignored(&status));
    let mut wanted = vec![Signal::SIGTERM, Signal::SIGHUP, Signal::SIGWINCH, Signal::SIGCONT];
    if terminal {
        wanted.extend([Signal::SIGTSTP, Signal::SIGQUIT]);
    }
    // What the parent has us ignore stays ignored: nohup does so with SIGHUP. Whoever ends us with
    // SIGTERM means it, and who goes on after a stop wants its terminal back.
    let always = [Signal::SIGTERM, Signal::SIGCONT];
    let keeps = |signal: &Signal| always.contains(signal) || ignored >> (*signal as u64 - 1) & 1 == 0;
    wanted.into_iter().filter(keeps).collect()
}

/// The set of ignored signals in `/proc/self/status`.
fn ignored(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_ignored_signals() {
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"), 0x1001);
        assert_eq!(ignored(""), 0);
    }

    #[test]
    fn statuses_are_those_of_the_shell() {
        assert_eq!(meaning(Signal::SIGTERM), Some(Heard::Leave(143)));
        assert_eq!(meaning(Signal::SIGHUP), Some(Heard::Leave(129)));
        assert_eq!(status(Signal::SIGINT), 130);
        assert_eq!(meaning(Signal::SIGQUIT), Some(Heard::Abort(131)));
    }
}

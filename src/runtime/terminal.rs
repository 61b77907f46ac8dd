//! The mode of the terminal: taken for the line editor, given back on every way out.
//!
//! The old mode is kept in one place for the whole process, so that a panic can give it back as
//! well; a release build aborts on panic and runs no destructors.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, Once};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, isatty, tcgetpgrp, write};
use terminal_size::{Width, terminal_size_of};

use crate::term::Screen;

/// The mode before ours, until it is given back.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

struct Before {
    mode: Termios,
    /// Ours is on, as far as we know.
    on: bool,
}

/// Ends whatever sequence was begun, and has the terminal wrap again (ECMA-48 8.3.6; DECAWM). What was written last may
/// never have come to its end: the queue was left, or the kernel threw away what the terminal had not read, as it does
/// for each key that is a signal.
const WHOLE: &[u8] = b"\x18\x1b[?7h";

/// How long a terminal may have no room for that, in milliseconds. Longer is for those that nobody reads any more.
const ROOM_MS: u8 = 200;

static HOOK: Once = Once::new();

/// Hands out keys one by one and shows none of them; signals stay with the kernel. Not in the background, where whoever
/// touches it is stopped: there it stays as it is until it becomes ours and this is called again.
///
/// # Errors
/// When the terminal refuses.
pub(crate) fn enter() -> io::Result<()> {
    if !is_ours() {
        return Ok(());
    }
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            default(panic);
        }));
    });
    let before = tcgetattr(io::stdin())?;
    let mut mode = before.clone();
    mode.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::IEXTEN);
    mode.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
    mode.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    if let Ok(mut kept) = BEFORE.lock() {
        // Entered again after a stop, the mode before is still the one from before the first time.
        kept.get_or_insert(Before { mode: before, on: true }).on = true;
    }
    Ok(tcsetattr(io::stdin(), SetArg::TCSANOW, &mode)?)
}

/// Gives the old mode back, if ours was on.
pub(crate) fn leave() {
    if !is_ours() {
        return lose();
    }
    // Not to be waited for: a panic may have come while it was held.
    if let Ok(mut kept) = BEFORE.try_lock()
        && let Some(before) = kept.take()
    {
        make_whole();
        // There is nobody left to tell.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &before.mode);
    }
}

/// The terminal serves somebody else, who has seen to its mode: ours is not on. Whoever touches it there is stopped.
pub(crate) fn lose() {
    if let Ok(mut kept) = BEFORE.try_lock()
        && let Some(before) = kept.as_mut()
    {
        before.on = false;
    }
}

/// Has what shows standard output wrap lines again, if that takes it soon.
fn make_whole() {
    let stdout = io::stdout();
    if !isatty(&stdout).unwrap_or(false) {
        return;
    }
    let own = own(&stdout);
    let sink = own.as_ref().map_or_else(|| stdout.as_fd(), AsFd::as_fd);
    let mut fds = [PollFd::new(sink, PollFlags::POLLOUT)];
    if poll(&mut fds, PollTimeout::from(ROOM_MS)).unwrap_or(0) > 0 {
        let _ = write(sink, WHOLE);
    }
}

/// The terminal opened once more, for us alone: there writing does not block. Not for those who may not: after su(1) it
/// is another user's.
pub(crate) fn own(shared: &impl AsRawFd) -> Option<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let path = format!("/proc/self/fd/{}", shared.as_raw_fd());
    OpenOptions::new().write(true).custom_flags(flags.bits()).open(path).ok()
}

/// Whether our mode is on.
pub(crate) fn is_on() -> bool {
    BEFORE.lock().is_ok_and(|before| before.as_ref().is_some_and(|before| before.on))
}

/// Whether we are the ones whom the terminal serves now. One that does not control us serves whoever has it.
pub(crate) fn is_ours() -> bool {
    tcgetpgrp(io::stdin()).map_or(true, |group| group == getpgrp())
}

/// How wide the window is, if it tells.
pub(crate) fn columns() -> Option<usize> {
    width(io::stdout())
}

fn width(stream: impl AsFd) -> Option<usize> {
    terminal_size_of(stream).map(|(Width(columns), _)| columns.into())
}

/// Lines as a window of that width shows them: none of them goes on where another might begin.
pub(crate) fn rows(lines: &str, columns: Option<usize>) -> String {
    let screen = Screen::new(columns);
    lines.lines().map(|line| screen.rows(line)).collect()
}

/// The same, if the stream is a terminal; anything else takes lines as they are.
pub(crate) fn rows_for<T: AsFd>(lines: String, stream: &T) -> String {
    if isatty(stream).unwrap_or(false) { rows(&lines, width(stream)) } else { lines }
}

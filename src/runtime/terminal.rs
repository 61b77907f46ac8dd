//! The mode of the terminal: taken for the line editor, given back on every way out.
//!
//! The old mode is kept in one place for the whole process, so that a panic can give it back as
//! well; a release build aborts on panic and runs no destructors.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, Once};

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, isatty, tcgetpgrp};
use terminal_size::{Width, terminal_size_of};

use crate::term::Screen;

/// The mode before ours, while ours is on.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

static HOOK: Once = Once::new();

/// Hands out keys one by one and shows none of them; signals stay with the kernel.
///
/// # Errors
/// When the terminal refuses.
pub(crate) fn enter() -> io::Result<()> {
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
        kept.get_or_insert(before);
    }
    Ok(tcsetattr(io::stdin(), SetArg::TCSANOW, &mode)?)
}

/// Gives the old mode back, if ours is on.
pub(crate) fn leave() {
    // Not to be waited for: a panic may have come while it was held.
    if let Ok(mut kept) = BEFORE.try_lock()
        && let Some(before) = kept.take()
    {
        // There is nobody left to tell.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &before);
    }
}

/// Whether our mode is on.
pub(crate) fn is_on() -> bool {
    BEFORE.lock().is_ok_and(|before| before.is_some())
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

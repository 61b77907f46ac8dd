//! What bytes repaint the bottom row: the prompt and what is typed behind it.
//!
//! One row, always: of a line that is wider than the window only the part around the cursor is
//! shown. What arrives is printed above it and scrolls away as in any terminal.

use unicode_width::UnicodeWidthChar;

use crate::text::Line;

/// What stands before the typed line.
const PROMPT: &str = "> ";

/// Columns assumed where the window does not tell its width.
const COLUMNS_DEFAULT: usize = 80;

/// Columns between two tab stops.
const TAB: usize = 8;

/// A window of some width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    columns: usize,
}

impl Screen {
    /// A window `columns` wide; `None` where that is not known.
    #[must_use]
    pub fn new(columns: Option<usize>) -> Self {
        Self { columns: columns.filter(|&c| c > 0).unwrap_or(COLUMNS_DEFAULT) }
    }

    /// Prints one line above the prompt.
    #[must_use]
    pub fn print(&self, line: &str, typed: &str, cursor: usize) -> String {
        format!("\r\x1b[K{}\r\n{}", expand_tabs(line), self.prompt(typed, cursor))
    }

    /// Paints the prompt and what is typed, the cursor where it belongs.
    #[must_use]
    pub fn prompt(&self, typed: &str, cursor: usize) -> String {
        // The last column stays free: a terminal would wrap there.
        let room = self.columns.saturating_sub(PROMPT.len() + 1).max(1);
        let (head, tail) = typed.split_at(cursor);
        let head = shown(head);
        let head = last_columns(&head, room);
        let tail = shown(tail);
        let tail = first_columns(&tail, room - width(head));
        let back = match width(tail) {
            0 => String::new(),
            columns => format!("\x1b[{columns}D"),
        };
        format!("\r{PROMPT}{head}{tail}\x1b[K{back}")
    }

    /// Empties the window and paints the prompt at its top.
    #[must_use]
    pub fn clear(&self, typed: &str, cursor: usize) -> String {
        format!("\x1b[H\x1b[2J{}", self.prompt(typed, cursor))
    }

    /// Takes the prompt away, at the end.
    #[must_use]
    pub const fn leave() -> &'static str {
        "\r\x1b[K"
    }
}

/// A typed text as it is shown: what was pasted may hold anything.
fn shown(text: &str) -> String {
    Line::from_peer(text).as_str().replace('\t', " ")
}

fn columns_of(c: char) -> usize {
    c.width().unwrap_or(0)
}

fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// The longest end of `text` that fits into `room` columns.
fn last_columns(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        used += columns_of(c);
        if used > room {
            return &text[at + c.len_utf8()..];
        }
    }
    text
}

/// The longest beginning of `text` that fits into `room` columns.
fn first_columns(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += columns_of(c);
        if used > room {
            return &text[..at];
        }
    }
    text
}

/// The text with spaces up to the next stop for each tab, as a terminal would show it.
#[must_use]
pub fn expand_tabs(text: &str) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        if c == '\t' {
            let spaces = TAB - column % TAB;
            expanded.extend(std::iter::repeat_n(' ', spaces));
            column += spaces;
        } else {
            expanded.push(c);
            column += columns_of(c);
        }
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_above_the_prompt_and_what_was_typed() {
        let screen = Screen::new(Some(40));
        assert_eq!(screen.print("bob: hi", "hel", 3), "\r\x1b[Kbob: hi\r\n\r> hel\x1b[K");
    }

    #[test]
    fn of_a_long_line_the_part_at_the_cursor_is_shown() {
        let screen = Screen::new(Some(8));
        assert_eq!(screen.prompt("abcdefghij", 10), "\r> fghij\x1b[K");
        assert_eq!(screen.prompt("abcdefghij", 0), "\r> abcde\x1b[K\x1b[5D");
        assert_eq!(screen.prompt("abcdefghij", 2), "\r> abcde\x1b[K\x1b[3D");
        assert_eq!(screen.prompt("你好你好", 12), "\r> 你好\x1b[K");
    }

    #[test]
    fn what_was_pasted_cannot_move_the_cursor() {
        let text = Screen::new(None).prompt("a\u{9b}2J\tb", 7);
        assert_eq!(text, "\r> a\u{FFFD}2J b\x1b[K");
    }

    #[test]
    fn a_window_without_room_shows_something() {
        assert_eq!(Screen::new(Some(1)).prompt("abc", 3), "\r> c\x1b[K");
        assert_eq!(Screen::new(Some(0)), Screen::new(None));
    }

    #[test]
    fn tabs_reach_the_next_stop() {
        assert_eq!(expand_tabs("a\tb"), "a       b");
        assert_eq!(expand_tabs("你\tb\t"), "你      b       ");
    }
}

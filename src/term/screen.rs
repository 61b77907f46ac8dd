//! What bytes repaint the bottom row: the prompt and what is typed behind it.
//!
//! One row, always: of a line that is wider than the window only the part around the cursor is
//! shown. What arrives is printed above it, in as many rows as it takes, and scrolls away as in any
//! terminal.

use super::cluster::{clusters, columns};
use super::fold::fold;
use crate::text::Line;

/// What stands before the typed line.
const PROMPT: &str = "> ";

/// Columns assumed where the window does not tell its width.
const COLUMNS_DEFAULT: usize = 80;

/// Columns below which no prompt is shown: it, something typed, and the last one, which stays free.
const COLUMNS_MIN: usize = 4;

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
        let rows = fold(&expand_tabs(line), self.columns, "\n");
        let rows: String = rows.split('\n').map(unwrapped).collect();
        format!("\r\x1b[K{rows}{}", self.prompt(typed, cursor))
    }

    /// A line where there is no prompt: its rows, each with its end.
    #[must_use]
    pub fn rows(&self, line: &str) -> String {
        fold(&expand_tabs(line), self.columns, "\n") + "\n"
    }

    /// Paints the prompt and what is typed, the cursor where it belongs. A window that is too narrow shows neither.
    #[must_use]
    pub fn prompt(&self, typed: &str, cursor: usize) -> String {
        if self.columns < COLUMNS_MIN {
            return Self::leave().into();
        }
        // The last column stays free: a terminal would wrap there.
        let room = self.columns - PROMPT.len() - 1;
        let (head, tail) = typed.split_at(cursor);
        let head = shown(head);
        let (head, used) = last_columns(&head, room);
        let tail = shown(tail);
        let tail = first_columns(&tail, room - used);
        // How wide the terminal takes the head to be it knows best.
        let back = if tail.is_empty() { String::new() } else { format!("\r{PROMPT}{head}") };
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

/// A row that the terminal does not break: one with an opinion of its own about how wide a character is loses what is
/// too much, at the edge. Row by row, so that whoever ends in between hardly ever leaves a terminal that wraps nothing.
fn unwrapped(row: &str) -> String {
    if row.is_ascii() { format!("{row}\r\n") } else { format!("\x1b[?7l{row}\x1b[?7h\r\n") }
}

/// A typed text as it is shown: what was pasted may hold anything.
fn shown(text: &str) -> String {
    Line::from_peer(text).as_str().replace('\t', " ")
}

/// The longest end of `text` that fits into `room` columns, and how many of them it takes.
fn last_columns(text: &str, room: usize) -> (&str, usize) {
    let ends: Vec<_> = clusters(text).map(|cluster| (cluster.len(), columns(cluster))).collect();
    let (mut start, mut used) = (text.len(), 0);
    for (len, columns) in ends.into_iter().rev() {
        if used + columns > room {
            break;
        }
        (start, used) = (start - len, used + columns);
    }
    (&text[start..], used)
}

/// The longest beginning of `text` that fits into `room` columns.
fn first_columns(text: &str, room: usize) -> &str {
    let (mut end, mut used) = (0, 0);
    for cluster in clusters(text) {
        used += columns(cluster);
        if used > room {
            break;
        }
        end += cluster.len();
    }
    &text[..end]
}

/// The text with spaces up to the next stop for each tab, as a terminal would show it.
fn expand_tabs(text: &str) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut column = 0;
    for cluster in clusters(text) {
        if let Some(marks) = cluster.strip_prefix('\t') {
            let spaces = TAB - column % TAB;
            expanded.extend(std::iter::repeat_n(' ', spaces));
            expanded.push_str(marks);
            column += spaces;
        } else {
            expanded.push_str(cluster);
            column += columns(cluster);
        }
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::cluster::tests::wcwidth;

    #[test]
    fn a_line_goes_above_the_prompt_and_what_was_typed() {
        let screen = Screen::new(Some(40));
        assert_eq!(screen.print("bob: hi", "hel", 3), "\r\x1b[Kbob: hi\r\n\r> hel\x1b[K");
    }

    #[test]
    fn a_line_that_is_too_long_goes_on_indented() {
        let screen = Screen::new(Some(16));
        assert_eq!(screen.print("bob: one two three", "", 0), "\r\x1b[Kbob: one two \r\n     three\r\n\r> \x1b[K");
        assert_eq!(screen.rows("bob:\tone two three"), "bob:    one two \n     three\n");
        assert_eq!(screen.print("grün", "", 0), "\r\x1b[K\x1b[?7lgrün\x1b[?7h\r\n\r> \x1b[K");
        let rows = "one two three \r\n\x1b[?7l     grün\x1b[?7h\r\n";
        assert_eq!(screen.print("one two three grün", "", 0), format!("\r\x1b[K{rows}\r> \x1b[K"));
    }

    #[test]
    fn of_a_long_line_the_part_at_the_cursor_is_shown() {
        let screen = Screen::new(Some(8));
        assert_eq!(screen.prompt("abcdefghij", 10), "\r> fghij\x1b[K");
        assert_eq!(screen.prompt("abcdefghij", 0), "\r> abcde\x1b[K\r> ");
        assert_eq!(screen.prompt("abcdefghij", 2), "\r> abcde\x1b[K\r> ab");
        assert_eq!(screen.prompt("你好你好", 12), "\r> 你好\x1b[K");
    }

    #[test]
    fn what_was_pasted_cannot_move_the_cursor() {
        let text = Screen::new(None).prompt("a\u{9b}2J\tb", 7);
        assert_eq!(text, "\r> a\u{FFFD}2J b\x1b[K");
    }

    #[test]
    fn a_window_without_room_shows_no_prompt() {
        for columns in 1..4 {
            assert_eq!(Screen::new(Some(columns)).prompt("abc", 3), "\r\x1b[K");
        }
        assert_eq!(Screen::new(Some(4)).prompt("abc", 3), "\r> c\x1b[K");
        assert_eq!(Screen::new(Some(0)), Screen::new(None));
    }

    #[test]
    fn what_is_wider_than_its_parts_does_not_reach_the_edge() {
        let screen = Screen::new(Some(9));
        assert_eq!(screen.prompt(&"❤\u{FE0F}".repeat(5), 30), format!("\r> {}\x1b[K", "❤\u{FE0F}".repeat(3)));
        // On a terminal that knows this emoji the cursor is nearer to the prompt than on one that does not.
        let pair = "👩\u{200D}🚀";
        assert_eq!(screen.prompt(&format!("{pair}xy"), pair.len()), format!("\r> {pair}xy\x1b[K\r> {pair}"));
    }

    #[test]
    fn vowels_beside_their_consonant_do_not_reach_the_edge() {
        let text = "\u{995}\u{9BE}".repeat(20);
        for cursor in [0, text.len() / 2, text.len()] {
            let painted = Screen::new(Some(20)).prompt(&text, cursor);
            let row = painted.split('\x1b').next().expect("a prompt").trim_start();
            assert!(wcwidth(row) == 18 && row.starts_with(PROMPT), "{row:?}");
        }
    }

    #[test]
    fn tabs_reach_the_next_stop() {
        assert_eq!(expand_tabs("a\tb"), "a       b");
        assert_eq!(expand_tabs("你\tb\t"), "你      b       ");
        assert_eq!(expand_tabs("\t\u{301}"), "        \u{301}");
    }
}

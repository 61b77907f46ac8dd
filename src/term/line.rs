//! The line a person is typing.
//!
//! Holds the text and the cursor and knows how each key changes them; how that looks is the
//! screen's business, what a finished line means is [`crate::command`]'s.

use super::cluster;
use super::keys::{Key, Keys};
use crate::text::LINE_MAX;

/// What a person did, beyond changing the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Finished this line.
    Line(String),
    /// Asked for a clean screen.
    Repaint,
    /// Asked to leave.
    Leave,
}

/// A line under construction.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    text: String,
    /// In bytes; always between two characters.
    cursor: usize,
    keys: Keys,
}

impl Editor {
    /// What is typed so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the cursor stands, in bytes from the beginning.
    #[must_use]
    pub const fn cursor(&self) -> usize {
        self.cursor
    }

    /// Takes what the terminal sent, in pieces of any size.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Act> {
        let mut keys = Vec::new();
        for &byte in bytes {
            self.keys.push(byte, &mut keys);
        }
        keys.into_iter().filter_map(|key| self.press(key)).collect()
    }

    /// Takes one key.
    pub fn press(&mut self, key: Key) -> Option<Act> {
        match key {
            Key::Char(c) => self.insert(c),
            Key::Enter => {
                self.cursor = 0;
                return Some(Act::Line(std::mem::take(&mut self.text)));
            }
            Key::Leave if self.text.is_empty() => return Some(Act::Leave),
            Key::Repaint => return Some(Act::Repaint),
            Key::Backspace => self.remove(self.before(), self.cursor),
            Key::Delete | Key::Leave => self.remove(self.cursor, self.after()),
            Key::Left => self.cursor = self.before(),
            Key::Right => self.cursor = self.after(),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            Key::KillHead => self.remove(0, self.cursor),
            Key::KillTail => self.remove(self.cursor, self.text.len()),
            Key::KillWord => self.remove(self.word(), self.cursor),
        }
        None
    }

    /// Has a line that was finished edited once more, in the place of what is typed.
    pub fn put(&mut self, line: String) {
        self.cursor = line.len();
        self.text = line;
    }

    fn insert(&mut self, c: char) {
        // One character over the bound is kept: that the line is too long is told when it is
        // finished, and nothing of it is sent.
        if self.text.len() > LINE_MAX || (c.is_control() && c != '\t') {
            return;
        }
        self.text.insert(self.cursor, c);
        self.cursor += c.len_utf8();
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.cursor = from;
    }

    /// Where the character before the cursor begins, marks and joined emoji included.
    fn before(&self) -> usize {
        self.cursor - cluster::last(&self.text[..self.cursor]).len()
    }

    /// Where the character under the cursor ends.
    fn after(&self) -> usize {
        self.cursor + cluster::first(&self.text[self.cursor..]).len()
    }

    /// Where the word before the cursor begins.
    fn word(&self) -> usize {
        let head = self.text[..self.cursor].trim_end();
        head.char_indices().rev().find(|(_, c)| c.is_whitespace()).map_or(0, |(at, c)| at + c.len_utf8())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> (String, usize) {
        let mut editor = Editor::default();
        assert_eq!(editor.feed(bytes), []);
        (editor.text().into(), editor.cursor())
    }

    #[test]
    fn a_line_is_typed_and_finished() {
        let mut editor = Editor::default();
        assert_eq!(editor.feed(b"hi\rthere\nx"), [Act::Line("hi".into()), Act::Line("there".into())]);
        assert_eq!((editor.text(), editor.cursor()), ("x", 1));
        editor.put("hi".into());
        assert_eq!(editor.feed(b"!\r"), [Act::Line("hi!".into())]);
    }

    #[test]
    fn a_character_split_between_two_reads_is_one() {
        let mut editor = Editor::default();
        assert_eq!(editor.feed(&"é".as_bytes()[..1]), []);
        assert_eq!(editor.feed(&"é\r".as_bytes()[1..]), [Act::Line("é".into())]);
    }

    #[test]
    fn editing_in_the_middle() {
        assert_eq!(typed(b"ac\x1b[Db"), ("abc".into(), 2));
        assert_eq!(typed(b"abc\x1b[H\x1b[3~"), ("bc".into(), 0));
        assert_eq!(typed(b"abc\x01\x1b[C\x0b"), ("a".into(), 1));
        assert_eq!(typed(b"abc\x02\x15"), ("c".into(), 0));
    }

    #[test]
    fn backspace_takes_marks_and_joined_emoji_along() {
        assert_eq!(typed("xe\u{301}\x7f".as_bytes()), ("x".into(), 1));
        assert_eq!(typed("x👩\u{200D}👧\x7f".as_bytes()), ("x".into(), 1));
        for whole in ["👍🏽", "🇩🇪", "👩🏽\u{200D}🚀", "1\u{FE0F}\u{20E3}"] {
            assert_eq!(typed(format!("x🇫🇷{whole}\u{7f}").as_bytes()), ("x🇫🇷".into(), 9), "{whole}");
            assert_eq!(typed(format!("x{whole}y\u{1}\x1b[C\x1b[3~").as_bytes()), ("xy".into(), 1), "{whole}");
        }
        assert_eq!(typed(b"\x7f"), (String::new(), 0));
    }

    #[test]
    fn a_word_is_removed_with_the_blanks_behind_it() {
        assert_eq!(typed(b"one two  \x17"), ("one ".into(), 4));
        assert_eq!(typed("één \u{17}".as_bytes()), (String::new(), 0));
    }

    #[test]
    fn control_d_leaves_only_an_empty_line() {
        let mut editor = Editor::default();
        assert_eq!(editor.feed(b"a\x04"), []);
        assert_eq!(editor.feed(b"\x7f\x04"), [Act::Leave]);
    }

    #[test]
    fn a_line_does_not_grow_without_bound() {
        let (text, _) = typed(&vec![b'x'; LINE_MAX + 500]);
        assert_eq!(text.len(), LINE_MAX + 1);
    }
}

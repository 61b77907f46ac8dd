//! Splits what comes from a pipe or a file into lines, without ever holding more than one line
//! and one read.
//!
//! A line ends with LF; a CR before it is dropped. The last line may do without. A line that is
//! too long is counted and thrown away as it comes, and the rest goes on.

use crate::text::LINE_MAX;

/// What stands between two line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line of so many bytes, more than [`LINE_MAX`]; it was thrown away.
    TooLong(usize),
}

/// Bytes on their way to becoming lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// No LF stands before this.
    searched: usize,
    /// How much of a line that is too long was thrown away.
    discarded: Option<usize>,
}

impl Lines {
    /// More bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next line that has its end.
    pub(crate) fn next(&mut self) -> Option<Piece> {
        let found = self.bytes[self.searched..].iter().position(|&byte| byte == b'\n');
        let Some(found) = found else {
            self.searched = self.bytes.len();
            // A CR may still turn out to belong to the line's end.
            if self.searched - self.start > LINE_MAX + 1 {
                *self.discarded.get_or_insert(0) += self.searched - self.start;
                self.start = self.searched;
            }
            return None;
        };
        let end = self.searched + found;
        let line = &self.bytes[self.start..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let piece = piece(line, self.discarded.take());
        self.start = end + 1;
        self.searched = self.start;
        Some(piece)
    }

    /// Whether anything is left, be it without an end.
    pub(crate) fn has_more(&self) -> bool {
        self.start < self.bytes.len() || self.discarded.is_some()
    }

    /// The last line, if it had no end. Call when nothing more comes.
    pub(crate) fn finish(&mut self) -> Option<Piece> {
        let rest = std::mem::take(&mut self.bytes).split_off(self.start);
        (self.start, self.searched) = (0, 0);
        let discarded = self.discarded.take();
        (!rest.is_empty() || discarded.is_some()).then(|| piece(&rest, discarded))
    }
}

fn piece(line: &[u8], discarded: Option<usize>) -> Piece {
    let len = discarded.unwrap_or(0) + line.len();
    if len > LINE_MAX { Piece::TooLong(len) } else { Piece::Line(line.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All lines of `bytes`, read `step` bytes at a time.
    fn split(bytes: &[u8], step: usize) -> Vec<Piece> {
        let (mut lines, mut pieces) = (Lines::default(), Vec::new());
        for chunk in bytes.chunks(step) {
            lines.push(chunk);
            pieces.extend(std::iter::from_fn(|| lines.next()));
            assert!(lines.bytes.len() <= LINE_MAX + 1 + step, "bounded");
        }
        pieces.extend(lines.finish());
        pieces
    }

    fn line(text: &str) -> Piece {
        Piece::Line(text.into())
    }

    #[test]
    fn blank_lines_line_ends_and_a_last_line_without_one() {
        for step in [1, 3, 100] {
            let pieces = split(b"one\r\n\n\r\ntw\ro\nlast", step);
            assert_eq!(pieces, [line("one"), line(""), line(""), line("tw\ro"), line("last")]);
        }
        assert_eq!(split(b"", 1), []);
        assert_eq!(split(b"x\n", 1), [line("x")]);
    }

    #[test]
    fn the_longest_line_passes_and_a_longer_one_does_not() {
        for end in ["\n", "\r\n"] {
            for over in [0, 1, 2, 200_000] {
                let text = format!("{}{end}next\n", "x".repeat(LINE_MAX + over));
                let expected = if over == 0 { line(&"x".repeat(LINE_MAX)) } else { Piece::TooLong(LINE_MAX + over) };
                let pieces = split(text.as_bytes(), 4096);
                assert!(pieces == [expected, line("next")], "{over} over with {end:?}");
            }
        }
        assert_eq!(split(&vec![b'x'; LINE_MAX + 1], 4096), [Piece::TooLong(LINE_MAX + 1)]);
    }

    proptest! {
        #[test]
        fn how_it_is_cut_into_reads_makes_no_difference(text in "[a\r\n]{0,60}", step in 1usize..20) {
            prop_assert_eq!(split(text.as_bytes(), step), split(text.as_bytes(), 1000));
        }
    }
}

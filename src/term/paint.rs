//! Lines in colours, for a terminal: each part is safe to show, and only our own colours are in it.

use crate::text::Line;

/// How a part of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// As everything else.
    Plain,
    /// As it should be.
    Good,
    /// Good enough.
    Fair,
    /// The last resort.
    Poor,
    /// Not as it should be.
    Bad,
    /// Of no great interest.
    Faint,
}

impl Paint {
    /// What switches it on (ECMA-48, 8.3.117); nothing for plain parts.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Fair => Some("33"),
            Self::Poor => Some("35"),
            Self::Bad => Some("31"),
            Self::Faint => Some("2"),
        }
    }
}

/// A line of painted parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Painted(Vec<(Paint, String)>);

impl Painted {
    /// A line of one plain part.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self::default().and(Paint::Plain, text)
    }

    /// With one more part. What is not fit to be shown is made so.
    #[must_use]
    pub fn and(mut self, paint: Paint, text: &str) -> Self {
        self.0.push((paint, Line::from_peer(text).to_string()));
        self
    }

    /// The line without colours, and without spaces at its end.
    #[must_use]
    pub fn text(&self) -> String {
        let whole: String = self.0.iter().map(|(_, text)| text.as_str()).collect();
        whole.trim_end().to_owned()
    }

    /// The line with its colours, all of them switched off at the end.
    #[must_use]
    pub fn coloured(&self) -> String {
        let parts = self.0.iter().map(|(paint, text)| match paint.code() {
            Some(code) if !text.trim().is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.clone(),
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_begin_and_end_with_their_part() {
        let line = Painted::plain("ann ").and(Paint::Good, "M").and(Paint::Faint, "  ");
        assert_eq!((line.text().as_str(), line.coloured().as_str()), ("ann M", "ann \x1b[32mM\x1b[0m  "));
    }

    #[test]
    fn nothing_from_outside_is_a_colour() {
        let line = Painted::plain("a\x1b[31mb").and(Paint::Bad, "\u{9b}1m");
        let escapes = |text: &str| text.chars().filter(|&c| c == '\x1b' || c == '\u{9b}').count();
        assert_eq!((escapes(&line.text()), escapes(&line.coloured())), (0, 2));
    }
}

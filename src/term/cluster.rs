//! What a person takes for one character, and how many columns a terminal may take for it.
//!
//! Terminals differ: some show a family of emoji as one, some as all its members side by side. What is
//! printed is measured by the most that any of them takes, so that none goes on in another row.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Joins emoji into one; what it joins stays together.
const JOINER: char = '\u{200D}';

/// Most characters that are taken for one; those behind them begin another. No emoji has more than a dozen, and what
/// others send cannot make us look far.
const CHARS_MAX: usize = 32;

/// Half of a flag: two of these letters make one.
const fn is_half_flag(c: char) -> bool {
    matches!(c, '\u{1F1E6}'..='\u{1F1FF}')
}

/// Whether it belongs to what stands before it: marks, and the tones of skin.
fn is_mark(c: char) -> bool {
    c.width() == Some(0) || matches!(c, '\u{1F3FB}'..='\u{1F3FF}')
}

/// What the text begins with, marks, joined emoji and the second half of a flag included.
pub(super) fn first(text: &str) -> &str {
    let mut chars = text.char_indices();
    let Some((_, mut last)) = chars.next() else { return "" };
    let mut halves = usize::from(is_half_flag(last));
    for (n, (at, c)) in (1..).zip(chars) {
        let flag = is_half_flag(c) && is_half_flag(last) && halves == 1;
        if n == CHARS_MAX || !(is_mark(c) || last == JOINER || flag) {
            return &text[..at];
        }
        halves += usize::from(is_half_flag(c));
        last = c;
    }
    text
}

/// What the text ends with.
pub(super) fn last(text: &str) -> &str {
    // ASCII belongs to nothing before it, but for a joiner: what stands there begins anew.
    let begins = |&(at, c): &(usize, char)| c.is_ascii() && !text[..at].ends_with(JOINER);
    let start = text.char_indices().rev().find(begins).map_or(0, |(at, _)| at);
    clusters(&text[start..]).last().unwrap_or_default()
}

/// The text, one after another.
pub(super) fn clusters(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let next = first(rest);
        rest = &rest[next.len()..];
        (!next.is_empty()).then_some(next)
    })
}

/// How many columns a terminal takes for one of them, at most: as one, or all its parts side by side.
pub(super) fn columns(cluster: &str) -> usize {
    let apart = cluster.chars().map(|c| c.width().unwrap_or(0)).sum::<usize>();
    if cluster.len() == 1 { apart } else { apart.max(cluster.width()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tones_flags_and_what_is_joined_stay_together() {
        let joined = ["👩🏽\u{200D}🚀", "👨\u{200D}👩\u{200D}👧"];
        for whole in ["e\u{301}", "👍🏽", "🇩🇪", "❤\u{FE0F}", "1\u{FE0F}\u{20E3}", "x"].into_iter().chain(joined)
        {
            let text = format!("a{whole}{whole}");
            assert_eq!(clusters(&text).collect::<Vec<_>>(), ["a", whole, whole], "{}", whole.escape_unicode());
            assert_eq!(last(&text), whole);
        }
        assert_eq!(clusters("🇩🇪🇫").collect::<Vec<_>>(), ["🇩🇪", "🇫"]);
        assert_eq!((first(""), last("")), ("", ""));
    }

    #[test]
    fn what_never_ends_is_taken_apart() {
        let chain = "👩\u{200D}".repeat(100);
        assert!(clusters(&chain).all(|cluster| cluster.chars().count() <= CHARS_MAX));
        assert_eq!(clusters(&chain).collect::<String>(), chain);
    }

    #[test]
    fn columns_are_the_most_that_a_terminal_takes() {
        let shown = [("a", 1), ("你", 2), ("e\u{301}", 1), ("❤\u{FE0F}", 2), ("1\u{FE0F}\u{20E3}", 2), ("🇩🇪", 2)];
        for (text, expected) in shown {
            assert_eq!(columns(text), expected, "{}", text.escape_unicode());
        }
        assert_eq!((columns("👍🏽"), columns("👩\u{200D}🚀")), (4, 4), "on terminals that know neither");
    }
}

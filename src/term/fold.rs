//! Breaks a line into rows of a terminal, so that the terminal breaks none.
//!
//! What a peer says could else be made to go on in the next row with what looks like a line of somebody
//! else. Every row but the first is indented, and no line of ours begins as far to the right but the numbers above a
//! grid - unless the window is so narrow that there is no room for such an indent.

use super::cluster::{columns, first};

/// Columns of the indent: as many as the time of day takes before whoever speaks.
const INDENT: usize = 9;

/// The same where there is less room: one more than the farthest that a line of ours is indented.
const INDENT_NARROW: usize = 5;

/// The same where there is hardly any, and no more can be done.
const INDENT_LEAST: usize = 2;

/// Columns from which on there is room for the whole indent.
const WIDE: usize = 40;

/// Columns from which on there is room for the narrow one.
const NARROW: usize = 12;

/// Columns below which nothing is broken: there is no room for an indent and a character of two columns.
const COLUMNS_MIN: usize = 4;

/// The line as rows of at most so many columns, with `end` between them. A row ends behind a space, if one is in its
/// last third, else between two characters. Our own colours take no columns; tabs are to be expanded before.
pub(super) fn fold(line: &str, width: usize, end: &str) -> String {
    if width < COLUMNS_MIN || line.is_ascii() && line.len() <= width {
        return line.to_owned();
    }
    let indent = match width {
        WIDE.. => INDENT,
        NARROW.. => INDENT_NARROW,
        _ => INDENT_LEAST,
    };
    let mut rows = String::with_capacity(line.len() + line.len() / 4);
    // Where the row began, where we are and at which column; and the same behind the last space of the row.
    let (mut row, mut at, mut column) = (0, 0, 0);
    let mut space = None;
    while let Some((piece, wide)) = next(&line[at..], width - indent) {
        if column + wide <= width {
            (at, column) = (at + piece.len(), column + wide);
            if piece == " " {
                space = Some((at, column));
            }
            continue;
        }
        let near = space.take().filter(|&(_, behind)| column - behind <= width / 3);
        let until = near.map_or(at, |(behind, _)| behind);
        rows.extend([&line[row..until], end, &" ".repeat(indent)]);
        // The space at which it breaks may be the one that has no room.
        let gap = usize::from(until == at && piece == " ");
        (row, at, column) = (until + gap, until + gap, indent);
    }
    rows + &line[row..]
}

/// What cannot be broken, and its columns: a colour of ours, a character with all that belongs to it, or a part of one
/// that is wider than `room`.
fn next(text: &str, room: usize) -> Option<(&str, usize)> {
    if text.starts_with('\x1b') {
        let len = text.find('m').map_or(text.len(), |end| end + 1);
        return Some((&text[..len], 0));
    }
    let whole = first(text);
    if columns(whole) <= room {
        return (!whole.is_empty()).then(|| (whole, columns(whole)));
    }
    let part = &whole[..whole.chars().next()?.len_utf8()];
    Some((part, columns(part).min(room)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::term::cluster::tests::wcwidth;

    fn rows(line: &str, width: usize) -> Vec<String> {
        fold(line, width, "\n").split('\n').map(str::to_owned).collect()
    }

    #[test]
    fn nobody_writes_a_row_of_its_own() {
        let said = format!("12:04:05 bob: {}12:04:06 alice: the key is 7", " ".repeat(66));
        let shown = rows(&said, 80);
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[1], "         12:04:06 alice: the key is 7");
        let beside = "x\u{302E}\u{302F}\u{9BE}".repeat(11);
        let shown = rows(&format!("12:04:05 bob: {beside}12:04:06 alice: the key is 7"), 80);
        assert!(shown.len() == 2 && shown[1].starts_with("         "), "{shown:?}");
        let family = "👩\u{200D}👩\u{200D}👧".repeat(11);
        let shown = rows(&format!("12:04:05 bob: {family}* cat left"), 80);
        assert_eq!(shown.len(), 2, "as wide as where no families are known");
        assert!(shown[1].starts_with("         "));
    }

    #[test]
    fn it_breaks_at_a_space_if_one_is_near() {
        assert_eq!(rows("bob: one two three", 16), ["bob: one two ", "     three"]);
        assert_eq!(rows("bob: abcdefghijklmnop", 16), ["bob: abcdefghijk", "     lmnop"]);
        assert_eq!(rows("12345678 x", 8), ["12345678", "  x"]);
        assert_eq!(rows("123456  x", 8), ["123456  ", "  x"]);
        assert_eq!(rows("fits", 4), ["fits"]);
    }

    #[test]
    fn what_belongs_together_stays_together() {
        assert_eq!(rows("abc你好", 6), ["abc你", "  好"]);
        assert_eq!(rows("abcde👍🏽", 8), ["abcde", "  👍🏽"]);
        assert_eq!(rows("abcde🇩🇪", 6), ["abcde", "  🇩🇪"]);
        assert_eq!(rows("\x1b[32mabcd\x1b[0m", 4), ["\x1b[32mabcd\x1b[0m"]);
    }

    #[test]
    fn a_window_without_room_breaks_nothing() {
        assert_eq!(rows("abcdef", 3), ["abcdef"]);
        assert_eq!(rows("abcdef", 4), ["abcd", "  ef"]);
        assert_eq!(rows("abcdefghijkl", 11), ["abcdefghijk", "  l"]);
        assert_eq!(rows("abcdefghijklm", 12), ["abcdefghijkl", "     m"]);
        assert_eq!(rows("你好👍🏽", 4), ["你好", "  👍", "  🏽"]);
    }

    #[test]
    fn the_longest_line_takes_no_time() {
        for text in [" ", "x", "👩\u{200D}", "ab ", "🇩", "x\u{301}"] {
            let line = text.repeat(65_536 / text.len());
            let shown = rows(&line, 5).len();
            assert!(shown > 1 && shown < 65_536, "{}", text.escape_unicode());
        }
    }

    proptest! {
        #[test]
        fn no_row_is_too_wide_for_the_c_library(
            text in "\\PC*|[a \t你\u{301}\u{9BE}\u{302E}\u{3248}\u{3164}\u{FFA0}\u{1D165}❤\u{FE0F}\u{200D}]{0,80}",
            width in 4usize..90,
        ) {
            let text = crate::text::Line::from_peer(&text).as_str().replace('\t', " ");
            for row in rows(&text, width) {
                prop_assert!(wcwidth(&row) <= width, "{row:?}");
            }
        }

        #[test]
        fn no_row_is_too_wide_and_nothing_is_lost(line in "[a 你\u{301}👩\u{200D}🏽🇩]{0,60}", width in 4usize..50) {
            let shown = rows(&line, width);
            for (n, row) in shown.iter().enumerate() {
                prop_assert!(crate::term::cluster::clusters(row).map(columns).sum::<usize>() <= width, "{row:?}");
                prop_assert!(n == 0 || row.starts_with("  "));
            }
            let kept = |text: &str| text.chars().filter(|&c| c != ' ').collect::<String>();
            prop_assert_eq!(kept(&shown.concat()), kept(&line));
        }
    }
}

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

/// Where what the table of `unicode-width` counts as nothing stands upon the character before it on every terminal:
/// the marks of living scripts, the two joiners, the forms of a character, and the parts of a syllable of Hangul. What
/// lies elsewhere takes a column on some: vowels that stand beside their consonant (general category Mc), signs that go
/// before others, fillers, and whatever is younger than the table of the terminal.
#[rustfmt::skip]
const UPON: [(char, char); 36] = [
    ('\u{0300}', '\u{05C7}'), ('\u{0610}', '\u{061A}'), ('\u{064B}', '\u{06ED}'), ('\u{0711}', '\u{085B}'),
    ('\u{0898}', '\u{08E1}'), ('\u{08E3}', '\u{09BC}'), ('\u{09C1}', '\u{09CD}'), ('\u{09E2}', '\u{0B3C}'),
    ('\u{0B3F}', '\u{0B4D}'), ('\u{0B55}', '\u{0B56}'), ('\u{0B62}', '\u{0B82}'), ('\u{0BC0}', '\u{0BCD}'),
    ('\u{0C00}', '\u{0CBF}'), ('\u{0CC6}', '\u{0CC6}'), ('\u{0CCC}', '\u{0CCD}'), ('\u{0CE2}', '\u{0D3C}'),
    ('\u{0D41}', '\u{0D4D}'), ('\u{0D62}', '\u{0DCA}'), ('\u{0DD2}', '\u{0DD6}'), ('\u{0E31}', '\u{0ECD}'),
    ('\u{0F18}', '\u{1714}'), ('\u{1732}', '\u{1733}'), ('\u{1752}', '\u{180D}'), ('\u{180F}', '\u{1ACE}'),
    ('\u{1B00}', '\u{1B34}'), ('\u{1B6B}', '\u{1BA9}'), ('\u{1BAB}', '\u{1BF1}'), ('\u{1C2C}', '\u{1DFF}'),
    ('\u{200C}', '\u{200D}'), ('\u{20D0}', '\u{302D}'), ('\u{3099}', '\u{309A}'), ('\u{A66F}', '\u{A8F1}'),
    ('\u{A8FF}', '\u{A951}'), ('\u{A980}', '\u{A9BD}'), ('\u{A9E5}', '\u{ABED}'), ('\u{FB1E}', '\u{FE2F}'),
];

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
    let (mut apart, mut before) = (0, 0);
    for c in cluster.chars() {
        // Both choose a form that is wider, for what is narrow else.
        let wide = if matches!(c, '\u{FE01}' | '\u{FE0F}') { usize::from(before == 1) } else { alone(c) };
        (apart, before) = (apart + wide, wide);
    }
    if cluster.len() == 1 { apart } else { apart.max(cluster.width()) }
}

/// How many columns a terminal takes for one character, at most.
fn alone(c: char) -> usize {
    match c {
        // The C library of GNU, and what asks it, takes twice as much as others for these.
        '\u{302E}' | '\u{302F}' | '\u{3248}'..='\u{324F}' | '\u{16FF0}' | '\u{16FF1}' => 2,
        _ if c.width() == Some(0) => usize::from(!UPON.iter().any(|(from, to)| (from..=to).contains(&&c))),
        _ => c.width().unwrap_or(0),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::text::Line;

    /// Where wcwidth(3) of glibc 2.36 in the locale C.UTF-8 takes more columns than the table of `unicode-width` 0.2.3:
    /// the outcome of asking both for every scalar value.
    #[rustfmt::skip]
    const WCWIDTH: [(u32, u32, usize); 55] = [
        (0xAD, 0xAD, 1), (0x605, 0x605, 1), (0x70F, 0x70F, 1), (0x890, 0x891, 1), (0x8E2, 0x8E2, 1),
        (0x9BE, 0x9BE, 1), (0x9D7, 0x9D7, 1), (0xB3E, 0xB3E, 1), (0xB57, 0xB57, 1), (0xBBE, 0xBBE, 1),
        (0xBD7, 0xBD7, 1), (0xCC0, 0xCC0, 1), (0xCC2, 0xCC2, 1), (0xCC7, 0xCC8, 1), (0xCCA, 0xCCB, 1),
        (0xCD5, 0xCD6, 1), (0xD3E, 0xD3E, 1), (0xD4E, 0xD4E, 1), (0xD57, 0xD57, 1), (0xDCF, 0xDCF, 1),
        (0xDDF, 0xDDF, 1), (0x1715, 0x1715, 1), (0x1734, 0x1734, 1), (0x1B35, 0x1B35, 1), (0x1B3B, 0x1B3B, 1),
        (0x1B3D, 0x1B3D, 1), (0x1B43, 0x1B44, 1), (0x1BAA, 0x1BAA, 1), (0x1BF2, 0x1BF3, 1), (0x302E, 0x302F, 2),
        (0x3164, 0x3164, 2), (0x3248, 0x324F, 2), (0xA8FA, 0xA8FA, 1), (0xA953, 0xA953, 1), (0xA9C0, 0xA9C0, 1),
        (0xFFA0, 0xFFA0, 1), (0x111C0, 0x111C0, 1), (0x111C2, 0x111C3, 1), (0x11235, 0x11235, 1),
        (0x1133E, 0x1133E, 1), (0x1134D, 0x1134D, 1), (0x11357, 0x11357, 1), (0x114B0, 0x114B0, 1),
        (0x114BD, 0x114BD, 1), (0x115AF, 0x115AF, 1), (0x116B6, 0x116B6, 1), (0x11930, 0x11930, 1),
        (0x1193D, 0x1193D, 1), (0x1193F, 0x1193F, 1), (0x11941, 0x11941, 1), (0x11A84, 0x11A89, 1),
        (0x11D46, 0x11D46, 1), (0x16FF0, 0x16FF1, 2), (0x1D165, 0x1D166, 1), (0x1D16D, 0x1D172, 1),
    ];

    /// How many columns a terminal takes that asks glibc for each character of a text.
    pub(in crate::term) fn wcwidth(text: &str) -> usize {
        let taken = |c: char| WCWIDTH.iter().find(|(from, to, _)| (*from..=*to).contains(&u32::from(c)));
        text.chars().map(|c| taken(c).map_or_else(|| c.width().unwrap_or(0), |&(_, _, wide)| wide)).sum()
    }

    #[test]
    fn no_character_takes_more_columns_than_are_reckoned_with() {
        for c in '\0'..=char::MAX {
            let (text, safe) = (c.to_string(), Line::from_peer(&format!("a{c}b")));
            assert!(columns(&text) >= wcwidth(&text) || !safe.as_str().contains(c), "{:X}", u32::from(c));
        }
    }

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
        let beside = [("কা", 2), ("கொ", 2), ("x\u{302E}", 3), ("❤\u{FE0F}\u{9BE}", 3), ("\u{1100}\u{1161}\u{11A8}", 2)];
        for (text, expected) in beside {
            assert_eq!(columns(text), expected, "{}", text.escape_unicode());
        }
        assert_eq!((columns("👍🏽"), columns("👩\u{200D}🚀")), (4, 4), "on terminals that know neither");
    }
}

//! What a nick looks like: two nicks that a person cannot tell apart have the same looks.
//!
//! The looks of a text are its skeleton after Unicode Technical Standard 39, in lower case: decomposed, each
//! character replaced by the plainest one that looks like it, and so on until nothing changes. The table is made
//! of the crate `unicode-security` by the test below, which also holds it to that crate: the crate itself would
//! make the program half as large again. (`confusables.txt`, © Unicode, Inc., Unicode License v3.)

use unicode_script::{Script, ScriptExtension, UnicodeScript as _};
use unicode_width::UnicodeWidthChar as _;

use crate::text::Nick;

/// A line for each character that does not look like itself in lower case: the character, then what it looks
/// like. In the order of the characters; without syllables of Hangul, which are taken apart by rule.
const LOOKALIKES: &str = include_str!("lookalikes.txt");

/// Bytes of looks that count. Longer ones are cut: then more nicks look the same, never fewer.
const KEY_MAX: usize = 192;

/// Scripts that are written together, in the languages of East Asia, and with Latin among them (UTS 39, 5.2,
/// highly restrictive).
const WRITTEN_TOGETHER: [&[Script]; 3] = [
    &[Script::Han, Script::Hiragana, Script::Katakana],
    &[Script::Han, Script::Hangul],
    &[Script::Han, Script::Bopomofo],
];

/// What a nick looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    /// The same for all nicks that look the same.
    pub(super) key: String,
    /// It mixes scripts that nobody writes together: whatever it looks like, it was made to.
    pub(super) mixed: bool,
}

impl Looks {
    pub(super) fn of(nick: &Nick) -> Self {
        Self { key: key(nick.as_str()), mixed: is_mixed(nick.as_str()) }
    }
}

fn key(text: &str) -> String {
    let mut key = String::new();
    for c in text.chars().flat_map(letters) {
        match lookalike(c) {
            Some(looks) => key.push_str(looks),
            None => key.extend(c.to_lowercase()),
        }
    }
    let mut key = ordered(&key);
    key.truncate(key.floor_char_boundary(KEY_MAX));
    key
}

/// The text with the marks on each letter in one order: they look the same in any.
fn ordered(text: &str) -> String {
    let mut all: Vec<char> = text.chars().collect();
    for run in all.chunk_by_mut(|_, next| next.width() == Some(0)) {
        let marks = run.iter().take_while(|c| c.width() != Some(0)).count();
        run[marks..].sort_unstable();
    }
    all.into_iter().collect()
}

/// The letters of a syllable of Hangul (The Unicode Standard, 3.12.2); of anything else itself.
fn letters(c: char) -> impl Iterator<Item = char> {
    let letter = |base: u32, n: u32| char::from_u32(base + n).unwrap_or(c);
    let letters = match c {
        '가'..='힣' => {
            let n = c as u32 - '가' as u32;
            let (first, middle, last) = (n / 588, n % 588 / 28, n % 28);
            [Some(letter(0x1100, first)), Some(letter(0x1161, middle)), (last > 0).then(|| letter(0x11A7, last))]
        }
        _ => [Some(c), None, None],
    };
    letters.into_iter().flatten()
}

/// What a character looks like, if that is not itself in lower case.
fn lookalike(c: char) -> Option<&'static str> {
    if matches!(c, 'a'..='l' | 'n'..='z' | '2'..='9' | '-' | '_') {
        return None;
    }
    let (mut from, mut to) = (0, LOOKALIKES.len());
    while from < to {
        // Both are where a line begins, or the end.
        let middle = LOOKALIKES.floor_char_boundary(from.midpoint(to));
        let begin = LOOKALIKES[from..middle].rfind('\n').map_or(from, |at| from + at + 1);
        let line = LOOKALIKES[begin..].lines().next()?;
        let mut looks = line.chars();
        match looks.next()?.cmp(&c) {
            std::cmp::Ordering::Equal => return Some(looks.as_str()),
            std::cmp::Ordering::Less => from = begin + line.len() + 1,
            std::cmp::Ordering::Greater => to = begin,
        }
    }
    None
}

/// Whether a text mixes scripts that are not written together; Latin and Cyrillic, for instance.
fn is_mixed(text: &str) -> bool {
    let may = |c: char, script: Script| c.script_extension().contains_script(script);
    let together = |scripts: &&[Script]| {
        let fits = |c: char| may(c, Script::Latin) || scripts.iter().any(|&script| may(c, script));
        text.chars().all(fits)
    };
    ScriptExtension::for_str(text).is_empty() && !WRITTEN_TOGETHER.iter().any(together)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nick(text: &str) -> Nick {
        Nick::new(text).expect("a nick")
    }

    /// What a text looks like as the crate has it, in lower case, and that again until it stays.
    fn reference(text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..8 {
            let next = unicode_security::skeleton(&text).flat_map(char::to_lowercase).collect();
            if next == text {
                return text;
            }
            text = next;
        }
        panic!("{text} does not settle");
    }

    /// The table as the crate has it now, of all that a nick may hold.
    fn table() -> String {
        let fits =
            |c: &char| !('가'..='힣').contains(c) && Nick::from_any(&format!("a{c}")).as_str().chars().count() == 2;
        let mut table = String::new();
        for c in ('\0'..=char::MAX).filter(fits) {
            let looks = reference(&c.to_string());
            if !looks.chars().eq(c.to_lowercase()) {
                table.extend([c].into_iter().chain(looks.chars()).chain(['\n']));
            }
        }
        table
    }

    #[test]
    fn the_table_is_that_of_the_standard() {
        let (table, path) = (table(), concat!(env!("CARGO_MANIFEST_DIR"), "/src/protocol/names/lookalikes.txt"));
        if std::env::var_os("UPDATE_LOOKALIKES").is_some() {
            std::fs::write(path, &table).expect("written");
            return;
        }
        assert!(table == LOOKALIKES, "Unicode has changed: UPDATE_LOOKALIKES=1 cargo test the_table_is");
    }

    #[test]
    fn every_character_looks_as_the_standard_says_and_so_do_its_looks() {
        for c in '\0'..=char::MAX {
            let looks = key(&c.to_string());
            assert_eq!(key(&looks), looks, "{:x}", c as u32);
            let wanted = ordered(&reference(&c.to_string()));
            assert!(Nick::new(&format!("a{c}")).is_err() || looks == wanted, "{:x}: {looks} {wanted}", c as u32);
        }
        for line in LOOKALIKES.lines() {
            let c = line.chars().next().expect("a character");
            assert_eq!(lookalike(c), Some(&line[c.len_utf8()..]));
        }
    }

    #[test]
    fn what_looks_the_same_is_the_same() {
        for (one, other) in [
            ("bob", "BOB"),
            ("bob", "b0b"),
            ("paypal", "раураl"),
            ("сосо", "coco"),
            ("bill", "biIl"),
            ("tom", "torn"),
            ("bob", "ｂｏｂ"),
            ("bob", "𝐛𝐨𝐛"),
            ("zoë", "zoe\u{308}"),
            ("ο", "o"),
            ("q\u{323}\u{307}", "q\u{307}\u{323}"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        for (one, other) in [("ann", "bob"), ("bob", "bobo"), ("zoe", "zoë"), ("мир", "mup"), ("n1", "n2")] {
            assert_ne!(key(one), key(other), "{one} {other}");
        }
    }

    #[test]
    fn scripts_that_nobody_writes_together_are_mixed() {
        for text in ["ann", "zoë", "мир", "Ελένη", "山田", "山田taro", "김lee", "ひろ-2", "bob👍", "שָׁלוֹם", "नमस्ते", "x²"]
        {
            assert!(!Looks::of(&nick(text)).mixed, "{text}");
        }
        for text in ["bоb", "аnn", "αlex", "мир2x", "ꓐob", "Ꮪam", "山мир", "김ひろ"] {
            assert!(Looks::of(&nick(text)).mixed, "{text}");
        }
    }

    /// Letters of several scripts, with marks, and anything else.
    const TEXTS: &str = "[a-zA-Z0-9а-яα-ωé\u{300}-\u{340}ａ-ｚ|가-갛]{0,20}|\\PC{0,12}";

    proptest! {
        #[test]
        fn looks_do_not_change_twice_and_agree_with_the_standard(text in TEXTS) {
            let text = Nick::from_any(&text).to_string();
            prop_assert_eq!(key(&key(&text)), key(&text));
            prop_assert_eq!(key(&unicode_security::skeleton(&text).collect::<String>()), key(&text));
        }
    }
}

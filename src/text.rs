//! Text that is safe to show. The only way text gets in.
//!
//! [`Line`] and [`Nick`] are made here and nowhere else, from the keyboard as from the network, so
//! an escape sequence inside an event cannot be expressed. What would move a cursor, reorder text
//! or hide in it is replaced by a visible picture or left out.

use std::fmt;

use unicode_width::UnicodeWidthChar;

/// The longest message a person may say, in bytes of UTF-8. Longer ones are refused.
pub const LINE_MAX: usize = 65_536;

/// The widest nick, in columns of a terminal.
pub const NICK_COLUMNS_MAX: usize = 24;

/// Zero-width characters kept in a row; more of them pile up over the neighbouring lines. The scripts of living
/// languages need three.
const MARKS_MAX: usize = 4;

/// One line of text: valid UTF-8 without controls, except that a tab may stand in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(String);

/// Why a text is no [`Line`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// It is longer than [`LINE_MAX`]; holds its length in bytes.
    TooLong(usize),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::TooLong(len) = self;
        write!(f, "a message is at most {LINE_MAX} bytes and this one has {len}: split it")
    }
}

impl Line {
    /// Makes any text safe to show.
    ///
    /// # Errors
    /// [`LineError::TooLong`] beyond [`LINE_MAX`] bytes; nothing is cut off.
    pub fn new(text: &str) -> Result<Self, LineError> {
        if text.len() > LINE_MAX {
            return Err(LineError::TooLong(text.len()));
        }
        Ok(Self(sanitise(text)))
    }

    /// Makes any bytes safe to show; what is not UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// As [`Line::new`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LineError> {
        if bytes.len() > LINE_MAX {
            return Err(LineError::TooLong(bytes.len()));
        }
        Ok(Self(sanitise(&String::from_utf8_lossy(bytes))))
    }

    /// Text from a peer: as [`Line::new`], but for text that was bounded before it was cleaned,
    /// so that a picture may have made it longer.
    #[must_use]
    pub fn from_peer(text: &str) -> Self {
        Self(sanitise(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text in pieces of at most `max` bytes, cut between characters; one piece if it is empty.
    #[must_use]
    pub fn chunks(&self, max: usize) -> Vec<&str> {
        let (mut pieces, mut rest) = (Vec::new(), self.0.as_str());
        while rest.len() > max {
            let (piece, behind) = rest.split_at(rest.floor_char_boundary(max));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        pieces
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What to do with one character of a stranger's text.
enum Fate {
    Keep,
    Drop,
    Show(char),
    /// It joins what stands on its two sides, or keeps it apart, and is worth nothing elsewhere.
    Join,
    /// It chooses between two forms of the character before it.
    Vary,
}

/// The whole policy for single characters.
const fn fate(c: char) -> Fate {
    match c {
        '\t' => Fate::Keep,
        // Each C0 control has a picture of its own at U+2400.
        '\0'..='\x1f' => match char::from_u32(0x2400 + c as u32) {
            Some(picture) => Fate::Show(picture),
            None => Fate::Drop,
        },
        '\x7f' => Fate::Show('\u{2421}'),
        // C1 controls (U+009B begins an escape sequence on some terminals), and line ends that
        // are not LF.
        '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => Fate::Show('\u{FFFD}'),
        // Controls that reorder text (CVE-2021-42574), and characters that only hide.
        '\u{200E}'
        | '\u{200F}'
        | '\u{061C}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2066}'..='\u{206F}'
        | '\u{200B}'
        | '\u{2060}'..='\u{2065}'
        | '\u{FEFF}'
        | '\u{180E}'
        | '\u{00AD}'
        | '\u{034F}'
        | '\u{17B4}'..='\u{17B5}'
        // Fillers of Hangul: nothing is seen of them, in one column, or two, or none.
        | '\u{3164}'
        | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}' => Fate::Drop,
        '\u{200C}' | '\u{200D}' => Fate::Join,
        // Those of Mongolian, and the general ones; the rest of them is among the tags, which are dropped.
        '\u{180B}'..='\u{180D}' | '\u{180F}' | '\u{FE00}'..='\u{FE0F}' => Fate::Vary,
        _ if c as u32 & 0xFFFE == 0xFFFE || matches!(c, '\u{FDD0}'..='\u{FDEF}') => Fate::Show('\u{FFFD}'),
        _ => Fate::Keep,
    }
}

/// Text on its way to being safe.
struct Cleaner {
    clean: String,
    /// The last character that takes columns; none while nothing stands there that a mark could stand on.
    base: Option<char>,
    /// Zero-width characters behind it.
    marks: usize,
    /// A joiner that is kept when it turns out that there is something to join.
    joiner: Option<char>,
}

impl Cleaner {
    fn push(&mut self, c: char) {
        if c.width() == Some(0) { self.push_mark(c) } else { self.push_base(c) }
    }

    fn push_base(&mut self, c: char) {
        let joiner = self.joiner.take().filter(|_| !c.is_whitespace() && self.marks < MARKS_MAX);
        self.clean.extend(joiner);
        self.clean.push(c);
        (self.base, self.marks) = (Some(c), 0);
    }

    /// A mark stands on something of the text itself, never on what we print before it.
    fn push_mark(&mut self, c: char) {
        let marks = self.marks + 1 + usize::from(self.joiner.is_some());
        if self.base.is_some() && marks <= MARKS_MAX {
            self.clean.extend(self.joiner.take());
            self.clean.push(c);
            self.marks = marks;
        }
    }

    /// ASCII is never joined: there a joiner would but make two words that look like one another.
    fn join(&mut self, c: char) {
        if self.base.is_some_and(|base| !base.is_ascii() && !base.is_whitespace()) {
            self.joiner.get_or_insert(c);
        }
    }

    /// One choice for each character; of ASCII only what stands on keycaps has two forms.
    fn vary(&mut self, c: char) {
        let varies = |base: char| !base.is_ascii() && !base.is_whitespace() || matches!(base, '0'..='9' | '#' | '*');
        if self.base.is_some_and(varies) && self.marks == 0 && self.joiner.is_none() {
            self.push_mark(c);
        }
    }
}

/// The text with every character met by its [`fate`], and no pile of more than [`MARKS_MAX`] zero-width
/// characters. What is clean stays as it is.
fn sanitise(text: &str) -> String {
    let clean = String::with_capacity(text.len());
    let mut cleaner = Cleaner { clean, base: None, marks: 0, joiner: None };
    for c in text.chars() {
        match fate(c) {
            Fate::Keep => cleaner.push(c),
            Fate::Show(picture) => cleaner.push(picture),
            Fate::Join => cleaner.join(c),
            Fate::Vary => cleaner.vary(c),
            Fate::Drop => {}
        }
    }
    cleaner.clean
}

/// A name as a person chose it: one word, no longer than [`NICK_COLUMNS_MAX`], safe to show.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nick(String);

/// Why a text is no [`Nick`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NickError {
    /// There is nothing in it.
    Empty,
    /// It takes more columns than [`NICK_COLUMNS_MAX`].
    TooLong,
    /// It begins with something a nick may not begin with.
    Start(char),
    /// It holds something a nick may not hold.
    Character(char),
}

impl fmt::Display for NickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name has at least one character"),
            Self::TooLong => write!(f, "a name is at most {NICK_COLUMNS_MAX} columns wide"),
            Self::Start(c) => write!(f, "a name may not begin with '{}'", c.escape_default()),
            Self::Character(' ') => f.write_str("a name is one word: leave out the spaces"),
            Self::Character(c) => write!(f, "a name may not hold '{}'", c.escape_default()),
        }
    }
}

/// Whether a nick may hold `c`: it must be visible, and `~`, `:` and `/` have a meaning.
fn fits_nick(c: char) -> bool {
    let visible = matches!(fate(c), Fate::Keep) && !c.is_whitespace() && !c.is_control();
    let filler = matches!(c, '\u{115F}' | '\u{1160}' | '\u{2800}');
    let joiner = matches!(c, '\u{200C}' | '\u{200D}');
    visible && !filler && !joiner && !matches!(c, '~' | ':' | '/' | '\\')
}

/// Whether a nick may begin with `c`: not as an option or a hidden file does, nor with a mark.
fn starts_nick(c: char) -> bool {
    !matches!(c, '.' | '-') && c.width() != Some(0)
}

fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

impl Nick {
    /// A name as typed.
    ///
    /// # Errors
    /// A [`NickError`] that says what to leave out.
    pub fn new(text: &str) -> Result<Self, NickError> {
        let first = text.chars().next().ok_or(NickError::Empty)?;
        if let Some(c) = text.chars().find(|&c| !fits_nick(c)) {
            return Err(NickError::Character(c));
        }
        if !starts_nick(first) {
            return Err(NickError::Start(first));
        }
        // Counting characters as well bounds the bytes: marks take no columns.
        if columns(text) > NICK_COLUMNS_MAX || text.chars().count() > 2 * NICK_COLUMNS_MAX {
            return Err(NickError::TooLong);
        }
        Ok(Self(sanitise(text)))
    }

    /// The nearest name to any text: what does not fit is left out, what is too long is cut.
    #[must_use]
    pub fn from_any(text: &str) -> Self {
        let mut nick = String::new();
        for c in text.chars().filter(|&c| fits_nick(c)).skip_while(|&c| !starts_nick(c)) {
            nick.push(c);
            if columns(&nick) > NICK_COLUMNS_MAX || nick.chars().count() > 2 * NICK_COLUMNS_MAX {
                nick.pop();
                break;
            }
        }
        if nick.is_empty() { Self("nameless".into()) } else { Self(sanitise(&nick)) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Nick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str) -> String {
        Line::new(text).expect("short enough").0
    }

    #[test]
    fn escape_sequences_become_pictures() {
        assert_eq!(line("\x1b[2Jhi\x07"), "\u{241B}[2Jhi\u{2407}");
        assert_eq!(line("a\u{9b}31mb"), "a\u{FFFD}31mb");
        assert_eq!(line("one\r\ntwo"), "one\u{240D}\u{240A}two");
        assert_eq!(line("del\x7f"), "del\u{2421}");
    }

    #[test]
    fn text_is_neither_reordered_nor_hidden() {
        assert_eq!(line("abc\u{202E}def\u{2066}x\u{200B}y"), "abcdefxy");
        assert_eq!(line("x\u{3164}\u{3164}\u{FFA0}y"), "xy", "columns of nothing on some terminals");
        assert_eq!(line(&format!("z{}", "\u{301}".repeat(50))), format!("z{}", "\u{301}".repeat(4)));
    }

    #[test]
    fn ordinary_text_passes_unchanged() {
        for text in ["hi", "col\tcol", "Grüße, мир, 你好", "👩‍👩‍👧 family", "नमस्ते", "שָׁלוֹם", "//x  "]
        {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn a_line_has_a_bound_and_says_so() {
        assert!(Line::new(&"x".repeat(LINE_MAX)).is_ok());
        assert_eq!(Line::new(&"x".repeat(LINE_MAX + 1)), Err(LineError::TooLong(LINE_MAX + 1)));
    }

    #[test]
    fn nicks_say_what_is_wrong() {
        assert!(Nick::new("ann").is_ok() && Nick::new("Zoë-2_x").is_ok() && Nick::new("мир").is_ok());
        assert_eq!(Nick::new(""), Err(NickError::Empty));
        assert_eq!(Nick::new("a b"), Err(NickError::Character(' ')));
        assert_eq!(Nick::new("a~b"), Err(NickError::Character('~')));
        assert_eq!(Nick::new("../x"), Err(NickError::Character('/')));
        assert_eq!(Nick::new("..x"), Err(NickError::Start('.')));
        assert_eq!(Nick::new("a\x1b[m"), Err(NickError::Character('\x1b')));
        assert_eq!(Nick::new(&"x".repeat(25)), Err(NickError::TooLong));
    }

    #[test]
    fn any_text_has_a_nearest_nick() {
        assert_eq!(Nick::from_any("\x1b]0;evil\x07").as_str(), "]0;evil");
        assert_eq!(Nick::from_any(" \u{202E} ").as_str(), "nameless");
        assert_eq!(Nick::from_any("-rf").as_str(), "rf");
    }

    #[test]
    fn what_has_no_width_stands_where_it_has_a_meaning_and_nowhere_else() {
        for text in ["می\u{200C}خواهم", "র\u{200D}\u{9CD}য", "❤\u{FE0F}\u{200D}🔥", "1\u{FE0F}\u{20E3}", "葛\u{FE00}"]
        {
            assert_eq!(line(text), text);
        }
        assert_eq!(line("\u{301}\u{200D}x"), "x", "nothing to stand on but what we print before it");
        assert_eq!(line("pass\u{200D}word\u{200C}"), "password", "two words must not look like one another");
        assert_eq!(line("é\u{200D}\u{200C}\u{200D}é"), "é\u{200D}é", "one joiner");
        assert_eq!(line("é\u{200D} é\u{200D}"), "é é", "nothing to join");
        assert_eq!(line("a\u{FE0F}你\u{FE00}\u{FE01}\u{FE02}"), "a你\u{FE00}", "nothing hidden in choices");
        assert_eq!(line("x\u{E0061}\u{E0062}\u{E0100}y\u{17B4}"), "xy", "nothing hidden in tags");
    }

    /// Neither a control (but for the tab) nor anything that reorders or hides, nor a pile.
    fn harmless(text: &str) -> bool {
        let (mut row, mut before) = (0, None);
        let each = text.chars().all(|c| {
            row = if c.width() == Some(0) { row + 1 } else { 0 };
            let hides = matches!(fate(c), Fate::Drop | Fate::Show(_)) || (row > 0 && before.is_none());
            before = Some(c);
            row <= MARKS_MAX && !hides && (c == '\t' || !c.is_control()) && !('\u{202A}'..='\u{202E}').contains(&c)
        });
        each && !text.ends_with(['\u{200C}', '\u{200D}'])
    }

    #[test]
    fn every_scalar_value_is_harmless() {
        for c in '\0'..=char::MAX {
            for text in [format!("{c}"), format!("a{c}b"), format!("é{c}é{c}{c}{c}{c}{c}{c} {c}")] {
                let text = line(&text);
                assert!(harmless(&text), "{:x}: {text:?}", c as u32);
                assert_eq!(line(&text), text, "{:x}", c as u32);
            }
            let nick = Nick::from_any(&format!("n{c}{c}x"));
            assert!(harmless(nick.as_str()) && !nick.as_str().contains(['\u{200C}', '\u{200D}', '\t', ' ']));
            assert_eq!(Nick::new(nick.as_str()), Ok(nick), "{:x}", c as u32);
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_harmless_and_stays_so(text in "\\PC*|(?s).*") {
            let clean = line(&text);
            prop_assert!(harmless(&clean));
            prop_assert_eq!(line(&clean), clean);
        }

        /// As above, of nothing but what is delicate.
        #[test]
        fn any_mixture_becomes_harmless_and_stays_so(
            text in "[aé1 \u{301}\u{200C}\u{200D}\u{FE00}\u{FE0F}\u{9CD}你\u{1160}\u{202E}\u{E0061}\t\u{1b}]{0,24}",
        ) {
            let clean = line(&text);
            prop_assert!(harmless(&clean), "{:?}", clean);
            prop_assert_eq!(line(&clean), clean);
        }

        #[test]
        fn the_nearest_nick_is_a_nick(text in "(?s).*") {
            let nick = Nick::from_any(&text);
            prop_assert_eq!(Nick::new(nick.as_str()), Ok(nick));
        }
    }
}

//! What a person pressed, out of the bytes a terminal sends.
//!
//! Characters of several bytes and escape sequences may arrive in pieces. Escape sequences that
//! mean nothing here are swallowed whole, so that no half of one ends up in a message.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character to insert.
    Char(char),
    /// The line is finished.
    Enter,
    /// Remove what stands before the cursor.
    Backspace,
    /// Remove what stands under the cursor.
    Delete,
    /// One character to the left.
    Left,
    /// One character to the right.
    Right,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// Remove everything before the cursor.
    KillHead,
    /// Remove everything from the cursor on.
    KillTail,
    /// Remove the word before the cursor.
    KillWord,
    /// Paint the line again.
    Repaint,
    /// Leave, if nothing is typed.
    Leave,
}

/// Where in a sequence of bytes we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After `ESC [`, with the number read so far; `bare` while there were digits and nothing else.
    Control { number: u16, bare: bool },
    /// After `ESC [ [`: one byte follows, on the console of Linux for the first five function keys.
    Function,
    /// After `ESC O`, and digits that tell which keys were held: one byte follows.
    Single,
    /// After `ESC ]`, `ESC P`, ...: with what these begin a string for the terminal begins, else it was a key with Alt,
    /// or a person who pressed ESC and went on typing.
    Opened,
    /// In such a string, until BEL or `ESC \`, or until a line ends: what is typed is not to be swallowed for ever.
    Text,
}

/// Makes keys out of bytes.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    state: State,
    /// The beginning of a character of several bytes.
    partial: Vec<u8>,
}

impl Keys {
    /// One more byte; what it completes is added to `keys`.
    pub fn push(&mut self, byte: u8, keys: &mut Vec<Key>) {
        match self.state {
            State::Ground => self.on_ground(byte, keys),
            // A control or a part of a character is no part of a sequence: somebody pressed ESC, and something else.
            State::Escape if byte < 0x20 && byte != 0x1B || byte >= 0x7F => self.again(byte, keys),
            State::Escape => self.state = after_escape(byte),
            State::Control { number, bare } => self.on_control(number, bare, byte, keys),
            State::Function if matches!(byte, b'A'..=b'E') => self.state = State::Ground,
            State::Function => self.again(byte, keys),
            State::Single => self.on_single(byte, keys),
            State::Opened => match byte {
                0x20..=0x3F => self.state = State::Text,
                _ => self.again(byte, keys),
            },
            State::Text => match byte {
                0x07 => self.state = State::Ground,
                // `ESC \` means nothing else, and whatever else begins here ends the string as well.
                0x1B => self.state = State::Escape,
                b'\r' | b'\n' | 0x04 => self.again(byte, keys),
                _ => {}
            },
        }
    }

    /// What was begun is over, and this byte is no part of it.
    fn again(&mut self, byte: u8, keys: &mut Vec<Key>) {
        self.state = State::Ground;
        self.on_ground(byte, keys);
    }

    fn on_ground(&mut self, byte: u8, keys: &mut Vec<Key>) {
        if byte >= 0x80 {
            return self.on_part(byte, keys);
        }
        if !self.partial.is_empty() {
            self.partial.clear();
            keys.push(Key::Char(char::REPLACEMENT_CHARACTER));
        }
        match byte {
            0x1B => self.state = State::Escape,
            0x20..=0x7E | b'\t' => keys.push(Key::Char(char::from(byte))),
            _ => keys.extend(of_control(byte)),
        }
    }

    /// A byte of a character of several.
    fn on_part(&mut self, byte: u8, keys: &mut Vec<Key>) {
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial) {
            Ok(text) => {
                keys.extend(text.chars().map(Key::Char));
                self.partial.clear();
            }
            // The character is not complete yet.
            Err(why) if why.error_len().is_none() => {}
            Err(_) => {
                keys.push(Key::Char(char::REPLACEMENT_CHARACTER));
                let first = self.partial.len() == 1;
                self.partial.clear();
                // The byte that broke a character may begin the next.
                if !first && byte >= 0xC0 {
                    self.partial.push(byte);
                }
            }
        }
    }

    fn on_single(&mut self, byte: u8, keys: &mut Vec<Key>) {
        match byte {
            b'0'..=b'9' | b';' => {}
            _ if is_key(byte) => {
                self.state = State::Ground;
                // rxvt writes arrows with Ctrl in small letters.
                let last = if byte <= b'd' { byte.to_ascii_uppercase() } else { byte };
                keys.extend(named(last, 0));
            }
            _ => self.again(byte, keys),
        }
    }

    fn on_control(&mut self, number: u16, bare: bool, byte: u8, keys: &mut Vec<Key>) {
        match byte {
            b'0'..=b'9' => {
                let number = number.saturating_mul(10).saturating_add(u16::from(byte - b'0'));
                self.state = State::Control { number, bare };
            }
            // rxvt ends so what it sends with Shift; elsewhere it is amid what no key sends.
            b'$' if bare && number > 0 => {
                self.state = State::Ground;
                keys.extend(named(b'~', number));
            }
            0x20..=0x3F => self.state = State::Control { number, bare: false },
            b'[' if bare && number == 0 => self.state = State::Function,
            0x1B => self.state = State::Escape,
            0x40..=0x7E => {
                self.state = State::Ground;
                keys.extend(named(byte, number));
            }
            _ => self.again(byte, keys),
        }
    }
}

const fn after_escape(byte: u8) -> State {
    match byte {
        b'[' => State::Control { number: 0, bare: true },
        b'O' => State::Single,
        b']' | b'P' | b'X' | b'^' | b'_' => State::Opened,
        0x1B => State::Escape,
        _ => State::Ground,
    }
}

/// Whether terminals say a key by this byte after `ESC O`: cursor keys, those above, and the keypad.
const fn is_key(byte: u8) -> bool {
    matches!(byte, b'A'..=b'F' | b'H' | b'I' | b'M' | b'P'..=b'S' | b'X' | b'a'..=b'd' | b'j'..=b'y' | b' ')
}

/// The key of an escape sequence that ends with `last` after `number`.
const fn named(last: u8, number: u16) -> Option<Key> {
    match (last, number) {
        (b'C', _) => Some(Key::Right),
        (b'D', _) => Some(Key::Left),
        (b'H', _) | (b'~', 1 | 7) => Some(Key::Home),
        (b'F', _) | (b'~', 4 | 8) => Some(Key::End),
        (b'~', 3) => Some(Key::Delete),
        _ => None,
    }
}

/// The key of a control character.
const fn of_control(byte: u8) -> Option<Key> {
    match byte {
        b'\r' | b'\n' => Some(Key::Enter),
        0x7F | 0x08 => Some(Key::Backspace),
        0x01 => Some(Key::Home),
        0x02 => Some(Key::Left),
        0x04 => Some(Key::Leave),
        0x05 => Some(Key::End),
        0x06 => Some(Key::Right),
        0x0B => Some(Key::KillTail),
        0x0C | 0x12 => Some(Key::Repaint),
        0x15 => Some(Key::KillHead),
        0x17 => Some(Key::KillWord),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let (mut reader, mut keys) = (Keys::default(), Vec::new());
        for &byte in bytes {
            reader.push(byte, &mut keys);
        }
        keys
    }

    fn chars(text: &str) -> Vec<Key> {
        text.chars().map(Key::Char).collect()
    }

    #[test]
    fn characters_of_several_bytes_come_whole() {
        assert_eq!(keys("aé你👩\t".as_bytes()), chars("aé你👩\t"));
    }

    #[test]
    fn bytes_that_are_no_text_become_replacements() {
        assert_eq!(keys(b"\xFFa"), chars("\u{FFFD}a"));
        assert_eq!(keys(b"\xC3a"), chars("\u{FFFD}a"));
        assert_eq!(keys(b"\xE4\xC3\xA9"), chars("\u{FFFD}é"));
    }

    #[test]
    fn unknown_sequences_are_swallowed_whole() {
        assert_eq!(keys(b"\x1b[1;5A\x1b[200~x\x1b]0;title\x07y\x1bP1\x1b\\z\x1bq"), chars("xyz"));
        assert_eq!(keys(b"\x1b\x1b[Cx"), [Key::Right, Key::Char('x')]);
    }

    #[test]
    fn no_escape_swallows_what_is_typed_behind_it() {
        // Keys with Alt, or a habit of vi.
        assert_eq!(keys(b"\x1bPlease\x1b]x\x1b_y\x1bP\x1b[C"), [&chars("leasexy")[..], &[Key::Right]].concat());
        assert_eq!(keys(b"\x1bP\r\x1b]\x04"), [Key::Enter, Key::Leave]);
        assert_eq!(keys("\x1b\r\x1b\x04\x1b\x7f".as_bytes()), [Key::Enter, Key::Leave, Key::Backspace]);
        assert_eq!(keys("\x1bé\x1bOK\x1bOé".as_bytes()), chars("éKé"));
        // A string that nobody ends.
        assert_eq!(keys(b"\x1b]0;title\rx"), [Key::Enter, Key::Char('x')]);
        assert_eq!(keys(b"\x1bP1$r0\x04"), [Key::Leave]);
        assert_eq!(keys(b"\x1b]0;title\x1b[Dx"), [Key::Left, Key::Char('x')]);
    }

    #[test]
    fn cursor_keys_in_both_spellings() {
        assert_eq!(keys(b"\x1b[D\x1bOD\x1b[H\x1b[1~"), [Key::Left, Key::Left, Key::Home, Key::Home]);
        assert_eq!(keys(b"\x1b[3~\x1b[F\x1b[8~"), [Key::Delete, Key::End, Key::End]);
    }

    #[test]
    fn the_function_keys_of_the_console_type_nothing() {
        assert_eq!(keys(b"\x1b[[Aa\x1b[[Eb"), chars("ab"));
        assert_eq!(keys(b"\x1b[[x\x1b[[\r"), [Key::Char('x'), Key::Enter]);
    }

    #[test]
    fn the_keys_of_rxvt_and_konsole_type_nothing_of_their_own() {
        assert_eq!(keys(b"\x1bOc\x1bOd\x1bOa\x1bOb"), [Key::Right, Key::Left]);
        assert_eq!(keys(b"\x1bO2Px\x1bO1;5Dy"), [Key::Char('x'), Key::Left, Key::Char('y')]);
        assert_eq!(keys(b"\x1b[3$\x1b[7$\x1b[8$x"), [Key::Delete, Key::Home, Key::End, Key::Char('x')]);
        // An answer of the terminal to a question that somebody else asked.
        assert_eq!(keys(b"\x1b[?7;1$yx\x1b[4;1$yx"), chars("xx"));
    }

    #[test]
    fn control_characters() {
        assert_eq!(
            keys(b"\r\x7f\x15\x17\x04\x00"),
            [Key::Enter, Key::Backspace, Key::KillHead, Key::KillWord, Key::Leave]
        );
    }
}

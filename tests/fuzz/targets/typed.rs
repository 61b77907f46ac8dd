//! Target `typed`: keys, pasted text, pipes, commands, and the values of options.

use std::num::NonZero;

use udpnode::command::parse;
use udpnode::runtime::foreign::{Source, meaning, option_values};
use udpnode::term::Screen;
use udpnode::text::LINE_MAX;

use super::choices::Choices;
use super::screen::{Watcher, as_terminals_do, safe};

const COLUMNS: u16 = 40;

/// Runs one input: the first byte says where it comes from, and how it is cut into reads.
pub(crate) fn run(input: &[u8]) -> u64 {
    let mut choices = Choices::new(input);
    let head = choices.byte();
    let source = [Source::Keyboard, Source::Pipe, Source::Commands][usize::from(head) % 3];
    let bytes = choices.rest();
    let step = 1 + usize::from(head >> 3);
    let cut: Vec<&[u8]> = if head & 4 == 0 { vec![bytes] } else { bytes.chunks(step).collect() };
    let (items, typed, cursor) = meaning(source, &cut);
    assert!(typed.len() <= LINE_MAX + 4 && typed.is_char_boundary(cursor), "{cursor} in {typed:?}");
    for item in &items {
        assert!(item.lines().all(|line| line.len() <= 4 * LINE_MAX));
        assert!(item.split('\n').all(safe), "{item:?}");
    }
    if cut.len() > 1 {
        // How it is cut into reads makes no difference to what is typed.
        let (_, whole, at) = meaning(source, &[bytes]);
        assert_eq!((&typed, cursor), (&whole, at));
    }
    painted(&typed, cursor);
    // A command is one line, and so is whatever is written behind an option.
    let text = String::from_utf8_lossy(bytes.split(|&byte| byte == b'\n').next().unwrap_or_default());
    if let Err(why) = parse(&text) {
        assert!(safe(&why.to_string()), "{why:?}");
    }
    for value in option_values(&text) {
        assert!(!value.chars().any(char::is_control), "{value:?}");
    }
    1
}

/// The prompt stays one row, and the cursor in it.
fn painted(typed: &str, cursor: usize) {
    let columns = NonZero::new(COLUMNS).expect("columns");
    let rows = NonZero::new(4).expect("rows");
    let mut terminal = vt100::Parser::new_with_callbacks(rows, columns, 0, Watcher);
    terminal.process(as_terminals_do(&Screen::new(Some(COLUMNS.into())).prompt(typed, cursor)).as_bytes());
    let (row, column) = terminal.screen().cursor_position();
    assert!(row == 0 && (2..COLUMNS).contains(&column), "the cursor is at {row}, {column}");
    assert!(terminal.screen().contents().starts_with('>'));
}

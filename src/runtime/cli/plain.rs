//! The options of plain mode, and those that mean nothing there.

use super::{Arguments, Plain, UsageError};
use crate::command::CastChoice;
use crate::text::Line;

impl Plain {
    /// What was asked for plain mode, if it was asked for.
    pub(super) fn check(arguments: &Arguments) -> Result<Option<Self>, UsageError> {
        let Arguments { dest, leave_word, .. } = arguments;
        if arguments.plain == 0 {
            return match (dest, leave_word) {
                (Some(_), _) => Err(UsageError::new("option '--dest' is for --plain")),
                (_, Some(_)) => Err(UsageError::new("option '--leave-word' is for --plain")),
                (None, None) => Ok(None),
            };
        }
        let senseless = [
            ("--tcp", arguments.tcp > 0),
            ("--peer", !arguments.peer.is_empty()),
            ("--no-relay", arguments.no_relay > 0),
            ("--history", arguments.history.is_some()),
            ("--state-dir", arguments.state_dir.is_some()),
            ("--key-file", arguments.key_file.is_some()),
            ("--commands", arguments.commands > 0),
        ];
        if let Some((name, _)) = senseless.iter().find(|(_, given)| *given) {
            return Err(UsageError::new(format!("option '{name}' means nothing with --plain")));
        }
        let bare = arguments.name.as_deref() == Some("");
        match (arguments.cast.unwrap_or_default() == CastChoice::Unicast, dest) {
            (true, None) => return Err(UsageError::new("--plain --cast unicast needs --dest ADDR[:PORT]")),
            (false, Some(_)) => return Err(UsageError::new("option '--dest' is for --cast unicast")),
            _ => {}
        }
        let leave_word = leave_word.as_deref().map(leave_word_of).transpose()?;
        Ok(Some(Self { bare, dest: *dest, leave_word }))
    }
}

fn leave_word_of(word: &str) -> Result<Line, UsageError> {
    match Line::new(word) {
        Ok(line) if !word.is_empty() => Ok(line),
        _ => Err(UsageError::new("--leave-word needs a word")),
    }
}

//! Standard input in all its forms - a terminal, a pipe, a file, nothing - and what each line of it
//! means.
//!
//! epoll refuses files and `/dev/null`: those are always ready. Descriptor 0 is never made
//! non-blocking, since the parent shell shares it: poll(2) is asked before each read. What is not
//! wanted yet stays in the pipe; at most one read is held here.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{isatty, read};

use super::lines::{Lines, Piece};
use super::terminal;
use super::values::with_numbers;
use crate::command::{Command, CommandError, Typed, is_command, parse};
use crate::term::{Act, Editor};
use crate::text::{LINE_MAX, Line, LineError};

/// Most bytes read at once.
const READ_MAX: usize = 64 * 1024;

/// Most lines said at once.
const LINES_MAX: usize = 256;

/// How soon after a line was put back behind the prompt nobody can have seen it there: text that comes by then is what
/// is being pasted, or typed ahead, and no change of that line.
const SEEN_AFTER: Duration = Duration::from_millis(200);

/// Most bytes shown of a line that is too long to be put back.
const SHOWN_MAX: usize = 200;

/// What standard input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A terminal, with a line editor on it.
    Edited,
    /// A terminal that keeps its own line discipline.
    Typed,
    /// Anything else: every line is a message.
    Piped,
    /// Whatever it is, it is left alone.
    Nothing,
}

/// What standard input brings, in its order.
#[derive(Debug)]
pub(crate) enum Item {
    /// Lines to be said, together.
    Say(Vec<Line>),
    /// A command.
    Typed(Typed),
    /// What a person should know about a line.
    Remark(String),
    /// Why a line was thrown away, or a command means nothing.
    Refused(String),
    /// A line that was refused and put back, and is not there any more.
    NotDone(String),
    /// The screen is to be painted anew.
    Repaint,
    /// The person wants to leave.
    Leave,
    /// Nothing more will come.
    End,
    /// It cannot be read; nothing more will come.
    Failed(io::Error),
}

/// Standard input.
pub(crate) struct Console {
    kind: Kind,
    /// Lines from a pipe may be commands.
    commands: bool,
    /// Not even somebody who types gives commands.
    plain: bool,
    /// epoll does not tell when there is something to read: there always is.
    always: bool,
    /// epoll told that there is something to read.
    readable: bool,
    /// The terminal served somebody else when it was looked at last.
    away: bool,
    ended: bool,
    lines: Lines,
    editor: Editor,
    chunk: Vec<u8>,
    /// What was read and is not handed over.
    items: VecDeque<Item>,
    /// What each of them was typed as, where the line editor has nothing of it left on the screen.
    typed: VecDeque<String>,
    /// What was taken last was typed so.
    taken: String,
    /// When a line was put back, if nothing came since.
    put_back: Option<Instant>,
    /// That something is not UTF-8 was told.
    told_bytes: bool,
}

impl Console {
    /// Standard input, with `token` for what epoll tells about it.
    pub(crate) fn open(kind: Kind, commands: bool, plain: bool, registry: &Registry, token: Token) -> Self {
        let fd = io::stdin().as_raw_fd();
        let ended = kind == Kind::Nothing;
        let registered = match ended {
            true => Ok(()),
            false => registry.register(&mut SourceFd(&fd), token, Interest::READABLE),
        };
        let (always, readable) = (registered.is_err(), registered.is_ok());
        let chunk = vec![0; READ_MAX];
        let mut console = Self { always, readable, ended, chunk, ..Self::detached(kind, commands, plain) };
        console.look_if_served();
        console
    }

    /// A console that reads nothing by itself: what it is fed with [`Console::feed`].
    pub(crate) fn detached(kind: Kind, commands: bool, plain: bool) -> Self {
        Self {
            kind,
            commands,
            plain,
            always: true,
            readable: false,
            away: false,
            ended: false,
            lines: Lines::default(),
            editor: Editor::default(),
            chunk: Vec::new(),
            items: VecDeque::new(),
            typed: VecDeque::new(),
            taken: String::new(),
            put_back: None,
            told_bytes: false,
        }
    }

    /// As if these bytes had been read; no more than one read brings.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(READ_MAX);
        self.chunk.clear();
        self.chunk.extend_from_slice(&bytes[..len]);
        self.on_bytes(len);
    }

    /// Whether lines come from a pipe or a file, and not from somebody who types.
    pub(crate) const fn is_piped(&self) -> bool {
        matches!(self.kind, Kind::Piped)
    }

    /// Whether a person sits at a terminal.
    pub(crate) fn is_terminal() -> bool {
        isatty(io::stdin()).unwrap_or(false)
    }

    /// Looks whether the terminal that it reads, if it is one, serves us now.
    pub(crate) fn look_if_served(&mut self) -> bool {
        self.away = matches!(self.kind, Kind::Edited | Kind::Typed) && !terminal::is_ours();
        !self.away
    }

    /// Whether it served somebody else when it was looked at last.
    pub(crate) const fn is_away(&self) -> bool {
        self.away
    }

    /// There may be something to read, as epoll told.
    pub(crate) const fn on_readable(&mut self) {
        self.readable = true;
    }

    /// What is typed so far, and where the cursor stands.
    pub(crate) fn typed(&self) -> (&str, usize) {
        (self.editor.text(), self.editor.cursor())
    }

    /// What was taken last is refused: where nothing else is typed yet it is to be edited again, else it is handed over
    /// to be shown. Once, and nothing where it was not typed in the editor.
    pub(crate) fn take_back(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.taken);
        if line.is_empty() {
            return None;
        }
        if line.len() > LINE_MAX {
            // No character more would fit.
            let shown = &line[..line.floor_char_boundary(SHOWN_MAX)];
            return Some(format!("{shown}... ({} bytes)", line.len()));
        }
        // What is being pasted would go on in it.
        let busy = !self.items.is_empty() || self.readable && has_input();
        if busy || !self.editor.text().is_empty() {
            return Some(line);
        }
        self.editor.put(line);
        self.put_back = Some(Instant::now());
        None
    }

    /// What was taken last is done, and what is refused from now on is something else.
    pub(crate) fn forget(&mut self) {
        self.taken.clear();
    }

    /// Whether there is something to hand over, or to read.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.peek().is_some() || !self.ended && (self.always || self.readable)
    }

    /// Whether the next thing is there and not wanted yet: `lines` tells whether lines for the group are, and `opened`
    /// whether they ever were. Until then a script that is about others waits for them, but for what is about one whom
    /// the node `knows`. What a pipe has for one alone also waits until that one `takes` more.
    pub(crate) fn waits(
        &mut self,
        lines: bool,
        opened: bool,
        knows: impl Fn(&Line) -> bool,
        takes: impl Fn(&Line) -> bool,
    ) -> bool {
        let piped = self.is_piped();
        match self.peek() {
            Some(Item::Say(_)) => !lines,
            Some(Item::Typed(Typed::Tell { to, .. })) => !opened && !knows(to) || piped && !takes(to),
            Some(Item::Typed(typed)) if piped && !opened => match typed {
                Typed::Why(name) | Typed::Verify(Some(name)) => !knows(name),
                Typed::Command(Command::Trust(name) | Command::Verify { name, .. }) => !knows(name),
                Typed::Who | Typed::Paths { .. } => true,
                _ => false,
            },
            _ => false,
        }
    }

    fn has_line(&mut self) -> bool {
        matches!(self.peek(), Some(Item::Say(_)))
    }

    fn peek(&mut self) -> Option<&Item> {
        while self.items.is_empty() {
            let piece = self.lines.next()?;
            self.on_piece(piece);
        }
        self.items.front()
    }

    /// The next thing, of what was read. Lines that wait together come together, but for what may be refused one by
    /// one.
    pub(crate) fn take(&mut self) -> Option<Item> {
        self.peek()?;
        self.taken = self.typed.pop_front().unwrap_or_default();
        match self.items.pop_front()? {
            Item::Say(line) if self.plain && self.kind == Kind::Edited => Some(Item::Say(line)),
            Item::Say(mut lines) => {
                let mut len: usize = lines.iter().map(|line| line.as_str().len()).sum();
                while lines.len() < LINES_MAX && self.has_line() {
                    let Some(Item::Say(more)) = self.items.front_mut() else {
                        break;
                    };
                    len += more.iter().map(|line| line.as_str().len()).sum::<usize>();
                    if len > LINE_MAX {
                        break;
                    }
                    lines.append(more);
                    self.items.pop_front();
                    self.typed.pop_front();
                }
                Some(Item::Say(lines))
            }
            item => Some(item),
        }
    }

    /// Reads once, if there is something and all that was read is handed over.
    pub(crate) fn fill(&mut self, registry: &Registry) {
        if self.ended || self.peek().is_some() {
            return;
        }
        if self.readable && !self.look_if_served() {
            // What is typed now is for somebody else, and who reads it in the background is stopped.
            self.readable = false;
            return;
        }
        let told = self.readable && has_input();
        if !(self.always || told) {
            self.readable = false;
            return;
        }
        match read(io::stdin(), &mut self.chunk) {
            Ok(0) => self.finish(self.end(!Self::is_terminal()), registry),
            Ok(len) => self.on_bytes(len),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => self.readable = false,
            Err(Errno::EIO) if self.kind != Kind::Piped => self.finish(self.end(true), registry),
            // Open for writing only, as nohup(1) leaves it where a terminal was: nobody has anything to say there.
            Err(Errno::EBADF) => self.finish(Item::End, registry),
            Err(why) => self.finish(Item::Failed(why.into()), registry),
        }
    }

    fn on_bytes(&mut self, len: usize) {
        if self.kind != Kind::Edited {
            self.lines.push(&self.chunk[..len]);
            return;
        }
        let unseen = self.put_back.take().is_some_and(|at| at.elapsed() < SEEN_AFTER);
        if unseen && self.chunk.first().is_some_and(|&byte| is_text(byte)) {
            self.items.push_back(Item::NotDone(self.editor.text().to_owned()));
            self.typed.push_back(String::new());
            self.editor.put(String::new());
        }
        for act in self.editor.feed(&self.chunk[..len]) {
            let mut typed = String::new();
            match act {
                Act::Line(text) => {
                    self.on_text(&text);
                    typed = text;
                }
                Act::Repaint => self.items.push_back(Item::Repaint),
                Act::Leave => self.items.push_back(Item::Leave),
            }
            // A blank line is nothing.
            if self.items.len() > self.typed.len() {
                self.typed.push_back(typed);
            }
        }
    }

    /// What it means that nothing more comes; `gone` if there is no terminal any more. Where nobody edits, whoever
    /// closed it may have wanted this to go on without; with the line editor the screen is gone as well.
    const fn end(&self, gone: bool) -> Item {
        match self.kind {
            Kind::Edited => Item::Leave,
            Kind::Typed if !gone => Item::Leave,
            Kind::Typed | Kind::Piped | Kind::Nothing => Item::End,
        }
    }

    fn finish(&mut self, last: Item, registry: &Registry) {
        self.ended = true;
        if let Some(piece) = self.lines.finish() {
            self.on_piece(piece);
        }
        self.items.push_back(last);
        if !self.always {
            let fd = io::stdin().as_raw_fd();
            // What is closed is not watched any more.
            let _ = registry.deregister(&mut SourceFd(&fd));
        }
    }

    fn on_piece(&mut self, piece: Piece) {
        match piece {
            Piece::TooLong(len) => {
                self.items.push_back(Item::Refused(format!("not sent: {}", LineError::TooLong(len))));
            }
            Piece::Line(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                if matches!(text, std::borrow::Cow::Owned(_)) && !self.told_bytes {
                    self.told_bytes = true;
                    let text = "standard input is not all UTF-8: bytes that are not are sent as U+FFFD";
                    self.items.push_back(Item::Remark(text.into()));
                }
                if self.interprets(&text) { self.on_text(&text) } else { self.on_message(&bytes) }
            }
        }
    }

    /// Whether a line may be a command. In a pipe, blank lines stay messages.
    fn interprets(&self, text: &str) -> bool {
        self.kind != Kind::Piped || (self.commands && is_command(text))
    }

    fn on_text(&mut self, text: &str) {
        if self.plain && !text.trim().is_empty() {
            return self.on_message(text.as_bytes());
        }
        self.items.extend(meaning(parse(&with_numbers(text))));
    }

    fn on_message(&mut self, bytes: &[u8]) {
        let meant = Line::from_bytes(bytes).map(Typed::Say).map_err(CommandError::Line);
        self.items.extend(meaning(meant));
    }
}

fn meaning(typed: Result<Typed, CommandError>) -> Option<Item> {
    match typed {
        Ok(Typed::Nothing) => None,
        Ok(Typed::Say(line)) => Some(Item::Say(vec![line])),
        Ok(typed) => Some(Item::Typed(typed)),
        Err(why) => Some(Item::Refused(why.to_string())),
    }
}

/// Whether text begins so, and no key that edits it.
const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\r' | b'\n' | 0x20..=0x7E | 0x80..)
}

/// Whether a read would return at once, with bytes, the end or an error.
fn has_input() -> bool {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&stdin), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(kind: Kind, commands: bool) -> Console {
        Console::detached(kind, commands, false)
    }

    /// What `bytes` mean, as short text.
    fn means(console: &mut Console, bytes: &[u8]) -> Vec<String> {
        console.feed(bytes);
        std::iter::from_fn(|| console.take()).map(|item| shown(&item)).collect()
    }

    fn shown(item: &Item) -> String {
        match item {
            Item::Say(lines) => format!("say {}", lines.iter().map(Line::as_str).collect::<Vec<_>>().join("|")),
            Item::Typed(typed) => format!("{typed:?}"),
            Item::Remark(why) | Item::Refused(why) => format!("remark {why}"),
            Item::NotDone(line) => format!("not done {line}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn every_line_of_a_pipe_is_a_message() {
        let mut pipe = console(Kind::Piped, false);
        assert_eq!(means(&mut pipe, b"hi\n\n/who\n!exit\n"), ["say hi||/who|!exit"]);
    }

    #[test]
    fn with_commands_a_slash_has_a_meaning_and_blank_lines_stay_messages() {
        let mut pipe = console(Kind::Piped, true);
        let meant = means(&mut pipe, b"a\n\n/who\n//x\n/fly\nb\n");
        assert_eq!(meant[..3], ["say a|", "Who", "say /x"]);
        assert!(meant[3].starts_with("remark unknown command /fly") && meant[4] == "say b");
    }

    #[test]
    fn bytes_that_are_no_text_are_told_once() {
        let mut pipe = console(Kind::Piped, false);
        let meant = means(&mut pipe, b"ok\n\xFF1\n\xFE2\n");
        assert!(meant[1].starts_with("remark standard input is not all UTF-8"));
        assert_eq!((meant[0].as_str(), meant[2].as_str()), ("say ok", "say \u{FFFD}1|\u{FFFD}2"));
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_and_the_rest_goes_on() {
        let mut pipe = console(Kind::Piped, false);
        for _ in 0..3 {
            assert!(means(&mut pipe, &[b'x'; READ_MAX]).is_empty());
        }
        let meant = means(&mut pipe, b"\nnext\n");
        assert!(meant[0].contains(&format!("has {}", 3 * READ_MAX)), "{meant:?}");
        assert_eq!(meant[1], "say next");
    }

    #[test]
    fn lines_come_together_up_to_a_bound() {
        let mut pipe = console(Kind::Piped, false);
        let many = "x\n".repeat(LINES_MAX + 1);
        let meant = means(&mut pipe, many.as_bytes());
        assert_eq!(meant.iter().map(|m| m.matches('x').count()).collect::<Vec<_>>(), [LINES_MAX, 1]);
    }

    #[test]
    fn in_a_terminal_blank_lines_are_nothing() {
        for kind in [Kind::Edited, Kind::Typed] {
            let mut terminal = console(kind, false);
            let meant = means(&mut terminal, b"\n  \nhi\n/quit\n");
            assert_eq!(meant, ["say hi", "Command(Quit)"]);
        }
        assert_eq!(means(&mut console(Kind::Edited, false), b"\x04"), ["Leave"]);
    }

    #[test]
    fn a_refused_line_is_there_again_or_handed_over() {
        let mut keys = console(Kind::Edited, false);
        assert!(means(&mut keys, b"\r/tell bob\r")[0].contains("usage"));
        assert_eq!((keys.take_back(), keys.take_back(), keys.typed()), (None, None, ("/tell bob", 9)));
        keys.put_back = None;
        assert!(means(&mut keys, b" hi\r/fly\rnext")[1].contains("/fly"));
        assert_eq!((keys.take_back(), keys.typed()), (Some("/fly".into()), ("next", 4)));
        keys.feed(b"\x15/fly\rhi\r");
        assert!(matches!(keys.take(), Some(Item::Refused(_))));
        assert_eq!((keys.take_back(), keys.typed()), (Some("/fly".into()), ("", 0)), "more is being pasted");
        let long = "x".repeat(LINE_MAX + 1);
        let mut keys = console(Kind::Edited, false);
        // No more is read at once.
        keys.feed(&long.as_bytes()[..READ_MAX]);
        assert!(means(&mut keys, b"x\r")[0].contains("at most"));
        let shown = format!("{}... (65537 bytes)", "x".repeat(200));
        assert_eq!((keys.take_back(), keys.typed()), (Some(shown), ("", 0)), "nothing could be added to it");
        assert!(means(&mut keys, b"\x15/fly\r")[0].contains("/fly"));
        keys.forget();
        assert_eq!((keys.take_back(), keys.typed()), (None, ("", 0)));
        let mut pipe = console(Kind::Typed, false);
        assert!(means(&mut pipe, b"/fly\n")[0].contains("/fly"));
        assert_eq!((pipe.take_back(), pipe.typed()), (None, ("", 0)));
    }

    #[test]
    fn what_is_pasted_does_not_go_on_in_a_line_that_was_refused() {
        let mut keys = console(Kind::Edited, false);
        // Somebody who sees nothing for a while.
        let refused = |keys: &mut Console| {
            assert!(means(keys, b"\x15/fly\r")[0].contains("/fly"));
            assert_eq!((keys.take_back(), keys.typed()), (None, ("/fly", 4)));
            keys.put_back = keys.put_back.map(|at| at + Duration::from_secs(60));
        };
        refused(&mut keys);
        assert_eq!(means(&mut keys, b"line 2\rli"), ["not done /fly", "say line 2"]);
        assert_eq!(means(&mut keys, b"ne 3\r"), ["say line 3"]);
        refused(&mut keys);
        assert_eq!(means(&mut keys, b"\x01/\r"), ["say /fly"], "a key that edits");
        refused(&mut keys);
        keys.put_back = Instant::now().checked_sub(SEEN_AFTER);
        assert!(means(&mut keys, b"er\r")[0].contains("/flyer"), "a person who has seen it");
    }

    #[test]
    fn in_plain_mode_what_is_typed_may_be_refused_line_by_line() {
        let mut keys = Console { plain: true, ..console(Kind::Edited, false) };
        assert_eq!(means(&mut keys, b"one\rtwo\r"), ["say one", "say two"]);
        assert_eq!((keys.take_back(), keys.typed()), (None, ("two", 3)));
    }

    #[test]
    fn in_plain_mode_a_slash_is_text_even_where_somebody_types() {
        for kind in [Kind::Edited, Kind::Typed] {
            let mut terminal = Console { plain: true, ..console(kind, false) };
            let meant = means(&mut terminal, b"\n/who\n//x\nquit\n").join("|").replace("|say ", "|");
            assert_eq!(meant, "say /who|//x|quit");
        }
    }

    #[test]
    fn a_line_waits_until_it_is_wanted_and_so_does_a_command_about_others() {
        let mut pipe = console(Kind::Piped, true);
        let waits = |pipe: &mut Console, lines, opened, knows| pipe.waits(lines, opened, |_| knows, |_| true);
        pipe.lines.push(b"/stats\n/who\n/trust bob\n/tell bob hi\nhi\n");
        assert!(pipe.is_ready() && !waits(&mut pipe, false, false, false));
        assert!(pipe.take().is_some() && waits(&mut pipe, false, false, true) && !waits(&mut pipe, false, true, false));
        for about_bob in ["/trust", "/tell"] {
            let is_bob = |to: &Line| to.as_str() == "bob";
            assert!(pipe.take().is_some() && waits(&mut pipe, false, false, false), "{about_bob}");
            assert!(!pipe.waits(false, false, is_bob, |_| true), "{about_bob}");
            assert!(!waits(&mut pipe, false, true, false), "{about_bob}");
        }
        assert!(pipe.take().is_some());
        assert!(waits(&mut pipe, false, true, true) && !waits(&mut pipe, true, true, false));
        let mut keys = console(Kind::Typed, true);
        keys.lines.push(b"/who\n");
        assert!(!waits(&mut keys, false, false, false), "who sits there sees who comes");
    }

    #[test]
    fn what_a_pipe_has_for_one_alone_waits_until_that_one_takes_more() {
        for (kind, waits) in [(Kind::Piped, true), (Kind::Typed, false)] {
            let mut lines = console(kind, true);
            lines.lines.push(b"/tell bob hi\n");
            let is_bob = |to: &Line| to.as_str() == "bob";
            assert_eq!(lines.waits(true, true, |_| true, |to| !is_bob(to)), waits);
            assert!(!lines.waits(true, true, |_| true, is_bob));
        }
    }
}

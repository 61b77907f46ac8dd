//! What standard input brings: lines to be said, commands, questions and their answers.

use super::{ITEMS_MAX, NOT_TAKEN, Shell, wall};
use crate::command::{Command, Typed};
use crate::event::Event;
use crate::node::Input;
use crate::runtime::answers::{self, Answer};
use crate::runtime::console::Item;
use crate::runtime::pins::Keep;
use crate::runtime::{output, render_paths, render_why};
use crate::text::Line;
use crate::time::Time;

impl Shell {
    pub(super) fn serve_console(&mut self) {
        for _ in 0..ITEMS_MAX {
            if self.input_over || self.ending.is_decided() || self.is_answering() {
                break;
            }
            self.console.fill(self.poll.registry());
            self.show_typed();
            if self.input_waits() {
                self.wait_with_line();
                break;
            }
            let Some(item) = self.console.take() else {
                break;
            };
            if self.line_waits && !matches!(item, Item::Say(_)) {
                self.line_waits = false;
                self.handle(Input::Command(Command::LineTaken));
            }
            self.on_item(item);
            // In plain mode a line may have to wait for its turn before it is refused; here all is decided.
            if self.machine.native().is_some() {
                self.console.forget();
            }
        }
    }

    /// Whether what comes next is not wanted yet. What is for one alone waits, at the start, until
    /// that one is known.
    pub(super) fn input_waits(&mut self) -> bool {
        let lines = self.machine.wants_line();
        self.opened |= lines;
        let knows = |name: &Line| self.machine.native().is_some_and(|node| node.knows(name));
        let takes = |name: &Line| self.machine.native().is_none_or(|node| node.wants_tell(name));
        // A listener waits for lines as long as it must, for answers no longer than it was told to.
        let opened = self.opened || self.stay && self.now() >= Time::ZERO + self.wait;
        self.console.waits(lines, opened, knows, takes)
    }

    /// Whether what a pipe asked for must be answered before anything else is looked at.
    pub(super) fn is_answering(&self) -> bool {
        self.console.is_piped() && self.is_asked()
    }

    fn show_typed(&mut self) {
        let (text, cursor) = self.console.typed();
        self.teller.typed(text, cursor);
    }

    /// Nothing that was typed is lost because it was refused.
    pub(super) fn take_back(&mut self) {
        if let Some(line) = self.console.take_back() {
            self.tell_not_done(&line);
        }
        self.show_typed();
    }

    fn tell_not_done(&mut self, line: &str) {
        self.teller.notice(&format!("* not done: {line}"));
    }

    fn wait_with_line(&mut self) {
        if !self.line_waits {
            self.line_waits = true;
            self.handle(Input::Command(Command::LineWaiting));
            if self.teller.has_prompt() && self.machine.native().is_some() {
                self.teller.notice("* your line waits: others have not confirmed what you said before");
            }
        }
    }

    fn on_item(&mut self, item: Item) {
        match item {
            Item::Say(lines) => {
                self.line_waits = false;
                self.handle(Input::Command(Command::Say { lines, wall: wall() }));
            }
            Item::Typed(typed) => self.on_typed(typed),
            Item::Remark(text) => self.teller.warning(&text),
            Item::Refused(text) => {
                self.take_back();
                self.teller.warning(&text);
                self.refuse();
            }
            Item::NotDone(line) => self.tell_not_done(&line),
            Item::Repaint => self.teller.clear(),
            Item::Leave => self.leave(None),
            Item::End if self.stay => {}
            Item::End => self.end_of_input(),
            Item::Failed(why) => {
                output::complain(&format!("cannot read standard input: {why}"));
                self.leave(Some(1));
            }
        }
    }

    pub(super) fn on_typed(&mut self, typed: Typed) {
        if matches!(typed, Typed::Doctor(_)) && self.machine.native().is_some() {
            return self.ask_doctor(typed);
        }
        if let Some(answer) = self.answer(&typed) {
            return self.tell_answer(&answer);
        }
        match typed {
            Typed::Command(Command::Quit) if self.console.is_piped() => self.end_of_input(),
            Typed::Command(Command::Quit) => self.leave(None),
            Typed::Command(Command::Nick(nick)) => {
                self.handle(Input::Command(Command::Nick(nick)));
                self.listen_for_clients();
            }
            Typed::Command(Command::Plain { to, text }) => {
                self.failed_to = None;
                self.handle(Input::Command(Command::Plain { to, text }));
                if self.failed_to == Some(to) {
                    self.on_told(&Event::Refused(NOT_TAKEN.into()));
                }
            }
            Typed::Command(command) => {
                self.handle(Input::Command(command));
                // What a person says about names is kept at once.
                self.keep_pins(Keep::Now);
            }
            Typed::Say(line) => self.on_item(Item::Say(vec![line])),
            Typed::Tell { to, text } => {
                self.line_waits = false;
                self.handle(Input::Command(Command::Tell { to, text, wall: wall() }));
            }
            Typed::Trace => {
                self.traces = !self.traces;
                self.teller.answer(&answers::trace(self.traces));
            }
            Typed::Nothing | Typed::Help | Typed::Who | Typed::Stats | Typed::ShowCast => {}
            Typed::Paths { .. } | Typed::Why(_) | Typed::Verify(_) | Typed::Doctor(_) => {}
        }
    }

    /// Shows an answer to who asked. A script that asked for what cannot be answered is told as of anything else that
    /// was not done.
    pub(super) fn tell_answer(&mut self, answer: &Answer) {
        if answer.refused && self.console.is_piped() {
            self.teller.warning(&answer.text);
            return self.refuse();
        }
        if answer.refused {
            self.take_back();
        }
        self.teller.answer(answer);
    }

    /// What a question is answered, if it is one. In plain mode nobody asks.
    pub(super) fn answer(&self, typed: &Typed) -> Option<Answer> {
        let node = self.machine.native()?;
        Some(match typed {
            Typed::Who => answers::who(node.peers().collect(), &node.deaf(), |id| self.sockets.name(id).to_owned()),
            Typed::Stats => {
                let unsent = ("unsent", self.sockets.unsent());
                answers::stats(node.stats().iter().chain(std::iter::once(unsent)))
            }
            Typed::Doctor(name) => return self.diagnosis(name.as_ref()),
            Typed::ShowCast => Answer::remark(answers::cast(node.cast())),
            Typed::Paths { dot: true } => render_paths::drawing(&node.reach()),
            Typed::Paths { dot: false } => render_paths::paths(&node.reach(), self.teller.columns()),
            Typed::Why(name) => match node.why(name.as_str()) {
                Ok(why) => render_why::why(&why, |id| self.sockets.name(id).to_owned()),
                Err(text) => Answer::refused(text),
            },
            Typed::Verify(None) => answers::own_key(&node.name()),
            Typed::Verify(Some(name)) => match node.verification(name.as_str()) {
                Ok(verification) => answers::verification(&verification, &node.name()),
                Err(text) => Answer::refused(text),
            },
            Typed::Help => Answer::remark(answers::help()),
            Typed::Nothing | Typed::Say(_) | Typed::Tell { .. } | Typed::Trace | Typed::Command(_) => return None,
        })
    }

    /// A line was not sent. Who types sees that and tries again; a script sees the exit status.
    pub(super) fn refuse(&mut self) {
        if self.console.is_piped() || self.machine.native().is_none() {
            self.ending.refuse();
        }
    }
}

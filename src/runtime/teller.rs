//! Tells what happens: chooses the form - text, JSON, a terminal with a prompt - and the stream.
//!
//! Events, notices and warnings come in; what comes out waits in the queue of standard output,
//! except that warnings in text form go to standard error.

use std::time::Instant;

use super::answers::Answer;
use super::crowd::Crowd;
use super::output::{self, Output};
use super::render::{self, Ready, View};
use super::terminal;
use crate::event::Event;
use crate::term::Screen;
use crate::text::Line;
use crate::time::WallTime;

/// Columns of an answer that goes to no terminal.
const COLUMNS_MAX: usize = 120;

/// How things are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines for a person, warnings on standard error.
    Text,
    /// One JSON object a line, warnings among them.
    Json,
    /// Lines above a prompt.
    Prompt,
    /// Nothing but warnings, on standard error: somebody wants an answer and not the conversation.
    Quiet,
}

/// Tells what happens.
pub(crate) struct Teller {
    form: Form,
    /// Whether a terminal is to show colours.
    colours: bool,
    crowd: Crowd,
    pub(crate) output: Output,
    /// What is typed behind the prompt, and where the cursor stands.
    typed: (String, usize),
}

impl Teller {
    pub(crate) fn new(form: Form, output: Output) -> Self {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { form, colours, crowd: Crowd::default(), output, typed: (String::new(), 0) }
    }

    /// How wide what is answered may be.
    pub(crate) fn columns(&self) -> usize {
        let window = if self.form == Form::Prompt { terminal::columns() } else { None };
        window.unwrap_or(COLUMNS_MAX)
    }

    /// Whether there is a prompt to take care of.
    pub(crate) fn has_prompt(&self) -> bool {
        self.form == Form::Prompt
    }

    /// That everything is open.
    pub(crate) fn ready(&mut self, ready: &Ready<'_>) {
        match self.form {
            Form::Text | Form::Quiet => {}
            Form::Json => self.line(&render::json_ready(ready)),
            Form::Prompt => self.line(&render::greeting(ready)),
        }
    }

    /// One event; `own` is how we are called.
    pub(crate) fn event(&mut self, event: &Event, own: &str, view: View<'_>) {
        match (event, self.form) {
            (Event::Warning(text) | Event::Refused(text), _) => self.warning(text),
            (_, Form::Quiet) => {}
            (_, Form::Json) => {
                if let Some(line) = render::json(event, view) {
                    self.line(&line);
                }
            }
            (_, Form::Text | Form::Prompt) if !self.crowd.shows(event, Instant::now()) => {}
            (_, Form::Text) => {
                if let Some(line) = render::text(event, view.now) {
                    self.line(&view.traced(line, event));
                }
            }
            (_, Form::Prompt) => {
                if let Some(line) = render::terminal(event, view.now, own) {
                    self.line(&view.traced(line, event));
                }
            }
        }
    }

    /// When there is something to tell of many who came or went.
    pub(crate) fn crowd_by(&self) -> Option<Instant> {
        self.crowd.by()
    }

    /// Tells of many who came or went, once it is known how many.
    pub(crate) fn tell_crowd(&mut self, now: WallTime) {
        for text in self.crowd.take_due(Instant::now()) {
            if let Some(line) = render::text(&Event::Notice(text), now) {
                self.line(&line);
            }
        }
    }

    /// Something is not as it should be.
    pub(crate) fn warning(&mut self, text: &str) {
        let clean = Line::from_peer(text);
        match self.form {
            Form::Text | Form::Quiet => output::complain(clean.as_str()),
            Form::Json => self.line(&render::json_remark("warning", clean.as_str())),
            Form::Prompt => self.line(&format!("udpnode: {clean}")),
        }
    }

    /// What a question was answered.
    pub(crate) fn answer(&mut self, answer: &Answer) {
        match self.form {
            Form::Json => self.line(&answer.json),
            Form::Text | Form::Prompt if answer.whole => self.whole(&answer.text),
            Form::Prompt if self.colours && answer.colours.is_some() => {
                for line in answer.colours.iter().flatten() {
                    self.line(&line.coloured());
                }
            }
            _ => self.notice(&answer.text),
        }
    }

    /// A remark, of one line or several.
    pub(crate) fn notice(&mut self, text: &str) {
        if self.form == Form::Json {
            return self.line(&render::json_remark("notice", text));
        }
        for line in text.lines() {
            self.line(Line::from_peer(line).as_str());
        }
    }

    /// Lines as they are, however wide the window is.
    fn whole(&mut self, text: &str) {
        let lines: String = text.lines().map(|line| format!("{}\n", Line::from_peer(line))).collect();
        self.output.push(&match self.form {
            Form::Prompt => format!("{}{}{}", Screen::leave(), lines.replace('\n', "\r\n"), self.prompt()),
            _ => lines,
        });
    }

    /// What a question of the command line was answered: lines for a person, where that is shown so.
    pub(crate) fn result(&mut self, text: &str, for_person: bool) {
        match for_person && self.output.terminal() {
            true => self.output.push(&terminal::rows(text, terminal::columns())),
            false => self.output.push(text),
        }
    }

    fn line(&mut self, line: &str) {
        match self.form {
            Form::Quiet => {}
            Form::Text if self.output.terminal() => self.output.push(&Self::screen().rows(line)),
            Form::Text | Form::Json => self.output.push(&format!("{line}\n")),
            Form::Prompt => {
                let (typed, cursor) = &self.typed;
                self.output.push(&Self::screen().print(line, typed, *cursor));
            }
        }
    }

    /// The window as it is now: that it has another width is told to nobody in the background.
    fn screen() -> Screen {
        Screen::new(terminal::columns())
    }

    fn prompt(&self) -> String {
        Self::screen().prompt(&self.typed.0, self.typed.1)
    }

    /// Shows what is typed, if that changed.
    pub(crate) fn typed(&mut self, text: &str, cursor: usize) {
        if self.form == Form::Prompt && (self.typed.0 != text || self.typed.1 != cursor) {
            self.typed = (text.to_owned(), cursor);
            self.repaint();
        }
    }

    /// Paints the prompt again: the window changed, or something else wrote on it.
    pub(crate) fn repaint(&mut self) {
        if self.form == Form::Prompt {
            self.output.push(&self.prompt());
        }
    }

    /// Empties the window.
    pub(crate) fn clear(&mut self) {
        if self.form == Form::Prompt {
            self.output.push(&Self::screen().clear(&self.typed.0, self.typed.1));
        }
    }

    /// Takes the prompt away.
    pub(crate) fn leave(&mut self) {
        if self.form == Form::Prompt {
            self.output.push(Screen::leave());
        }
    }
}

//! Subcommands that ask something: what they ask, how the answer is shown, and what a node that
//! looks for itself waits for. Pure; `ask` asks the node that runs, `shell` becomes one.

use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::values::wait;
use crate::text::Line;

/// One job: a question, asked of a node and answered once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// The question, as a person would type it.
    pub(crate) line: String,
    /// How the answer is shown.
    pub(crate) show: Show,
    /// What a node that was started for it waits for.
    pub(crate) when: When,
}

/// How an answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// As a person reads it.
    Text,
    /// As one line of JSON.
    Json,
}

/// When a node that has just started knows enough to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// When a peer is there and nobody else has joined for a while; at the latest after the wait.
    Settled,
    /// The same, and when everybody has had time to say whom it hears.
    Told,
    /// When it has examined the network and somebody is there; at the latest after the wait.
    Examined,
}

/// show who is here, as /who does
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "who", help_triggers("-h", "--help"), usage = "[-j] [-w SECONDS] [--state-dir DIR]")]
pub(super) struct Who {
    /// print one JSON object
    #[argh(switch, short = 'j')]
    json: u8,

    /// wait SECONDS for peers
    #[argh(option, short = 'w', from_str_fn(wait))]
    wait: Option<Duration>,

    /// ask the node whose state is in DIR
    #[argh(option, arg_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// show who hears whom and by which cast, as /paths does
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "paths",
    help_triggers("-h", "--help"),
    usage = "[-j | --dot] [-w SECONDS] [--state-dir DIR]"
)]
pub(super) struct Paths {
    /// print one JSON object
    #[argh(switch, short = 'j')]
    json: u8,

    /// print a drawing for Graphviz
    #[argh(switch)]
    dot: u8,

    /// wait SECONDS for peers
    #[argh(option, short = 'w', from_str_fn(wait))]
    wait: Option<Duration>,

    /// ask the node whose state is in DIR
    #[argh(option, arg_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// say what is wrong with the network, and what to do about it
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "doctor",
    help_triggers("-h", "--help"),
    usage = "[-j | --dot] [-w SECONDS] [--state-dir DIR] [NAME]"
)]
pub(super) struct Doctor {
    /// print one JSON object
    #[argh(switch, short = 'j')]
    json: u8,

    /// print a drawing of the network instead, for dot -Tsvg
    #[argh(switch)]
    dot: u8,

    /// wait SECONDS for peers
    #[argh(option, short = 'w', from_str_fn(wait))]
    wait: Option<Duration>,

    /// ask the node whose state is in DIR
    #[argh(option, arg_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// the peer that it is about
    #[argh(positional, arg_name = "NAME")]
    name: Option<String>,
}

/// The options that may stand behind a subcommand as well as before it.
#[derive(Debug, Default)]
pub(super) struct Behind {
    pub(super) json: u8,
    pub(super) dot: u8,
    pub(super) wait: Option<Duration>,
    pub(super) state_dir: Option<PathBuf>,
}

impl Who {
    /// The options behind it, and the job; `show` is set when those before it are known as well.
    pub(super) fn asked(self) -> (Behind, Job) {
        let Self { json, wait, state_dir } = self;
        let job = Job { line: "/who".into(), show: Show::Text, when: When::Settled };
        (Behind { json, dot: 0, wait, state_dir }, job)
    }
}

impl Paths {
    /// As [`Who::asked`].
    pub(super) fn asked(self) -> (Behind, Job) {
        let Self { json, dot, wait, state_dir } = self;
        let line = if dot > 0 { DRAWING } else { "/paths" };
        let job = Job { line: line.into(), show: Show::Text, when: When::Told };
        (Behind { json, dot, wait, state_dir }, job)
    }
}

impl Doctor {
    /// As [`Who::asked`]; `None` where the name is blank, which would ask about everybody.
    pub(super) fn asked(self) -> Option<(Behind, Job)> {
        let Self { json, dot, wait, state_dir, name } = self;
        let name = name.map(|name| Line::from_peer(&name));
        if name.as_ref().is_some_and(|name| name.as_str().trim().is_empty()) {
            return None;
        }
        let line = match (dot > 0, name) {
            (true, _) => DRAWING.to_owned(),
            (false, Some(name)) => format!("/doctor {name}"),
            (false, None) => "/doctor".to_owned(),
        };
        Some((Behind { json, dot, wait, state_dir }, Job { line, show: Show::Text, when: When::Examined }))
    }
}

/// What asks for a drawing.
const DRAWING: &str = "/paths --dot";

impl Job {
    /// Whether the answer is a drawing, which has no other form.
    pub(crate) fn draws(&self) -> bool {
        self.line == DRAWING
    }

    /// Whether the answer is lines that a person reads.
    pub(crate) fn is_for_person(&self) -> bool {
        self.show == Show::Text && !self.draws()
    }

    /// How long a node may take to answer, at least.
    pub(crate) const fn takes(&self) -> Duration {
        match self.when {
            When::Settled | When::Told => Duration::from_secs(2),
            When::Examined => Duration::from_secs(8),
        }
    }
}

impl Show {
    /// The answer in this form, to be printed: `json` is the event that holds it.
    pub(crate) fn shown(self, json: &str) -> String {
        match self {
            Self::Json => format!("{json}\n"),
            Self::Text => {
                let event: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
                let text = event["text"].as_str().unwrap_or_default();
                // It was made safe before it went to another process; that need not be ours.
                text.lines().map(|line| format!("{}\n", Line::from_peer(line))).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_as_asked() {
        let json = r#"{"event":"who","peers":[],"text":"a\nb \u001b[m"}"#;
        assert_eq!(Show::Json.shown(json), format!("{json}\n"));
        assert_eq!(Show::Text.shown(json), "a\nb \u{241B}[m\n");
        assert_eq!(Show::Text.shown("garbage"), "");
    }
}

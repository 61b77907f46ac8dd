//! The only floor that touches the operating system: a thin shell around one poll loop.
//!
//! ```text
//!   cli ── state ── network (interfaces, sockets)      what is asked for and there, at the start
//!   console ─┐                            ┌─ teller (render, output)
//!   sockets ─┼─> Input ─> Node ─> Output ─┼─ sockets
//!   streams ─┤                            └─ streams
//!   signals ─┘
//! ```
//!
//! `shell` is the loop; `netlink` tells it when to look at the interfaces again, `pauses` that nothing
//! could be heard for a while; `foreign` is for fuzzers alone. Everything here may fail; whatever ends
//! the program ends in one line on standard error and an exit status, both made below.

mod answers;
mod ask;
mod cli;
mod completions;
mod console;
mod control;
mod crowd;
mod ending;
mod files;
#[doc(hidden)]
pub mod foreign;
mod gate;
mod holder;
mod interfaces;
mod jobs;
mod keyfile;
mod lines;
#[cfg(test)]
mod manual;
mod memory;
mod netlink;
mod network;
mod output;
mod pauses;
mod peers;
mod pins;
mod receive;
mod render;
mod render_paths;
mod render_why;
mod report;
mod route;
mod shell;
mod signals;
mod sockets;
mod state;
mod streams;
mod survey;
mod teller;
mod terminal;
mod values;

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::unistd::{User, gethostname, getuid};

use self::ask::{AskError, Which};
use self::cli::{Asked, Environment, Keep, Settings, UsageError};
use self::jobs::Job;
use self::keyfile::KeyFileError;
use self::network::NetworkError;
use self::shell::{Shell, Who};
use self::signals::SignalError;
use self::state::{State, StateError};
use self::streams::ListenError;
use crate::config::Config;
use crate::text::Nick;

/// Why a run failed.
#[derive(Debug)]
enum Failure {
    /// It was asked for wrongly.
    Usage(UsageError),
    /// The key must not be used.
    State(StateError),
    /// There is no group key.
    KeyFile(KeyFileError),
    /// There is nothing to chat over.
    Network(NetworkError),
    /// A TCP port that was asked for cannot be had.
    Listen(ListenError),
    /// Signals cannot be heard.
    Signal(SignalError),
    /// The poll loop cannot run.
    Poll(io::Error),
    /// The terminal cannot be used.
    Terminal(io::Error),
    /// Names of peers cannot be looked up.
    Names(io::Error),
    /// The node that runs gives no answer.
    Ask(AskError),
    /// What was to be printed cannot be.
    Output(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) => why.fmt(f),
            Self::State(why) => why.fmt(f),
            Self::KeyFile(why) => why.fmt(f),
            Self::Network(why) => why.fmt(f),
            Self::Listen(why) => f.write_str(&why.explained()),
            Self::Signal(why) => why.fmt(f),
            Self::Ask(why) => why.fmt(f),
            Self::Names(why) => write!(f, "cannot look up the names of peers: {why}"),
            Self::Poll(why) => write!(f, "cannot wait for events: {why}"),
            Self::Terminal(why) => write!(f, "cannot set up the terminal: {why}"),
            Self::Output(why) => write!(f, "cannot write standard output: {why}"),
        }
    }
}

impl Failure {
    const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Ask(AskError::Several(_)) => 2,
            _ => 1,
        }
    }
}

/// Runs the program with these arguments (without its name) until it is done.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let status = match cli::parse(args) {
        Ok(Asked::Print(text)) => print(&text, 0).unwrap_or_else(|why| fail(&why)),
        Ok(Asked::Keygen(path)) => keygen(path.as_deref()).unwrap_or_else(|why| fail(&why)),
        Ok(Asked::Run(settings)) => run(*settings, None).unwrap_or_else(|why| fail(&why)),
        Ok(Asked::Ask(settings, which, job)) => ask(*settings, &which, job).unwrap_or_else(|why| fail(&why)),
        Err(why) => fail(&Failure::Usage(why)),
    };
    ExitCode::from(status)
}

fn keygen(path: Option<&Path>) -> Result<u8, Failure> {
    match path {
        Some(path) => keyfile::create(path).map(|()| 0).map_err(Failure::KeyFile),
        None => print(&keyfile::generate().map_err(Failure::KeyFile)?, 0),
    }
}

/// Prints all there is to print; `status` is that of the run then. A reader that closed its end has seen enough.
fn print(text: &str, status: u8) -> Result<u8, Failure> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(why) => Err(Failure::Output(why)),
        Ok(()) => Ok(status),
    }
}

fn fail(why: &Failure) -> u8 {
    terminal::leave();
    output::complain(crate::text::Line::from_peer(&why.to_string()).as_str());
    why.status()
}

/// Asks the node that runs, if one does; else runs one for as long as it takes.
fn ask(settings: Settings, which: &Which, job: Job) -> Result<u8, Failure> {
    let wait = settings.wait.unwrap_or(ask::PATIENCE).max(job.takes());
    let usual = environment().name.and_then(|name| Nick::new(&name).ok());
    match ask::running(which, usual.as_ref(), &job, wait).map_err(Failure::Ask)? {
        Some(reply) if job.is_for_person() => print(&terminal::rows_for(reply.text, &io::stdout()), reply.status),
        Some(reply) => print(&reply.text, reply.status),
        None => run(settings, Some(job)),
    }
}

fn run(settings: Settings, job: Option<Job>) -> Result<u8, Failure> {
    let who = if settings.plain.is_some() { plain(&settings)? } else { native(&settings, job.is_some())? };
    let mut shell = Shell::open(settings, who, job)?;
    let status = shell.run()?;
    Ok(shell.close(status))
}

/// `asks`: it has a question instead of a conversation.
fn native(settings: &Settings, asks: bool) -> Result<Who, Failure> {
    let nick = settings.nick(&environment()).map_err(Failure::Usage)?;
    let mut config = settings.config(nick, asks || !console::Console::is_terminal()).map_err(Failure::Usage)?;
    config.stay |= asks;
    if let Some(path) = &settings.key_file {
        config.secrets = keyfile::read(path, config.group).map_err(Failure::KeyFile)?;
    }
    let state = state_of(settings, &config).map_err(Failure::State)?;
    config.ephemeral = state.ephemeral;
    config.woke = shell::wall();
    let seed = state::random().map_err(Failure::State)?;
    Ok(Who::Native(Box::new(config), state, seed))
}

/// Plain mode proves nothing to anybody: it needs no key, and no place to keep one.
fn plain(settings: &Settings) -> Result<Who, Failure> {
    settings.plain_config(&environment()).map(Who::Plain).map_err(Failure::Usage)
}

fn environment() -> Environment {
    let uid = getuid();
    let known = || User::from_uid(uid).ok().flatten().map(|user| user.name);
    Environment {
        name: env::var_os("UDPNODE_NAME").map(|name| name.to_string_lossy().into_owned()),
        login: if uid.is_root() { None } else { known().or_else(|| env::var("LOGNAME").ok()) },
        host: gethostname().ok().map(|host| host.to_string_lossy().into_owned()),
    }
}

fn state_of(settings: &Settings, config: &Config) -> Result<State, StateError> {
    let variable = |name| env::var_os(name).map(PathBuf::from);
    // One that does not exist is made by nobody but who makes users.
    let home = variable("HOME").filter(|home| home.is_dir());
    let dir = match &settings.keep {
        Keep::Nothing => return state::nowhere(None),
        Keep::At(dir) => Some(dir.clone()),
        Keep::Usual => state::usual_dir(config.nick.as_str(), variable("XDG_STATE_HOME"), home),
    };
    match dir {
        Some(dir) => state::open(&dir),
        None => state::nowhere(Some("there is no HOME to keep a key in: this run has a key of its own".into())),
    }
}

//! The command line: what may be asked for, and what is said to a person who asks for something
//! else.
//!
//! Two stages, both pure: [`parse`] reads the arguments into [`Settings`], [`Settings::nick`] and
//! [`Settings::config`] complete them from the [`Environment`]. Nothing is opened here.

mod plain;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FlagInfoKind, FromArgs};

use super::ask::Which;
use super::completions::{self, Completions};
use super::jobs::{self, Behind, Job, Show};
use super::peers::{NAMES_MAX, Target, target};
use super::values::{group, history, local_address, peer as destination, ttl, wait};
use crate::address::{Endpoint, Groups};
use crate::command::CastChoice;
use crate::config::{Config, GROUP_DEFAULT, PlainConfig};
use crate::text::{Line, Nick};

/// Routers that a multicast may pass, less one.
const TTL_DEFAULT: u8 = 2;

/// What can be asked for.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    help_triggers("-h", "--help"),
    usage = "[OPTIONS] [COMMAND]",
    description = "Chat with everybody on the local network: no server, no internet.\n\
        In a terminal, type and press Enter. From a pipe or a file, every line is a message.",
    note = "Ports: an address without a port has port 5000 + its last octet: 10.0.0.4 is\n  \
            10.0.0.4:5004, and the group 224.1.1.1 is 224.1.1.1:5001.",
    note = "Exit status: 0 everybody who was online confirmed everything; 1 failed; 2 usage;\n  \
            3 nobody there; 4 only some confirmed; 129, 130, 143 on SIGHUP, SIGINT, SIGTERM.",
    example = "udpnode --name ann                        chat on every interface that is up",
    example = "echo 'lunch?' | udpnode                   say one line, wait until it is confirmed",
    example = "udpnode --json --stay < /dev/null         listen, a JSON object for each event",
    example = "udpnode --name bob                        a second node on this machine"
)]
struct Arguments {
    /// NAME that others see (default: $UDPNODE_NAME, else the login name, or the host name for root)
    #[argh(option, short = 'n')]
    name: Option<String>,

    /// use interface NAME; may be repeated (default: all that are up, loopback only if there is no
    /// other)
    #[argh(option, short = 'i', arg_name = "INTERFACE")]
    interface: Vec<String>,

    /// use local address ADDR[:PORT], for example 127.0.0.2 (default: each interface's own)
    #[argh(option, short = 'a', from_str_fn(local_address))]
    address: Option<Endpoint>,

    /// multicast group ADDR[:PORT]; its like of IPv6 goes with it (default: 239.192.7.7:5007)
    #[argh(option, short = 'g', from_str_fn(group))]
    group: Option<SocketAddr>,

    /// multicast TTL N, from 0 to 255 (default: 2)
    #[argh(option, short = 't', from_str_fn(ttl))]
    ttl: Option<u8>,

    /// CAST that carries group messages: auto, multicast, broadcast or unicast (default: auto)
    #[argh(option, short = 'c', arg_name = "CAST")]
    cast: Option<CastChoice>,

    /// greet the peer at HOST[:PORT], a name or an address, by unicast; may be repeated
    #[argh(option, short = 'p', from_str_fn(target))]
    peer: Vec<Target>,

    /// do not pass entries between segments
    #[argh(switch)]
    no_relay: u8,

    /// listen on TCP as well, for direct messages
    #[argh(switch)]
    tcp: u8,

    /// keep key, pins and lock in DIR (default: $XDG_STATE_HOME/udpnode/NAME)
    #[argh(option, arg_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// speak sealed, with the key in FILE (udpnode keygen makes one)
    #[argh(option, short = 'k', arg_name = "FILE")]
    key_file: Option<PathBuf>,

    /// keep nothing: use a new key for this run only
    #[argh(switch)]
    ephemeral: u8,

    /// speak raw text datagrams, as nc and scripts do; every line is text, but for quit
    #[argh(switch)]
    plain: u8,

    /// with --plain and --cast unicast: send to ADDR[:PORT]
    #[argh(option, short = 'd', from_str_fn(destination))]
    dest: Option<SocketAddr>,

    /// with --plain: leave when WORD is received
    #[argh(option)]
    leave_word: Option<String>,

    /// print events as JSON, one object a line
    #[argh(switch, short = 'j')]
    json: u8,

    /// keep running when standard input ends
    #[argh(switch)]
    stay: u8,

    /// lines from a pipe may be commands, such as /who
    #[argh(switch)]
    commands: u8,

    /// wait SECONDS for peers and for confirmations (default: 5)
    #[argh(option, short = 'w', from_str_fn(wait))]
    wait: Option<Duration>,

    /// show N past messages on joining (default: 50)
    #[argh(option, from_str_fn(history))]
    history: Option<usize>,

    /// print the versions of program and protocol
    #[argh(switch, short = 'V')]
    version: u8,

    #[argh(subcommand)]
    command: Option<Subcommand>,
}

/// One job instead of a chat. Options stand before it; some may stand behind it as well.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
enum Subcommand {
    Who(jobs::Who),
    Keygen(Keygen),
    Paths(jobs::Paths),
    Doctor(jobs::Doctor),
    Completions(Completions),
}

/// make the key of a group: into FILE, or to standard output
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "keygen", help_triggers("-h", "--help"), usage = "[FILE]")]
struct Keygen {
    /// as before the subcommand
    #[argh(switch, short = 'j')]
    json: u8,

    /// as before the subcommand
    #[argh(option, short = 'w', from_str_fn(wait))]
    wait: Option<Duration>,

    /// as before the subcommand
    #[argh(option, arg_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// a file that is not there yet
    #[argh(positional, arg_name = "FILE")]
    file: Option<PathBuf>,
}

/// Where key, pins and lock are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// In the usual place.
    Usual,
    /// Here.
    At(PathBuf),
    /// Nowhere.
    Nothing,
}

/// What a person asked for who asked for plain mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    /// Lines are to be sent without a name before them.
    pub(crate) bare: bool,
    pub(crate) dest: Option<SocketAddr>,
    pub(crate) leave_word: Option<Line>,
}

/// What a person asked for, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) name: Option<Nick>,
    pub(crate) interfaces: Vec<String>,
    pub(crate) address: Option<Endpoint>,
    pub(crate) group: SocketAddr,
    pub(crate) ttl: u8,
    pub(crate) cast: CastChoice,
    pub(crate) peers: Vec<Target>,
    pub(crate) relay: bool,
    pub(crate) tcp: bool,
    pub(crate) plain: Option<Plain>,
    pub(crate) keep: Keep,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) stay: bool,
    pub(crate) commands: bool,
    pub(crate) wait: Option<Duration>,
    pub(crate) history: Option<usize>,
}

/// What the machine knows about the person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `$UDPNODE_NAME`.
    pub(crate) name: Option<String>,
    /// The login name; none for root.
    pub(crate) login: Option<String>,
    /// The host name.
    pub(crate) host: Option<String>,
}

/// What the arguments ask for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    /// To run.
    Run(Box<Settings>),
    /// To ask this of the node that is meant, or of one that is started for it.
    Ask(Box<Settings>, Which, Job),
    /// To make a group key, in a file or on standard output.
    Keygen(Option<PathBuf>),
    /// To print this and exit with 0.
    Print(String),
}

/// Why the arguments mean nothing; nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments may hold anything, and this goes to a terminal.
        let text = self.0.trim().replace('\n', " ");
        write!(f, "{} (udpnode --help lists the options)", Line::from_peer(&text))
    }
}

impl UsageError {
    fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

/// Reads the arguments, without the program's name.
///
/// # Errors
/// A [`UsageError`] that says which argument is wrong and why.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Asked, UsageError> {
    let args = args
        .into_iter()
        .map(OsString::into_string)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|bad| UsageError::new(format!("argument {:?} is not UTF-8", bad.to_string_lossy())))?;
    let args = match split_values(args) {
        Ok(args) => args,
        Err(HelpWanted(command)) => return Ok(Asked::Print(help(command))),
    };
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut arguments = Arguments::from_args(&["udpnode"], &args)
        .map_err(|exit| UsageError::new(exit.output.trim_start_matches("Error parsing ")))?;
    if arguments.version > 0 {
        Settings::check(arguments)?;
        let version = format!("udpnode {} (protocol {})\n", env!("CARGO_PKG_VERSION"), crate::wire::VERSION);
        return Ok(Asked::Print(version));
    }
    let (behind, job) = match arguments.command.take() {
        None => return Ok(Asked::Run(Box::new(Settings::check(arguments)?))),
        Some(Subcommand::Completions(Completions { shell, json, wait, state_dir })) => {
            arguments.take_in(Behind { json, wait, state_dir, ..Behind::default() })?;
            Settings::check(arguments)?;
            return Ok(Asked::Print(completions::script(shell, &Arguments::get_args_info())));
        }
        Some(Subcommand::Keygen(Keygen { file, json, wait, state_dir })) => {
            if file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
                return Err(UsageError::new("keygen needs the name of a FILE, or none"));
            }
            arguments.take_in(Behind { json, wait, state_dir, ..Behind::default() })?;
            Settings::check(arguments)?;
            return Ok(Asked::Keygen(file));
        }
        Some(Subcommand::Who(who)) => who.asked(),
        Some(Subcommand::Paths(paths)) => paths.asked(),
        Some(Subcommand::Doctor(doctor)) => {
            doctor.asked().ok_or_else(|| UsageError::new("doctor needs the NAME of a peer, or none"))?
        }
    };
    arguments.take_in(behind)?;
    asked(arguments, job)
}

/// A job, with the options of both places.
fn asked(arguments: Arguments, job: Job) -> Result<Asked, UsageError> {
    let which = Which {
        name: arguments.name.as_deref().map(|name| named("--name", name)).transpose()?,
        state_dir: arguments.state_dir.clone(),
        group: arguments.group,
        address: arguments.address,
        keyed: arguments.key_file.is_some(),
    };
    if arguments.plain > 0 {
        return Err(UsageError::new("--plain has nobody to ask about"));
    }
    let settings = Settings::check(arguments)?;
    if settings.json && job.draws() {
        return Err(UsageError::new("--json and --dot exclude each other"));
    }
    let show = if settings.json { Show::Json } else { job.show };
    Ok(Asked::Ask(Box::new(settings), which, Job { show, ..job }))
}

impl Arguments {
    /// The options behind a subcommand, as if they stood before it.
    fn take_in(&mut self, behind: Behind) -> Result<(), UsageError> {
        let twice = [
            ("--wait", self.wait.is_some() && behind.wait.is_some()),
            ("--state-dir", self.state_dir.is_some() && behind.state_dir.is_some()),
        ];
        if let Some((name, _)) = twice.iter().find(|(_, twice)| *twice) {
            return Err(UsageError::new(format!("option '{name}' is given twice")));
        }
        once(&[("--dot", behind.dot)])?;
        self.json += behind.json;
        self.wait = self.wait.or(behind.wait);
        self.state_dir = self.state_dir.take().or(behind.state_dir);
        Ok(())
    }
}

/// Help is asked for, wherever that stands: in general, or with the subcommand that stands before it.
struct HelpWanted(Option<&'static str>);

fn help(command: Option<&str>) -> String {
    let words: Vec<&str> = command.into_iter().chain(["--help"]).collect();
    let asked = Arguments::from_args(&["udpnode"], &words);
    let mut text = asked.map_or_else(|exit| exit.output, |_| String::new());
    if !text.ends_with('\n') {
        text.push('\n');
    }
    if command.is_some() {
        text.push_str("\nOther options stand before the subcommand: udpnode --help lists them.\n");
    }
    text
}

/// Makes two arguments of `--name=ann`.
fn split_values(args: Vec<String>) -> Result<Vec<String>, HelpWanted> {
    let options = with_value();
    let known = |name: &str| options.iter().any(|(_, long)| long == name);
    let mut split = Vec::with_capacity(args.len());
    let mut command = None;
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "-h" || arg == "--help" {
            return Err(HelpWanted(command));
        }
        command = command.or_else(|| subcommand(&arg));
        if arg == "--" {
            split.push(arg);
            split.extend(args);
            break;
        }
        match arg.split_once('=') {
            Some((name, value)) if known(name) => split.extend([name.to_owned(), value.to_owned()]),
            _ => {
                let valued = options.iter().any(|(short, long)| arg == *short || arg == *long);
                split.push(arg);
                split.extend(valued.then(|| args.next()).flatten());
            }
        }
    }
    Ok(split)
}

/// The name of the subcommand that this word is, if it is one.
fn subcommand(word: &str) -> Option<&'static str> {
    Arguments::get_args_info().commands.iter().map(|command| command.name).find(|name| *name == word)
}

/// The options that take a value, short and long.
fn with_value() -> Vec<(String, String)> {
    let options = Arguments::get_args_info().flags.iter().filter(|flag| flag.kind != FlagInfoKind::Switch);
    let short = |short: Option<char>| short.map_or_else(String::new, |short| format!("-{short}"));
    options.map(|flag| (short(flag.short), flag.long.to_owned())).collect()
}

impl Settings {
    fn check(arguments: Arguments) -> Result<Self, UsageError> {
        let Arguments { tcp, no_relay, plain, ephemeral, json, stay, commands, version, .. } = arguments;
        once(&[
            ("--tcp", tcp),
            ("--no-relay", no_relay),
            ("--plain", plain),
            ("--ephemeral", ephemeral),
            ("--json", json),
            ("--stay", stay),
            ("--commands", commands),
            ("--version", version),
        ])?;
        let plain = Plain::check(&arguments)?;
        if arguments.peer.len() > NAMES_MAX {
            return Err(UsageError::new(format!(
                "at most {NAMES_MAX} peers can be named; one of them tells of the others"
            )));
        }
        let name = arguments.name.filter(|_| !plain.as_ref().is_some_and(|plain| plain.bare));
        let name = name.map(|name| named("--name", &name)).transpose()?;
        let keep = match (arguments.state_dir, ephemeral > 0) {
            (Some(_), true) => {
                return Err(UsageError::new("--state-dir and --ephemeral exclude each other"));
            }
            (Some(dir), false) if dir.as_os_str().is_empty() => {
                return Err(UsageError::new("--state-dir needs the name of a directory"));
            }
            (Some(dir), false) => Keep::At(dir),
            (None, true) => Keep::Nothing,
            (None, false) => Keep::Usual,
        };
        Ok(Self {
            name,
            interfaces: arguments.interface,
            address: arguments.address,
            group: arguments.group.unwrap_or(GROUP_DEFAULT),
            ttl: arguments.ttl.unwrap_or(TTL_DEFAULT),
            cast: arguments.cast.unwrap_or_default(),
            peers: arguments.peer,
            relay: no_relay == 0,
            tcp: tcp > 0,
            plain,
            keep,
            key_file: arguments.key_file,
            json: json > 0,
            stay: stay > 0,
            commands: commands > 0,
            wait: arguments.wait,
            history: arguments.history,
        })
    }

    /// What the node calls itself: as asked, else as the machine knows the person.
    ///
    /// # Errors
    /// A [`UsageError`] if `$UDPNODE_NAME` is no name.
    pub(crate) fn nick(&self, environment: &Environment) -> Result<Nick, UsageError> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        if let Some(name) = environment.name.as_deref().filter(|name| !name.is_empty()) {
            return named("$UDPNODE_NAME", name);
        }
        let host = environment.host.as_deref().and_then(|host| host.split('.').next());
        Ok(Nick::from_any(environment.login.as_deref().or(host).unwrap_or_default()))
    }

    /// How the node is to behave in plain mode.
    ///
    /// # Errors
    /// A [`UsageError`] if `$UDPNODE_NAME` is no name.
    pub(crate) fn plain_config(&self, environment: &Environment) -> Result<PlainConfig, UsageError> {
        let bare = self.plain.as_ref().is_some_and(|plain| plain.bare);
        let name = if bare { None } else { Some(self.nick(environment)?) };
        let mut config = PlainConfig::new(name, Groups::of(self.group).room());
        config.cast = self.cast;
        config.stay = self.stay;
        config.dest = self.plain.as_ref().and_then(|plain| plain.dest);
        config.leave_word = self.plain.as_ref().and_then(|plain| plain.leave_word.clone());
        Ok(config)
    }

    /// How the node is to behave.
    ///
    /// # Errors
    /// A [`UsageError`] if more history is asked for than anybody keeps.
    pub(crate) fn config(&self, nick: Nick, piped: bool) -> Result<Config, UsageError> {
        let mut config = Config::new(nick, Groups::of(self.group).room());
        config.cast = self.cast;
        let addresses = self.peers.iter().filter_map(|peer| match peer {
            Target::Address(address) => Some(*address),
            Target::Name(..) => None,
        });
        config.static_peers = addresses.collect();
        config.relay = self.relay;
        config.piped = piped;
        config.stay = self.stay;
        config.wait = self.wait.unwrap_or(config.wait);
        config.history = self.history.unwrap_or(config.history);
        if config.history > config.history_max {
            let most = config.history_max;
            return Err(UsageError::new(format!("option '--history': at most {most} messages are kept")));
        }
        Ok(config)
    }
}

/// A switch that is given twice may be a slip of a word that was meant to be another.
fn once(switches: &[(&str, u8)]) -> Result<(), UsageError> {
    match switches.iter().find(|(_, times)| *times > 1) {
        Some((name, _)) => Err(UsageError::new(format!("option '{name}' is given twice"))),
        None => Ok(()),
    }
}

fn named(source: &str, name: &str) -> Result<Nick, UsageError> {
    Nick::new(name).map_err(|why| UsageError::new(format!("{source} '{name}': {why}")))
}

//! What a person may ask: `/nick ann` and [`Command`].
//!
//! Pure parsing; nothing is done here. The console and, later, the control socket call it.

use std::fmt;
use std::net::SocketAddr;

use crate::address::{Endpoint, EndpointError};
use crate::text::{Line, LineError, Nick, NickError};
use crate::time::WallTime;

/// Which cast carries group messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CastChoice {
    /// The best that reaches everybody, per segment.
    #[default]
    Auto,
    /// Multicast and nothing else.
    Multicast,
    /// Broadcast and nothing else.
    Broadcast,
    /// One copy to each peer.
    Unicast,
}

impl fmt::Display for CastChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Unicast => "unicast",
        })
    }
}

impl std::str::FromStr for CastChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "multicast" => Ok(Self::Multicast),
            "broadcast" => Ok(Self::Broadcast),
            "unicast" => Ok(Self::Unicast),
            _ => Err("a cast is one of: auto, multicast, broadcast, unicast".into()),
        }
    }
}

/// What the state machine is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Say these lines to the group, now by this clock. Lines that waited together come together.
    Say {
        /// One message each.
        lines: Vec<Line>,
        /// What the wall clock shows.
        wall: WallTime,
    },
    /// Say this to one peer alone.
    Tell {
        /// A nick, or `nick~suffix` where two share it.
        to: Line,
        /// What.
        text: Line,
        /// What the wall clock shows.
        wall: WallTime,
    },
    /// Send this text as it is, not in our protocol: to `nc -u`, socat, a script.
    Plain {
        /// To which address.
        to: SocketAddr,
        /// What.
        text: Line,
    },
    /// A line waits to be said: from now on somebody should be there within the wait.
    LineWaiting,
    /// What waited is no line to be said, and waits no longer.
    LineTaken,
    /// Take another name.
    Nick(Nick),
    /// The person is away and says this about it; or is there again.
    Away(Option<Line>),
    /// A nick is this peer's from now on, and nobody else's.
    Trust(Line),
    /// This peer read these digits aloud: if they are the right ones, it is trusted.
    Verify {
        /// A nick, or `nick~suffix`.
        name: Line,
        /// What it read.
        digits: Line,
    },
    /// Carry group messages by this cast from now on.
    Cast(CastChoice),
    /// Greet the peers at these addresses by unicast from now on, and no longer those named before.
    Peers(Vec<SocketAddr>),
    /// Find out what is wrong with the network: ask all others what they hear.
    Examine,
    /// Nothing more will be said: wait for the confirmations, then leave.
    EndOfInput,
    /// Say bye and leave.
    Quit,
}

/// What a typed line means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// An empty line.
    Nothing,
    /// A message to the group.
    Say(Line),
    /// `/help`.
    Help,
    /// `/who`.
    Who,
    /// `/stats`.
    Stats,
    /// `/doctor`, or `/doctor NAME`.
    Doctor(Option<Line>),
    /// `/paths`, or `/paths --dot`.
    Paths {
        /// As a drawing for Graphviz.
        dot: bool,
    },
    /// `/why NAME`.
    Why(Line),
    /// `/verify`: our own key; `/verify NAME`: what to compare.
    Verify(Option<Line>),
    /// `/trace`.
    Trace,
    /// `/tell NAME TEXT`; who says it adds the time.
    Tell {
        /// A nick, or `nick~suffix`.
        to: Line,
        /// What.
        text: Line,
    },
    /// `/cast` without a word: which one is it?
    ShowCast,
    /// For the state machine.
    Command(Command),
}

/// Why a typed line means nothing. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// There is no such command.
    Unknown(Line),
    /// The command needs a word behind it; holds its usage.
    Usage(&'static str),
    /// That is no name.
    Nick(NickError),
    /// That is no cast.
    Cast(String),
    /// That is no address.
    Address(EndpointError),
    /// That is no line.
    Line(LineError),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => {
                write!(f, "unknown command {word}: /help lists them, and //text sends text that begins with a slash")
            }
            Self::Usage(usage) => write!(f, "usage: {usage}"),
            Self::Nick(why) => why.fmt(f),
            Self::Cast(why) => f.write_str(why),
            Self::Address(why) => why.fmt(f),
            Self::Line(why) => why.fmt(f),
        }
    }
}

/// What `/help` answers: usage and what it does, a pair a command.
pub const HELP: &[(&str, &str)] = &[
    ("/who", "who is here, where, and since when"),
    ("/tell NAME TEXT", "say it to one alone, sealed; it waits while that one is away"),
    ("/plain ADDR[:PORT] TEXT", "send text as it is, to nc -u, socat or a script"),
    ("/nick NAME", "take another name"),
    ("/verify [NAME [DIGITS]]", "your own key; digits to compare by voice; trust who read you the right ones"),
    ("/trust NAME", "the nick is this one's and nobody else's, from now on and in later runs"),
    ("/away [TEXT]", "tell the others that you are away, and why; without a text that you are back"),
    ("/cast [auto|multicast|broadcast|unicast]", "show or choose what carries group messages"),
    ("/doctor [NAME]", "what is wrong with the network, or with one, and what to do about it"),
    ("/paths [--dot]", "who hears whom, by which cast; or the same as a drawing for Graphviz"),
    ("/why NAME", "one peer explained: what I hear of it, what it hears of me, what carries my messages to it"),
    ("/trace", "show each message with the way it came, or no longer"),
    ("/stats", "counters: what was sent, heard, repaired, dropped"),
    ("/help", "this list"),
    ("/quit", "say bye and leave (also Ctrl-D)"),
    ("//text", "send text that begins with a slash"),
];

/// Commands of older programs, as people have them in their fingers. Files are not sent yet: nor are their names.
const EXIT: &str = "!exit";
const UPLOAD: &str = "!upload";

/// Reads a line as it was typed, commands included.
///
/// # Errors
/// A [`CommandError`] that says what to type instead; nothing is to be sent then.
pub fn parse(text: &str) -> Result<Typed, CommandError> {
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Ok(Typed::Nothing);
    }
    if text == EXIT {
        return Ok(Typed::Command(Command::Quit));
    }
    if is_upload(text) {
        return Err(CommandError::Unknown(Line::from_peer(UPLOAD)));
    }
    let Some(rest) = text.strip_prefix('/') else { return say(text) };
    if rest.starts_with('/') {
        return say(rest);
    }
    let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    parse_command(word, rest.trim())
}

/// Whether a line that was typed is no text for the group.
#[must_use]
pub fn is_command(text: &str) -> bool {
    text.starts_with('/') || text == EXIT || is_upload(text)
}

fn is_upload(text: &str) -> bool {
    text.split_whitespace().next() == Some(UPLOAD)
}

fn say(text: &str) -> Result<Typed, CommandError> {
    Line::new(text).map(Typed::Say).map_err(CommandError::Line)
}

fn away(text: &str) -> Result<Typed, CommandError> {
    let text = if text.is_empty() { None } else { Some(Line::new(text).map_err(CommandError::Line)?) };
    Ok(Typed::Command(Command::Away(text)))
}

fn verify(rest: &str) -> Typed {
    match rest.split_once(char::is_whitespace) {
        Some((name, digits)) => {
            let (name, digits) = (Line::from_peer(name), Line::from_peer(digits.trim_start()));
            Typed::Command(Command::Verify { name, digits })
        }
        None => Typed::Verify((!rest.is_empty()).then(|| Line::from_peer(rest))),
    }
}

fn parse_command(word: &str, rest: &str) -> Result<Typed, CommandError> {
    match word {
        "help" => Ok(Typed::Help),
        "who" => Ok(Typed::Who),
        "stats" => Ok(Typed::Stats),
        "doctor" => Ok(Typed::Doctor((!rest.is_empty()).then(|| Line::from_peer(rest)))),
        "paths" if rest.is_empty() => Ok(Typed::Paths { dot: false }),
        "paths" if rest == "--dot" => Ok(Typed::Paths { dot: true }),
        "paths" => Err(CommandError::Usage("/paths [--dot]")),
        "why" if rest.is_empty() => Err(CommandError::Usage("/why NAME")),
        "why" => Ok(Typed::Why(Line::from_peer(rest))),
        "verify" => Ok(verify(rest)),
        "trust" if rest.is_empty() => Err(CommandError::Usage("/trust NAME")),
        "trust" => Ok(Typed::Command(Command::Trust(Line::from_peer(rest)))),
        "trace" => Ok(Typed::Trace),
        "quit" => Ok(Typed::Command(Command::Quit)),
        "tell" => match rest.split_once(char::is_whitespace) {
            Some((to, text)) if !text.trim().is_empty() => {
                let text = Line::new(text.trim_start()).map_err(CommandError::Line)?;
                Ok(Typed::Tell { to: Line::from_peer(to), text })
            }
            _ => Err(CommandError::Usage("/tell NAME TEXT")),
        },
        "plain" => match rest.split_once(char::is_whitespace) {
            Some((to, text)) if !text.trim().is_empty() => {
                let to = to.parse::<Endpoint>().map_err(CommandError::Address)?.socket_addr();
                let text = Line::new(text.trim_start()).map_err(CommandError::Line)?;
                Ok(Typed::Command(Command::Plain { to, text }))
            }
            _ => Err(CommandError::Usage("/plain ADDR[:PORT] TEXT")),
        },
        "nick" if rest.is_empty() => Err(CommandError::Usage("/nick NAME")),
        "nick" => Nick::new(rest).map(|n| Typed::Command(Command::Nick(n))).map_err(CommandError::Nick),
        "away" => away(rest),
        "cast" if rest.is_empty() => Ok(Typed::ShowCast),
        "cast" => rest.parse().map(|c| Typed::Command(Command::Cast(c))).map_err(CommandError::Cast),
        _ => Err(CommandError::Unknown(Line::from_peer(&format!("/{word}")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Typed, CommandError> {
        parse(text)
    }

    fn said(text: &str) -> Typed {
        Typed::Say(Line::new(text).expect("short"))
    }

    #[test]
    fn text_is_said_and_blank_lines_are_nothing() {
        assert_eq!(read("hi there\n"), Ok(said("hi there")));
        assert_eq!(read("  \r\n"), Ok(Typed::Nothing));
    }

    #[test]
    fn two_slashes_send_one() {
        assert_eq!(read("//etc"), Ok(said("/etc")));
    }

    #[test]
    fn commands_with_and_without_words() {
        assert_eq!(read("/quit"), Ok(Typed::Command(Command::Quit)));
        assert_eq!(read("!exit"), Ok(Typed::Command(Command::Quit)));
        assert_eq!(read("!upload /etc/passwd"), Err(CommandError::Unknown(Line::from_peer("!upload"))));
        assert_eq!(read("!uploaded it"), Ok(said("!uploaded it")));
        assert_eq!(read("/cast broadcast"), Ok(Typed::Command(Command::Cast(CastChoice::Broadcast))));
        assert_eq!(read("/cast"), Ok(Typed::ShowCast));
        assert_eq!(read("/paths"), Ok(Typed::Paths { dot: false }));
        assert_eq!(read("/paths --dot"), Ok(Typed::Paths { dot: true }));
        assert_eq!(read("/paths bob"), Err(CommandError::Usage("/paths [--dot]")));
        assert_eq!(read("/why bob~k7f2q"), Ok(Typed::Why(Line::from_peer("bob~k7f2q"))));
        assert_eq!(read("/why"), Err(CommandError::Usage("/why NAME")));
        assert_eq!(read("/trace"), Ok(Typed::Trace));
        let line = Line::from_peer;
        assert_eq!(read("/verify"), Ok(Typed::Verify(None)));
        assert_eq!(read("/verify bob~k7f2q"), Ok(Typed::Verify(Some(line("bob~k7f2q")))));
        let verify = Command::Verify { name: line("bob"), digits: line("12345 67890") };
        assert_eq!(read("/verify bob  12345 67890"), Ok(Typed::Command(verify)));
        assert_eq!(read("/trust bob~k7f2q"), Ok(Typed::Command(Command::Trust(line("bob~k7f2q")))));
        assert_eq!(read("/trust"), Err(CommandError::Usage("/trust NAME")));
        assert!(matches!(read("/nick ann"), Ok(Typed::Command(Command::Nick(_)))));
        assert_eq!(read("/away"), Ok(Typed::Command(Command::Away(None))));
        let lunch = Line::new("at lunch").expect("short");
        assert_eq!(read("/away  at lunch"), Ok(Typed::Command(Command::Away(Some(lunch)))));
        assert_eq!(read("/nick"), Err(CommandError::Usage("/nick NAME")));
        assert!(matches!(read("/nick a b"), Err(CommandError::Nick(_))));
        assert!(matches!(read("/cast x"), Err(CommandError::Cast(_))));
    }

    #[test]
    fn private_and_plain_text_name_their_reader() {
        let line = |text: &str| Line::new(text).expect("short");
        assert_eq!(read("/tell bob  hi  there"), Ok(Typed::Tell { to: line("bob"), text: line("hi  there") }));
        let to = "10.0.0.4:5004".parse().expect("an address");
        assert_eq!(read("/plain 10.0.0.4 hi"), Ok(Typed::Command(Command::Plain { to, text: line("hi") })));
        assert_eq!(read("/tell bob"), Err(CommandError::Usage("/tell NAME TEXT")));
        assert!(matches!(read("/plain bob hi"), Err(CommandError::Address(_))));
    }

    #[test]
    fn an_unknown_command_is_refused_and_harmless() {
        let Err(why) = read("/fly\x1b[m away") else { panic!("refused") };
        assert!(why.to_string().starts_with("unknown command /fly\u{241B}[m:"));
    }
}

//! Asks the node that runs: finds this user's nodes of this network namespace, chooses one, and
//! hands it a question by its control socket.
//!
//! Blocks, with a deadline: there is nothing else to do. Names in `/proc/net/unix` are anybody's, so
//! only a socket that this user or root listens on is believed.

use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use super::control::{Name, state_of};
use super::jobs::Job;
use crate::address::{Endpoint, Groups};
use crate::text::{Line, Nick};

/// Bytes that an answer may have. No node says more.
const ANSWER_MAX: u64 = 64 << 20;

/// Nodes looked at. Those beyond are not found; nobody runs that many.
const NODES_MAX: usize = 256;

/// How long a node may take at least: it may be busy, and the machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Which of several nodes is meant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Which {
    pub(crate) name: Option<Nick>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) group: Option<SocketAddr>,
    pub(crate) address: Option<Endpoint>,
    /// Its group has a key.
    pub(crate) keyed: bool,
}

/// What a node answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// To be printed.
    pub(crate) text: String,
    /// The exit status.
    pub(crate) status: u8,
}

/// Why there is no answer although a node runs.
#[derive(Debug)]
pub(crate) enum AskError {
    /// Several run; holds what they are called.
    Several(Vec<String>),
    /// It does not answer.
    Silent(String, io::Error),
    /// It refuses the question.
    Refused(String, String),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Several(names) => {
                write!(f, "several nodes run: {}; say which with --name or --state-dir", names.join(", "))
            }
            Self::Silent(name, why) => write!(f, "{name} runs but does not answer: {why}"),
            Self::Refused(name, why) => write!(f, "{name} refuses: {why}"),
        }
    }
}

/// A node that took our connection.
struct Running {
    name: Name,
    answers: BufReader<io::Take<UnixStream>>,
}

/// Hands the job to the node that runs and is meant; `None` if there is no such node. Of several it is the one that is
/// called as nodes `usual`ly are here.
///
/// # Errors
/// An [`AskError`].
pub(crate) fn running(
    which: &Which,
    usual: Option<&Nick>,
    job: &Job,
    wait: Duration,
) -> Result<Option<Reply>, AskError> {
    let table = fs::read("/proc/net/unix").unwrap_or_default();
    let names = Name::all(&String::from_utf8_lossy(&table), geteuid().as_raw());
    // Names are anybody's: only who accepts us as a user counts.
    let names = names.iter().filter(|name| which.may_be(name));
    let mut nodes: Vec<_> = names.filter_map(Running::connect).take(NODES_MAX).collect();
    if which.wants_more() {
        // All greet at the same time. Who does not is not known to be meant.
        let until = Instant::now() + PATIENCE;
        nodes.retain_mut(|node| node.next_line(until).is_ok_and(|(_, ready)| which.is(&ready)));
    }
    let is_usual = |node: &Running| usual.is_some_and(|nick| node.name.is_called(nick.as_str()));
    if nodes.len() > 1 && nodes.iter().any(is_usual) {
        nodes.retain(is_usual);
    }
    match nodes.pop() {
        None => Ok(None),
        Some(mut node) if nodes.is_empty() => node.ask(job, Instant::now() + wait.max(PATIENCE)).map(Some),
        Some(node) => {
            let all = nodes.iter().chain([&node]);
            Err(AskError::Several(all.map(|node| node.label()).collect()))
        }
    }
}

impl Which {
    /// As far as its name tells.
    fn may_be(&self, name: &Name) -> bool {
        let state = self.state_dir.as_deref().map(state_of);
        self.name.as_ref().is_none_or(|nick| name.is_called(nick.as_str())) && (state.is_none() || state == name.state)
    }

    /// Whether the name alone does not tell.
    const fn wants_more(&self) -> bool {
        self.group.is_some() || self.address.is_some() || self.keyed
    }

    /// Whether the node that greets so is meant.
    fn is(&self, ready: &Value) -> bool {
        let group = self.group.is_none_or(|group| ready["group"] == Groups::of(group).room().to_string());
        let addresses = ready["addresses"].as_array().map_or(&[][..], Vec::as_slice);
        let mut addresses = addresses.iter().filter_map(|text| text.as_str()?.parse::<SocketAddr>().ok());
        let is_there = |Endpoint { ip, port, .. }: Endpoint| {
            addresses.any(|has| has.ip() == ip && port.is_none_or(|port| has.port() == port))
        };
        let keyed = !self.keyed || ready["keyed"] == true;
        group && keyed && self.address.is_none_or(is_there)
    }
}

impl Running {
    /// `None` if nobody of ours listens there any more.
    fn connect(name: &Name) -> Option<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None).ok()?;
        // A backlog that is full is not waited for.
        socket.set_nonblocking(true).ok()?;
        socket.connect(&SockAddr::unix(format!("\0{name}")).ok()?).ok()?;
        socket.set_nonblocking(false).ok()?;
        let stream = UnixStream::from(std::os::fd::OwnedFd::from(socket));
        let peer = getsockopt(&stream, PeerCredentials).ok()?.uid();
        let ours = peer == 0 || peer == geteuid().as_raw();
        ours.then(|| Self { name: name.clone(), answers: BufReader::new(stream.take(ANSWER_MAX)) })
    }

    /// What people are told that it is called.
    fn label(&self) -> String {
        format!("{} (process {})", Line::from_peer(&self.name.nick), self.name.pid)
    }

    fn stream(&self) -> &UnixStream {
        self.answers.get_ref().get_ref()
    }

    fn ask(&mut self, job: &Job, until: Instant) -> Result<Reply, AskError> {
        self.converse(job, until).unwrap_or_else(|why| Err(AskError::Silent(self.label(), why)))
    }

    fn converse(&mut self, job: &Job, until: Instant) -> io::Result<Result<Reply, AskError>> {
        self.stream().set_write_timeout(Some(PATIENCE))?;
        self.stream().write_all(format!("{}\n", job.line).as_bytes())?;
        self.stream().shutdown(Shutdown::Write)?;
        let mut text = String::new();
        loop {
            let (line, event) = self.next_line(until)?;
            match event["event"].as_str() {
                Some("ready") => {}
                Some("done") => {
                    let status = event["status"].as_u64().and_then(|status| u8::try_from(status).ok()).unwrap_or(1);
                    let refused = event["text"].as_str().map(|why| Line::from_peer(why).to_string());
                    return Ok(match refused {
                        Some(why) => Err(AskError::Refused(self.label(), why)),
                        None => Ok(Reply { text, status }),
                    });
                }
                _ => text.push_str(&job.show.shown(&line)),
            }
        }
    }

    /// The next event, as it stands there and taken apart.
    fn next_line(&mut self, until: Instant) -> io::Result<(String, Value)> {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream().set_read_timeout(Some(left))?;
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                let event = serde_json::from_str(&line)?;
                line.truncate(line.trim_end().len());
                Ok((line, event))
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            Err(why) => Err(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_tells_whether_a_node_is_meant() {
        let ready = serde_json::json!({
            "event": "ready", "addresses": ["10.0.0.3:5003", "10.1.0.3:9"], "group": "239.192.7.7:5007"
        });
        let group = |text: &str| Which { group: text.parse().ok(), ..Which::default() };
        assert!(Which::default().is(&ready) && !Which::default().wants_more());
        assert!(group("239.192.7.7:5007").is(&ready) && !group("239.192.7.7:5008").is(&ready));
        let at = |ip: [u8; 4], port| Which {
            address: Some(Endpoint { ip: std::net::IpAddr::from(ip), port, scope: 0 }),
            ..Which::default()
        };
        assert!(at([10, 0, 0, 3], None).is(&ready) && at([10, 1, 0, 3], Some(9)).is(&ready));
        assert!(!at([10, 0, 0, 3], Some(9)).is(&ready) && !at([10, 0, 0, 4], None).is(&ready));
        assert!(!group("239.192.7.7:5007").is(&Value::Null));
    }

    #[test]
    fn a_name_tells_who_and_where() {
        let dir = std::env::temp_dir();
        let which =
            |name: Option<&str>, state_dir| Which { name: name.map(Nick::from_any), state_dir, ..Which::default() };
        let ann = Name::new(1, 2, Some(&dir), "ann");
        assert!(which(None, None).may_be(&ann) && which(Some("ann"), Some(dir.clone())).may_be(&ann));
        assert!(!which(Some("bob"), None).may_be(&ann) && !which(None, Some(dir.join("no"))).may_be(&ann));
        assert!(!which(None, Some(dir)).may_be(&Name::new(1, 2, None, "ann")));
    }
}

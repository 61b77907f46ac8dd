//! How the program begins: opens everything, in an order in which each step can still fail with
//! nothing said, and then tells that it is open.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mio::Poll;
use nix::unistd::geteuid;

use super::doctor::Practice;
use super::{BELL, FIRST_CLIENT, FIRST_SOCKET, FIRST_STREAM, LOOK_EVERY, NETLINK, SIGNALS, STDIN, STDOUT, Shell, WAKE};
use crate::address::Groups;
use crate::config::{Config, PlainConfig};
use crate::crypto::{Identity, Keyring};
use crate::event::PeerName;
use crate::node::{Machine, Node, PlainNode, SegmentChange};
use crate::runtime::Failure;
use crate::runtime::cli::Settings;
use crate::runtime::console::{Console, Kind};
use crate::runtime::control::{self, Control};
use crate::runtime::ending::Ending;
use crate::runtime::gate::Gate;
use crate::runtime::interfaces::{Families, Wanted};
use crate::runtime::jobs::Job;
use crate::runtime::memory::Memory;
use crate::runtime::netlink::Watch;
use crate::runtime::network::{Changes, Network};
use crate::runtime::output::Output as Stdout;
use crate::runtime::pauses::Pauses;
use crate::runtime::peers::Peers;
use crate::runtime::pins::PinFile;
use crate::runtime::render::{self, Ready};
use crate::runtime::signals::Signals;
use crate::runtime::sockets::{Group, Sockets};
use crate::runtime::state::{Lock, State};
use crate::runtime::streams::Streams;
use crate::runtime::survey::Surveyor;
use crate::runtime::teller::{Form, Teller};
use crate::runtime::terminal;
use crate::time::Time;

/// Who is to run.
pub(in crate::runtime) enum Who {
    /// A node of our protocol, what is kept of it, and the seed of its choices.
    Native(Box<Config>, State, [u8; 32]),
    /// A node in plain mode.
    Plain(PlainConfig),
}

/// The largest datagram there is.
const DATAGRAM_MAX: usize = 65_536;

impl Shell {
    /// Opens everything and tells that it is open.
    ///
    /// With a job it reads nothing and tells nothing: it answers that, and ends.
    pub(in crate::runtime) fn open(settings: Settings, who: Who, job: Option<Job>) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(Failure::Poll)?;
        let registry = poll.registry();
        let (form, kind) = if job.is_some() { (Form::Quiet, Kind::Nothing) } else { form(settings.json) };
        let signals = Signals::open(registry, SIGNALS, WAKE, form == Form::Prompt).map_err(Failure::Signal)?;
        let group = Group { addresses: Groups::of(settings.group), ttl: settings.ttl };
        let mut sockets = Sockets::new(group, Gate::new(who.tags()), FIRST_SOCKET);
        let mut streams = Streams::new(FIRST_STREAM);
        let wants_port = settings.address.is_some_and(|address| address.port.is_some());
        let families = families(&settings, &who);
        let wanted = Wanted { interfaces: settings.interfaces, address: settings.address, families };
        // Before the first look, so that nothing is missed.
        let watch = Watch::open(registry, NETLINK).ok();
        let (network, changes) = Network::start(wanted, registry, &mut sockets).map_err(Failure::Network)?;
        if settings.tcp {
            listen(&mut streams, registry, &changes, wants_port)?;
        }
        if form == Form::Prompt {
            terminal::enter().map_err(Failure::Terminal)?;
        }
        let is_plain = matches!(who, Who::Plain(_));
        let peers = Peers::open(&settings.peers, registry, BELL).map_err(Failure::Names)?;
        let Born { machine, warnings, dir, memory, pins, lock, stay, wait, plain_name } = who.wake(settings.tcp);
        let name = control::Name::new(geteuid().as_raw(), std::process::id(), dir.as_deref(), "");
        let mut shell = Self {
            console: Console::open(kind, settings.commands, is_plain, registry, STDIN),
            teller: Teller::new(form, Stdout::open(registry, STDOUT)),
            woke: Instant::now(),
            stay,
            traces: false,
            wait,
            machine,
            sockets,
            streams,
            listens: settings.tcp,
            network,
            peers,
            memory,
            pins,
            peers_at: Time::ZERO,
            watch,
            pauses: Pauses::new(),
            signals,
            ready: BTreeSet::new(),
            datagram: vec![0; DATAGRAM_MAX],
            outgoing: Vec::new(),
            look_at: Time::ZERO + LOOK_EVERY,
            looked_at: Time::ZERO,
            deleted: Vec::new(),
            line_waits: false,
            opened: false,
            failed_to: None,
            input_over: false,
            ending: Ending::default(),
            control: Control::new(FIRST_CLIENT, name),
            asker: None,
            job,
            surveyor: Surveyor::default(),
            practice: Practice::default(),
            lock,
            group: if is_plain { settings.group } else { group.addresses.room() },
            poll,
        };
        shell.greet(&plain_name);
        shell.listen_for_clients();
        shell.look_for_peers();
        warnings.iter().for_each(|text| shell.teller.warning(text));
        shell.change(changes);
        Ok(shell)
    }

    fn keyed(&self) -> bool {
        self.machine.native().is_some_and(|node| !node.is_open())
    }

    fn greet(&mut self, plain_name: &str) {
        let (label, name, addresses) = self.standing();
        let own = name.as_ref().map(|(name, boot)| (name, *boot));
        self.teller.ready(&Ready { label: &label, own, plain_name, addresses, group: self.group, keyed: self.keyed() });
    }

    /// Who we are and where, as a client of the control socket is told it first.
    pub(super) fn ready_event(&self) -> String {
        let (label, name, addresses) = self.standing();
        let own = name.as_ref().map(|(name, boot)| (name, *boot));
        render::json_ready(&Ready {
            label: &label,
            own,
            plain_name: "",
            addresses,
            group: self.group,
            keyed: self.keyed(),
        })
    }

    fn standing(&self) -> (String, Option<(PeerName, u64)>, Vec<SocketAddr>) {
        let addresses = self.network.segments().map(|segment| segment.address).collect();
        let name = self.machine.native().map(|node| (node.name(), node.identity().boot()));
        (self.machine.label(), name, addresses)
    }
}

/// A machine that has just woken, and what the loop must know about it.
struct Born {
    machine: Machine,
    warnings: Vec<String>,
    dir: Option<PathBuf>,
    memory: Option<Memory>,
    pins: Option<PinFile>,
    lock: Option<Lock>,
    stay: bool,
    wait: Duration,
    plain_name: String,
}

impl Who {
    /// By which tags the datagrams of a keyed group are known.
    fn tags(&self) -> Vec<[u8; 8]> {
        match self {
            Self::Native(config, ..) => Keyring::new(&config.secrets, config.group).tags(),
            Self::Plain(_) => Vec::new(),
        }
    }

    /// `listens`: somebody may connect.
    fn wake(self, listens: bool) -> Born {
        match self {
            Self::Native(config, state, seed) => {
                let (stay, wait) = (config.stay, config.wait);
                let memory = state.dir.as_deref().map(|dir| Memory::open(dir, config.woke));
                let remembered_peers = memory.as_ref().map(Memory::addresses).unwrap_or_default();
                let config = Config { listens, remembered_peers, ..*config };
                let identity = Identity::new(&state.secret, state.boot);
                let opened = state.dir.as_deref().map(PinFile::open);
                let (pins, known, damage) = opened.map_or((None, Vec::new(), None), |(f, k, d)| (Some(f), k, d));
                let node = Node::new(identity, config, seed, Time::ZERO).with_pins(known);
                let machine = Machine::Native(Box::new(node));
                let warnings = state.warning.into_iter().chain(damage).collect();
                let (dir, lock, plain_name) = (state.dir, state.lock, String::new());
                Born { machine, warnings, dir, memory, pins, lock, stay, wait, plain_name }
            }
            Self::Plain(config) => {
                let stay = config.stay;
                let plain_name = config.name.as_ref().map_or_else(String::new, ToString::to_string);
                let machine = Machine::Plain(Box::new(PlainNode::new(config, Time::ZERO)));
                Born {
                    machine,
                    warnings: Vec::new(),
                    dir: None,
                    memory: None,
                    pins: None,
                    lock: None,
                    stay,
                    wait: Duration::ZERO,
                    plain_name,
                }
            }
        }
    }
}

/// Plain text is not known the second time: it goes by one family, that of what was asked for.
fn families(settings: &Settings, who: &Who) -> Families {
    let of_v6 =
        settings.group.is_ipv6() || settings.plain.as_ref().and_then(|plain| plain.dest).is_some_and(|to| to.is_ipv6());
    match who {
        Who::Native(..) => Families::Both,
        Who::Plain(_) if of_v6 => Families::RatherV6,
        Who::Plain(_) => Families::RatherV4,
    }
}

/// Listens on the segments there are: hellos say from the first whether anybody does. Where a port
/// was asked for, it must be had; else that it cannot is told when the segment is.
fn listen(streams: &mut Streams, registry: &mio::Registry, changes: &Changes, wants_port: bool) -> Result<(), Failure> {
    for change in &changes.segments {
        if let SegmentChange::Up(segment) = change
            && let Err(why) = streams.listen(registry, segment)
            && wants_port
        {
            return Err(Failure::Listen(why));
        }
    }
    Ok(())
}

/// How to tell things, and how to read: an editor needs a terminal on both sides that obeys escape
/// sequences.
fn form(json: bool) -> (Form, Kind) {
    let terminal = Console::is_terminal();
    let obeys = std::env::var("TERM").is_ok_and(|term| term != "dumb" && !term.is_empty());
    let form = match json {
        true => Form::Json,
        false if terminal && obeys && Stdout::is_terminal() => Form::Prompt,
        false => Form::Text,
    };
    let kind = match terminal {
        false => Kind::Piped,
        true if form == Form::Prompt => Kind::Edited,
        true => Kind::Typed,
    };
    (form, kind)
}

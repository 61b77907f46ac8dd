//! How the program begins: opens everything, in an order in which each step can still fail with
//! nothing said, and then tells that it is open.

use std::collections::BTreeSet;
use std::time::Instant;

use mio::Poll;

use super::{FIRST_SOCKET, FIRST_STREAM, LOOK_EVERY, SIGNALS, STDIN, STDOUT, Shell, WAKE};
use crate::config::Config;
use crate::crypto::Identity;
use crate::node::{Node, SegmentChange};
use crate::runtime::Failure;
use crate::runtime::cli::Settings;
use crate::runtime::console::{Console, Kind};
use crate::runtime::ending::Ending;
use crate::runtime::interfaces::Wanted;
use crate::runtime::network::{Changes, Network};
use crate::runtime::output::Output as Stdout;
use crate::runtime::render::Ready;
use crate::runtime::signals::Signals;
use crate::runtime::sockets::{Group, Sockets};
use crate::runtime::state::State;
use crate::runtime::streams::Streams;
use crate::runtime::teller::{Form, Teller};
use crate::runtime::terminal;
use crate::time::Time;

/// The largest datagram there is.
const DATAGRAM_MAX: usize = 65_536;

impl Shell {
    /// Opens everything and tells that it is open.
    pub(in crate::runtime) fn open(
        settings: Settings,
        mut config: Config,
        state: State,
        seed: [u8; 32],
    ) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(Failure::Poll)?;
        let registry = poll.registry();
        let (form, kind) = form(settings.json);
        let signals = Signals::open(registry, SIGNALS, WAKE, form == Form::Prompt).map_err(Failure::Signal)?;
        let group = Group { address: settings.group, ttl: settings.ttl };
        let (mut sockets, mut streams) = (Sockets::new(group, FIRST_SOCKET), Streams::new(FIRST_STREAM));
        let wants_port = settings.address.is_some_and(|(_, port)| port.is_some());
        let wanted = Wanted { interfaces: settings.interfaces, address: settings.address };
        let (network, changes) = Network::start(wanted, registry, &mut sockets).map_err(Failure::Network)?;
        if settings.tcp {
            listen(&mut streams, registry, &changes, wants_port)?;
        }
        config.listens = streams.listens();
        if form == Form::Prompt {
            terminal::enter().map_err(Failure::Terminal)?;
        }
        let boot = state.boot;
        let identity = Identity::new(&state.secret, boot);
        let mut shell = Self {
            console: Console::open(kind, settings.commands, registry, STDIN),
            teller: Teller::new(form, Stdout::open(registry, STDOUT)),
            woke: Instant::now(),
            stay: config.stay,
            wait: config.wait,
            group: config.group,
            node: Node::new(identity, config, seed, Time::ZERO),
            sockets,
            streams,
            listens: settings.tcp,
            network,
            signals,
            ready: BTreeSet::new(),
            datagram: vec![0; DATAGRAM_MAX],
            outgoing: Vec::new(),
            look_at: Time::ZERO + LOOK_EVERY,
            line_waits: false,
            input_over: false,
            ending: Ending::default(),
            _lock: state.lock,
            poll,
        };
        shell.greet(boot);
        state.warning.iter().for_each(|text| shell.teller.warning(text));
        shell.change(changes);
        Ok(shell)
    }

    fn greet(&mut self, boot: u64) {
        let addresses = self.network.segments().map(|segment| segment.address).collect();
        let own = self.node.name();
        self.teller.ready(&Ready { own: &own, boot, addresses, group: self.group });
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

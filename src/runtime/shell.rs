//! The loop: waits for events, hands them to the node one by one, carries out what it wants.
//!
//! mio tells once that something became ready, so what is ready stays in a set until a read finds
//! nothing more. Each socket is served up to a budget a turn: none starves another, or the
//! keyboard. The node's outputs are drained after every input, so nothing queues up inside.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::{Events, Poll, Token};

use super::Failure;
use super::answers;
use super::cli::Settings;
use super::console::{Console, Item, Kind};
use super::interfaces::Wanted;
use super::network::{Changes, Network};
use super::output::{self, Output as Stdout, Reader};
use super::render::{Ready, View};
use super::signals::{Heard, Signals};
use super::sockets::{Group, Sockets};
use super::state::State;
use super::teller::{Form, Teller};
use super::terminal;
use crate::command::{Command, Typed};
use crate::config::Config;
use crate::crypto::Identity;
use crate::event::{Event, Outcome};
use crate::node::{Input, Node, Output};
use crate::time::{Time, WallTime};

const SIGNALS: Token = Token(0);
const WAKE: Token = Token(1);
const STDIN: Token = Token(2);
const STDOUT: Token = Token(3);
const FIRST_SOCKET: usize = 8;

/// Datagrams served per socket and turn.
const DATAGRAMS_MAX: usize = 64;

/// Things taken from standard input per turn.
const ITEMS_MAX: usize = 8;

/// How often the interfaces are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long leaving may take before it is cut short.
const LEAVING_MAX: Duration = Duration::from_secs(3);

/// The largest datagram there is.
const DATAGRAM_MAX: usize = 65_536;

/// A decision to leave.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    /// The exit status, if the outcome does not decide it.
    status: Option<u8>,
    by: Time,
}

/// How what was said fared.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    said: u64,
    confirmed: u64,
}

/// The running program.
pub(super) struct Shell {
    poll: Poll,
    woke: Instant,
    node: Node,
    sockets: Sockets,
    network: Network,
    console: Console,
    teller: Teller,
    signals: Signals,
    /// Sockets that may have something to read.
    ready: BTreeSet<Token>,
    datagram: Vec<u8>,
    outgoing: Vec<u8>,
    look_at: Time,
    /// The node was told that a line waits.
    line_waits: bool,
    leaving: Option<Leaving>,
    /// Leave now, whatever is under way.
    abort: Option<u8>,
    done: Option<Outcome>,
    tally: Tally,
    stay: bool,
    wait: Duration,
    group: std::net::SocketAddr,
}

impl Shell {
    /// Opens everything and tells that it is open.
    pub(super) fn open(settings: Settings, config: Config, state: State, seed: [u8; 32]) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(Failure::Poll)?;
        let registry = poll.registry();
        let (form, kind) = form(settings.json);
        let signals = Signals::open(registry, SIGNALS, WAKE, form == Form::Prompt).map_err(Failure::Signal)?;
        let group = Group { address: settings.group, ttl: settings.ttl };
        let mut sockets = Sockets::new(group, FIRST_SOCKET);
        let wanted = Wanted { interfaces: settings.interfaces, address: settings.address };
        let (network, changes) = Network::start(wanted, registry, &mut sockets).map_err(Failure::Network)?;
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
            network,
            signals,
            ready: BTreeSet::new(),
            datagram: vec![0; DATAGRAM_MAX],
            outgoing: Vec::new(),
            look_at: Time::ZERO + LOOK_EVERY,
            line_waits: false,
            leaving: None,
            abort: None,
            done: None,
            tally: Tally::default(),
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
        self.teller.repaint();
    }

    /// Runs until it is decided how this ends; returns the exit status.
    pub(super) fn run(&mut self) -> Result<u8, Failure> {
        let mut events = Events::with_capacity(256);
        loop {
            self.write();
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            self.wait(&mut events)?;
            for event in &events {
                self.on_event(event.token());
            }
            self.on_time();
            self.serve_sockets();
            self.serve_console();
            self.look_around();
        }
    }

    /// Prints what is left, as long as somebody takes it, and gives the terminal back.
    pub(super) fn close(mut self, status: u8) -> u8 {
        self.teller.leave();
        if self.abort.is_none() {
            let signals = &mut self.signals;
            self.teller.output.flush(|| signals.next().is_none());
        }
        terminal::leave();
        match self.done {
            Some(Outcome::Nobody) if status == 3 => {
                let (group, wait) = (self.group, self.wait.as_secs_f64());
                output::complain(&format!("nobody is there: no peer in {group} within {wait} s to hear what was said"));
            }
            Some(Outcome::Partial) if status == 4 => {
                let Tally { said, confirmed } = self.tally;
                output::complain(&format!("only some confirmed: {confirmed} of {said} messages reached everybody"));
            }
            _ => {}
        }
        status
    }

    fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.woke.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// How this ends, if it does.
    fn ended(&self) -> Option<u8> {
        if self.abort.is_some() {
            return self.abort;
        }
        let late = self.leaving.filter(|leaving| leaving.by <= self.now());
        let status = self.leaving.and_then(|leaving| leaving.status);
        match self.done {
            None => late.map(|_| status.unwrap_or(0)),
            Some(outcome) => Some(status.unwrap_or(match outcome {
                Outcome::Complete => 0,
                Outcome::Nobody => 3,
                Outcome::Partial => 4,
            })),
        }
    }

    /// Waits until there is something to do.
    fn wait(&mut self, events: &mut Events) -> Result<(), Failure> {
        let now = self.now();
        let lines = self.node.wants_line();
        let reads = self.leaving.is_none() && self.console.is_ready(lines);
        let wait = if reads || !self.ready.is_empty() {
            Duration::ZERO
        } else {
            let times = [Some(self.look_at), self.node.poll_timeout(), self.leaving.map(|l| l.by)];
            times.into_iter().flatten().min().map_or(LOOK_EVERY, |at| at.since(now))
        };
        match self.poll.poll(events, Some(wait)) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => Ok(()),
            polled => polled.map_err(Failure::Poll),
        }
    }

    fn on_event(&mut self, token: Token) {
        match token {
            SIGNALS | WAKE => {
                while let Some(heard) = self.signals.next() {
                    self.on_signal(heard);
                }
            }
            STDIN => self.console.on_readable(),
            STDOUT => {
                let reader = self.teller.output.look();
                self.on_reader(reader);
            }
            socket => {
                self.ready.insert(socket);
            }
        }
    }

    fn on_signal(&mut self, heard: Heard) {
        match heard {
            Heard::Leave(status) if self.leaving.is_some() => self.abort = Some(status),
            Heard::Leave(status) => self.leave(Some(status)),
            Heard::Abort(status) => self.abort = Some(status),
            Heard::Resized => self.teller.repaint(),
            Heard::Stop => {
                self.teller.leave();
                self.write();
                terminal::leave();
                self.signals.stop();
                self.take_terminal();
            }
            Heard::Continued => self.take_terminal(),
        }
    }

    /// The shell may have changed the mode, and written over the prompt.
    fn take_terminal(&mut self) {
        if self.teller.has_prompt() {
            if let Err(why) = terminal::enter() {
                self.teller.warning(&format!("cannot set up the terminal: {why}"));
            }
            self.teller.repaint();
        }
    }

    fn on_time(&mut self) {
        let now = self.now();
        if self.node.poll_timeout().is_some_and(|at| at <= now) {
            self.node.handle_timeout(now);
            self.drain();
        }
    }

    fn serve_sockets(&mut self) {
        let tokens: Vec<Token> = self.ready.iter().copied().collect();
        for token in tokens {
            for _ in 0..DATAGRAMS_MAX {
                if !self.serve_socket(token) {
                    self.ready.remove(&token);
                    break;
                }
            }
        }
    }

    /// One datagram; false if there is none.
    fn serve_socket(&mut self, token: Token) -> bool {
        let Some((segment, cast)) = self.sockets.socket_of(token) else {
            return false;
        };
        let Some((len, from)) = self.sockets.receive(segment, cast, &mut self.datagram) else {
            return false;
        };
        let bytes = &self.datagram[..len];
        let now = self.now();
        self.node.handle_input(now, Input::Datagram { segment, cast, from, bytes });
        self.drain();
        true
    }

    fn serve_console(&mut self) {
        for _ in 0..ITEMS_MAX {
            if self.leaving.is_some() || self.done.is_some() {
                break;
            }
            self.console.fill(self.poll.registry());
            if self.console.has_line() && !self.node.wants_line() {
                self.wait_with_line();
                break;
            }
            let Some(item) = self.console.take() else {
                break;
            };
            self.on_item(item);
        }
        let (text, cursor) = self.console.typed();
        self.teller.typed(text, cursor);
    }

    fn wait_with_line(&mut self) {
        if !self.line_waits {
            self.line_waits = true;
            self.handle(Input::Command(Command::LineWaiting));
            if self.teller.has_prompt() {
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
            Item::Repaint => self.teller.clear(),
            Item::Leave => self.leave(None),
            Item::End if self.stay => {}
            Item::End => self.handle(Input::Command(Command::EndOfInput)),
            Item::Failed(why) => {
                output::complain(&format!("cannot read standard input: {why}"));
                self.leave(Some(1));
            }
        }
    }

    fn on_typed(&mut self, typed: Typed) {
        let answer = match typed {
            Typed::Nothing => return,
            Typed::Command(Command::Quit) => return self.leave(None),
            Typed::Command(command) => return self.handle(Input::Command(command)),
            Typed::Say(line) => return self.on_item(Item::Say(vec![line])),
            Typed::Help => answers::help(),
            Typed::Who => {
                let peers: Vec<_> = self.node.peers().collect();
                answers::who(&peers, |segment| self.sockets.name(segment).to_owned())
            }
            Typed::Stats => {
                let unsent = ("unsent", self.sockets.unsent());
                answers::stats(self.node.stats().iter().chain(std::iter::once(unsent)))
            }
            Typed::ShowCast => answers::cast(self.node.cast()),
        };
        self.teller.notice(&answer);
    }

    /// Says bye; the loop ends when that is done, or late.
    fn leave(&mut self, status: Option<u8>) {
        if self.leaving.is_none() {
            self.leaving = Some(Leaving { status, by: self.now() + LEAVING_MAX });
            self.handle(Input::Command(Command::Quit));
        }
    }

    /// Hands one input to the node and carries out what it wants.
    fn handle(&mut self, input: Input<'_>) {
        let now = self.now();
        self.node.handle_input(now, input);
        self.drain();
    }

    /// Carries out what the node wants, and tells it whether its events are taken.
    fn drain(&mut self) {
        self.drain_once();
        while let Some(ready) = self.teller.output.reader_change() {
            let now = self.now();
            self.node.handle_input(now, Input::Reader { ready });
            self.drain_once();
        }
    }

    fn drain_once(&mut self) {
        while let Some(output) = self.node.poll_output(&mut self.outgoing) {
            match output {
                Output::Send { segment, to, .. } => self.sockets.send(segment, to, &self.outgoing),
                Output::Event(event) => self.on_told(&event),
            }
        }
    }

    fn on_told(&mut self, event: &Event) {
        match event {
            Event::Done(outcome) => self.done = Some(*outcome),
            Event::Sent { .. } => self.tally.said += 1,
            Event::Delivered { confirmed, online, .. } if confirmed == online && *online > 0 => {
                self.tally.confirmed += 1;
            }
            _ => {}
        }
        let own = self.node.name().label();
        let segment = |id| self.sockets.name(id).to_owned();
        self.teller.event(event, &own, View { now: wall(), segment: &segment });
    }

    /// Looks at the interfaces: once a second, and at once when sending fails.
    fn look_around(&mut self) {
        let troubles = self.sockets.take_troubles();
        let now = self.now();
        if now < self.look_at && troubles.is_empty() {
            return;
        }
        self.look_at = now + LOOK_EVERY;
        let changes = self.network.follow(self.poll.registry(), &mut self.sockets);
        self.change(changes);
        // Trouble with a segment that is gone is no news any more.
        for trouble in troubles.iter().filter(|trouble| self.sockets.is_open(trouble.segment)) {
            self.teller.warning(&trouble.text);
        }
    }

    fn change(&mut self, changes: Changes) {
        changes.warnings.iter().for_each(|text| self.teller.warning(text));
        for change in changes.segments {
            self.handle(Input::Segment(change));
        }
    }

    /// Writes what standard output takes now.
    fn write(&mut self) {
        let reader = self.teller.output.write();
        self.on_reader(reader);
        self.drain();
        let left_out = self.teller.output.take_left_out();
        if left_out > 0 {
            self.teller.warning(&format!("{left_out} lines were left out: whoever reads this is too slow"));
        }
    }

    fn on_reader(&mut self, reader: Reader) {
        match reader {
            Reader::There => {}
            Reader::Gone => self.leave(Some(0)),
            Reader::Failed(why) => {
                output::complain(&format!("cannot write standard output: {why}"));
                self.leave(Some(1));
            }
        }
    }
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

/// What the wall clock shows.
fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

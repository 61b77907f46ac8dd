//! The loop: waits for events, hands them to the node one by one, carries out what it wants.
//!
//! mio tells once that something became ready, so what is ready stays in a set until a read finds
//! nothing more. Each socket is served up to a budget a turn: none starves another, or the
//! keyboard. The node's outputs are drained after every input, so nothing queues up inside.
//! `open` is how it begins, `serve` what sockets and streams bring, `typed` what standard input does,
//! `look` what interfaces do.

mod clients;
mod doctor;
mod job;
mod look;
mod open;
mod peers;
mod serve;
mod typed;

pub(super) use open::Who;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::{Events, Poll, Token};

use super::Failure;
use super::console::Console;
use super::control::{self, Control};
use super::ending::{Ending, HANGUP, is_impatient};
use super::jobs::Job;
use super::memory::Memory;
use super::netlink::Watch;
use super::network::Network;
use super::output::{self, Reader};
use super::pauses::Pauses;
use super::peers::Peers;
use super::pins::{Keep, PinFile};
use super::render::View;
use super::signals::{Heard, Signals};
use super::sockets::Sockets;
use super::state::Lock;
use super::streams::{self, Streams};
use super::survey::Surveyor;
use super::teller::Teller;
use super::terminal;
use crate::address::{Cast, SegmentId};
use crate::command::Command;
use crate::event::Event;
use crate::node::{Input, Machine, Output, Route};
use crate::time::{Time, WallTime};
use clients::Asker;
use doctor::Practice;

const SIGNALS: Token = Token(0);
const WAKE: Token = Token(1);
const STDIN: Token = Token(2);
const STDOUT: Token = Token(3);
const BELL: Token = Token(4);
const NETLINK: Token = Token(7);
const FIRST_CLIENT: usize = 8;
const FIRST_STREAM: usize = FIRST_CLIENT + control::TOKENS;
const FIRST_SOCKET: usize = FIRST_STREAM + streams::TOKENS;

/// Things taken from standard input per turn.
const ITEMS_MAX: usize = 8;

/// What is told of a line that no network took; why is told besides.
const NOT_TAKEN: &str = "not sent: no network took it";

/// How often the interfaces are looked at where nothing tells of changes, or something is amiss.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether a terminal that serves somebody else serves us again. No signal tells that to whoever
/// goes on in the background, and what was typed before is told to nobody.
const TERMINAL_EVERY: Duration = Duration::from_millis(200);

/// The running program.
pub(super) struct Shell {
    poll: Poll,
    woke: Instant,
    machine: Machine,
    sockets: Sockets,
    streams: Streams,
    /// Whether listeners follow the segments.
    listens: bool,
    network: Network,
    peers: Peers,
    memory: Option<Memory>,
    pins: Option<PinFile>,
    /// When to look after both again.
    peers_at: Time,
    /// Tells when to look at the interfaces; `None` where the system has nothing that does.
    watch: Option<Watch>,
    pauses: Pauses,
    console: Console,
    teller: Teller,
    signals: Signals,
    /// Sockets, listeners and streams that may have something to read.
    ready: BTreeSet<Token>,
    datagram: Vec<u8>,
    outgoing: Vec<u8>,
    look_at: Time,
    looked_at: Time,
    /// Interfaces deleted since then.
    deleted: Vec<u32>,
    /// The node was told that a line waits.
    line_waits: bool,
    /// Lines were wanted once. From then on what is for one alone goes at once, or is queued.
    opened: bool,
    /// Where the network did not take what was sent, last.
    failed_to: Option<SocketAddr>,
    /// Whatever stands in standard input is not read any more.
    input_over: bool,
    ending: Ending,
    group: SocketAddr,
    control: Control,
    /// The client of the control socket that is served just now.
    asker: Option<Asker>,
    /// What is to be answered before this ends.
    job: Option<Job>,
    surveyor: Surveyor,
    practice: Practice,
    stay: bool,
    /// Messages are shown with the way they came.
    traces: bool,
    /// What keeps others out of our state.
    lock: Option<Lock>,
    wait: Duration,
}

impl Shell {
    /// Runs until it is decided how this ends; returns the exit status.
    pub(super) fn run(&mut self) -> Result<u8, Failure> {
        let mut events = Events::with_capacity(256);
        loop {
            self.write();
            if let Some(status) = self.ending.status(self.now()) {
                return Ok(status);
            }
            if let Some(lock) = self.lock.as_mut().filter(|_| self.ending.is_decided() || self.job.is_some()) {
                lock.say_ending();
            }
            self.wait(&mut events)?;
            for event in &events {
                self.on_event(event.token());
            }
            self.on_time();
            self.serve();
            self.serve_console();
            self.serve_job();
            self.serve_doctor();
            self.look_after_clients();
            self.mind_peers();
            self.sockets.mind_gate();
            self.teller.tell_crowd(wall());
            self.look_around();
        }
    }

    /// Prints what is left, as long as somebody takes it, and gives the terminal back.
    pub(super) fn close(mut self, status: u8) -> u8 {
        self.teller.leave();
        let (mut lost, mut cut) = self.flush();
        // Whoever has a slow disk has a terminal meanwhile.
        terminal::leave();
        let is_told = self.teller.output.is_empty();
        self.remember_peers(true);
        self.keep_pins(Keep::Last);
        if is_told && !self.teller.output.is_empty() {
            self.teller.leave();
            (lost, cut) = self.flush();
        }
        let status = cut.unwrap_or(status);
        let (lost, status) = match lost {
            Ok(lost) => (lost, status),
            Err(why) => {
                output::complain(&Failure::Output(why).to_string());
                (0, status.max(1))
            }
        };
        if lost > 0 {
            output::complain(&format!(
                "{lost} lines are lost: whoever reads standard output did not take them in time"
            ));
        }
        if let Some(remark) = self.ending.remark(status, self.wait) {
            output::complain(&remark);
        }
        status
    }

    /// Prints what is left as long as somebody takes it, and nobody wants the end at once: how many lines nobody took,
    /// and the status of who did.
    fn flush(&mut self) -> (io::Result<u64>, Option<u8>) {
        let (signals, patient) = (&mut self.signals, self.ending.is_patient());
        let mut cut = None;
        let lost = self.teller.output.flush(self.wait, || {
            cut = patient.then(|| signals.next_end()).flatten().filter(|&status| is_impatient(status));
            patient && cut.is_none()
        });
        (lost, cut)
    }

    fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.woke.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Waits until there is something to do.
    fn wait(&mut self, events: &mut Events) -> Result<(), Failure> {
        let now = self.now();
        let watched = self.watch.as_ref().is_some_and(Watch::is_ready);
        let waits = self.input_over || self.ending.is_decided() || self.is_answering();
        let reads = !waits && self.console.is_ready() && !self.input_waits();
        let wait = if reads || watched || !self.ready.is_empty() || self.streams.has_failed() {
            Duration::ZERO
        } else {
            let here = [self.sockets.gate_by(), self.teller.crowd_by()].into_iter().flatten().min();
            let here = here.map(|at| Time::ZERO + at.saturating_duration_since(self.woke));
            let front = self.console.is_away().then(|| now + TERMINAL_EVERY);
            let others = [self.ending.by(), self.job_by(), self.peers_by(), front, here];
            let times = [Some(self.look_at), self.machine.poll_timeout()].into_iter().chain(others);
            times.flatten().min().map_or(LOOK_EVERY, |at| at.since(now))
        };
        match self.poll.poll(events, Some(wait)) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            polled => polled.map_err(Failure::Poll)?,
        }
        // Before anything else is looked at: that others were silent meanwhile means nothing.
        if self.pauses.look(wait, self.now().since(now)) {
            self.resume();
        }
        Ok(())
    }

    /// We did not run, and now we do.
    fn resume(&mut self) {
        self.look_at = self.now();
        self.handle(Input::Resumed);
    }

    fn on_event(&mut self, token: Token) {
        match token {
            SIGNALS | WAKE => {
                let mut stopped = false;
                while let Some(heard) = self.signals.next() {
                    stopped |= heard == Heard::Stop;
                    self.on_signal(heard);
                }
                // Where nothing could stop it, as without job control, nothing tells that it goes on.
                if stopped {
                    self.take_terminal();
                }
            }
            STDIN => {
                if !terminal::is_on() {
                    self.take_terminal();
                }
                self.console.on_readable();
            }
            NETLINK => self.watch.iter_mut().for_each(Watch::on_readable),
            STDOUT => {
                let reader = self.teller.output.look();
                self.on_reader(reader);
            }
            BELL => self.look_for_peers(),
            socket => {
                self.ready.insert(socket);
            }
        }
    }

    fn on_signal(&mut self, heard: Heard) {
        match heard {
            Heard::Leave(status) => {
                if self.ending.on_signal(status, self.now()) {
                    self.handle(Input::Command(Command::Quit));
                }
            }
            Heard::Abort(status) => self.ending.abort(status),
            Heard::Resized => self.teller.repaint(),
            Heard::Stop => {
                self.teller.leave();
                self.write();
                terminal::leave();
                self.signals.stop();
                self.resume();
            }
            Heard::Continued => self.take_terminal(),
        }
    }

    /// The shell may have changed the mode, and written over the prompt. In the background the terminal is not ours:
    /// whoever touches it there is stopped, even if a signal that waits would have it end. After a stop of which
    /// nothing told our mode is lost there as well.
    fn take_terminal(&mut self) {
        if !self.console.look_if_served() {
            return terminal::lose();
        }
        // Something may have been typed before it was ours again.
        self.console.on_readable();
        if self.teller.has_prompt() && !self.ending.is_decided() {
            if let Err(why) = terminal::enter() {
                self.teller.warning(&format!("cannot set up the terminal: {why}"));
            }
            self.teller.repaint();
        }
    }

    fn on_time(&mut self) {
        let now = self.now();
        if self.console.is_away() {
            self.take_terminal();
        }
        if self.machine.poll_timeout().is_some_and(|at| at <= now) {
            self.machine.handle_timeout(now);
            self.drain();
        }
    }

    /// By what way a message came, if that is to be shown.
    fn route(&self, event: &Event) -> Option<Route> {
        self.machine.native().filter(|_| self.traces).and_then(|node| node.route(event))
    }

    /// Nothing more is read; the node leaves when all that was said is confirmed.
    fn end_of_input(&mut self) {
        self.input_over = true;
        self.handle(Input::Command(Command::EndOfInput));
    }

    /// Says bye; the loop ends when that is done, or late.
    fn leave(&mut self, status: Option<u8>) {
        if self.ending.leave(status, self.now()) {
            self.handle(Input::Command(Command::Quit));
        }
    }

    /// Hands one input to the node and carries out what it wants.
    fn handle(&mut self, input: Input<'_>) {
        let now = self.now();
        self.machine.handle_input(now, input);
        self.drain();
    }

    /// Carries out what the node wants, and tells it whether its events are taken.
    fn drain(&mut self) {
        self.drain_once();
        while let Some(ready) = self.teller.output.reader_change() {
            let now = self.now();
            self.machine.handle_input(now, Input::Reader { ready });
            self.drain_once();
        }
    }

    fn drain_once(&mut self) {
        // Whether the network took what was sent since the last event, if anything was.
        let mut taken = None;
        while let Some(output) = self.machine.poll_output(&mut self.outgoing) {
            match output {
                Output::Send { segment, cast, to } => {
                    taken = Some(self.send(segment, cast, to) || taken == Some(true));
                }
                Output::SendBeyond { segment, to } => {
                    let segment = self.network.routed(to).unwrap_or(segment);
                    taken = Some(self.send(segment, Cast::Unicast, to) || taken == Some(true));
                }
                Output::Rejoin { segment } => self.sockets.rejoin(segment),
                Output::Stream { stream, act } => self.carry_out(stream, act),
                Output::Event(Event::PlainSent(_)) if taken.take() == Some(false) => {
                    self.on_told(&Event::Refused(NOT_TAKEN.into()));
                }
                Output::Event(event) => self.on_told(&event),
            }
        }
    }

    /// Sends what the node wants sent. Whether the network took it.
    fn send(&mut self, segment: SegmentId, cast: Cast, to: SocketAddr) -> bool {
        let took = self.sockets.send(segment, cast, to, &self.outgoing);
        if !took {
            self.failed_to = Some(to);
        }
        took
    }

    fn on_told(&mut self, event: &Event) {
        self.ending.on_event(event);
        let for_client = self.tell_clients(event);
        if matches!(event, Event::Refused(_)) && !for_client {
            self.take_back();
            self.refuse();
        }
        let own = self.machine.label();
        let segment = |id| self.sockets.name(id).to_owned();
        let route = self.route(event);
        self.teller.event(event, &own, View { now: wall(), segment: &segment, route: route.as_ref() });
    }

    /// Writes what standard output takes now, and what the node tells because that was taken: of a pipe that has room
    /// nothing is told again.
    fn write(&mut self) {
        loop {
            let reader = self.teller.output.write();
            let took_all = self.teller.output.is_empty();
            self.on_reader(reader);
            self.drain();
            let left_out = self.teller.output.take_left_out();
            if left_out > 0 {
                self.teller.warning(&format!("{left_out} lines were left out: whoever reads this is too slow"));
            }
            if !took_all || self.teller.output.is_empty() {
                return;
            }
        }
    }

    fn on_reader(&mut self, reader: Reader) {
        match reader {
            Reader::There => {}
            Reader::Gone => self.leave(Some(if self.teller.output.terminal() { HANGUP } else { 0 })),
            Reader::Failed(why) => {
                output::complain(&Failure::Output(why).to_string());
                self.ending.fail();
                self.leave(Some(1));
            }
        }
    }
}

/// What the wall clock shows.
pub(super) fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

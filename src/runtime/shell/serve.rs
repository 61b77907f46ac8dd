//! What sockets, listeners and streams bring, each up to a budget a turn, and what the node wants
//! of streams.

use mio::Token;

use super::Shell;
use crate::address::{SegmentId, StreamId};
use crate::node::{Input, SegmentChange, StreamAct, StreamInput};
use crate::runtime::control;
use crate::runtime::network::Changes;
use crate::runtime::receive::Received;
use crate::runtime::state;
use crate::runtime::streams::{Accepted, Ready, Step};

/// Datagrams served per socket and turn.
const DATAGRAMS_MAX: usize = 64;

/// Connections accepted per listener and turn.
const ACCEPTS_MAX: usize = 16;

/// Reads per stream and turn, and the bytes of one.
const READS_MAX: usize = 4;
const READ_MAX: usize = 16 * 1024;

impl Shell {
    /// Serves everything that may have something to read. Streams come first: they have the lower
    /// tokens, and a bye that goes by datagram is not to overtake what was said before it.
    pub(super) fn serve(&mut self) {
        while let Some(stream) = self.streams.take_failed() {
            self.handle(Input::Stream { stream, what: StreamInput::Closed });
        }
        let tokens: Vec<Token> = self.ready.iter().copied().collect();
        for token in tokens {
            let is_done = match (self.control.of(token), self.streams.of(token)) {
                (Some(control::Ready::Listener), _) => !(0..ACCEPTS_MAX).all(|_| self.accept_client()),
                (Some(control::Ready::Client(slot)), _) => !self.serve_client(slot),
                (None, Some(Ready::Listener(id))) => !(0..ACCEPTS_MAX).all(|_| self.accept(id)),
                (None, Some(Ready::Stream(stream))) => !(0..READS_MAX).all(|_| self.serve_stream(stream)),
                (None, None) => !(0..DATAGRAMS_MAX).all(|_| self.serve_socket(token)),
            };
            if is_done {
                self.ready.remove(&token);
            }
        }
    }

    /// One datagram; false if there is none.
    fn serve_socket(&mut self, token: Token) -> bool {
        let Some((segment, cast)) = self.sockets.socket_of(token) else {
            return false;
        };
        let Some(Received { len, from, ttl }) = self.sockets.receive(segment, cast, &mut self.datagram) else {
            return false;
        };
        let bytes = &self.datagram[..len];
        let now = self.now();
        self.machine.handle_input(now, Input::Datagram { segment, cast, from, ttl, bytes });
        self.drain();
        true
    }

    /// One connection; false if none waits, or none can be had now.
    fn accept(&mut self, id: SegmentId) -> bool {
        match self.streams.accept(self.poll.registry(), id) {
            Accepted::One(stream, from) => {
                self.handle(Input::Stream { stream, what: StreamInput::Accepted(from) });
                true
            }
            Accepted::NoOne => true,
            Accepted::Nothing => false,
            Accepted::Later(why) => {
                if let Some(why) = why {
                    self.teller.warning(&format!("cannot accept streams: {why}: direct messages go by datagram"));
                }
                false
            }
        }
    }

    /// One step of a stream; false if it has nothing more.
    fn serve_stream(&mut self, stream: StreamId) -> bool {
        let step = self.streams.step(self.poll.registry(), stream, &mut self.datagram[..READ_MAX]);
        let what = match step {
            Step::Nothing => return false,
            Step::Connected => StreamInput::Connected,
            Step::Closed => StreamInput::Closed,
            Step::Bytes(len) => StreamInput::Bytes(&self.datagram[..len]),
        };
        // Where the system gives none, what is used is as good as the machine is no copy.
        if let Ok(fresh) = state::random() {
            self.machine.stir(&fresh);
        }
        let now = self.now();
        self.machine.handle_input(now, Input::Stream { stream, what });
        self.drain();
        true
    }

    /// What the node wants of a stream.
    pub(super) fn carry_out(&mut self, stream: StreamId, act: StreamAct) {
        let registry = self.poll.registry();
        match act {
            StreamAct::Connect(to) => self.streams.connect(registry, stream, to),
            StreamAct::Write => self.streams.write(registry, stream, &self.outgoing),
            StreamAct::Close => self.streams.close(registry, stream),
        }
    }

    /// Lets the listeners follow the segments, which say then whether there is one.
    pub(super) fn listen(&mut self, change: &mut SegmentChange) {
        match change {
            SegmentChange::Up(segment) if self.listens => {
                let listens = self.streams.listen(self.poll.registry(), segment);
                segment.listens = listens.is_ok();
                if let Err(why) = listens {
                    self.teller.warning(&format!("{}: direct messages come by datagram", why.explained()));
                }
            }
            SegmentChange::Up(_) => {}
            SegmentChange::Down(id) => self.streams.unlisten(self.poll.registry(), *id),
        }
    }

    /// Whoever held a port may be gone: listens where that failed before, and tells those segments anew.
    pub(super) fn listen_late(&mut self) {
        if !self.listens {
            return;
        }
        let registry = self.poll.registry();
        let lacking = self.network.segments().filter(|segment| !self.streams.listens_on(segment.id)).cloned();
        let lacking: Vec<_> = lacking.collect();
        let late = lacking.into_iter().filter(|segment| self.streams.listen(registry, segment).is_ok());
        let segments: Vec<_> = late.map(SegmentChange::Up).collect();
        if !segments.is_empty() {
            self.change(Changes { segments, ..Changes::default() });
        }
    }
}

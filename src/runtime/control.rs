//! The control socket: other programs of the same user ask this node, and are told what happens.
//!
//! A client connects to an abstract stream socket of the network namespace and writes lines, as a
//! person would type them; each is answered by events, JSON objects a line each, the last of which
//! is `done`. The first line it is told is the event `ready`. A client that asks for `/events` is
//! told everything from then on.
//!
//! Only this user and root are listened to. A client costs at most a line and a queue, its end of
//! input means that it leaves when it has its answers, and nobody ever waits for it: who takes less
//! than it is told is dropped.

mod name;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};

use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::lines::{Lines, Piece};

pub(crate) use name::{Name, state_of};

/// Clients at once. When full, the one that was silent longest is dropped for the new one.
const CLIENTS_MAX: usize = 16;

/// Tokens that the listener and its clients need.
pub(crate) const TOKENS: usize = 1 + CLIENTS_MAX;

/// Bytes that wait for a client to read them. Beyond, it is dropped: it is too slow to be told.
const QUEUE_MAX: usize = 1 << 20;

/// Bytes in the queue at which no further line of the client is looked at.
const QUEUE_HIGH: usize = 64 * 1024;

/// Bytes read at once.
const READ_MAX: usize = 16 * 1024;

/// What a token means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// Somebody connects.
    Listener,
    /// A client has something.
    Client(usize),
}

/// What a line of a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// That more may be said.
    Room,
    /// That the network is examined.
    Doctor,
}

/// One client.
struct Client {
    socket: UnixStream,
    lines: Lines,
    /// A line that is not wanted yet, and what it waits for.
    held: Option<(Piece, Wait)>,
    queue: VecDeque<u8>,
    /// Bytes of these that it asked for, at most.
    answers: usize,
    /// Is told everything that happens.
    follows: bool,
    /// Nothing more comes from it.
    ended: bool,
    /// Too slow, or gone.
    lost: bool,
    /// When it did something last, counted in things that clients did.
    active: u64,
}

/// The control socket and its clients.
pub(crate) struct Control {
    first_token: usize,
    name: Name,
    listener: Option<UnixListener>,
    /// The name it is bound to.
    bound: String,
    clients: Vec<Option<Client>>,
    acts: u64,
}

impl Control {
    /// No socket yet. [`TOKENS`] tokens from `first_token` on are its.
    pub(crate) fn new(first_token: usize, name: Name) -> Self {
        let clients = std::iter::repeat_with(|| None).take(CLIENTS_MAX).collect();
        Self { first_token, name, listener: None, bound: String::new(), clients, acts: 0 }
    }

    /// Listens, also after a change of the nick, by which a node is found.
    ///
    /// # Errors
    /// What the system says; the node works without.
    pub(crate) fn listen(&mut self, registry: &Registry, nick: &str) -> io::Result<()> {
        self.name = Name { nick: Name::new(0, 0, None, nick).nick, ..self.name.clone() };
        if self.listener.is_some() && self.bound == self.name.to_string() {
            return Ok(());
        }
        let address = SocketAddr::from_abstract_name(self.name.to_string())?;
        let listener = StdListener::bind_addr(&address)?;
        listener.set_nonblocking(true)?;
        let mut listener = UnixListener::from_std(listener);
        if let Some(mut old) = self.listener.take() {
            // Closing would do.
            let _ = registry.deregister(&mut old);
        }
        registry.register(&mut listener, Token(self.first_token), Interest::READABLE)?;
        (self.listener, self.bound) = (Some(listener), self.name.to_string());
        Ok(())
    }

    /// What a token means, if it is one of ours.
    pub(crate) fn of(&self, token: Token) -> Option<Ready> {
        match token.0.checked_sub(self.first_token)? {
            0 => Some(Ready::Listener),
            n if n < TOKENS => Some(Ready::Client(n - 1)),
            _ => None,
        }
    }

    /// What may have something to do when the node can open files again.
    pub(crate) fn listener(&self) -> Option<Token> {
        self.listener.as_ref().map(|_| Token(self.first_token))
    }

    /// Clients with a line that waits for this.
    pub(crate) fn waiting(&self, what: Wait) -> impl Iterator<Item = Token> {
        let clients = self.clients.iter().enumerate();
        let waiting = clients.filter(move |(_, client)| client.as_ref().is_some_and(|client| client.waits(what)));
        waiting.map(|(n, _)| Token(self.first_token + 1 + n))
    }

    /// Accepts one client, and tells it `greeting`. False if nobody connects.
    pub(crate) fn accept(&mut self, registry: &Registry, greeting: &str) -> bool {
        let Some(listener) = &self.listener else { return false };
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(why) => return matches!(why.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted),
        };
        // Strangers are not even told that they are.
        if is_ours(&socket, self.name.uid) {
            self.add(registry, socket, greeting);
        }
        true
    }

    fn add(&mut self, registry: &Registry, mut socket: UnixStream, greeting: &str) {
        let free = self.clients.iter().position(Option::is_none);
        let silent = || self.clients.iter().enumerate().min_by_key(|(_, client)| client.as_ref().map(|c| c.active));
        let Some(slot) = free.or_else(|| silent().map(|(slot, _)| slot)) else { return };
        self.drop_client(registry, slot);
        let token = Token(self.first_token + 1 + slot);
        if registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE).is_err() {
            return;
        }
        self.acts += 1;
        self.clients[slot] = Some(Client::of(socket, self.acts));
        self.tell(slot, greeting);
    }

    /// The next line of a client that is there already; `None` while it has too much to read.
    pub(crate) fn take(&mut self, slot: usize) -> Option<Piece> {
        let client = self.clients.get_mut(slot)?.as_mut()?;
        if client.lost || client.queue.len() > QUEUE_HIGH {
            return None;
        }
        let piece = client.held.take().map(|(piece, _)| piece).or_else(|| client.lines.next());
        piece.or_else(|| client.ended.then(|| client.lines.finish()).flatten())
    }

    /// Keeps a line that is not wanted yet: [`Control::take`] brings it again.
    pub(crate) fn hold(&mut self, slot: usize, piece: Piece, waits: Wait) {
        if let Some(client) = self.clients.get_mut(slot).and_then(Option::as_mut) {
            client.held = Some((piece, waits));
        }
    }

    /// Reads once what a client wrote and writes what it takes. False if there is nothing more now;
    /// who is gone, or has everything it asked for, is let go then.
    pub(crate) fn serve(&mut self, registry: &Registry, slot: usize) -> bool {
        let Some(client) = self.clients.get_mut(slot).and_then(Option::as_mut) else { return false };
        let more = client.read().unwrap_or_else(|_| client.lose());
        client.flush();
        if more {
            self.acts += 1;
            client.active = self.acts;
        }
        if client.lost || client.is_done() {
            self.drop_client(registry, slot);
        }
        more
    }

    /// Tells a client one line that it asked for.
    pub(crate) fn tell(&mut self, slot: usize, line: &str) {
        if let Some(client) = self.clients.get_mut(slot).and_then(Option::as_mut) {
            client.answer(line);
        }
    }

    /// A client is to be told everything from now on.
    pub(crate) fn follow(&mut self, slot: usize) {
        if let Some(client) = self.clients.get_mut(slot).and_then(Option::as_mut) {
            client.follows = true;
        }
    }

    /// Whether anybody is told everything.
    pub(crate) fn has_followers(&self) -> bool {
        self.clients.iter().flatten().any(|client| client.follows)
    }

    /// Tells one line to everybody who is told everything, and to `asker`.
    pub(crate) fn tell_all(&mut self, line: &str, asker: Option<usize>) {
        for (slot, client) in self.clients.iter_mut().enumerate() {
            if let Some(client) = client.as_mut().filter(|client| client.follows || Some(slot) == asker) {
                client.tell(line);
            }
        }
    }

    /// Lets go of those who are too slow or gone.
    pub(crate) fn sweep(&mut self, registry: &Registry) {
        for slot in 0..self.clients.len() {
            if self.clients[slot].as_ref().is_some_and(|client| client.lost) {
                self.drop_client(registry, slot);
            }
        }
    }

    fn drop_client(&mut self, registry: &Registry, slot: usize) {
        if let Some(mut client) = self.clients[slot].take() {
            // Closing would do.
            let _ = registry.deregister(&mut client.socket);
        }
    }
}

impl Client {
    /// A client that did nothing yet.
    fn of(socket: UnixStream, active: u64) -> Self {
        let (lines, queue) = (Lines::default(), VecDeque::new());
        Self { socket, lines, held: None, queue, answers: 0, follows: false, ended: false, lost: false, active }
    }

    /// Whether a line of its waits for this alone, and not for itself to read.
    fn waits(&self, what: Wait) -> bool {
        self.held.as_ref().is_some_and(|held| held.1 == what) && self.queue.len() <= QUEUE_HIGH
    }

    /// False if there is nothing to read now.
    fn read(&mut self) -> io::Result<bool> {
        if self.ended || self.lost || self.queue.len() > QUEUE_HIGH {
            return Ok(false);
        }
        let mut chunk = [0; READ_MAX];
        match self.socket.read(&mut chunk) {
            Ok(0) => {
                self.ended = true;
                Ok(true)
            }
            Ok(len) => {
                self.lines.push(&chunk[..len]);
                Ok(true)
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(why) => Err(why),
        }
    }

    /// Tells it something that it asked for, however much that is: it asks for no more until it has read it.
    fn answer(&mut self, line: &str) {
        self.answers += line.len() + 1;
        self.tell(line);
    }

    fn tell(&mut self, line: &str) {
        self.queue.extend(line.as_bytes());
        self.queue.push_back(b'\n');
        self.flush();
        if self.queue.len().saturating_sub(self.answers) > QUEUE_MAX {
            self.lose();
        }
    }

    /// Writes what the client takes now.
    fn flush(&mut self) {
        while !self.lost && !self.queue.is_empty() {
            match self.socket.write(self.queue.as_slices().0) {
                Ok(len) => drop(self.queue.drain(..len)),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => drop(self.lose()),
            }
        }
        self.answers = 0;
    }

    fn lose(&mut self) -> bool {
        (self.lost, self.queue) = (true, VecDeque::new());
        false
    }

    /// It will say nothing more, and has everything that it asked for.
    fn is_done(&self) -> bool {
        self.ended && self.held.is_none() && self.queue.is_empty() && !self.lines.has_more()
    }
}

/// Whether the other side is this user, or root.
fn is_ours(socket: &UnixStream, uid: u32) -> bool {
    getsockopt(socket, PeerCredentials).is_ok_and(|peer| peer.uid() == uid || peer.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_waits_for_one_thing_and_not_while_its_client_is_to_read() {
        let mut control = Control::new(7, Name::new(0, 0, None, "ann"));
        let (socket, other) = UnixStream::pair().expect("a pair");
        control.clients[1] = Some(Client::of(socket, 1));
        control.hold(1, Piece::Line(b"hi".to_vec()), Wait::Room);
        assert_eq!(control.waiting(Wait::Room).collect::<Vec<_>>(), [Token(9)]);
        assert_eq!(control.waiting(Wait::Doctor).count(), 0, "an examination does not help it");
        control.tell(1, &"x".repeat(QUEUE_MAX));
        assert_eq!(control.waiting(Wait::Room).count(), 0, "it is to read first");
        drop(other);
    }

    #[test]
    fn an_answer_may_be_long_and_what_is_told_unasked_may_not() {
        let (socket, other) = UnixStream::pair().expect("a pair");
        let mut client = Client::of(socket, 1);
        client.answer(&"x".repeat(4 * QUEUE_MAX));
        client.tell("what happens meanwhile");
        assert!(!client.lost);
        client.tell(&"x".repeat(2 * QUEUE_MAX));
        assert!(client.lost, "who does not read is not told for ever");
        drop(other);
    }
}

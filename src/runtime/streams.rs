//! TCP for direct messages: listeners that follow the segments, and streams with bounded queues.
//!
//! What the node wants is carried out here, what happens is handed back to the loop one step at a
//! time. Nothing blocks, nothing recurses: a stream that fails is remembered until the loop asks.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::holder::{self, Table};
use crate::address::{Segment, SegmentId, StreamId};
use crate::protocol::diagnosis::Holder;

/// Segments with a listener at once. Those beyond have none: direct messages go by datagram.
const LISTENERS_MAX: usize = 64;

/// Streams at once. When full, who connects is turned away; the node keeps fewer accepted anyway.
const STREAMS_MAX: usize = 256;

/// Tokens that listeners and streams need.
pub(crate) const TOKENS: usize = LISTENERS_MAX + STREAMS_MAX;

/// Bytes that wait for the other side to read. When full, the stream is closed.
const QUEUE_MAX: usize = 256 * 1024;

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 128;

/// A port that cannot be listened on. Nothing is left open.
#[derive(Debug)]
pub(crate) struct ListenError {
    address: SocketAddr,
    why: io::Error,
}

impl ListenError {
    /// For a person, with the program that has the port, if that is why and can be known. To find that out takes long
    /// on a busy machine: not for what is tried again and not told.
    pub(crate) fn explained(&self) -> String {
        let Self { address, why } = self;
        let taken = why.kind() == io::ErrorKind::AddrInUse;
        match taken.then(|| holder::of(Table::Tcp, *address)).and_then(Holder::program) {
            Some(holder) => {
                format!(
                    "TCP {address} is taken by {holder}: end that, choose another port with --address, or leave --tcp"
                )
            }
            None => format!("cannot listen on TCP {address}: {why}"),
        }
    }
}

/// What a token means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    Listener(SegmentId),
    Stream(StreamId),
}

/// What came of accepting once.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// Somebody, from this address.
    One(StreamId, SocketAddr),
    /// Somebody who is gone already, or whom there is no room for.
    NoOne,
    /// Nobody waits any more.
    Nothing,
    /// The system refuses; to be tried again later. Holds the reason when it is news.
    Later(Option<io::Error>),
}

/// What came of looking at a stream once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is connected now.
    Connected,
    /// So many bytes were read.
    Bytes(usize),
    /// There is nothing to read, or no such stream.
    Nothing,
    /// It is gone, and closed.
    Closed,
}

/// One stream.
struct Link {
    slot: usize,
    socket: TcpStream,
    connected: bool,
    queue: VecDeque<u8>,
}

/// Every listener and stream of this node.
pub(crate) struct Streams {
    first_token: usize,
    listeners: BTreeMap<SegmentId, (usize, TcpListener)>,
    /// Segments whose address another has as well, and its listener.
    sharing: BTreeMap<SegmentId, SocketAddr>,
    links: BTreeMap<StreamId, Link>,
    /// Which stream has which token.
    slots: Vec<Option<StreamId>>,
    accepted: u64,
    /// Streams that failed while they were written to or connected.
    failed: VecDeque<StreamId>,
    /// That the system refuses to accept was told, once in a run.
    refusing: bool,
}

impl Streams {
    /// No stream yet. [`TOKENS`] tokens from `first_token` on are theirs.
    pub(crate) fn new(first_token: usize) -> Self {
        Self {
            first_token,
            listeners: BTreeMap::new(),
            sharing: BTreeMap::new(),
            links: BTreeMap::new(),
            slots: vec![None; STREAMS_MAX],
            accepted: 0,
            failed: VecDeque::new(),
            refusing: false,
        }
    }

    /// Listens on the address of a segment, unless that is done already.
    ///
    /// # Errors
    /// A [`ListenError`]; the segment works without.
    pub(crate) fn listen(&mut self, registry: &Registry, segment: &Segment) -> Result<(), ListenError> {
        if self.listens_on(segment.id) {
            return Ok(());
        }
        let address = segment.address;
        if self.listeners.values().any(|(_, listener)| listens_at(listener, address)) {
            // Whoever connects by this segment is accepted there.
            self.sharing.insert(segment.id, address);
            return Ok(());
        }
        let refused = |why: io::Error| ListenError { address, why };
        let taken = |slot: &usize| self.listeners.values().any(|(used, _)| used == slot);
        let Some(slot) = (0..LISTENERS_MAX).find(|slot| !taken(slot)) else {
            return Err(refused(io::Error::other("too many listeners")));
        };
        let mut listener = listener(address).map_err(refused)?;
        let token = Token(self.first_token + slot);
        registry.register(&mut listener, token, Interest::READABLE).map_err(refused)?;
        self.listeners.insert(segment.id, (slot, listener));
        Ok(())
    }

    /// Stops listening on a segment. Streams that are open stay.
    pub(crate) fn unlisten(&mut self, registry: &Registry, id: SegmentId) {
        self.sharing.remove(&id);
        let Some((slot, mut listener)) = self.listeners.remove(&id) else { return };
        let heir = self.sharing.iter().find(|(_, address)| listens_at(&listener, **address)).map(|(&id, _)| id);
        if let Some(heir) = heir {
            self.sharing.remove(&heir);
            self.listeners.insert(heir, (slot, listener));
            return;
        }
        // Closing would do; a failure means that it is gone already.
        let _ = registry.deregister(&mut listener);
    }

    /// Whether anybody can connect on a segment.
    pub(crate) fn listens_on(&self, id: SegmentId) -> bool {
        self.listeners.contains_key(&id) || self.sharing.contains_key(&id)
    }

    /// Whether the system once refused to accept: then it is to be tried again now and then.
    pub(crate) const fn is_refusing(&self) -> bool {
        self.refusing
    }

    /// The tokens of the listeners: all that the system refused to accept is tried again with them.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = Token> {
        self.listeners.values().map(|(slot, _)| Token(self.first_token + slot))
    }

    /// What a token means, if it is one of ours and its listener or stream is still there.
    pub(crate) fn of(&self, token: Token) -> Option<Ready> {
        let n = token.0.checked_sub(self.first_token)?;
        let Some(slot) = n.checked_sub(LISTENERS_MAX) else {
            let found = self.listeners.iter().find(|(_, (slot, _))| *slot == n);
            return found.map(|(&id, _)| Ready::Listener(id));
        };
        self.slots.get(slot).copied().flatten().map(Ready::Stream)
    }

    /// Accepts one connection. Streams that are accepted have even numbers.
    pub(crate) fn accept(&mut self, registry: &Registry, id: SegmentId) -> Accepted {
        let Some((_, listener)) = self.listeners.get(&id) else { return Accepted::Nothing };
        match listener.accept() {
            Ok((socket, from)) => {
                let stream = StreamId(self.accepted * 2);
                match self.add(registry, stream, socket, true) {
                    Ok(()) => {
                        self.accepted += 1;
                        Accepted::One(stream, from)
                    }
                    Err(_) => Accepted::NoOne,
                }
            }
            Err(why) => match why.kind() {
                io::ErrorKind::WouldBlock => Accepted::Nothing,
                io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => Accepted::NoOne,
                _ => Accepted::Later((!std::mem::replace(&mut self.refusing, true)).then_some(why)),
            },
        }
    }

    /// Begins to connect. That it failed, even at once, is told by [`Streams::take_failed`].
    pub(crate) fn connect(&mut self, registry: &Registry, id: StreamId, to: SocketAddr) {
        let added = TcpStream::connect(to).and_then(|socket| self.add(registry, id, socket, false));
        if added.is_err() {
            self.failed.push_back(id);
        }
    }

    fn add(&mut self, registry: &Registry, id: StreamId, mut socket: TcpStream, connected: bool) -> io::Result<()> {
        let Some(slot) = self.slots.iter().position(Option::is_none) else {
            return Err(io::Error::other("too many streams"));
        };
        // Each message goes at once; without it a stream works, slower.
        let _ = socket.set_nodelay(true);
        let token = Token(self.first_token + LISTENERS_MAX + slot);
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.slots[slot] = Some(id);
        self.links.insert(id, Link { slot, socket, connected, queue: VecDeque::new() });
        Ok(())
    }

    /// Writes, now or when the other side takes it. A stream whose queue is full is closed.
    pub(crate) fn write(&mut self, registry: &Registry, id: StreamId, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.queue.extend(bytes);
        if link.flush().is_err() || link.queue.len() > QUEUE_MAX {
            self.close(registry, id);
            self.failed.push_back(id);
        }
    }

    /// Closes a stream. What is not there need not be closed.
    pub(crate) fn close(&mut self, registry: &Registry, id: StreamId) {
        if let Some(mut link) = self.links.remove(&id) {
            self.slots[link.slot] = None;
            // Closing would do; a failure means that it is gone already.
            let _ = registry.deregister(&mut link.socket);
        }
    }

    /// Takes a stream that failed since the last call.
    pub(crate) fn take_failed(&mut self) -> Option<StreamId> {
        self.failed.pop_front()
    }

    /// Whether [`Streams::take_failed`] has something to tell.
    pub(crate) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Looks at a stream once: whether it is connected, what can be written, what can be read.
    pub(crate) fn step(&mut self, registry: &Registry, id: StreamId, buf: &mut [u8]) -> Step {
        let Some(link) = self.links.get_mut(&id) else { return Step::Nothing };
        let step = link.step(buf).unwrap_or(Step::Closed);
        if step == Step::Closed {
            self.close(registry, id);
        }
        step
    }
}

impl Link {
    fn step(&mut self, buf: &mut [u8]) -> io::Result<Step> {
        if !self.connected {
            if let Some(why) = self.socket.take_error()? {
                return Err(why);
            }
            match self.socket.peer_addr() {
                Ok(_) => self.connected = true,
                Err(why) if why.kind() == io::ErrorKind::NotConnected => return Ok(Step::Nothing),
                Err(why) => return Err(why),
            }
            return Ok(Step::Connected);
        }
        self.flush()?;
        loop {
            match self.socket.read(buf) {
                Ok(0) => return Ok(Step::Closed),
                Ok(len) => return Ok(Step::Bytes(len)),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Nothing),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
    }

    /// Writes what the system takes.
    fn flush(&mut self) -> io::Result<()> {
        while self.connected && !self.queue.is_empty() {
            match self.socket.write(self.queue.as_slices().0) {
                Ok(len) => drop(self.queue.drain(..len)),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => break,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }
}

fn listens_at(listener: &TcpListener, address: SocketAddr) -> bool {
    listener.local_addr().is_ok_and(|own| own == address)
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    // Connections of an earlier run may still be closing; two listeners are refused all the same.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn segment(address: &str) -> Segment {
        Segment { name: "lo".into(), prefix_len: 8, ..Segment::eth0(address) }
    }

    /// Looks again until `look` has something, with a deadline.
    fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "nothing happened");
            std::thread::yield_now();
        }
    }

    /// A node that connected to itself: the stream it opened and the one it accepted.
    fn pair(registry: &Registry, streams: &mut Streams, ip: &str) -> (StreamId, StreamId) {
        let free = std::net::TcpListener::bind((ip, 0)).and_then(|socket| socket.local_addr()).expect("loopback is up");
        let segment = segment(&free.to_string());
        streams.listen(registry, &segment).expect("free");
        streams.connect(registry, StreamId(1), segment.address);
        let accepted = until(|| match streams.accept(registry, segment.id) {
            Accepted::One(id, _) => Some(id),
            _ => None,
        });
        until(|| (streams.step(registry, StreamId(1), &mut [0; 8]) == Step::Connected).then_some(()));
        (StreamId(1), accepted)
    }

    #[test]
    fn bytes_go_both_ways_and_the_end_is_told() {
        let poll = mio::Poll::new().expect("a poll");
        let (registry, mut streams) = (poll.registry(), Streams::new(100));
        let (ours, theirs) = pair(registry, &mut streams, "127.82.0.1");
        assert_eq!(theirs, StreamId(0), "accepted ones are even");
        let mut buf = [0; 8];
        for (from, to) in [(ours, theirs), (theirs, ours)] {
            streams.write(registry, from, b"hello");
            let read = |step| matches!(step, Step::Bytes(_)).then_some(step);
            assert_eq!(until(|| read(streams.step(registry, to, &mut buf))), Step::Bytes(5));
            assert_eq!(&buf[..5], b"hello");
        }
        let tokens: Vec<_> = (100..100 + TOKENS).filter_map(|n| streams.of(Token(n))).collect();
        assert_eq!(tokens, [Ready::Listener(SegmentId(1)), Ready::Stream(ours), Ready::Stream(theirs)]);
        assert_eq!(streams.of(Token(99)), None);
        streams.close(registry, ours);
        until(|| (streams.step(registry, theirs, &mut buf) == Step::Closed).then_some(()));
        assert_eq!(streams.step(registry, theirs, &mut buf), Step::Nothing);
        streams.unlisten(registry, SegmentId(1));
        assert!(!streams.listens_on(SegmentId(1)) && !streams.has_failed());
    }

    #[test]
    fn a_reader_that_does_not_read_is_closed_and_its_memory_bounded() {
        let poll = mio::Poll::new().expect("a poll");
        let (registry, mut streams) = (poll.registry(), Streams::new(0));
        let (ours, _) = pair(registry, &mut streams, "127.82.0.2");
        let chunk = [7; 64 * 1024];
        for _ in 0..1000 {
            streams.write(registry, ours, &chunk);
            let queued = streams.links.get(&ours).map_or(0, |link| link.queue.len());
            assert!(queued <= QUEUE_MAX, "{queued}");
        }
        assert_eq!((streams.take_failed(), streams.take_failed()), (Some(ours), None), "told once");
    }

    #[test]
    fn a_connect_that_fails_is_told_by_the_loop() {
        let poll = mio::Poll::new().expect("a poll");
        let (registry, mut streams) = (poll.registry(), Streams::new(0));
        let refused = "127.82.0.3:1".parse().expect("an address");
        streams.connect(registry, StreamId(1), refused);
        if !streams.has_failed() {
            until(|| (streams.step(registry, StreamId(1), &mut [0; 8]) == Step::Closed).then_some(()));
        }
        // No route leads there: refused at once.
        streams.connect(registry, StreamId(3), "255.255.255.255:1".parse().expect("an address"));
        assert_eq!(streams.take_failed().filter(|id| id.0 == 3), Some(StreamId(3)));
    }

    #[test]
    fn segments_of_one_address_are_listened_for_until_the_last_is_gone() {
        let poll = mio::Poll::new().expect("a poll");
        let (registry, mut streams) = (poll.registry(), Streams::new(0));
        let free =
            std::net::TcpListener::bind("127.82.0.6:0").and_then(|socket| socket.local_addr()).expect("loopback");
        let on = |id| Segment { id: SegmentId(id), ..segment(&free.to_string()) };
        streams.listen(registry, &on(1)).expect("free");
        streams.listen(registry, &on(2)).expect("ours");
        assert!(streams.listens_on(SegmentId(1)) && streams.listens_on(SegmentId(2)));
        streams.unlisten(registry, SegmentId(1));
        assert!(!streams.listens_on(SegmentId(1)) && streams.listens_on(SegmentId(2)));
        let _other = std::net::TcpStream::connect(free).expect("it listens");
        until(|| matches!(streams.accept(registry, SegmentId(2)), Accepted::One(..)).then_some(()));
        streams.unlisten(registry, SegmentId(2));
        assert!(std::net::TcpStream::connect(free).is_err(), "nobody listens");
    }

    #[test]
    fn a_port_that_is_taken_names_its_holder() {
        let poll = mio::Poll::new().expect("a poll");
        let mut streams = Streams::new(0);
        let taken = std::net::TcpListener::bind("127.82.0.4:0").expect("loopback is up");
        let segment = segment(&taken.local_addr().expect("bound").to_string());
        let why = streams.listen(poll.registry(), &segment).expect_err("taken").explained();
        assert!(why.contains("is taken by") && why.contains(&format!("process {}", std::process::id())), "{why}");
    }

    #[test]
    fn beyond_the_bound_whoever_connects_is_turned_away() {
        let poll = mio::Poll::new().expect("a poll");
        let (registry, mut streams) = (poll.registry(), Streams::new(0));
        let (ours, _) = pair(registry, &mut streams, "127.82.0.5");
        streams.slots.fill(Some(ours));
        let address = streams.listeners.values().next().and_then(|(_, l)| l.local_addr().ok()).expect("it listens");
        let _held = std::net::TcpStream::connect(address).expect("the backlog takes it");
        let no_one = |accepted: &Accepted| matches!(accepted, Accepted::NoOne);
        until(|| Some(streams.accept(registry, SegmentId(1))).filter(no_one));
        assert!(matches!(streams.accept(registry, SegmentId(1)), Accepted::Nothing));
    }
}

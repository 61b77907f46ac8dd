//! What the kernel lets through to the sockets of a keyed group, so that a flood never wakes us.
//!
//! A classic BPF program looks at the beginning of each datagram before it is queued. *Shut*, it passes
//! what is sealed with a tag of ours and nothing else. *Ajar*, it passes whatever bears our magic: the
//! doctor must be able to say that somebody near has another key or none. The gate stands ajar as long
//! as that costs nothing and shuts behind a handful of strangers a second; so one stranger is always
//! noticed, and a million are not. (Passing a random share would miss the one and take a part of the
//! million.) Random bytes and plain text never pass. Open groups have no gate: anybody may be a member.

use std::io;
use std::time::{Duration, Instant};

use socket2::{SockFilter, SockRef};

use crate::wire::header::{HEADER_LEN, Header, MAGIC};
use crate::wire::{VERSION, kind};

/// Strangers heard within a span before the gate shuts, ...
const STRANGERS_MAX: u32 = 8;
const SPAN: Duration = Duration::from_secs(1);

/// ... for so long.
const SHUT_FOR: Duration = Duration::from_secs(1);

/// Where the payload begins: the program sees the header of UDP before it.
const PAYLOAD: u32 = 8;

/// Loads a word, a half word; goes on if equal, else jumps; ends.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// The gate of a keyed group.
#[derive(Debug)]
pub(crate) struct Gate {
    tags: Vec<[u8; 8]>,
    /// Strangers heard since then.
    strangers: u32,
    since: Option<Instant>,
    opens_at: Option<Instant>,
}

impl Gate {
    /// A gate for those who seal with these tags; none if there are none.
    pub(crate) fn new(tags: Vec<[u8; 8]>) -> Option<Self> {
        (!tags.is_empty()).then_some(Self { tags, strangers: 0, since: None, opens_at: None })
    }

    /// Puts the gate before a socket, as it stands now.
    ///
    /// # Errors
    /// What the system says; everything passes then, as it would without.
    pub(crate) fn guard(&self, socket: SockRef<'_>) -> io::Result<()> {
        let program = if self.opens_at.is_some() { shut(&self.tags) } else { ajar() };
        socket.attach_filter(&program)
    }

    /// A datagram came through. True if the gate must be shut now.
    pub(crate) fn on_datagram(&mut self, bytes: &[u8], now: Instant) -> bool {
        if self.opens_at.is_some() || self.is_ours(bytes) {
            return false;
        }
        if self.since.is_none_or(|since| now.duration_since(since) >= SPAN) {
            (self.since, self.strangers) = (Some(now), 0);
        }
        self.strangers += 1;
        if self.strangers < STRANGERS_MAX {
            return false;
        }
        self.opens_at = Some(now + SHUT_FOR);
        true
    }

    /// When the gate stands ajar again.
    pub(crate) const fn opens_at(&self) -> Option<Instant> {
        self.opens_at
    }

    /// True if the gate must be opened now.
    pub(crate) fn on_time(&mut self, now: Instant) -> bool {
        self.opens_at.take_if(|at| *at <= now).is_some()
    }

    fn is_ours(&self, bytes: &[u8]) -> bool {
        let ours = |header: Header| header.kind == kind::SEALED && self.tags.contains(&header.group_tag);
        bytes.len() > HEADER_LEN && Header::parse(bytes).is_ok_and(|(header, _)| ours(header))
    }
}

const fn step(code: u16, jump_false: u8, k: u32) -> SockFilter {
    SockFilter::new(code, 0, jump_false, k)
}

/// Passes what bears our magic.
fn ajar() -> Vec<SockFilter> {
    vec![
        step(LOAD_WORD, 0, PAYLOAD),
        step(IF_EQUAL, 1, u32::from_be_bytes(MAGIC)),
        step(RETURN, 0, u32::MAX),
        step(RETURN, 0, 0),
    ]
}

/// Passes what is sealed with one of these tags. What is too short to tell is dropped by the kernel itself.
fn shut(tags: &[[u8; 8]]) -> Vec<SockFilter> {
    let sealed = u32::from(u16::from_be_bytes([VERSION, kind::SEALED]));
    let mut program = vec![
        step(LOAD_WORD, 0, PAYLOAD),
        step(IF_EQUAL, 2, u32::from_be_bytes(MAGIC)),
        step(LOAD_HALF, 0, PAYLOAD + 4),
        // Over the end that follows.
        SockFilter::new(IF_EQUAL, 1, 0, sealed),
        step(RETURN, 0, 0),
    ];
    for &[a, b, c, d, e, f, g, h] in tags {
        program.extend([
            step(LOAD_WORD, 0, PAYLOAD + 8),
            step(IF_EQUAL, 3, u32::from_be_bytes([a, b, c, d])),
            step(LOAD_WORD, 0, PAYLOAD + 12),
            step(IF_EQUAL, 1, u32::from_be_bytes([e, f, g, h])),
            step(RETURN, 0, u32::MAX),
        ]);
    }
    program.push(step(RETURN, 0, 0));
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    const OURS: [[u8; 8]; 2] = [*b"first ta", *b"secondta"];

    fn datagram(kind: u8, tag: [u8; 8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Header { kind, errand: 0, group_tag: tag }.write(&mut bytes);
        bytes.extend_from_slice(&[7; 60]);
        bytes
    }

    /// Everything that may come, by name.
    fn all() -> Vec<(&'static str, Vec<u8>)> {
        let sealed = datagram(kind::SEALED, OURS[0]);
        let mut version = sealed.clone();
        version[4] += 1;
        vec![
            ("ours", sealed.clone()),
            ("ours by the other key", datagram(kind::SEALED, OURS[1])),
            ("another key", datagram(kind::SEALED, *b"first tx")),
            ("halves of two", datagram(kind::SEALED, *b"firsndta")),
            ("an open group", datagram(kind::HELLO, OURS[0])),
            ("another version", version),
            ("cut off", sealed[..15].to_vec()),
            ("plain", b"plain text that is long enough to be looked at".to_vec()),
            ("nothing", Vec::new()),
            ("one byte", vec![0xFF]),
        ]
    }

    /// What passes the gate, on a family.
    fn passes(gate: &Gate, on: &str) -> Vec<&'static str> {
        let (from, to) = (UdpSocket::bind(on).expect("loopback"), UdpSocket::bind(on).expect("loopback"));
        gate.guard(SockRef::from(&to)).expect("a filter");
        to.set_nonblocking(true).expect("set");
        let mut passed = Vec::new();
        for (name, bytes) in all() {
            // Loopback delivers before it returns.
            from.send_to(&bytes, to.local_addr().expect("bound")).expect("sent");
            let mut buf = [0; 200];
            if let Ok(len) = to.recv(&mut buf) {
                assert_eq!(buf[..len], bytes, "{name} is whole");
                passed.push(name);
            }
        }
        passed
    }

    #[test]
    fn shut_it_passes_what_is_sealed_for_us_alone() {
        let mut gate = Gate::new(OURS.to_vec()).expect("a gate");
        gate.opens_at = Some(Instant::now());
        assert_eq!(passes(&gate, "127.0.0.1:0"), ["ours", "ours by the other key"]);
        if UdpSocket::bind("[::1]:0").is_ok() {
            assert_eq!(passes(&gate, "[::1]:0"), ["ours", "ours by the other key"]);
        }
        gate.tags.pop();
        assert_eq!(passes(&gate, "127.0.0.1:0"), ["ours"]);
    }

    #[test]
    fn ajar_it_passes_whatever_the_doctor_can_name() {
        let gate = Gate::new(OURS.to_vec()).expect("a gate");
        let strangers = ["another key", "halves of two", "an open group", "another version", "cut off"];
        assert_eq!(passes(&gate, "127.0.0.1:0")[2..], strangers, "and what is ours");
    }

    #[test]
    fn it_shuts_behind_a_few_strangers_and_opens_again() {
        let (mut gate, began) = (Gate::new(OURS.to_vec()).expect("a gate"), Instant::now());
        let (ours, theirs) = (datagram(kind::SEALED, OURS[1]), datagram(kind::SEALED, *b"anothert"));
        assert!((0..1000).all(|_| !gate.on_datagram(&ours, began)), "members never shut it");
        let shut = (1..100).find(|_| gate.on_datagram(&theirs, began));
        assert_eq!((shut, gate.opens_at()), (Some(STRANGERS_MAX), Some(began + SHUT_FOR)));
        assert!(!gate.on_datagram(&theirs, began), "what was queued before does not shut it again");
        assert!(!gate.on_time(began) && gate.on_time(began + SHUT_FOR));
        assert_eq!(gate.opens_at(), None);
        assert!(!gate.on_datagram(&theirs, began + SHUT_FOR), "and it counts anew");
        let few = (2..100).all(|second| (0..7).all(|_| !gate.on_datagram(&theirs, began + SPAN * second)));
        assert!(few, "a few a second never shut it");
    }

    #[test]
    fn an_open_group_has_no_gate() {
        assert!(Gate::new(Vec::new()).is_none());
    }
}

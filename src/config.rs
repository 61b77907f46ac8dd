//! Every number the protocol uses, with how to choose it.
//!
//! Plain fields with defaults; nothing here is read from files. What a person chooses (nick, group,
//! casts) stands first.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use zeroize::Zeroize;

use crate::command::CastChoice;
use crate::text::{Line, Nick};
use crate::time::WallTime;

/// The group that everybody is in who names no other.
pub const GROUP_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 192, 7, 7)), 5007);

/// The largest native datagram on the wire, in bytes: nothing is ever fragmented on an Ethernet or a tunnel.
pub const SEALED_MAX: usize = 1200;

/// What sealing adds to a datagram: a nonce, kind and errand once more, an authenticator.
pub const SEAL_OVERHEAD: usize = 42;

/// The largest native datagram before it is sealed; no larger one is sent where nothing is sealed either.
pub const DATAGRAM_MAX: usize = 1158;
const _: () = assert!(DATAGRAM_MAX + SEAL_OVERHEAD == SEALED_MAX);

/// The secret of a keyed group.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupSecret([u8; 32]);

impl GroupSecret {
    /// The secret that these bytes are.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for GroupSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for GroupSecret {
    /// Never prints the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupSecret")
    }
}

/// How a node behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the node calls itself.
    pub nick: Nick,
    /// The group; with its port it decides who is in one room.
    pub group: SocketAddr,
    /// The secrets of a keyed group: the first seals, each opens. None: the group is open.
    pub secrets: Vec<GroupSecret>,
    /// Which cast carries group messages.
    pub cast: CastChoice,
    /// Peers to greet by unicast, as long as they are silent.
    pub static_peers: Vec<SocketAddr>,
    /// Addresses of peers that an earlier run heard by unicast alone: greeted now and then until they are heard.
    pub remembered_peers: Vec<SocketAddr>,
    /// The key is used for this run only: peers must not remember it.
    pub ephemeral: bool,
    /// Streams are accepted on the port of each unicast socket, where its segment says so.
    pub listens: bool,
    /// Pass entries on between segments.
    pub relay: bool,
    /// Lines come from a pipe: hold them back until somebody is there.
    pub piped: bool,
    /// Go on as a listener when nobody is there and when the input ends.
    pub stay: bool,
    /// How long to wait for peers, and for confirmations after the last progress.
    pub wait: Duration,
    /// What the wall clock shows when the node wakes; tells history from news where nothing else can.
    pub woke: WallTime,
    /// How many past messages to show on joining. At most [`Config::history_max`].
    pub history: usize,

    /// Hellos at start, this long after it: seen within a second even where two are lost.
    pub hello_at: [Duration; 3],
    /// Time between hellos in a small group. Shorter finds peers sooner and costs more.
    pub hello_every: Duration,
    /// Hellos a second and cast that the whole group may send; the period grows with the group.
    pub hello_rate: u32,
    /// A peer whom probes do not reach is lost after this many of its own hello periods of silence. Below 3, two lost
    /// hellos look like a crash.
    pub lost_after: u32,
    /// Time between two probes of a ring successor. A crash is noticed within it; each node sends two such probes
    /// and as many answers in it, so below 0.8 s there are more than 5 datagrams a second.
    pub probe_every: Duration,
    /// Probes unanswered before a peer is suspected. At 20 % loss one round trip in 3 fails. Those that fail by chance
    /// before a machine stands still are time that it lacks afterwards, so they are close together.
    pub probe_tries: u32,
    /// Time until a probe is sent again. The first time twice as long: above most round trips.
    pub probe_again: Duration,
    /// Time between measuring one after the other those whom we do not probe anyway.
    pub measure_every: Duration,
    /// Time between two tellings of a suspicion, and between our own looks at who is suspected.
    pub suspect_every: Duration,
    /// How long a suspect has to defend itself. Silence of `(probe_tries + 1) * probe_again` and this is a crash: it
    /// must be more than 1.5 s in all, for machines stand still that long, and a probe period less than what may pass
    /// until all know, 3.1 s.
    pub suspect_for: Duration,
    /// Nobody is lost to us sooner than this after we heard of a suspicion, whatever was said: we look for ourselves.
    pub suspect_min: Duration,
    /// Accusations of one peer that may make us do something at once: more than it honestly makes when several crash.
    pub accusations_burst: u32,
    /// One more after each such time, so that who lies costs hardly anything.
    pub accusations_every: Duration,
    /// Time between two defences of our own against whatever number of accusers.
    pub defend_every: Duration,
    /// A timeout that comes so late tells that we did not run: then nobody's silence counts. Above what a busy machine
    /// is late at times, below what looks like silence.
    pub late_after: Duration,
    /// Time between two calls into a segment on which nobody is heard any more: a link is back within it.
    pub call_every: Duration,
    /// Time between two calls for one that is lost, at first; grows with the time it is lost.
    pub lost_every: Duration,
    /// After this nobody is called for any more; whoever comes back says hello.
    pub call_for: Duration,
    /// Byes, this long after the decision to leave. The node is gone after the last.
    pub bye_at: [Duration; 3],
    /// How long who is told to leave waits for the confirmations of what it said.
    pub linger: Duration,
    /// How long piped lines wait after somebody joined for somebody else to join.
    pub settle: Duration,

    /// Repeats of an entry that not everybody has confirmed, after these times.
    pub repeat_at: [Duration; 5],
    /// How long a hole may be mere reordering before it is asked for.
    pub reorder_grace: Duration,
    /// The round trip through the group before it is measured, and the bounds of what is measured.
    pub round_trip: Duration,
    /// Least believed round trip.
    pub round_trip_min: Duration,
    /// Greatest believed round trip.
    pub round_trip_max: Duration,
    /// Backoff factor K of RFC 5401: 2 is right for groups up to 256 on a LAN.
    pub backoff_factor: u32,
    /// Confirmations are spread over this time for each peer online, so that they do not collide.
    pub confirm_spread: Duration,
    /// No confirmation waits longer than this.
    pub confirm_max: Duration,
    /// Entries heard after which a confirmation is sent at once.
    pub confirm_burst: u32,
    /// Shortest Trickle interval (RFC 6206) of the frontier hash.
    pub trickle_min: Duration,
    /// Longest Trickle interval: a healed partition is noticed within it, and it costs the quiet group two casts.
    pub trickle_max: Duration,
    /// Where frontiers stay different, they are told again after pauses that double from `trickle_min` to this.
    pub frontier_max: Duration,
    /// Trickle redundancy constant: this many equal hashes heard silence our own.
    pub trickle_k: u32,
    /// Repairs a second and node, in bytes. Chat must not drown in repairs.
    pub repair_rate: u32,
    /// Repair bytes that may go out at once.
    pub repair_burst: u32,
    /// Entries asked for at once from one log.
    pub ask_max: u64,

    /// Unconfirmed entries at which the author stops reading lines.
    pub window_max: u32,
    /// A peer that confirms nothing for this long is not waited for until it has caught up.
    pub stalled_after: Duration,
    /// The same for a peer that has confirmed nothing at all since it joined: identities that somebody made up must not
    /// hold up the talk. Well above the repeats and what a handed entry takes, below `wait`.
    pub unproven_after: Duration,
    /// Unconfirmed entries to begin with; grows with each confirmation, halves with each request for repair.
    pub window_start: u32,
    /// Peers known at once. When full, the one silent longest and not online makes room, else the new one is not taken;
    /// who was heard for a while and is lost keeps its place as long as it is called for.
    pub peers_max: usize,
    /// Logs known at once. When full, the log of an author who is not online and was silent longest makes room.
    pub logs_max: usize,
    /// Entries kept in one log for repair and history; older ones are dropped and the floor is announced.
    pub entries_max: usize,
    /// Bytes kept in all logs together; the longest log is dropped from first.
    pub store_max: usize,
    /// Bytes of long lines of which parts are still to come, of all logs together.
    pub assembling_max: usize,
    /// Entries held beyond the first hole of one log; those farther ahead are not kept.
    pub ahead_max: u64,
    /// Most past messages that [`Config::history`] may ask for.
    pub history_max: usize,
}

impl Config {
    /// The defaults, for a node of this name in this group.
    #[must_use]
    pub const fn new(nick: Nick, group: SocketAddr) -> Self {
        let ms = Duration::from_millis;
        Self {
            nick,
            group,
            secrets: Vec::new(),
            cast: CastChoice::Auto,
            static_peers: Vec::new(),
            remembered_peers: Vec::new(),
            ephemeral: false,
            listens: false,
            relay: true,
            piped: false,
            stay: false,
            wait: Duration::from_secs(5),
            woke: WallTime(0),
            history: 50,
            hello_at: [ms(0), ms(100), ms(400)],
            hello_every: ms(2000),
            hello_rate: 2,
            lost_after: 4,
            probe_every: ms(1000),
            probe_tries: 19,
            probe_again: ms(30),
            measure_every: ms(10_000),
            suspect_every: ms(80),
            suspect_for: ms(1280),
            suspect_min: ms(400),
            accusations_burst: 32,
            accusations_every: ms(1000),
            defend_every: ms(60),
            late_after: ms(100),
            call_every: ms(300),
            lost_every: ms(400),
            call_for: ms(600_000),
            bye_at: [ms(0), ms(40), ms(160)],
            linger: ms(1000),
            settle: ms(300),
            repeat_at: [ms(30), ms(90), ms(210), ms(450), ms(930)],
            reorder_grace: ms(4),
            round_trip: ms(20),
            round_trip_min: ms(5),
            round_trip_max: ms(2000),
            backoff_factor: 2,
            confirm_spread: Duration::from_micros(1500),
            confirm_max: ms(400),
            confirm_burst: 16,
            trickle_min: ms(100),
            trickle_max: ms(800),
            frontier_max: ms(30_000),
            trickle_k: 2,
            repair_rate: 2_000_000,
            repair_burst: 128 * 1024,
            ask_max: 128,
            window_max: 512,
            stalled_after: Duration::from_secs(30),
            unproven_after: ms(3000),
            window_start: 32,
            peers_max: 256,
            logs_max: 1024,
            entries_max: 16_384,
            store_max: 8 << 20,
            assembling_max: 8 << 20,
            ahead_max: 1024,
            history_max: 10_240,
        }
    }
}

/// How a node in plain mode behaves.
#[derive(Clone, Debug)]
pub struct PlainConfig {
    /// What stands before each line; without it lines are bare, and nobody enters or quits.
    pub name: Option<Nick>,
    /// The group.
    pub group: SocketAddr,
    /// Which cast carries what is said; `auto` means multicast.
    pub cast: CastChoice,
    /// Where unicast goes.
    pub dest: Option<SocketAddr>,
    /// At this word everybody leaves.
    pub leave_word: Option<Line>,
    /// Go on as a listener when the input ends.
    pub stay: bool,

    /// Time that one datagram takes at least. The usual receive buffer of Linux holds 166 short datagrams: at two a
    /// millisecond a receiver may be out of breath for 80 ms before any is lost.
    pub pace_each: Duration,
    /// Time that each KiB of a long one takes: of 64 KiB that buffer holds one, so it needs 8 ms.
    pub pace_each_kib: Duration,
    /// How far datagrams may run ahead of their pace: four short ones go at once.
    pub pace_lead: Duration,
}

impl PlainConfig {
    /// The defaults, for a node of this name, if any, in this group.
    #[must_use]
    pub const fn new(name: Option<Nick>, group: SocketAddr) -> Self {
        Self {
            name,
            group,
            cast: CastChoice::Auto,
            dest: None,
            leave_word: None,
            stay: false,
            pace_each: Duration::from_micros(500),
            pace_each_kib: Duration::from_micros(125),
            pace_lead: Duration::from_millis(2),
        }
    }
}

use std::collections::VecDeque;

use super::*;
use crate::address::{SegmentId, attempt};
use crate::config::Config;
use crate::protocol::News;
use crate::rng::Rng;
use crate::stats::Stats;
use crate::text::Nick;

const ANN: PeerId = PeerId([1; 16]);
const BOB: PeerId = PeerId([2; 16]);
const EVE: PeerId = PeerId([200; 16]);

/// A node with contacts and nothing else, in its network.
struct Bench {
    me: PeerId,
    now: Time,
    config: Config,
    rng: Rng,
    posts: VecDeque<Post>,
    news: VecDeque<News>,
    stats: Stats,
    contacts: Contacts,
    /// What was greeted, and when.
    greeted: Vec<(Time, SocketAddr)>,
    /// The number of each try.
    tries: Vec<u32>,
}

fn id(n: u8) -> PeerId {
    PeerId([n; 16])
}

fn at(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 9, n], 5000 + u16::from(n)))
}

fn segment() -> Segment {
    Segment { broadcast: "10.0.0.255:5255".parse().ok(), ..Segment::eth0("10.0.0.1:5001") }
}

impl Bench {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(remembered: &[SocketAddr]) -> Self {
        let group = "239.192.7.7:5007".parse().expect("an address");
        Self {
            me: ANN,
            now: Time::ZERO,
            config: Config::new(Nick::from_any("ann"), group),
            rng: Rng::new(1),
            posts: VecDeque::new(),
            news: VecDeque::new(),
            stats: Stats::default(),
            contacts: Contacts::new(remembered, Time::ZERO),
            greeted: Vec::new(),
            tries: Vec::new(),
        }
    }

    /// Bob's hello names these, of whom only he is known.
    fn named(&mut self, ids: impl Iterator<Item = u8>) {
        self.contacts.on_named(BOB, ids.map(id), |id| id == BOB, &mut ctx!(self));
    }

    /// Somebody's hello names one.
    fn named_by(&mut self, from: PeerId, n: u8) {
        self.contacts.on_named(from, [id(n)].into_iter(), |_| false, &mut ctx!(self));
    }

    /// Time passes; greetings have 300 bytes each.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.contacts.wake_at().filter(|&at| at <= end) {
            self.now = at.max(self.now);
            self.contacts.on_timeout(|id| id == BOB || id == EVE, &mut ctx!(self));
            if let Some((address, tries)) = self.contacts.greeting_due(&ctx!(self)) {
                self.tries.push(tries);
                self.greeted.push((self.now, address));
                self.contacts.greeted(address, 300, &ctx!(self));
            }
            self.contacts.check();
            assert!(self.contacts.wake_at() > Some(self.now) || self.contacts.wake_at().is_none(), "time goes on");
        }
        self.now = end;
    }

    /// The next question: to whom, and for whom.
    fn seek(&mut self) -> Option<(To, Seek)> {
        self.posts.pop_front().map(|post| match post.message {
            Message::Seek(seek) => (post.to, seek),
            other => panic!("{other:?}"),
        })
    }

    fn told(&mut self, from: PeerId, places: &[(u8, SocketAddr)]) {
        let peers = places.iter().map(|&(n, address)| Place::new(id(n), address)).collect();
        let segment = segment();
        self.contacts.on_whereabouts(from, &Whereabouts { peers }, [&segment].into_iter(), &mut ctx!(self));
    }

    fn heard(&mut self, from: PeerId, len: usize) {
        self.contacts.on_heard(from, len, &ctx!(self));
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn who_is_named_and_stays_unknown_is_asked_for_and_greeted() {
    let mut ann = Bench::new();
    ann.heard(BOB, 1000);
    ann.named([1, 2, 7].into_iter());
    ann.run(SEEK_AFTER - Duration::from_micros(1));
    assert_eq!(ann.seek(), None, "it may come by itself");
    ann.run(Duration::from_micros(1));
    let (to, seek) = ann.seek().expect("a question");
    assert_eq!((to, seek.ids), (To::Peer(BOB), vec![body::bytes(id(7))]));
    ann.told(BOB, &[(7, at(7))]);
    ann.run(Duration::ZERO);
    assert_eq!(ann.greeted, [(ann.now, at(7))]);
    ann.contacts.on_online(id(7), at(7));
    ann.run(secs(100));
    assert_eq!((ann.greeted.len(), ann.seek()), (1, None));
}

#[test]
fn whoever_says_it_most_often_is_not_asked_alone() {
    let mut ann = Bench::new();
    let mut asked = Vec::new();
    for tick in 0..60 * 20 {
        if tick % 100 == 10 {
            ann.named_by(BOB, 7);
        }
        ann.named_by(EVE, 7);
        ann.run(Duration::from_millis(50));
        asked.extend(ann.seek().map(|(to, _)| to));
        if tick == 20 * 20 {
            ann.told(BOB, &[(7, at(7))]);
            ann.told(EVE, &[(7, at(8))]);
            assert!(!ann.contacts.candidates.is_empty(), "whoever was asked last is believed");
        }
    }
    let (eve, bob) = (To::Peer(EVE), To::Peer(BOB));
    assert_eq!(asked, [&eve, &bob, &eve, &bob, &eve, &bob].map(To::clone), "in turn");
}

#[test]
fn who_was_asked_makes_room_for_others_who_name_somebody() {
    let mut ann = Bench::new();
    for n in 100..100 + u8::try_from(NAMERS_MAX).expect("few") {
        ann.named_by(id(n), 7);
    }
    ann.named_by(BOB, 7);
    let namers = |ann: &Bench| ann.contacts.wanted[&id(7)].namers.iter().map(|namer| namer.id).collect::<Vec<_>>();
    assert!(!namers(&ann).contains(&BOB), "none of them was asked");
    ann.contacts.wanted.get_mut(&id(7)).expect("wanted").namers[1].turn = 1;
    ann.named_by(BOB, 7);
    assert!(namers(&ann).contains(&BOB) && !namers(&ann).contains(&id(101)));
    assert_eq!(namers(&ann).len(), NAMERS_MAX);
    ann.run(secs(2));
    assert_eq!(ann.seek().map(|(to, _)| to), Some(To::Peer(BOB)), "who is gone is not asked");
}

#[test]
fn who_comes_by_itself_is_not_asked_for() {
    let mut ann = Bench::new();
    ann.named([7].into_iter());
    ann.run(SEEK_AFTER / 2);
    ann.contacts.on_online(id(7), at(7));
    ann.run(secs(10));
    assert_eq!((ann.seek(), ann.contacts.wake_at()), (None, None));
}

#[test]
fn an_answer_is_never_longer_than_its_question() {
    let mut ann = Bench::new();
    ann.named(10..60);
    ann.run(SEEK_AFTER);
    let (_, seek) = ann.seek().expect("a question");
    assert_eq!(seek.ids.len(), SEEK_MAX);
    let mut answer = |seek: &Seek, address: SocketAddr| {
        ann.contacts.on_seek(BOB, seek, |_| Some(address), &mut ctx!(ann));
        let Some(Message::Whereabouts(told)) = ann.posts.pop_front().map(|post| post.message) else { return 0 };
        assert!(body::encoded_len(&told) <= body::encoded_len(seek));
        told.peers.len()
    };
    let far = "[2001:db8::1234]:65535".parse().expect("an address");
    assert_eq!((answer(&seek, at(9)), answer(&seek, far)), (SEEK_MAX, SEEK_MAX));
    let bare = Seek { padding: Vec::new().into(), ..seek };
    assert!(answer(&bare, far) < SEEK_MAX / 2, "who pads nothing is told less");
}

#[test]
fn what_nobody_asked_for_or_nobody_has_is_not_taken() {
    let mut ann = Bench::new();
    ann.heard(BOB, 10_000);
    ann.told(BOB, &[(7, at(7))]);
    ann.named(7..14);
    ann.run(secs(3));
    ann.told(id(9), &[(7, at(7))]);
    let bad = [
        "10.0.0.1:5001",
        "10.0.0.255:5001",
        "255.255.255.255:9",
        "224.0.0.1:9",
        "127.0.0.1:9",
        "0.0.0.0:9",
        "10.0.0.9:0",
    ];
    for (n, address) in (7..).zip(bad) {
        ann.told(BOB, &[(n, address.parse().expect("an address"))]);
    }
    let mut odd = Place::new(id(7), at(7));
    odd.ip = vec![1, 2, 3].into();
    let segment = segment();
    ann.contacts.on_whereabouts(BOB, &Whereabouts { peers: vec![odd] }, [&segment].into_iter(), &mut ctx!(ann));
    ann.run(secs(10));
    assert_eq!((ann.greeted.len(), ann.stats.contacts_refused), (0, 10));
}

#[test]
fn a_liar_pays_for_what_its_victim_is_sent() {
    let mut ann = Bench::new();
    // Bob names whomever he likes and says that they are all on one machine, on many ports, for ten minutes.
    let (mut paid, mut port) = (0, 0);
    for _ in 0..600 {
        ann.named(10..110);
        ann.heard(BOB, 250);
        paid += 250;
        while let Some((_, seek)) = ann.seek() {
            let mut lie = |id| {
                port += 1;
                Place::new(id, SocketAddr::from(([192, 0, 2, 1], 1000 + port)))
            };
            let peers = seek.ids.iter().map(|id| lie(PeerId(**id))).collect();
            let segment = segment();
            ann.contacts.on_whereabouts(BOB, &Whereabouts { peers }, [&segment].into_iter(), &mut ctx!(ann));
        }
        ann.run(secs(1));
        assert!(ann.greeted.len() * 300 <= paid, "{} greetings for {paid} bytes", ann.greeted.len());
    }
    assert!(ann.greeted.len() > 100, "or nothing was tried");
    // And he who is heard no more spends nothing.
    ann.contacts.on_gone(BOB);
    let before = ann.greeted.len();
    ann.run(secs(600));
    assert_eq!(ann.greeted.len(), before);
}

#[test]
fn an_address_where_nobody_is_gets_three_greetings_a_minute() {
    let mut ann = Bench::new();
    for second in 0..66 {
        ann.heard(BOB, 1000);
        ann.named([7].into_iter());
        ann.told(BOB, &[(7, at(7))]);
        ann.run(secs(1));
        assert!(second < 8 || ann.greeted.len() == 3, "{second}: {:?}", ann.greeted);
    }
}

#[test]
fn the_tables_are_bounded_and_greetings_paced() {
    let mut ann = Bench::new();
    let many: Vec<_> = (0..=255).map(at).collect();
    let mut eve = Bench::with(&many);
    eve.run(secs(6));
    assert_eq!(eve.contacts.candidates.len(), CONTACTS_MAX);
    let gaps = eve.greeted.windows(2).map(|pair| pair[1].0.since(pair[0].0));
    assert!(gaps.into_iter().all(|gap| gap >= GREET_EVERY));
    for n in 0..4 {
        let heard = (0..=255).map(|m| PeerId([n, m, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]));
        ann.contacts.on_named(BOB, heard, |_| false, &mut ctx!(ann));
    }
    assert_eq!((ann.contacts.wanted.len(), ann.stats.contacts_refused), (WANTED_BY_MAX, 960), "nobody fills it alone");
    for n in 0..20 {
        let heard = (0..=255).map(|m| PeerId([n, m, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]));
        ann.contacts.on_named(PeerId([n; 16]), heard, |_| false, &mut ctx!(ann));
    }
    assert_eq!(ann.contacts.wanted.len(), WANTED_MAX);
}

/// How often each of `count` segments was to greet, and the system, at these tries.
fn shares(tries: &[u32], count: u32) -> Vec<usize> {
    let one = |id: u32| Segment { id: SegmentId(id), ..Segment::eth0(&format!("10.1.{id}.3:5003")) };
    let all: Vec<_> = (1..=count).map(one).collect();
    let by = |&tries| attempt(all.iter(), at(7), tries).map_or(0, |(on, beyond)| if beyond { 0 } else { on.id.0 });
    let by: Vec<u32> = tries.iter().map(by).collect();
    (0..=count).map(|id| by.iter().filter(|&&who| who == id).count()).collect()
}

#[test]
fn one_segment_alone_greeted_a_remembered_peer_for_ever() {
    let mut ann = Bench::with(&[at(7)]);
    while ann.tries.len() < 48 {
        ann.run(secs(60));
    }
    let tries = ann.tries.split_off(8);
    for count in [2, 3, 4, 6] {
        let shares = shares(&tries, count);
        assert!(shares[0] >= 20, "{count}: {shares:?}");
        assert!(shares[1..].iter().all(|&share| share >= 20 / count as usize), "{count}: {shares:?}");
    }
}

#[test]
fn the_same_few_segments_greeted_a_peer_that_was_told_for_ever() {
    let mut ann = Bench::new();
    while ann.tries.len() < 60 {
        ann.heard(BOB, 1000);
        ann.named([7].into_iter());
        ann.told(BOB, &[(7, at(7))]);
        ann.run(secs(1));
    }
    for count in [2, 3, 4, 6] {
        let shares = shares(&ann.tries, count);
        assert!(shares.iter().all(|&share| share >= 20 / count as usize), "{count}: {shares:?}");
    }
}

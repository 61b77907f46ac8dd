use super::*;
use crate::address::Cast;
use crate::config::Config;
use crate::protocol::Post;
use crate::rng::Rng;
use crate::stats::Stats;
use crate::text::Nick;

const ANN: PeerId = PeerId([0; 16]);
const BOB: PeerId = PeerId([9; 16]);
const BOOT: u64 = 7;

/// A node with direct messages and nothing else.
struct Bench {
    me: PeerId,
    now: Time,
    config: Config,
    rng: Rng,
    posts: VecDeque<Post>,
    news: VecDeque<News>,
    stats: Stats,
    directs: Directs,
}

impl Bench {
    fn new(me: PeerId) -> Self {
        let group = "239.192.7.7:5007".parse().expect("an address");
        Self {
            me,
            now: Time::ZERO,
            config: Config::new(Nick::from_any("x"), group),
            rng: Rng::new(1),
            posts: VecDeque::new(),
            news: VecDeque::new(),
            stats: Stats::default(),
            directs: Directs::default(),
        }
    }

    fn later(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        self.directs.on_timeout(&mut ctx!(self));
    }

    fn tell(&mut self, text: &str) {
        self.directs.tell(BOB, true, &Line::from_peer(text), WallTime(0), &mut ctx!(self)).expect("room");
    }

    /// The frames that go out now.
    fn frames(&mut self) -> Vec<Direct> {
        let direct = |outgoing: Outgoing| match outgoing.what {
            Secret::Direct(direct) => direct,
            other @ Secret::Receipt(_) => panic!("{other:?}"),
        };
        std::iter::from_fn(|| self.directs.take_outgoing()).map(direct).collect()
    }

    /// A frame arrives; the receipt for it.
    fn hear(&mut self, from: PeerId, frame: &Direct) -> Receipt {
        let address = "10.0.0.1:5001".parse().expect("an address");
        let arrival = Arrival {
            segment: SegmentId(1),
            cast: Cast::Unicast,
            address,
            ttl: None,
            errand: crate::address::Errand::Said,
        };
        self.directs.on_direct(from, BOOT, frame.clone(), arrival, Way::Datagram, &mut ctx!(self));
        assert!(self.directs.inboxes.len() <= INBOXES_MAX);
        match self.directs.take_outgoing().map(|outgoing| outgoing.what) {
            Some(Secret::Receipt(receipt)) => receipt,
            other => panic!("{other:?}"),
        }
    }

    fn receipt(&mut self, receipt: &Receipt) {
        self.directs.on_receipt(BOB, receipt, BOOT, &mut ctx!(self));
    }

    /// What was shown.
    fn shown(&mut self) -> Vec<String> {
        let text = |news| if let News::Whispered { text, .. } = news { Some(text.as_str().to_owned()) } else { None };
        self.news.drain(..).filter_map(text).collect()
    }

    /// So many others say something, a millisecond apart.
    fn others(&mut self, count: u16) {
        let mut other = Self::new(ANN);
        other.tell("of another");
        let frame = other.frames().remove(0);
        for n in 0..count {
            self.later(1);
            self.hear(numbered(n), &frame);
        }
        self.shown();
    }

    /// What another said first, once more: whether it is taken for news.
    fn forgot(&mut self, n: u16) -> bool {
        let mut other = Self::new(ANN);
        other.tell("again");
        let frame = other.frames().remove(0);
        self.hear(numbered(n), &frame);
        self.shown() == ["again"]
    }
}

fn numbered(n: u16) -> PeerId {
    let [high, low] = n.to_be_bytes();
    PeerId(std::array::from_fn(|at| [5, high, low][at.min(2)]))
}

const ALL: u16 = INBOXES_MAX as u16;

/// Both go on without loss until nothing is open.
fn go_on(ann: &mut Bench, bob: &mut Bench) {
    for _ in 0..100 {
        ann.later(20);
        for frame in ann.frames() {
            let receipt = bob.hear(ANN, &frame);
            ann.receipt(&receipt);
        }
    }
    assert_eq!(ann.directs.open(), 0, "all is delivered");
}

#[test]
fn what_follows_is_shown_although_what_came_before_was_forgotten() {
    let (mut ann, mut bob) = (Bench::new(ANN), Bench::new(BOB));
    ["one", "two", "three"].into_iter().for_each(|text| ann.tell(text));
    let frames = ann.frames();
    let receipt = bob.hear(ANN, &frames[0]);
    ann.receipt(&receipt);
    assert_eq!(bob.shown(), ["one"]);
    bob.others(ALL);
    let receipt = bob.hear(ANN, &frames[2]);
    assert_eq!(receipt.next, 1, "it was under way when all was forgotten");
    ann.receipt(&receipt);
    go_on(&mut ann, &mut bob);
    assert_eq!(bob.shown(), ["two", "three"]);
}

#[test]
fn what_was_taken_ahead_by_whoever_forgot_is_sent_again() {
    let (mut ann, mut bob) = (Bench::new(ANN), Bench::new(BOB));
    ["one", "two"].into_iter().for_each(|text| ann.tell(text));
    let frames = ann.frames();
    let receipt = bob.hear(ANN, &frames[0]);
    ann.receipt(&receipt);
    bob.others(ALL);
    // It says that it has the second, and waits for the first, which nobody says any more.
    let receipt = bob.hear(ANN, &frames[1]);
    assert_eq!((receipt.next, receipt.ahead), (1, 1));
    ann.receipt(&receipt);
    go_on(&mut ann, &mut bob);
    assert_eq!(bob.shown(), ["two"]);
}

#[test]
fn half_a_message_that_was_acknowledged_is_not_half_of_the_next() {
    let mut bob = Bench::new(BOB);
    let mut ann = Bench::new(ANN);
    ann.tell(&"a".repeat(CHUNK_MAX + 1));
    ann.tell("two");
    let frames = ann.frames();
    bob.hear(ANN, &frames[0]);
    bob.hear(ANN, &frames[2]);
    bob.hear(ANN, &Direct { seq: 4, base: 4, ..frames[1].clone() });
    assert!(bob.shown().is_empty() && bob.directs.inboxes[&ANN].held.is_empty(), "what is before never comes");
    bob.hear(ANN, &Direct { seq: 5, base: 4, ..frames[2].clone() });
    assert_eq!(bob.shown(), ["two"]);
}

#[test]
fn whoever_is_here_is_remembered_before_those_who_are_gone() {
    let mut bob = Bench::new(BOB);
    bob.others(ALL);
    bob.directs.on_gone(numbered(100));
    bob.directs.on_gone(numbered(200));
    bob.directs.on_online(numbered(200), &mut ctx!(bob));
    bob.later(1);
    assert!(bob.forgot(1000), "a new one");
    assert!(!bob.forgot(0) && !bob.forgot(200), "who is here, and who is here again");
    bob.directs.on_gone(numbered(255));
    bob.later(1);
    assert!(bob.forgot(100), "who was gone");
    assert!(!bob.forgot(0) && !bob.forgot(1), "everybody else");
    assert!(bob.forgot(255));
    bob.later(1);
    assert!(
        bob.forgot(1001) && bob.forgot(2) && !bob.forgot(1),
        "among those who are here who said nothing for longest"
    );
}

#[test]
fn messages_that_are_never_whole_take_no_more_room_than_there_is_and_whole_ones_arrive() {
    let (mut ann, mut bob) = (Bench::new(ANN), Bench::new(BOB));
    let long = "a".repeat(20 * CHUNK_MAX);
    ann.tell(&long);
    for frame in ann.frames().iter().take(10) {
        bob.hear(ANN, frame);
    }
    for peer in 0..ALL - 1 {
        for part in 0..79 {
            let seq = u64::from(part) + 1;
            let (part, parts) = (Some(part), Some(80));
            let frame = Direct { seq, base: 1, mid: 1, wall_ms: 0, text: "x".repeat(CHUNK_MAX), part, parts };
            bob.hear(numbered(peer), &frame);
        }
    }
    let kept: usize = bob.directs.inboxes.values().map(|inbox| inbox.bytes).sum();
    assert!((PARTIAL_BYTES_MAX / 2..=PARTIAL_BYTES_MAX).contains(&kept), "{kept}");
    go_on(&mut ann, &mut bob);
    assert_eq!(bob.shown(), [long]);
}

#[test]
fn who_is_to_begin_again_is_told_what_it_lacks() {
    let (mut ann, mut bob) = (Bench::new(ANN), Bench::new(BOB));
    let texts = ["before".to_owned(), "b".repeat(5 * CHUNK_MAX), "after".to_owned()];
    texts.iter().for_each(|text| ann.tell(text));
    let frames = ann.frames();
    for frame in [0, 1, 2, 4].map(|n| &frames[n]) {
        let receipt = bob.hear(ANN, frame);
        ann.receipt(&receipt);
    }
    let inbox = bob.directs.inboxes.get_mut(&ANN).expect("it said something");
    inbox.begin_again();
    assert_eq!((inbox.next, inbox.bytes), (2, 0));
    go_on(&mut ann, &mut bob);
    assert_eq!(bob.shown(), texts);
}

#[test]
fn whoever_takes_nothing_for_long_is_not_waited_for() {
    let mut ann = Bench::new(ANN);
    (0..WAITING_MAX).for_each(|_| ann.tell("x"));
    let has_room = |ann: &Bench| ann.directs.has_room(BOB, ann.now, &ann.config);
    assert!(!has_room(&ann));
    let frames = ann.frames();
    let patience = u64::try_from(ann.config.stalled_after.as_millis()).expect("some seconds");
    ann.later(patience - 1);
    assert!(!has_room(&ann));
    ann.receipt(&Receipt { boot: BOOT, next: frames[0].seq + 1, ahead: 0 });
    ann.tell("y");
    ann.later(patience - 1);
    assert!(!has_room(&ann), "it took one");
    ann.later(1);
    assert!(has_room(&ann));
}

#[test]
fn what_is_acknowledged_twice_is_progress_once() {
    let mut ann = Bench::new(ANN);
    ann.tell(&"a".repeat(3 * CHUNK_MAX));
    let told = |ann: &mut Bench, next| ann.receipt(&Receipt { boot: BOOT, next, ahead: 0 });
    ann.later(5);
    told(&mut ann, 2);
    let first = ann.directs.progress_at();
    assert_eq!(first, Some(ann.now));
    for _ in 0..10 {
        ann.later(1000);
        told(&mut ann, 0);
        told(&mut ann, 2);
    }
    assert_eq!(ann.directs.progress_at(), first, "it takes back what it said");
    told(&mut ann, 3);
    assert_eq!(ann.directs.progress_at(), Some(ann.now));
}

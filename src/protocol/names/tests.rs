mod crowds;

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::protocol::Post;
use crate::rng::Rng;
use crate::stats::Stats;

const ME: PeerId = PeerId([1; 16]);
const BOB: PeerId = PeerId([2; 16]);
const EVE: PeerId = PeerId([3; 16]);
const CAT: PeerId = PeerId([4; 16]);

/// The names that ann knows, and who is online.
struct Bench {
    me: PeerId,
    now: Time,
    config: Config,
    rng: Rng,
    posts: VecDeque<Post>,
    news: VecDeque<News>,
    stats: Stats,
    names: Names,
    online: BTreeSet<PeerId>,
}

fn nick(text: &str) -> Nick {
    Nick::new(text).expect("a nick")
}

impl Bench {
    fn new() -> Self {
        Self::with(Vec::new())
    }

    fn with(pins: Vec<Pin>) -> Self {
        let config = Config::new(nick("ann"), "239.192.7.7:5007".parse().expect("an address"));
        Self {
            me: ME,
            now: Time::ZERO,
            config,
            rng: Rng::new(1),
            posts: VecDeque::new(),
            news: VecDeque::new(),
            stats: Stats::default(),
            names: Names::new(ME, &nick("ann"), pins, Time::ZERO),
            online: BTreeSet::new(),
        }
    }

    /// What is kept, in another run a day later.
    fn again(&self) -> Self {
        let mut again = Self::with(self.names.pins().cloned().collect());
        again.config.woke = WallTime(self.config.woke.0 + millis(DAY));
        again
    }

    fn meet(&mut self, id: PeerId, called: &str, ephemeral: bool) {
        self.now = self.now + Duration::from_millis(1);
        self.online.insert(id);
        let online = &self.online;
        self.names.on_online(id, &nick(called), ephemeral, |id| online.contains(&id), &mut ctx!(self));
        self.names.check();
    }

    fn joins(&mut self, id: PeerId, called: &str) {
        self.meet(id, called, false);
    }

    fn leaves(&mut self, id: PeerId) {
        self.online.remove(&id);
        self.names.on_gone(id, &ctx!(self));
    }

    fn says(&mut self, id: PeerId, called: &str) {
        let online = &self.online;
        self.names.on_heard(id, &nick(called), |id| online.contains(&id), &mut ctx!(self));
        self.names.check();
    }

    fn trust(&mut self, id: PeerId, called: &str) -> Trusted {
        let online = &self.online;
        self.names.trust(id, &nick(called), |id| online.contains(&id), &ctx!(self))
    }

    fn shown(&self, id: PeerId, called: &str) -> String {
        let suffix = self.names.suffix_of(id, &nick(called));
        if suffix == 0 { called.into() } else { format!("{called}~{}", id.beginning(suffix)) }
    }

    fn is_bare(&self, id: PeerId, called: &str) -> bool {
        self.shown(id, called) == called
    }

    /// Of whom it was told, and whether as an impostor.
    fn told(&mut self) -> Vec<(PeerId, bool)> {
        let one = |news| match news {
            News::Impostor { id, .. } => Some((id, true)),
            News::Namesake(id, _) => Some((id, false)),
            News::Full(_) => None,
            other => panic!("{other:?}"),
        };
        self.news.drain(..).filter_map(one).collect()
    }
}

#[test]
fn the_first_key_under_a_nick_keeps_it_whoever_comes() {
    let mut bench = Bench::new();
    bench.joins(BOB, "bob");
    assert!(bench.is_bare(BOB, "bob") && bench.told().is_empty());
    bench.joins(EVE, "bob");
    assert_eq!(bench.shown(EVE, "bob"), format!("bob~{}", EVE.suffix()));
    assert!(bench.is_bare(BOB, "bob"), "the other stays as it was");
    assert_eq!(bench.told(), [(EVE, true)]);
    bench.leaves(BOB);
    bench.joins(EVE, "bob");
    bench.says(EVE, "bob");
    assert!(!bench.is_bare(EVE, "bob"), "away, it is bob's all the same");
    assert_eq!(bench.told(), [], "told once");
    assert_eq!(bench.names.trust_in(EVE, &nick("bob")), Trust::Impostor);
    assert_eq!(bench.names.trust_in(BOB, &nick("bob")), Trust::Pinned);
}

#[test]
fn a_pin_outlives_the_run_and_the_warning_comes_again() {
    let mut bench = Bench::new();
    bench.joins(BOB, "bob");
    let mut bench = bench.again();
    bench.joins(EVE, "bob");
    assert!(!bench.is_bare(EVE, "bob"));
    assert_eq!(bench.told(), [(EVE, true)]);
    bench.joins(BOB, "bob");
    assert!(bench.is_bare(BOB, "bob") && bench.told().is_empty());
}

#[test]
fn only_a_person_gives_a_name_to_another() {
    let mut bench = Bench::new();
    bench.joins(BOB, "bob");
    bench.joins(EVE, "bob");
    bench.told();
    assert_eq!(bench.trust(EVE, "bob"), Trusted::InsteadOf(BOB));
    assert!(bench.is_bare(EVE, "bob") && !bench.is_bare(BOB, "bob"));
    assert_eq!(bench.names.trust_in(EVE, &nick("bob")), Trust::Trusted);
    bench.joins(BOB, "bob");
    assert_eq!(bench.told(), [(BOB, true)], "now it is the other who is not known");
    assert_eq!(bench.trust(EVE, "bob"), Trusted::Still);
    assert_eq!(bench.trust(CAT, "cat"), Trusted::Anew);
    assert_eq!(bench.again().names.trust_in(EVE, &nick("bob")), Trust::Trusted);
}

#[test]
fn a_key_for_one_run_is_never_pinned_and_two_of_them_share_a_nick() {
    let mut bench = Bench::new();
    bench.meet(BOB, "ci", true);
    assert!(bench.is_bare(BOB, "ci"));
    assert_eq!(bench.names.pins().count(), 0);
    bench.meet(EVE, "ci", true);
    assert!(!bench.is_bare(BOB, "ci") && !bench.is_bare(EVE, "ci"), "nobody has a right to it");
    bench.joins(CAT, "ci");
    assert!(!bench.is_bare(CAT, "ci"), "nor has who comes last: the nick alone was somebody else's");
    assert_eq!((bench.names.pins().count(), bench.told()), (0, vec![]));
    let mut bench = bench.again();
    bench.joins(CAT, "ci");
    assert!(bench.is_bare(CAT, "ci"));
}

#[test]
fn whoever_was_read_of_first_is_not_replaced_by_whoever_comes() {
    let mut bench = Bench::new();
    bench.says(BOB, "bob");
    assert!(bench.is_bare(BOB, "bob"), "nobody else has a claim");
    bench.joins(EVE, "bob");
    assert!(!bench.is_bare(EVE, "bob") && !bench.is_bare(BOB, "bob"));
    assert_eq!(bench.names.trust_in(EVE, &nick("bob")), Trust::New);
    let mut bench = Bench::new();
    bench.says(BOB, "bob");
    bench.joins(BOB, "bob");
    bench.says(EVE, "bob");
    assert!(bench.is_bare(BOB, "bob") && !bench.is_bare(EVE, "bob"), "history too goes by keys");
    assert_eq!(bench.told(), [(EVE, true)]);
}

#[test]
fn what_looks_like_a_name_is_that_name() {
    let mut bench = Bench::new();
    bench.joins(BOB, "paypal");
    for (n, alike) in [(10, "PayPal"), (11, "раураl"), (12, "paypa1")] {
        bench.joins(PeerId([n; 16]), alike);
        assert!(!bench.is_bare(PeerId([n; 16]), alike), "{alike}");
    }
    assert_eq!(bench.told().len(), 3);
    bench.joins(CAT, "аdmin");
    assert!(!bench.is_bare(CAT, "аdmin"), "Cyrillic and Latin");
    bench.joins(EVE, "admin");
    assert!(bench.is_bare(EVE, "admin"), "who imitates takes nothing from whom it imitates");
    bench.trust(CAT, "аdmin");
    assert!(!bench.is_bare(CAT, "аdmin"), "whoever trusts it");
}

#[test]
fn a_new_nick_obeys_the_same_rule() {
    let mut bench = Bench::new();
    bench.joins(BOB, "bob");
    bench.joins(EVE, "eve");
    bench.joins(EVE, "bob");
    assert!(!bench.is_bare(EVE, "bob"));
    assert_eq!(bench.told(), [(EVE, true)]);
    bench.joins(BOB, "rob");
    assert!(bench.is_bare(BOB, "rob"));
    bench.joins(CAT, "bob");
    assert!(!bench.is_bare(CAT, "bob"), "what bob left is still his");
    for n in 0..50 {
        bench.joins(EVE, &format!("name-{n}"));
    }
    assert_eq!(bench.names.pins().filter(|pin| pin.id == EVE).count(), PINS_PER_KEY_MAX);
}

#[test]
fn our_own_nick_is_ours() {
    let mut bench = Bench::new();
    assert!(bench.is_bare(ME, "ann"));
    bench.joins(EVE, "ann");
    assert!(!bench.is_bare(EVE, "ann"));
    assert_eq!((bench.told(), bench.names.pins().count()), (vec![(EVE, false)], 0));
    bench.joins(CAT, "Ann");
    assert_eq!(bench.told(), [], "said once");
    bench.joins(BOB, "bob");
    bench.names.rename(&nick("bob"), bench.now);
    assert!(bench.is_bare(BOB, "bob") && !bench.is_bare(ME, "bob"), "we are no better than others");
}

#[test]
fn a_crowd_is_told_of_a_few_times() {
    let mut bench = Bench::new();
    bench.joins(BOB, "bob");
    for n in 10..200 {
        bench.joins(PeerId([n; 16]), "bob");
    }
    assert_eq!(bench.told().len(), ALARMS_PER_NAME_MAX);
    assert_eq!(bench.stats.impostors, 190);
    for n in 0..200 {
        let id = PeerId(std::array::from_fn(|i| [9, n][i % 2]));
        bench.joins(id, &format!("name-{n}"));
        bench.joins(PeerId([n; 16]), &format!("name-{n}"));
    }
    let full = bench.news.iter().filter(|news| matches!(news, News::Full(Full::Impostors))).count();
    assert_eq!(full, 1, "that is told, once");
    assert!(bench.told().len() <= ALARMED_MAX * ALARMS_PER_NAME_MAX);
    // Who was known before is not drowned in it.
    let mut bench = bench.again();
    for n in 0..200 {
        bench.joins(PeerId(std::array::from_fn(|i| [7, n][i % 2])), &format!("other-{n}"));
        bench.joins(PeerId(std::array::from_fn(|i| [8, n][i % 2])), &format!("other-{n}"));
    }
    bench.told();
    bench.joins(EVE, "bob");
    assert_eq!(bench.told(), [(EVE, true)]);
}

fn numbered(n: usize) -> PeerId {
    let mut id = [0; 16];
    // Spread, so that their beginnings differ.
    id[..8].copy_from_slice(&(n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    PeerId(id)
}

#[test]
fn strangers_push_out_neither_friends_nor_those_who_are_here() {
    let mut bench = Bench::new();
    bench.joins(BOB, "bob");
    bench.trust(CAT, "cat");
    bench.leaves(BOB);
    let mut bench = bench.again();
    bench.joins(BOB, "bob");
    bench.leaves(BOB);
    bench.joins(EVE, "eve");
    for n in 0..3 * PINS_MAX {
        bench.joins(numbered(n), &format!("s{n}"));
        bench.leaves(numbered(n));
    }
    assert_eq!(bench.names.pins().count(), PINS_MAX);
    for (id, name) in [(BOB, "bob"), (CAT, "cat"), (EVE, "eve")] {
        assert_eq!(bench.names.holder(&nick(name)), Some(id), "{name}");
        assert!(bench.is_bare(id, name));
    }
    let last = 3 * PINS_MAX - 1;
    assert_eq!(bench.names.holder(&nick(&format!("s{last}"))), None, "who came when it was full");
}

#[test]
fn who_is_away_keeps_its_name_whoever_fills_the_tables() {
    let mut bench = Bench::new();
    bench.joins(numbered(0), "s0");
    bench.leaves(numbered(0));
    for n in 1..=PINS_MAX + 2 * claims::CLAIMS_MAX {
        bench.now = bench.now + Duration::from_millis(1);
        bench.joins(numbered(n), &format!("s{n}"));
        bench.leaves(numbered(n));
    }
    bench.joins(EVE, "s0");
    assert_eq!(bench.names.holder(&nick("s0")), Some(numbered(0)));
    assert!(!bench.is_bare(EVE, "s0") && bench.is_bare(numbered(0), "s0"));
}

#[test]
fn nobody_who_is_away_loses_the_name_of_an_earlier_run_to_those_who_are_made_up() {
    let mut bench = Bench::new();
    for n in 0..PINS_MAX / 2 {
        bench.joins(numbered(n), &format!("s{n}"));
        bench.leaves(numbered(n));
    }
    let mut bench = bench.again();
    let made_up = 10_000..10_000 + 2 * PINS_MAX;
    for n in made_up.clone() {
        bench.joins(numbered(n), &format!("x{n}"));
    }
    let told = bench.news.iter().filter(|news| matches!(news, News::Full(Full::Names))).count();
    assert_eq!(told, 1, "it is told, once");
    for n in made_up {
        bench.leaves(numbered(n));
    }
    bench.joins(numbered(99_999), "last");
    for n in 0..PINS_MAX / 2 {
        assert_eq!(bench.names.holder(&nick(&format!("s{n}"))), Some(numbered(n)));
    }
    assert_eq!(bench.trust(EVE, "eve"), Trusted::Anew, "for the word of a person there is room");
}

#[test]
fn names_that_were_made_up_in_an_earlier_run_fill_the_table_for_two_weeks_and_no_longer() {
    let mut bench = Bench::new();
    for n in 0..PINS_MAX {
        bench.joins(numbered(n), &format!("s{n}"));
        bench.leaves(numbered(n));
    }
    let mut bench = bench.again();
    bench.now = bench.now + DAY * 12;
    bench.joins(BOB, "bob");
    let is_kept = |bench: &Bench, id| bench.names.pins().any(|pin| pin.id == id);
    assert!(!is_kept(&bench, BOB), "they may be a class that comes once a week");
    bench.now = bench.now + DAY * 2;
    bench.joins(CAT, "cat");
    assert!(is_kept(&bench, CAT));
}

#[test]
fn tables_that_are_full_forget_the_older_half_and_nobody_who_is_here() {
    let mut bench = Bench::new();
    bench.meet(BOB, "bob", true);
    for n in 0..2 * IDS_MAX {
        bench.now = bench.now + Duration::from_millis(1);
        bench.says(numbered(n), &format!("s{n}"));
    }
    assert!(bench.names.ids.len() >= IDS_MAX / 2 && bench.names.claims.len() >= claims::CLAIMS_MAX / 2);
    for (id, name) in
        [(BOB, "bob".into()), (ME, "ann".into()), (numbered(2 * IDS_MAX - 1), format!("s{}", 2 * IDS_MAX - 1))]
    {
        assert!(bench.is_bare(id, &name), "{name}");
        assert!(bench.names.ids.values().any(|(other, _)| *other == id));
    }
    assert!(!bench.is_bare(numbered(0), "s0"), "what is forgotten is nobody's");
}

#[test]
fn when_all_are_trusted_there_is_no_room_for_one_more() {
    let mut bench = Bench::new();
    for n in 0..PINS_MAX {
        assert_eq!(bench.trust(numbered(n), &format!("s{n}")), Trusted::Anew);
    }
    assert_eq!(bench.trust(BOB, "bob"), Trusted::Full);
    bench.joins(BOB, "bob");
    assert_eq!(bench.names.trust_in(BOB, &nick("bob")), Trust::New);
    assert_eq!(bench.trust(BOB, "s5"), Trusted::InsteadOf(numbered(5)));
}

#[test]
fn of_two_pins_that_look_alike_one_is_kept() {
    let pin = |id, called, trusted, first| Pin {
        id,
        nick: nick(called),
        trusted,
        first: WallTime(first),
        last: WallTime(9000),
    };
    let kept = |pins| Bench::with(pins).names.holder(&nick("bob"));
    assert_eq!(kept(vec![pin(BOB, "bob", false, 5), pin(EVE, "B0B", false, 4)]), Some(EVE));
    assert_eq!(kept(vec![pin(EVE, "B0B", false, 4), pin(BOB, "bob", true, 5)]), Some(BOB));
}

#[test]
fn who_found_a_key_with_the_same_suffix_is_shown_whole() {
    let twin = PeerId(std::array::from_fn(|i| if i < 4 { BOB.0[i] } else { 99 }));
    assert_eq!(twin.suffix(), BOB.suffix());
    let mut bench = Bench::new();
    bench.meet(BOB, "ci", true);
    bench.meet(CAT, "ci", true);
    bench.meet(twin, "ci", true);
    assert_eq!(bench.shown(BOB, "ci"), format!("ci~{}", BOB.suffix()));
    assert_eq!(bench.shown(twin, "ci"), format!("ci~{twin}"));
    let mut bench =
        Bench::with(vec![Pin { id: BOB, nick: nick("bob"), trusted: false, first: WallTime(0), last: WallTime(0) }]);
    bench.meet(twin, "ann", true);
    assert_eq!(bench.shown(twin, "ann"), format!("ann~{twin}"), "the suffix of who is known is its own too");
}

/// One thing that happens to the names.
#[derive(Clone, Debug)]
enum Act {
    Joins(u8, usize, bool),
    Says(u8, usize),
    Leaves(u8),
    Trusts(u8, usize),
    Again,
}

const NICKS: &[&str] = &["bob", "BOB", "b0b", "eve", "ann", "bоb", "вов", "admin", "adrnin"];

fn act() -> impl Strategy<Value = Act> {
    let (who, what) = (2u8..9, 0..NICKS.len());
    prop_oneof![
        4 => (who.clone(), what.clone(), any::<bool>()).prop_map(|(id, n, e)| Act::Joins(id, n, e)),
        3 => (who.clone(), what.clone()).prop_map(|(id, n)| Act::Says(id, n)),
        1 => who.clone().prop_map(Act::Leaves),
        1 => (who, what).prop_map(|(id, n)| Act::Trusts(id, n)),
        1 => Just(Act::Again),
    ]
}

/// Some have the same beginning, as if they had been searched for.
fn of(n: u8) -> PeerId {
    PeerId(std::array::from_fn(|i| if i < 4 { n / 3 } else { n }))
}

proptest! {
    #[test]
    fn two_keys_are_never_shown_alike_and_names_change_hands_by_trust_alone(
        acts in prop::collection::vec(act(), 0..60),
    ) {
        let mut bench = Bench::new();
        for act in acts {
            let before: Vec<_> = bench.names.pins().map(|pin| (pin.nick.clone(), pin.id)).collect();
            let mut given = None;
            match act {
                Act::Joins(id, n, ephemeral) => bench.meet(of(id), NICKS[n], ephemeral),
                Act::Says(id, n) => bench.says(of(id), NICKS[n]),
                Act::Leaves(id) => bench.leaves(of(id)),
                Act::Trusts(id, n) => {
                    bench.trust(of(id), NICKS[n]);
                    given = bench.names.holder(&nick(NICKS[n]));
                }
                Act::Again => bench = bench.again(),
            }
            for (nick, id) in before {
                let holder = bench.names.holder(&nick);
                prop_assert!(holder == Some(id) || holder == given, "{} went from {:?} to {:?}", nick, id, holder);
            }
            // By what is shown, and by what that looks like where it is a nick alone: whose it is.
            let (mut labels, mut looks) = (BTreeMap::new(), BTreeMap::new());
            let known: BTreeSet<_> = bench.names.ids.values().map(|(id, _)| *id).chain(bench.online.clone()).collect();
            for (id, name) in known.iter().flat_map(|&id| NICKS.iter().map(move |name| (id, *name))) {
                let label = bench.shown(id, name);
                prop_assert_eq!(*labels.entry(label.clone()).or_insert(id), id, "{}", label);
                if label == name {
                    let key = Looks::of(&nick(name)).key;
                    prop_assert_eq!(*looks.entry(key).or_insert(id), id, "{}", label);
                    prop_assert!(!bench.names.is_mixed(&nick(name)), "{}", label);
                }
            }
        }
    }
}

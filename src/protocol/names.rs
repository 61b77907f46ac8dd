//! Whose name is whose: a nick belongs to the key that was first seen online under it.
//!
//! Nicks are claims, and anybody can make any. So the first key under a nick is pinned to it, as SSH pins hosts;
//! another that claims it, or one that looks like it, is shown with the beginning of its id, and told of once.
//! Only a person changes whose a name is. Knows nothing of who is online but what `node` tells it, and is told
//! of nobody whose signature was not checked.
//!
//! ```text
//!   key y "bob" joins           bob joined              y is pinned
//!   key x "bob" joins           bob~x joined            bob~x is not the bob you know (bob~y)
//!   key y leaves, x stays       bob left                and x is bob~x still, in the next run too
//!   /trust bob~x                                        now x is bob, and y would be bob~y
//! ```

mod claims;
mod looks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::PeerId;
use crate::protocol::{Context, Full, News};
use crate::text::Nick;
use crate::time::{Time, WallTime};
use claims::Claims;
use looks::Looks;

/// Pins kept. When full, whoever is online or trusted stays, and so does everybody unless not seen for long; of the
/// others those seen on one day only make room first, and of these who was seen longest ago.
pub const PINS_MAX: usize = 1024;
/// Nicks to which one key is pinned at first sight, so that one alone does not fill the table. Further ones are not.
const PINS_PER_KEY_MAX: usize = 8;
/// Who was seen over less time than this is no old friend yet; and the time of a pin is out of date after it.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A name that was not seen for so long is kept from nobody, ...
const FORGOTTEN_AFTER: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// ... and after this one that was never seen over more than a day: whoever makes up names fills the table for
/// no longer.
const PASSERS_FORGOTTEN_AFTER: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Ids whose beginning is remembered. When full, of those neither online nor pinned the half heard of longest ago
/// make room.
const IDS_MAX: usize = 4096;
/// Looks of nicks remembered, to be worked out once. When full, all are forgotten.
const LOOKS_MAX: usize = 512;
/// Keys told of for one name. Further ones are shown with their suffix and not told of.
const ALARMS_PER_NAME_MAX: usize = 3;
/// Names in one run of which impostors are told, besides those known before.
const ALARMED_MAX: usize = 64;

/// A key that a nick belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Whose it is.
    pub id: PeerId,
    /// The nick.
    pub nick: Nick,
    /// A person said so; else it was the first to be seen.
    pub trusted: bool,
    /// When it was seen first under it, ...
    pub first: WallTime,
    /// ... and last.
    pub last: WallTime,
}

/// What is known of the right of a peer to its nick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: the nick is nobody's. So it is with keys that are for one run only.
    New,
    /// It was the first to be seen under it.
    Pinned,
    /// A person said so.
    Trusted,
    /// The nick belongs to another key.
    Impostor,
}

/// What became of a person's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// The nick is its own now; it was nobody's.
    Anew,
    /// It was its own before.
    Still,
    /// It belonged to this one before.
    InsteadOf(PeerId),
    /// There is no room: everybody else is trusted as well.
    Full,
}

/// Whose names are whose.
#[derive(Debug)]
pub struct Names {
    me: PeerId,
    /// What our own nick looks like.
    own: String,
    pins: BTreeMap<String, Pin>,
    claims: Claims,
    ids: BTreeMap<u32, (PeerId, Time)>,
    alarmed: BTreeMap<String, BTreeSet<PeerId>>,
    looks: BTreeMap<Nick, Looks>,
    /// Names that were pinned in an earlier run.
    earlier: BTreeSet<String>,
    namesake_told: bool,
    full_told: bool,
    alarms_full_told: bool,
    changes: u64,
}

impl Names {
    /// The names as an earlier run left them. Of two pins that look the same the trusted one is kept, else the older.
    #[must_use]
    pub fn new(me: PeerId, nick: &Nick, mut pins: Vec<Pin>, now: Time) -> Self {
        pins.sort_by_key(|pin| (!pin.trusted, pin.first));
        let mut names = Self {
            me,
            own: String::new(),
            pins: BTreeMap::new(),
            claims: Claims::new(me),
            ids: BTreeMap::new(),
            alarmed: BTreeMap::new(),
            looks: BTreeMap::new(),
            earlier: BTreeSet::new(),
            namesake_told: false,
            full_told: false,
            alarms_full_told: false,
            changes: 0,
        };
        for pin in pins.into_iter().take(PINS_MAX) {
            names.ids.entry(beginning(pin.id)).or_insert((pin.id, now));
            names.pins.entry(Looks::of(&pin.nick).key).or_insert(pin);
        }
        names.earlier = names.pins.keys().cloned().collect();
        names.rename(nick, now);
        names
    }

    /// We call ourselves so from now on.
    pub fn rename(&mut self, nick: &Nick, now: Time) {
        let looks = self.looks_of(nick);
        self.note_id(self.me, now, |_| false);
        self.claims.on_online(self.me, &looks.key);
        self.claim(&looks, self.me, now);
        (self.own, self.namesake_told) = (looks.key, false);
    }

    /// A peer is online, new or under a new nick. `ephemeral`: its key is for this run only.
    pub fn on_online(
        &mut self,
        id: PeerId,
        nick: &Nick,
        ephemeral: bool,
        online: impl Fn(PeerId) -> bool,
        ctx: &mut Context<'_>,
    ) {
        let looks = self.note(id, nick, &online, ctx);
        self.claims.on_online(id, &looks.key);
        let now = wall(ctx);
        if let Some(pin) = self.pins.get_mut(&looks.key) {
            if pin.id == id {
                let is_old = now.0.saturating_sub(pin.last.0) >= millis(DAY);
                self.changes += u64::from(is_old || pin.nick != *nick);
                (pin.nick, pin.last) = (nick.clone(), pin.last.max(now));
            }
            return;
        }
        let is_its = self.claims.is_alone(&looks.key, id);
        let has = self.pins.values().filter(|pin| pin.id == id).count();
        if !is_its || ephemeral || looks.mixed || has >= PINS_PER_KEY_MAX {
            return;
        }
        if self.make_room(false, online, ctx) {
            self.pins.insert(looks.key, Pin { id, nick: nick.clone(), trusted: false, first: now, last: now });
            self.changes += 1;
        } else if !std::mem::replace(&mut self.full_told, true) {
            ctx.news.push_back(News::Full(Full::Names));
        }
    }

    /// Somebody said something under a nick, or is spoken of: it need not be online.
    pub fn on_heard(&mut self, id: PeerId, nick: &Nick, online: impl Fn(PeerId) -> bool, ctx: &mut Context<'_>) {
        self.note(id, nick, &online, ctx);
    }

    /// Takes down who claims what, and tells of impostors.
    fn note(&mut self, id: PeerId, nick: &Nick, online: impl Fn(PeerId) -> bool, ctx: &mut Context<'_>) -> Looks {
        let looks = self.looks_of(nick);
        self.note_id(id, ctx.now, &online);
        self.claim(&looks, id, ctx.now);
        match self.pins.get(&looks.key) {
            Some(pin) if pin.id != id && id != self.me => self.alarm(id, nick, &looks.key, ctx),
            _ if looks.key == self.own && id != self.me && !self.namesake_told => {
                self.namesake_told = true;
                ctx.news.push_back(News::Namesake(id, nick.clone()));
            }
            _ => {}
        }
        looks
    }

    fn alarm(&mut self, id: PeerId, nick: &Nick, key: &str, ctx: &mut Context<'_>) {
        let Some(pin) = self.pins.get(key) else { return };
        ctx.stats.impostors += 1;
        // Whoever makes up names makes up impostors of them as well; who was known before is told of all the same.
        let known_before = pin.trusted || self.earlier.contains(key);
        if self.alarmed.len() >= ALARMED_MAX && !known_before && !self.alarmed.contains_key(key) {
            if !std::mem::replace(&mut self.alarms_full_told, true) {
                ctx.news.push_back(News::Full(Full::Impostors));
            }
            return;
        }
        let told = self.alarmed.entry(key.to_owned()).or_default();
        if told.len() < ALARMS_PER_NAME_MAX && told.insert(id) {
            let last = told.len() == ALARMS_PER_NAME_MAX;
            ctx.news.push_back(News::Impostor { id, nick: nick.clone(), known: (pin.id, pin.nick.clone()), last });
        }
    }

    /// A person says that a nick is this key's. Whose it was before is an impostor from now on.
    pub fn trust(&mut self, id: PeerId, nick: &Nick, online: impl Fn(PeerId) -> bool, ctx: &Context<'_>) -> Trusted {
        let (key, now) = (self.looks_of(nick).key, wall(ctx));
        let former = self.pins.get(&key).map(|pin| (pin.id, pin.first));
        if former.is_none() && !self.make_room(true, online, ctx) {
            return Trusted::Full;
        }
        let first = former.filter(|(was, _)| *was == id).map_or(now, |(_, first)| first);
        if let Some(told) = self.alarmed.get_mut(&key) {
            told.remove(&id);
        }
        self.pins.insert(key, Pin { id, nick: nick.clone(), trusted: true, first, last: now });
        self.changes += 1;
        match former {
            None => Trusted::Anew,
            Some((was, _)) if was == id => Trusted::Still,
            Some((was, _)) => Trusted::InsteadOf(was),
        }
    }

    /// How many characters of its id must stand behind the nick of a peer; none if the nick alone is its own.
    #[must_use]
    pub fn suffix_of(&self, id: PeerId, nick: &Nick) -> usize {
        let is_its = |looks: &Looks| {
            let claimed = || self.claims.is_alone(&looks.key, id);
            !looks.mixed && self.pins.get(&looks.key).map_or_else(claimed, |pin| pin.id == id)
        };
        if self.with_looks(nick, is_its) { 0 } else { self.length_of(id) }
    }

    /// How many characters of an id tell it from all others that we know: few, or all.
    #[must_use]
    pub fn length_of(&self, id: PeerId) -> usize {
        let is_first = self.ids.get(&beginning(id)).is_none_or(|(first, _)| *first == id);
        if is_first { PeerId::SUFFIX_LEN } else { PeerId::LEN }
    }

    /// What is known of the right of a peer to its nick.
    #[must_use]
    pub fn trust_in(&self, id: PeerId, nick: &Nick) -> Trust {
        match self.with_looks(nick, |looks| self.pins.get(&looks.key)) {
            None => Trust::New,
            Some(pin) if pin.id != id => Trust::Impostor,
            Some(pin) if pin.trusted => Trust::Trusted,
            Some(_) => Trust::Pinned,
        }
    }

    /// Whose a nick is, if it is anybody's.
    #[must_use]
    pub fn holder(&self, nick: &Nick) -> Option<PeerId> {
        self.with_looks(nick, |looks| self.pins.get(&looks.key)).map(|pin| pin.id)
    }

    /// Whether a nick mixes scripts, so that it is never shown alone.
    #[must_use]
    pub fn is_mixed(&self, nick: &Nick) -> bool {
        self.with_looks(nick, |looks| looks.mixed)
    }

    /// The pins, for a later run.
    pub fn pins(&self) -> impl Iterator<Item = &Pin> {
        self.pins.values()
    }

    /// Grows whenever there is something that a later run should know.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// A peer is gone: until now it was seen.
    pub fn on_gone(&mut self, id: PeerId, ctx: &Context<'_>) {
        self.claims.on_gone(id);
        let now = wall(ctx);
        for pin in self.pins.values_mut().filter(|pin| pin.id == id) {
            pin.last = pin.last.max(now);
        }
    }

    /// Asserts that the tables are bounded.
    pub fn check(&self) {
        self.claims.check();
        assert!(self.pins.len() <= PINS_MAX, "names are bounded");
        assert!(self.ids.len() <= IDS_MAX && self.looks.len() <= LOOKS_MAX, "names are bounded");
    }

    /// Whether one more pin can be kept; if need be another is dropped: its name is nobody else's in this run. For the
    /// word of a person all make room. For a newcomer only those not seen for long do: else who makes up enough of them
    /// would take the name of anybody who is away.
    fn make_room(&mut self, wanted: bool, online: impl Fn(PeerId) -> bool, ctx: &Context<'_>) -> bool {
        if self.pins.len() < PINS_MAX {
            return true;
        }
        let now = wall(ctx);
        let is_friend = |pin: &Pin| pin.last.0.saturating_sub(pin.first.0) >= millis(DAY);
        let may_go = |pin: &Pin| {
            let kept_for = if is_friend(pin) { FORGOTTEN_AFTER } else { PASSERS_FORGOTTEN_AFTER };
            wanted || now.0.saturating_sub(pin.last.0) >= millis(kept_for)
        };
        let drops = self.pins.iter().filter(|(_, pin)| !pin.trusted && !online(pin.id) && may_go(pin));
        let Some(key) = drops.min_by_key(|(_, pin)| (is_friend(pin), pin.last)).map(|(key, _)| key.clone()) else {
            return false;
        };
        let Some(pin) = self.pins.remove(&key) else { return false };
        self.earlier.remove(&key);
        self.claims.on_unpinned(&key, pin.id, ctx.now);
        true
    }

    fn claim(&mut self, looks: &Looks, id: PeerId, now: Time) {
        // What is mixed is shown with its suffix anyway: it is not to take the name from whom it imitates.
        if !looks.mixed {
            self.claims.note(&looks.key, id, now);
        }
    }

    fn note_id(&mut self, id: PeerId, now: Time, online: impl Fn(PeerId) -> bool) {
        if let Some((first, at)) = self.ids.get_mut(&beginning(id)) {
            if *first == id {
                *at = now;
            }
            return;
        }
        if self.ids.len() >= IDS_MAX {
            let pinned: BTreeSet<_> = self.pins.values().map(|pin| pin.id).collect();
            let drops = |id: PeerId| !online(id) && !pinned.contains(&id) && id != self.me;
            let until = median(self.ids.values().filter(|(id, _)| drops(*id)).map(|(_, at)| *at).collect());
            self.ids.retain(|_, (id, at)| !drops(*id) || Some(*at) > until);
        }
        if self.ids.len() < IDS_MAX {
            self.ids.insert(beginning(id), (id, now));
        }
    }

    fn looks_of(&mut self, nick: &Nick) -> Looks {
        if self.looks.len() >= LOOKS_MAX && !self.looks.contains_key(nick) {
            self.looks.clear();
        }
        self.looks.entry(nick.clone()).or_insert_with(|| Looks::of(nick)).clone()
    }

    fn with_looks<T>(&self, nick: &Nick, of: impl FnOnce(&Looks) -> T) -> T {
        match self.looks.get(nick) {
            Some(looks) => of(looks),
            None => of(&Looks::of(nick)),
        }
    }
}

/// The time that half of these do not lie behind; nothing if there are none.
fn median(mut times: Vec<Time>) -> Option<Time> {
    let middle = times.len().checked_sub(1)? / 2;
    Some(*times.select_nth_unstable(middle).1)
}

/// The characters of an id that stand in a short suffix, as a number: 25 bits.
const fn beginning(id: PeerId) -> u32 {
    let [a, b, c, d, ..] = id.0;
    u32::from_be_bytes([a, b, c, d]) >> 7
}

/// What the wall clock shows now, or would if nobody had set it since we woke.
fn wall(ctx: &Context<'_>) -> WallTime {
    WallTime(ctx.config.woke.0.saturating_add(ctx.now.as_micros() / 1000))
}

const fn millis(span: Duration) -> u64 {
    span.as_secs() * 1000
}

#[cfg(test)]
mod tests;

//! One log as far as this node has it: entries in order, holes, and what is delivered.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::claims::Claims;
use super::exchange::FAR_BEHIND;
use super::forgotten::Mark;
use super::forked::Proof;
use super::joining::{History, is_before, is_long_before};
use super::repair::Repaired;
use crate::event::Arrival;
use crate::id::{LogId, PeerId};
use crate::protocol::{Believed, News, Said};
use crate::stats::Stats;
use crate::text::{LINE_MAX, Line, Nick};
use crate::time::{Time, WallTime};
use crate::wire::body::{self, Digest, ENTRY_TEXT, Entry, NO_DIGEST, Progress, Text};
use crate::wire::parse_entry;

/// Parts that a long message may have: enough for [`LINE_MAX`] bytes of three-byte pictures.
const PARTS_MAX: u16 = 512;

/// How often an author is told how far we are because something came again, before more of it comes. It repeats what
/// it says five times, and hands it to each five times.
const TOLD_AGAIN_MAX: u32 = 12;

/// An entry that is kept.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// As it stands on the wire, with its signature.
    pub(super) raw: Arc<[u8]>,
    /// What stands for it in the next one, ...
    pub(super) digest: Digest,
    /// ... and for the one before in it.
    pub(super) prev: Digest,
    /// How it got here; our own entries did not.
    pub(super) arrival: Option<Arrival>,
    /// When it was last sent because somebody asked, ...
    pub(super) repaired: Repaired,
    /// ... and when to everybody, by us or, as far as we heard, by another.
    pub(super) recast_at: Option<Time>,
}

impl Held {
    pub(super) fn new(entry: Believed, arrival: Option<Arrival>, recast_at: Option<Time>) -> Self {
        let Believed { digest, prev, raw, .. } = entry;
        Self { raw, digest, prev, arrival, repaired: Repaired::default(), recast_at }
    }
}

/// The digest of the last entry delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tip {
    /// The entry was here; or there is none.
    Known(Digest),
    /// Somebody said so. Of what is told otherwise the least, so that all come to say the same.
    Told(Digest),
    /// It was skipped.
    Unknown,
}

impl Tip {
    /// What is told of it.
    pub(super) const fn digest(self) -> Digest {
        match self {
            Self::Known(digest) | Self::Told(digest) => digest,
            Self::Unknown => NO_DIGEST,
        }
    }

    /// Whether something else is to be told of it, because somebody says so.
    pub(super) fn is_news(self, digest: Digest) -> bool {
        let takes = match self {
            Self::Known(_) => false,
            Self::Told(told) => digest < told,
            Self::Unknown => true,
        };
        takes && digest != NO_DIGEST
    }

    /// It, if nobody had to say so.
    pub(super) const fn known(self) -> Option<Digest> {
        match self {
            Self::Known(digest) => Some(digest),
            Self::Told(_) | Self::Unknown => None,
        }
    }
}

/// When and what to ask for.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    /// When to ask; nothing is lacking if there is no such time.
    pub(super) at: Option<Time>,
    /// Since when the same is lacking.
    pub(super) since: Time,
    /// How often the same was asked for.
    pub(super) round: u32,
    /// How often of these the author was not there to be asked.
    pub(super) elsewhere: u32,
    /// Since when that is so.
    pub(super) elsewhere_since: Option<Time>,
    /// When it was asked for last.
    pub(super) sent_at: Option<Time>,
    /// Up to which entry it was asked for.
    pub(super) until: u64,
    /// The first that was lacking then.
    pub(super) first: u64,
    /// So much is lacking that one holder is asked for it, piece by piece.
    pub(super) far: bool,
    /// Who was asked last, if not everybody.
    pub(super) asked: Option<PeerId>,
    /// It was put off since it was asked for last, because somebody else asked.
    pub(super) put_off: bool,
}

/// A long message that has not all its parts.
#[derive(Clone, Debug)]
struct Assembly {
    next_part: u16,
    text: String,
}

/// One log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) held: BTreeMap<u64, Held>,
    /// The first entry that is not delivered.
    pub(super) next: u64,
    /// What stands for the one before.
    pub(super) tip: Tip,
    /// One past the last entry known to exist.
    pub(super) known: u64,
    /// One past the last entry that its author's signature proved.
    pub(super) proven: u64,
    /// Its author's own word on its next entry.
    pub(super) author_said: u64,
    pub(super) history: History,
    /// The first entry that nobody had told of when this log was first heard of.
    told: u64,
    pub(super) ask: Ask,
    pub(super) claims: Claims,
    pub(super) heard_at: Time,
    /// Its author was here in that run: nobody made it up.
    pub(super) met: bool,
    /// Its author left: nothing more will come of it but from others.
    pub(super) said_bye: bool,
    /// Two machines write it. It ends where that was found out.
    pub(super) forked: bool,
    /// What shows that.
    pub(super) proof: Option<Proof>,
    /// When its author was last told how far we are.
    pub(super) confirmed_at: Option<Time>,
    /// How often that was said again, and how far we were.
    told_again: (u64, u32),
    next_message: u64,
    nick: Option<Nick>,
    assembly: Option<Assembly>,
}

impl Log {
    pub(super) const fn new(now: Time, history: History, told: u64) -> Self {
        Self {
            held: BTreeMap::new(),
            next: 1,
            tip: Tip::Known(NO_DIGEST),
            known: 1,
            proven: 1,
            author_said: 1,
            history,
            told,
            ask: Ask {
                at: None,
                since: now,
                round: 0,
                elsewhere: 0,
                elsewhere_since: None,
                sent_at: None,
                until: 0,
                first: 0,
                far: false,
                asked: None,
                put_off: false,
            },
            claims: Claims::new(),
            heard_at: now,
            met: false,
            said_bye: false,
            forked: false,
            proof: None,
            confirmed_at: None,
            told_again: (0, 0),
            next_message: 1,
            nick: None,
            assembly: None,
        }
    }

    /// A log that was delivered so far before it made room for others.
    pub(super) const fn resumed(mut self, mark: Mark) -> Self {
        (self.next, self.known, self.next_message) = (mark.next, mark.next, mark.next_message);
        (self.tip, self.met, self.forked) = (mark.tip, mark.met, mark.forked);
        self
    }

    /// How far it is, for others. No digest, if two machines write it: whoever tells one does not know.
    pub(super) fn progress(&self, id: LogId) -> Progress {
        let tip = if self.forked || self.proof.is_some() { NO_DIGEST } else { self.tip.digest() };
        Progress::new(id, self.next, self.floor(), tip)
    }

    /// The digest of the entry before `next`, if it was here.
    pub(super) fn digest_before(&self, next: u64) -> Option<Digest> {
        if next == self.next {
            return self.tip.known();
        }
        self.held.get(&next.checked_sub(1)?).filter(|_| next < self.next).map(|held| held.digest)
    }

    /// Whether the next entry, if it is here, follows what was delivered.
    pub(super) fn continues(&self) -> bool {
        let prev = self.held.get(&self.next).map(|held| held.prev);
        prev.is_none_or(|prev| self.tip.known().is_none_or(|tip| tip == prev))
    }

    /// Whether this entry would tell the digest of the last one delivered, which was skipped.
    pub(super) const fn lacks_tip(&self, seq: u64) -> bool {
        self.tip.known().is_none() && seq + 1 == self.next
    }

    /// The number of the next message.
    pub(super) const fn next_message(&self) -> u64 {
        self.next_message
    }

    /// The first entry that this node can give.
    pub(super) fn floor(&self) -> u64 {
        self.held.keys().next().map_or(self.next, |&first| first.min(self.next))
    }

    /// What its author called itself last, if anything of it was delivered.
    pub(super) const fn nick(&self) -> Option<&Nick> {
        self.nick.as_ref()
    }

    /// Bytes of all entries kept.
    pub(super) fn bytes(&self) -> usize {
        self.held.values().map(|held| held.raw.len()).sum()
    }

    /// The first entry that was said after we woke, of an author who is not here to say which it is:
    /// nobody told of it before, and its author's clock agrees.
    pub(super) fn first_news(&self, woke: WallTime) -> u64 {
        let is_news = |held: &Held| parse_entry(&held.raw).is_ok_and(|signed| signed.entry.wall_ms >= woke.0);
        let mut later = self.held.range(self.told..);
        later.find(|(_, held)| is_news(held)).map_or(self.known, |(&seq, _)| seq)
    }

    /// Whether everything known to exist is here.
    pub(super) fn is_complete(&self) -> bool {
        self.first_missing().is_none()
    }

    /// The first entry that is known to exist and is not here.
    pub(super) fn first_missing(&self) -> Option<u64> {
        let mut expected = self.next;
        for &seq in self.held.range(self.next..).map(|(seq, _)| seq) {
            if seq != expected {
                break;
            }
            expected += 1;
        }
        (expected < self.known).then_some(expected)
    }

    /// What is known to exist and is not here: ranges up to but not including their ends, with at
    /// most `entries` entries and `ranges` ranges.
    pub(super) fn missing(&self, entries: u64, ranges: usize) -> Vec<(u64, u64)> {
        self.missing_below(u64::MAX, entries, ranges)
    }

    /// Of that what lies below an entry.
    pub(super) fn missing_below(&self, below: u64, entries: u64, ranges: usize) -> Vec<(u64, u64)> {
        let mut holes = Vec::new();
        let (mut from, mut left) = (self.next, entries);
        let ends = self.held.range(self.next..).map(|(&seq, _)| seq).chain([self.known]);
        for end in ends.map(|end| end.min(below)) {
            if end > from && left > 0 && holes.len() < ranges {
                let to = end.min(from.saturating_add(left));
                holes.push((from, to));
                left -= to - from;
            }
            from = end + 1;
        }
        holes
    }

    /// How many entries are known to exist and are not here. Counts no farther than `limit`.
    pub(super) fn lacks(&self, limit: u64) -> u64 {
        self.missing(limit, usize::MAX).iter().map(|(from, to)| to - from).sum()
    }

    /// How many of the entries that were asked for are not here.
    pub(super) fn outstanding(&self) -> u64 {
        let asked = self
            .missing(u64::MAX, usize::MAX)
            .into_iter()
            .map_while(|(from, to)| (from < self.ask.until).then(|| to.min(self.ask.until) - from));
        asked.sum()
    }

    /// A peer says how far it has this log.
    pub(super) fn note_claim(&mut self, peer: PeerId, next: u64, floor: u64, now: Time) {
        if self.claims.note(peer, (next, floor), self.next, now) {
            self.known = self.known.max(next);
        }
    }

    /// How far others are believed to have it while its author is here: a little farther than what it said itself.
    pub(super) fn credible(&self) -> u64 {
        self.author_said.max(self.proven).saturating_add(FAR_BEHIND)
    }

    /// The author itself says how far it is.
    pub(super) fn note_author(&mut self, author: PeerId, head: u64, now: Time) {
        self.claims.trust(author);
        self.note_claim(author, head, 1, now);
        self.known = self.known.max(head);
        self.author_said = self.author_said.max(head);
    }

    /// Bytes of a long line of which parts are still to come.
    pub(super) fn assembling(&self) -> usize {
        self.assembly.as_ref().map_or(0, |assembly| assembly.text.len())
    }

    /// The rest of a long line is not waited for: when its last part comes, it is told as lost.
    pub(super) fn drop_assembly(&mut self) {
        self.assembly = None;
    }

    /// Entries kept that are not delivered, for something before them is lacking.
    pub(super) fn ahead(&self) -> usize {
        let delivered = self.held.keys().next().map_or(0, |&first| self.next.saturating_sub(first));
        self.held.len().saturating_sub(usize::try_from(delivered).unwrap_or(usize::MAX))
    }

    /// Whether somebody who is here claims to have what is lacking.
    pub(super) fn is_claimed(&self) -> bool {
        self.claims.beyond(self.next).next().is_some()
    }

    /// Nobody gives what was claimed: believe only what is here.
    pub(super) fn forget_claims(&mut self) {
        self.claims.clear();
        let last = self.held.keys().next_back().map_or(0, |&last| last + 1);
        self.known = self.next.max(last);
        self.ask = Ask::default();
    }

    /// An entry came once more: whether its author is to be told again how far we are. A copy is nobody's word: whoever
    /// recorded it may say it for ever.
    pub(super) fn tells_again(&mut self) -> bool {
        if self.told_again.0 != self.next {
            self.told_again = (self.next, 0);
        }
        self.told_again.1 += 1;
        self.told_again.1 <= TOLD_AGAIN_MAX
    }

    /// The first entry that is here and not delivered: what follows a hole, or waits for a reader.
    pub(super) fn first_held(&self) -> Option<u64> {
        self.held.range(self.next..).next().map(|(&seq, _)| seq)
    }

    /// Goes on behind entries that nobody can give, at the first that is here if there is one before `seq`; the next
    /// entry tells how many messages that were.
    pub(super) fn skip_to(&mut self, seq: u64) {
        let seq = self.first_held().map_or(seq, |held| held.min(seq));
        if seq <= self.next {
            return;
        }
        let before = self.held.get(&(seq - 1)).map(|held| Tip::Known(held.digest));
        (self.next, self.tip) = (seq, before.unwrap_or(Tip::Unknown));
        self.known = self.known.max(self.next);
        self.assembly = None;
    }

    /// Delivers the next entry if it is here. False if it is not. `woke` is when we did.
    pub(super) fn deliver_next(
        &mut self,
        id: LogId,
        woke: WallTime,
        news: &mut impl Extend<News>,
        stats: &mut Stats,
    ) -> bool {
        let Some(held) = self.held.get(&self.next) else { return false };
        let (raw, arrival) = (Arc::clone(&held.raw), held.arrival);
        let seq = self.next;
        (self.next, self.tip) = (seq + 1, Tip::Known(held.digest));
        let Ok(signed) = parse_entry(&raw) else { return true };
        let entry = &signed.entry;
        let below = seq < self.history.until();
        let wall = WallTime(entry.wall_ms);
        let history = below && (is_before(wall, woke) || !matches!(self.history, History::Before(_)));
        let nick = Nick::from_any(entry.nick);
        self.nick = Some(nick.clone());
        if entry.first > self.next_message {
            let count = entry.first - self.next_message;
            // What was said before we joined and is kept by nobody any more is no loss of ours.
            if !history {
                stats.lost = stats.lost.saturating_add(count);
                news.extend([News::Gap { log: id, nick: self.nick.clone(), count }]);
            }
        } else if entry.first < self.next_message {
            // A number that was given twice: our author numbers from 1 without holes.
            stats.malformed += 1;
            return true;
        }
        self.next_message = entry.first.saturating_add(u64::from(entry.count));
        let lines = self.lines(entry);
        let Some(arrival) = arrival else { return true };
        // A message of which a part is gone, or whose content is not what it says.
        let lost = u64::from(entry.count).saturating_sub(lines.len() as u64);
        if lost > 0 && !history && entry.kind == ENTRY_TEXT {
            stats.lost = stats.lost.saturating_add(lost);
            news.extend([News::Gap { log: id, nick: self.nick.clone(), count: lost }]);
        }
        stats.delivered += lines.len() as u64;
        let is_old = !self.met && is_long_before(wall, woke);
        news.extend((entry.first..).zip(lines).map(|(seq, text)| {
            let nick = nick.clone();
            let history = history || is_old;
            News::Said(Said { log: id, nick, seq, wall, text, history, arrival })
        }));
        true
    }

    /// The messages that are completed in an entry. What is not text of ours is none.
    fn lines(&mut self, entry: &Entry<'_>) -> Vec<Line> {
        if entry.kind != ENTRY_TEXT {
            return Vec::new();
        }
        let Ok(text) = body::decode::<Text>(entry.body) else { return Vec::new() };
        match (text.part, text.parts) {
            (Some(part), Some(parts)) => self.assemble(part, parts, &text).into_iter().collect(),
            _ if text.lines.len() as u64 == u64::from(entry.count) => {
                text.lines.iter().map(|line| Line::from_peer(line)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn assemble(&mut self, part: u16, parts: u16, text: &Text) -> Option<Line> {
        let chunk = text.lines.first()?;
        let mut assembly = match self.assembly.take() {
            _ if part == 0 => Assembly { next_part: 0, text: String::new() },
            Some(assembly) if assembly.next_part == part => assembly,
            _ => return None,
        };
        if parts > PARTS_MAX || part >= parts || assembly.text.len() + chunk.len() > 3 * LINE_MAX {
            return None;
        }
        assembly.text.push_str(chunk);
        assembly.next_part += 1;
        if assembly.next_part == parts {
            return Some(Line::from_peer(&assembly.text));
        }
        self.assembly = Some(assembly);
        None
    }
}

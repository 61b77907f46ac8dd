//! Judges events as they come and forgets them, so that a million messages take no room.
//!
//! For worlds in which nobody runs anew and nobody joins late: then every line is to be shown by
//! everybody else, once, in the order it was said. `World::watch` hands every event in here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use udpnode::event::{Event, Message};
use udpnode::time::Time;

/// What was said and is not shown by all, what was shown, and what was wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    authors: Vec<Author>,
    /// Lines that are to be shown, each at each of the others.
    pub(crate) due: u64,
    /// Lines shown for the first time.
    pub(crate) shown: u64,
    /// Lines shown again.
    pub(crate) twice: u64,
    /// Lines shown before an earlier one of the same author.
    pub(crate) disordered: u64,
    /// Lines shown with another text than was said, or that nobody said.
    pub(crate) wrong: u64,
    /// Lines shown as history though everybody was there.
    pub(crate) as_history: u64,
    /// Marks that count more peers than have shown the line.
    pub(crate) false_marks: u64,
    /// Marks that count everybody.
    pub(crate) full_marks: u64,
    /// Gaps, peers lost, and warnings: none of them is to be told in such a world.
    pub(crate) alarms: u64,
    /// How often a line took so many tenths of a millisecond.
    times: BTreeMap<u64, u64>,
}

/// One author: what is not shown by all yet, and how far each listener is.
#[derive(Debug, Default)]
struct Author {
    /// The number of the first line in `open`.
    first: u64,
    open: VecDeque<(Time, String)>,
    /// By listener: the next number it is to show.
    next: Vec<u64>,
}

impl Watch {
    /// For this many nodes.
    pub(crate) fn of(count: usize) -> Self {
        let author = |_| Author { first: 1, open: VecDeque::new(), next: vec![1; count] };
        Self { authors: (0..count).map(author).collect(), ..Self::default() }
    }

    /// A node was told something.
    pub(crate) fn on_event(&mut self, now: Time, host: usize, event: &Event) {
        match event {
            Event::Sent { text, .. } => {
                self.authors[host].open.push_back((now, text.to_string()));
                self.due += self.authors.len() as u64 - 1;
            }
            Event::Message(message) => self.on_message(now, host, message),
            Event::Delivered { seq, confirmed, online } => {
                let author = &self.authors[host];
                let holding = (0..author.next.len()).filter(|&other| other != host && author.next[other] > *seq);
                self.false_marks += u64::from(*confirmed > holding.count());
                self.full_marks += u64::from(confirmed == online && *online == author.next.len() - 1);
            }
            Event::Gap { .. } | Event::Lost(..) | Event::Disconnected(_) | Event::Warning(_) => self.alarms += 1,
            _ => {}
        }
    }

    fn on_message(&mut self, now: Time, host: usize, message: &Message) {
        let nick = message.from.nick.to_string();
        let author = nick.strip_prefix('n').and_then(|number| number.parse::<usize>().ok());
        let Some(author) = author.and_then(|author| self.authors.get_mut(author)) else {
            self.wrong += 1;
            return;
        };
        self.as_history += u64::from(message.history);
        let next = &mut author.next[host];
        if message.seq < *next {
            self.twice += 1;
            return;
        }
        self.disordered += message.seq - *next;
        *next = message.seq + 1;
        let said = usize::try_from(message.seq - author.first).ok().and_then(|at| author.open.get(at));
        let Some((at, text)) = said else {
            self.wrong += 1;
            return;
        };
        self.wrong += u64::from(*text != message.text.to_string());
        self.shown += 1;
        let tenths = now.since(*at).as_micros() as u64 / 100;
        *self.times.entry(tenths).or_default() += 1;
        author.forget();
    }

    /// Lines that somebody still has to show.
    pub(crate) const fn owed(&self) -> u64 {
        self.due.saturating_sub(self.shown)
    }

    /// The time within which this part of all lines was shown.
    pub(crate) fn within(&self, part: f64) -> Duration {
        let rank = ((self.shown as f64 * part).ceil() as u64).max(1);
        let mut sum = 0;
        let found = self.times.iter().find(|&(_, count)| {
            sum += count;
            sum >= rank
        });
        Duration::from_micros(found.map_or(0, |(tenths, _)| tenths * 100))
    }

    /// The longest that a line took.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.times.keys().next_back().map_or(0, |tenths| tenths * 100))
    }

    /// Everything said was shown to everybody, once, in order, as it was said, and no mark told
    /// more than was so.
    #[track_caller]
    pub(crate) fn all_is_well(&self) {
        let faults = [
            ("lost", self.owed()),
            ("shown twice", self.twice),
            ("out of order", self.disordered),
            ("not as said", self.wrong),
            ("shown as history", self.as_history),
            ("marked falsely", self.false_marks),
        ];
        let faults: Vec<_> = faults.into_iter().filter(|(_, count)| *count > 0).collect();
        assert!(faults.is_empty(), "{faults:?} of {} lines due", self.due);
    }
}

impl Author {
    /// Forgets what everybody has shown.
    fn forget(&mut self) {
        // The author itself shows nothing: its own place stays at 1.
        let slowest = self.next.iter().copied().filter(|&next| next > 1).min().unwrap_or(1);
        let all = self.next.iter().filter(|&&next| next > 1).count() + 1 >= self.next.len();
        while all && self.first < slowest {
            self.open.pop_front();
            self.first += 1;
        }
    }
}

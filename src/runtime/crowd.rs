//! Many who come or go at once, in one line: "and 243 more joined". For people; scripts are told of each.

use std::time::{Duration, Instant};

use crate::event::Event;

/// Comings, or goings, shown one by one within a span; those beyond are counted.
const SHOWN_MAX: u32 = 10;

/// How long what is counted waits to be told.
const SPAN: Duration = Duration::from_secs(1);

/// What is counted, in the words of the line that tells it.
const KINDS: [&str; 4] = ["joined", "left", "are lost", "are back"];

/// One kind of coming or going.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    /// When the span ends. None while there is none.
    ends_at: Option<Instant>,
    shown: u32,
    hidden: u64,
}

/// Those who come and go.
#[derive(Debug, Default)]
pub(crate) struct Crowd([Kind; KINDS.len()]);

impl Crowd {
    /// Whether an event is shown for itself; else it is counted.
    pub(crate) fn shows(&mut self, event: &Event, now: Instant) -> bool {
        let kind = match event {
            Event::Joined(..) => &mut self.0[0],
            Event::Left(..) => &mut self.0[1],
            Event::Lost(..) => &mut self.0[2],
            Event::Back(..) => &mut self.0[3],
            _ => return true,
        };
        kind.ends_at.get_or_insert(now + SPAN);
        kind.shown += 1;
        let shows = kind.shown <= SHOWN_MAX;
        kind.hidden += u64::from(!shows);
        shows
    }

    /// When there is something to tell.
    pub(crate) fn by(&self) -> Option<Instant> {
        self.0.iter().filter_map(|kind| kind.ends_at).min()
    }

    /// What is to be told now. While many come without a pause, they are but counted.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for (kind, what) in self.0.iter_mut().zip(KINDS) {
            if kind.ends_at.is_none_or(|at| at > now) {
                continue;
            }
            let hidden = std::mem::take(&mut kind.hidden);
            *kind = Kind::default();
            if hidden > 0 {
                *kind = Kind { ends_at: Some(now + SPAN), shown: SHOWN_MAX, hidden: 0 };
                lines.push(format!("and {hidden} more {what}"));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::PeerName;
    use crate::id::PeerId;
    use crate::text::Nick;

    fn joined() -> Event {
        let name = PeerName { id: PeerId([1; 16]), nick: Nick::from_any("x"), suffix: 0 };
        Event::Joined(name, "10.0.0.9:5009".parse().expect("an address"))
    }

    #[test]
    fn few_are_shown_and_the_others_are_counted() {
        let (mut crowd, began) = (Crowd::default(), Instant::now());
        let later = |ms| began + Duration::from_millis(ms);
        assert_eq!((0..253).filter(|_| crowd.shows(&joined(), began)).count(), 10);
        assert!(crowd.shows(&Event::Connected, began), "what is no coming or going is shown");
        assert_eq!((crowd.by(), crowd.take_due(later(999)).len()), (Some(later(1000)), 0));
        assert_eq!(crowd.take_due(later(1000)), ["and 243 more joined"]);
        assert_eq!((0..30).filter(|_| crowd.shows(&joined(), later(1500))).count(), 0, "it goes on");
        assert_eq!(crowd.take_due(later(2000)), ["and 30 more joined"]);
        assert_eq!(crowd.take_due(later(3000)).len(), 0);
        assert_eq!(crowd.by(), None, "nothing to wake for");
        assert!(crowd.shows(&joined(), later(3001)));
    }
}

//! What is to be done when: a time for each of many things.

use std::collections::{BTreeMap, BTreeSet};

use super::Time;

/// Things with a time each. The earliest is known at once; all else takes as long as the logarithm of how many.
#[derive(Clone, Debug)]
pub struct Agenda<K> {
    times: BTreeMap<K, Time>,
    order: BTreeSet<(Time, K)>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self { times: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Agenda<K> {
    /// The earliest time of all.
    #[must_use]
    pub fn wake_at(&self) -> Option<Time> {
        self.order.first().map(|&(at, _)| at)
    }

    /// Sets the time of one thing, whatever it was.
    pub fn set(&mut self, key: K, at: Time) {
        let was = self.times.insert(key, at);
        if was == Some(at) {
            return;
        }
        if let Some(was) = was {
            self.order.remove(&(was, key));
        }
        self.order.insert((at, key));
    }

    /// Sets the time of one thing, unless it has an earlier one.
    pub fn set_by(&mut self, key: K, at: Time) {
        if self.times.get(&key).is_none_or(|&was| at < was) {
            self.set(key, at);
        }
    }

    /// Sets the time of one thing that has none.
    pub fn set_once(&mut self, key: K, at: Time) {
        if !self.times.contains_key(&key) {
            self.set(key, at);
        }
    }

    /// One thing is not to be done any more.
    pub fn remove(&mut self, key: K) {
        if let Some(at) = self.times.remove(&key) {
            self.order.remove(&(at, key));
        }
    }

    /// Takes everything whose time has come, the earliest first.
    pub fn take_due(&mut self, now: Time) -> Vec<K> {
        let mut due = Vec::new();
        while let Some(&(at, key)) = self.order.first().filter(|(at, _)| *at <= now) {
            self.order.remove(&(at, key));
            self.times.remove(&key);
            due.push(key);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    #[test]
    fn what_is_due_is_taken_once_and_in_order() {
        let mut agenda = Agenda::default();
        for (key, micros) in [('a', 7), ('b', 3), ('c', 9), ('a', 2)] {
            agenda.set(key, at(micros));
        }
        agenda.set_by('c', at(20));
        agenda.set_once('b', at(1));
        agenda.set_once('d', at(30));
        assert_eq!(agenda.take_due(at(1)), []);
        assert_eq!((agenda.wake_at(), agenda.take_due(at(9))), (Some(at(2)), vec!['a', 'b', 'c']));
        agenda.set_by('d', at(4));
        agenda.remove('x');
        assert_eq!(agenda.wake_at(), Some(at(4)));
        agenda.remove('d');
        assert_eq!((agenda.wake_at(), agenda.take_due(at(99))), (None, vec![]));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map_that_is_looked_through(
            steps in prop::collection::vec((0..5u8, 0..8u8, 0..50u64), 0..80),
        ) {
            let (mut agenda, mut map) = (Agenda::default(), BTreeMap::<u8, Time>::new());
            for (what, key, micros) in steps {
                let time = at(micros);
                match what {
                    0 => {
                        agenda.set(key, time);
                        map.insert(key, time);
                    }
                    1 => {
                        agenda.set_by(key, time);
                        let was = map.entry(key).or_insert(time);
                        *was = time.min(*was);
                    }
                    2 => {
                        agenda.set_once(key, time);
                        map.entry(key).or_insert(time);
                    }
                    3 => {
                        agenda.remove(key);
                        map.remove(&key);
                    }
                    _ => {
                        let due = map.iter().filter(|(_, at)| **at <= time);
                        let mut due: Vec<_> = due.map(|(&key, &at)| (at, key)).collect();
                        due.sort_unstable();
                        map.retain(|_, at| *at > time);
                        prop_assert_eq!(agenda.take_due(time), due.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!(agenda.wake_at(), map.values().min().copied());
            }
        }
    }
}

//! Something of many peers, in the order of their ids, in one piece of memory.

use super::PeerId;

/// Room that is made at once: what one hello tells.
const STEP: usize = 28;

/// A sorted map from peers. Who goes through it in the order of ids finds each next one without searching, and it
/// takes little more than what is in it: a crowd keeps a row for each of its members.
#[derive(Clone, Debug)]
pub struct Row<V> {
    cells: Vec<(PeerId, V)>,
}

impl<V> Default for Row<V> {
    fn default() -> Self {
        Self { cells: Vec::new() }
    }
}

impl<V> Row<V> {
    /// Where a peer stands, or would; `hint` is where it may be.
    fn find(&self, id: PeerId, hint: usize) -> Result<usize, usize> {
        match self.cells.get(hint) {
            Some((at, _)) if *at == id => Ok(hint),
            _ => self.cells.binary_search_by(|(at, _)| at.cmp(&id)),
        }
    }

    /// What there is of a peer.
    #[must_use]
    pub fn get(&self, id: PeerId) -> Option<&V> {
        self.find(id, 0).ok().map(|at| &self.cells[at].1)
    }

    /// For each of these peers, fastest in the order of ids, what `make` makes of what there is; where it makes
    /// nothing all stays as it is.
    pub fn put_all<T>(
        &mut self,
        all: impl Iterator<Item = (PeerId, T)>,
        mut make: impl FnMut(T, Option<&V>) -> Option<V>,
    ) {
        let mut next = 0;
        for (id, told) in all {
            let found = self.find(id, next);
            let (Ok(at) | Err(at)) = found;
            next = at;
            let Some(made) = make(told, found.ok().map(|at| &self.cells[at].1)) else { continue };
            match found {
                Ok(at) => self.cells[at].1 = made,
                Err(at) => {
                    if self.cells.len() == self.cells.capacity() {
                        self.cells.reserve_exact(STEP);
                    }
                    self.cells.insert(at, (id, made));
                }
            }
            next = at + 1;
        }
    }

    /// Nothing of this peer any more. Whether there was anything.
    pub fn remove(&mut self, id: PeerId) -> bool {
        let removed = self.find(id, 0).map(|at| self.cells.remove(at)).is_ok();
        self.shrink();
        removed
    }

    /// Only what is to stay.
    pub fn retain(&mut self, mut stays: impl FnMut(PeerId, &V) -> bool) {
        self.cells.retain(|(id, value)| stays(*id, value));
        self.shrink();
    }

    /// Nothing any more.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.shrink();
    }

    /// Tables are bounded by what is in their rows: none keeps much more room than it needs.
    fn shrink(&mut self) {
        if self.cells.capacity() > self.cells.len() + 2 * STEP {
            self.cells.shrink_to(self.cells.len() + STEP);
        }
    }

    /// All, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (PeerId, &V)> {
        self.cells.iter().map(|(id, value)| (*id, value))
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_agrees_with_a_map(
            steps in prop::collection::vec(
                (0..6u8, prop::collection::vec((0..200u8, 0..9u8), 0..90), any::<bool>()), 0..40),
        ) {
            let (mut row, mut map) = (Row::default(), BTreeMap::new());
            for (what, mut told, sorted) in steps {
                if sorted {
                    told.sort_unstable();
                }
                let all = told.iter().map(|&(n, value)| (PeerId([n; 16]), value));
                match what {
                    0..=3 => {
                        // Odd ones are not taken where there is something.
                        row.put_all(all.clone(), |value, was| (value % 2 == 0 || was.is_none()).then_some(value));
                        for (id, value) in all {
                            if value % 2 == 0 || !map.contains_key(&id) {
                                map.insert(id, value);
                            }
                        }
                    }
                    4 => for (id, _) in all {
                        prop_assert_eq!(row.remove(id), map.remove(&id).is_some());
                    },
                    _ => {
                        row.retain(|_, value| *value < 7);
                        map.retain(|_, value| *value < 7);
                    }
                }
                prop_assert_eq!((row.len(), row.is_empty()), (map.len(), map.is_empty()));
                prop_assert!(row.cells.capacity() <= row.len() + 2 * STEP);
                prop_assert!(row.iter().eq(map.iter().map(|(&id, value)| (id, value))));
                for n in 0..200 {
                    prop_assert_eq!(row.get(PeerId([n; 16])), map.get(&PeerId([n; 16])));
                }
            }
        }
    }
}

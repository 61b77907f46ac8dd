//! The peers that a person names, and those that are remembered from run to run.

use std::time::Duration;

use super::{Shell, wall};
use crate::command::Command;
use crate::node::Input;
use crate::runtime::pins::Keep;
use crate::time::Time;

/// How often names are looked after, and what is to be remembered.
const PEERS_EVERY: Duration = Duration::from_secs(2);

impl Shell {
    /// Looks after the peers that are not found by casts, now and then.
    pub(super) fn mind_peers(&mut self) {
        let now = self.now();
        if now >= self.peers_at {
            self.peers_at = now + PEERS_EVERY;
            self.look_for_peers();
            self.remember_peers(false);
            self.keep_pins(Keep::Soon);
        }
    }

    /// When [`Shell::mind_peers`] has something to do.
    pub(super) fn peers_by(&self) -> Option<Time> {
        (self.peers.has_names() || self.memory.is_some()).then_some(self.peers_at)
    }

    /// Looks after names, now and then and when the bell rings.
    pub(super) fn look_for_peers(&mut self) {
        let now = self.now();
        let found = self.peers.take(now);
        found.warnings.iter().for_each(|text| self.teller.warning(text));
        if let Some(addresses) = found.addresses {
            self.handle(Input::Command(Command::Peers(addresses)));
        }
        if let Some(node) = self.machine.native() {
            self.peers.look(now, |address| node.hears(address));
        }
    }

    /// Remembers who could not be found otherwise; `last`: this is the last time in this run.
    pub(super) fn remember_peers(&mut self, last: bool) {
        let (Some(memory), Some(node)) = (&mut self.memory, self.machine.native()) else { return };
        memory.note(&node.peers_to_remember(), wall());
        if let Err(why) = memory.save(last) {
            self.teller.warning(&format!("cannot remember the peers of other networks: {why}"));
        }
    }

    /// Keeps whose names are whose for the next run, if that changed.
    pub(super) fn keep_pins(&mut self, keep: Keep) {
        let (Some(pins), Some(node)) = (&mut self.pins, self.machine.native()) else { return };
        if let Err(why) = pins.save(node, wall(), keep) {
            self.teller.warning(&format!("cannot keep whose names are whose: {why}"));
        }
    }
}

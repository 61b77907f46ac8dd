//! Follows the interfaces: when something changed, when sending fails, and now and then.

use std::time::Duration;

use super::{LOOK_EVERY, Shell};
use crate::node::Input;
use crate::runtime::netlink::Watch;
use crate::runtime::network::Changes;

/// How often the interfaces are looked at though nothing tells of a change.
const LOOK_SELDOM: Duration = Duration::from_secs(10);

/// Changes so close to the look before are looked at together.
const LOOK_APART: Duration = Duration::from_millis(20);

impl Shell {
    /// Looks at the interfaces: when something changed, when sending fails, and now and then.
    pub(super) fn look_around(&mut self) {
        let troubles = self.sockets.take_troubles();
        let now = self.now();
        if !troubles.is_empty() {
            self.look_at = now;
        }
        let noticed = self.watch.as_mut().map(Watch::read).unwrap_or_default();
        self.deleted.extend(noticed.deleted);
        if noticed.change {
            self.look_at = self.look_at.min(now.max(self.looked_at + LOOK_APART));
        }
        self.survey_on_time();
        if now < self.look_at {
            return;
        }
        // Whoever could not be accepted before may be now.
        self.ready.extend(self.streams.listeners().chain(self.control.listener()));
        let changes = self.network.follow(self.poll.registry(), &mut self.sockets, &mut self.deleted);
        self.change(changes);
        self.listen_late();
        let alert = self.watch.is_none() || self.network.is_waiting() || self.streams.is_refusing();
        (self.looked_at, self.look_at) = (now, now + if alert { LOOK_EVERY } else { LOOK_SELDOM });
        // Trouble with a segment that is gone is no news any more.
        for trouble in troubles.iter().filter(|trouble| self.sockets.is_open(trouble.segment)) {
            self.teller.warning(&trouble.text);
        }
    }

    /// Hands on what changed.
    pub(super) fn change(&mut self, changes: Changes) {
        changes.warnings.iter().for_each(|text| self.teller.warning(text));
        let news = !changes.segments.is_empty();
        for mut change in changes.segments {
            self.listen(&mut change);
            self.handle(Input::Segment(change));
        }
        if news {
            self.survey();
        }
    }
}

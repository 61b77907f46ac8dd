//! The way round a cast that does not arrive any more: who confirms nothing although others do is handed our
//! latest entry by unicast, learns from it what it lacks, and asks.
//!
//! ```text
//!   ann                              bob
//!    |-- entry 7, 8, 9 (multicast) --> x
//!    |-- entry 9 (unicast) ---------->|  7 and 8 are lacking
//!    |<-- nack 7..9 ------------------|
//!    |-- entries 7, 8 (unicast) ----->|
//! ```
//!
//! It covers the time until hellos have shown that the cast is dead and another one is chosen, and what
//! repeats cannot reach: they go by the same cast, and only when nothing newer is said.

use std::sync::Arc;
use std::time::Duration;

use super::Logs;
use crate::address::Errand;
use crate::protocol::{Context, Post, To, earlier};
use crate::wire::Message;

/// So long somebody is behind, beside the time that confirming takes, before it is handed anything; doubled
/// each time. Less would hand out what is repaired anyway.
const BEHIND_AFTER: Duration = Duration::from_millis(100);

impl Logs {
    fn behind_after(&self, ctx: &Context<'_>) -> Duration {
        BEHIND_AFTER + self.confirm_span(ctx) + self.round_trip.get()
    }

    /// We said something: from now on somebody may fall behind.
    pub(super) fn plan_detour(&mut self, ctx: &Context<'_>) {
        if !self.online.is_empty() {
            self.detour_at = earlier(self.detour_at, Some(ctx.now + self.behind_after(ctx)));
        }
    }

    /// Hands our latest entry to those who have been behind for too long.
    pub(super) fn hand_due(&mut self, ctx: &mut Context<'_>) {
        if self.detour_at.is_none_or(|at| at > ctx.now) {
            return;
        }
        let after = self.behind_after(ctx);
        let behind = self.author.take_behind(ctx.now, after);
        self.detour_at = self.author.hand_at(after).map(|at| at.max(ctx.now + Duration::from_millis(1)));
        let Some(latest) = self.logs.get(&self.own).and_then(|log| log.held.values().next_back()) else { return };
        for peer in behind {
            ctx.stats.detours += 1;
            let message = Message::Entries(Errand::Repeat, vec![Arc::clone(&latest.raw)]);
            ctx.posts.push_back(Post { to: To::Peer(peer), message });
        }
    }
}

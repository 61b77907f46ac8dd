//! Asking strangers for their hello: not too often, and never with more bytes than they sent, for
//! their address may be somebody else's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Membership, Standing};
use crate::address::SegmentId;
use crate::config::DATAGRAM_MAX;
use crate::id::PeerId;
use crate::protocol::{Context, Post, To};
use crate::time::Time;
use crate::wire::body;
use crate::wire::{Message, SIGNED_OVERHEAD};

/// Strangers that are remembered. When full, nobody more is asked until one is forgotten.
const STRANGERS_MAX: usize = 64;

/// So long after its last datagram a stranger is forgotten.
const STRANGER_FOR: Duration = Duration::from_millis(500);

/// Nobody is asked for its hello more often than this.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Addresses that may be asked for a hello.
#[derive(Debug, Default)]
pub(super) struct Strangers(BTreeMap<SocketAddr, Stranger>);

#[derive(Debug, Default)]
struct Stranger {
    asked_at: Option<Time>,
    heard_at: Time,
    /// Bytes that came from it and were not answered, a datagram's worth at most.
    credit: usize,
}

impl Strangers {
    /// Whoever is at an address, unless there are too many.
    fn at(&mut self, address: SocketAddr, now: Time) -> Option<&mut Stranger> {
        self.0.retain(|_, stranger| now.since(stranger.heard_at) < STRANGER_FOR);
        if self.0.len() >= STRANGERS_MAX && !self.0.contains_key(&address) {
            return None;
        }
        let stranger = self.0.entry(address).or_default();
        stranger.heard_at = now;
        Some(stranger)
    }
}

impl Stranger {
    /// Whether it is asked now, for `cost` bytes of credit.
    fn take(&mut self, cost: usize, now: Time) -> bool {
        if self.credit < cost || self.asked_at.is_some_and(|at| now.since(at) < ASK_AGAIN_AFTER) {
            return false;
        }
        self.credit -= cost;
        self.asked_at = Some(now);
        true
    }
}

impl Membership {
    /// A datagram of `len` bytes from somebody whom we do not know: asks for a hello once as many
    /// bytes came as that takes.
    pub fn on_stranger(
        &mut self,
        segment: SegmentId,
        address: SocketAddr,
        len: usize,
        standing: Standing<'_>,
        ctx: &mut Context<'_>,
    ) {
        if self.silent {
            return;
        }
        let hello = self.asking_hello(segment, standing, ctx);
        let cost = body::encoded_len(&hello) + SIGNED_OVERHEAD;
        let Some(stranger) = self.strangers.at(address, ctx.now) else { return };
        stranger.credit = stranger.credit.saturating_add(len).min(DATAGRAM_MAX);
        if stranger.take(cost, ctx.now) {
            ctx.posts.push_back(Post { to: To::Address(segment, address), message: Message::Hello(hello) });
        }
    }

    /// A peer is online but told us too little: asks for its hello, however many strangers there are.
    pub fn ask(&mut self, id: PeerId, standing: Standing<'_>, ctx: &mut Context<'_>) {
        let Some(peer) = self.peers.get_mut(&id).filter(|_| !self.silent) else { return };
        let Some((segment, address)) = peer.best_path() else { return };
        if peer.asked_at.is_some_and(|at| ctx.now.since(at) < ASK_AGAIN_AFTER) {
            return;
        }
        peer.asked_at = Some(ctx.now);
        let hello = Message::Hello(self.asking_hello(segment, standing, ctx));
        ctx.posts.push_back(Post { to: To::Address(segment, address), message: hello });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn a_stranger_is_asked_for_no_more_than_it_sent() {
        let (mut strangers, address) = (Strangers::default(), SocketAddr::from(([10, 0, 0, 9], 5009)));
        let mut hear = |len: usize, ms: u64| {
            let stranger = strangers.at(address, at(ms)).expect("room");
            stranger.credit += len;
            stranger.take(160, at(ms))
        };
        assert!(!hear(100, 0), "too little came");
        assert!(hear(100, 10), "200 bytes came for 160");
        assert!(!hear(200, 20), "it was asked a moment ago");
        assert!(hear(0, 300), "what came meanwhile counts");
        assert!(!hear(10, 400) && !hear(60, 2000), "nothing is left, nor kept for ever");
    }

    #[test]
    fn the_table_of_strangers_is_bounded() {
        let mut strangers = Strangers::default();
        let heard = (0..500u16).filter(|&n| strangers.at(SocketAddr::from(([10, 0, 0, 9], n)), at(1)).is_some());
        assert_eq!(heard.count(), STRANGERS_MAX);
        assert!(strangers.at(SocketAddr::from(([10, 0, 0, 9], 999)), at(1000)).is_some(), "they are forgotten");
    }
}

//! What [`crate::protocol::contacts`] needs of the table of peers, and greets by.

use std::net::SocketAddr;

use super::greeting::Telling;
use super::{Membership, Peer, Standing};
use crate::protocol::{Context, Post, To};
use crate::time::Time;
use crate::wire::body::{FLAG_ASKS, encoded_len};
use crate::wire::{Message, SIGNED_OVERHEAD};

impl Peer {
    /// Whether no cast of ours was known to reach it when it was heard last.
    #[must_use]
    pub fn was_afar(&self) -> bool {
        self.is_afar(self.heard_at)
    }
}

impl Membership {
    /// Says hello to an address where somebody may be, in few bytes: it tells nothing of others. By
    /// which segment is a matter of the turn, if none is in its network.
    /// Returns the length of the datagram, or 0 if no segment leads there.
    pub fn greet_address(&self, to: (SocketAddr, u32), standing: Standing<'_>, ctx: &mut Context<'_>) -> usize {
        let (address, turn) = to;
        let Some(segment) = self.segment_towards(address, turn) else { return 0 };
        let hello = self.hello(segment, Telling::Nobody, FLAG_ASKS, standing, ctx);
        let len = SIGNED_OVERHEAD + encoded_len(&hello);
        ctx.posts.push_back(Post { to: To::Address(segment, address), message: Message::Hello(hello) });
        len
    }

    /// The addresses of those who are online and whom no cast reaches: the next run is to find them again.
    pub fn afar(&self, now: Time) -> Vec<SocketAddr> {
        let afar = self.online().filter(|(_, peer)| peer.is_afar(now));
        let mut addresses: Vec<_> = afar.filter_map(|(_, peer)| peer.best_path()).map(|(_, at)| at).collect();
        addresses.sort_unstable();
        addresses
    }
}

//! What [`crate::protocol::contacts`] needs of the table of peers, and greets by.

use std::net::SocketAddr;

use super::greeting::Telling;
use super::{Membership, Peer, Standing};
use crate::address::attempt;
use crate::protocol::{Context, Post, To};
use crate::time::Time;
use crate::wire::body::{FLAG_ASKS, Hello, encoded_len};
use crate::wire::{Message, SIGNED_OVERHEAD};

impl Peer {
    /// Whether no cast of ours was known to reach it when it was heard last.
    #[must_use]
    pub fn was_afar(&self) -> bool {
        self.is_afar(self.heard_at)
    }
}

impl Membership {
    /// Whether a peer is heard from this address. Whoever is cut off hears nobody.
    pub fn hears(&self, address: SocketAddr) -> bool {
        let here = |(_, peer): (_, &Peer)| peer.paths.values().any(|path| path.address == address);
        !self.vigil.cut_off && self.online().any(here)
    }

    /// Says hello to an address where somebody may be, in few bytes: it tells nothing of others. Beside the address
    /// stands the number of this try, see [`attempt`].
    /// Returns the length of the datagram, or 0 if no segment leads there.
    pub fn greet_address(&self, to: (SocketAddr, u32), standing: Standing<'_>, ctx: &mut Context<'_>) -> usize {
        self.try_address(to, Telling::Nobody, standing, ctx)
    }

    /// Asks for a hello at an address where somebody may be.
    pub(super) fn try_address(
        &self,
        to: (SocketAddr, u32),
        telling: Telling,
        standing: Standing<'_>,
        ctx: &mut Context<'_>,
    ) -> usize {
        let (address, tries) = to;
        let Some((segment, beyond)) = attempt(self.segments.values(), address, tries) else { return 0 };
        let (to, hello) = if beyond {
            // Which segment it will be is not known here: of none it tells anything.
            let hello = self.hello(segment.id, Telling::Nobody, FLAG_ASKS, standing, ctx);
            (To::Beyond(segment.id, address), Hello { interface: None, sends: None, ..hello })
        } else {
            (To::Address(segment.id, address), self.hello(segment.id, telling, FLAG_ASKS, standing, ctx))
        };
        let len = SIGNED_OVERHEAD + encoded_len(&hello);
        ctx.posts.push_back(Post { to, message: Message::Hello(hello) });
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

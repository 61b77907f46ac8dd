//! Who makes room when the table of peers is full.
//!
//! Identities cost nothing, and one host may make up as many as the table holds. So hosts share it: where all are
//! online, or lost and called for, a host that has more of it than another would have gives one up.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{KNOWN_AFTER, Membership, Peer, Presence};
use crate::id::PeerId;
use crate::protocol::{Context, News};

impl Membership {
    /// Drops a peer for somebody at `host`, or of whom no address is proven: one that is not online and was silent
    /// longest, those first who were hardly known; else one of a host that has many. False if nobody is to go.
    pub(super) fn make_room(&mut self, host: Option<IpAddr>, ctx: &mut Context<'_>) -> bool {
        let gone = self.gone(ctx).or_else(|| {
            self.tell_full(ctx);
            self.crowding(host)
        });
        let Some((id, peer)) = gone.and_then(|id| self.peers.remove_entry(&id)) else { return false };
        if peer.presence == Presence::Online {
            self.forget(id);
            self.recount();
            ctx.news.push_back(News::GivenUp { id, address: peer.address(), nick: peer.nick });
        }
        true
    }

    /// Who is not here any more, and not called for.
    fn gone(&self, ctx: &Context<'_>) -> Option<PeerId> {
        let known = |peer: &Peer| peer.heard_at.since(peer.known_since) >= KNOWN_AFTER;
        let missed = |peer: &Peer| {
            peer.presence == Presence::Lost && known(peer) && ctx.now.since(peer.heard_at) < ctx.config.call_for
        };
        let gone = self.peers.iter().filter(|(_, peer)| peer.presence != Presence::Online && !missed(peer));
        gone.min_by_key(|(_, peer)| (known(peer), peer.heard_at)).map(|(&id, _)| id)
    }

    /// Of those at the host that has most one that is lost, or the one met last, if that are more than this one has
    /// with one more. Those of whom no address is proven may all be one.
    fn crowding(&self, host: Option<IpAddr>) -> Option<PeerId> {
        let host_of = |peer: &Peer| peer.best_path().map(|(_, address)| address.ip());
        let mut hosts: BTreeMap<Option<IpAddr>, usize> = BTreeMap::new();
        let here = || self.peers().filter(|(_, peer)| peer.presence != Presence::Left);
        for (_, peer) in here() {
            *hosts.entry(host_of(peer)).or_default() += 1;
        }
        let own = hosts.get(&host).copied().unwrap_or(0);
        let (&most, _) = hosts.iter().filter(|&(_, &peers)| peers > own + 1).max_by_key(|&(_, &peers)| peers)?;
        let there = here().filter(|(_, peer)| host_of(peer) == most);
        there.max_by_key(|(_, peer)| (peer.presence != Presence::Online, peer.known_since)).map(|(id, _)| id)
    }

    /// Nothing more is sent to a peer that is not here any more, nor awaited of it.
    pub(super) fn forget(&mut self, id: PeerId) {
        self.greet.remove(id);
        self.meetings.forget(id);
        self.vigil.forget(id);
    }
}

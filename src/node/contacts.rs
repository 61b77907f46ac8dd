//! Between the table of peers and whoever is not in it yet.

use std::net::SocketAddr;

use super::{Context, Node, Standing, context, standing};
use crate::event::Event;
use crate::id::PeerId;
use crate::protocol::membership::Peer;
use crate::time::Time;
use crate::wire::body::{Heard, Seek, Whereabouts};

impl Node {
    /// A member says whom it hears.
    pub(super) fn on_named(&mut self, from: PeerId, heard: &[Heard]) {
        let membership = &self.membership;
        let heard = heard.iter().filter(|heard| heard.casts != 0).map(|heard| PeerId(*heard.id));
        self.contacts.on_named(from, heard, |id| membership.is_online(id), &mut context!(self));
    }

    /// A member asks where others are. Told are those whom we hear ourselves.
    pub(super) fn on_seek(&mut self, from: PeerId, seek: &Seek) {
        let membership = &self.membership;
        let online = |id| membership.peer(id).filter(|_| membership.is_online(id));
        let place = |id| online(id).and_then(Peer::best_path).map(|(_, address)| address);
        self.contacts.on_seek(from, seek, place, &mut context!(self));
    }

    pub(super) fn on_whereabouts(&mut self, from: PeerId, told: &Whereabouts) {
        self.contacts.on_whereabouts(from, told, self.membership.segments(), &mut context!(self));
    }

    /// Somebody is online: whoever looked for it has found it.
    pub(super) fn meet(&mut self, id: PeerId) {
        if let Some(peer) = self.membership.peer(id) {
            self.contacts.on_online(id, peer.last_address());
        }
    }

    /// Somebody fell silent: whom no cast reaches is called now and then.
    pub(super) fn miss(&mut self, id: PeerId) {
        let afar = self.membership.peer(id).filter(|peer| peer.was_afar());
        if let Some(address) = afar.map(Peer::last_address) {
            self.contacts.on_lost(address, &context!(self));
        }
    }

    /// Asks for those whom others hear, and greets where they may be.
    pub(super) fn look_for_contacts(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        let membership = &self.membership;
        self.contacts.on_timeout(|id| membership.is_online(id), &mut context!(self));
        if let Some((address, turn)) = self.contacts.greeting_due(&context!(self)) {
            let len = self.membership.greet_address((address, turn), standing!(self), &mut context!(self));
            self.contacts.greeted(address, len, &context!(self));
        }
    }

    pub(super) fn contacts_wake_at(&self) -> Option<Time> {
        if self.leaving.is_some() { None } else { self.contacts.wake_at() }
    }

    /// The addresses of peers that are heard by unicast alone: what a later run is to remember.
    #[must_use]
    pub fn peers_to_remember(&self) -> Vec<SocketAddr> {
        self.membership.afar(self.now)
    }

    /// Whether a peer is heard from this address.
    #[must_use]
    pub fn hears(&self, address: SocketAddr) -> bool {
        self.membership.hears(address)
    }

    /// We hear nobody any more: whom no cast reaches is called where it was, for there or here something is another.
    pub(super) fn miss_all(&mut self) {
        for id in self.membership.online().map(|(id, _)| id).collect::<Vec<_>>() {
            self.miss(id);
        }
    }

    /// We hear somebody again: those who are here need not be looked for, and may have what we lack.
    pub(super) fn meet_all(&mut self) -> Event {
        for id in self.membership.online().map(|(id, _)| id).collect::<Vec<_>>() {
            self.meet(id);
        }
        self.logs.on_connected(&mut context!(self));
        Event::Connected
    }
}

//! What is for one alone, sealed on its way out and opened on its way in.
//!
//! `protocol/direct` says what goes to whom; here it gets the key of that peer, in the run in which it is
//! known, and becomes a letter in a datagram or goes by stream. What cannot be opened is counted, not
//! shown and not answered.

use super::{Context, Node, context};
use crate::address::Cast;
use crate::crypto::Party;
use crate::event::Arrival;
use crate::id::PeerId;
use crate::protocol::direct::{Outgoing, Way};
use crate::protocol::membership::{Origin, Peer};
use crate::wire::Message;
use crate::wire::body::{self, Letter};
use crate::wire::secret::Secret;

impl Node {
    /// A peer that is known, with its key, in its run.
    pub(super) fn party(&self, id: PeerId) -> Option<Party> {
        self.membership.peer(id).map(|peer| Party { key: peer.key, boot: peer.boot })
    }

    /// Seals something for one peer and sends it: by stream where there can be one, else by datagram.
    pub(super) fn send_outgoing(&mut self, outgoing: &Outgoing) {
        let Outgoing { to, way, what } = outgoing;
        let Some(peer) = self.membership.peer(*to) else { return };
        let place = match *way {
            Way::Stream(stream) => return self.streams.write(stream, what, self.now),
            Way::Address(segment, address) => Some((segment, address)),
            Way::Any(_) | Way::Datagram => Peer::best_path(peer),
        };
        if let (Way::Any(number), Some((segment, address))) = (*way, place)
            && peer.paths.get(&segment).is_some_and(|path| path.listens)
            && self.streams.carry(*to, address, number, what, self.now)
        {
            return;
        }
        let party = Party { key: peer.key, boot: peer.boot };
        let Some(sealed) = self.courier.seal(&party, what.kind(), &what.encode()) else { return };
        let letter = Letter { to: body::bytes(*to), sealed: sealed.into() };
        let message = match what {
            Secret::Direct(_) => Message::Direct(letter),
            Secret::Receipt(_) => Message::Receipt(letter),
        };
        let targets = match place {
            Some((segment, address)) => vec![(segment, Cast::Unicast, address)],
            // Where casts alone get through it goes by cast: it says whom it is for, and nobody else can read it.
            None => self.cast_targets(*to),
        };
        if !targets.is_empty() {
            self.put(&message, targets);
        }
    }

    /// A letter of a peer that is online.
    pub(super) fn on_letter(&mut self, origin: &Origin, kind: u8, letter: &Letter, arrival: Arrival) {
        if *letter.to != self.identity.id().0 {
            return;
        }
        let source = (origin.address, Some(&origin.key));
        if !self.sources.admits_letter(source, self.now) {
            self.stats.unchecked += 1;
            return;
        }
        let from = Party { key: origin.key, boot: origin.boot };
        let opened = self.courier.open(&from, kind, &letter.sealed);
        let Some(secret) = opened.and_then(|bytes| Secret::parse(kind, &bytes).ok()) else {
            self.stats.unopened += 1;
            self.sources.on_vain(source, self.now);
            return;
        };
        // To where it came from, with no more bytes, though nobody may have proved to be there.
        let reached = self.membership.peer(origin.id).and_then(Peer::best_path);
        let back = reached.map_or(Way::Datagram, |_| Way::Address(arrival.segment, arrival.address));
        self.on_secret(origin.id, origin.boot, secret, Some(arrival), back);
    }

    /// What was opened, of a peer that is online; answered by the way it came. Without a segment towards its
    /// author a message is not taken: it will be sent again.
    pub(super) fn on_secret(&mut self, from: PeerId, boot: u64, secret: Secret, arrival: Option<Arrival>, back: Way) {
        match (secret, arrival) {
            (Secret::Direct(frame), Some(arrival)) => {
                self.directs.on_direct(from, boot, frame, arrival, back, &mut context!(self));
            }
            (Secret::Direct(_), None) => {}
            (Secret::Receipt(receipt), _) => {
                self.directs.on_receipt(from, &receipt, self.identity.boot(), &mut context!(self));
            }
        }
    }
}

//! From bytes to the part concerned: what is believed, and why not.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Context, Node, Standing, context, standing};
use crate::address::Cast;
use crate::crypto::{Opened, peer_id};
use crate::event::{Arrival, Event};
use crate::id::{LogId, PeerId};
use crate::protocol::Believed;
use crate::protocol::diagnosis::Foreign;
use crate::protocol::log::Wants;
use crate::protocol::membership::{Admission, Origin};
use crate::protocol::sources::{PROVEN_FOR, SEEMS_FOR, Source};
use crate::wire::body::Hello;
use crate::wire::header::Header;
use crate::wire::{DATAGRAM_DOMAIN, Datagram, Message, Signed, WireError, digest, kind, parse_entry};

/// Addresses whose unknown version is remembered as told. When full, no further one is told.
const VERSIONS_TOLD_MAX: usize = 64;

impl Node {
    pub(super) fn on_datagram(&mut self, mut arrival: Arrival, bytes: &[u8]) {
        self.stats.heard += 1;
        self.stats.heard_bytes += bytes.len() as u64;
        if arrival.address.port() == 0 {
            // Nobody is there, whatever is said.
            self.stats.malformed += 1;
            return;
        }
        let opened = self.keyring.open(bytes);
        let bytes = match &opened {
            Opened::AsItIs => bytes,
            Opened::Inside(inside) => inside,
            Opened::Outsider => return self.on_outsider(bytes, arrival.address),
        };
        let datagram = match Datagram::parse(bytes) {
            Ok(datagram) => datagram,
            Err(WireError::Plain) => return self.on_plain(arrival, bytes),
            Err(why) => return self.on_unreadable(why, arrival.address),
        };
        if !self.keyring.is_ours(datagram.header.group_tag) {
            self.stats.other_group += 1;
            return self.on_foreign(&datagram, arrival);
        }
        arrival.errand = datagram.errand();
        match &datagram.signed {
            Some(signed) => self.on_signed(&datagram, signed, arrival),
            None => self.on_entries(&datagram, arrival),
        }
    }

    /// In a keyed group nobody is heard who does not have the key, and nobody answered.
    fn on_outsider(&mut self, bytes: &[u8], from: SocketAddr) {
        match Header::parse(bytes) {
            Ok((header, _)) if self.keyring.is_ours(header.group_tag) => self.stats.forged += 1,
            Ok(_) => self.on_other_key(from),
            Err(_) => self.stats.outsiders += 1,
        }
    }

    /// Somebody speaks on our port with another key, or without one.
    fn on_other_key(&mut self, from: SocketAddr) {
        self.stats.other_group += 1;
        if self.records.strays.wants(from, self.now) {
            self.records
                .strays
                .on_foreign(Foreign { address: from, nick: None, group: None, other_key: true }, self.now);
        }
    }

    fn on_unreadable(&mut self, why: WireError, from: SocketAddr) {
        match why {
            WireError::Plain | WireError::Malformed => self.stats.malformed += 1,
            // A keyed group on our port.
            WireError::Kind(kind::SEALED) => self.on_other_key(from),
            WireError::Kind(_) => self.stats.unknown_kind += 1,
            WireError::Version(version) => {
                self.stats.other_version += 1;
                if self.versions_told.len() < VERSIONS_TOLD_MAX && self.versions_told.insert(from.ip()) {
                    let text =
                        format!("{} speaks protocol version {version}, we speak {}", from.ip(), crate::wire::VERSION);
                    self.events.push_back(Event::Warning(text));
                }
            }
        }
    }

    fn on_signed(&mut self, datagram: &Datagram<'_>, signed: &Signed<'_>, arrival: Arrival) {
        let sender = &signed.sender;
        if sender.key == *self.identity.public() {
            self.stats.echoes += 1;
            return self.on_own_key(datagram, signed, arrival);
        }
        let Ok(message) = datagram.message() else {
            self.stats.malformed += 1;
            return;
        };
        let (id, is_hello) = (peer_id(&sender.key), matches!(message, Message::Hello(_)));
        let is_stale = self.membership.is_stale(id, sender.boot, sender.counter);
        if is_stale && !(is_hello && self.sources.admits_replay(self.now)) {
            self.stats.replayed += 1;
            return;
        }
        let source = (arrival.address, Some(&sender.key));
        if !self.is_signed(source, |node| (node.verifier)(&sender.key, DATAGRAM_DOMAIN, signed.bytes, signed.signature))
        {
            return;
        }
        let len = signed.bytes.len() + signed.signature.len();
        let origin = Origin {
            id,
            key: sender.key,
            boot: sender.boot,
            counter: sender.counter,
            segment: arrival.segment,
            cast: arrival.cast,
            address: arrival.address,
            ttl: arrival.ttl,
            // What has an answer of its own pays for that.
            len: if is_answered(&message) { 0 } else { len },
        };
        if is_hello && !self.admits_newcomer(&origin, source) {
            return;
        }
        let known = self.membership.on_authentic(&origin, &mut context!(self));
        self.settle();
        if is_hello {
            self.note_mark(&origin, known, signed.signature);
        }
        if known == Admission::Stale {
            self.stats.replayed += 1;
            return;
        }
        if let Some((origin, hello)) = self.membership.on_meeting(&origin, known, &message, &mut context!(self)) {
            self.settle();
            self.on_hello(&origin, &hello);
            self.take_claimed();
            self.note_source(&origin);
        }
        self.settle();
        if known == Admission::Fresh {
            self.note_source(&origin);
            self.contacts.on_heard(origin.id, len, &context!(self));
            self.on_member(&origin, message, arrival);
        } else if matches!(message, Message::Frontier(_) | Message::Nack(_) | Message::Direct(_))
            && self.membership.peer(origin.id).is_none()
        {
            self.ask_stranger(arrival, len);
        }
    }

    /// Whoever is online may write any address on what it sends: it has a budget of its own where it is proven to be;
    /// where casts alone get through, a while where it seems to be.
    fn note_source(&mut self, origin: &Origin) {
        let known_for = match self.membership.is_heard_at(origin) {
            true if self.membership.is_there(origin) => PROVEN_FOR,
            true => SEEMS_FOR,
            false => return,
        };
        self.sources.on_member(origin.address, &origin.key, origin.segment, self.now + known_for, self.now);
    }

    /// Whether the sender of a hello is known, or may be met: whoever makes up identities makes up many.
    fn admits_newcomer(&mut self, origin: &Origin, source: Source<'_>) -> bool {
        let admitted = self.membership.is_noticed(origin) || self.sources.admits_newcomer(origin.address, self.now);
        if !admitted {
            self.stats.peers_refused += 1;
            self.sources.on_vain(source, self.now);
        }
        admitted
    }

    /// What a peer says that is online.
    fn on_member(&mut self, origin: &Origin, message: Message, arrival: Arrival) {
        match message {
            Message::Hello(hello) => self.on_hello(origin, &hello),
            Message::Bye(bye) => {
                let log = LogId { author: origin.id, boot: origin.boot };
                self.logs.on_bye(log, bye.head, &mut context!(self));
                self.membership.on_bye(origin.id, &mut context!(self));
            }
            Message::Frontier(frontier) => {
                self.logs.on_frontier(origin.id, &frontier, &mut context!(self));
                self.take_claimed();
            }
            Message::Nack(nack) => self.logs.on_nack(origin.id, &nack, &mut context!(self)),
            Message::Direct(letter) => self.on_letter(origin, kind::DIRECT, &letter, arrival),
            Message::Receipt(letter) => self.on_letter(origin, kind::RECEIPT, &letter, arrival),
            Message::Seek(seek) => self.on_seek(origin.id, &seek),
            Message::Whereabouts(told) => self.on_whereabouts(origin.id, &told),
            message => {
                if let Some(took) = self.membership.on_watch(origin, &message, &mut context!(self)) {
                    self.logs.on_round_trip(origin.id, took, &self.config);
                }
            }
        }
    }

    fn on_hello(&mut self, origin: &Origin, hello: &Hello) {
        self.membership.on_hello(origin, hello, &mut context!(self));
        self.settle();
        if !self.membership.is_online(origin.id) {
            return;
        }
        if let Some(until) = self.membership.holds_until(origin.id, hello, self.now) {
            let from = (origin.segment, origin.address);
            self.matrix.on_hello(origin.id, from, hello, (self.now, until), self.config.peers_max);
        }
        self.note_hello(origin, hello);
        let base = hello.heard_of(self.identity.id()).map(|heard| heard.base);
        let log = LogId { author: origin.id, boot: origin.boot };
        self.logs.on_hello(log, hello.head, base, hello.hash, &mut context!(self));
        self.on_named(origin.id, &hello.heard);
    }

    /// An entry that is news: others may not hear it where they are.
    fn pass_on(&mut self, entry: &Believed, arrival: Arrival) {
        let heard = Some(arrival.segment).filter(|&segment| self.is_near(segment, arrival.address));
        self.relay.on_news(entry.log, entry.seq, Arc::clone(&entry.raw), heard, &mut context!(self));
    }

    /// Asks who it is, unless what is heard by cast comes from far away, as it seems: somebody there would be sent an
    /// answer by each who hears it.
    fn ask_stranger(&mut self, arrival: Arrival, len: usize) {
        let Some(segment) = self.membership.segment(arrival.segment) else { return };
        if arrival.cast == Cast::Unicast || segment.contains(arrival.address.ip()) {
            // What is added to what we say costs as well.
            let len = len.saturating_sub(self.described_len(arrival.segment));
            self.membership.on_stranger(arrival.segment, arrival.address, len, standing!(self), &mut context!(self));
        }
    }

    fn on_entries(&mut self, datagram: &Datagram<'_>, arrival: Arrival) {
        let Ok(entries) = datagram.entries() else {
            self.stats.malformed += 1;
            return;
        };
        let forged = self.stats.forged;
        for raw in entries {
            // Whoever is honest checked them all: after one that is forged there is nothing to be had. While a key is
            // replaced some are signed for one that we have no more: they say nothing against the others.
            if self.stats.forged == forged || !self.keyring.is_open() {
                self.on_entry(raw, arrival);
            }
        }
    }

    pub(super) fn on_entry(&mut self, raw: &[u8], arrival: Arrival) {
        let Ok(signed) = parse_entry(raw) else {
            self.stats.malformed += 1;
            return;
        };
        let author: PeerId = peer_id(signed.author());
        let (log, seq) = (LogId { author, boot: signed.entry.boot }, signed.entry.seq);
        let wants = self.logs.wants(log, seq, &context!(self));
        match wants {
            Wants::Nothing => {}
            Wants::Own => {
                self.stats.echoes += 1;
                self.compare_entry(log, &signed, raw, arrival);
            }
            Wants::Duplicate => {
                if arrival.cast != Cast::Unicast {
                    self.relay.on_again(log, seq, raw, arrival.segment);
                }
                self.logs.on_duplicate(log, seq, raw, &arrival, &mut context!(self));
                self.compare_entry(log, &signed, raw, arrival);
            }
            Wants::New | Wants::TooFar
                if !self.is_signed((arrival.address, None), |node| node.is_said_here(&signed)) =>
            {
                return;
            }
            Wants::Unclaimed => {
                self.stats.unclaimed += 1;
                self.unclaimed.hold((log, seq), raw, arrival, self.now);
            }
            Wants::TooFar => self.logs.on_too_far(log, seq, &mut context!(self)),
            Wants::New => {
                let (digest, prev) = (digest(signed.bytes), *signed.entry.prev);
                let entry = Believed { log, seq, digest, prev, raw: Arc::from(raw) };
                if self.config.relay && self.logs.is_news(log, seq, &arrival) {
                    self.pass_on(&entry, arrival);
                }
                self.logs.on_entry(entry, arrival, &mut context!(self));
            }
        }
        // A peer that passes on what somebody says whom we cannot hear need not be asked who it is.
        let passed_on = || {
            self.membership.online().any(|(_, peer)| peer.paths.values().any(|path| path.address == arrival.address))
        };
        if wants == Wants::Unclaimed && self.membership.peer(author).is_none() && !passed_on() {
            self.ask_stranger(arrival, raw.len());
        }
    }
}

/// Whether a message is answered to where it came from, with as many bytes at most.
const fn is_answered(message: &Message) -> bool {
    matches!(message, Message::Probe(_) | Message::Direct(_) | Message::Receipt(_))
}

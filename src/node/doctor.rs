//! What a diagnosis needs of everything else: what is noticed in passing, an examination when somebody
//! asks, and the [`View`] with names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Context, Node, Output, Standing, context, standing};
use crate::address::{Cast, Segment, SegmentId};
use crate::crypto::peer_id;
use crate::event::Arrival;
use crate::id::PeerId;
use crate::protocol::To;
use crate::protocol::diagnosis::{
    Came, Cell, Foreign, Heard, Member, Padded, SegmentView, US, Unheard, View, group_of,
};
use crate::protocol::membership::{Admission, Origin, Path, Peer, Presence};
use crate::text::Nick;
use crate::time::Time;
use crate::wire::body::{Hello, encoded_len};
use crate::wire::header::SIGNATURE_LEN;
use crate::wire::{DATAGRAM_DOMAIN, Datagram, Message, Signed, kind};

/// Who fell silent is missed by us alone once others say after so many of its periods that they hear it.
const MISSED_PERIODS: u32 = 5;

/// A node that has been awake for less has not heard those yet who say hello by themselves alone.
const AWAKE_MIN: Duration = Duration::from_millis(2600);

/// Nobody may have joined for so long, and what is claimed must be so much younger than the beginning.
pub(super) const FRESH_AFTER: Duration = Duration::from_millis(700);

/// In a group of more than this nobody answers prompts: they all say hello often enough together.
const PROMPTED_MAX: usize = 64;

/// Answers to a prompt are spread over this time for each peer online, ...
const PROMPT_SPREAD: Duration = Duration::from_millis(10);
/// ... but over no more than this.
const PROMPT_SPREAD_MAX: Duration = Duration::from_millis(300);

/// Peers of a segment that a view shows; the matrix grows with their square.
const MEMBERS_MAX: usize = 64;

impl Node {
    /// A datagram of another group: who says it?
    pub(super) fn on_foreign(&mut self, datagram: &Datagram<'_>, arrival: Arrival) {
        let Some(signed) = datagram.signed.as_ref().filter(|_| self.records.strays.wants(arrival.address, self.now))
        else {
            return;
        };
        let (key, address) = (&signed.sender.key, arrival.address);
        if !self.is_signed((address, Some(key)), |node| {
            (node.verifier)(key, DATAGRAM_DOMAIN, signed.bytes, signed.signature)
        }) {
            return;
        }
        let hello = match datagram.message() {
            Ok(Message::Hello(hello)) => Some(hello),
            _ => None,
        };
        let group = hello.as_ref().and_then(|hello| group_of(hello.condition.as_ref()));
        let stranger = Foreign {
            address: arrival.address,
            nick: hello.as_ref().map(|hello| Nick::from_any(&hello.nick)),
            group: group.filter(|group| *group != self.config.group),
            other_key: false,
        };
        self.records.strays.on_foreign(stranger, self.now);
    }

    /// A datagram that our own key signed; from elsewhere, if somebody has a copy of it.
    pub(super) fn on_own_key(&mut self, datagram: &Datagram<'_>, signed: &Signed<'_>, arrival: Arrival) {
        let place = |address: SocketAddr| (address.ip(), address.port());
        let ours = self.membership.segments().any(|segment| place(segment.address) == place(arrival.address));
        let hello = datagram.header.kind == kind::HELLO;
        if hello && self.is_own(signed, arrival) {
            let mark = (signed.sender.boot, signed.sender.counter);
            // Ours are remembered too: somebody may but say them again.
            self.note_heard(peer_id(&signed.sender.key), arrival.address, mark, signed.signature, ours);
        }
    }

    /// An authentic hello, and whether it is news.
    pub(super) fn note_mark(&mut self, origin: &Origin, known: Admission, signature: &[u8; SIGNATURE_LEN]) {
        let fresh = known != Admission::Stale;
        self.note_heard(origin.id, origin.address, (origin.boot, origin.counter), signature, fresh);
    }

    fn note_heard(
        &mut self,
        id: PeerId,
        address: SocketAddr,
        mark: (u64, u64),
        signature: &[u8; SIGNATURE_LEN],
        fresh: bool,
    ) {
        let mut short = [0; 8];
        short.copy_from_slice(&signature[..8]);
        self.records.strays.on_heard(Heard { id, address, mark, signature: short, fresh }, self.now);
    }

    /// A hello of a peer that is online.
    pub(super) fn note_hello(&mut self, origin: &Origin, hello: &Hello) {
        let on = self.membership.segment(origin.segment);
        let near = on.is_some_and(|on| on.contains(origin.address.ip()));
        let joined = on.is_some_and(|on| on.hears() & Cast::Multicast.bit() != 0);
        let Origin { id, segment, cast, address, .. } = *origin;
        let there = self.membership.is_heard_at(origin);
        let us = self.identity.id();
        let due = self.records.on_hello(Came { id, us, segment, cast, address, near, joined, there }, hello, self.now);
        let online = self.membership.online_count();
        if due.hello && online <= PROMPTED_MAX {
            let spread = PROMPT_SPREAD * u32::try_from(online).unwrap_or(u32::MAX);
            let at = self.now + self.rng.within(spread.min(PROMPT_SPREAD_MAX));
            self.membership.hello_by(at);
        }
        if due.rejoin {
            self.acts.push_back(Output::Rejoin { segment });
        }
    }

    /// Adds to a hello what we say of ourselves.
    pub(super) fn describe(&mut self, to: &To, message: &mut Message) {
        let Message::Hello(hello) = message else { return };
        let (id, alone) = match to {
            To::Segment(id, _) => (*id, None),
            To::Address(id, address) | To::Beyond(id, address) => (*id, Some(*address)),
            _ => return,
        };
        let Some(segment) = self.membership.segment(id).cloned() else { return };
        self.records.describe(hello, &segment, alone, self.config.group, self.now);
    }

    /// How much longer a hello on a segment becomes by what we say of ourselves.
    pub(super) fn described_len(&mut self, segment: SegmentId) -> usize {
        let (mut hello, to) = (Message::Hello(Hello::default()), To::Segment(segment, Cast::Multicast));
        self.describe(&to, &mut hello);
        let Message::Hello(hello) = hello else { return 0 };
        encoded_len(&hello) - encoded_len(&Hello::default())
    }

    /// Says and asks what an examination wants.
    pub(super) fn examine_on_time(&mut self) {
        if self.records.examination.since().is_some_and(|since| self.knows_enough(since)) {
            return self.records.examination.end();
        }
        let peers = self.membership.online().filter_map(|(id, peer)| Some((id, peer.best_path()?.1)));
        let Some(round) = self.records.examination.on_timeout(self.now, peers) else { return };
        self.membership.hello_by(self.now);
        for id in round.ask {
            self.membership.ask(id, standing!(self), &mut context!(self));
        }
    }

    /// Whether the examination that [`crate::command::Command::Examine`] began has found out all it can.
    #[must_use]
    pub fn is_examined(&self) -> bool {
        self.records.examination.since().is_none()
    }

    /// Whether nothing more is to be found out.
    fn knows_enough(&self, since: Time) -> bool {
        let joined = self.membership.last_joined().unwrap_or_default();
        let early = self.now.since(Time::ZERO) < AWAKE_MIN || self.now.since(joined.max(since)) < FRESH_AFTER;
        !early
            && self.membership.online_count() > 0
            && !self.membership.is_meeting(self.identity.id(), self.now)
            && self.is_settled(since + FRESH_AFTER)
            && !self.records.snoop.is_open(since, self.now)
    }

    /// Whether everything about those online has been said or heard since then.
    fn is_settled(&self, since: Time) -> bool {
        let (hearing, me) = (&self.records.hearing, self.identity.id());
        self.membership.segments().all(|segment| {
            let place = |peer: &Peer| peer.paths.get(&segment.id).map(|path| path.address);
            let here: Vec<_> =
                self.membership.online().filter_map(|(id, peer)| Some((id, place(peer)?))).take(MEMBERS_MAX).collect();
            let (sends, hears) = (segment.sends(), segment.hears());
            let near = |address: &SocketAddr| segment.contains(address.ip());
            here.iter().all(|(id, address)| {
                let tried = self.records.examination.padded(*address) != Padded::Unknown;
                let mut known = tried && hearing.is_said(segment.id, (*id, me), sends, since);
                if near(address) {
                    let others = here.iter().filter(|(other, at)| other != id && near(at)).map(|(other, _)| *other);
                    let said = others.into_iter().all(|other| hearing.is_said(segment.id, (*id, other), sends, since));
                    known = known && said && hearing.is_heard(segment.id, *id, hears, since);
                }
                known
            })
        })
    }

    /// Everything that a diagnosis may look at.
    #[must_use]
    pub fn diagnosable(&self) -> View {
        let me = self.identity.id();
        let own = self.membership.segments().next().map(|segment| segment.address);
        let label = |id: PeerId| if id == me { US.to_owned() } else { self.name_of_peer(id).label() };
        let doubles = self.records.strays.doubles(self.now, me, own);
        View {
            group: self.config.group,
            ttl: self.membership.segments().next().map_or(0, |segment| segment.ttls.group),
            segments: self.membership.segments().map(|segment| self.segment_view(segment)).collect(),
            foreign: self.records.strays.foreign(self.now).cloned().collect(),
            doubles: doubles.into_iter().map(|double| (double.clone(), label(double.id))).collect(),
            reverse_path_drops: self.records.survey.reverse_path_drops,
            bridges: self.records.survey.bridges.clone(),
        }
    }

    fn segment_view(&self, segment: &Segment) -> SegmentView {
        let (id, me) = (segment.id, self.identity.id());
        let here: Vec<(PeerId, &Peer, &Path)> = self
            .membership
            .online()
            .filter_map(|(peer_id, peer)| Some((peer_id, peer, peer.paths.get(&id)?)))
            .filter(|(_, peer, path)| path.heard_casts(self.now, peer.every) != 0)
            .take(MEMBERS_MAX)
            .collect();
        let mut members = vec![Member {
            label: US.to_owned(),
            address: segment.address,
            flaws: self.records.own_flaws(segment, self.now),
            skew_ms: None,
            hops: None,
            ttl: Some(segment.ttls.group),
            padded: Padded::Unknown,
        }];
        members.extend(here.iter().map(|(peer_id, peer, path)| self.member(id, *peer_id, peer, path)));
        let ids: Vec<PeerId> = std::iter::once(me).chain(here.iter().map(|(peer_id, ..)| *peer_id)).collect();
        let mut cells = BTreeMap::new();
        for (listener, &hears) in ids.iter().enumerate() {
            for (speaker, &speaks) in ids.iter().enumerate().filter(|(speaker, _)| *speaker != listener) {
                cells.insert((listener, speaker), self.cell(id, hears, speaks));
            }
        }
        SegmentView {
            name: segment.name.clone(),
            address: segment.address,
            prefix_len: segment.prefix_len,
            broadcast: segment.broadcast,
            group: segment.group,
            deaf_to: segment.deaf_to,
            facts: self.records.survey.segments.get(&id).cloned().unwrap_or_default(),
            revived: self.records.snoop.helped(id, self.now),
            members,
            cells,
            unheard: self.unheard(id),
            deaf: self.deaf_on(id, MEMBERS_MAX),
        }
    }

    fn member(&self, segment: SegmentId, id: PeerId, peer: &Peer, path: &Path) -> Member {
        let told = self.records.told(segment, id);
        let hops = [Cast::Multicast, Cast::Unicast, Cast::Broadcast].into_iter().find_map(|cast| {
            let heard = path.heard(cast);
            heard.sent?.checked_sub(heard.left?)
        });
        Member {
            label: self.name_of(id, &peer.nick).label(),
            address: path.address,
            flaws: told.flaws(),
            skew_ms: told.skew_ms,
            hops,
            ttl: told.ttl,
            padded: self.records.examination.padded(path.address),
        }
    }

    fn cell(&self, segment: SegmentId, listener: PeerId, speaker: PeerId) -> Cell {
        if listener != self.identity.id() {
            return self.records.hearing.claimed(segment, listener, speaker);
        }
        let every = self.membership.peer(speaker).map_or(self.config.hello_every, |peer| peer.every);
        self.records.hearing.ours(segment, speaker, self.now, every)
    }

    /// Those whom others hear on a segment and we do not: never met, or lost while others said that they hear them.
    fn unheard(&self, segment: SegmentId) -> Vec<Unheard> {
        let mut all: BTreeMap<PeerId, Unheard> = BTreeMap::new();
        for (listener, speaker, lasting, said_at) in self.records.hearing.claims_of(segment, self.now) {
            let peer = self.membership.peer(speaker);
            // Others take a moment to notice that it fell silent, and to say so.
            let is_missed = |peer: &Peer| {
                peer.presence == Presence::Lost && said_at.since(peer.heard_at) >= peer.every * MISSED_PERIODS
            };
            let known = speaker == self.identity.id() || peer.is_some_and(|peer| !is_missed(peer));
            if known || !self.membership.is_online(listener) {
                continue;
            }
            let label = match peer {
                Some(peer) => self.name_of(speaker, &peer.nick).label(),
                None => format!("~{}", speaker.suffix()),
            };
            let address = peer.map(|peer| peer.last_address().ip());
            let entry = all.entry(speaker).or_insert(Unheard { label, by: Vec::new(), address, lasting: false });
            entry.by.push(self.name_of_peer(listener).label());
            entry.lasting |= lasting;
        }
        all.into_values().collect()
    }
}

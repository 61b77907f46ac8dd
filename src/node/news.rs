//! From what a part tells to what a person is told, and to the other parts that must know.

use std::net::SocketAddr;

use super::{Context, Node, context};
use crate::event::{Event, Message, PeerName, Whisper};
use crate::id::PeerId;
use crate::protocol::names::PINS_MAX;
use crate::protocol::{Full, News};
use crate::text::Nick;

impl Node {
    /// News for the person, and for the parts that must know as well.
    pub(super) fn relate(&mut self, news: News) {
        let event = match news {
            News::Joined(id) => {
                self.bring_online(id);
                self.peer_event(id, Event::Joined)
            }
            News::Back(id) => {
                self.take_offline(id);
                self.bring_online(id);
                self.peer_event(id, Event::Back)
            }
            News::Left(id) => {
                self.take_offline(id);
                self.peer_event(id, Event::Left)
            }
            News::Lost(id) => {
                self.take_offline(id);
                self.miss(id);
                self.peer_event(id, Event::Lost)
            }
            News::GivenUp { id, nick, address } => {
                self.take_offline(id);
                Some(Event::Lost(self.name_of(id, &nick), address))
            }
            News::Renamed(id, was) => {
                self.meet_name(id);
                Some(Event::Renamed(self.name_of_peer(id), self.name_of(id, &was)))
            }
            News::Impostor { id, nick, known, last } => Some(self.warn_of_impostor(id, &nick, known, last)),
            News::Namesake(id, nick) => Some(self.tell_of_namesake(id, &nick)),
            News::Forked(id) => {
                self.alarm(id);
                None
            }
            News::Full(of) => Some(Event::Warning(self.told_full(of))),
            News::Away(id, text) => Some(Event::Away(self.name_of_peer(id), text)),
            News::CutOff(online) => {
                self.miss_all();
                Some(Event::Disconnected(online))
            }
            News::Connected => Some(self.meet_all()),
            News::Sent { seq, text } => Some(Event::Sent { boot: self.identity.boot(), seq, text }),
            News::Delivered { seq, confirmed, online } => Some(Event::Delivered { seq, confirmed, online }),
            News::Told { mid, to, text, queued } => Some(Event::Told { mid, to: self.name_of_peer(to), text, queued }),
            News::TellDelivered { mid, to } => Some(Event::TellDelivered { mid, to: self.name_of_peer(to) }),
            News::Whispered { from, boot, mid, wall, text, arrival } => {
                Some(Event::Whisper(Whisper { from: self.name_of_peer(from), boot, mid, text, wall, arrival }))
            }
            News::Gap { log, nick, count } => {
                let from = self.name_of_author(log.author, nick.as_ref());
                Some(Event::Gap { from, count })
            }
            News::Said(said) => {
                self.hear_name(said.log.author, &said.nick);
                Some(Event::Message(Message {
                    from: self.name_of(said.log.author, &said.nick),
                    boot: said.log.boot,
                    seq: said.seq,
                    text: said.text,
                    history: said.history,
                    wall: said.wall,
                    arrival: said.arrival,
                }))
            }
        };
        self.events.extend(event);
    }

    /// Whoever said something, as it called itself then.
    fn name_of_author(&mut self, author: PeerId, nick: Option<&Nick>) -> PeerName {
        let Some(nick) = nick else { return self.name_of_peer(author) };
        self.hear_name(author, nick);
        self.name_of(author, nick)
    }

    fn told_full(&self, of: Full) -> String {
        match of {
            Full::Names => {
                format!(
                    "{PINS_MAX} names are known, and no more are kept of newcomers: /trust NAME keeps one that matters"
                )
            }
            Full::Impostors => {
                "many take names of others: of further ones you are told by their suffixes alone, and by /who"
                    .to_owned()
            }
            Full::Peers => {
                let most = self.config.peers_max;
                format!(
                    "{most} peers are here, and no more are taken in: who comes now is not seen until some have left"
                )
            }
        }
    }

    fn bring_online(&mut self, id: PeerId) {
        if let Some(boot) = self.membership.peer(id).map(|peer| peer.boot) {
            self.logs.on_online(id, boot, &mut context!(self));
            self.directs.on_online(id, &mut context!(self));
            self.meet(id);
            self.meet_name(id);
        }
    }

    fn take_offline(&mut self, id: PeerId) {
        self.logs.on_gone(id, &mut context!(self));
        self.directs.on_gone(id);
        self.names.on_gone(id, &context!(self));
        self.streams.on_gone(id);
        self.contacts.on_gone(id);
        self.records.on_gone(id);
        self.matrix.on_gone(id);
    }

    fn peer_event(&self, id: PeerId, event: impl FnOnce(PeerName, SocketAddr) -> Event) -> Option<Event> {
        let peer = self.membership.peer(id)?;
        Some(event(self.name_of(id, &peer.nick), peer.address()))
    }
}

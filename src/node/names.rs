//! Whose a name is, as the parts and the person know it: what is shown, what a name means that is typed, and what
//! becomes of `/trust` and `/verify`.

use std::collections::BTreeSet;

use super::{Context, Node, context};
use crate::crypto::comparison;
use crate::event::{Event, PeerName};
use crate::id::PeerId;
use crate::protocol::names::{Names, Pin, Trusted};
use crate::text::{Line, Nick};
use crate::time::WallTime;

/// Namesakes of somebody who is away that are told of.
const OTHERS_MAX: usize = 3;

/// What two people compare to know whose key they see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The other.
    pub name: PeerName,
    /// The digits that stand on both screens.
    pub digits: String,
}

impl Node {
    /// Begins with the names that an earlier run knew.
    #[must_use]
    pub fn with_pins(mut self, pins: Vec<Pin>) -> Self {
        self.names = Names::new(self.identity.id(), self.membership.nick(), pins, self.now);
        self
    }

    /// Whose names are whose: what a later run should know. Whoever is online was seen at `now`.
    #[must_use]
    pub fn pins(&self, now: WallTime) -> Vec<Pin> {
        let seen = |pin: &Pin| if self.membership.is_online(pin.id) { pin.last.max(now) } else { pin.last };
        self.names.pins().map(|pin| Pin { last: seen(pin), ..pin.clone() }).collect()
    }

    /// Grows whenever [`Node::pins`] hold something that a later run should know.
    #[must_use]
    pub const fn pin_changes(&self) -> u64 {
        self.names.changes()
    }

    pub(super) fn name_of(&self, id: PeerId, nick: &Nick) -> PeerName {
        PeerName { id, nick: nick.clone(), suffix: self.names.suffix_of(id, nick) }
    }

    /// The name of a peer as it is known now. Who told none is never shown without the beginning of its id.
    pub(super) fn name_of_peer(&self, id: PeerId) -> PeerName {
        match self.membership.peer(id) {
            Some(peer) => self.name_of(id, &peer.nick),
            None => PeerName { id, nick: Nick::from_any(""), suffix: self.names.length_of(id) },
        }
    }

    /// A key as people are shown it, without a nick.
    fn key_of(&self, id: PeerId) -> String {
        format!("~{}", id.beginning(self.names.length_of(id)))
    }

    /// A peer is online, or calls itself something else: its nick may be pinned to it.
    pub(super) fn meet_name(&mut self, id: PeerId) {
        let membership = &self.membership;
        if let Some(peer) = membership.peer(id).filter(|_| membership.is_online(id)) {
            let online = |id| membership.is_online(id);
            self.names.on_online(id, &peer.nick, peer.ephemeral, online, &mut context!(self));
        }
    }

    /// Somebody spoke, or was spoken of, under a nick.
    pub(super) fn hear_name(&mut self, id: PeerId, nick: &Nick) {
        let membership = &self.membership;
        self.names.on_heard(id, nick, |id| membership.is_online(id), &mut context!(self));
    }

    /// A peer claims a name that belongs to another.
    pub(super) fn warn_of_impostor(&self, id: PeerId, nick: &Nick, (known, its): (PeerId, Nick), last: bool) -> Event {
        let (label, key) = (self.name_of(id, nick).label(), self.key_of(known));
        let mut text = format!("{label} is NOT the {its} you know ({key}): /verify {label}, then /trust {label}");
        if last {
            text.push_str("; of more who call themselves so you will not be told");
        }
        Event::Warning(text)
    }

    /// A peer calls itself as we do.
    pub(super) fn tell_of_namesake(&self, id: PeerId, nick: &Nick) -> Event {
        let (other, me) = (self.name_of(id, nick).label(), self.name());
        let key = self.key_of(me.id);
        Event::Notice(format!("{other} has your name: whoever knew that one first shows you as {}{key}", me.nick))
    }

    /// A person says whose a name is.
    pub(super) fn trust(&mut self, name: &Line) {
        match self.one_named(name.as_str()) {
            Ok(id) => self.trust_peer(id),
            Err(why) => self.refuse(why),
        }
    }

    fn trust_peer(&mut self, id: PeerId) {
        let peer = self.membership.peer(id);
        let nick = match peer {
            Some(peer) => Some(&peer.nick),
            None => self.logs.authors().find(|(author, ..)| *author == id).map(|(_, nick, _)| nick),
        };
        let nick = nick.cloned().unwrap_or_else(|| Nick::from_any(""));
        if peer.is_some_and(|peer| peer.ephemeral) {
            let label = self.name_of(id, &nick).label();
            return self.refuse(format!("{label} has a key for this run only: there is nothing to trust next time"));
        }
        let membership = &self.membership;
        let trusted = self.names.trust(id, &nick, |id| membership.is_online(id), &context!(self));
        let key = self.key_of(id);
        let mut text = match trusted {
            Trusted::Anew | Trusted::Still => format!("{nick} is {key}: trusted, and never forgotten"),
            Trusted::InsteadOf(was) => format!("{nick} is {key} from now on, and no longer {}", self.key_of(was)),
            Trusted::Full => return self.refuse("not trusted: too many others are already".into()),
        };
        if self.names.is_mixed(&nick) {
            text.push_str("; its letters are of several scripts, so the suffix stays");
        }
        if self.config.ephemeral {
            text.push_str("; only in this run, which keeps nothing");
        }
        self.events.push_back(Event::Notice(text));
    }

    /// What to compare with whoever `name` means.
    ///
    /// # Errors
    /// What to tell the person: nobody is called so, or several are.
    pub fn verification(&self, name: &str) -> Result<Verification, String> {
        let id = self.one_named(name)?;
        let said = || self.logs.authors().find(|(author, ..)| *author == id).map(|(_, nick, _)| self.name_of(id, nick));
        let known = self.membership.peer(id).map(|peer| self.name_of(id, &peer.nick));
        let name = known.or_else(said).unwrap_or_else(|| self.name_of_peer(id));
        Ok(Verification { name, digits: comparison(self.identity.id(), id) })
    }

    /// A person was told these digits by whoever `name` means.
    pub(super) fn verify(&mut self, name: &Line, told: &Line) {
        let verification = match self.verification(name.as_str()) {
            Ok(verification) => verification,
            Err(why) => return self.refuse(why),
        };
        let digits = |text: &str| text.chars().filter(|c| !matches!(c, ' ' | '-')).collect::<String>();
        if digits(told.as_str()) == digits(&verification.digits) {
            return self.trust_peer(verification.name.id);
        }
        let label = verification.name.label();
        self.refuse(format!("those are NOT the digits of {label}, which are {}: do not trust it", verification.digits));
    }

    /// Whose name this is as it is typed, where that is settled: then nobody else is meant by it.
    pub(super) fn holder_of(&self, name: &str) -> Option<PeerId> {
        Nick::new(name).ok().and_then(|nick| self.names.holder(&nick))
    }

    /// Whether one who calls itself so is meant by a name as it is typed: by its nick alone if that is its own, else
    /// with as much of its id at least as it is shown with.
    pub(super) fn is_named(&self, name: &str, id: PeerId, nick: &Nick) -> bool {
        let suffix = name.split_once('~').map_or("", |(_, suffix)| suffix);
        may_be(name, id, nick) && suffix.len() >= self.names.suffix_of(id, nick)
    }

    /// That nobody is meant by a name. Who bears a name that is another's, or nobody's, is not, unless its suffix is
    /// typed; `others` are those who are here by their words alone.
    pub(super) fn nobody_called<'a>(&'a self, name: &str, others: impl Iterator<Item = (PeerId, &'a Nick)>) -> String {
        let holder = self.holder_of(name);
        let its = |id: &PeerId| self.membership.is_online(*id).then(|| self.name_of_peer(*id));
        if let Some(alike) = holder.as_ref().and_then(its).filter(|its| its.suffix == 0 && is_like(&its.nick, name)) {
            let label = alike.label();
            return format!("nobody here is called {name}: {label} is, and names that look alike are one");
        }
        let peers = self.membership.peers().filter(|(id, _)| holder.is_none() || self.membership.is_online(*id));
        let bearers = peers.map(|(id, peer)| (id, &peer.nick)).chain(others);
        let bearers = bearers.filter(|(id, nick)| Some(*id) != holder && may_be(name, *id, nick));
        let labels: BTreeSet<_> = bearers.map(|(id, nick)| self.name_of(id, nick).label()).collect();
        let labels: Vec<_> = labels.into_iter().take(OTHERS_MAX).collect();
        match (holder.map(|id| self.key_of(id)), &labels[..]) {
            (None, []) => format!("nobody here is called {name}: /who lists the names"),
            (None, labels) => format!("{name} may be {}: say which", labels.join(" or ")),
            (Some(key), []) => format!("the {name} you know ({key}) is not here"),
            (Some(key), labels) => {
                format!("the {name} you know ({key}) is not here; somebody else is: {}", labels.join(", "))
            }
        }
    }
}

/// Whether one who calls itself so may be meant by a name as it is typed.
fn may_be(name: &str, id: PeerId, nick: &Nick) -> bool {
    let (typed, suffix) = name.split_once('~').unwrap_or((name, ""));
    nick.as_str() == typed && id.to_string().starts_with(suffix)
}

/// Whether a name as it is typed is a nick but for its case.
fn is_like(nick: &Nick, name: &str) -> bool {
    nick.as_str().to_lowercase() == name.to_lowercase()
}

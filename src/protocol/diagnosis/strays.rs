//! Datagrams that are authentic and yet not from a peer as it should be: of another group, or of a
//! key that speaks from two machines.
//!
//! A run's datagrams have counters. What is heard again has the signature of what was heard before;
//! what has another one, and comes from another address while the first goes on, is said by
//! somebody else with the same key.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::id::PeerId;
use crate::text::Nick;
use crate::time::Time;

/// Strangers of other groups remembered. When full, the one silent longest is forgotten.
const FOREIGN_MAX: usize = 16;

/// Keys whose strays are remembered. When full, no further one is until one is forgotten.
const SUSPECTS_MAX: usize = 64;

/// Addresses remembered of one key. When full, no further one is.
const ADDRESSES_MAX: usize = 8;

/// Signatures remembered of one key. When full, the oldest is forgotten.
const SIGNATURES_MAX: usize = 32;

/// What was not heard for this long is over.
const FORGET_AFTER: Duration = Duration::from_secs(15);

/// Strays of one address, spread over this time at least, that make a second machine.
const STRAYS_MIN: u32 = 3;
const SPREAD_MIN: Duration = Duration::from_millis(800);

/// No stranger's name is looked at more often than this: that takes checking a signature.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Somebody in another group, heard on one of our ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Where it is.
    pub address: SocketAddr,
    /// What it calls itself, if it said hello.
    pub nick: Option<Nick>,
    /// Its group, if it said so.
    pub group: Option<SocketAddr>,
    /// It or we are in a keyed group, and not with the same key.
    pub other_key: bool,
}

/// One key that speaks from two machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Double {
    /// Whose key.
    pub id: PeerId,
    /// Where it speaks: the one that is taken for the peer, and the other.
    pub addresses: [SocketAddr; 2],
}

/// How one signed datagram was taken.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Whose key signed it.
    pub id: PeerId,
    /// Where it came from.
    pub address: SocketAddr,
    /// In which run, as which datagram of it.
    pub mark: (u64, u64),
    /// The beginning of its signature.
    pub signature: [u8; 8],
    /// It was news; else it was heard before, or is of an earlier run.
    pub fresh: bool,
}

/// What is remembered of one key.
#[derive(Debug, Default)]
struct Suspect {
    signatures: VecDeque<[u8; 8]>,
    places: BTreeMap<SocketAddr, Place>,
    heard_at: Time,
}

/// One address from which a key speaks.
#[derive(Debug, Default)]
struct Place {
    /// What came from here and was news.
    fresh_at: Option<Time>,
    /// What came from here and was neither news nor a copy: how often, from when to when, and the
    /// last of it.
    strays: u32,
    since: Time,
    until: Time,
    mark: (u64, u64),
}

/// What strays.
#[derive(Debug, Default)]
pub struct Strays {
    foreign: BTreeMap<SocketAddr, (Foreign, Time)>,
    suspects: BTreeMap<PeerId, Suspect>,
}

impl Strays {
    /// Whether somebody of another group should be looked at.
    #[must_use]
    pub fn wants(&self, address: SocketAddr, now: Time) -> bool {
        self.foreign.get(&address).is_none_or(|(_, at)| now.since(*at) >= LOOK_AGAIN_AFTER)
    }

    /// Somebody of another group.
    pub fn on_foreign(&mut self, stranger: Foreign, now: Time) {
        let known = self.foreign.get(&stranger.address).map(|(known, _)| known.clone());
        let merged = match known {
            Some(known) => Foreign {
                nick: stranger.nick.or(known.nick),
                group: stranger.group.or(known.group),
                address: stranger.address,
                other_key: stranger.other_key,
            },
            None => stranger,
        };
        self.foreign.insert(merged.address, (merged, now));
        if self.foreign.len() > FOREIGN_MAX
            && let Some((&oldest, _)) = self.foreign.iter().min_by_key(|(_, (_, at))| *at)
        {
            self.foreign.remove(&oldest);
        }
    }

    /// A datagram whose signature holds, of somebody else's key or of our own.
    pub fn on_heard(&mut self, heard: Heard, now: Time) {
        self.suspects.retain(|_, suspect| now.since(suspect.heard_at) <= FORGET_AFTER);
        if self.suspects.len() >= SUSPECTS_MAX && !self.suspects.contains_key(&heard.id) {
            return;
        }
        let suspect = self.suspects.entry(heard.id).or_default();
        suspect.heard_at = now;
        suspect
            .places
            .retain(|_, place| now.since(place.until.max(place.fresh_at.unwrap_or_default())) <= FORGET_AFTER);
        if suspect.places.len() >= ADDRESSES_MAX && !suspect.places.contains_key(&heard.address) {
            return;
        }
        let copy = suspect.signatures.contains(&heard.signature);
        if !copy {
            suspect.signatures.push_back(heard.signature);
            if suspect.signatures.len() > SIGNATURES_MAX {
                suspect.signatures.pop_front();
            }
        }
        let place = suspect.places.entry(heard.address).or_default();
        if heard.fresh {
            place.fresh_at = Some(now);
        }
        if heard.fresh || copy || (place.strays > 0 && heard.mark <= place.mark) {
            return;
        }
        if place.strays == 0 {
            place.since = now;
        }
        (place.strays, place.until, place.mark) = (place.strays.saturating_add(1), now, heard.mark);
    }

    /// Those of other groups who were heard lately.
    pub fn foreign(&self, now: Time) -> impl Iterator<Item = &Foreign> {
        let lately = move |(_, at): &&(Foreign, Time)| now.since(*at) <= FORGET_AFTER;
        self.foreign.values().filter(lately).map(|(stranger, _)| stranger)
    }

    /// Keys that speak from two machines at once; `own` is where we speak ourselves.
    #[must_use]
    pub fn doubles(&self, now: Time, me: PeerId, own: Option<SocketAddr>) -> Vec<Double> {
        let lately = |at: Time| now.since(at) <= FORGET_AFTER;
        let double = |(&id, suspect): (&PeerId, &Suspect)| {
            let strays = |place: &Place| {
                place.strays >= STRAYS_MIN && lately(place.until) && place.until.since(place.since) >= SPREAD_MIN
            };
            let other = suspect.places.iter().find(|(_, place)| strays(place)).map(|(&address, _)| address)?;
            let taken = |(&address, place): (&SocketAddr, &Place)| {
                (address != other && place.fresh_at.is_some_and(lately)).then_some(address)
            };
            let first = if id == me { own } else { suspect.places.iter().find_map(taken) };
            Some(Double { id, addresses: [first?, other] })
        };
        self.suspects.iter().filter_map(double).collect()
    }
}

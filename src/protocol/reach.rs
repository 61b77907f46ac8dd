//! Which casts carry a group message, so that everybody online gets it with the fewest datagrams.
//!
//! A pure choice from what each peer says it hears ([`crate::wire::body::Hello::heard`]). Whom no
//! cast of a segment reaches gets a copy by unicast. What is not known yet is hoped for: repair
//! covers the rest.

use std::net::SocketAddr;

use crate::address::{Cast, Segment};
use crate::command::CastChoice;

/// A peer on a segment, as far as casts are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it is.
    pub address: SocketAddr,
    /// Our casts that it says it hears, as bits of [`Cast::bit`]; `None` while it has not said.
    pub hears: Option<u8>,
}

/// What to send on one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One datagram to everybody, by this cast.
    pub cast: Option<Cast>,
    /// Copies by unicast, to these.
    pub copies: Vec<SocketAddr>,
}

/// Chooses for one segment, given those who are to be reached on it.
///
/// `lone` says that nobody is known on any segment: then a cast goes out all the same, for those
/// we do not know of. A chosen cast that the segment does not have falls back to copies.
#[must_use]
pub fn plan(choice: CastChoice, segment: &Segment, listeners: &[Listener], nobody_known: bool) -> Plan {
    let has = |cast: &Cast| segment.goes_to(*cast).is_some();
    if listeners.is_empty() && !nobody_known {
        return Plan::default();
    }
    let pinned = |cast: Cast| match Some(cast).filter(has) {
        Some(cast) => Plan { cast: Some(cast), copies: Vec::new() },
        None => copies(listeners),
    };
    match choice {
        CastChoice::Unicast => copies(listeners),
        CastChoice::Multicast => pinned(Cast::Multicast),
        CastChoice::Broadcast => pinned(Cast::Broadcast),
        CastChoice::Auto => auto(listeners, [Cast::Multicast, Cast::Broadcast].into_iter().filter(has)),
    }
}

fn copies(listeners: &[Listener]) -> Plan {
    Plan { cast: None, copies: listeners.iter().map(|listener| listener.address).collect() }
}

/// The cast that reaches most, the first of equals, and copies for those it does not reach; no
/// cast at all if it would reach but one of several, or none.
fn auto(listeners: &[Listener], casts: impl Iterator<Item = Cast>) -> Plan {
    let reaches = |cast: Cast, listener: &Listener| listener.hears.is_none_or(|hears| hears & cast.bit() != 0);
    let mut best: Option<(usize, Cast)> = None;
    for cast in casts {
        let reached = listeners.iter().filter(|listener| reaches(cast, listener)).count();
        if best.is_none_or(|(most, _)| reached > most) {
            best = Some((reached, cast));
        }
    }
    let Some((reached, cast)) = best else { return copies(listeners) };
    if reached == 0 && !listeners.is_empty() {
        return copies(listeners);
    }
    let missed = listeners.iter().filter(|listener| !reaches(cast, listener));
    Plan { cast: Some(cast), copies: missed.map(|listener| listener.address).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const U: u8 = 1;
    const B: u8 = 2;
    const M: u8 = 4;

    fn addr(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 5000 + u16::from(last)))
    }

    fn segment() -> Segment {
        let group = Some("239.192.7.7:5007".parse().expect("an address"));
        Segment { broadcast: Some(addr(255)), group, ..Segment::eth0("10.0.0.1:5001") }
    }

    fn chosen<H: Copy + Into<Option<u8>>>(choice: CastChoice, hears: &[H]) -> (Option<Cast>, usize) {
        let listeners = (2..).zip(hears).map(|(n, &hears)| Listener { address: addr(n), hears: hears.into() });
        let listeners: Vec<_> = listeners.collect();
        let plan = plan(choice, &segment(), &listeners, listeners.is_empty());
        (plan.cast, plan.copies.len())
    }

    #[test]
    fn auto_takes_what_reaches_everybody() {
        let auto = |hears: &[u8]| chosen(CastChoice::Auto, hears);
        assert_eq!(auto(&[U | B | M, U | B | M]), (Some(Cast::Multicast), 0));
        assert_eq!(auto(&[U | B, U | B | M]), (Some(Cast::Broadcast), 0));
        assert_eq!(auto(&[U, U | B | M, M]), (Some(Cast::Multicast), 1));
        assert_eq!(auto(&[U, U]), (None, 2));
        assert_eq!(auto(&[0, M]), (Some(Cast::Multicast), 1), "who hears nothing gets a copy");
        let hoped = chosen(CastChoice::Auto, &[None, Some(B)]);
        assert_eq!(hoped, (Some(Cast::Broadcast), 0), "the unknown is hoped for");
        assert_eq!(auto(&[]), (Some(Cast::Multicast), 0), "there may be somebody");
    }

    #[test]
    fn a_pinned_cast_is_the_only_one() {
        assert_eq!(chosen(CastChoice::Multicast, &[U, U]), (Some(Cast::Multicast), 0));
        assert_eq!(chosen(CastChoice::Broadcast, &[M, M]), (Some(Cast::Broadcast), 0));
        assert_eq!(chosen(CastChoice::Unicast, &[M, B, U]), (None, 3));
    }

    #[test]
    fn a_segment_without_the_cast_gets_copies() {
        let bare = Segment { broadcast: None, group: None, ..segment() };
        let listeners = [Listener { address: addr(2), hears: Some(U | B | M) }];
        for choice in [CastChoice::Auto, CastChoice::Broadcast, CastChoice::Multicast] {
            assert_eq!(plan(choice, &bare, &listeners, false).copies, [addr(2)], "{choice}");
        }
    }

    #[test]
    fn a_segment_whose_peers_are_reached_elsewhere_gets_nothing() {
        assert_eq!(plan(CastChoice::Auto, &segment(), &[], false), Plan::default());
    }
}

//! What is wrong with others, as they tell or as their datagrams show.

use super::survey::mtu_needed;
use super::{Code, Finding, Flaw, Member, Padded, SegmentView, Side, US, View};
use crate::address::Cast;

/// Clocks that differ by more than this make history and scripts read wrong, in milliseconds.
pub(super) const SKEW_MAX_MS: u64 = 2000;

/// What peers and strangers tell.
pub(super) fn findings(view: &View) -> Vec<Finding> {
    let mut findings = Vec::new();
    for segment in &view.segments {
        for (x, member) in segment.members.iter().enumerate().skip(1) {
            findings.extend(member.flaws.iter().filter_map(|flaw| flawed(segment, member, *flaw)));
            findings.extend(padded(segment, member));
            let first = view.segments.iter().find_map(|s| s.members.iter().skip(1).find(|m| m.label == member.label));
            // Once, however many segments it is on.
            if first.is_some_and(|first| std::ptr::eq(first, &raw const segment.members[x])) {
                findings.extend(skew(member));
            }
        }
    }
    findings.extend(view.foreign.iter().map(|stranger| {
        let group = stranger.group.map_or_else(|| "another group".to_owned(), |group| format!("the group {group}"));
        let name = match &stranger.nick {
            Some(nick) => format!("{nick} ({})", stranger.address),
            None => stranger.address.to_string(),
        };
        if stranger.other_key {
            // A key makes another one for each group: from outside nobody can tell which of the two is different.
            let cause = format!("{name} seals with another key or for another group, or one of us has no key");
            let remedy = format!(
                "run udpnode --group {} on both, both with the same --key-file FILE or both without",
                view.group
            );
            return Finding {
                code: Code::OtherGroup,
                segment: None,
                cast: None,
                side: Side::Peer(name),
                cause,
                remedy,
            };
        }
        let cause = format!("{name} is in {group}, and we are in {}", view.group);
        let there = stranger.group.map_or_else(|| "ADDR:PORT".to_owned(), |group| group.to_string());
        let remedy = format!("run udpnode --group {there} here, or udpnode --group {} there", view.group);
        Finding { code: Code::OtherGroup, segment: None, cast: None, side: Side::Peer(name), cause, remedy }
    }));
    findings.extend(view.doubles.iter().map(|(double, label)| {
        let (a, b) = (double.addresses[0], double.addresses[1]);
        let cause = if label == US {
            format!("our own key speaks from {b} as well: a machine was cloned with it")
        } else {
            format!("{label} speaks from {a} and from {b} with one key: a machine was cloned with it")
        };
        let remedy = "on one of the two, remove the file key in its state directory (udpnode(1), FILES), or run with \
                      --ephemeral";
        let side = if label == US { Side::Us } else { Side::Peer(label.clone()) };
        Finding { code: Code::ClonedIdentity, segment: None, cast: None, side, cause, remedy: remedy.into() }
    }));
    findings
}

fn found(
    code: Code,
    segment: &SegmentView,
    cast: Option<Cast>,
    member: &Member,
    cause: String,
    remedy: String,
) -> Finding {
    let side = Side::Peer(member.label.clone());
    Finding { code, segment: Some(segment.name.clone()), cast, side, cause, remedy }
}

fn flawed(segment: &SegmentView, member: &Member, flaw: Flaw) -> Option<Finding> {
    let name = &member.label;
    match flaw {
        Flaw::NoMulticastFlag => {
            let cause = format!("{name}'s interface says that it does no multicast");
            let remedy = format!("on {name}'s machine: ip link set dev INTERFACE multicast on");
            Some(found(Code::NoMulticastFlag, segment, Some(Cast::Multicast), member, cause, remedy))
        }
        Flaw::NoBroadcast
            if segment.broadcast.is_some() && segment.contains(member.address.ip()) && !segment.facts.tunnel =>
        {
            let cause = format!("{name}'s address {} has no broadcast address", member.address.ip());
            let bits = segment.prefix_len;
            let remedy = format!(
                "on {name}'s machine: remove {0} as it is now (ip address del), then ip address add {0}/{bits} \
                 broadcast + dev INTERFACE",
                member.address.ip()
            );
            Some(found(Code::NoBroadcastAddress, segment, Some(Cast::Broadcast), member, cause, remedy))
        }
        Flaw::NoGroup | Flaw::Deaf(Cast::Multicast) if segment.group.is_some() => {
            let cause = format!("{name} says that it does not hear the group on its machine");
            Some(found(Code::MulticastDropped, segment, Some(Cast::Multicast), member, cause, ask_there(name)))
        }
        Flaw::Deaf(Cast::Broadcast) if segment.broadcast.is_some() => {
            let cause = format!("{name} says that it does not hear broadcasts on its machine");
            Some(found(Code::BroadcastDropped, segment, Some(Cast::Broadcast), member, cause, ask_there(name)))
        }
        Flaw::Narrow(mtu) => {
            let needed = mtu_needed();
            let cause = format!("{name}'s MTU is {mtu}, and our largest packets have {needed} bytes: it loses them");
            let remedy = format!("on {name}'s machine: ip link set dev INTERFACE mtu 1500");
            Some(found(Code::MtuTooSmall, segment, None, member, cause, remedy))
        }
        Flaw::NoBroadcast | Flaw::NoGroup | Flaw::Deaf(_) | Flaw::ReversePath | Flaw::Revived => None,
    }
}

/// What is amiss is told by the machine where it is.
fn ask_there(name: &str) -> String {
    format!("on {name}'s machine: udpnode doctor says why, and ss -ulpn who holds the port if that is it")
}

/// Large datagrams that are lost where small ones are not, and nobody's own interface says why.
fn padded(segment: &SegmentView, member: &Member) -> Option<Finding> {
    let narrow = |member: &Member| member.flaws.iter().any(|flaw| matches!(flaw, Flaw::Narrow(_)));
    if segment.facts.is_narrow() || narrow(member) {
        return None;
    }
    let name = member.label.clone();
    let side = match member.padded {
        Padded::Unknown | Padded::Fits => return None,
        Padded::NotThere => Side::Between { from: US.into(), to: name, both: false },
        Padded::NotBack => Side::Between { from: name, to: US.into(), both: false },
    };
    let needed = mtu_needed();
    let cause = format!("packets of {needed} bytes are lost {side} on {}, smaller ones are not", segment.name);
    let remedy = format!("give every link between an MTU of at least {needed}: ip link set dev PORT mtu 1500");
    Some(Finding { code: Code::MtuTooSmall, segment: Some(segment.name.clone()), cast: None, side, cause, remedy })
}

fn skew(member: &Member) -> Option<Finding> {
    let skew = member.skew_ms.filter(|skew| skew.unsigned_abs() > SKEW_MAX_MS)?;
    let name = &member.label;
    let (seconds, tenths) = (skew.unsigned_abs() / 1000, skew.unsigned_abs() % 1000 / 100);
    let way = if skew > 0 { "ahead of" } else { "behind" };
    let cause = format!("{name}'s clock is {seconds}.{tenths} s {way} ours: times and history are in the wrong order");
    let remedy = "set both clocks: timedatectl set-ntp true".to_owned();
    let side = Side::Between { from: name.clone(), to: US.into(), both: true };
    Some(Finding { code: Code::ClockSkew, segment: None, cast: None, side, cause, remedy })
}

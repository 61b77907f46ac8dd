//! What is wrong on this machine, as the system tells.

use super::survey::mtu_needed;
use super::{Code, Facts, Finding, Flaw, Holder, Refusal, SegmentView, Side, View};
use crate::address::{Cast, Segment};

/// What the interfaces of this machine say.
pub(super) fn findings(view: &View) -> Vec<Finding> {
    view.segments.iter().flat_map(|segment| of_segment(view, segment)).collect()
}

fn of_segment(view: &View, segment: &SegmentView) -> Vec<Finding> {
    let (facts, on) = (&segment.facts, &segment.name);
    let mut findings = Vec::new();
    let mut found = |code, cast, cause: String, remedy: String| {
        findings.push(Finding { code, segment: Some(on.clone()), cast, side: Side::Us, cause, remedy });
    };
    if facts.lacks_multicast() {
        let cause = format!("interface {on} says that it does no multicast");
        found(Code::NoMulticastFlag, Some(Cast::Multicast), cause, format!("ip link set dev {on} multicast on"));
    }
    if let Some(mtu) = facts.mtu.filter(|_| facts.is_narrow()) {
        let needed = mtu_needed();
        let cause = format!("packets of more than {mtu} bytes do not leave {on} whole, and our largest have {needed}");
        found(Code::MtuTooSmall, None, cause, format!("ip link set dev {on} mtu 1500"));
    }
    let (ip, bits) = (segment.address.ip(), segment.prefix_len);
    if segment.broadcast.is_none() && ip.is_ipv4() && !facts.tunnel && !facts.loopback {
        let cause = format!("the address {ip}/{bits} on {on} has no broadcast address");
        let remedy = format!(
            "if its network is larger: ip address del {ip}/{bits} dev {on}; \
             ip address add {ip}/24 broadcast + dev {on}"
        );
        found(Code::NoBroadcastAddress, Some(Cast::Broadcast), cause, remedy);
    }
    if let Some(to) = segment.broadcast.filter(|_| segment.deaf_to & Cast::Broadcast.bit() != 0) {
        let cause = format!("broadcasts are not heard on {on}: {to} cannot be listened on");
        let remedy = "ss -ulpn shows who holds that port; udpnode says at its start what the system answers".into();
        found(Code::BroadcastDropped, Some(Cast::Broadcast), cause, remedy);
    }
    findings.extend(port_taken(segment));
    findings.extend(group_refused(view, segment));
    findings
}

/// The port of the rule, that we do not have.
fn port_taken(segment: &SegmentView) -> Option<Finding> {
    let ((port, holder), on) = (taken(segment)?, &segment.name);
    let (ip, instead) = (segment.address.ip(), segment.address.port());
    let (is_held, remedy) = match holder {
        Holder::Nobody => ("was held when we came and is free now".into(), "start udpnode again".into()),
        Holder::Program(_) | Holder::Unknown => {
            let by = if let Holder::Program(name) = holder { name } else { "a program of another user" };
            let remedy = format!("end that program, or take a port that all know: udpnode --address {ip}:PORT");
            (format!("is held by {by}"), remedy)
        }
    };
    let cause = format!(
        "port {port} on {on} {is_held}: we have port {instead} instead, and --peer does not find us by the rule"
    );
    Some(Finding {
        code: Code::PortTaken,
        segment: Some(on.clone()),
        cast: Some(Cast::Unicast),
        side: Side::Us,
        cause,
        remedy,
    })
}

/// The group, that the system does not let us hear.
fn group_refused(view: &View, segment: &SegmentView) -> Option<Finding> {
    let (Refusal { why, taken }, group, on) = (segment.facts.deaf.as_ref()?, view.group, &segment.name);
    let (code, remedy) = if *taken {
        let remedy = format!(
            "end that program (the group is heard within 10 s then), or choose another port for all: \
             udpnode --group {}:PORT",
            group.ip()
        );
        (Code::PortTaken, remedy)
    } else {
        let remedy = "see what the system answers: the group is heard within 10 s when that is mended";
        (Code::MulticastDropped, remedy.into())
    };
    let cause = format!("the group {group} is not heard on {on}: {why}");
    Some(Finding { code, segment: Some(on.clone()), cast: Some(Cast::Multicast), side: Side::Us, cause, remedy })
}

/// The port that another program holds; another node beside us is no trouble.
fn taken(segment: &SegmentView) -> Option<(u16, &Holder)> {
    let (port, holder) = segment.facts.taken.as_ref()?;
    let is_node = matches!(holder, Holder::Program(name) if name.starts_with("udpnode "));
    let ip = segment.address.ip();
    let is_peer = segment.members.iter().skip(1).any(|m| m.address.ip() == ip && m.address.port() == *port);
    (!is_peer && !is_node).then_some((*port, holder))
}

/// What we are to say of our own side: others diagnose as well.
pub(super) fn flaws(facts: &Facts, segment: &Segment, revived: bool) -> Vec<Flaw> {
    let deaf = |cast: Cast| segment.deaf_to & cast.bit() != 0;
    let narrow = facts.mtu.filter(|_| facts.is_narrow()).map(Flaw::Narrow);
    let flags = [
        (facts.reverse_path.is_some_and(|mode| mode > 0), Flaw::ReversePath),
        (facts.lacks_multicast(), Flaw::NoMulticastFlag),
        (segment.group.is_none(), Flaw::NoGroup),
        (segment.broadcast.is_none(), Flaw::NoBroadcast),
        (deaf(Cast::Multicast), Flaw::Deaf(Cast::Multicast)),
        (deaf(Cast::Broadcast), Flaw::Deaf(Cast::Broadcast)),
        (revived, Flaw::Revived),
    ];
    flags.into_iter().filter(|(is, _)| *is).map(|(_, flaw)| flaw).chain(narrow).collect()
}

/// Where nobody is heard: what was looked at, and what to try.
pub(super) fn nobody(view: &View, segment: &SegmentView) -> String {
    let facts = &segment.facts;
    let deaf = |cast: Cast| segment.deaf_to & cast.bit() != 0;
    let mut looked = vec![match segment.group {
        Some(group) if deaf(Cast::Multicast) => format!("group {group} not heard"),
        Some(group) => format!("group {group} joined"),
        None => format!("group {} not joined", view.group),
    }];
    match segment.broadcast {
        Some(to) if deaf(Cast::Broadcast) => looked.push(format!("broadcast {to} not heard")),
        Some(to) => looked.push(format!("broadcast {to}")),
        None if segment.address.is_ipv4() => looked.push("no broadcast address".into()),
        None => {}
    }
    if let Some(multicast) = facts.multicast.filter(|_| !facts.loopback) {
        looked.push(format!("multicast flag {}", if multicast { "on" } else { "off" }));
    }
    looked.extend(facts.mtu.map(|mtu| format!("MTU {mtu}")));
    looked.extend(facts.reverse_path.map(|mode| format!("rp_filter {mode}")));
    let ports =
        [Some(segment.address.port()), segment.broadcast.map(|to| to.port()), segment.group.map(|to| to.port())];
    let ports: Vec<_> = ports.into_iter().flatten().map(|port| port.to_string()).collect();
    format!(
        "nobody is heard on {}: {}; is the other side on this network, in this group (--group), and does no firewall \
         drop UDP port {} (nft list ruleset)? beyond a router or a switch that keeps clients apart try --peer ADDR",
        segment.shown(),
        looked.join(", "),
        ports.join(", ")
    )
}

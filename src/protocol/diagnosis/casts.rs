//! Who hears whom, and what that says: which cast is dropped on which side, who is filtered by the
//! reverse path, whose TTL is too small.
//!
//! One pair proves only that something lies between two. Whoever hears nobody while the others hear
//! each other does not hear; whom nobody hears while the others hear each other is not let out.

use std::collections::BTreeSet;

use super::{Code, Finding, Flaw, Member, SegmentView, Side, US, Unheard, View};
use crate::address::Cast;

/// Pairs named one by one; where there are more, the network is at fault.
const PAIRS_MAX: usize = 6;

/// What a grid of one cast says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Nobody hears anybody.
    All,
    /// These many pairs, and no party to all of them.
    Many(usize),
    /// One does not hear the others.
    Deaf(usize),
    /// One is not heard by the others.
    Mute(usize),
    /// One does not hear another; and the other way round if the last is true.
    Pair(usize, usize, bool),
}

/// Everything that a segment's casts say.
pub(super) fn findings(view: &View, segment: &SegmentView) -> Vec<Finding> {
    let (mut findings, filtered) = reverse_path(view, segment);
    findings.extend(snooping(view, segment));
    for cast in [Cast::Multicast, Cast::Broadcast] {
        // A tunnel may carry casts and need not.
        if segment.facts.tunnel && segment.cells.values().all(|cell| cell.by(cast) != Some(true)) {
            continue;
        }
        let cell = |listener: usize, speaker: usize| {
            if filtered.contains(&(listener, speaker)) || is_excused(segment, cast, listener, speaker) {
                return None;
            }
            segment.hears(listener, speaker, cast)
        };
        let verdicts = classify(segment.members.len(), cell);
        let verdicts = without_twins(segment, verdicts);
        findings.extend(verdicts.into_iter().map(|verdict| dropped(view, segment, cast, verdict)));
    }
    findings.extend(ttl(view, segment));
    findings
}

/// What is explained already, or says nothing about the network between.
fn is_excused(segment: &SegmentView, cast: Cast, listener: usize, speaker: usize) -> bool {
    let (Some(a), Some(b)) = (segment.members.get(listener), segment.members.get(speaker)) else { return true };
    let (a_ip, b_ip) = (a.address.ip(), b.address.ip());
    // Nodes of one machine, and those beyond a router.
    if a_ip == b_ip || !segment.contains(a_ip) || !segment.contains(b_ip) {
        return true;
    }
    let flawed = |flaws: &[Flaw]| [a, b].iter().any(|member| member.flaws.iter().any(|flaw| flaws.contains(flaw)));
    if a.flaws.contains(&Flaw::Deaf(cast)) {
        return true;
    }
    match cast {
        Cast::Multicast => is_snooped(segment) || flawed(&[Flaw::NoGroup, Flaw::NoMulticastFlag]),
        Cast::Broadcast => flawed(&[Flaw::NoBroadcast]),
        Cast::Unicast => false,
    }
}

/// What the grid says about `count` nodes; `cell` tells whether a listener hears a speaker.
pub(super) fn classify(count: usize, cell: impl Fn(usize, usize) -> Option<bool>) -> Vec<Verdict> {
    let pairs = || (0..count).flat_map(|a| (0..count).map(move |b| (a, b))).filter(|(a, b)| a != b);
    let known: Vec<_> = pairs().filter_map(|(a, b)| cell(a, b).map(|hears| ((a, b), hears))).collect();
    let mut bad: BTreeSet<_> = known.iter().filter(|(_, hears)| !hears).map(|&(pair, _)| pair).collect();
    if bad.is_empty() {
        return Vec::new();
    }
    let parties: BTreeSet<_> = known.iter().flat_map(|&((a, b), _)| [a, b]).collect();
    if bad.len() == known.len() && parties.len() > 2 && bad.iter().any(|&(a, b)| bad.contains(&(b, a))) {
        return vec![Verdict::All];
    }
    let works = |listens: &dyn Fn(usize, usize) -> bool| known.iter().any(|&((a, b), hears)| hears && listens(a, b));
    let mut verdicts = Vec::new();
    for x in 0..count {
        let all_bad = |side: &dyn Fn(usize, usize) -> usize| {
            let own: Vec<_> = known.iter().filter(|&&((a, b), _)| side(a, b) == x).collect();
            own.len() > 1 && own.iter().all(|(_, hears)| !hears)
        };
        if all_bad(&|listener, _| listener) && works(&|a, b| a != x && b != x) {
            verdicts.push(Verdict::Deaf(x));
        }
        if all_bad(&|_, speaker| speaker) && works(&|a, b| a != x && b != x) {
            verdicts.push(Verdict::Mute(x));
        }
    }
    bad.retain(|&(listener, speaker)| {
        !verdicts.contains(&Verdict::Deaf(listener)) && !verdicts.contains(&Verdict::Mute(speaker))
    });
    let mut rest = Vec::new();
    while let Some((listener, speaker)) = bad.pop_first() {
        let both = bad.remove(&(speaker, listener));
        rest.push(Verdict::Pair(listener, speaker, both));
    }
    if rest.len() > PAIRS_MAX {
        rest = vec![Verdict::Many(rest.len())];
    }
    [verdicts, rest].concat()
}

/// Nodes of one machine share its firewall: what holds for us need not be said of the other.
fn without_twins(segment: &SegmentView, verdicts: Vec<Verdict>) -> Vec<Verdict> {
    let host = |x: usize| segment.members.get(x).map(|member| member.address.ip());
    let host_of = |verdict: &Verdict| match *verdict {
        Verdict::Deaf(x) => (0, host(x), None),
        Verdict::Mute(x) => (1, host(x), None),
        Verdict::Pair(a, b, both) => (2 + u8::from(both), host(a), host(b)),
        Verdict::All | Verdict::Many(_) => (4, None, None),
    };
    let mut seen = BTreeSet::new();
    verdicts.into_iter().filter(|verdict| seen.insert(host_of(verdict))).collect()
}

fn label(segment: &SegmentView, x: usize) -> String {
    segment.members.get(x).map_or_else(String::new, |member| member.label.clone())
}

fn side(segment: &SegmentView, x: usize) -> Side {
    if x == 0 { Side::Us } else { Side::Peer(label(segment, x)) }
}

/// A verdict in words.
fn dropped(view: &View, segment: &SegmentView, cast: Cast, verdict: Verdict) -> Finding {
    let code = if cast == Cast::Multicast { Code::MulticastDropped } else { Code::BroadcastDropped };
    let port = match cast {
        Cast::Multicast => segment.group.unwrap_or(view.group).port(),
        _ => segment.broadcast.map_or(0, |to| to.port()),
    };
    let name = |x: usize| label(segment, x);
    let on = &segment.name;
    let (side, cause, remedy) = match verdict {
        Verdict::All => (
            Side::Network,
            format!("nobody hears anybody's {cast}s on {on}"),
            format!("the switch or access point drops {cast}s: {}", through(segment, cast)),
        ),
        Verdict::Many(pairs) => (
            Side::Network,
            format!("{cast}s do not get through between {pairs} pairs on {on}, and do between others"),
            format!("a switch or access point between them drops {cast}s: {}", through(segment, cast)),
        ),
        Verdict::Deaf(0) => (
            Side::Us,
            format!("{cast}s of others do not come in on {on}, though they hear each other's"),
            let_in("on this machine", port),
        ),
        Verdict::Deaf(x) => (
            side(segment, x),
            format!("{cast}s do not come in at {}, though others hear each other's", name(x)),
            let_in(&format!("on {}'s machine", name(x)), port),
        ),
        Verdict::Mute(0) => (
            Side::Us,
            format!("our {cast}s on {on} reach nobody, though others hear each other's"),
            let_out("on this machine", port),
        ),
        Verdict::Mute(x) => (
            side(segment, x),
            format!("{}'s {cast}s reach nobody, though others hear each other's", name(x)),
            let_out(&format!("on {}'s machine", name(x)), port),
        ),
        Verdict::Pair(listener, speaker, both) => {
            let side = Side::Between { from: name(speaker), to: name(listener), both };
            let cause = format!("{cast}s are dropped {side} on {on}");
            let remedy = format!(
                "see that nothing drops UDP port {port} on its way out at {} and in at {} (nft list ruleset); else {}",
                name(speaker),
                name(listener),
                through(segment, cast)
            );
            (side, cause, remedy)
        }
    };
    Finding { code, segment: Some(segment.name.clone()), cast: Some(cast), side, cause, remedy }
}

fn let_in(place: &str, port: u16) -> String {
    format!(
        "let in UDP port {port} {place}: nft insert rule inet filter input udp dport {port} accept \
         (nft list ruleset shows what drops it)"
    )
}

fn let_out(place: &str, port: u16) -> String {
    format!(
        "let out UDP to port {port} {place}: nft insert rule inet filter output udp dport {port} accept \
         (nft list ruleset shows what drops it)"
    )
}

fn through(segment: &SegmentView, cast: Cast) -> String {
    match cast {
        Cast::Multicast => "turn off IGMP snooping in the switch, or let it ask (querier)".into(),
        _ => format!(
            "see that all have a netmask of {} bits (ip -br address) and that the switch keeps no clients apart",
            segment.prefix_len
        ),
    }
}

/// Whether the switch forgets who is in the group: somebody had to join anew to hear it, or a
/// bridge of ours forgets and nobody hears anybody.
fn is_snooped(segment: &SegmentView) -> bool {
    let told = segment.members.iter().any(|member| member.flaws.contains(&Flaw::Revived));
    segment.revived || told || (is_forgetful(segment) && all_deaf(segment))
}

fn is_forgetful(segment: &SegmentView) -> bool {
    segment.facts.bridge.as_ref().is_some_and(super::Bridge::forgets)
}

/// Whether multicasts reach nobody and broadcasts somebody.
fn all_deaf(segment: &SegmentView) -> bool {
    let cells = || segment.cells.values();
    let deaf = cells().filter(|cell| cell.multicast == Some(false)).count();
    deaf > 0 && cells().all(|cell| cell.multicast != Some(true)) && cells().any(|cell| cell.broadcast == Some(true))
}

fn snooping(view: &View, segment: &SegmentView) -> Option<Finding> {
    if !is_snooped(segment) {
        return None;
    }
    let own = segment.facts.bridge.as_ref().filter(|bridge| bridge.forgets());
    let here = own.or_else(|| view.bridges.iter().find(|bridge| bridge.forgets()));
    let who: Vec<_> = segment.members.iter().filter(|member| member.flaws.contains(&Flaw::Revived)).collect();
    let who = match who.first() {
        Some(member) if !segment.revived && member.label != US => member.label.clone(),
        _ => "we".into(),
    };
    let bridge = here.map_or_else(|| "BRIDGE".to_owned(), |bridge| bridge.name.clone());
    let cause = if segment.revived || who != "we" {
        format!(
            "multicast on {} stops after a while and comes back when {who} join(s) the group anew: the switch snoops \
             (IGMP) and nobody asks who is still there",
            segment.name
        )
    } else {
        format!(
            "multicast on {} reaches nobody: bridge {bridge} snoops (IGMP) and does not ask who is still there",
            segment.name
        )
    };
    let remedy = format!(
        "on the switch: ip link set dev {bridge} type bridge mcast_querier 1 (works after a while), or \
         mcast_snooping 0 (works at once)"
    );
    let side = if own.is_some() { Side::Us } else { Side::Network };
    Some(finding(Code::SnoopingWithoutQuerier, segment, Some(Cast::Multicast), side, cause, remedy))
}

fn finding(
    code: Code,
    segment: &SegmentView,
    cast: Option<Cast>,
    side: Side,
    cause: String,
    remedy: String,
) -> Finding {
    Finding { code, segment: Some(segment.name.clone()), cast, side, cause, remedy }
}

/// Who filters by the reverse path and so does not hear whom. Also the pairs that it explains.
fn reverse_path(view: &View, segment: &SegmentView) -> (Vec<Finding>, BTreeSet<(usize, usize)>) {
    let (mut findings, mut filtered) = (Vec::new(), BTreeSet::new());
    let filters = |member: &Member| member.flaws.contains(&Flaw::ReversePath);
    for (listener, member) in segment.members.iter().enumerate().filter(|(_, member)| filters(member)) {
        let own = member.address.ip();
        let mut whom = Vec::new();
        for (speaker, other) in segment.members.iter().enumerate() {
            let ip = other.address.ip();
            let silent = segment.cells.get(&(listener, speaker)).is_some_and(super::Cell::is_silent);
            if listener != speaker && !segment.same_network(own, ip) && silent {
                filtered.insert((listener, speaker));
                whom.push(format!("{} ({ip})", other.label));
            }
        }
        findings.extend((!whom.is_empty()).then(|| filter_found(segment, listener, &whom)));
    }
    // We do not hear whom others hear, and the kernel says that it drops by the reverse path: not those of our network.
    let drops = segment.members.first().is_some_and(filters) && view.reverse_path_drops.is_some_and(|drops| drops > 0);
    let is_filtered = |other: &&Unheard| drops && other.address.is_none_or(|ip| !segment.contains(ip));
    let (filtered_here, others): (Vec<_>, Vec<_>) = segment.unheard.iter().partition(is_filtered);
    let whom: Vec<_> = filtered_here.into_iter().map(heard_by).collect();
    findings.extend((!whom.is_empty()).then(|| filter_found(segment, 0, &whom)));
    findings.extend(others.into_iter().filter(|other| other.lasting).map(|other| {
        let (by, on) = (other.by.join(", "), &segment.name);
        let cause = format!("{} is heard by {by} on {on}, but nothing of it comes here", other.label);
        let remedy = "look for a firewall here and there, and whether both have addresses of one network".into();
        let side = Side::Between { from: other.label.clone(), to: US.into(), both: false };
        finding(Code::NotHeard, segment, None, side, cause, remedy)
    }));
    findings.extend(silent_pairs(segment, &filtered));
    (findings, filtered)
}

/// Somebody whom we never met, as it is shown.
fn heard_by(other: &Unheard) -> String {
    format!("{} (heard by {})", other.label, other.by.join(", "))
}

fn filter_found(segment: &SegmentView, listener: usize, whom: &[String]) -> Finding {
    let (at, interface) = match listener {
        0 => ("this machine".to_owned(), segment.name.clone()),
        x => (format!("{}'s machine", label(segment, x)), "INTERFACE".into()),
    };
    let whom = whom.iter().take(PAIRS_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let cause = format!("{at} drops what comes from another network than its own, by rp_filter: {whom} is not heard");
    // A dot in a name would be taken for a step of the path.
    let step = if interface.contains('.') { "/" } else { "." };
    let switch = |of: &str| ["net", "ipv4", "conf", of, "rp_filter=0"].join(step);
    let remedy =
        format!("give both addresses of one network; or on {at}: sysctl -w {} {}", switch("all"), switch(&interface));
    finding(Code::ReversePathFilter, segment, None, side(segment, listener), cause, remedy)
}

/// Those beyond a router or of another network who are heard by a cast but do not hear it.
fn silent_pairs<'a>(
    segment: &'a SegmentView,
    filtered: &'a BTreeSet<(usize, usize)>,
) -> impl Iterator<Item = Finding> + 'a {
    let far = segment.members.iter().enumerate().skip(1).filter(|(_, m)| !segment.contains(m.address.ip()));
    let one_way = far.filter(|&(x, member)| {
        let same_link = member.hops == Some(0) && segment.hears(0, x, Cast::Multicast) == Some(true);
        let deaf = segment.cells.get(&(x, 0)).is_some_and(super::Cell::is_silent);
        same_link && deaf && !filtered.contains(&(x, 0))
    });
    one_way.map(|(_, member)| {
        let cause = format!(
            "we hear {} on {}, but it does not hear us: its address {} is of another network",
            member.label,
            segment.name,
            member.address.ip()
        );
        let remedy =
            format!("give both addresses of one network: ip address add ADDR/{} dev INTERFACE", segment.prefix_len);
        let side = Side::Between { from: US.into(), to: member.label.clone(), both: false };
        finding(Code::NotHeard, segment, None, side, cause, remedy)
    })
}

/// Whose multicasts end before a peer beyond routers, although others' pass.
fn ttl(view: &View, segment: &SegmentView) -> Vec<Finding> {
    let by = |listener, speaker| segment.hears(listener, speaker, Cast::Multicast);
    let mut findings = Vec::new();
    let far = segment.members.iter().enumerate().skip(1).filter(|(_, m)| !segment.contains(m.address.ip()));
    for (x, member) in far {
        let Some(hops) = member.hops.filter(|&hops| hops > 0) else { continue };
        let near: Vec<usize> = segment.near().map(|(near, _)| near).chain([0]).collect();
        // Somebody's multicast passes, in one direction or the other.
        let routed = near.iter().any(|&n| by(x, n) == Some(true) || by(n, x) == Some(true));
        let needed = hops.saturating_add(1);
        let routers = if hops == 1 { "1 router".to_owned() } else { format!("{hops} routers") };
        if routed && by(x, 0) == Some(false) && view.ttl <= hops {
            let cause = format!(
                "our multicasts do not reach {} beyond {routers}: a TTL of {} passes {}",
                member.label,
                view.ttl,
                view.ttl.saturating_sub(1)
            );
            let remedy = format!("run udpnode --ttl {needed}");
            findings.push(finding(Code::TtlTooSmall, segment, Some(Cast::Multicast), Side::Us, cause, remedy));
        }
        if routed && by(0, x) == Some(false) && member.ttl.is_some_and(|ttl| ttl <= hops) {
            let cause = format!(
                "{}'s multicasts do not reach us beyond {routers}: its TTL is {}",
                member.label,
                member.ttl.unwrap_or(0)
            );
            let remedy = format!("at {}: run udpnode --ttl {needed}", member.label);
            let side = Side::Peer(member.label.clone());
            findings.push(finding(Code::TtlTooSmall, segment, Some(Cast::Multicast), side, cause, remedy));
        }
    }
    findings
}

//! Hosts on one LAN, each with IPv4, IPv6 or both: peers are one by identity, and so is what is said.

use super::*;

const V4: SegmentId = SegmentId(1);
const V6: SegmentId = SegmentId(2);
/// What goes by whichever segment the system would choose: nobody has it.
const BY_SYSTEM: SegmentId = SegmentId(0);

/// A host and what it sent.
struct Host {
    node: Node,
    segments: Vec<Segment>,
    sent: Vec<(SegmentId, Cast, Vec<u8>)>,
    told: Vec<Event>,
}

impl Host {
    fn new(last: u8, families: &[SegmentId]) -> Self {
        let config = Config { nick: Nick::from_any(&format!("n{last}")), ..config() };
        let mut host = Self { node: node(last, config), segments: Vec::new(), sent: Vec::new(), told: Vec::new() };
        for &id in families {
            let v6 = |last| SocketAddr::from(([0xfe80, 0, 0, 0, 0, 0, 0, last], 5000 + last));
            let segment = match id {
                V4 => segment(last),
                _ => Segment {
                    id,
                    address: v6(last.into()),
                    prefix_len: 64,
                    broadcast: None,
                    group: "[ff05::7:7]:5007".parse().ok(),
                    ..segment(last)
                },
            };
            host.node.handle_input(Time::ZERO, Input::Segment(SegmentChange::Up(segment.clone())));
            drain(&mut host.node);
            host.segments.push(segment);
        }
        host
    }

    fn at(&self, id: SegmentId) -> Option<SocketAddr> {
        self.segments.iter().find(|segment| segment.id == id).map(|segment| segment.address)
    }

    fn entries(&self) -> usize {
        self.sent.iter().filter(|(_, _, bytes)| dump(bytes).contains(" entry=")).count()
    }
}

/// Takes what a host wants to send.
fn outputs(host: &mut Host) -> Vec<(SegmentId, Cast, SocketAddr, Vec<u8>)> {
    let (mut out, mut buf) = (Vec::new(), Vec::new());
    while let Some(output) = host.node.poll_output(&mut buf) {
        match output {
            Output::Send { segment, cast, to } => {
                host.sent.push((segment, cast, buf.clone()));
                out.push((segment, cast, to, buf.clone()));
            }
            Output::SendBeyond { to, .. } => out.push((BY_SYSTEM, Cast::Unicast, to, buf.clone())),
            Output::Event(event) => host.told.push(event),
            Output::Stream { .. } | Output::Rejoin { .. } => {}
        }
    }
    out
}

/// Has a host say something; it reaches everybody whom `carries` lets it reach.
fn speak(hosts: &mut [Host], speaker: usize, ms: u64, text: &str, carries: impl Fn(usize, SegmentId) -> bool) {
    hosts[speaker].node.handle_input(at(ms), Input::Command(say(text)));
    deliver(hosts, speaker, at(ms), &carries);
}

/// Lets a LAN live for a while; `carries` says which segment works for whom as a listener.
fn live(hosts: &mut [Host], from_ms: u64, to_ms: u64, carries: impl Fn(usize, SegmentId) -> bool) {
    for now in (from_ms..to_ms).map(at) {
        for speaker in 0..hosts.len() {
            hosts[speaker].node.handle_timeout(now);
            deliver(hosts, speaker, now, &carries);
        }
    }
}

/// Carries what a host sends, and what others answer at once.
fn deliver(hosts: &mut [Host], speaker: usize, now: Time, carries: &impl Fn(usize, SegmentId) -> bool) {
    let mut queue: Vec<_> = outputs(&mut hosts[speaker]).into_iter().map(|out| (speaker, out)).collect();
    while let Some((speaker, (segment, cast, to, bytes))) = queue.pop() {
        let Some(from) = hosts[speaker].at(segment) else { continue };
        for listener in (0..hosts.len()).filter(|&listener| listener != speaker) {
            let Some(own) = hosts[listener].at(segment).filter(|_| carries(listener, segment)) else { continue };
            if cast != Cast::Unicast || own == to {
                let ttl = Some(crate::address::Ttls::default().of(cast));
                hosts[listener].node.handle_input(now, Input::Datagram { segment, cast, from, ttl, bytes: &bytes });
                queue.extend(outputs(&mut hosts[listener]).into_iter().map(|out| (listener, out)));
            }
        }
    }
}

fn everything(_: usize, _: SegmentId) -> bool {
    true
}

#[test]
fn a_peer_of_both_families_is_one_and_is_told_once() {
    let mut hosts = [Host::new(1, &[V4, V6]), Host::new(2, &[V4, V6]), Host::new(3, &[V4, V6])];
    live(&mut hosts, 0, 5000, everything);
    for host in &hosts {
        assert!(matches!(host.told[..], [Event::Joined(..), Event::Joined(..)]), "{:?}", host.told);
        let casts: BTreeSet<_> = host.sent.iter().map(|&(segment, cast, _)| (segment, cast)).collect();
        assert!(casts.contains(&(V6, Cast::Multicast)) && casts.contains(&(V4, Cast::Broadcast)));
    }
    hosts.iter_mut().for_each(|host| host.sent.clear());
    speak(&mut hosts, 0, 5000, "hi", everything);
    live(&mut hosts, 5000, 7000, everything);
    assert_eq!(hosts.iter().map(Host::entries).collect::<Vec<_>>(), [1, 0, 0], "one cast, and nothing passed on");
    for host in &hosts[1..] {
        assert_eq!(host.told.iter().filter(|event| matches!(event, Event::Message(_))).count(), 1);
    }
}

#[test]
fn hosts_with_a_netmask_of_32_bits_said_again_what_each_of_them_said() {
    let mut hosts = [1, 2, 3].map(|last| Host::new(last, &[V4]));
    for host in &mut hosts {
        let segment = Segment { prefix_len: 32, broadcast: None, ..host.segments[0].clone() };
        host.node.handle_input(Time::ZERO, Input::Segment(SegmentChange::Up(segment)));
        outputs(host);
    }
    live(&mut hosts, 0, 5000, everything);
    hosts.iter_mut().for_each(|host| host.sent.clear());
    speak(&mut hosts, 0, 5000, "hi", everything);
    live(&mut hosts, 5000, 7000, everything);
    assert_eq!(hosts.iter().map(Host::entries).collect::<Vec<_>>(), [1, 0, 0], "one cast, and nothing passed on");
}

#[test]
fn where_a_family_fails_the_other_carries_it() {
    let mut hosts = [Host::new(1, &[V4, V6]), Host::new(2, &[V4, V6])];
    live(&mut hosts, 0, 3000, everything);
    let deaf = |listener, segment| listener != 1 || segment != V4;
    live(&mut hosts, 3000, 20_000, deaf);
    hosts.iter_mut().for_each(|host| host.sent.clear());
    speak(&mut hosts, 0, 20_000, "hi", deaf);
    live(&mut hosts, 20_000, 20_020, deaf);
    assert_eq!(hosts[0].entries(), 1);
    assert!(hosts[0].sent.iter().any(|(on, cast, _)| (*on, *cast) == (V6, Cast::Multicast)));
    assert!(hosts[1].told.iter().any(|event| matches!(event, Event::Message(_))), "{:?}", hosts[1].told);
    assert!(!hosts.iter().any(|host| host.told.iter().any(|event| matches!(event, Event::Lost(..)))));
}

#[test]
fn a_family_that_comes_later_is_not_taken_for_deaf() {
    let mut hosts = [Host::new(1, &[V4]), Host::new(2, &[V4])];
    live(&mut hosts, 0, 10_000, everything);
    for (last, host) in (1..).zip(&mut hosts) {
        host.sent.clear();
        let v6 = Host::new(last, &[V6]).segments.remove(0);
        host.node.handle_input(at(10_000), Input::Segment(SegmentChange::Up(v6.clone())));
        host.segments.push(v6);
    }
    live(&mut hosts, 10_000, 12_000, everything);
    let hello = |bytes: &[u8]| dump(bytes).contains(" hello ");
    let sent = hosts.iter().flat_map(|host| &host.sent);
    let unicasts = sent.filter(|(_, cast, bytes)| *cast == Cast::Unicast && hello(bytes));
    assert_eq!(unicasts.count(), 0);
}

#[test]
fn who_has_both_passes_on_what_others_cannot_hear_and_nothing_else() {
    // Two of both families, one of IPv6; then one of IPv4 comes as well.
    let mut hosts = vec![Host::new(1, &[V4, V6]), Host::new(2, &[V4, V6]), Host::new(3, &[V6])];
    live(&mut hosts, 0, 3000, everything);
    hosts.iter_mut().for_each(|host| host.sent.clear());
    speak(&mut hosts, 2, 3000, "hi", everything);
    live(&mut hosts, 3000, 5000, everything);
    assert_eq!(hosts.iter().map(Host::entries).collect::<Vec<_>>(), [0, 0, 1], "all heard it by IPv6");

    hosts.push(Host::new(4, &[V4]));
    live(&mut hosts, 5000, 9000, everything);
    hosts.iter_mut().for_each(|host| host.sent.clear());
    speak(&mut hosts, 2, 9000, "to IPv4 as well", everything);
    live(&mut hosts, 9000, 9020, everything);
    let on = |host: &Host| host.sent.iter().filter(|(on, _, b)| *on == V4 && dump(b).contains(" entry=")).count();
    assert!((1..=2).contains(&hosts.iter().map(on).sum::<usize>()), "by one of them, or both at once");
    assert!(hosts[3].told.iter().any(|event| matches!(event, Event::Message(_))), "{:?}", hosts[3].told);
}

#[test]
fn hellos_of_more_casts_are_fewer() {
    let hellos = |families: &[SegmentId]| {
        let mut hosts: Vec<_> = (1..=8).map(|last| Host::new(last, families)).collect();
        live(&mut hosts, 0, 5000, everything);
        hosts.iter_mut().for_each(|host| host.sent.clear());
        live(&mut hosts, 5000, 35_000, everything);
        let casts = hosts.iter().flat_map(|host| &host.sent).filter(|(_, cast, _)| *cast != Cast::Unicast);
        casts.count() / 30
    };
    let (one, both) = (hellos(&[V4]), hellos(&[V4, V6]));
    assert!(one <= 8 && both <= 8, "P7: {one} and {both} casts a second");
}

#[test]
fn who_stood_still_takes_nobody_for_lost() {
    let lost = |resumed: bool| {
        let mut hosts = [Host::new(1, &[V4]), Host::new(2, &[V4])];
        live(&mut hosts, 0, 3000, everything);
        let [ann, _] = &mut hosts;
        ann.sent.clear();
        if resumed {
            ann.node.handle_input(at(63_000), Input::Resumed);
        }
        ann.node.handle_timeout(at(63_000));
        outputs(ann);
        let hellos = ann.sent.iter().filter(|(_, _, bytes)| dump(bytes).contains("hello")).count();
        assert_eq!(hellos, 2, "it greets at once");
        let early = ann.told.iter().any(|event| matches!(event, Event::Lost(..)));
        while let Some(now) = ann.node.poll_timeout().filter(|&now| now < at(72_000)) {
            ann.node.handle_timeout(now);
            outputs(ann);
        }
        (early, ann.told.iter().any(|event| matches!(event, Event::Lost(..))))
    };
    assert_eq!(lost(true), (false, true), "lost when it does not answer");
    assert_eq!(lost(false), (false, true), "a timer that is a minute late tells as much");
}

#[test]
fn a_listener_was_said_to_be_on_every_segment_when_it_was_on_one() {
    let mut hosts = [Host::new(1, &[V4, V6]), Host::new(2, &[V4, V6])];
    for (host, last) in hosts.iter_mut().zip([1, 2]) {
        host.node = node(last, Config { listens: true, ..config() });
        for mut segment in host.segments.clone() {
            segment.listens = segment.id == V6;
            host.node.handle_input(at(0), Input::Segment(SegmentChange::Up(segment)));
        }
        outputs(host);
    }
    let says = |host: &Host, id| {
        let hellos =
            host.sent.iter().map(|(on, _, bytes)| (on, dump(bytes))).filter(|(_, told)| told.contains("hello"));
        hellos.filter(|(on, _)| **on == id).map(|(_, told)| told.contains(" listens")).collect::<BTreeSet<_>>()
    };
    live(&mut hosts, 0, 3000, everything);
    for host in &hosts {
        assert_eq!((says(host, V4), says(host, V6)), (BTreeSet::from([false]), BTreeSet::from([true])));
    }
    let [ann, bob] = hosts.each_ref().map(|host| host.node.identity().id());
    let listens = |host: &Host, peer, on| {
        let peer = host.node.membership.peer(peer).expect("met");
        peer.paths.get(&on).map(|path| path.listens)
    };
    assert_eq!((listens(&hosts[0], bob, V4), listens(&hosts[0], bob, V6)), (Some(false), Some(true)));
    // It opens there as well: that is told at once.
    let late = Segment { listens: true, ..hosts[0].segments[0].clone() };
    hosts[0].node.handle_input(at(3000), Input::Segment(SegmentChange::Up(late)));
    live(&mut hosts, 3000, 3002, everything);
    assert_eq!(listens(&hosts[1], ann, V4), Some(true));
}

#[test]
fn a_peer_beyond_the_second_interface_was_greeted_from_the_first_alone() {
    let far: SocketAddr = "10.8.0.9:5009".parse().expect("an address");
    for remembered in [false, true] {
        let (addresses, none) = (vec![far], Vec::new());
        let (static_peers, remembered_peers) = if remembered { (none, addresses) } else { (addresses, none) };
        let mut host = Host::new(1, &[V4, V6]);
        host.node = node(1, Config { static_peers, remembered_peers, ..config() });
        let tunnel =
            Segment { id: SegmentId(3), prefix_len: 32, address: "10.8.0.2:5002".parse().expect("v4"), ..segment(1) };
        host.segments.push(tunnel);
        for segment in host.segments.clone() {
            host.node.handle_input(at(0), Input::Segment(SegmentChange::Up(segment)));
        }
        outputs(&mut host);
        let mut greeted = Vec::new();
        while let Some(now) = host.node.poll_timeout().filter(|&now| now < at(40_000)) {
            host.node.handle_timeout(now);
            for (by, _, _, bytes) in outputs(&mut host).into_iter().filter(|(_, _, to, _)| *to == far) {
                let names_it = dump(&bytes).contains(" on=");
                assert_eq!(names_it, by != BY_SYSTEM, "which interface it will be is not known: {}", dump(&bytes));
                greeted.push(by.0);
            }
        }
        assert!(
            greeted.len() >= 6 && greeted.iter().zip([0, 1, 0, 3].iter().cycle()).all(|(a, b)| a == b),
            "{greeted:?}"
        );
    }
}

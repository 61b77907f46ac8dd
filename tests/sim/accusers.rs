//! Members that accuse others of being gone: nobody is lost on their word, and it costs little.

use udpnode::address::{Cast, SegmentId};
use udpnode::crypto::{Identity, open_group_tag};
use udpnode::id::PeerId;
use udpnode::node::Input;
use udpnode::wire::body::{self, Suspect, Suspected};
use udpnode::wire::header::Sender;
use udpnode::wire::{DATAGRAM_DOMAIN, Message, encode};

use crate::check::all_met;
use crate::net::Faults;
use crate::presence::{forget, lost, no_false_alarm, stats, told};
use crate::scenarios::{millis, secs};
use crate::world::{World, seed_or};

fn id_of(world: &World, host: usize) -> PeerId {
    world.hosts[host].node.as_ref().expect("runs").identity().id()
}

/// A member whose key is known here: what it sends is authentic, and a lie.
struct Liar {
    identity: Identity,
    counter: u64,
}

impl Liar {
    /// One who says what it likes in the place of a host that is stopped for it, and lives by its lies alone.
    fn instead_of(world: &mut World, seed: u64, host: usize) -> Self {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&(seed ^ ((host as u64) << 40)).to_be_bytes());
        let liar = Self { identity: Identity::new(&secret, 1), counter: 1 << 20 };
        assert_eq!(liar.identity.id(), id_of(world, host));
        world.crash(host);
        liar
    }

    /// Says to one host alone that of these the given time is over.
    fn accuses(&mut self, world: &mut World, (liar, host): (usize, usize), whom: &[PeerId], for_ms: u32) {
        let named = whom.iter().map(|id| Suspected { id: body::bytes(*id), boot: 1, for_ms });
        let bytes = self.says(&Message::Suspect(Suspect { whom: named.collect() }));
        let from = world.hosts[liar].places[0].1;
        let segment = SegmentId(0);
        world.input(host, Input::Datagram { segment, cast: Cast::Multicast, from, ttl: None, bytes: &bytes });
    }

    fn says(&mut self, message: &Message) -> Vec<u8> {
        self.counter += 1;
        let sender = Sender { key: *self.identity.public(), boot: self.identity.boot(), counter: self.counter };
        let (mut bytes, tag) = (Vec::new(), open_group_tag("239.192.7.7:5007".parse().expect("an address")));
        encode(&mut bytes, tag, &sender, message, |bytes| self.identity.sign(DATAGRAM_DOMAIN, bytes));
        bytes
    }
}

#[test]
fn a_liar_has_nobody_declared_lost_and_costs_little() {
    let nodes = 16;
    let mut world = World::of(nodes, seed_or(3), Faults::rough(0.2, 0.0, 2));
    assert!(world.run_until(secs(60), all_met).is_some());
    world.run_for(secs(5));
    forget(&mut world);
    let ids: Vec<_> = (0..nodes).map(|host| id_of(&world, host)).collect();
    let mut liar = Liar::instead_of(&mut world, seed_or(3), 15);
    let (casts, unicasts) = (world.casts, world.unicasts);
    for round in 0..6000 {
        // Nobody who is accused hears it; and each time it says that the time is over.
        for host in 0..15 {
            let whom: Vec<_> = ids[..15].iter().copied().filter(|id| *id != ids[host]).collect();
            liar.accuses(&mut world, (15, host), &whom, 1280 * (round % 2));
        }
        world.run_for(millis(10));
    }
    no_false_alarm(&world, &[], "a liar");
    let each = |sent: u64| sent as f64 / 60.0 / nodes as f64;
    let (casts, unicasts) = (each(world.casts - casts), each(world.unicasts - unicasts));
    eprintln!("liar: 100 lies a second and node cost {casts:.2} casts and {unicasts:.2} unicasts a second and node");
    assert!(stats(&world, |stats| stats.accusations_ignored) > 100_000, "most is not looked at");
    assert!(casts < 3.0 && unicasts < 12.0, "{casts} casts and {unicasts} unicasts a second and node");
}

#[test]
fn a_liar_has_nobody_declared_lost_who_is_reached_by_casts_alone() {
    let mut asked = 0;
    for (n, for_ms) in [0, 300, 1280].into_iter().cycle().take(18).enumerate() {
        let (seed, loss) = (seed_or(5) + n as u64, if n < 3 { 0.0 } else { 0.2 });
        let mut world = World::of(3, seed, Faults::rough(loss, 0.0, 2));
        for link in [(0, 1), (1, 0)] {
            let faults = Faults { blocked: Cast::Unicast.bit(), ..world.nets[0].default };
            world.nets[0].links.insert(link, faults);
        }
        assert!(world.run_until(secs(60), all_met).is_some());
        world.run_for(secs(5));
        forget(&mut world);
        let whom = [id_of(&world, 1)];
        let mut liar = Liar::instead_of(&mut world, seed, 2);
        for _ in 0..200 {
            liar.accuses(&mut world, (2, 0), &whom, for_ms);
            world.run_for(millis(50));
        }
        let lost = told(&world, &[0], 1, lost)[0];
        assert!(lost.is_none(), "loss {loss}, seed {seed}, {for_ms} ms: lost at {lost:?}");
        asked += stats(&world, |stats| stats.defences);
    }
    assert!(asked > 100, "it was asked {asked} times");
}

//! Bytes that are cut off, flipped, or from a later version of us.

use minicbor::Encoder;
use proptest::prelude::*;
use udpnode::address::Errand;
use udpnode::crypto::{peer_id, verify};
use udpnode::rng::Rng;
use udpnode::wire::body::{
    self, Alive, Answer, Condition, Direct, ENTRY_TEXT, Entry, Frontier, Heard, Hello, Hole, Letter, Nack, Place,
    Probe, Progress, Proof, Receipt, Seek, Suspect, Suspected, Text, Whereabouts,
};
use udpnode::wire::dump::dump;
use udpnode::wire::{DATAGRAM_DOMAIN, Datagram, Message, parse_entry};

use crate::golden::{ann, datagram, entry_domain, samples};

const FLIPS: u64 = 100_000;

/// Reads everything there is to read; how many signatures are good.
fn believed(bytes: &[u8]) -> usize {
    let shown = dump(bytes);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    let Ok(read) = Datagram::parse(bytes) else { return 0 };
    let signed = read.signed.as_ref().filter(|_| read.message().is_ok());
    let whole = signed.is_some_and(|s| verify(&s.sender.key, DATAGRAM_DOMAIN, s.bytes, s.signature));
    let good = |raw: &&[u8]| {
        parse_entry(raw).is_ok_and(|entry| {
            let _ = body::decode::<Text>(entry.entry.body);
            verify(entry.author(), &entry_domain(), entry.bytes, entry.signature)
        })
    };
    usize::from(whole) + read.entries().unwrap_or_default().iter().filter(|raw| good(raw)).count()
}

#[test]
fn what_is_cut_off_is_not_believed() {
    for (name, message) in samples() {
        let bytes = datagram(&message, 9);
        for len in 0..bytes.len() {
            assert_eq!(believed(&bytes[..len]), 0, "{name} cut to {len} bytes");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(believed(&longer), 0, "{name} with a byte behind it");
    }
}

#[test]
fn a_flipped_bit_is_not_believed() {
    let mut rng = Rng::new(7);
    let samples: Vec<_> = samples().iter().map(|(name, message)| (*name, datagram(message, 9))).collect();
    for _ in 0..FLIPS {
        let (name, bytes) = &samples[rng.below(samples.len() as u64) as usize];
        let bit = rng.below(bytes.len() as u64 * 8) as usize;
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (before, after) = (signatures(bytes), believed(&flipped));
        if name.starts_with("entries") && bit / 8 < 17 {
            // The header of a datagram of entries is not signed; an entry proves itself.
            assert!(after <= before, "{name} bit {bit}");
        } else if name.starts_with("entries") {
            assert!(after < before, "{name} bit {bit}: the entry that was hit is not believed");
        } else {
            assert_eq!(after, 0, "{name} bit {bit}");
        }
    }
}

/// Signatures in a datagram that is as it was written.
fn signatures(bytes: &[u8]) -> usize {
    let read = Datagram::parse(bytes).expect("ours");
    usize::from(read.signed.is_some()) + read.entries().map_or(0, |entries| entries.len())
}

fn condition(clock: u64, pad: &str) -> Condition {
    Condition { clock_ms: Some(clock), pad: Some(pad.as_bytes().to_vec().into()), ..Condition::default() }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..16) {
        believed(&bytes);
        believed(&[&[0xFF, b'u', b'd', b'n', 1, kind][..], &bytes].concat());
        for len in [0, bytes.len() / 2, bytes.len()] {
            let _ = body::decode::<Hello>(&bytes[..len]);
            let _ = body::decode::<Frontier>(&bytes[..len]);
            let _ = body::decode::<Nack>(&bytes[..len]);
            let _ = body::decode::<Text>(&bytes[..len]);
            let _ = body::decode::<Direct>(&bytes[..len]);
            let _ = body::decode::<Receipt>(&bytes[..len]);
            let _ = body::decode::<Letter>(&bytes[..len]);
            let _ = body::decode::<Seek>(&bytes[..len]);
            if let Ok(told) = body::decode::<Whereabouts>(&bytes[..len]) {
                assert!(told.peers.iter().filter_map(Place::address).count() <= told.peers.len());
            }
            let _ = body::decode::<Probe>(&bytes[..len]);
            let _ = body::decode::<Suspect>(&bytes[..len]);
            let _ = parse_entry(&bytes[..len]);
        }
    }

    #[test]
    fn bodies_round_trip(
        nick in ".{0,40}",
        numbers in prop::array::uniform4(any::<u64>()),
        small in any::<(u8, u32, bool, Option<bool>)>(),
        ids in prop::collection::vec(any::<[u8; 16]>(), 0..6),
    ) {
        let [a, b, c, d] = numbers;
        let heard = ids.iter().map(|&id| Heard {
            id: id.into(),
            casts: small.0,
            base: a,
            unicast_ttl: small.2.then_some(small.0),
            broadcast_ttl: small.3.map(u8::from),
            multicast_ttl: Some(small.0),
        }).collect();
        let hello = Hello {
            nick: nick.clone(),
            flags: small.0,
            every_ms: small.1,
            head: a,
            hash: b,
            heard,
            interface: small.3.map(|_| nick.clone()),
            ttl: small.2.then_some(small.0),
            of: small.3.map(u16::from),
            round: small.2.then_some(small.1),
            sends: small.3.map(u8::from),
            condition: small.3.map(|_| condition(a, &nick)),
            away: small.3.map(|_| nick.clone()),
            challenge: small.2.then_some(b),
            proofs: small.3.map(|_| ids.iter().map(|&id| Proof { id: id.into(), challenge: c }).collect()),
            pad: small.3.map(|_| nick.clone().into_bytes().into()),
        };
        same(&Probe::new(small.1, small.0))?;
        same(&Probe::challenging(small.1, small.0, a))?;
        same(&Answer { token: small.1, proof: small.2.then_some(a), challenge: small.3.map(u64::from) })?;
        same(&Alive {})?;
        let whom = ids.iter().map(|&id| Suspected { id: id.into(), boot: c, for_ms: small.1 }).collect();
        same(&Suspect { whom })?;
        let progress = |&id: &[u8; 16]| Progress { author: id.into(), boot: a, next: b, floor: c, tip: id.into() };
        let logs = ids.iter().map(progress).collect();
        let holes = ids.iter().map(|&id| Hole { author: id.into(), boot: c, from: d, to: a }).collect();
        let to = ids.first().copied().unwrap_or_default().into();
        let (part, parts) = (text_part(small.3), None);
        same(&Letter { to, sealed: nick.clone().into_bytes().into() })?;
        same(&Direct { seq: a, base: b, mid: c, wall_ms: d, text: nick.clone(), part, parts })?;
        same(&Receipt { boot: a, next: b, ahead: c })?;
        let port = u16::from(small.0);
        let ip = |id: &[u8; 16]| id[..usize::from(small.0 % 17)].to_vec().into();
        let place = |id: &[u8; 16]| Place { id: (*id).into(), ip: ip(id), port };
        same(&Whereabouts { peers: ids.iter().map(place).collect() })?;
        same(&Seek { ids: ids.iter().map(|&id| id.into()).collect(), padding: nick.clone().into_bytes().into() })?;
        let asked = ids.first().filter(|_| small.2).map(|&id| id.into());
        let text = Text { lines: vec![nick, String::new()], part, parts };
        same(&hello)?;
        same(&Frontier { hash: d, logs, whole: small.3 })?;
        same(&Nack { asked, round: small.0, holes })?;
        same(&text)?;
    }
}

fn text_part(part: Option<bool>) -> Option<u16> {
    part.map(u16::from)
}

/// Written, measured and read again, it is the same.
fn same<T>(value: &T) -> Result<(), TestCaseError>
where
    T: minicbor::Encode<()> + for<'a> minicbor::Decode<'a, ()> + minicbor::CborLen<()> + PartialEq + std::fmt::Debug,
{
    let mut bytes = Vec::new();
    body::encode(&mut bytes, value);
    prop_assert_eq!(body::encoded_len(value), bytes.len());
    let read = body::decode::<T>(&bytes);
    prop_assert_eq!(read.as_ref(), Ok(value));
    Ok(())
}

/// A nack as a later version may write it: other order, unknown keys, longer arrays.
fn nack_of_tomorrow(with_round: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut cbor = Encoder::new(&mut bytes);
    let written = (|| {
        cbor.map(if with_round { 3 } else { 2 })?.u8(99)?.array(2)?.str("new")?.bool(true)?;
        cbor.u8(2)?.array(1)?.array(5)?.bytes(&[5; 16])?.u64(1)?.u64(2)?.u64(4)?.str("more")?;
        if with_round {
            cbor.u8(1)?.u8(6)?;
        }
        Ok::<_, minicbor::encode::Error<std::convert::Infallible>>(())
    })();
    written.expect("memory takes everything");
    bytes
}

#[test]
fn what_a_later_version_adds_is_skipped_and_what_it_leaves_out_is_refused() {
    let nack: Nack = body::decode(&nack_of_tomorrow(true)).expect("read");
    let hole = Hole { author: [5; 16].into(), boot: 1, from: 2, to: 4 };
    assert_eq!(nack, Nack { asked: None, round: 6, holes: vec![hole] });
    assert!(body::decode::<Nack>(&nack_of_tomorrow(false)).is_err(), "the round is not optional");
}

#[test]
fn an_entry_of_another_kind_is_shown_as_such() {
    let ann = ann();
    let (author, body, prev) = ((*ann.public()).into(), (&b"\xA0"[..]).into(), [0; 16].into());
    let entry = Entry {
        author,
        boot: 3,
        seq: 1,
        wall_ms: 0,
        nick: "ann",
        first: 1,
        count: 1,
        kind: ENTRY_TEXT + 1,
        body,
        prev,
    };
    let raw = udpnode::wire::encode_entry(&entry, |bytes| ann.sign(&entry_domain(), bytes));
    let shown = dump(&datagram(&Message::Entries(Errand::Said, vec![raw]), 0));
    assert!(shown.ends_with("kind=2 1 bytes"), "{shown}");
    assert_eq!(peer_id(ann.public()), ann.id());
}

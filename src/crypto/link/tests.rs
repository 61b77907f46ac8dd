use super::*;
use crate::wire::kind;
use proptest::prelude::*;

const SEED: [u8; 32] = [9; 32];

fn courier(secret: u8, boot: u64) -> Courier {
    Courier::new(&Identity::new(&[secret; 32], boot), &SEED)
}

fn ann() -> Courier {
    courier(1, 3)
}

fn bob() -> Courier {
    courier(2, 5)
}

/// A stream between two, both ends ready.
fn stream(ann: &mut Courier, bob: &mut Courier) -> (Channel, Channel) {
    let (greeting, first) = ann.greet(&bob.me).expect("greets");
    let (theirs, from, second) = bob.answer(&first).expect("answers");
    assert_eq!(from, ann.me);
    assert_eq!((first.len(), second.len()), (HANDSHAKE_MAX, ANSWER_LEN));
    (greeting.finish(&second).expect("finished"), theirs)
}

#[test]
fn a_letter_opens_for_whom_it_is_for_and_nobody_else() {
    let (mut ann, mut bob, mut eve) = (ann(), bob(), courier(3, 5));
    let sealed = ann.seal(&bob.me, kind::DIRECT, b"for you alone").expect("sealed");
    assert_eq!(sealed.len(), 13 + LETTER_OVERHEAD);
    assert!(!sealed.windows(4).any(|bytes| bytes == b"alon"));
    assert_eq!(bob.open(&ann.me, kind::DIRECT, &sealed).as_deref(), Some(&b"for you alone"[..]));
    assert_eq!(eve.open(&ann.me, kind::DIRECT, &sealed), None, "another recipient");
    let author = ann.me;
    assert_eq!(ann.open(&author, kind::DIRECT, &sealed), None, "not even its author");
    assert_eq!(bob.open(&eve.me, kind::DIRECT, &sealed), None, "another author");
    assert_eq!(bob.open(&ann.me, kind::RECEIPT, &sealed), None, "another kind");
    let elsewhere = Party { boot: 4, ..ann.me };
    assert_eq!(bob.open(&elsewhere, kind::DIRECT, &sealed), None, "another run of its author");
    assert_eq!(courier(2, 6).open(&ann.me, kind::DIRECT, &sealed), None, "a later run of the recipient");
}

#[test]
fn what_is_sealed_is_what_noise_says_and_the_shared_key_a_shortcut() {
    // Opened by snow with keys alone, with nothing of ours between.
    let (mut ann, bob) = (ann(), bob());
    let sealed = ann.seal(&bob.me, kind::DIRECT, b"standard").expect("sealed");
    let secret = Identity::new(&[2; 32], 5).exchange_secret();
    let sender = exchange_key(&ann.me.key).expect("a key");
    let prologue = letter_prologue(kind::DIRECT, &ann.me, &bob.me);
    let hands = Hands { own: Cell::new(None), once: None };
    let builder = Builder::with_resolver(LETTER_PATTERN.parse().expect("known"), Box::new(hands));
    let mut noise = builder
        .local_private_key(&secret)
        .and_then(|builder| builder.remote_public_key(&sender))
        .and_then(|builder| builder.prologue(&prologue))
        .and_then(Builder::build_responder)
        .expect("built");
    assert_eq!(read(&mut noise, &sealed).as_deref(), Some(&b"standard"[..]));
}

#[test]
fn no_two_letters_are_alike_and_one_seed_makes_the_same_ones() {
    let (mut ann, mut again, mut other) = (ann(), ann(), Courier::new(&Identity::new(&[1; 32], 3), &[8; 32]));
    let bob = bob().me;
    let seal = |courier: &mut Courier| courier.seal(&bob, kind::DIRECT, b"x").expect("sealed");
    let first = seal(&mut ann);
    assert_ne!(first, seal(&mut ann));
    assert_eq!(first, seal(&mut again));
    assert_ne!(first, seal(&mut other));
}

#[test]
fn cloned_machines_never_use_one_key_for_two_texts() {
    let (mut ann, mut clone) = (ann(), ann());
    let bob = bob().me;
    let one = ann.seal(&bob, kind::DIRECT, b"one").expect("sealed");
    let two = clone.seal(&bob, kind::DIRECT, b"two").expect("sealed");
    assert_ne!(one[..KEY_LEN], two[..KEY_LEN]);
}

#[test]
fn keys_that_keep_no_secret_are_refused() {
    let mut ann = ann();
    // Points of small order (RFC 8032 writes them by y: 0, 1 and -1), and what is no point at all.
    let mut minus_one = [0xFF; 32];
    (minus_one[0], minus_one[31]) = (0xEC, 0x7F);
    let y = |y: u8| std::array::from_fn(|at| if at == 0 { y } else { 0 });
    let none = (2..).map(y).find(|key| VerifyingKey::from_bytes(key).is_err()).expect("every other one");
    for key in [y(0), y(1), minus_one, none] {
        let nobody = Party { key, boot: 1 };
        assert_eq!(ann.seal(&nobody, kind::DIRECT, b"x"), None, "{key:?}");
        assert_eq!(ann.open(&nobody, kind::DIRECT, &[0; 100]), None);
        assert!(ann.greet(&nobody).is_none());
    }
}

#[test]
fn what_is_remembered_of_others_is_bounded_and_forgetting_does_no_harm() {
    let mut ann = ann();
    for n in 0..SHARED_MAX as u64 + 50 {
        let mut secret = [4; 32];
        secret[..8].copy_from_slice(&n.to_be_bytes());
        let mut peer = Courier::new(&Identity::new(&secret, n), &SEED);
        let sealed = ann.seal(&peer.me, kind::DIRECT, b"x").expect("sealed");
        assert_eq!(peer.open(&ann.me, kind::DIRECT, &sealed).as_deref(), Some(&b"x"[..]));
    }
    assert_eq!(ann.known.len(), SHARED_MAX);
}

#[test]
fn a_stream_carries_secrets_both_ways_and_each_once() {
    let (mut ours, mut theirs) = stream(&mut ann(), &mut bob());
    let first = ours.seal(b"one").expect("sealed");
    let second = ours.seal(b"two").expect("sealed");
    assert_eq!(theirs.open(&first).as_deref(), Some(&b"one"[..]));
    assert_eq!(theirs.open(&second).as_deref(), Some(&b"two"[..]));
    assert_eq!(theirs.open(&second), None, "said again");
    let back = theirs.seal(b"back").expect("sealed");
    assert_eq!(ours.open(&back).as_deref(), Some(&b"back"[..]));
}

#[test]
fn a_stream_goes_on_with_new_keys() {
    let (mut ours, mut theirs) = stream(&mut ann(), &mut bob());
    let (mut rigid, _) = stream(&mut ann(), &mut bob());
    for n in 0..2 * REKEY_AFTER + 2 {
        let sealed = ours.seal(b"x").expect("sealed");
        let mut same_key = [0; 17];
        rigid.0.write_message(b"x", &mut same_key).expect("sealed");
        assert_eq!(sealed == same_key, n < REKEY_AFTER, "message {n}");
        assert_eq!(theirs.open(&sealed).as_deref(), Some(&b"x"[..]), "message {n}");
    }
}

#[test]
fn a_stream_to_somebody_else_or_another_run_does_not_open() {
    let (mut ann, bob) = (ann(), bob());
    let (_, first) = ann.greet(&bob.me).expect("greets");
    assert!(courier(3, 5).answer(&first).is_none(), "another key");
    assert!(courier(2, 6).answer(&first).is_none(), "a later run");
    let (greeting, first) = ann.greet(&bob.me).expect("greets");
    let (_, _, second) = courier(2, 5).answer(&first).expect("answers");
    let (other, _) = ann.greet(&bob.me).expect("greets");
    assert!(other.finish(&second).is_none(), "the answer to another stream");
    assert!(greeting.finish(&second).is_some());
}

#[test]
fn a_recorded_handshake_is_answered_and_opens_nothing() {
    let (mut ann, mut bob) = (ann(), bob());
    let (greeting, first) = ann.greet(&bob.me).expect("greets");
    let (_, _, second) = bob.answer(&first).expect("answers");
    let mut ours = greeting.finish(&second).expect("finished");
    let said = ours.seal(b"once").expect("sealed");
    let (mut again, _, third) = bob.answer(&first).expect("answers");
    assert_ne!(second, third);
    assert_eq!(again.open(&said), None);
}

#[test]
fn who_names_another_key_than_its_own_is_refused() {
    let (mut eve, mut bob) = (courier(3, 3), bob());
    // She may know every public key, but the handshake is made with hers.
    eve.me.key = ann().me.key;
    let (_, first) = eve.greet(&bob.me).expect("greets");
    assert!(bob.answer(&first).is_none());
}

proptest! {
    #[test]
    fn no_bit_can_be_changed(at in any::<prop::sample::Index>(), bit in 0u8..8, len in 0usize..300) {
        let (mut ann, mut bob) = (ann(), bob());
        let mut sealed = ann.seal(&bob.me, kind::DIRECT, &vec![7; len]).expect("sealed");
        let at_letter = at.index(sealed.len());
        sealed[at_letter] ^= 1 << bit;
        // X25519 ignores the last bit of a public key; Noise hashes it.
        prop_assert_eq!(bob.open(&ann.me, kind::DIRECT, &sealed), None);
        let (greeting, mut first) = ann.greet(&bob.me).expect("greets");
        let (_, _, mut second) = bob.answer(&first).expect("answers");
        let (at_first, at_second) = (at.index(first.len()), at.index(second.len()));
        first[at_first] ^= 1 << bit;
        second[at_second] ^= 1 << bit;
        prop_assert!(bob.answer(&first).is_none());
        prop_assert!(greeting.finish(&second).is_none());
        let (mut ours, mut theirs) = stream(&mut ann, &mut bob);
        let mut said = ours.seal(&vec![7; len]).expect("sealed");
        let at_said = at.index(said.len());
        said[at_said] ^= 1 << bit;
        prop_assert_eq!(theirs.open(&said), None);
    }

    #[test]
    fn garbage_opens_nothing(bytes in prop::collection::vec(any::<u8>(), 0..1300)) {
        let (mut ann, mut bob) = (ann(), bob());
        prop_assert_eq!(bob.open(&ann.me, kind::DIRECT, &bytes), None);
        prop_assert!(bob.answer(&bytes).is_none());
        prop_assert!(ann.greet(&bob.me).expect("greets").0.finish(&bytes).is_none());
        prop_assert_eq!(stream(&mut ann, &mut bob).0.open(&bytes), None);
    }
}

#[test]
fn machines_that_were_copied_have_no_key_of_a_stream_in_common() {
    let bob = bob();
    let hello = |fresh: u8| {
        let mut ann = ann();
        ann.stir(&[fresh; 32]);
        ann.greet(&bob.me).expect("greets").1
    };
    assert_ne!(hello(1), hello(2), "what was stirred in makes the difference");
    assert_eq!(hello(1), hello(1));
}

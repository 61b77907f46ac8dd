//! What letters cost whoever sends them.

use super::*;
use crate::crypto::open_group_tag;
use crate::wire::body::{self, Letter};
use crate::wire::header::Sender;
use crate::wire::{DATAGRAM_DOMAIN, Message, encode};

#[test]
fn junk_in_letters_is_soon_not_opened_any_more() {
    let (mut ann, bob) = pair();
    let (to, thief, many) = (body::bytes(ann.identity().id()), bob.identity(), 3000);
    let before = ann.stats().clone();
    for n in 0..many {
        let message = Message::Direct(Letter { to, sealed: vec![7; 64].into() });
        let sender = Sender { key: *thief.public(), boot: thief.boot(), counter: (1 << 40) + n };
        let mut bytes = Vec::new();
        let tag = open_group_tag("239.192.7.7:5007".parse().expect("an address"));
        encode(&mut bytes, tag, &sender, &message, |bytes| thief.sign(DATAGRAM_DOMAIN, bytes));
        put(&mut ann, at(1001), 2, Cast::Unicast, &bytes);
    }
    let after = ann.stats();
    let (opened, unchecked) = (after.unopened - before.unopened, after.unchecked - before.unchecked);
    assert_eq!(opened + unchecked, many, "each is counted");
    assert!((1000..1500).contains(&opened), "16,384 signatures at once, and eleven a letter: {opened}");
}

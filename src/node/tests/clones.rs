//! Two machines that were copied from one disk while they ran: one key, one run, one seed, one count.

use std::collections::BTreeMap;

use super::*;
use crate::config::GroupSecret;
use crate::crypto::Opened;
use crate::wire::header::HEADER_LEN;

const NONCE_LEN: usize = 24;

/// A copy of the machine, which says this each tenth of a second; everything it sends in ten seconds.
fn copy(text: &str, others: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let config = Config { secrets: vec![GroupSecret::new([7; 32])], ..config() };
    let mut node = node(1, config);
    up(&mut node, 1);
    let mut sent = Vec::new();
    for n in 0..1000_u64 {
        let now = at(n * 10);
        node.handle_timeout(now);
        sent.extend(drain(&mut node).0);
        if n % 10 == 5 {
            sent.extend(command(&mut node, now, say(&format!("{text} {n}"))).0);
        }
        if let Some(bytes) = others.get(n as usize) {
            sent.extend(hear(&mut node, now, 2, bytes).0);
        }
    }
    sent
}

#[test]
fn cloned_nodes_never_use_a_nonce_for_two_texts() {
    let ring = Keyring::new(&[GroupSecret::new([7; 32])], config().group);
    let ann = copy("one thing", &[]);
    let bob = copy("the other", &[]);
    // A third hears what the second says, and answers to its own key, from the same count.
    let cat = copy("one thing", &bob);
    let mut texts: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    let (mut again, mut all) = (0, 0);
    for bytes in ann.iter().chain(&bob).chain(&cat) {
        assert!(matches!(ring.open(bytes), Opened::Inside(_)), "everything is sealed");
        let (nonce, text) = bytes[HEADER_LEN..].split_at(NONCE_LEN);
        let before = texts.insert(nonce, text);
        assert!(before.is_none_or(|before| before == text), "a nonce for two texts");
        (again, all) = (again + usize::from(before.is_some()), all + 1);
    }
    // Or it proves nothing: the copies do draw the same chance and count the same numbers.
    assert!(again > 0 && all - again > 150, "{again} of {all} are the same");
}

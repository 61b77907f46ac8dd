//! Mutations without an engine: a few random changes to an input of the corpus, or random bytes.

use udpnode::rng::Rng;

/// Bytes that mean something somewhere.
const TELLING: [u8; 16] = [0, 1, 0x7F, 0x80, 0xFF, 0x1B, b'\n', b'/', 0xA0, 0x9F, 0x40, 0x5F, 0xF0, 0xE2, 0x80, 0xC2];

/// One more input.
pub(crate) fn mutated(corpus: &[Vec<u8>], len_max: usize, rng: &mut Rng) -> Vec<u8> {
    let mut input = if rng.chance(0.05) { Vec::new() } else { pick(corpus, rng).clone() };
    for _ in 0..=rng.below(8) {
        change(&mut input, corpus, rng);
    }
    input.truncate(len_max);
    input
}

fn pick<'a>(corpus: &'a [Vec<u8>], rng: &mut Rng) -> &'a Vec<u8> {
    &corpus[rng.below(corpus.len() as u64) as usize]
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.below(input.len() as u64 + 1) as usize;
    let to = (at + 1 + rng.below(24) as usize).min(input.len());
    match rng.below(8) {
        0 if at < input.len() => input[at] ^= 1 << rng.below(8),
        1 if at < input.len() => input[at] = TELLING[rng.below(16) as usize],
        2 => input.insert(at, rng.next_u64() as u8),
        3 => drop(input.drain(at..to)),
        4 => {
            let again = input[at..to].to_vec();
            input.splice(at..at, again);
        }
        5 => {
            let other = pick(corpus, rng);
            let from = rng.below(other.len() as u64 + 1) as usize;
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        6 => input.extend(rng.next_u64().to_be_bytes()),
        _ => input.splice(at..at, (0..rng.below(12)).map(|_| rng.next_u64() as u8).collect::<Vec<_>>()).for_each(drop),
    }
}

//! Target `streams`: bytes that come in pieces - streams, clients of the control socket, the routing socket - and the
//! tables of the kernel.

use udpnode::config::SEALED_MAX;
use udpnode::runtime::foreign::{Source, client_lines, deleted_links, meaning, reply, running_nodes};
use udpnode::wire::stream::{Deframer, GREETING_MAX, PREAMBLE, write_frame};

use super::choices::Choices;
use super::screen::safe;

/// Runs one input: the first byte says how it is cut.
pub(crate) fn run(input: &[u8]) -> u64 {
    let mut choices = Choices::new(input);
    let head = choices.byte();
    let bytes = choices.rest();
    let step = 1 + usize::from(head >> 1);
    let mut began = if head & 1 == 1 { PREAMBLE.to_vec() } else { Vec::new() };
    began.extend_from_slice(bytes);
    let known = head & 2 != 0;
    let whole = frames(&began, began.len().max(1), known);
    assert_eq!(frames(&began, step, known), whole, "how it is cut makes no difference");
    again(&whole.0);
    let cut: Vec<&[u8]> = bytes.chunks(step).collect();
    let lines = client_lines(&cut);
    assert_eq!(lines, client_lines(&[bytes]));
    assert!(lines.iter().all(|line| !line.contains(&b'\n')));
    for line in &lines {
        let (items, ..) = meaning(Source::Commands, &[line]);
        assert!(items.iter().flat_map(|item| item.split('\n')).all(safe));
    }
    assert!(deleted_links(bytes).len() <= bytes.len() / 16);
    let text = String::from_utf8_lossy(bytes);
    assert!(running_nodes(&text) <= text.lines().count());
    assert!(reply(&text).lines().all(safe));
    1
}

/// The frames in a stream, and whether it is one of ours to its end.
fn frames(bytes: &[u8], step: usize, known: bool) -> (Vec<Vec<u8>>, bool) {
    let (mut deframer, mut frames) = (Deframer::default(), Vec::new());
    if known {
        deframer.trust();
    }
    let longest = if known { SEALED_MAX } else { GREETING_MAX };
    for mut piece in bytes.chunks(step) {
        loop {
            match deframer.next(&mut piece) {
                Ok(Some(frame)) => {
                    assert!(frame.len() <= longest);
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
    }
    (frames, true)
}

/// Frames that are written again come out again.
fn again(all: &[Vec<u8>]) {
    let mut bytes = PREAMBLE.to_vec();
    all.iter().for_each(|frame| write_frame(&mut bytes, frame));
    assert_eq!(frames(&bytes, 7, true), (all.to_vec(), true));
}

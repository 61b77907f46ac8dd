//! Datagrams on a stream: a preamble, then each datagram behind its length.
//!
//! ```text
//!  preamble:  magic 4 | version 1 | mode 1 | 0 0        mode 0: datagrams as they are
//!  frame:     length 2, big-endian | datagram
//! ```
//!
//! Another mode, once there is one, says how what follows is sealed.

use crate::config::SEALED_MAX;
use crate::wire::VERSION;
use crate::wire::header::MAGIC;

/// What a stream begins with, in both directions.
pub const PREAMBLE: [u8; 8] = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION, 0, 0, 0];

/// The bytes are no stream of ours; nothing more can be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOurs;

/// Appends a datagram as a frame.
///
/// # Panics
/// Never for what [`crate::wire::encode`] makes: it fits a frame.
pub fn write_frame(out: &mut Vec<u8>, datagram: &[u8]) {
    let len = u16::try_from(datagram.len()).expect("a datagram of ours is short");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(datagram);
}

/// Takes a stream apart as its bytes come, in whatever pieces. Holds less than one frame.
#[derive(Debug, Default)]
pub struct Deframer {
    pending: Vec<u8>,
    began: bool,
}

impl Deframer {
    /// Whether the preamble has come: until then the other side may be anything.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.began
    }

    /// Takes bytes; calls `each` with every datagram that is complete.
    ///
    /// # Errors
    /// [`NotOurs`] when the preamble is another or a frame is too long; close the stream.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), NotOurs> {
        while !bytes.is_empty() {
            let wanted = self.wanted()? - self.pending.len();
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.pending.extend_from_slice(taken);
            bytes = rest;
            self.finish(&mut each)?;
        }
        Ok(())
    }

    /// How long what is being read is.
    fn wanted(&self) -> Result<usize, NotOurs> {
        if !self.began {
            return Ok(PREAMBLE.len());
        }
        let Some(&head) = self.pending.first_chunk::<2>() else { return Ok(2) };
        let len = usize::from(u16::from_be_bytes(head));
        if len <= SEALED_MAX { Ok(2 + len) } else { Err(NotOurs) }
    }

    /// Hands out what is complete.
    fn finish(&mut self, each: &mut impl FnMut(&[u8])) -> Result<(), NotOurs> {
        if !self.began {
            let begins = PREAMBLE.starts_with(&self.pending);
            if self.pending.len() == PREAMBLE.len() && begins {
                self.began = true;
                self.pending.clear();
            }
            return if begins { Ok(()) } else { Err(NotOurs) };
        }
        if self.pending.len() >= 2 && self.pending.len() == self.wanted()? {
            each(&self.pending[2..]);
            self.pending.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn another_preamble_is_refused_at_its_first_wrong_byte() {
        for bytes in [&b"GET / HTTP/1.1"[..], b"\xFFudnX", b"\x00"] {
            assert_eq!(Deframer::default().feed(bytes, |_| panic!("no frame")), Err(NotOurs));
        }
    }

    #[test]
    fn a_frame_too_long_is_refused_before_it_is_read() {
        let mut bytes = PREAMBLE.to_vec();
        bytes.extend_from_slice(&[0xFF, 0xFF, 0]);
        assert_eq!(Deframer::default().feed(&bytes, |_| panic!("no frame")), Err(NotOurs));
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            cuts in prop::collection::vec(1usize..50, 1..20),
        ) {
            let mut bytes = PREAMBLE.to_vec();
            frames.iter().for_each(|frame| write_frame(&mut bytes, frame));
            let (mut deframer, mut out, mut cuts) = (Deframer::default(), Vec::new(), cuts.into_iter().cycle());
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                prop_assert_eq!(deframer.feed(piece, |frame| out.push(frame.to_vec())), Ok(()));
                rest = behind;
            }
            prop_assert_eq!(out, frames);
        }

        #[test]
        fn any_bytes_are_taken_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let mut deframer = Deframer { began: true, ..Deframer::default() };
            let _ = deframer.feed(&bytes, |frame| assert!(frame.len() <= SEALED_MAX));
            prop_assert!(deframer.pending.len() <= SEALED_MAX + 2);
        }
    }
}

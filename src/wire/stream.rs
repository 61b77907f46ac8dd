//! A stream: a preamble, then frames behind their lengths; first a handshake, then what it seals.
//!
//! ```text
//!  preamble:  magic 4 | version 1 | mode 1 | 0 0        mode 1: sealed, as drawn in crypto::link
//!  frame:     length 2, big-endian | handshake, as a datagram of kind LINK; later sealed bytes
//! ```

use crate::config::{SEAL_OVERHEAD, SEALED_MAX};
use crate::wire::VERSION;
use crate::wire::header::{HEADER_LEN, MAGIC};

/// What a stream begins with, in both directions.
pub const PREAMBLE: [u8; 8] = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION, 1, 0, 0];

/// The longest handshake message: two keys, whose and in which run, two authenticators.
pub const HANDSHAKE_MAX: usize = 136;

/// The longest frame before the other side is known; a longer one is refused before it is read.
pub const GREETING_MAX: usize = HEADER_LEN + HANDSHAKE_MAX + SEAL_OVERHEAD;

/// The bytes are no stream of ours; nothing more can be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOurs;

/// Appends a frame.
///
/// # Panics
/// Never for what is sealed here: it fits a datagram, and so a frame.
pub fn write_frame(out: &mut Vec<u8>, frame: &[u8]) {
    let len = u16::try_from(frame.len()).expect("a frame of ours is short");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(frame);
}

/// Takes a stream apart as its bytes come, in whatever pieces. Holds less than one frame.
#[derive(Debug, Default)]
pub struct Deframer {
    pending: Vec<u8>,
    began: bool,
    known: bool,
}

impl Deframer {
    /// Whether the preamble has come: until then the other side may be anything.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.began
    }

    /// The other side is known: from now on frames may be as long as datagrams, 1200 bytes.
    pub const fn trust(&mut self) {
        self.known = true;
    }

    /// Takes bytes off `bytes`, up to the end of a frame; returns that frame if it is complete. `None`: all
    /// bytes were taken.
    ///
    /// # Errors
    /// [`NotOurs`] when the preamble is another or a frame is too long; close the stream.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, NotOurs> {
        loop {
            let wanted = self.wanted()? - self.pending.len();
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.pending.extend_from_slice(taken);
            *bytes = rest;
            if let Some(frame) = self.finish()? {
                return Ok(Some(frame));
            }
            if bytes.is_empty() {
                return Ok(None);
            }
        }
    }

    /// How long what is being read is.
    fn wanted(&self) -> Result<usize, NotOurs> {
        if !self.began {
            return Ok(PREAMBLE.len());
        }
        let Some(&head) = self.pending.first_chunk::<2>() else { return Ok(2) };
        let len = usize::from(u16::from_be_bytes(head));
        if len <= if self.known { SEALED_MAX } else { GREETING_MAX } { Ok(2 + len) } else { Err(NotOurs) }
    }

    /// The frame that is complete, if one is.
    fn finish(&mut self) -> Result<Option<Vec<u8>>, NotOurs> {
        if !self.began {
            let begins = PREAMBLE.starts_with(&self.pending);
            if self.pending.len() == PREAMBLE.len() && begins {
                self.began = true;
                self.pending.clear();
            }
            return if begins { Ok(None) } else { Err(NotOurs) };
        }
        if self.pending.len() < 2 || self.pending.len() < self.wanted()? {
            return Ok(None);
        }
        let frame = self.pending.split_off(2);
        self.pending.clear();
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All frames in `bytes`, and whether they are ours to the end.
    fn feed(deframer: &mut Deframer, mut bytes: &[u8]) -> (Vec<Vec<u8>>, Result<(), NotOurs>) {
        let mut frames = Vec::new();
        loop {
            match deframer.next(&mut bytes) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, Ok(())),
                Err(why) => return (frames, Err(why)),
            }
        }
    }

    #[test]
    fn another_preamble_is_refused_at_its_first_wrong_byte() {
        // The last one is how datagrams once went in the clear.
        for bytes in [&b"GET / HTTP/1.1"[..], b"\xFFudnX", b"\x00", b"\xFFudn\x01\x00"] {
            assert_eq!(feed(&mut Deframer::default(), bytes), (Vec::new(), Err(NotOurs)));
        }
    }

    #[test]
    fn a_frame_too_long_is_refused_before_it_is_read() {
        for (known, max) in [(false, GREETING_MAX), (true, SEALED_MAX)] {
            for (len, fits) in [(max, true), (max + 1, false), (0xFFFF, false)] {
                let mut deframer = Deframer { known, ..Deframer::default() };
                let mut bytes = PREAMBLE.to_vec();
                bytes.extend_from_slice(&u16::try_from(len).expect("short").to_be_bytes());
                bytes.push(0);
                assert_eq!(feed(&mut deframer, &bytes).1.is_ok(), fits, "{len} known {known}");
                assert!(deframer.pending.len() <= 3);
            }
        }
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
            deframer.trust();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                let (some, end) = feed(&mut deframer, piece);
                prop_assert_eq!(end, Ok(()));
                out.extend(some);
                rest = behind;
            }
            prop_assert_eq!(out, frames);
        }

        #[test]
        fn any_bytes_are_taken_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..5000), known: bool) {
            let mut deframer = Deframer { began: true, known, ..Deframer::default() };
            let (frames, _) = feed(&mut deframer, &bytes);
            let max = if known { SEALED_MAX } else { GREETING_MAX };
            prop_assert!(frames.iter().all(|frame| frame.len() <= max));
            prop_assert!(deframer.pending.len() <= max + 2);
        }
    }
}

//! What an input decides: numbers, texts and bytes, read from its beginning to its end. When it is used up, all is
//! zero.

/// A reader of an input that never fails.
pub(crate) struct Choices<'a> {
    rest: &'a [u8],
}

/// Numbers at which something may change.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    3,
    63,
    64,
    127,
    128,
    1000,
    u16::MAX as u64,
    u32::MAX as u64,
    (1 << 48) - 1,
    1 << 48,
    (1 << 48) + 1,
    u64::MAX - 1,
    u64::MAX,
];

impl<'a> Choices<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        byte
    }

    /// A number below `bound`, which is at most 256.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// Yes or no.
    pub(crate) fn flip(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Rarely yes.
    pub(crate) fn rarely(&mut self) -> bool {
        self.byte() > 0xEF
    }

    /// A number: most often a small one, else one at an edge, or any.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=0xBF => u64::from(small),
            edge @ 0xC0..=0xEF => EDGES[usize::from(edge) % EDGES.len()],
            _ => self.take(8).iter().fold(0, |all, &byte| all << 8 | u64::from(byte)),
        }
    }

    /// A number of an entry or a message as there may well be: one of the first four, else any.
    pub(crate) fn ordinal(&mut self) -> u64 {
        let byte = self.byte();
        if byte < 0xC0 { 1 + u64::from(byte % 4) } else { self.number() }
    }

    /// At most `max` bytes, as they stand there.
    pub(crate) fn take(&mut self, max: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(max.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// So many bytes as the next byte says, or eight times as many.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let len = match self.byte() {
            short @ 0..=0xDF => usize::from(short) / 4,
            long => usize::from(long - 0xDF) * 40,
        };
        self.take(len)
    }

    /// A text.
    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// Everything that is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

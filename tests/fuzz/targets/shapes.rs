//! Bodies of messages as CBOR, right in most fields and wrong in some, made from an input.
//!
//! Written field by field and not from the types of the crate, so that what a later version adds, leaves out or
//! mistakes is among them.

use minicbor::Encoder;

use super::choices::Choices;

/// What a field holds.
#[derive(Clone, Copy)]
enum Field {
    Number,
    /// A number of an entry, a run or a message: one of the first, most often.
    Ordinal,
    /// A number of 8, 16 or 32 bits.
    Small,
    Text,
    Bytes,
    /// 16 bytes: who.
    Id,
    /// 16 bytes: what an entry is.
    Digest,
    /// 8 bytes.
    Eight,
    Flag,
    Many(&'static [Self]),
    Record(&'static [(u8, Self)]),
    Ids,
}

use Field::{Bytes, Digest, Eight, Flag, Id, Ids, Many, Number, Ordinal, Record, Small, Text};

const CONDITION: &[(u8, Field)] =
    &[(0, Number), (1, Small), (2, Small), (3, Small), (4, Bytes), (5, Small), (6, Bytes)];

const HELLO: &[(u8, Field)] = &[
    (0, Text),
    (1, Small),
    (2, Small),
    (3, Ordinal),
    (4, Number),
    (5, Many(&[Id, Small, Ordinal, Small, Small, Small])),
    (6, Text),
    (7, Small),
    (8, Small),
    (9, Small),
    (10, Small),
    (11, Record(CONDITION)),
    (12, Text),
    (13, Number),
    (14, Many(&[Id, Number])),
    (15, Bytes),
];

/// The fields of a body, by kind. Of kinds not named here nothing is known.
fn shape(kind: u8) -> &'static [(u8, Field)] {
    match kind {
        1 => HELLO,
        2 => &[(0, Ordinal)],
        4 => &[(0, Number), (1, Many(&[Id, Ordinal, Ordinal, Ordinal, Digest])), (2, Flag)],
        5 => &[(0, Id), (1, Small), (2, Many(&[Id, Ordinal, Ordinal, Ordinal]))],
        6 | 7 => &[(0, Id), (1, Bytes)],
        8 => &[(0, Small), (1, Small), (2, Number), (3, Eight)],
        9 => &[(0, Small), (1, Number), (2, Number)],
        10 => &[(0, Many(&[Id, Ordinal, Small]))],
        12 => &[(0, Ids), (1, Bytes)],
        13 => &[(0, Many(&[Id, Bytes, Small]))],
        _ => &[],
    }
}

/// What stands in a letter, by kind: a direct message or a receipt.
fn secret_shape(kind: u8) -> &'static [(u8, Field)] {
    match kind {
        6 => &[(1, Ordinal), (2, Ordinal), (3, Ordinal), (4, Number), (5, Text), (6, Small), (7, Small)],
        _ => &[(1, Ordinal), (2, Ordinal), (3, Number)],
    }
}

/// The content of an entry of text.
const CONTENT: &[(u8, Field)] = &[(0, Many(&[])), (1, Small), (2, Small)];

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

/// Writes bodies.
pub(crate) struct Writer<'a, 'b> {
    pub(crate) choices: &'a mut Choices<'b>,
    /// Whom ids may name.
    pub(crate) ids: &'a [[u8; 16]],
    /// What entries may be said to be.
    pub(crate) digests: &'a [[u8; 16]],
}

impl Writer<'_, '_> {
    /// A body of this kind.
    pub(crate) fn body(&mut self, kind: u8) -> Vec<u8> {
        self.map(shape(kind))
    }

    /// What stands in a letter of this kind.
    pub(crate) fn secret(&mut self, kind: u8) -> Vec<u8> {
        self.map(secret_shape(kind))
    }

    /// The content of an entry of `lines` lines, or of a part.
    pub(crate) fn content(&mut self, lines: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let part = self.choices.rarely();
        let mut cbor = Encoder::new(&mut bytes);
        let done = (|| -> Written {
            cbor.map(if part { 3 } else { 1 })?.u8(0)?.array(lines as u64)?;
            for _ in 0..lines {
                cbor.str(&self.choices.text())?;
            }
            if part {
                let (n, of) = (self.choices.below(4), self.choices.below(4));
                cbor.u8(1)?.u16(n as u16)?.u8(2)?.u16(of as u16)?;
            }
            Ok(())
        })();
        done.expect("memory takes everything");
        if self.choices.rarely() { self.map(CONTENT) } else { bytes }
    }

    fn map(&mut self, fields: &[(u8, Field)]) -> Vec<u8> {
        // A body of any bytes is a body too.
        if self.choices.rarely() {
            return self.choices.bytes().to_vec();
        }
        let mut bytes = Vec::new();
        self.record(&mut Encoder::new(&mut bytes), fields).expect("memory takes everything");
        bytes
    }

    fn record(&mut self, cbor: &mut Encoder<&mut Vec<u8>>, fields: &[(u8, Field)]) -> Written {
        // What is left out, and one field that no version knows.
        let left_out = if self.choices.flip() { u16::from(self.choices.byte()) << 6 } else { 0 };
        let strange = self.choices.rarely();
        let kept: Vec<_> = fields.iter().filter(|(key, _)| left_out >> (key % 16) & 1 == 0).collect();
        cbor.map(kept.len() as u64 + u64::from(strange))?;
        for &&(key, field) in &kept {
            cbor.u8(key)?;
            self.field(cbor, field)?;
        }
        if strange {
            cbor.u8(self.choices.byte())?.str(&self.choices.text())?;
        }
        Ok(())
    }

    fn field(&mut self, cbor: &mut Encoder<&mut Vec<u8>>, field: Field) -> Written {
        let field = if self.choices.rarely() { [Number, Text, Bytes, Flag][self.choices.below(4)] } else { field };
        match field {
            Ordinal => drop(cbor.u64(self.choices.ordinal())?),
            Number => drop(cbor.u64(self.choices.number())?),
            Small => drop(cbor.u8(self.choices.byte())?),
            Text => drop(cbor.str(&self.choices.text())?),
            Bytes => drop(cbor.bytes(self.choices.bytes())?),
            Flag => drop(cbor.bool(self.choices.flip())?),
            Id => drop(cbor.bytes(&self.id())?),
            Digest => drop(cbor.bytes(&self.digest())?),
            Eight => drop(cbor.bytes(&[self.choices.byte(); 8])?),
            Record(fields) => self.record(cbor, fields)?,
            Ids => {
                let count = self.count();
                cbor.array(count)?;
                for _ in 0..count {
                    cbor.bytes(&self.id())?;
                }
            }
            Many(fields) => {
                let count = self.count();
                cbor.array(count)?;
                for _ in 0..count {
                    if fields.is_empty() {
                        cbor.str(&self.choices.text())?;
                        continue;
                    }
                    cbor.array(fields.len() as u64)?;
                    for &field in fields {
                        self.field(cbor, field)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What an entry is, or no entry.
    fn digest(&mut self) -> [u8; 16] {
        let choice = self.choices.below(self.digests.len() + 2);
        let unknown = |choices: &mut Choices<'_>| [choices.byte(); 16];
        if choice == 0 {
            [0; 16]
        } else {
            self.digests.get(choice - 1).copied().unwrap_or_else(|| unknown(self.choices))
        }
    }

    fn count(&mut self) -> u64 {
        let byte = self.choices.byte();
        u64::from(if byte < 0xF8 { byte % 5 } else { byte - 0xE0 })
    }

    /// Somebody there is, or nobody.
    pub(crate) fn id(&mut self) -> [u8; 16] {
        let choice = self.choices.below(self.ids.len() + 1);
        self.ids.get(choice).copied().unwrap_or_else(|| [self.choices.byte(); 16])
    }
}

//! Corpora: a file for each target, an input a line in hexadecimal digits. Lines that begin with `#` say what the
//! next is for.

use std::path::Path;

/// The inputs of a target.
pub(crate) fn read(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name).with_extension("hex");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    text.lines().filter(|line| !line.starts_with('#')).map(bytes).collect()
}

fn bytes(line: &str) -> Vec<u8> {
    assert!(line.is_ascii() && line.len().is_multiple_of(2), "no hexadecimal digits: {line}");
    let pairs = (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).expect("two digits"));
    pairs.collect()
}

/// An input as a line.
pub(crate) fn line(input: &[u8]) -> String {
    input.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! What is on the wire, byte by byte: golden datagrams, bytes that are wrong, and the manual.
//!
//! The golden files are the contract with other versions and other programs. `UPDATE_GOLDEN=1`
//! writes them anew; a change of theirs is a change of the protocol.

#[path = "wire/golden.rs"]
mod golden;
#[path = "wire/hostile.rs"]
mod hostile;
#[path = "wire/manual.rs"]
mod manual;

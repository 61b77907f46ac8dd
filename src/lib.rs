//! udpnode: an event-loop peer-to-peer chat node for terminals.
//!
//! # The map of the house
//!
//! Everything that decides is a pure state machine, [`node::Node`]: no clock, no socket, no file,
//! no thread, no printing, no ambient randomness. Everything that touches the operating system is
//! a thin shell around one mio poll loop, `runtime`. The same machine runs behind real sockets and
//! inside the simulator in `tests/sim`.
//!
//! ```text
//!  6  main.rs            argv in, exit status out
//!  5  runtime/*          the only OS: loop, sockets, netlink, control socket, console, state, printing
//!  4  node/*             where parts meet: the state machine
//!  3  protocol/*         one concern each: membership (who is there), log (what was said), direct, relay,
//!                        contacts, names (whose a nick is), reach and matrix (which cast gets where, who says
//!                        to hear whom), diagnosis (why somebody is not seen), session (when all is said),
//!                        sources (who may make us check signatures)
//!  2  crypto/*           who signed, and what only the holders of a key can read
//!  1  wire/* term/* command event     bytes <-> messages; keys <-> line; asked; told
//!  0  time rng id text address config stats    time: also agenda (what is due when), bucket (how much may be done);
//!                        id: also row (something of many peers)
//! ```
//!
//! A room imports only from floors strictly below it; rooms on one floor do not know each other.
//! `config` alone looks one floor up: it names what a person may choose. `tests/tidy.rs` holds the
//! floors, and `cargo check --lib --no-default-features` proves that floors 0 to 4 need no
//! operating system.

pub mod address;
pub mod command;
pub mod config;
pub mod crypto;
pub mod event;
pub mod id;
pub mod node;
pub mod protocol;
pub mod rng;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod stats;
pub mod term;
pub mod text;
pub mod time;
pub mod wire;

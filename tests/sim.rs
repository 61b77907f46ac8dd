//! The simulator: many nodes, virtual time, a network of faults, one seed.
//!
//! `cargo test --test sim` runs a fixed set of seeds; `UDPNODE_SEED=7 cargo test --test sim NAME`
//! replays one, `UDPNODE_TRACE=1` prints every datagram of it.

#![allow(clippy::print_stderr, reason = "a trace is printed when it is asked for")]

#[path = "sim/accusers.rs"]
mod accusers;
#[path = "sim/bounds.rs"]
mod bounds;
#[path = "sim/check.rs"]
mod check;
#[path = "sim/clones.rs"]
mod clones;
#[path = "sim/contacts.rs"]
mod contacts;
#[path = "sim/doctor.rs"]
mod doctor;
#[path = "sim/figures.rs"]
mod figures;
#[path = "sim/liars.rs"]
mod liars;
#[path = "sim/long.rs"]
mod long;
#[path = "sim/names.rs"]
mod names;
#[path = "sim/net.rs"]
mod net;
#[path = "sim/paths.rs"]
mod paths;
#[path = "sim/presence.rs"]
mod presence;
#[path = "sim/private.rs"]
mod private;
#[path = "sim/replay.rs"]
mod replay;
#[path = "sim/rooms.rs"]
mod rooms;
#[path = "sim/scenarios.rs"]
mod scenarios;
#[path = "sim/swarm.rs"]
mod swarm;
#[path = "sim/table.rs"]
mod table;
#[path = "sim/watch.rs"]
mod watch;
#[path = "sim/world.rs"]
mod world;

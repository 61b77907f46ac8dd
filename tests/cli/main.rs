//! The command line, as `udpnode.1` promises it: the real program on loopback.
//!
//! Runs anywhere; needs no privileges. Each test has its own addresses and its own group.

mod chat;
mod control;
mod direct;
mod driver;
mod exit;
mod input;
mod keyed;
mod lines;
mod names;
mod plain;
mod state;
mod usage;

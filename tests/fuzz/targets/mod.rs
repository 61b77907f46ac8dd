//! What is fuzzed: each target takes any bytes and panics if something is not as it was promised.
//!
//! `cargo test --test fuzz` runs them on the corpora and on a few thousand mutations of these; `make fuzz` puts a
//! coverage-guided engine in front of the same functions.

mod choices;
mod datagram;
mod files;
mod group;
mod screen;
mod shapes;
mod speakers;
mod streams;
mod town;
mod typed;

#[cfg(test)]
pub(crate) use group::played;
#[cfg(test)]
pub(crate) use speakers::{KINDS, right_body};

/// One target.
pub(crate) struct Target {
    /// As it is called in `make fuzz` and in the corpora.
    pub(crate) name: &'static str,
    /// The longest input that makes sense, in bytes.
    pub(crate) len_max: usize,
    /// Runs one input. Returns how many things of that kind it tried.
    pub(crate) run: fn(&[u8]) -> u64,
    /// What one input tries, maybe several times.
    pub(crate) things: &'static str,
}

/// All of them.
pub(crate) const ALL: &[Target] = &[
    // Raw datagrams into the parser, the printer and a node that has a peer.
    Target { name: "datagram", len_max: 4096, run: datagram::run, things: "datagrams" },
    // Messages, validly signed by members, into a live group, open or keyed.
    Target { name: "group", len_max: 4096, run: group::open, things: "acts" },
    Target { name: "keyed", len_max: 4096, run: group::keyed, things: "acts" },
    // Keys, pasted text, pipes, commands, values of options.
    Target { name: "typed", len_max: 4096, run: typed::run, things: "inputs" },
    // Files of the state directory and key files.
    Target { name: "files", len_max: 4096, run: files::run, things: "inputs" },
    // Text of peers, by every road, into a terminal.
    Target { name: "screen", len_max: 1024, run: screen::run, things: "texts" },
    // Streams, the control socket, the routing socket, the kernel's tables.
    Target { name: "streams", len_max: 4096, run: streams::run, things: "inputs" },
];

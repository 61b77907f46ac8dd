//! Which state machine runs: the native one, or plain mode. Both have the same verbs.

use super::{Input, Node, Output, PlainNode};
use crate::time::Time;

/// The state machine that a runtime drives.
#[derive(Debug)]
pub enum Machine {
    /// Speaks the protocol.
    Native(Box<Node>),
    /// Speaks raw text.
    Plain(Box<PlainNode>),
}

/// The same verb of whichever it is.
macro_rules! either {
    ($machine:expr, $node:ident => $verb:expr) => {
        match $machine {
            Machine::Native($node) => $verb,
            Machine::Plain($node) => $verb,
        }
    };
}

impl Machine {
    /// See [`Node::handle_input`].
    pub fn handle_input(&mut self, now: Time, input: Input<'_>) {
        either!(self, node => node.handle_input(now, input));
    }

    /// See [`Node::stir`].
    pub fn stir(&mut self, fresh: &[u8; 32]) {
        if let Self::Native(node) = self {
            node.stir(fresh);
        }
    }

    /// See [`Node::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Time) {
        either!(self, node => node.handle_timeout(now));
    }

    /// See [`Node::poll_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        either!(self, node => node.poll_timeout())
    }

    /// See [`Node::poll_output`].
    pub fn poll_output(&mut self, buf: &mut Vec<u8>) -> Option<Output> {
        either!(self, node => node.poll_output(buf))
    }

    /// See [`Node::wants_line`].
    #[must_use]
    pub fn wants_line(&self) -> bool {
        either!(self, node => node.wants_line())
    }

    /// What we are called, as a person is shown it.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Native(node) => node.name().label(),
            Self::Plain(node) => node.label(),
        }
    }

    /// The native node, for what plain mode does not have: peers, commands, an id.
    #[must_use]
    pub fn native(&self) -> Option<&Node> {
        match self {
            Self::Native(node) => Some(node),
            Self::Plain(_) => None,
        }
    }
}

//! Who signed what. The only floor that holds keys.

mod identity;

pub use identity::{Identity, peer_id, verify};

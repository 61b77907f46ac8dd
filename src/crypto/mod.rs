//! Who signed what, and for which group. The only floor that holds keys.

mod group;
mod identity;

pub use group::open_group_tag;
pub use identity::{Identity, Signer, Verifier, peer_id, verify};

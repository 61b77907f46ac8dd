//! Who signed what, and for which group; what only the group can read. The only floor that uses keys.

mod group;
mod identity;
mod seal;

pub use group::open_group_tag;
pub use identity::{Identity, Signer, Verifier, peer_id, verify};
pub use seal::{Keyring, Opened};

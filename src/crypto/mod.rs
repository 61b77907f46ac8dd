//! Who signed what, and for which group; what only the group, or one peer alone, can
//! read. The only floor that uses keys.

mod comparison;
mod group;
mod identity;
mod link;
mod seal;

pub use comparison::comparison;
pub use group::open_group_tag;
pub use identity::{Identity, Signer, Verifier, peer_id, verify};
pub use link::{Channel, Courier, Greeting, Party};
pub use seal::{Keyring, Opened};

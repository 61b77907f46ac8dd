//! Which group a datagram is meant for.

use std::net::SocketAddr;

use crate::wire::{EntryDomain, entry_domain};

/// The tag of an open group: the first 8 bytes of a BLAKE3 hash of its address and port.
///
/// It keeps rooms apart that share a port; it keeps no secret.
#[must_use]
pub fn open_group_tag(group: SocketAddr) -> [u8; 8] {
    let hash = blake3::derive_key("udpnode 1 open group tag", group.to_string().as_bytes());
    let mut tag = [0; 8];
    tag.copy_from_slice(&hash[..8]);
    tag
}

/// What entries of an open group are signed for.
#[must_use]
pub(super) fn open_entry_domain(group: SocketAddr) -> EntryDomain {
    entry_domain(&blake3::derive_key("udpnode 1 open group entries", group.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_port_tell_groups_apart() {
        let tag = |group: &str| open_group_tag(group.parse().expect("an address"));
        assert_eq!(tag("239.192.7.7:5007"), tag("239.192.7.7:5007"));
        assert_ne!(tag("239.192.7.7:5007"), tag("239.192.7.7:5008"));
        assert_ne!(tag("239.192.7.7:5007"), tag("239.192.7.8:5007"));
    }
}

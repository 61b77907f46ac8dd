//! Bodies of what members send to find those whom no cast brings.

use std::net::{IpAddr, SocketAddr};

use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{CborLen, Decode, Encode};

use super::bytes;
use crate::id::PeerId;

/// Where are these peers? Asked of a member that says it hears them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Seek {
    /// Who is looked for.
    #[n(0)]
    pub ids: Vec<ByteArray<16>>,
    /// Bytes without meaning, so that the answer need not be longer than the question.
    #[n(1)]
    pub padding: ByteVec,
}

/// They are there.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Whereabouts {
    /// Those of whom it is known.
    #[n(0)]
    pub peers: Vec<Place>,
}

/// Where a peer was heard last.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(array)]
pub struct Place {
    /// Who.
    #[n(0)]
    pub id: ByteArray<16>,
    /// The address: 4 bytes for IPv4, 16 for IPv6.
    #[n(1)]
    pub ip: ByteVec,
    /// The port.
    #[n(2)]
    pub port: u16,
}

impl Place {
    /// Where a peer is.
    #[must_use]
    pub fn new(id: PeerId, address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        Self { id: bytes(id), ip: ip.into(), port: address.port() }
    }

    /// The address; `None` if it has another length.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        let v4 = || <[u8; 4]>::try_from(self.ip.as_slice()).ok().map(IpAddr::from);
        let v6 = || <[u8; 16]>::try_from(self.ip.as_slice()).ok().map(IpAddr::from);
        Some(SocketAddr::new(v4().or_else(v6)?, self.port))
    }
}

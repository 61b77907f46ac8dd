//! The routing socket of Linux: tells at once that links or addresses came, went or changed.
//!
//! What it tells is only the reason to look again; what is there is asked for as always. The one
//! thing a look cannot see is that an interface was deleted and made anew in between, so deleted
//! ones are named. Where the socket cannot be had, looking once a second has to do.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};

/// Links, addresses of IPv4, addresses of IPv6 (RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
/// in rtnetlink(7)).
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// A link is gone (RTM_DELLINK).
const LINK_DELETED: u16 = 17;

/// Messages read at once; the rest waits for the next turn.
const READS_MAX: usize = 64;

/// Bytes of one read. What is longer is cut off: that something changed is known all the same.
const READ_MAX: usize = 32 * 1024;

/// The routing socket.
pub(crate) struct Watch {
    socket: OwnedFd,
    /// There may be more to read.
    ready: bool,
}

/// What it told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Noticed {
    /// Something changed, or what changed was lost.
    pub(crate) change: bool,
    /// The numbers of interfaces that were deleted.
    pub(crate) deleted: Vec<u32>,
}

impl Watch {
    /// Opens it.
    ///
    /// # Errors
    /// When the system has none, or does not give it to us.
    pub(crate) fn open(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { socket, ready: false })
    }

    /// The poll tells that there is something to read.
    pub(crate) const fn on_readable(&mut self) {
        self.ready = true;
    }

    /// Whether there may be more to read.
    pub(crate) const fn is_ready(&self) -> bool {
        self.ready
    }

    /// Reads what there is.
    pub(crate) fn read(&mut self) -> Noticed {
        let mut noticed = Noticed::default();
        if !self.ready {
            return noticed;
        }
        let mut buf = [0; READ_MAX];
        for _ in 0..READS_MAX {
            match recv(self.socket.as_raw_fd(), &mut buf, MsgFlags::empty()) {
                Ok(len) => {
                    noticed.change = true;
                    noticed.deleted.extend(deleted(&buf[..len]));
                }
                Err(Errno::EINTR) => {}
                // More happened than there was room to tell of: a look shows what is there now.
                Err(Errno::ENOBUFS) => noticed.change = true,
                Err(_) => {
                    self.ready = false;
                    break;
                }
            }
        }
        noticed
    }
}

/// The links that a packet of messages says are gone. (A bridge tells in the same words, but as
/// another family, that one is no longer its own.)
pub(super) fn deleted(mut packet: &[u8]) -> Vec<u32> {
    let mut gone = Vec::new();
    // nlmsghdr: length (4), type (2), flags (2), seq (4), port (4); ifinfomsg: family (1), padding (1),
    // type (2), index (4), all in the order of this machine.
    while let Some((header, rest)) = packet.split_first_chunk::<16>() {
        let [a, b, c, d, kind_a, kind_b, ..] = *header;
        let (len, kind) = (u32::from_ne_bytes([a, b, c, d]) as usize, u16::from_ne_bytes([kind_a, kind_b]));
        if let Some(&[0, _, _, _, a, b, c, d]) = rest.first_chunk::<8>()
            && kind == LINK_DELETED
        {
            gone.push(u32::from_ne_bytes([a, b, c, d]));
        }
        let Some(next) = packet.get(len.max(16).next_multiple_of(4)..) else { break };
        packet = next;
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, family: u8, index: u32, tail: usize) -> Vec<u8> {
        let len = u32::try_from(16 + 16 + tail).expect("short");
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend([family, 0, 0, 0]);
        bytes.extend(index.to_ne_bytes());
        bytes.extend(vec![0; (8 + tail).next_multiple_of(4)]);
        bytes
    }

    #[test]
    fn links_that_are_gone_are_named() {
        let packet = [message(16, 0, 2, 40), message(17, 0, 3, 7), message(17, 7, 4, 0), message(17, 0, 5, 0)].concat();
        assert_eq!(deleted(&packet), [3, 5]);
        for cut in 0..packet.len() {
            assert!(deleted(&packet[..cut]).len() <= 2);
        }
        let endless = [0; 64];
        assert!(deleted(&endless).is_empty(), "a length of nothing ends");
        assert!(deleted(&[0xff; 40]).is_empty());
    }

    #[test]
    fn nothing_is_noticed_before_anything_happens() {
        let poll = mio::Poll::new().expect("a poll");
        // A sandbox may have no routing socket.
        let Ok(mut watch) = Watch::open(poll.registry(), Token(1)) else { return };
        assert_eq!((watch.is_ready(), watch.read()), (false, Noticed::default()));
    }
}

//! The routing socket of Linux: tells at once that links or addresses came, went or changed.
//!
//! What it tells is only the reason to look again; what is there is asked for as always. The one
//! thing a look cannot see is that an interface was deleted and made anew in between, so deleted
//! ones are named. Where the socket cannot be had, looking once a second has to do. And it knows which
//! interface an address is on that bears another name.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

/// Links, addresses of IPv4, addresses of IPv6 (RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
/// in rtnetlink(7)).
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// A link is gone (RTM_DELLINK).
const LINK_DELETED: u16 = 17;

/// Messages read at once; the rest waits for the next turn.
const READS_MAX: usize = 64;

/// Bytes of one read. What is longer is cut off: that something changed is known all the same.
const READ_MAX: usize = 32 * 1024;

/// An address is there (RTM_NEWADDR), and the question for all of them (RTM_GETADDR).
const ADDRESS: u16 = 20;
const ADDRESSES_ASKED: u16 = 22;

/// A question (NLM_F_REQUEST) for all there are (NLM_F_DUMP).
const ASKS_FOR_ALL: u16 = 0x1 | 0x300;

/// Of an address of IPv4 the address itself (IFA_LOCAL) and its label (IFA_LABEL).
const LOCAL: u16 = 2;
const LABEL: u16 = 3;

/// An address of IPv4, with what it is called and the number of its interface.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Labelled {
    pub(crate) label: String,
    pub(crate) ip: Ipv4Addr,
    pub(crate) index: u32,
}

/// All addresses of IPv4, or as many as 64 packets tell.
///
/// # Errors
/// When the system has no routing socket, or does not give it to us.
pub(crate) fn addresses() -> io::Result<Vec<Labelled>> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    let mut question = 24u32.to_ne_bytes().to_vec();
    question.extend([ADDRESSES_ASKED, ASKS_FOR_ALL].map(u16::to_ne_bytes).concat());
    question.extend([0; 8]);
    // ifaddrmsg: family (AF_INET), and nothing more that is wanted.
    question.extend([2, 0, 0, 0, 0, 0, 0, 0]);
    send(socket.as_raw_fd(), &question, MsgFlags::empty())?;
    let (mut all, mut buf) = (Vec::new(), [0; READ_MAX]);
    for _ in 0..READS_MAX {
        // The answer is there as soon as it was asked for: behind its end there is nothing.
        match recv(socket.as_raw_fd(), &mut buf, MsgFlags::empty()) {
            Ok(len) => all.extend(addresses_in(&buf[..len])),
            Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    Ok(all)
}

/// The addresses that a packet of messages tells.
fn addresses_in(packet: &[u8]) -> Vec<Labelled> {
    // ifaddrmsg: family (1), bits of the network (1), flags (1), scope (1), index (4); then attributes.
    let told = messages(packet).filter(|(kind, _)| *kind == ADDRESS);
    let read = |(_, body): (u16, &[u8])| {
        let (&[2, _, _, _, a, b, c, d], attributes) = body.split_first_chunk::<8>()? else { return None };
        let (mut ip, mut label) = (None, None);
        for (kind, value) in attributes_of(attributes) {
            match kind {
                LOCAL => ip = <[u8; 4]>::try_from(value).ok(),
                LABEL => label = value.split(|&byte| byte == 0).next().and_then(|text| str::from_utf8(text).ok()),
                _ => {}
            }
        }
        Some(Labelled { label: label?.to_owned(), ip: ip?.into(), index: u32::from_ne_bytes([a, b, c, d]) })
    };
    told.filter_map(read).collect()
}

/// The attributes of a message, kind and value (rtattr: length (2), kind (2)).
fn attributes_of(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (&[a, b, c, d], _) = bytes.split_first_chunk::<4>()?;
        let (len, kind) = (usize::from(u16::from_ne_bytes([a, b])), u16::from_ne_bytes([c, d]));
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

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
pub(super) fn deleted(packet: &[u8]) -> Vec<u32> {
    // ifinfomsg: family (1), padding (1), type (2), index (4).
    let gone = messages(packet).filter(|(kind, _)| *kind == LINK_DELETED);
    let index = |(_, body): (u16, &[u8])| match body.first_chunk::<8>() {
        Some(&[0, _, _, _, a, b, c, d]) => Some(u32::from_ne_bytes([a, b, c, d])),
        _ => None,
    };
    gone.filter_map(index).collect()
}

/// The messages of a packet, kind and body (nlmsghdr: length (4), type (2), flags (2), seq (4), port (4), all in the
/// order of this machine). The last may be cut off.
fn messages(mut packet: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (&[a, b, c, d, kind_a, kind_b, ..], rest) = packet.split_first_chunk::<16>()?;
        let len = (u32::from_ne_bytes([a, b, c, d]) as usize).max(16);
        let body = rest.get(..len - 16).unwrap_or(rest);
        packet = packet.get(len.checked_next_multiple_of(4)?..).unwrap_or_default();
        Some((u16::from_ne_bytes([kind_a, kind_b]), body))
    })
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
    fn addresses_are_told_with_their_labels() {
        let attribute = |kind: u16, value: &[u8]| {
            let len = u16::try_from(4 + value.len()).expect("short");
            let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let mut body = vec![2, 24, 0, 0];
        body.extend(7u32.to_ne_bytes());
        body.extend(
            [attribute(1, &[10, 0, 0, 9]), attribute(LOCAL, &[10, 0, 0, 3]), attribute(LABEL, b"vip\0")].concat(),
        );
        let mut packet = u32::try_from(16 + body.len()).expect("short").to_ne_bytes().to_vec();
        packet.extend(ADDRESS.to_ne_bytes());
        packet.extend([0; 10]);
        packet.extend(body);
        let vip = Labelled { label: "vip".into(), ip: [10, 0, 0, 3].into(), index: 7 };
        assert_eq!(addresses_in(&[message(16, 0, 2, 40), packet.clone()].concat()), [vip]);
        for cut in 0..packet.len() {
            assert!(addresses_in(&packet[..cut]).len() <= 1);
        }
        assert!(addresses_in(&[0; 64]).is_empty() && attributes_of(&[0; 64]).next().is_none(), "no length ends");
        // A sandbox may have no routing socket.
        let Ok(all) = addresses() else { return };
        assert!(all.iter().all(|known| known.index != 0), "{all:?}");
    }

    #[test]
    fn nothing_is_noticed_before_anything_happens() {
        let poll = mio::Poll::new().expect("a poll");
        // A sandbox may have no routing socket.
        let Ok(mut watch) = Watch::open(poll.registry(), Token(1)) else { return };
        assert_eq!((watch.is_ready(), watch.read()), (false, Noticed::default()));
    }
}

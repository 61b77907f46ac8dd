//! One datagram with what the system tells about it: where it came from and what is left of its TTL.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::Socket;

/// A datagram that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Its length; the bytes are in the caller's buffer.
    pub(crate) len: usize,
    /// Where it came from.
    pub(crate) from: SocketAddr,
    /// What is left of its TTL, or hop limit.
    pub(crate) ttl: Option<u8>,
}

/// Where the system writes what it tells beside the bytes. Used again for each datagram.
#[derive(Debug)]
pub(crate) struct Margin(Vec<u8>);

impl Margin {
    pub(crate) fn new() -> Self {
        Self(cmsg_space!(i32))
    }
}

/// Asks the system to tell the TTL of each datagram that comes.
///
/// A wish: where it does not, hops are not known.
pub(crate) fn tell_ttl(socket: &Socket, is_v4: bool) {
    let _ = if is_v4 {
        setsockopt(socket, sockopt::Ipv4RecvTtl, &true)
    } else {
        setsockopt(socket, sockopt::Ipv6RecvHopLimit, &true)
    };
}

/// Receives one datagram.
///
/// # Errors
/// As `recvmsg(2)`; a source that is no address of IP is refused.
pub(crate) fn receive(socket: &impl AsRawFd, buf: &mut [u8], margin: &mut Margin) -> io::Result<Received> {
    receive_from(socket.as_raw_fd(), buf, margin)
}

fn receive_from(fd: RawFd, buf: &mut [u8], margin: &mut Margin) -> io::Result<Received> {
    let mut parts = [IoSliceMut::new(buf)];
    margin.0.resize(margin.0.capacity(), 0);
    let told = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut margin.0), MsgFlags::empty())?;
    let from = told.address.as_ref().and_then(address).ok_or(Errno::EAFNOSUPPORT)?;
    // What is told too much of is not told at all; the datagram came all the same.
    let ttl = told.cmsgs().into_iter().flatten().find_map(|told| match told {
        ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => u8::try_from(ttl).ok(),
        _ => None,
    });
    Ok(Received { len: told.bytes, from, ttl })
}

fn address(from: &SockaddrStorage) -> Option<SocketAddr> {
    match from.family()? {
        nix::sys::socket::AddressFamily::Inet => from.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into())),
        nix::sys::socket::AddressFamily::Inet6 => from.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    fn pair(on: &str) -> (UdpSocket, UdpSocket) {
        let (one, other) = (UdpSocket::bind(on).expect("loopback"), UdpSocket::bind(on).expect("loopback"));
        other.set_nonblocking(true).expect("set");
        (one, other)
    }

    fn with_ttl(on: &str) -> (UdpSocket, UdpSocket) {
        let (one, other) = pair(on);
        let other = Socket::from(other);
        tell_ttl(&other, on.starts_with("127"));
        (one, other.into())
    }

    #[test]
    fn the_ttl_is_told_with_the_source() {
        let (one, other) = with_ttl("127.0.0.1:0");
        let to = other.local_addr().expect("bound");
        let (mut buf, mut margin) = ([0; 100], Margin::new());
        let nothing = receive(&other, &mut buf, &mut margin).map_err(|why| why.kind());
        assert_eq!(nothing, Err(io::ErrorKind::WouldBlock));
        for ttl in [7, 255] {
            one.set_ttl(ttl.into()).expect("set");
            one.send_to(b"hi", to).expect("sent");
            let from = one.local_addr().expect("bound");
            assert_eq!(receive(&other, &mut buf, &mut margin).ok(), Some(Received { len: 2, from, ttl: Some(ttl) }));
        }
        one.send_to(b"", to).expect("sent");
        assert_eq!(receive(&other, &mut buf, &mut margin).map(|received| received.len).ok(), Some(0));
    }

    #[test]
    fn a_socket_that_was_not_asked_tells_none() {
        let (one, other) = pair("127.0.0.1:0");
        one.send_to(b"hi", other.local_addr().expect("bound")).expect("sent");
        assert_eq!(receive(&other, &mut [0; 9], &mut Margin::new()).expect("there").ttl, None);
    }

    #[test]
    #[ignore = "a measurement: cargo test --release --lib receive -- --ignored --nocapture"]
    #[allow(clippy::print_stderr, reason = "a measurement is printed")]
    fn long_what_the_ttl_costs() {
        let (one, other) = with_ttl("127.0.0.1:0");
        let to = other.local_addr().expect("bound");
        let (mut buf, mut margin) = (vec![0; 65_536], Margin::new());
        let mut took = [Duration::ZERO; 2];
        for turn in 0..2000 {
            (0..100).for_each(|_| drop(one.send_to(&[7; 200], to)));
            let began = Instant::now();
            let plain = turn % 2 == 0;
            for _ in 0..100 {
                let _ = if plain {
                    other.recv_from(&mut buf).is_ok()
                } else {
                    receive(&other, &mut buf, &mut margin).is_ok()
                };
            }
            took[usize::from(!plain)] += began.elapsed();
        }
        eprintln!("recv_from {:?}, with the TTL {:?}, a datagram", took[0] / 100_000, took[1] / 100_000);
    }
}

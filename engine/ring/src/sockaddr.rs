//! Addresses as the kernel reads them: `sockaddr_in`, `sockaddr_in6` and `sockaddr_un`, as bytes.

use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::token::Address;

/// Bytes of the longest TCP address.
pub(crate) const BYTES_MAX: usize = size_of::<libc::sockaddr_in6>();

/// The address family (AF_INET, AF_INET6, AF_UNIX) in which `address` is.
pub(crate) fn family(address: &Address) -> i32 {
    match address {
        Address::Tcp(SocketAddr::V4(_)) => libc::AF_INET,
        Address::Tcp(SocketAddr::V6(_)) => libc::AF_INET6,
        Address::Local(_) => libc::AF_UNIX,
    }
}

/// The whole structure; its length is the address's. A name too long for the kernel is refused there.
pub(crate) fn bytes(address: &Address) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of::<libc::sockaddr_in6>());
    bytes.extend((family(address) as libc::sa_family_t).to_ne_bytes());
    match address {
        Address::Tcp(SocketAddr::V4(v4)) => {
            bytes.extend(v4.port().to_be_bytes());
            bytes.extend(v4.ip().octets());
            bytes.extend([0; 8]);
        }
        Address::Tcp(SocketAddr::V6(v6)) => {
            bytes.extend(v6.port().to_be_bytes());
            bytes.extend(v6.flowinfo().to_ne_bytes());
            bytes.extend(v6.ip().octets());
            bytes.extend(v6.scope_id().to_ne_bytes());
        }
        // A leading zero makes the name abstract, and its length counts (unix(7)).
        Address::Local(name) => {
            bytes.push(0);
            bytes.extend(name.bytes());
        }
    }
    bytes
}

/// Bytes of the addresses that a TCP socket deals with.
pub(crate) fn length(socket: &OwnedFd) -> u32 {
    let mut family: i32 = 0;
    let mut length = mem::size_of_val(&family) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `family`, and both outlive the call.
    unsafe {
        let (fd, value) = (socket.as_raw_fd(), (&raw mut family).cast());
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, value, &mut length)
    };
    let bytes = if family == libc::AF_INET { size_of::<libc::sockaddr_in>() } else { BYTES_MAX };
    bytes as u32
}

/// The IP address in a TCP address, IPv4 as IPv4 also where it was mapped into IPv6 (RFC 4291, section 2.5.5.2).
pub(crate) fn ip(bytes: &[u8; BYTES_MAX]) -> Option<IpAddr> {
    let family = i32::from(libc::sa_family_t::from_ne_bytes(*bytes.first_chunk()?));
    match family {
        libc::AF_INET => Some(Ipv4Addr::from(*bytes[4..].first_chunk::<4>()?).into()),
        libc::AF_INET6 => Some(IpAddr::from(Ipv6Addr::from(*bytes[8..].first_chunk::<16>()?)).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernels_form() {
        for (text, plain) in [
            ("192.0.2.7:80", "192.0.2.7"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
        ] {
            let mut name = [0; BYTES_MAX];
            let written = bytes(&Address::Tcp(text.parse().expect("an address")));
            name[..written.len()].copy_from_slice(&written);
            assert_eq!(ip(&name), Some(plain.parse().expect("an address")), "{text}");
        }
        assert_eq!(ip(&[0; BYTES_MAX]), None);
    }
}

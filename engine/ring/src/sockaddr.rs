//! Addresses as the kernel reads them: `sockaddr_in`, `sockaddr_in6` and `sockaddr_un`, as bytes.

use std::net::SocketAddr;

use crate::token::Address;

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

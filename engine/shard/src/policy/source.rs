//! Whom an address belongs to, as limits count it, and whom a proxy speaks for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::Network;

/// One holder of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An IPv4 address.
    V4(u32),
    /// The first 64 bits of an IPv6 address: a site has at least the rest to choose from (RFC 6177).
    V6(u64),
}

impl Source {
    /// What its home is found by.
    pub fn key(self) -> [u8; 9] {
        let (family, bits) = match self {
            Source::V4(bits) => (4, u64::from(bits)),
            Source::V6(bits) => (6, bits),
        };
        let mut key = [family; 9];
        key[1..].copy_from_slice(&bits.to_be_bytes());
        key
    }
}

impl Source {
    /// The address; of IPv6 its first 64 bits, and zeros.
    pub fn address(self) -> IpAddr {
        match self {
            Source::V4(bits) => Ipv4Addr::from_bits(bits).into(),
            Source::V6(bits) => Ipv6Addr::from_bits(u128::from(bits) << 64).into(),
        }
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V4(address) => Source::V4(address.to_bits()),
            IpAddr::V6(address) => Source::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// The client of a request that came through trusted proxies, which wrote down `nodes`, the farthest first: the
/// nearest node that is no trusted proxy itself. If all are, the farthest. `None`: they do not say.
pub fn client_behind(nodes: &[Option<IpAddr>], network: &Network) -> Option<IpAddr> {
    let mut proxies = nodes.iter().rev();
    proxies.find(|node| !node.is_some_and(|address| network.trusts(address))).or(nodes.first()).copied()?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn ipv6_counts_by_the_first_64_bits_and_mapped_ipv4_as_ipv4() {
        let source = |text| Source::from(address(text));
        assert_eq!(source("2001:db8:1:2:3::4"), source("2001:db8:1:2:ffff::"));
        assert_ne!(source("2001:db8:1:2::"), source("2001:db8:1:3::"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_eq!(source("192.0.2.1").address(), address("192.0.2.1"));
        assert_eq!(source("2001:db8:1:2:3::4").address(), address("2001:db8:1:2::"));
        assert_ne!(source("192.0.2.1").key(), source("192.0.2.2").key());
        assert_ne!(source("0.0.0.1").key(), source("0:0:0:1::").key());
    }

    #[test]
    fn the_client_is_the_nearest_node_that_nobody_trusts() {
        let proxies = ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().expect("a network"));
        let network = Network { trusted_proxies: proxies.into(), ..Network::default() };
        let client = |texts: &[&str]| {
            let nodes: Vec<_> = texts.iter().map(|text| text.parse().ok()).collect();
            client_behind(&nodes, &network)
        };
        let some = |text| Some(address(text));
        assert_eq!(client(&["192.0.2.1"]), some("192.0.2.1"));
        assert_eq!(
            client(&["192.0.2.66", "192.0.2.1", "10.0.0.7"]),
            some("192.0.2.1"),
            "what it said itself"
        );
        assert_eq!(client(&["192.0.2.1", "2001:db8::7", "10.0.0.7"]), some("192.0.2.1"));
        assert_eq!(client(&["10.0.0.9", "10.0.0.7"]), some("10.0.0.9"), "a proxy may be a client");
        assert_eq!(client(&["192.0.2.66", "unknown"]), None);
        assert_eq!(client(&["192.0.2.66", "unknown", "10.0.0.7"]), None);
        assert_eq!(client(&[]), None);
    }
}

//! What network addresses may do, and which of them speak for others.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Rate;

/// Bounds of each network address. IPv6 addresses are counted by their first 64 bits, which one subscriber has.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Connections over all shards. 0: no limit. Default 100.
    pub connections_per_ip_max: u32,
    /// Connections, and streams through a proxy, that may be opened on one shard. Rate 0: no limit. Default 100 per
    /// second over all shards, burst 100.
    pub handshake_rate: Rate,
    /// Requests, and messages that count as such, on one shard. Rate 0: no limit. Default 10,000 per second, burst
    /// 10,000.
    pub request_rate: Rate,
    /// Loopback addresses have no limits. Default true.
    pub exempt_loopback: bool,
    /// Who is believed when it says whom it speaks for: by the PROXY protocol, `Forwarded` or `X-Forwarded-For`.
    /// Default nobody.
    pub trusted_proxies: Box<[IpNet]>,
}

impl Network {
    /// Whether `address` is believed when it says whom it speaks for.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Whether `address` has no limits.
    pub fn exempts(&self, address: IpAddr) -> bool {
        self.exempt_loopback && address.is_loopback()
    }

    /// Whether anything depends on who connects to a listener that only loopback addresses reach, or that all do:
    /// limits, proxies, or a blacklist, to which addresses may be added at any time.
    pub fn asks(&self, loopback_only: bool) -> bool {
        let limited = self.connections_per_ip_max > 0
            || self.handshake_rate.per_second > 0.0
            || self.request_rate.per_second > 0.0;
        !loopback_only || !self.trusted_proxies.is_empty() || limited && !self.exempt_loopback
    }
}

impl Default for Network {
    fn default() -> Self {
        Network {
            connections_per_ip_max: 100,
            handshake_rate: Rate::new(100.0, 100),
            request_rate: Rate::new(10_000.0, 10_000),
            exempt_loopback: true,
            trusted_proxies: Box::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_asked_for_only_if_something_depends_on_them() {
        let defaults = Network::default();
        assert!(defaults.asks(false) && !defaults.asks(true));
        assert!(Network { exempt_loopback: false, ..defaults.clone() }.asks(true));
        let proxies = ["127.0.0.1/32".parse().expect("a network")];
        assert!(Network { trusted_proxies: proxies.into(), ..defaults.clone() }.asks(true));
        let off = Rate::new(0.0, 1);
        let (connections_per_ip_max, exempt_loopback) = (0, false);
        let unlimited = Network {
            connections_per_ip_max,
            handshake_rate: off,
            request_rate: off,
            exempt_loopback,
            ..defaults
        };
        assert!(unlimited.asks(false) && !unlimited.asks(true));
    }
}

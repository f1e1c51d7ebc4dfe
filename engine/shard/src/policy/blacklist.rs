//! Who may not come in: networks and clients, until some time or for good.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use ipnet::IpNet;
use weir_ring::time::Wall;

use crate::limits::Subject;

/// Entries of one list.
const ENTRIES_MAX: usize = 100_000;

/// Why those are listed that the configuration names.
const CONFIGURED: &str = "security.blacklist";

/// How long somebody may not come in, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Until when; `None`: for good.
    pub until: Option<Wall>,
    /// What the operator said; may be empty.
    pub reason: Box<str>,
}

/// A change of the list, as every shard is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// From now on, whatever was said about the same subject.
    Add(Subject, Terms),
    /// Not any longer.
    Remove(Subject),
}

/// Whether it is IPv4, and how many leading bits count.
type Length = (bool, u8);

/// The list holds as many entries as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The list. An entry whose time is over counts no more, swept out or not.
#[derive(Debug)]
pub struct Blacklist {
    clients: HashMap<Box<str>, Terms, FixedState>,
    /// By the lengths of their prefixes, which are few, and by their leading bits.
    networks: BTreeMap<Length, HashMap<u128, (IpNet, Terms), FixedState>>,
    hasher: FixedState,
}

impl Blacklist {
    /// An empty list.
    pub fn new(seed: u64) -> Blacklist {
        let hasher = FixedState::with_seed(seed);
        Blacklist { clients: HashMap::with_hasher(hasher.clone()), networks: BTreeMap::new(), hasher }
    }

    /// A list that has these for good.
    pub fn with(subjects: &[Subject], seed: u64) -> Blacklist {
        let mut list = Blacklist::new(seed);
        for subject in subjects {
            // A configuration has fewer than the list takes.
            let _ = list.change(Change::Add(subject.clone(), Terms::configured()));
        }
        list
    }

    /// Makes a change. Removing whom it does not have changes nothing.
    ///
    /// # Errors
    /// It is full.
    pub fn change(&mut self, change: Change) -> Result<(), Full> {
        match change {
            Change::Add(..) if self.len() >= ENTRIES_MAX => return Err(Full),
            Change::Add(Subject::Client(client), terms) => {
                self.clients.insert(client, terms);
            }
            Change::Add(Subject::Network(network), terms) => {
                let (len, bits) = prefix(network);
                let of_length = self.networks.entry(len);
                let of_length = of_length.or_insert_with(|| HashMap::with_hasher(self.hasher.clone()));
                of_length.insert(bits, (network, terms));
            }
            Change::Remove(Subject::Client(client)) => {
                self.clients.remove(&client);
            }
            Change::Remove(Subject::Network(network)) => {
                let (len, bits) = prefix(network);
                if let Some(of_length) = self.networks.get_mut(&len) {
                    of_length.remove(&bits);
                }
                self.networks.retain(|_, of_length| !of_length.is_empty());
            }
        }
        Ok(())
    }

    /// Whether a client may not come in.
    pub fn has_client(&self, client: &str, now: Wall) -> bool {
        !self.clients.is_empty() && self.clients.get(client).is_some_and(|terms| terms.hold(now))
    }

    /// Whether nobody from this address may come in.
    pub fn has_address(&self, address: IpAddr, now: Wall) -> bool {
        let address = address.to_canonical();
        let bits = bits(address);
        let of_kind = self.networks.iter().filter(|((is_v4, _), _)| *is_v4 == address.is_ipv4());
        let mut found = of_kind.filter_map(|((_, len), networks)| networks.get(&(bits & mask(*len))));
        found.any(|(_, terms)| terms.hold(now))
    }

    /// Every entry, clients after networks.
    pub fn entries(&self) -> impl Iterator<Item = (Subject, &Terms)> {
        let networks = self.networks.values().flat_map(|of_length| of_length.values());
        let networks = networks.map(|(network, terms)| (Subject::Network(*network), terms));
        networks.chain(self.clients.iter().map(|(client, terms)| (Subject::Client(client.clone()), terms)))
    }

    /// Forgets those whose time is over.
    pub fn sweep(&mut self, now: Wall) {
        self.clients.retain(|_, terms| terms.hold(now));
        for of_length in self.networks.values_mut() {
            of_length.retain(|_, (_, terms)| terms.hold(now));
        }
        self.networks.retain(|_, of_length| !of_length.is_empty());
    }

    fn len(&self) -> usize {
        self.clients.len() + self.networks.values().map(HashMap::len).sum::<usize>()
    }
}

impl Terms {
    /// Of those that the configuration names.
    pub fn configured() -> Terms {
        Terms { until: None, reason: CONFIGURED.into() }
    }

    fn hold(&self, now: Wall) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The bits of an address, from the highest of 128 on.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The length of a network's prefix, and the prefix.
fn prefix(network: IpNet) -> (Length, u128) {
    let len = network.prefix_len();
    ((network.addr().is_ipv4(), len), bits(network.addr()) & mask(len))
}

/// The `len` leading bits.
fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Wall = Wall(1_000);

    fn subject(text: &str) -> Subject {
        text.parse().expect("a subject")
    }

    fn add(list: &mut Blacklist, text: &str, until: Option<u64>) {
        let terms = Terms { until: until.map(Wall), reason: "".into() };
        list.change(Change::Add(subject(text), terms)).expect("room");
    }

    fn network() -> impl Strategy<Value = IpNet> {
        // Few leading bits, so that networks lie in one another.
        let v4 = (any::<u32>(), 0_u8..=32).prop_map(|(bits, len)| {
            IpNet::new(IpAddr::V4((bits & 0xc0ff_00c3).into()), len).expect("a length")
        });
        let v6 = (any::<u128>(), 0_u8..=128).prop_map(|(bits, len)| {
            IpNet::new(IpAddr::V6((bits & 0xc000_0000_0000_0000_0000_0000_0000_00c3).into()), len)
                .expect("a length")
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        /// As each network by itself says, whatever was added and removed in between.
        #[test]
        fn addresses_are_judged_as_their_networks(
            added in prop::collection::vec((network(), prop::option::of(900_u64..1_100)), 0..12),
            removed in prop::collection::vec(network(), 0..3),
            asked in prop::collection::vec(network(), 1..20),
        ) {
            let mut list = Blacklist::new(1);
            for (network, until) in &added {
                add(&mut list, &network.to_string(), *until);
            }
            let removed: Vec<IpNet> = removed.iter().chain(added.iter().map(|(net, _)| net).step_by(4)).copied().collect();
            for network in &removed {
                list.change(Change::Remove(subject(&network.to_string()))).expect("room");
            }
            for address in asked.into_iter().map(|network| network.addr()) {
                let last = |network: &IpNet| added.iter().rev().find(|(other, _)| other.trunc() == network.trunc());
                let listed = added.iter().any(|(network, _)| {
                    network.contains(&address)
                        && !removed.iter().any(|other| other.trunc() == network.trunc())
                        && last(network).is_some_and(|(_, until)| until.is_none_or(|until| NOW.0 < until))
                });
                prop_assert_eq!(list.has_address(address, NOW), listed, "{}", address);
                list.sweep(NOW);
                prop_assert_eq!(list.has_address(address, NOW), listed);
            }
        }
    }

    #[test]
    fn entries_end_and_are_replaced() {
        let mut list = Blacklist::new(1);
        add(&mut list, "client:mallory", Some(1_001));
        assert!(list.has_client("mallory", NOW) && !list.has_client("mallory", Wall(1_001)));
        assert!(!list.has_client("alice", NOW));
        add(&mut list, "client:mallory", None);
        assert!(list.has_client("mallory", Wall(u64::MAX)));
        list.change(Change::Remove(subject("client:mallory"))).expect("room");
        assert!(!list.has_client("mallory", NOW));
        add(&mut list, "10.0.0.0/8", Some(1_000));
        assert_eq!(list.entries().count(), 1);
        list.sweep(NOW);
        assert_eq!(list.entries().count(), 0);
    }

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        let mut list = Blacklist::new(1);
        add(&mut list, "::ffff:10.0.0.1", None);
        assert!(list.has_address("10.0.0.1".parse().expect("an address"), NOW));
        assert!(list.has_address("::ffff:10.0.0.1".parse().expect("an address"), NOW));
        assert!(!list.has_address("10.0.0.2".parse().expect("an address"), NOW));
    }
}

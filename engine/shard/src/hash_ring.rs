//! A consistent hash ring (Karger et al. 1997): which node is home to a key. Two rings of the same nodes
//! agree in every process and every version: the hash is part of the contract between them.

/// Nodes with weights, spread over the 64-bit circle. A node that joins takes keys to itself only; a node
/// that leaves gives away its own only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashRing {
    /// Distinct ids with weights of at least 1.
    nodes: Vec<(u16, u32)>,
    vnodes: u16,
    /// Place and owner of each virtual node, in order.
    points: Vec<(u64, u16)>,
}

impl HashRing {
    /// The ring of so many shards, each of weight 1 and called by its number.
    pub fn of_shards(shards: u16, vnodes: u16) -> HashRing {
        let nodes: Vec<(u16, u32)> = (0..shards).map(|shard| (shard, 1)).collect();
        HashRing::new(&nodes, vnodes)
    }

    /// A ring of `nodes` as (id, weight); a node has `vnodes` x weight virtual nodes of 16 bytes each.
    /// A weight of 0 leaves the node out; of two entries with one id the first counts.
    ///
    /// # Panics
    /// If nothing is left: a ring without a node is home to nobody.
    pub fn new(nodes: &[(u16, u32)], vnodes: u16) -> HashRing {
        let mut distinct: Vec<(u16, u32)> = Vec::with_capacity(nodes.len());
        for &(id, weight) in nodes {
            if weight > 0 && distinct.iter().all(|node| node.0 != id) {
                distinct.push((id, weight));
            }
        }
        assert!(
            !distinct.is_empty() && vnodes > 0,
            "a hash ring needs a node of weight 1 and a virtual node"
        );
        let points = distinct.iter().flat_map(|&(id, weight)| {
            (0..u64::from(vnodes) * u64::from(weight)).map(move |replica| (point(id, replica), id))
        });
        let mut points: Vec<_> = points.collect();
        points.sort_unstable();
        HashRing { nodes: distinct, vnodes, points }
    }

    /// This ring with the node `id`; one it has already gets the new weight.
    #[must_use]
    pub fn with(&self, id: u16, weight: u32) -> HashRing {
        let others = self.nodes.iter().copied().filter(|node| node.0 != id);
        HashRing::new(&others.chain([(id, weight)]).collect::<Vec<_>>(), self.vnodes)
    }

    /// This ring without the node `id`; `None` if no other is left.
    pub fn without(&self, id: u16) -> Option<HashRing> {
        let others: Vec<_> = self.nodes.iter().copied().filter(|node| node.0 != id).collect();
        (!others.is_empty()).then(|| HashRing::new(&others, self.vnodes))
    }

    /// Its nodes: id, weight, virtual nodes.
    pub fn nodes(&self) -> impl Iterator<Item = (u16, u32, u64)> {
        self.nodes.iter().map(|&(id, weight)| (id, weight, u64::from(self.vnodes) * u64::from(weight)))
    }

    /// Its virtual nodes in order: place and owner. A key's home is the owner of the first at or after its place, after
    /// the last of the first.
    pub fn points(&self) -> impl Iterator<Item = (u64, u16)> {
        self.points.iter().copied()
    }

    /// Where on the circle `key` is.
    pub fn place(&self, key: &[u8]) -> u64 {
        hash(key.iter().copied())
    }

    /// The node that is home to `key`.
    pub fn home(&self, key: &[u8]) -> u16 {
        if let [(only, _)] = self.nodes[..] {
            return only;
        }
        let start = self.successor(key);
        self.points[if start < self.points.len() { start } else { 0 }].1
    }

    /// Up to `n` different nodes for copies of `key`: its home, then those that would be next.
    pub fn replicas(&self, key: &[u8], n: usize) -> impl Iterator<Item = u16> {
        let (before, from) = self.points.split_at(self.successor(key));
        let mut seen = Vec::with_capacity(n.min(self.nodes.len()));
        let owners = from.iter().chain(before).map(|point| point.1);
        let distinct = owners.filter(move |&id| {
            let new = !seen.contains(&id);
            if new {
                seen.push(id);
            }
            new
        });
        distinct.take(n.min(self.nodes.len()))
    }

    /// The first virtual node at or after the key's place; the number of points if there is none.
    fn successor(&self, key: &[u8]) -> usize {
        let place = self.place(key);
        self.points.partition_point(|point| point.0 < place)
    }
}

/// The place of a node's virtual node number `replica`.
fn point(id: u16, replica: u64) -> u64 {
    hash(id.to_le_bytes().into_iter().chain(replica.to_le_bytes()))
}

/// FNV-1a with 64 bits, then the finalizer of MurmurHash3 (fmix64), because FNV alone mixes the last
/// bytes of a key poorly into the high bits, which decide the place. Not for untrusted hash tables: an
/// attacker can choose keys that share a home.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let mut h = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const VNODES: u16 = 150;

    fn nodes() -> impl Strategy<Value = Vec<(u16, u32)>> {
        prop::collection::btree_map(any::<u16>(), 1_u32..4, 1..8)
            .prop_map(|nodes| nodes.into_iter().collect())
    }

    fn keys() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..24), 200)
    }

    proptest! {
        #[test]
        fn removing_a_node_moves_only_its_keys(nodes in nodes(), keys in keys(), pick in any::<prop::sample::Index>()) {
            let ring = HashRing::new(&nodes, VNODES);
            let gone = nodes[pick.index(nodes.len())].0;
            let Some(less) = ring.without(gone) else {
                prop_assert_eq!(nodes.len(), 1);
                return Ok(());
            };
            for key in &keys {
                let (before, after) = (ring.home(key), less.home(key));
                prop_assert_ne!(after, gone);
                prop_assert!(before == after || before == gone);
                // Its keys go to the node that was next in line.
                if before == gone {
                    prop_assert_eq!(ring.replicas(key, 2).last(), Some(after));
                }
            }
        }

        #[test]
        fn adding_a_node_moves_keys_only_to_it(nodes in nodes(), keys in keys(), id in any::<u16>(), weight in 1_u32..4) {
            let ring = HashRing::new(&nodes, VNODES);
            prop_assume!(nodes.iter().all(|node| node.0 != id));
            let more = ring.with(id, weight);
            for key in &keys {
                let (before, after) = (ring.home(key), more.home(key));
                prop_assert!(before == after || after == id);
            }
            prop_assert_eq!(more.without(id), Some(ring));
        }

        #[test]
        fn replicas_are_different_nodes_from_the_home_on(nodes in nodes(), keys in keys(), n in 0_usize..10) {
            let ring = HashRing::new(&nodes, VNODES);
            for key in &keys {
                let replicas: Vec<_> = ring.replicas(key, n).collect();
                prop_assert_eq!(replicas.len(), n.min(nodes.len()));
                prop_assert!(replicas.first().is_none_or(|&first| first == ring.home(key)));
                let mut distinct = replicas.clone();
                distinct.sort_unstable();
                distinct.dedup();
                prop_assert_eq!(distinct.len(), replicas.len());
            }
        }
    }

    fn shares(ring: &HashRing) -> BTreeMap<u16, f64> {
        let mut shares = BTreeMap::new();
        for n in 0..100_000 {
            *shares.entry(ring.home(format!("client-{n}").as_bytes())).or_insert(0.0) += 1.0 / 100_000.0;
        }
        shares
    }

    /// With 150 virtual nodes the deviation of a share is about 1/sqrt(150) = 8 % of it; three of those.
    #[test]
    fn keys_spread_by_weight() {
        for nodes in [2_u16, 4, 16, 64] {
            let ring = HashRing::new(&(0..nodes).map(|id| (id, 1)).collect::<Vec<_>>(), VNODES);
            let fair = 1.0 / f64::from(nodes);
            let shares = shares(&ring);
            assert_eq!(shares.len(), usize::from(nodes));
            for (id, share) in shares {
                assert!((share / fair - 1.0).abs() < 0.3, "node {id} of {nodes}: {share} for {fair}");
            }
        }
        let weighted = shares(&HashRing::new(&[(1, 1), (2, 2), (3, 5), (4, 0)], VNODES));
        assert!(!weighted.contains_key(&4));
        for (id, fair) in [(1, 1.0 / 8.0), (2, 2.0 / 8.0), (3, 5.0 / 8.0)] {
            assert!((weighted[&id] / fair - 1.0).abs() < 0.3, "node {id}: {}", weighted[&id]);
        }
    }

    /// Clusters of mixed versions depend on these figures. A change of the hash breaks them.
    #[test]
    fn the_hash_is_fixed() {
        let fixed = |key: &str| hash(key.bytes());
        assert_eq!(
            [fixed(""), fixed("a"), fixed("mcp:gateway")],
            [0xefd0_1f60_ba99_2926, 0x82a2_a958_a9be_ce5b, 0xc1ba_4b98_2125_f0b1]
        );
    }
}

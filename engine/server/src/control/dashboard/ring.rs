//! The hash ring as a drawing needs it.

use serde::Serialize;
use weir_shard::hash_ring::HashRing;

/// The circle, cut at its virtual nodes.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Drawing {
    /// Where arcs end, as parts of the circle, in order; the last one goes on to the first.
    ends: Vec<f64>,
    /// Whose each is.
    owners: Vec<u16>,
    /// By node: id, virtual nodes, and the part of the circle that it is home to.
    nodes: Vec<Node>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Node {
    id: u16,
    vnodes: u64,
    share: f64,
}

/// Draws `ring`. Ends are exact to a hundred-thousandth of the circle, which is less than anybody sees.
pub(super) fn draw(ring: &HashRing) -> Drawing {
    let points: Vec<(f64, u16)> = ring.points().map(|(place, owner)| (part(place), owner)).collect();
    let last = points.last().map_or(0.0, |point| point.0 - 1.0);
    let starts = std::iter::once(last).chain(points.iter().map(|point| point.0));
    let arcs: Vec<(u16, f64)> =
        points.iter().zip(starts).map(|(end, start)| (end.1, end.0 - start)).collect();
    let share = |id: u16| arcs.iter().filter(|arc| arc.0 == id).map(|arc| arc.1).sum();
    let nodes = ring.nodes().map(|(id, _, vnodes)| Node { id, vnodes, share: share(id) }).collect();
    let ends = points.iter().map(|point| (point.0 * 1e5).round() / 1e5).collect();
    Drawing { ends, owners: points.iter().map(|point| point.1).collect(), nodes }
}

/// A place as a part of the circle.
pub(in crate::control) fn part(place: u64) -> f64 {
    place as f64 / 2.0_f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arcs_make_up_the_circle_and_each_has_the_owner_of_its_end() {
        let ring = HashRing::new(&[(0, 1), (1, 2)], 150);
        let drawing = draw(&ring);
        assert_eq!((drawing.ends.len(), drawing.owners.len()), (450, 450));
        assert!(drawing.ends.is_sorted());
        let shares: Vec<f64> = drawing.nodes.iter().map(|node| node.share).collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
        assert!((shares[1] - 2.0 / 3.0).abs() < 0.1, "{shares:?}");
        for key in 0..1_000_u32 {
            let place = part(ring.place(&key.to_le_bytes()));
            // Rounded ends decide nothing that is this near to one of them.
            if drawing.ends.iter().any(|end| (end - place).abs() < 2e-5) {
                continue;
            }
            let arc = drawing.ends.iter().position(|end| *end >= place).unwrap_or(0);
            assert_eq!(drawing.owners[arc], ring.home(&key.to_le_bytes()));
        }
    }
}

//! The ids that requests carry upstream: no two legs under way have the same.

use weir_ring::token::Token;

/// Bits of the slot's index; its generation takes the 28 above, and the whole fits into the integers
/// that every JSON implementation keeps exactly (2^53).
const INDEX_BITS: u32 = 24;
const GENERATION_MASK: u32 = (1 << 28) - 1;

/// The id of a leg, and its progress token.
pub(crate) fn of(leg: Token) -> u64 {
    u64::from(leg.generation & GENERATION_MASK) << INDEX_BITS | u64::from(leg.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_exact_in_every_json_and_differ() {
        let legs = [(0, 0), (7, 1), (7, 2), ((1 << 24) - 1, u32::MAX)];
        let ids = legs.map(|(index, generation)| of(Token { index, generation }));
        assert!(ids.iter().all(|id| *id < 1 << 53));
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id));
        }
    }
}

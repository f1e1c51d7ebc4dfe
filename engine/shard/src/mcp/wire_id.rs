//! The ids that requests carry upstream: they name the leg, so that an answer finds it by itself.

use weir_ring::token::Token;

/// Bits of the slot's index; its generation takes the 28 above, and the whole fits into the integers
/// that every JSON implementation keeps exactly (2^53).
const INDEX_BITS: u32 = 24;
const GENERATION_MASK: u32 = (1 << 28) - 1;

/// The id of a leg, and its progress token.
pub(crate) fn of(leg: Token) -> u64 {
    u64::from(leg.generation & GENERATION_MASK) << INDEX_BITS | u64::from(leg.index)
}

/// Index and generation of the leg that an id names; the generation is cut to 28 bits.
pub(crate) fn parts(id: u64) -> Option<(u32, u32)> {
    let generation = u32::try_from(id >> INDEX_BITS).ok().filter(|life| *life <= GENERATION_MASK)?;
    Some(((id & ((1 << INDEX_BITS) - 1)) as u32, generation))
}

/// Whether `leg` is the one that these parts name.
pub(crate) fn names(parts: (u32, u32), leg: Token) -> bool {
    parts == (leg.index, leg.generation & GENERATION_MASK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_leg() {
        for (index, generation) in [(0, 0), (7, 1), ((1 << 24) - 1, u32::MAX)] {
            let leg = Token { index, generation };
            let id = of(leg);
            assert!(id < 1 << 53);
            assert!(parts(id).is_some_and(|parts| names(parts, leg)));
        }
        assert_eq!(parts(1 << 52), None);
        assert!(!names((7, 2), Token { index: 7, generation: 1 }));
    }
}

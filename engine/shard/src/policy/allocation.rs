//! Slots that several share, divided by weight and demand: max-min fair (Bertsekas and Gallager, *Data Networks*,
//! 6.5.2). Nobody gets more than it asks for; what one does not need goes to the others by their weights.

/// What one of those who share wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Slots it could use now.
    pub(crate) demand: u32,
    /// Its share relative to the others', at least 1.
    pub(crate) weight: u32,
}

/// How many of `total` slots each may have. Everybody who wants any gets one before anybody gets two, as long as there
/// are as many.
pub(crate) fn allocate(total: u32, claims: &[Claim]) -> Vec<u32> {
    let mut given = vec![0; claims.len()];
    let mut left = total;
    for (given, claim) in given.iter_mut().zip(claims) {
        *given = claim.demand.min(1).min(left);
        left -= *given;
    }
    // Each next slot goes to whom it leaves furthest behind by weight, so that all levels rise together.
    while left > 0 {
        let wanting =
            given.iter().zip(claims).enumerate().filter(|(_, (given, claim))| *given < &claim.demand);
        let next = wanting.min_by(|(_, (one, a)), (_, (other, b))| {
            let level = |given: u32, weight: u32| u64::from(given + 1) * u64::from(weight.max(1));
            level(**one, b.weight).cmp(&level(**other, a.weight))
        });
        let Some((next, _)) = next else { break };
        given[next] += 1;
        left -= 1;
    }
    given
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claims() -> impl Strategy<Value = Vec<Claim>> {
        let claim = (0_u32..60, 1_u32..9).prop_map(|(demand, weight)| Claim { demand, weight });
        prop::collection::vec(claim, 1..8)
    }

    proptest! {
        /// Nothing is given that is not wanted or not there, and nothing wanted is kept back.
        #[test]
        fn all_that_is_wanted_and_there_is_given(total in 0_u32..200, claims in claims()) {
            let given = allocate(total, &claims);
            let wanted: u32 = claims.iter().map(|claim| claim.demand).sum();
            prop_assert_eq!(given.iter().sum::<u32>(), wanted.min(total));
            prop_assert!(given.iter().zip(&claims).all(|(given, claim)| *given <= claim.demand));
        }

        /// Whoever has less than it wants could have one more only from somebody who has, by weight, no more than it
        /// would have then; and who wants any has at least one if there is one for each.
        #[test]
        fn nobody_has_more_at_the_cost_of_one_who_has_less(total in 0_u32..200, claims in claims()) {
            let given = allocate(total, &claims);
            for (mine, own) in given.iter().zip(&claims).filter(|(mine, own)| **mine < own.demand) {
                for (theirs, other) in given.iter().zip(&claims).filter(|(theirs, _)| **theirs > 1) {
                    let (theirs, mine) = (u64::from(*theirs), u64::from(*mine) + 1);
                    prop_assert!(theirs * u64::from(own.weight) <= mine * u64::from(other.weight));
                }
            }
            let wanting = claims.iter().filter(|claim| claim.demand > 0).count() as u32;
            if total >= wanting {
                prop_assert!(given.iter().zip(&claims).all(|(given, claim)| *given >= claim.demand.min(1)));
            }
        }
    }

    #[test]
    fn weights_decide_where_there_is_not_enough() {
        let claim = |demand, weight| Claim { demand, weight };
        assert_eq!(allocate(12, &[claim(100, 1), claim(100, 3)]), [3, 9]);
        assert_eq!(allocate(12, &[claim(100, 1), claim(4, 3)]), [8, 4]);
        assert_eq!(allocate(12, &[claim(100, 1), claim(0, 3)]), [12, 0]);
        assert_eq!(allocate(2, &[claim(100, 1), claim(100, 1_000)]), [1, 1]);
        assert_eq!(allocate(0, &[claim(1, 1)]), [0]);
    }
}

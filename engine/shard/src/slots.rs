//! A generational slab: values under tokens that name nothing once their value is gone.

use weir_ring::token::Token;

use crate::chunks::Chunks;

/// End of the free list. No slot has this index, because `max` slots end at `max - 1`.
const NIL: u32 = u32::MAX;

/// Up to `max` values of one kind. Memory grows with the largest number held at once, in chunks of
/// fixed size, and is used again, last freed first; it does not shrink. A slot takes 8 bytes beside its
/// value (alignment up to 8).
#[derive(Debug)]
pub struct Slots<T> {
    slots: Chunks<Slot<T>>,
    max: u32,
    len: u32,
    free_head: u32,
}

#[derive(Debug)]
enum Slot<T> {
    Occupied {
        generation: u32,
        value: T,
    },
    /// `generation` is that of the next life, `next` the free slot after this one.
    Vacant {
        generation: u32,
        next: u32,
    },
}

impl<T> Slots<T> {
    /// An empty slab without memory of its own that takes at most `max` values.
    pub const fn with_max(max: u32) -> Self {
        Slots { slots: Chunks::new(), max, len: 0, free_head: NIL }
    }

    /// Stores `value` and names it.
    ///
    /// # Errors
    /// Gives `value` back when the slab holds `max` values.
    pub fn insert(&mut self, value: T) -> Result<Token, T> {
        if self.len == self.max {
            return Err(value);
        }
        self.len += 1;
        let index = self.free_head;
        if let Some(slot) = self.slots.get_mut(index)
            && let Slot::Vacant { generation, next } = *slot
        {
            *slot = Slot::Occupied { generation, value };
            self.free_head = next;
            return Ok(Token { index, generation });
        }
        let index = self.slots.len() as u32;
        self.slots.push(Slot::Occupied { generation: 0, value });
        Ok(Token { index, generation: 0 })
    }

    /// The value `token` names.
    pub fn get(&self, token: Token) -> Option<&T> {
        match self.slots.get(token.index)? {
            Slot::Occupied { generation, value } if *generation == token.generation => Some(value),
            _ => None,
        }
    }

    /// The value `token` names.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        match self.slots.get_mut(token.index)? {
            Slot::Occupied { generation, value } if *generation == token.generation => Some(value),
            _ => None,
        }
    }

    /// Takes out the value `token` names. The token, and every copy of it, names nothing from now on.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        self.get(token)?;
        let vacant = Slot::Vacant { generation: token.generation.wrapping_add(1), next: self.free_head };
        match std::mem::replace(self.slots.get_mut(token.index)?, vacant) {
            Slot::Occupied { value, .. } => {
                self.free_head = token.index;
                self.len -= 1;
                Some(value)
            }
            Slot::Vacant { .. } => None,
        }
    }

    /// Number of values held.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether no value is held.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of values that still fit.
    pub const fn free(&self) -> u32 {
        self.max - self.len
    }

    /// All values with their tokens, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (Token, &T)> {
        (0..).zip(self.slots.iter()).filter_map(|(index, slot)| match slot {
            Slot::Occupied { generation, value } => Some((Token { index, generation: *generation }, value)),
            Slot::Vacant { .. } => None,
        })
    }

    /// All values with their tokens, in the order of their slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Token, &mut T)> {
        (0..).zip(self.slots.iter_mut()).filter_map(|(index, slot)| match slot {
            Slot::Occupied { generation, value } => Some((Token { index, generation: *generation }, value)),
            Slot::Vacant { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert,
        /// Of the tokens ever given, by position modulo their number.
        Remove(usize),
        Change(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![3 => Just(Step::Insert), 2 => any::<usize>().prop_map(Step::Remove), 1 => any::<usize>().prop_map(Step::Change)]
    }

    proptest! {
        /// Every token ever given, live or stale, answers as a map would, after every step.
        #[test]
        fn agrees_with_a_map(max in 0_u32..700, steps in prop::collection::vec(step(), 0..800)) {
            let mut slots = Slots::with_max(max);
            let mut model: BTreeMap<(u32, u32), u64> = BTreeMap::new();
            let mut given = Vec::new();
            for (number, step) in (0..).zip(steps) {
                let pick = |i: usize| given.get(i % given.len().max(1)).copied();
                match step {
                    Step::Insert => match slots.insert(number) {
                        Ok(token) => {
                            prop_assert!(model.insert((token.index, token.generation), number).is_none());
                            prop_assert!(token.index < max && !given.contains(&token));
                            given.push(token);
                        }
                        Err(value) => {
                            prop_assert_eq!(value, number);
                            prop_assert_eq!(model.len() as u32, max);
                        }
                    },
                    Step::Remove(i) => if let Some(token) = pick(i) {
                        prop_assert_eq!(slots.remove(token), model.remove(&(token.index, token.generation)));
                    },
                    Step::Change(i) => if let Some(token) = pick(i) {
                        let value = slots.get_mut(token).map(|value| { *value += 1; *value });
                        let expected = model.get_mut(&(token.index, token.generation));
                        prop_assert_eq!(value, expected.map(|value| { *value += 1; *value }));
                    },
                }
                prop_assert_eq!(slots.len() as usize, model.len());
                prop_assert_eq!(slots.free(), max - slots.len());
            }
            for token in given {
                prop_assert_eq!(slots.get(token), model.get(&(token.index, token.generation)));
            }
            let held: Vec<_> = slots.iter().map(|(token, value)| ((token.index, token.generation), *value)).collect();
            prop_assert_eq!(&held, &model.into_iter().collect::<Vec<_>>());
            let changed: Vec<_> = slots.iter_mut().map(|(token, value)| ((token.index, token.generation), *value)).collect();
            prop_assert_eq!(held, changed);
        }
    }

    #[test]
    fn the_largest_token_names_nothing() {
        let mut slots = Slots::with_max(1);
        assert_eq!(slots.insert(7), Ok(Token { index: 0, generation: 0 }));
        assert_eq!(slots.get(Token { index: u32::MAX, generation: 0 }), None);
        assert_eq!(slots.remove(Token { index: u32::MAX, generation: u32::MAX }), None);
    }

    #[test]
    fn a_slot_takes_eight_bytes_beside_its_value() {
        assert_eq!(size_of::<Slot<[u64; 5]>>(), size_of::<[u64; 5]>() + 8);
        assert_eq!(size_of::<Slot<u32>>(), 4 + 8);
    }
}

//! Bytes that the kernel is sending as the peer takes them: each kept in its place, unmoved, until its
//! completion.

/// One drain.
struct Drain {
    bytes: Vec<u8>,
    /// How many have left.
    sent: usize,
}

/// All drains under way.
#[derive(Default)]
pub(crate) struct Drains {
    places: Vec<Option<Drain>>,
    free: Vec<u32>,
}

impl Drains {
    /// Keeps `bytes`. The place is at least 1.
    pub(crate) fn insert(&mut self, bytes: Vec<u8>) -> u32 {
        let drain = Some(Drain { bytes, sent: 0 });
        match self.free.pop() {
            Some(place) => {
                self.places[place as usize - 1] = drain;
                place
            }
            None => {
                self.places.push(drain);
                self.places.len() as u32
            }
        }
    }

    /// What is left to send at `place`. It stays where it is until `remove`.
    pub(crate) fn rest(&self, place: u32) -> &[u8] {
        self.drain(place).map_or(&[], |drain| &drain.bytes[drain.sent..])
    }

    /// Counts `sent` more bytes at `place` as gone.
    pub(crate) fn advance(&mut self, place: u32, sent: usize) {
        if let Some(Some(drain)) = self.places.get_mut((place as usize).wrapping_sub(1)) {
            drain.sent = (drain.sent + sent).min(drain.bytes.len());
        }
    }

    /// Drops the bytes at `place`.
    pub(crate) fn remove(&mut self, place: u32) {
        if let Some(slot) = self.places.get_mut((place as usize).wrapping_sub(1))
            && slot.take().is_some()
        {
            self.free.push(place);
        }
    }

    fn drain(&self, place: u32) -> Option<&Drain> {
        self.places.get((place as usize).wrapping_sub(1))?.as_ref()
    }
}

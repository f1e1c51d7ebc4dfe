//! Dead letters: messages that a client which acknowledges did not acknowledge, however often they were
//! written. They stay, within bounds, until somebody sends them again or throws them away.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use weir_ring::time::Wall;

use crate::lane::Lane;
use crate::limits::Delivery;
use crate::message::timestamp;
use crate::stream::{Epoch, Position, Sequence};

/// A message's name for ever: the envelope's `id`. In order within a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageId {
    /// The stream's life.
    pub epoch: Epoch,
    /// The lane.
    pub lane: Lane,
    /// Its number there.
    pub sequence: Sequence,
}

impl MessageId {
    /// Reads the written form, and no other.
    pub fn parse(text: &str) -> Option<MessageId> {
        let (lane, Position { epoch, sequence }) = Position::parse(text.as_bytes())?;
        Some(MessageId { epoch, lane, sequence })
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Vec::with_capacity(30);
        Position { epoch: self.epoch, sequence: self.sequence }.write(self.lane, &mut text);
        serializer.serialize_str(&String::from_utf8_lossy(&text))
    }
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    /// Who did not acknowledge it.
    pub(crate) client: Box<str>,
    /// The envelope.
    pub(crate) body: Arc<[u8]>,
    /// As its outbox entry had it.
    pub(crate) class: u8,
    /// How often it was written the last time.
    pub(crate) attempts: u8,
    /// When it was given up.
    pub(crate) died: Wall,
    /// It is on its way again: to be acknowledged, or dead once more.
    pub(crate) redriven: bool,
}

/// The dead letters of one shard's clients. A letter that is sent again keeps its room until it is
/// acknowledged, so that it can come back.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters {
    letters: BTreeMap<MessageId, DeadLetter>,
    bytes: usize,
}

/// The letters are as many, or as large, as they may be. The message stays where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl DeadLetters {
    /// How many there are, those on their way again among them.
    pub(crate) fn len(&self) -> usize {
        self.letters.len()
    }

    /// Bytes of their envelopes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A message is given up.
    ///
    /// # Errors
    /// `Full`: it is not.
    pub(crate) fn bury(&mut self, id: MessageId, letter: DeadLetter, bounds: &Delivery) -> Result<(), Full> {
        let bytes = self.bytes + letter.body.len();
        if self.letters.len() >= bounds.dead_messages_max || bytes > bounds.dead_bytes_max {
            return Err(Full);
        }
        self.restore(id, letter);
        Ok(())
    }

    /// A letter of the last run is there again, whatever the bounds are now.
    pub(crate) fn restore(&mut self, id: MessageId, letter: DeadLetter) {
        self.bytes += letter.body.len();
        if let Some(former) = self.letters.insert(id, letter) {
            self.bytes -= former.body.len();
        }
    }

    /// One letter.
    pub(crate) fn get(&self, id: MessageId) -> Option<&DeadLetter> {
        self.letters.get(&id)
    }

    /// Those after `after`, of one client or of all, by id.
    pub(crate) fn list<'a>(
        &'a self,
        client: Option<&'a str>,
        after: Option<MessageId>,
    ) -> impl Iterator<Item = (MessageId, &'a DeadLetter)> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let wanted = move |letter: &DeadLetter| client.is_none_or(|client| *client == *letter.client);
        let range = self.letters.range((from, Bound::Unbounded));
        range.filter(move |(_, letter)| wanted(letter)).map(|(id, letter)| (*id, letter))
    }

    /// A letter goes on its way again.
    pub(crate) fn set_out(&mut self, id: MessageId) {
        if let Some(letter) = self.letters.get_mut(&id) {
            letter.redriven = true;
        }
    }

    /// A letter on its way was not acknowledged this time either.
    pub(crate) fn come_back(&mut self, id: MessageId, attempts: u8, now: Wall) {
        if let Some(letter) = self.letters.get_mut(&id) {
            (letter.redriven, letter.attempts, letter.died) = (false, attempts, now);
        }
    }

    /// A letter is gone: acknowledged, or thrown away.
    pub(crate) fn remove(&mut self, id: MessageId) -> Option<DeadLetter> {
        let letter = self.letters.remove(&id)?;
        self.bytes -= letter.body.len();
        Some(letter)
    }
}

/// A dead letter as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Its id.
    pub id: MessageId,
    /// Who did not acknowledge it.
    pub client_id: Box<str>,
    /// `dead`, or `redriven`: on its way again.
    pub state: &'static str,
    /// How often it was written.
    pub attempts: u8,
    /// When it was given up, RFC 3339.
    pub died_at: Box<str>,
    /// Bytes of the envelope.
    pub bytes: usize,
    /// The envelope; in lists it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<RawValue>>,
}

impl View {
    /// What a list shows.
    pub(crate) fn of(id: MessageId, letter: &DeadLetter) -> View {
        View {
            id,
            client_id: letter.client.clone(),
            state: if letter.redriven { "redriven" } else { "dead" },
            attempts: letter.attempts,
            died_at: timestamp(letter.died).into(),
            bytes: letter.body.len(),
            message: None,
        }
    }

    /// With the message itself.
    pub(crate) fn whole(id: MessageId, letter: &DeadLetter) -> View {
        // Envelopes are JSON of the gateway's own making.
        let text = String::from_utf8_lossy(&letter.body).into_owned();
        View { message: RawValue::from_string(text).ok(), ..View::of(id, letter) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(random: u64, sequence: u64) -> MessageId {
        MessageId { epoch: Epoch::from_random(random), lane: Lane::Normal, sequence }
    }

    fn letter(client: &str, size: usize) -> DeadLetter {
        let body = vec![b' '; size].into();
        DeadLetter { client: client.into(), body, class: 0, attempts: 5, died: Wall(1), redriven: false }
    }

    proptest! {
        /// Within its bounds; every letter is dead, on its way, or gone; and lists, page by page, show each once.
        #[test]
        fn letters_stay_until_they_are_told_to_go(steps in prop::collection::vec((0_u8..5, 0_u64..12, 0_usize..40), 0..120)) {
            let bounds = Delivery { dead_messages_max: 8, dead_bytes_max: 150, ..Delivery::default() };
            let mut letters = DeadLetters::default();
            let mut model: BTreeMap<MessageId, (usize, bool)> = BTreeMap::new();
            for (what, n, size) in steps {
                let id = id(n % 3, n);
                match what {
                    0 | 1 if !model.contains_key(&id) => {
                        let bytes: usize = model.values().map(|(size, _)| size).sum();
                        let fits = model.len() < 8 && bytes + size <= 150;
                        prop_assert_eq!(letters.bury(id, letter(if n < 6 { "a" } else { "b" }, size), &bounds).is_ok(), fits);
                        if fits {
                            model.insert(id, (size, false));
                        }
                    }
                    2 => {
                        letters.set_out(id);
                        if let Some(letter) = model.get_mut(&id) {
                            letter.1 = true;
                        }
                    }
                    3 => {
                        letters.come_back(id, 5, Wall(2));
                        if let Some(letter) = model.get_mut(&id) {
                            letter.1 = false;
                        }
                    }
                    4 => prop_assert_eq!(letters.remove(id).is_some(), model.remove(&id).is_some()),
                    _ => {}
                }
                prop_assert_eq!((letters.len(), letters.bytes()), (model.len(), model.values().map(|(size, _)| size).sum()));
                let (mut after, mut paged) = (None, Vec::new());
                while let Some((id, letter)) = letters.list(None, after).next() {
                    paged.push((id, (letter.body.len(), letter.redriven)));
                    after = Some(id);
                }
                prop_assert_eq!(paged, model.clone().into_iter().collect::<Vec<_>>());
                prop_assert!(letters.list(Some("a"), None).all(|(id, letter)| id.sequence < 6 && &*letter.client == "a"));
            }
        }
    }

    #[test]
    fn a_view_names_the_message_and_shows_it() {
        let mut dead = letter("u1", 0);
        dead.body = (*br#"{"id":"x"}"#).into();
        let id = MessageId::parse("aaaaaaab-u3").expect("an id");
        let view = serde_json::to_value(View::whole(id, &dead)).expect("JSON");
        let expected = serde_json::json!({
            "id": "aaaaaaab-u3", "client_id": "u1", "state": "dead", "attempts": 5,
            "died_at": "1970-01-01T00:00:00.001Z", "bytes": 10, "message": {"id": "x"},
        });
        assert_eq!(view, expected);
        let view = serde_json::to_value(View::of(id, &DeadLetter { redriven: true, ..dead })).expect("JSON");
        assert_eq!((view.get("message"), &view["state"]), (None, &"redriven".into()));
        assert_eq!(MessageId::parse("aaaaaaab-n3"), None);
    }
}

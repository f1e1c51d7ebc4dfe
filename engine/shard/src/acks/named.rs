//! An acknowledgement as clients write it.

use serde::Deserialize;

use crate::dead::MessageId;
use crate::error::Error;
use crate::lane::Lane;
use crate::stream::{Epoch, Position, Sequence};

/// What a client says that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Everything in one lane up to here.
    Through { lane: Lane, position: Position },
    /// This message, whatever became of those before it.
    One(MessageId),
}

/// `{"sequence", "epoch", "lane"}`: everything up to there; or `{"msg_id"}`: that one.
#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    sequence: Option<Sequence>,
    epoch: Option<String>,
    #[serde(default)]
    lane: Lane,
    msg_id: Option<String>,
}

impl Named {
    /// What it names. `present` is the epoch of one that does not say its own.
    ///
    /// # Errors
    /// It names nothing, or what no message was ever called.
    pub(crate) fn ack(&self, present: Option<Epoch>) -> Result<Ack, Error> {
        if let Some(id) = &self.msg_id {
            let id = MessageId::parse(id);
            return id.map(Ack::One).ok_or_else(|| Error::malformed("msg_id is no message's id"));
        }
        let sequence = self.sequence.ok_or(Error::MissingField { field: "sequence" })?;
        let epoch = match &self.epoch {
            None => present.ok_or(Error::MissingField { field: "epoch" })?,
            Some(epoch) => Epoch::parse(epoch.as_bytes())
                .ok_or_else(|| Error::malformed("epoch is not one of this server's"))?,
        };
        Ok(Ack::Through { lane: self.lane, position: Position { epoch, sequence } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, present: Option<Epoch>) -> Result<Ack, Error> {
        serde_json::from_str::<Named>(text).expect("JSON").ack(present)
    }

    #[test]
    fn an_acknowledgement_names_a_place_or_a_message() {
        let epoch = Epoch::from_random(1);
        let through = |lane, sequence| Ok(Ack::Through { lane, position: Position { epoch, sequence } });
        assert_eq!(read(r#"{"sequence":3}"#, Some(epoch)), through(Lane::Normal, 3));
        let whole = r#"{"sequence":3,"epoch":"aaaaaaab","lane":"high"}"#;
        assert_eq!(read(whole, None), through(Lane::High, 3));
        let one = MessageId { epoch, lane: Lane::Urgent, sequence: 7 };
        assert_eq!(read(r#"{"msg_id":"aaaaaaab-u7"}"#, None), Ok(Ack::One(one)));
        assert_eq!(read(r#"{"sequence":3}"#, None), Err(Error::MissingField { field: "epoch" }));
        assert_eq!(read("{}", Some(epoch)), Err(Error::MissingField { field: "sequence" }));
        for text in [r#"{"sequence":3,"epoch":"x"}"#, r#"{"msg_id":"aaaaaaab-n7"}"#] {
            assert!(matches!(read(text, Some(epoch)), Err(Error::Malformed { .. })), "{text}");
        }
    }
}

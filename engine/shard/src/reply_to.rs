//! Who waits for what becomes of a publish or an acknowledgement.

use weir_ring::token::Token;

use crate::operation::Traced;

/// Who waits for an answer; travels with the question and comes back with the answer.
#[derive(Debug)]
pub enum ReplyTo {
    /// Nobody.
    Nobody,
    /// Line `line` of the HTTP request under way on `connection`.
    Exchange { connection: Token, line: u32 },
    /// A Phoenix push on `connection`.
    Push { connection: Token, push: Box<PushRef> },
}

/// What a Phoenix reply must name.
#[derive(Debug)]
pub struct PushRef {
    /// Reference of the join the push belongs to.
    pub join_ref: Option<Box<str>>,
    /// Reference of the push.
    pub reference: Box<str>,
    /// Topic of the push.
    pub topic: Box<str>,
    /// What is told of it.
    pub traced: Option<Box<Traced>>,
}

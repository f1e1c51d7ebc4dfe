//! Close codes, close payloads (RFC 6455 sections 5.5.1 and 7.4), and the violations that end a
//! connection, each with its code.

use super::frame::CONTROL_BYTES_MAX;

/// The purpose is fulfilled.
pub const NORMAL: u16 = 1000;
/// The server goes down, or the page is left.
pub const GOING_AWAY: u16 = 1001;
/// The peer broke the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// A kind of data the endpoint does not take: a binary frame where only text is served.
pub const UNSUPPORTED_DATA: u16 = 1003;
/// Data that is not what its kind says: text that is not UTF-8, a broken deflate stream.
pub const INVALID_PAYLOAD: u16 = 1007;
/// Against the endpoint's policy.
pub const POLICY_VIOLATION: u16 = 1008;
/// Larger than the endpoint takes.
pub const TOO_BIG: u16 = 1009;
/// The server failed.
pub const INTERNAL_ERROR: u16 = 1011;
/// The server restarts; come back (IANA registry).
pub const SERVICE_RESTART: u16 = 1012;
/// The server is overloaded; come back later (IANA registry).
pub const TRY_AGAIN_LATER: u16 = 1013;

/// Longest reason a close frame holds beside its code, bytes.
pub const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// What the client did wrong. The connection is to be closed with [`Violation::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A client's frame without a mask (section 5.1).
    Unmasked,
    /// RSV2 or RSV3; RSV1 without permessage-deflate, on a control frame or on a continuation.
    ReservedBits,
    /// An opcode that means nothing (section 5.2).
    ReservedOpcode,
    /// A control frame without FIN (section 5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (section 5.5).
    LongControl,
    /// A length that is not in its shortest form (section 5.2).
    LengthNotMinimal,
    /// A 64-bit length with its highest bit set (section 5.2).
    LengthNegative,
    /// A continuation with nothing to continue (section 5.4).
    NothingToContinue,
    /// A new message inside a fragmented one (section 5.4).
    MessageInMessage,
    /// A close payload of one byte (section 5.5.1).
    CloseLength,
    /// A close code that may not be sent (section 7.4).
    CloseCode,
    /// Text, or a close reason, that is not UTF-8 (section 8.1).
    NotUtf8,
    /// A compressed message that is no deflate stream, or is cut short (RFC 7692 section 7.2.2).
    NotDeflate,
    /// A frame over `Limits::frame_bytes_max`.
    FrameTooBig,
    /// A message over `Limits::message_bytes_max`, as received or inflated.
    MessageTooBig,
    /// A message that inflates to more than 100 times its size.
    InflatesTooMuch,
}

impl Violation {
    /// The close code to send.
    pub fn code(self) -> u16 {
        match self {
            Violation::Unmasked
            | Violation::ReservedBits
            | Violation::ReservedOpcode
            | Violation::FragmentedControl
            | Violation::LongControl
            | Violation::LengthNotMinimal
            | Violation::LengthNegative
            | Violation::NothingToContinue
            | Violation::MessageInMessage
            | Violation::CloseLength
            | Violation::CloseCode => PROTOCOL_ERROR,
            Violation::NotUtf8 | Violation::NotDeflate => INVALID_PAYLOAD,
            Violation::FrameTooBig | Violation::MessageTooBig | Violation::InflatesTooMuch => TOO_BIG,
        }
    }

    /// The reason to send with the code, at most [`REASON_BYTES_MAX`].
    pub fn reason(self) -> &'static str {
        match self {
            Violation::Unmasked => "frames from a client must be masked",
            Violation::ReservedBits => "reserved bit set",
            Violation::ReservedOpcode => "reserved opcode",
            Violation::FragmentedControl => "control frames must not be fragmented",
            Violation::LongControl => "control frames hold at most 125 bytes",
            Violation::LengthNotMinimal => "length is not in its shortest form",
            Violation::LengthNegative => "highest bit of the length set",
            Violation::NothingToContinue => "continuation without a message",
            Violation::MessageInMessage => "new message before the end of the fragmented one",
            Violation::CloseLength => "close payload of one byte",
            Violation::CloseCode => "close code must not be sent",
            Violation::NotUtf8 => "text is not UTF-8",
            Violation::NotDeflate => "message is not a deflate stream",
            Violation::FrameTooBig => "frame too big",
            Violation::MessageTooBig => "message too big",
            Violation::InflatesTooMuch => "message inflates too much",
        }
    }
}

/// Whether an endpoint may send `code`: defined in RFC 6455 section 7.4.1 or registered with IANA
/// since, or of the ranges of libraries and applications. 1004 to 1006 and 1015 are never sent.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads a close frame's payload. `None`: no code was given.
pub(super) fn parse(payload: &[u8]) -> Result<Option<(u16, &str)>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(Violation::CloseLength),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !may_be_sent(code) {
                return Err(Violation::CloseCode);
            }
            let reason = std::str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
            Ok(Some((code, reason)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_be_sent() {
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4999]
        {
            assert!(may_be_sent(code), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert!(!may_be_sent(code), "{code}");
        }
    }

    #[test]
    fn payloads() {
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"\x03"), Err(Violation::CloseLength));
        assert_eq!(parse(b"\x03\xe8"), Ok(Some((1000, ""))));
        assert_eq!(parse(b"\x03\xe8bye"), Ok(Some((1000, "bye"))));
        assert_eq!(parse(b"\x03\xed"), Err(Violation::CloseCode));
        assert_eq!(parse(b"\x03\xe8\xce"), Err(Violation::NotUtf8));
    }
}

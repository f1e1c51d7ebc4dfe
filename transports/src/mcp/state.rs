//! What the gateway writes into the `requestState` of its `InputRequiredResult`s, before it is sealed: where
//! the call is held that the client's next try goes on with.

/// The form of what is coded.
const FORM: u8 = 1;

/// Where a held call is, or which upstream a call that nobody holds goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State<'a> {
    /// The core that holds it: its shard.
    pub core: u16,
    /// The shard's token of the conversation with the upstream, as its caller codes it.
    pub backing: u64,
    /// The shard's token of the call's leg there, as its caller codes it.
    pub leg: u64,
    /// Seconds since 1970 after which it is void.
    pub expiry: u64,
    /// Place of the upstream in the configuration.
    pub upstream: u16,
    /// The upstream's own `requestState`, if it gave one.
    pub inner: Option<&'a str>,
}

/// Bytes of a state without the upstream's own.
const FIXED: usize = 1 + 2 + 8 + 8 + 8 + 2 + 1;

impl<'a> State<'a> {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let inner = self.inner.unwrap_or_default();
        let mut bytes = Vec::with_capacity(FIXED + inner.len());
        bytes.push(FORM);
        bytes.extend_from_slice(&self.core.to_be_bytes());
        bytes.extend_from_slice(&self.backing.to_be_bytes());
        bytes.extend_from_slice(&self.leg.to_be_bytes());
        bytes.extend_from_slice(&self.expiry.to_be_bytes());
        bytes.extend_from_slice(&self.upstream.to_be_bytes());
        bytes.push(u8::from(self.inner.is_some()));
        bytes.extend_from_slice(inner.as_bytes());
        bytes
    }

    /// The reverse of [`State::encode`]. `None`: the bytes are not of that make.
    pub fn decode(bytes: &'a [u8]) -> Option<State<'a>> {
        let mut rest = bytes;
        if take(&mut rest)? != [FORM] {
            return None;
        }
        let state = State {
            core: u16::from_be_bytes(take(&mut rest)?),
            backing: u64::from_be_bytes(take(&mut rest)?),
            leg: u64::from_be_bytes(take(&mut rest)?),
            expiry: u64::from_be_bytes(take(&mut rest)?),
            upstream: u16::from_be_bytes(take(&mut rest)?),
            inner: None,
        };
        match (take(&mut rest)?, str::from_utf8(rest).ok()?) {
            ([0], "") => Some(state),
            ([1], inner) => Some(State { inner: Some(inner), ..state }),
            _ => None,
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_encoded_state_decodes(
            core: u16, backing: u64, leg: u64, expiry: u64, upstream: u16, inner: Option<String>,
        ) {
            let state = State { core, backing, leg, expiry, upstream, inner: inner.as_deref() };
            let bytes = state.encode();
            prop_assert_eq!(bytes.len(), FIXED + inner.as_deref().unwrap_or_default().len());
            prop_assert_eq!(State::decode(&bytes), Some(state));
            for len in 0..FIXED {
                prop_assert_eq!(State::decode(&bytes[..len]), None);
            }
        }

        #[test]
        fn no_bytes_harm(bytes in proptest::collection::vec(0u8..4, 0..40)) {
            if let Some(state) = State::decode(&bytes) {
                prop_assert_eq!(state.encode(), bytes);
            }
        }
    }
}

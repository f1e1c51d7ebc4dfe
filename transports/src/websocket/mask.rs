//! Masking, RFC 6455 section 5.3. Its own inverse.

/// Applies `mask` to `payload`, whose first byte is the frame's first. For a later part of a payload
/// rotate the mask left by the number of bytes gone before.
pub(super) fn apply(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::apply;

    #[test]
    fn every_length_agrees_with_the_definition() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for len in 0..70_usize {
            let plain: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let mut masked = plain.clone();
            apply(&mut masked, mask);
            for (i, byte) in masked.iter().enumerate() {
                assert_eq!(*byte, plain[i] ^ mask[i % 4], "length {len}, byte {i}");
            }
        }
    }

    #[test]
    fn the_hello_of_the_rfc() {
        let mut payload = *b"\x7f\x9f\x4d\x51\x58";
        apply(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(&payload, b"Hello");
    }
}

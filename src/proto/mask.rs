//! Masking of payloads, RFC 6455 §5.3: byte `i` of a payload is XORed with byte `i mod 4` of the key.
//!
//! Masking and unmasking are the same step, and every byte that a browser sends passes here. The
//! loop over words is of the shape that the compiler turns into vector instructions:
//! `cargo bench --bench micro -- unmask` shows whether it still does.

/// Bytes copied and unmasked at once: few enough to stay in registers in between.
const BLOCK: usize = 64;

/// Unmasks `data` in place; `phase` bytes of the same payload went before it.
pub fn unmask(data: &mut [u8], key: [u8; 4], phase: usize) {
    // Little-endian: the key's first byte is the lowest, and leaves first.
    let key = u32::from_le_bytes(key).rotate_right(8 * (phase % 4) as u32);
    let (words, tail) = data.as_chunks_mut();
    for word in words {
        *word = (u32::from_le_bytes(*word) ^ key).to_le_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.to_le_bytes()) {
        *byte ^= key;
    }
}

/// Appends `src`, unmasked, to `out`; `phase` bytes of the same payload went before it.
pub fn unmask_to(src: &[u8], key: [u8; 4], phase: usize, out: &mut Vec<u8>) {
    out.reserve(src.len());
    let (blocks, tail) = src.as_chunks::<BLOCK>();
    // A block is a multiple of the key: each begins in the same phase.
    for &(mut block) in blocks {
        unmask(&mut block, key, phase);
        out.extend_from_slice(&block);
    }
    let start = out.len();
    out.extend_from_slice(tail);
    unmask(out.split_at_mut(start).1, key, phase);
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [[u8; 4]; 4] = [[0; 4], [0xff; 4], [0x37, 0xfa, 0x21, 0x3d], [1, 2, 4, 8]];

    /// RFC 6455 §5.3, to the letter.
    fn oracle(data: &[u8], key: [u8; 4], phase: usize) -> Vec<u8> {
        data.iter().enumerate().map(|(i, byte)| byte ^ key[(phase + i) % 4]).collect()
    }

    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 151 + 7) as u8).collect()
    }

    #[test]
    fn the_example_of_section_5_7() {
        let mut data = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        unmask(&mut data, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&data, b"Hello");
    }

    #[test]
    fn f66_every_length_alignment_and_phase_equals_the_oracle() {
        for key in KEYS {
            for alignment in 0..16 {
                for len in 0..=130 {
                    for phase in 0..4 {
                        let mut room = sample(alignment + len);
                        let expected = oracle(&room[alignment..], key, phase);
                        let untouched = room[..alignment].to_vec();
                        unmask(&mut room[alignment..], key, phase);
                        assert_eq!(room[alignment..], expected, "{len} at {alignment}, {phase}");
                        assert_eq!(room[..alignment], untouched);
                    }
                }
            }
        }
    }

    #[test]
    fn f66_a_payload_cut_anywhere_equals_the_whole() {
        for key in KEYS {
            for len in 0..=130 {
                let expected = oracle(&sample(len), key, 0);
                for cut in 0..=len {
                    let mut data = sample(len);
                    let (head, tail) = data.split_at_mut(cut);
                    unmask(head, key, 0);
                    unmask(tail, key, cut);
                    assert_eq!(data, expected, "{len} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn a_copy_is_appended_and_equals_the_oracle() {
        for len in (0..200).chain([4095, 4096, 4097]) {
            for phase in [0, 1, 2, 3, 4, 7, usize::MAX] {
                let mut out = b"kept".to_vec();
                unmask_to(&sample(len), KEYS[2], phase, &mut out);
                assert_eq!(out[..4], *b"kept");
                assert_eq!(out[4..], oracle(&sample(len), KEYS[2], phase % 4), "{len}, {phase}");
            }
        }
    }
}

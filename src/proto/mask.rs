//! Masking of payloads, RFC 6455 §5.3: byte `i` of a payload is XORed with byte `i mod 4` of the key.
//!
//! Masking and unmasking are the same step. Every byte a browser sends passes here, so the work is
//! done in blocks of a fixed size, a shape that the compiler turns into vector instructions.

/// Bytes XORed at once: two AVX2 or four SSE2 registers.
const BLOCK: usize = 64;

/// Bytes copied before they are unmasked: small enough to be still in the first-level cache then.
const PIECE: usize = 8 * 1024;

/// Unmasks `data` in place; `phase` bytes of the same payload went before it.
pub fn unmask(data: &mut [u8], key: [u8; 4], phase: usize) {
    let key = rotated(key, phase);
    let (blocks, rest) = data.as_chunks_mut::<BLOCK>();
    xor_blocks(blocks, key);
    let (words, tail) = rest.as_chunks_mut::<4>();
    xor_blocks(words, key);
    for (byte, key) in tail.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Appends `src`, unmasked, to `out`; `phase` bytes of the same payload went before it.
pub fn unmask_to(src: &[u8], key: [u8; 4], phase: usize, out: &mut Vec<u8>) {
    let key = rotated(key, phase);
    out.reserve(src.len());
    // A piece is a multiple of the key: the phase of each is that of the first.
    for piece in src.chunks(PIECE) {
        let start = out.len();
        out.extend_from_slice(piece);
        unmask(out.split_at_mut(start).1, key, 0);
    }
}

/// The key as the byte after `phase` others sees it.
fn rotated(mut key: [u8; 4], phase: usize) -> [u8; 4] {
    key.rotate_left(phase % 4);
    key
}

/// XORs blocks whose size is a multiple of the key's.
fn xor_blocks<const N: usize>(blocks: &mut [[u8; N]], key: [u8; 4]) {
    let pattern: [u8; N] = std::array::from_fn(|at| key[at % 4]);
    for block in blocks {
        for (byte, key) in block.iter_mut().zip(pattern) {
            *byte ^= key;
        }
    }
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
        for len in [0, 1, 3, 4, 5, 63, 64, 65, 1000, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            for phase in [0, 1, 2, 3, 4, 7, usize::MAX] {
                let mut out = b"kept".to_vec();
                unmask_to(&sample(len), KEYS[2], phase, &mut out);
                assert_eq!(out[..4], *b"kept");
                assert_eq!(out[4..], oracle(&sample(len), KEYS[2], phase % 4), "{len}, {phase}");
            }
        }
    }
}

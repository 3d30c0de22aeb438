//! Durations in buckets whose bounds are powers of two, so that to find one is to count zeros.

use std::time::Duration;

/// Buckets from 1 µs to 2^39 µs, six days.
pub(super) const BUCKETS: usize = 40;

/// The bound of a bucket, in seconds.
pub(super) fn bound(bucket: usize) -> f64 {
    (1_u64 << bucket) as f64 / 1e6
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The bucket with the smallest bound that is not below; the last one has all longer ones.
pub(super) fn bucket(micros: u64) -> usize {
    let bits = u64::BITS - micros.saturating_sub(1).leading_zeros();
    (bits as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let cases = [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 39, 39), (u64::MAX, 39)];
        for (micros, expected) in cases {
            assert_eq!(bucket(micros), expected, "{micros}");
        }
        assert_eq!(micros(Duration::MAX), u64::MAX);
        assert!((bound(10) - 0.001_024).abs() < 1e-12);
    }
}

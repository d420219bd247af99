//! What texts are made of.

use core::time::Duration;

/// Returns the largest index up to `index` at which a text can be cut.
pub(crate) fn boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Returns a wait as people are told of it, which is no less: whole milliseconds, or tenths of a
/// second.
pub(crate) fn told(wait: Duration) -> Duration {
    let step: u128 = if wait < Duration::from_secs(1) { 1 } else { 100 };
    let millis = wait.as_nanos().div_ceil(step * 1_000_000) * step;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_in_few_digits_and_never_too_short() {
        let told = |nanos| format!("{:?}", told(Duration::from_nanos(nanos)));
        assert_eq!(told(57_736_773_652), "57.8s");
        assert_eq!(told(61_000_000_000), "61s");
        assert_eq!(told(12_000_001), "13ms");
        assert_eq!(told(0), "0ns");
        assert!(super::told(Duration::MAX) > Duration::from_secs(1 << 50));
    }
}

//! Texts of bounded length.

/// Returns the largest index up to `index` at which a text can be cut.
pub(crate) fn boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

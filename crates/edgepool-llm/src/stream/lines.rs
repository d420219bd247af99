use memchr::memchr2;

use super::bound;
use crate::failure::Failure;

/// Finds lines in bytes that come in pieces. It copies only lines that a piece has split.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    /// Whether the last byte was a carriage return, which a line feed may belong to.
    after_return: bool,
    max: usize,
    /// Whether what is longer is cut, and not an error.
    cuts: bool,
}

impl Lines {
    pub(crate) const fn new(max: usize) -> Self {
        Self { partial: Vec::new(), after_return: false, max, cuts: false }
    }

    /// Finds lines of which the first `max` bytes are told.
    pub(crate) const fn cutting(max: usize) -> Self {
        Self { partial: Vec::new(), after_return: false, max, cuts: true }
    }

    /// Tells each line that ends in these bytes. With `returns` a carriage return ends one too.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        returns: bool,
        mut tell: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut rest = bytes;
        if self.after_return && !rest.is_empty() {
            self.after_return = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        let also = if returns { b'\r' } else { b'\n' };
        while let Some(at) = memchr2(b'\n', also, rest) {
            let line = &rest[..at];
            let line = self.fitting(line)?;
            if self.partial.is_empty() {
                tell(line)?;
            } else {
                self.partial.extend_from_slice(line);
                let whole = core::mem::take(&mut self.partial);
                tell(&whole)?;
                self.partial = whole;
                self.partial.clear();
            }
            let return_last = rest[at] == b'\r';
            rest = &rest[at + 1..];
            if return_last {
                self.after_return = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
        }
        let rest = self.fitting(rest)?;
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Tells the line that the end of all ends, if there is one.
    pub(crate) fn end(
        &mut self,
        mut tell: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let last = core::mem::take(&mut self.partial);
        if last.is_empty() { Ok(()) } else { tell(&last) }
    }

    /// Returns what still fits of a piece of a line.
    fn fitting<'a>(&self, piece: &'a [u8]) -> Result<&'a [u8], Failure> {
        let room = self.max.saturating_sub(self.partial.len());
        match piece.get(..room) {
            Some(part) if self.cuts => Ok(part),
            Some(part) if part.len() < piece.len() => Err(bound(self.max)),
            _ => Ok(piece),
        }
    }
}

//! What the module has one of.

use core::cell::RefCell;

/// A value for all exports. Unlike a `thread_local!` it needs no `std`.
pub(crate) struct Global<T>(RefCell<T>);

#[cfg(target_feature = "atomics")]
compile_error!("the exports are for a module without threads");

// SAFETY: without threads nobody else can have it.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Runs `act` on the value, which must not come back to it.
    #[inline(always)]
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.borrow_mut())
    }
}

//! What the module has one of.

use core::cell::UnsafeCell;

/// A value for all exports. Unlike a `thread_local!` it needs no `std`.
pub(crate) struct Global<T>(UnsafeCell<T>);

#[cfg(target_feature = "atomics")]
compile_error!("the exports are for a module without threads");

// SAFETY: without threads nobody else can have it.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub(crate) const fn get(&self) -> T
    where
        T: Copy,
    {
        // SAFETY: there is one thread, and nothing else runs in here.
        unsafe { *self.0.get() }
    }

    pub(crate) const fn set(&self, value: T)
    where
        T: Copy,
    {
        // SAFETY: as in `get`.
        unsafe { *self.0.get() = value };
    }

    /// Runs `act` on the value.
    ///
    /// # Safety
    ///
    /// `act` does not come back to it. So it is for what the exports do: only JavaScript calls
    /// those, and none of them calls JavaScript.
    #[inline(always)]
    pub(crate) unsafe fn with<R>(&'static self, act: impl FnOnce(&'static mut T) -> R) -> R {
        // SAFETY: there is one thread, and `act` makes no second reference.
        act(unsafe { &mut *self.0.get() })
    }
}

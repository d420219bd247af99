use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Who is within a client pool: the calls that it has begun and that have not ended.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    closed: bool,
    within: u32,
    tickets: u64,
    /// Those that are to know when the gate is closed.
    waiting: BTreeMap<u64, Waker>,
    /// Those that are to know when nobody is within any more.
    drains: BTreeMap<u64, Waker>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn within(&self) -> u32 {
        self.lock().within
    }

    /// Lets a call in, unless the gate is closed.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Pass> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        state.within += 1;
        state.tickets += 1;
        let ticket = state.tickets;
        drop(state);
        Some(Pass { gate: Arc::clone(self), ticket })
    }

    /// Closes the gate, and wakes those who wait.
    pub(super) fn close(&self) {
        let woken = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        woken.into_values().for_each(Waker::wake);
    }

    /// Wakes those who wait, as there is something new to look at.
    pub(super) fn stir(&self) {
        let woken = std::mem::take(&mut self.lock().waiting);
        woken.into_values().for_each(Waker::wake);
    }

    pub(super) fn ticket(&self) -> u64 {
        let mut state = self.lock();
        state.tickets += 1;
        state.tickets
    }

    /// Tells whether nobody is within; if somebody is, `waker` is woken when that has changed.
    pub(super) fn is_empty(&self, ticket: u64, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut state = self.lock();
        let empty = state.within == 0;
        let unneeded =
            if empty { state.drains.remove(&ticket) } else { state.drains.insert(ticket, waker) };
        drop(state);
        drop(unneeded);
        empty
    }

    /// Tells whether it is closed; if not, `waker` is woken when it is.
    pub(super) fn is_shut(&self, ticket: u64, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut state = self.lock();
        let closed = state.closed;
        let unneeded = if closed { Some(waker) } else { state.waiting.insert(ticket, waker) };
        drop(state);
        drop(unneeded);
        closed
    }

    /// Forgets one who waits.
    pub(super) fn forget(&self, ticket: u64) {
        let mut state = self.lock();
        let unneeded = (state.drains.remove(&ticket), state.waiting.remove(&ticket));
        drop(state);
        drop(unneeded);
    }
}

/// One call's stay.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    ticket: u64,
}

impl Pass {
    /// Tells whether the gate is closed; if not, `waker` is woken when it is.
    pub(super) fn is_closed(&self, waker: &Waker) -> bool {
        self.gate.is_shut(self.ticket, waker)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.within -= 1;
        let unneeded = state.waiting.remove(&self.ticket);
        let woken = match state.within {
            0 => std::mem::take(&mut state.drains),
            _ => BTreeMap::new(),
        };
        drop(state);
        drop(unneeded);
        woken.into_values().for_each(Waker::wake);
    }
}

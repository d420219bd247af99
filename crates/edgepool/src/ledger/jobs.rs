//! What the shell answers: how creations, checks, resets and closings went.

use core::time::Duration;

use super::{Effect, End, JobKind, Leaving, Ledger, SlotKey, SlotState, Verdict};

/// The shell's answers.
impl Ledger {
    /// Takes in the connection that a creation gave. Returns false if the creation was given up:
    /// the connection is the shell's to close.
    pub fn created(&mut self, key: SlotKey) -> bool {
        let live = self.is_in(key, SlotState::Creating);
        if live {
            self.counters.created += 1;
            self.renew_generation(key.index);
            self.bear(key.index);
            self.failing.forget();
            self.look_out();
            self.take_in(key.index);
            self.start_creations();
        }
        live
    }

    /// Frees the place of a creation that failed, and ends the waits that depended on it with
    /// [`End::CreateFailed`]. Returns false if the creation was given up before.
    pub fn create_failed(&mut self, key: SlotKey) -> bool {
        let live = self.is_in(key, SlotState::Creating);
        if live {
            self.counters.create_failed += 1;
            self.end_dependants(key.index, End::CreateFailed);
            self.free_slot(key.index);
        }
        live
    }

    /// Counts a job's time from now, as a shell does that could not begin it before.
    pub fn restart(&mut self, key: SlotKey) {
        let Some(slot) = self.store.find_slot(key) else { return };
        let limit = match slot.state {
            SlotState::Creating => self.options.create_timeout,
            SlotState::Checking => self.options.check_timeout,
            SlotState::Resetting => self.options.reset_timeout,
            SlotState::Closing | SlotState::Retired => self.options.close_timeout,
            SlotState::Idle | SlotState::Offered(_) | SlotState::Leased => None,
        };
        let now = self.now;
        let same = |limit: Duration| self.timers.at(slot.timer) == Some(now.saturating_add(limit));
        if !limit.is_none_or(same) {
            self.set_slot_timer(key.index, limit);
        }
    }

    pub(super) fn handle_overdue_creation(&mut self, index: u32) {
        self.end_dependants(index, End::CreateTimedOut);
        self.abandon_creation(index, true);
    }

    pub(super) fn abandon_creation(&mut self, index: u32, overdue: bool) {
        self.counters.create_abandoned += 1;
        let (slot, job) = (self.store.slot_key(index), JobKind::Creation);
        self.effects.push_back(Effect::Abandon { slot, job, overdue });
        self.free_slot(index);
    }

    /// Takes in what a check said. Returns false if it took longer than `check_timeout`: the
    /// connection is the shell's to close.
    pub fn checked(&mut self, key: SlotKey, verdict: Verdict) -> bool {
        let live = self.is_in(key, SlotState::Checking);
        if live {
            let swept = core::mem::take(&mut self.store.slot_mut(key.index).swept);
            self.judge(key.index, verdict, swept, Leaving::CheckFailed);
            if swept {
                self.end_sweep();
            }
        }
        live
    }

    /// Begins the reset of a connection that comes back in good order. The answer is the key of the
    /// reset, to be told to [`reset`](Self::reset); `None` if the lease's key is stale.
    pub fn begin_reset(&mut self, key: SlotKey) -> Option<SlotKey> {
        let owner = self.end_lease(key)?;
        self.counters.released += 1;
        self.counters.resets += 1;
        self.end_loan(owner);
        self.set_state(key.index, SlotState::Resetting);
        self.set_slot_timer(key.index, self.options.reset_timeout);
        self.serve_others(owner);
        Some(self.store.slot_key(key.index))
    }

    /// Takes in how a reset went. Returns false if it took longer than `reset_timeout`: the
    /// connection is the shell's to close.
    pub fn reset(&mut self, key: SlotKey, verdict: Verdict) -> bool {
        let live = self.is_in(key, SlotState::Resetting);
        let verdict = match verdict {
            Verdict::Bad if mutated!(FailedResetIsLent) => Verdict::Good,
            verdict => verdict,
        };
        if live {
            self.judge(key.index, verdict, false, Leaving::ResetFailed);
        }
        live
    }

    /// Takes a connection out of the idle ones, to be looked at by the shell, which answers with
    /// [`looked_at`](Self::looked_at) at once.
    pub fn look_at_idle(&mut self) -> Option<SlotKey> {
        let index = self.idle.pop_front(&mut self.store.slots)?;
        self.forget_renewal(index);
        self.set_state(index, SlotState::Checking);
        let key = self.renew_generation(index);
        // Without it another one is next, which may be good for whoever waits for a check.
        self.serve();
        Some(key)
    }

    /// Takes a connection back that the shell looked at; one that is not kept is closed.
    pub fn looked_at(&mut self, key: SlotKey, keep: bool) -> bool {
        let live = self.is_in(key, SlotState::Checking);
        if live {
            self.renew_generation(key.index);
            let swept = core::mem::take(&mut self.store.slot_mut(key.index).swept);
            if keep {
                self.take_in(key.index);
            } else {
                self.start_close(key.index, SlotState::Closing, Leaving::Rejected);
                self.serve();
            }
            if swept {
                self.end_sweep();
            }
        }
        live
    }

    /// Frees the place of a connection that is closed now. Returns false if that took longer than
    /// `close_timeout` and the place is free already.
    pub fn closed(&mut self, key: SlotKey) -> bool {
        let leaving = |state| matches!(state, SlotState::Closing | SlotState::Retired);
        let live = self.store.find_slot(key).is_some_and(|slot| leaving(slot.state));
        self.counters.stale += u64::from(!live);
        if live {
            self.remove_slot(key.index);
        }
        live
    }

    /// Takes in a connection that came back from a job after that was given up, only to have it
    /// closed. Its place comes on top of `max` if need be, as it was given away already. Returns the
    /// index of the place, where the connection is to be.
    pub fn close_late(&mut self) -> u32 {
        let index = self.insert_slot(SlotState::Checking);
        self.name(index);
        self.start_close(index, SlotState::Closing, Leaving::Late);
        index
    }

    /// Takes in a connection that was made elsewhere, as a lease of the caller's. Returns `None`
    /// if the pool is closed or full.
    ///
    /// A shell whose ledger was lost tells the new one so what is still out; released at once, the
    /// connection is idle.
    pub fn adopt(&mut self) -> Option<SlotKey> {
        if self.closed || self.size() >= self.options.max {
            return None;
        }
        self.counters.adopted += 1;
        let index = self.insert_slot(SlotState::Leased);
        self.name(index);
        self.bear(index);
        self.set_lease_timers(index);
        Some(self.store.slot_key(index))
    }

    /// Moves the next idle connection to its check.
    pub(super) fn start_next_check(&mut self) {
        if let Some(index) = self.pop_idle() {
            self.start_check(index);
        }
    }

    /// Asks the shell to check the connection, which is in no list, under a key of its own.
    pub(super) fn start_check(&mut self, index: u32) {
        self.counters.checks += 1;
        self.store.slot_mut(index).swept = false;
        self.forget_renewal(index);
        self.set_state(index, SlotState::Checking);
        let slot = self.renew_generation(index);
        self.effects.push_back(Effect::Check { slot });
    }

    fn judge(&mut self, index: u32, verdict: Verdict, swept: bool, failed: Leaving) {
        match verdict {
            Verdict::Good => {
                self.renew_generation(index);
                let now = self.now;
                let slot = self.store.slot_mut(index);
                (slot.checked, slot.fresh) = (now, failed == Leaving::CheckFailed);
                self.take_in(index);
                self.keep_place(index, swept);
            }
            Verdict::Bad => {
                self.start_close(index, SlotState::Closing, failed);
                self.serve();
            }
            Verdict::Lost => {
                *self.leaving_counter(failed) += 1;
                self.remove_slot(index);
            }
        }
    }

    /// A connection that was checked only because it was long idle stays the last to be lent.
    fn keep_place(&mut self, index: u32, swept: bool) {
        if swept && self.store.slot(index).state == SlotState::Idle {
            self.idle.remove(&mut self.store.slots, index);
            self.idle.push_front(&mut self.store.slots, index);
        }
    }

    fn is_in(&mut self, key: SlotKey, state: SlotState) -> bool {
        let live = self.store.find_slot(key).is_some_and(|slot| slot.state == state);
        self.counters.stale += u64::from(!live);
        live
    }
}

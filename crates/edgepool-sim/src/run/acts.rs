//! What operators and the clock do in a run.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use edgepool::Clock;

use super::checks::settled;
use super::world::{OPERATOR, SimPool, World};
use crate::{Act, Action, SimFactory, Spawner};

/// What an operator has at hand.
pub(super) struct Operator {
    pub(super) world: Rc<World>,
    pub(super) factory: SimFactory,
    pub(super) pool: SimPool,
    pub(super) spawner: Spawner,
}

impl Operator {
    /// Does it all, each in its time, counted from when the clock had run for `from`.
    pub(super) async fn work(self, from: Duration, acts: Vec<Act>) {
        for act in acts {
            let at = from.saturating_add(act.at);
            let clock = &self.world.clock;
            // The clock may tell anything by now; its alarms count what passes.
            while let Some(wait) = at.checked_sub(clock.elapsed()).filter(|wait| !wait.is_zero()) {
                clock.alarm(clock.now().saturating_add(wait)).await;
            }
            self.act(&act.action);
        }
    }

    fn act(&self, action: &Action) {
        let Self { world, pool, .. } = self;
        let clock = &world.clock;
        let record = |name, value| world.record(OPERATOR, name, value);
        match *action {
            Action::Stats => drop(pool.stats()),
            Action::Tick => {
                record("ticks", 0);
                pool.tick();
            }
            Action::Resize(max) => {
                let ok = pool.resize(max).is_ok();
                record_ok(world, "resizes to", max, ok);
                world.greatest_max.set(world.greatest_max.get().max(if ok { max } else { 0 }));
            }
            Action::SetMinIdle(n) => {
                let ok = pool.set_min_idle(n).is_ok();
                record_ok(world, "sets min_idle to", n, ok);
                world.min_idle.set(if ok { n } else { world.min_idle.get() });
            }
            Action::Pause => {
                record("pauses", 0);
                pool.pause();
            }
            Action::Resume => {
                record("resumes", 0);
                pool.resume();
            }
            Action::Retain(one_in) => self.retain(one_in),
            Action::RetainPanics => self.retain_and_panic(),
            Action::InvalidateAll => self.invalidate_all(),
            Action::WarmUp(n) => self.warm_up(n),
            Action::SetShare((tenant, share)) => {
                record("changes the share of tenant", u64::from(tenant));
                world.set_share(tenant, share);
            }
            Action::EndWaits(tenant) => {
                let ended = world.tenant(tenant).map(|tenant| tenant.end_waits());
                record("ends waits", ended.unwrap_or_default() as u64);
            }
            Action::Reopen(tenant) => {
                record("opens anew tenant", u64::from(tenant));
                world.reopen_tenant(pool, tenant);
            }
            Action::StepBack(by) => {
                record("steps the clock back by", by.as_nanos() as u64);
                clock.step_back(by);
            }
            Action::StepForward(by) => {
                record("steps the clock forward by", by.as_nanos() as u64);
                clock.step_forward(by);
            }
            Action::Rate(per_mille) => {
                record("sets the clock's pace to", u64::from(per_mille));
                clock.set_rate(per_mille);
            }
            Action::Freeze => {
                record("stops the clock", 0);
                clock.freeze();
            }
            Action::Thaw => {
                record("lets the clock go on", 0);
                clock.thaw();
                clock.set_rate(1_000);
            }
            Action::Close => {
                record("closes the pool", 0);
                pool.close();
            }
        }
    }

    fn retain(&self, one_in: u64) {
        let rejected = RefCell::new(Vec::new());
        let closed = self.pool.retain(|connection, _| {
            let keep = one_in == 0 || !connection.id().is_multiple_of(one_in);
            if !keep {
                rejected.borrow_mut().push(connection.id());
            }
            keep
        });
        let rejected = rejected.into_inner();
        assert_eq!(closed, rejected.len(), "retain tells how many it closed");
        self.world.record(OPERATOR, "rejects", closed as u64);
        self.world.give_up_all(rejected);
    }

    fn retain_and_panic(&self) {
        self.world.record(OPERATOR, "looks at the idle ones and panics", 0);
        let retained = catch_unwind(AssertUnwindSafe(|| {
            self.pool.retain(|_, _| panic!("a predicate panics, as planned"))
        }));
        let looked = retained.map_or(1, |closed| closed);
        self.world.record(OPERATOR, "rejects", looked as u64);
    }

    fn invalidate_all(&self) {
        let Self { world, pool, factory, .. } = self;
        // What was offered by then may still be claimed, and nobody knows what that is.
        let offered = settled(pool).gauges.offered;
        let live = factory.live();
        world.record(OPERATOR, "invalidates", live.len() as u64);
        pool.invalidate_all();
        if offered == 0 {
            world.give_up_all(live);
        }
    }

    fn warm_up(&self, n: u32) {
        self.world.record(OPERATOR, "warms up to", u64::from(n));
        let (world, warm_up) = (self.world.clone(), self.pool.warm_up(n));
        self.spawner.spawn_cancellable(async move {
            let made = warm_up.await.unwrap_or_else(|error| error.made);
            world.record(OPERATOR, "has warmed up by", u64::from(made));
        });
    }
}

fn record_ok(world: &World, name: &'static str, value: u32, ok: bool) {
    world.record(OPERATOR, if ok { name } else { "is refused a change to" }, u64::from(value));
}

use super::*;
use edgepool::Clock;
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

const SECOND: Duration = Duration::from_secs(1);

async fn sleep(clock: SimClock, duration: Duration) {
    clock.alarm(clock.now().saturating_add(duration)).await;
}

/// Polls itself `times` before it ends.
async fn yield_now(times: u32) {
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The order in which five tasks take turns.
fn order(seed: u64) -> Vec<usize> {
    let mut executor = Executor::new(&SimClock::new(), seed);
    let order = Rc::new(RefCell::new(Vec::new()));
    for n in 0..5 {
        let order = order.clone();
        executor.spawn(async move {
            for _ in 0..4 {
                order.borrow_mut().push(n);
                yield_now(1).await;
            }
        });
    }
    assert_eq!(executor.run(), Stopped::Done);
    order.take()
}

#[test]
fn the_seed_chooses_the_order_and_nothing_else_does() {
    assert_eq!(order(1), order(1));
    assert!((2..10).any(|seed| order(seed) != order(1)));
}

#[test]
fn time_jumps_from_alarm_to_alarm() {
    let clock = SimClock::new();
    let mut executor = Executor::new(&clock, 0);
    let naps = [3, 1, 2].map(|n| executor.spawn(sleep(clock.clone(), SECOND * n)));
    assert_eq!(executor.run_for(SECOND * 2), Stopped::TimeUp);
    assert_eq!(naps.each_ref().map(Task::is_done), [false, true, true]);
    assert_eq!(clock.elapsed(), SECOND * 2);
    assert_eq!((executor.run(), clock.elapsed()), (Stopped::Done, SECOND * 3));
}

#[test]
fn tells_when_all_wait_for_ever() {
    let clock = SimClock::new();
    let mut executor = Executor::new(&clock, 0);
    let task = executor.spawn(pending::<()>());
    assert_eq!(executor.run(), Stopped::Stuck);
    assert_eq!(executor.run_for(SECOND), Stopped::TimeUp);
    assert_eq!(clock.elapsed(), SECOND);
    assert!(executor.cancel(task.id()) && task.is_done() && task.take().is_none());
    assert!(!executor.cancel(task.id()));
    assert_eq!(executor.run(), Stopped::Done);
}

#[test]
fn a_livelock_is_a_panic_that_names_the_seed() {
    let mut executor = Executor::new(&SimClock::new(), 77);
    executor.set_step_limit(1000);
    executor.spawn(yield_now(u32::MAX));
    let panic = catch_unwind(AssertUnwindSafe(|| executor.run())).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("(seed 77)"));
}

#[test]
fn a_panicking_task_ends_and_the_others_go_on() {
    let mut executor = Executor::new(&SimClock::new(), 0);
    let bad = executor.spawn(async { panic!("a task panics") });
    let good = executor.spawn(yield_now(3));
    assert!(catch_unwind(AssertUnwindSafe(|| executor.run())).is_err());
    executor.run();
    assert!(bad.is_done() && good.take().is_some());
}

#[test]
fn only_the_waker_of_the_last_poll_wakes() {
    let wakers = Rc::new(RefCell::new(Vec::new()));
    let mut executor = Executor::new(&SimClock::new(), 0);
    let kept = wakers.clone();
    executor.spawn(poll_fn(move |cx| {
        kept.borrow_mut().push(cx.waker().clone());
        Poll::<()>::Pending
    }));
    let polls = |executor: &mut Executor| {
        executor.run();
        wakers.borrow().len()
    };
    assert_eq!(polls(&mut executor), 1);
    let first = wakers.borrow()[0].clone();
    first.wake_by_ref();
    assert_eq!(polls(&mut executor), 2);
    first.wake();
    assert_eq!(polls(&mut executor), 2);
    let second = wakers.borrow()[1].clone();
    second.wake();
    assert_eq!(polls(&mut executor), 3);
}

#[test]
fn spurious_polls_come_without_a_wake() {
    let clock = SimClock::new();
    let mut executor = Executor::new(&clock, 0);
    executor.set_faults(Faults { spurious_poll: 300, ..Faults::default() });
    let polls = Rc::new(Cell::new(0));
    let counted = polls.clone();
    executor.spawn(poll_fn(move |_| {
        counted.set(counted.get() + 1);
        Poll::<()>::Pending
    }));
    executor.spawn(yield_now(1000));
    executor.run_for(SECOND);
    assert!((100..400).contains(&polls.get()), "{}", polls.get());
}

#[test]
fn late_polls_come_within_their_bound() {
    let clock = SimClock::new();
    let mut executor = Executor::new(&clock, 0);
    executor.set_faults(Faults { late_poll: 1000, late_by: SECOND, ..Faults::default() });
    let nap = sleep(clock.clone(), SECOND);
    executor.spawn(nap);
    assert_eq!(executor.run_for(SECOND), Stopped::TimeUp);
    executor.set_faults(Faults::default());
    assert_eq!(executor.run(), Stopped::Done);
    assert!((SECOND..SECOND * 4).contains(&clock.elapsed()), "{clock:?}");
}

#[test]
fn only_tasks_that_may_be_cancelled_are() {
    let clock = SimClock::new();
    let mut executor = Executor::new(&clock, 3);
    executor.set_faults(Faults { cancel: 100, ..Faults::default() });
    let spawner = executor.spawner();
    let victims: Vec<_> = (0..5).map(|_| spawner.spawn_cancellable(pending::<()>())).collect();
    let safe = executor.spawn(yield_now(1000));
    executor.run();
    assert!(victims.iter().all(|task| task.is_done() && task.take().is_none()));
    assert!(safe.take().is_some());
}

#[test]
fn a_task_spawns_tasks_and_its_drop_may_too() {
    struct SpawnsOnDrop(Spawner, Rc<Cell<bool>>);
    impl Drop for SpawnsOnDrop {
        fn drop(&mut self) {
            let ran = self.1.clone();
            self.0.spawn(async move { ran.set(true) });
        }
    }
    let mut executor = Executor::new(&SimClock::new(), 0);
    let ran = Rc::new(Cell::new(false));
    let last_words = SpawnsOnDrop(executor.spawner(), ran.clone());
    let spawner = executor.spawner();
    let inner = executor.block_on(async move {
        spawner.spawn(async move {
            let _last_words = last_words;
            pending::<()>().await;
        })
    });
    executor.run_until_stalled();
    executor.cancel(inner.id());
    assert_eq!((executor.run(), ran.get()), (Stopped::Done, true));
}

#[test]
fn a_stalled_task_is_not_polled_even_for_nothing() {
    let clock = SimClock::new();
    let mut executor = Executor::new(&clock, 0);
    let polls = Rc::new(Cell::new(0));
    let counted = polls.clone();
    executor.set_faults(Faults { stall: 1000, stall_for: SECOND * 9_000, ..Faults::default() });
    executor.spawn(poll_fn(move |_| {
        counted.set(counted.get() + 1);
        Poll::<()>::Pending
    }));
    let step = executor.step();
    assert!(matches!(step, Some(Step::Stalled(_))), "{step:?}");
    executor.set_faults(Faults { spurious_poll: 1000, ..Faults::default() });
    let Some(until) = executor.stalled.values().next().copied() else { panic!("none is") };
    assert!(until > SECOND);
    executor.spawn(sleep(clock.clone(), SECOND));
    while clock.elapsed() < until {
        assert_eq!(polls.get(), 0);
        executor.step();
    }
    executor.set_faults(Faults::default());
    assert_eq!(executor.run(), Stopped::Stuck);
    assert_eq!((clock.elapsed(), polls.get()), (until, 1));
}

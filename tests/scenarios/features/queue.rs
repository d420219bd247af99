//! Who is served next, and those who need several.

use edgepool::{AcquireError, Priority};
use edgepool_sim::ByHand;
use edgepool_tests::{Setup, SimBuilder, Waiter, ms, secs};

#[test]
fn acquire_many_has_all_or_waits() {
    let setup = Setup::bare(|pool| pool.max(3));
    let lease = setup.lease();
    let mut many = ByHand::new(setup.pool.acquire_many(3));
    assert!(many.poll().is_none());
    let mut later = Waiter::queued(&setup.pool);
    assert_eq!(setup.gauges().offered, 2, "it gathers two, which nobody else has meanwhile");
    drop(lease);
    let leases = many.ready().unwrap();
    let mut ids: Vec<_> = leases.iter().map(|lease| lease.id()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
    assert!(later.poll().is_none());
    drop(leases);
    assert!(later.ready().is_ok());
    assert_eq!((setup.counters().waited, setup.counters().batched), (2, 2));
    drop((later, many));
    setup.assert_closes();
}

/// Twenty that need two or three of three each, and could hold some of them between: one after the
/// other has all that it needs.
#[test]
fn acquire_many_of_many_callers_ends() {
    let mut setup = Setup::bare(|pool| pool.max(3));
    let served: Vec<_> = (0..20)
        .map(|n| {
            let clock = setup.clock.clone();
            setup.spawn(|pool| async move {
                let leases = pool.acquire_many(2 + n % 2).await.unwrap();
                edgepool_tests::sleep(&clock, ms(1)).await;
                leases.len()
            })
        })
        .collect();
    assert_eq!(setup.executor.run(), edgepool_sim::Stopped::Done);
    assert!(served.iter().zip(0..).all(|(task, n)| task.take() == Some(2 + n % 2)));
    setup.assert_usable();
}

#[test]
fn acquire_many_that_is_dropped_gives_back_what_it_gathered() {
    let setup = Setup::bare(|pool| pool.max(2));
    let lease = setup.lease();
    let mut many = ByHand::new(setup.pool.acquire_many(2));
    assert!(many.poll().is_none());
    let mut next = Waiter::queued(&setup.pool);
    drop(many);
    assert!(next.ready().is_ok());
    drop(lease);
    drop(next);
    setup.assert_usable();
}

#[test]
fn acquire_many_of_none_or_more_than_max_is_refused() {
    let setup = Setup::bare(|pool| pool.max(2));
    for n in [0, 3, u16::MAX] {
        let error = ByHand::new(setup.pool.acquire_many(n)).ready().unwrap_err();
        assert_eq!(error, AcquireError::TooMany { max: 2 });
    }
    assert_eq!(setup.counters().refused, 3);
}

#[test]
fn acquire_many_has_a_priority_and_a_timeout() {
    let setup = Setup::bare(|pool| pool.max(2));
    let leases = setup.leases::<2>();
    let mut normal = Waiter::queued(&setup.pool);
    let mut urgent = ByHand::new(setup.pool.acquire_many(2).priority(Priority::Urgent));
    assert!(urgent.poll().is_none());
    let mut hasty = ByHand::new(setup.pool.acquire_many(2).timeout(ms(5)));
    assert!(hasty.poll().is_none());
    setup.clock.advance(ms(5));
    assert!(matches!(hasty.ready(), Err(AcquireError::TimedOut(_))));
    drop(leases);
    let both = urgent.ready().unwrap();
    assert!(normal.poll().is_none());
    drop(both);
    assert!(normal.ready().is_ok());
}

type Queued<'a> = Vec<(&'static str, Waiter<'a>)>;

/// The order in which the waiters are served, by one lease that goes from one to the next.
fn order_of(lease: edgepool_tests::SimLease, mut queued: Queued<'_>) -> Vec<&'static str> {
    let (mut lease, mut order) = (Some(lease), Vec::new());
    while !queued.is_empty() {
        drop(lease.take());
        let first = queued.iter_mut().position(|(_, waiter)| match waiter.poll() {
            Some(served) => {
                lease = Some(served.unwrap());
                true
            }
            None => false,
        });
        order.push(queued.remove(first.expect("one is served")).0);
    }
    order
}

#[test]
fn priorities_are_served_first() {
    let setup = Setup::bare(|pool| pool.max(1).ageing(None));
    let lease = setup.lease();
    let ask = |priority| Waiter::queued_as(setup.pool.acquire().priority(priority));
    let queued = vec![
        ("low", ask(Priority::Low)),
        ("normal", ask(Priority::Normal)),
        ("another normal", Waiter::queued(&setup.pool)),
        ("urgent", ask(Priority::Urgent)),
        ("high", ask(Priority::High)),
    ];
    let order = order_of(lease, queued);
    assert_eq!(order, ["urgent", "high", "normal", "another normal", "low"]);
}

/// A caller of the lowest class under a load of the highest one is passed only by those that come
/// within three steps of ageing after it.
#[test]
fn priority_ages() {
    let low_is_served_after = |set: fn(SimBuilder) -> SimBuilder| {
        let setup = Setup::bare(|pool| set(pool.max(1).acquire_timeout(None)));
        let mut lease = setup.lease();
        let mut low = Waiter::queued_as(setup.pool.acquire().priority(Priority::Low));
        let urgent = || Waiter::queued_as(setup.pool.acquire().priority(Priority::Urgent));
        let mut next = urgent();
        for second in 1..100 {
            setup.clock.advance(secs(1));
            let waiting = std::mem::replace(&mut next, urgent());
            drop(lease);
            if low.poll().is_some() {
                return Some(second);
            }
            lease = { waiting }.ready().unwrap();
        }
        None
    };
    // Those of seconds 0 to 14 are before it, and are served in seconds 1 to 15; in second 16 the
    // one of second 15, which came exactly three steps later, is not.
    assert_eq!(low_is_served_after(|pool| pool.ageing(secs(5))), Some(16));
    assert_eq!(low_is_served_after(|pool| pool.ageing(secs(1))), Some(4));
    assert_eq!(low_is_served_after(|pool| pool), Some(16), "five seconds are the default");
    assert_eq!(low_is_served_after(|pool| pool.ageing(None)), None);
}

#[test]
fn max_waiting_refuses_those_beyond_it() {
    let setup = Setup::bare(|pool| pool.max(1).max_waiting(2));
    let _lease = setup.lease();
    let _queued = [Waiter::queued(&setup.pool), Waiter::queued(&setup.pool)];
    let error = Waiter::new(&setup.pool).ready().unwrap_err();
    assert_eq!(error, AcquireError::QueueFull { max_waiting: 2 });
    let nobody = Setup::bare(|pool| pool.max(1).max_waiting(0));
    drop(nobody.lease());
    let lease = nobody.lease();
    assert!(matches!(Waiter::new(&nobody.pool).ready(), Err(AcquireError::QueueFull { .. })));
    drop(lease);
}

/// A caller that already has the only connection asks for another, as nested calls do: the error
/// names the holder and where it has it from.
#[test]
fn nested_acquire_is_diagnosed() {
    let setup = Setup::with(|pool| pool.max(1).acquire_timeout(secs(2)).capture_holders(true));
    let (_outer, line) = (setup.lease(), line!());
    setup.clock.advance(ms(500));
    let mut inner = Waiter::queued(&setup.pool);
    setup.clock.advance(secs(2));
    let error = inner.ready().unwrap_err();
    let AcquireError::TimedOut(told) = &error else { panic!("{error:?}") };
    let [holder] = &told.holders[..] else { panic!("{told:?}") };
    assert_eq!((holder.connection, holder.held), (1, ms(2_500)));
    assert_eq!(holder.at.map(|at| (at.file(), at.line())), Some((file!(), line)));
    let text = error.to_string();
    assert!(text.contains(&format!("connection 1 for 2.5s, acquired at {}:{line}", file!())));
}

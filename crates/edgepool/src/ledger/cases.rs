//! Cases that were decided wrongly once, each as short as the search of all states found it.

use std::time::Duration;

use super::*;

fn with(options: Options) -> Ledger {
    Ledger::new(options).expect("the options are in range")
}

fn ask(ledger: &mut Ledger, priority: Priority, need: u16) -> WaiterKey {
    match ledger.acquire(Ask { priority, need, ..Ask::until(Time::NEVER) }) {
        Ok(Acquired::Waiting(key)) => key,
        other => panic!("{other:?} instead of a wait"),
    }
}

/// Takes the effects, and lets every creation that they ask for give a connection.
fn create_all(ledger: &mut Ledger) {
    while let Some(effect) = ledger.poll_effect() {
        if let Effect::Create { slot } = effect {
            assert!(ledger.created(slot));
        }
    }
}

/// Lends `count` connections, one by one.
fn lend(ledger: &mut Ledger, count: usize) -> Vec<SlotKey> {
    let lend_one = |_| match ledger.acquire(Ask::until(Time::NEVER)) {
        Ok(Acquired::Leased(lease)) => lease,
        Ok(Acquired::Waiting(waiter)) => {
            create_all(ledger);
            claim(ledger, waiter)
        }
        Err(refused) => panic!("{refused:?}"),
    };
    (0..count).map(lend_one).collect()
}

fn claim(ledger: &mut Ledger, waiter: WaiterKey) -> SlotKey {
    match ledger.claim(waiter) {
        Claim::Leased(lease) => lease,
        other => panic!("{other:?} instead of a lease"),
    }
}

fn drain_effects(ledger: &mut Ledger) -> Vec<Effect> {
    std::iter::from_fn(|| ledger.poll_effect()).collect()
}

#[track_caller]
fn assert_sound(ledger: &Ledger) {
    ledger.check().unwrap_or_else(|violation| panic!("{violation}"));
}

const fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[test]
fn what_is_lent_below_min_idle_is_made_anew() {
    let mut ledger = with(Options { min_idle: 1, ..Options::new(2) });
    ledger.fill();
    create_all(&mut ledger);
    assert!(ledger.try_acquire().is_some());
    assert_eq!(ledger.gauges().creating, 1);
    assert_sound(&ledger);
}

#[test]
fn what_is_too_old_after_its_check_leaves_nobody_waiting_beside_a_free_place() {
    let options = Options { check_after: Some(Duration::ZERO), ..Options::new(2) };
    let mut ledger = with(options);
    let lease = lend(&mut ledger, 1)[0];
    assert!(ledger.release(lease));
    ask(&mut ledger, Priority::Normal, 1);
    let [Effect::Check { slot }] = drain_effects(&mut ledger)[..] else { panic!("no check") };
    ledger.invalidate_all();
    assert!(ledger.checked(slot, Verdict::Good));
    assert_eq!((ledger.gauges().closing, ledger.gauges().creating), (1, 1));
    assert_sound(&ledger);
}

#[test]
fn an_offer_that_is_given_up_is_not_lent_again_once_it_is_invalidated() {
    let mut ledger = with(Options::new(1));
    let waiter = ask(&mut ledger, Priority::Normal, 1);
    create_all(&mut ledger);
    ledger.invalidate_all();
    assert!(ledger.cancel(waiter));
    assert_eq!((ledger.gauges().idle, ledger.gauges().closing), (0, 1));
    assert_sound(&ledger);
}

#[test]
fn an_offer_that_is_given_up_is_surplus_once_the_pool_shrank() {
    let mut ledger = with(Options::new(2));
    let waiter = ask(&mut ledger, Priority::Normal, 2);
    create_all(&mut ledger);
    ledger.resize(1).unwrap();
    assert!(ledger.cancel(waiter));
    assert_eq!((ledger.gauges().idle, ledger.gauges().closing), (1, 1));
    assert_sound(&ledger);
}

#[test]
fn two_callers_that_need_two_never_hold_one_each() {
    let mut ledger = with(Options::new(2));
    let leases = lend(&mut ledger, 2);
    ask(&mut ledger, Priority::Normal, 2);
    assert!(ledger.release(leases[0]));
    let urgent = ask(&mut ledger, Priority::Urgent, 2);
    assert!(ledger.release(leases[1]));
    claim(&mut ledger, urgent);
    claim(&mut ledger, urgent);
    assert_sound(&ledger);
}

#[test]
fn a_missed_offer_of_more_than_there_may_be_ends_the_wait() {
    let mut ledger = with(Options { offer_timeout: Some(nanos(2)), ..Options::new(2) });
    let waiter = ask(&mut ledger, Priority::Normal, 2);
    create_all(&mut ledger);
    ledger.resize(1).unwrap();
    ledger.advance(Time::from_nanos(2));
    assert_eq!(ledger.claim(waiter), Claim::Ended(End::TooMany));
    assert_sound(&ledger);
}

#[test]
fn a_waiter_that_looks_for_itself_is_not_ended_for_offers_that_it_missed() {
    let mut ledger = with(Options { offer_timeout: Some(nanos(2)), ..Options::new(1) });
    let mut lease = lend(&mut ledger, 1)[0];
    let late = ask(&mut ledger, Priority::Normal, 1);
    for turn in 1..=5 {
        let prompt = ask(&mut ledger, Priority::Normal, 1);
        assert!(ledger.release(lease));
        ledger.advance(Time::from_nanos(2 * turn));
        assert_eq!(ledger.claim(late), Claim::Waiting);
        lease = claim(&mut ledger, prompt);
    }
    assert_eq!((ledger.counters().offers_missed, ledger.counters().missed), (5, 0));
    assert!(ledger.release(lease));
    claim(&mut ledger, late);
    assert_sound(&ledger);
}

#[test]
fn what_a_holder_takes_along_is_surplus_no_more() {
    let mut ledger = with(Options::new(2));
    let leases = lend(&mut ledger, 2);
    ledger.resize(1).unwrap();
    assert!(ledger.take(leases[0]));
    assert!(ledger.release(leases[1]));
    assert_eq!(ledger.gauges().idle, 1);
    assert_sound(&ledger);
}

/// A pool that keeps one connection, which is idle and about to be replaced for its age.
fn renewing() -> Ledger {
    let lifetime = Some(nanos(10));
    let options =
        Options { min_idle: 1, max_lifetime: lifetime, lifetime_jitter: 0, ..Options::new(2) };
    let mut ledger = with(options);
    ledger.fill();
    create_all(&mut ledger);
    ledger.advance(Time::from_nanos(9));
    assert_eq!((ledger.gauges().idle, ledger.gauges().creating), (1, 1));
    ledger
}

#[test]
fn what_is_about_to_be_replaced_can_be_offered() {
    let mut ledger = renewing();
    ask(&mut ledger, Priority::Normal, 2);
    assert_eq!(ledger.gauges().offered, 1);
    assert_sound(&ledger);
}

#[test]
fn what_is_about_to_be_replaced_can_be_looked_at() {
    let mut ledger = renewing();
    let key = ledger.look_at_idle().unwrap();
    assert_sound(&ledger);
    assert!(ledger.looked_at(key, true));
    create_all(&mut ledger);
    ledger.advance(Time::from_nanos(9));
    assert_eq!((ledger.gauges().idle, ledger.gauges().closing), (1, 1));
    assert_sound(&ledger);
}

#[test]
fn of_two_that_are_overdue_the_second_is_checked_after_the_first() {
    let interval = Some(nanos(3));
    let mut ledger = with(Options { check_interval: interval, ..Options::new(2) });
    let leases = lend(&mut ledger, 2);
    assert!(leases.into_iter().all(|lease| ledger.release(lease)));
    ledger.advance(Time::from_nanos(3));
    let [Effect::Check { slot }] = drain_effects(&mut ledger)[..] else { panic!("no check") };
    assert!(ledger.checked(slot, Verdict::Good));
    assert_eq!((ledger.gauges().idle, ledger.gauges().checking), (1, 1));
    assert_sound(&ledger);
}

#[test]
fn the_queue_of_a_paused_pool_is_bounded_though_there_is_room() {
    let mut ledger = with(Options { max_waiting: 1, ..Options::new(2) });
    ledger.pause();
    ask(&mut ledger, Priority::Normal, 1);
    let refused = ledger.acquire(Ask::until(Time::NEVER));
    assert_eq!(refused, Err(Refused::QueueFull));
    ledger.resume();
    ask(&mut ledger, Priority::Normal, 1);
}

/// A return that may begin a closing needs the time for it; one that cannot does not.
#[test]
fn a_closing_that_a_release_begins_has_all_its_time() {
    let closing = Options { close_timeout: Some(nanos(5)), ..Options::new(1) };
    assert!(with(Options { max_uses: Some(1), ..closing }).needs_clock());
    let mut ledger = with(closing);
    let lease = lend(&mut ledger, 1)[0];
    assert!(!ledger.needs_clock());
    ledger.invalidate_all();
    assert!(ledger.needs_clock());
    ledger.advance(Time::from_nanos(100));
    assert!(ledger.release(lease));
    ledger.advance(Time::from_nanos(200));
    assert_eq!(ledger.gauges().closing, 1, "its time begins as the shell begins it");
    assert!(matches!(ledger.poll_effect(), Some(Effect::Close { .. })));
    assert_eq!(ledger.next_deadline(), Some(Time::from_nanos(205)));
}

#[test]
fn an_offer_of_two_is_limited_also_when_one_of_them_was_claimed() {
    let mut ledger = with(Options { offer_timeout: Some(nanos(2)), ..Options::new(2) });
    let waiter = ask(&mut ledger, Priority::Normal, 2);
    create_all(&mut ledger);
    claim(&mut ledger, waiter);
    let other = ask(&mut ledger, Priority::Normal, 1);
    ledger.advance(Time::from_nanos(2));
    claim(&mut ledger, other);
    assert_sound(&ledger);
}

#[test]
fn an_adopted_lease_is_told_of_when_it_is_held_for_long() {
    let mut ledger = with(Options { long_hold: Some(nanos(2)), ..Options::new(1) });
    let slot = ledger.adopt().unwrap();
    ledger.advance(Time::from_nanos(2));
    assert_eq!(drain_effects(&mut ledger), [Effect::LongHold { slot }]);
}

#[test]
fn a_caller_that_is_refused_does_not_start_the_pool_by_half() {
    let mut ledger = with(Options { min_idle: 1, ..Options::new(1) });
    let refused = ledger.acquire(Ask { need: 2, ..Ask::until(Time::NEVER) });
    assert_eq!(refused, Err(Refused::TooMany));
    assert_sound(&ledger);
}

#[test]
fn a_check_that_is_answered_as_a_look_is_over() {
    let interval = Some(nanos(3));
    let mut ledger = with(Options { check_interval: interval, ..Options::new(1) });
    let lease = lend(&mut ledger, 1)[0];
    assert!(ledger.release(lease));
    ledger.advance(Time::from_nanos(3));
    let [Effect::Check { slot }] = drain_effects(&mut ledger)[..] else { panic!("no check") };
    assert!(ledger.looked_at(slot, true));
    assert_sound(&ledger);
}

#[test]
fn a_pool_that_shrinks_gives_up_the_latest_creation() {
    let mut ledger = with(Options::new(2));
    let first = ask(&mut ledger, Priority::Normal, 1);
    create_all(&mut ledger);
    let lease = claim(&mut ledger, first);
    ask(&mut ledger, Priority::Normal, 1);
    let [Effect::Create { slot: older }] = drain_effects(&mut ledger)[..] else { panic!("none") };
    assert!(ledger.take(lease));
    ask(&mut ledger, Priority::Normal, 1);
    ledger.resize(1).unwrap();
    assert!(ledger.created(older));
}

#[test]
fn an_offer_that_is_to_be_checked_before_the_next_holds_nobody_up_beside_an_idle_one() {
    let check_after = Some(nanos(2));
    let options = Options { min_idle: 1, check_after, ..Options::new(2) };
    let mut ledger = with(Options { offer_timeout: Some(nanos(2)), ..options });
    ask(&mut ledger, Priority::Normal, 1);
    let [Effect::Create { slot: one }, Effect::Create { slot: two }] =
        drain_effects(&mut ledger)[..]
    else {
        panic!("not two")
    };
    assert!(ledger.created(one));
    ledger.advance(Time::from_nanos(1));
    assert!(ledger.created(two));
    ledger.advance(Time::from_nanos(2));
    assert_eq!((ledger.gauges().checking, ledger.gauges().offered), (1, 1));
    assert_sound(&ledger);
}

#[test]
fn what_min_idle_began_to_keep_while_it_was_lent_is_replaced_in_time() {
    let lifetime = Some(nanos(10));
    let options = Options { max_lifetime: lifetime, lifetime_jitter: 0, ..Options::new(2) };
    let mut ledger = with(options);
    let lease = lend(&mut ledger, 1)[0];
    assert!(ledger.release(lease));
    let lease = ledger.try_acquire().unwrap();
    ledger.set_min_idle(1).unwrap();
    assert!(ledger.release(lease));
    assert_eq!(ledger.next_deadline(), Some(Time::from_nanos(9)));
    assert_sound(&ledger);
}

#[test]
fn who_waits_for_a_check_has_the_idle_one_that_comes_to_be_next() {
    let check_after = Some(nanos(5));
    let mut ledger = with(Options { check_after, reuse: Reuse::Fifo, ..Options::new(3) });
    let leases = lend(&mut ledger, 3);
    assert!(ledger.release(leases[0]) && ledger.release(leases[1]));
    ledger.advance(Time::from_nanos(4));
    assert!(ledger.release(leases[2]));
    ledger.advance(Time::from_nanos(5));
    let waiter = ask(&mut ledger, Priority::Normal, 1);
    assert_eq!((ledger.gauges().checking, ledger.gauges().idle), (1, 2));
    assert!(ledger.look_at_idle().is_some());
    claim(&mut ledger, waiter);
    assert_sound(&ledger);
}

/// An effect that was not taken yet may be about a place that another one has by now.
#[test]
fn a_place_whose_creation_was_given_up_unbegun_is_anothers() {
    let mut ledger = with(Options { lease_ttl: Some(nanos(5)), ..Options::new(2) });
    assert!(ledger.prepare().is_some() && ledger.prepare().is_some());
    ledger.resize(1).unwrap();
    ledger.resize(2).unwrap();
    let lease = ledger.adopt().unwrap();
    ledger.check().unwrap();
    assert_eq!(ledger.next_deadline(), Some(Time::from_nanos(5)));
    while ledger.poll_effect().is_some() {}
    ledger.check().unwrap();
    assert!(ledger.release(lease));
}

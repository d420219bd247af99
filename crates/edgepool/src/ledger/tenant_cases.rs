//! What tenants may rely on, case by case.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::*;

/// A pool of so many connections, all idle.
fn filled(max: u32, options: impl FnOnce(Options) -> Options) -> Ledger {
    let mut ledger = Ledger::new(options(Options::new(max))).unwrap();
    let slots: Vec<SlotKey> = (0..max).map(|_| ledger.adopt().unwrap()).collect();
    slots.into_iter().for_each(|slot| assert!(ledger.release(slot)));
    ledger
}

fn ask(tenant: TenantKey) -> Ask {
    Ask { tenant: Some(tenant), ..Ask::until(Time::NEVER) }
}

fn lease(ledger: &mut Ledger, tenant: TenantKey) -> SlotKey {
    match ledger.acquire(ask(tenant)) {
        Ok(Acquired::Leased(slot)) => slot,
        other => panic!("{other:?}"),
    }
}

fn wait(ledger: &mut Ledger, ask: Ask) -> WaiterKey {
    match ledger.acquire(ask) {
        Ok(Acquired::Waiting(waiter)) => waiter,
        other => panic!("{other:?}"),
    }
}

/// Takes the effects out, and tells who was offered something.
fn offered(ledger: &mut Ledger) -> Vec<WaiterKey> {
    ledger.check().unwrap();
    let mut offered = Vec::new();
    while let Some(effect) = ledger.poll_effect() {
        if let Effect::Offer { waiter, .. } = effect {
            offered.push(waiter);
        }
    }
    offered
}

/// Serves everybody with the one connection of a pool, and tells in which order.
fn serve_all(ledger: &mut Ledger, mut held: SlotKey) -> Vec<WaiterKey> {
    let mut served = Vec::new();
    loop {
        assert!(ledger.release(held));
        let now = offered(ledger);
        let [waiter] = now[..] else { return served };
        let Claim::Leased(slot) = ledger.claim(waiter) else { panic!("it was offered one") };
        served.push(waiter);
        held = slot;
    }
}

#[test]
fn tenants_are_served_in_turn_by_their_weights() {
    let mut ledger = filled(1, |options| options);
    let heavy = ledger.open_tenant(Share::new().weight(3)).unwrap();
    let light = ledger.open_tenant(Share::new()).unwrap();
    let held = lease(&mut ledger, heavy);
    let heavy: Vec<_> = (0..8).map(|_| wait(&mut ledger, ask(heavy))).collect();
    let light: Vec<_> = (0..2).map(|_| wait(&mut ledger, ask(light))).collect();
    // The light one is due half a turn after it came, and then every turn: amid three of the others.
    let order = [&heavy[..2], &light[..1], &heavy[2..5], &light[1..], &heavy[5..]].concat();
    assert_eq!(serve_all(&mut ledger, held), order);
}

#[test]
fn callers_without_a_tenant_are_served_as_one_tenant() {
    let mut ledger = filled(1, |options| options);
    let tenant = ledger.open_tenant(Share::new()).unwrap();
    let held = ledger.try_acquire().unwrap();
    let nobodys: Vec<_> = (0..3).map(|_| wait(&mut ledger, Ask::until(Time::NEVER))).collect();
    let own = wait(&mut ledger, ask(tenant));
    assert_eq!(serve_all(&mut ledger, held), [nobodys[0], own, nobodys[1], nobodys[2]]);
}

#[test]
fn a_caller_that_needs_several_costs_its_tenant_as_many_turns() {
    let mut ledger = filled(3, |options| options);
    let one = ledger.open_tenant(Share::new()).unwrap();
    let other = ledger.open_tenant(Share::new()).unwrap();
    let held: Vec<_> = (0..3).map(|_| ledger.try_acquire().unwrap()).collect();
    let three = wait(&mut ledger, Ask { need: 3, ..ask(one) });
    let after = wait(&mut ledger, ask(one));
    let others: Vec<_> = (0..4).map(|_| wait(&mut ledger, ask(other))).collect();
    held.into_iter().for_each(|slot| assert!(ledger.release(slot)));
    assert_eq!(offered(&mut ledger), [three]);
    let leases: Vec<_> = (0..3)
        .map(|_| match ledger.claim(three) {
            Claim::Leased(slot) => slot,
            other => panic!("{other:?}"),
        })
        .collect();
    // It had one turn and took three, so the other has three before it is its turn again.
    let mut served = Vec::new();
    for slot in leases {
        assert!(ledger.release(slot));
        served.extend(offered(&mut ledger));
    }
    assert_eq!(served, others[..3]);
    let Claim::Leased(slot) = ledger.claim(others[0]) else { panic!("it was offered one") };
    assert!(ledger.release(slot));
    assert_eq!(offered(&mut ledger), [after]);
}

#[test]
fn a_tenant_at_its_cap_stands_in_nobodys_way() {
    let mut ledger = filled(3, |options| options);
    let capped = ledger.open_tenant(Share::new().max(1)).unwrap();
    let other = ledger.open_tenant(Share::new()).unwrap();
    let first = lease(&mut ledger, capped);
    let second = wait(&mut ledger, ask(capped));
    assert_eq!(ledger.gauges().idle, 2);
    assert_eq!(ledger.try_acquire_for(capped), None);
    let others = [lease(&mut ledger, other), ledger.try_acquire().unwrap()];
    assert_eq!(offered(&mut ledger), []);
    // One that comes back is not for it, but its own is.
    assert!(ledger.release(others[0]));
    assert_eq!(offered(&mut ledger), []);
    assert!(ledger.discard(first));
    assert_eq!(offered(&mut ledger), [second]);
    assert_eq!(ledger.tenant(capped).unwrap().in_use, 1);
}

/// Two tenants that always wait share four connections, of which one may have two at most: what is
/// served follows their weights all the same, as far as the cap lets it.
#[test]
fn a_cap_takes_nothing_from_a_weight() {
    for (weight, of_other, share) in
        [(1, 1, 2000), (10, 10, 2000), (1000, 1000, 2000), (1, 3, 1000)]
    {
        let mut ledger = filled(4, |options| options);
        let capped = ledger.open_tenant(Share::new().weight(weight).max(2)).unwrap();
        let other = ledger.open_tenant(Share::new().weight(of_other)).unwrap();
        let mut held: VecDeque<_> = (0..4).map(|_| (None, ledger.try_acquire().unwrap())).collect();
        let mut waiting: Vec<_> = [capped, other]
            .into_iter()
            .flat_map(|tenant| [tenant; 8])
            .map(|tenant| (wait(&mut ledger, ask(tenant)), tenant))
            .collect();
        for _ in 0..4_004 {
            let (tenant, slot) = held.pop_front().unwrap();
            assert!(ledger.release(slot));
            if let Some(tenant) = tenant {
                waiting.push((wait(&mut ledger, ask(tenant)), tenant));
            }
            for waiter in offered(&mut ledger) {
                let Claim::Leased(slot) = ledger.claim(waiter) else {
                    panic!("it was offered one")
                };
                let at = waiting.iter().position(|(key, _)| *key == waiter).unwrap();
                held.push_back((Some(waiting.swap_remove(at).1), slot));
            }
        }
        let acquired = ledger.tenant(capped).unwrap().acquired;
        assert!(acquired.abs_diff(share) < 20, "{weight} to {of_other}: {acquired} of 4,000");
    }
}

#[test]
fn what_one_took_while_nobody_waited_is_not_held_against_it() {
    let mut ledger = filled(10, |options| options);
    let one = ledger.open_tenant(Share::new()).unwrap();
    let other = ledger.open_tenant(Share::new()).unwrap();
    let held = ledger.try_acquire().unwrap();
    let many = wait(&mut ledger, Ask { need: 10, ..ask(one) });
    assert!(ledger.release(held));
    assert_eq!(offered(&mut ledger), [many]);
    let mut leases: Vec<_> = (0..10)
        .map(|_| match ledger.claim(many) {
            Claim::Leased(slot) => slot,
            other => panic!("{other:?}"),
        })
        .collect();
    let others: Vec<_> = (0..3).map(|_| wait(&mut ledger, ask(other))).collect();
    let own = wait(&mut ledger, ask(one));
    let mut order = Vec::new();
    while order.len() < 4 {
        assert!(ledger.release(leases.pop().unwrap()));
        order.extend(offered(&mut ledger));
    }
    assert_eq!(order, [others[0], own, others[1], others[2]]);
}

/// A light tenant that comes beside a loud one is next.
#[test]
fn who_comes_to_an_empty_line_is_due_soon() {
    let mut ledger = filled(1, |options| options);
    let loud = ledger.open_tenant(Share::new()).unwrap();
    let light = ledger.open_tenant(Share::new()).unwrap();
    let mut held = ledger.try_acquire().unwrap();
    let loud: Vec<_> = (0..5).map(|_| wait(&mut ledger, ask(loud))).collect();
    for waiter in &loud[..2] {
        assert!(ledger.release(held));
        assert_eq!(offered(&mut ledger), [*waiter]);
        let Claim::Leased(slot) = ledger.claim(*waiter) else { panic!("it was offered one") };
        held = slot;
    }
    let light = wait(&mut ledger, ask(light));
    assert!(ledger.release(held));
    assert_eq!(offered(&mut ledger), [light]);
}

/// However many tenants come one after the other, one that waits is not passed by all of them.
#[test]
fn tenants_without_end_do_not_keep_an_old_one_waiting() {
    let mut ledger = filled(1, |options| options);
    let old = ledger.open_tenant(Share::new()).unwrap();
    let mut held = ledger.try_acquire().unwrap();
    let first = wait(&mut ledger, ask(old));
    let second = wait(&mut ledger, ask(old));
    let mut order = Vec::new();
    for _ in 0..20 {
        // Two come for each that is served.
        for _ in 0..2 {
            let new = ledger.open_tenant(Share::new()).unwrap();
            wait(&mut ledger, ask(new));
        }
        assert!(ledger.release(held));
        let [waiter] = offered(&mut ledger)[..] else { panic!("one is served") };
        let Claim::Leased(slot) = ledger.claim(waiter) else { panic!("it was offered one") };
        held = slot;
        order.push(waiter);
    }
    let place = |waiter| order.iter().position(|other| *other == waiter);
    assert_eq!(place(first), Some(0));
    // Those are served before it that came until half a turn had passed, each once.
    assert!(place(second).is_some_and(|place| place <= 9), "{:?}", place(second));
}

#[test]
fn a_queue_is_bounded_for_those_for_whom_nothing_is_made() {
    let mut ledger = Ledger::new(Options { max_waiting: 5, ..Options::new(10) }).unwrap();
    let capped = ledger.open_tenant(Share::new().max(1)).unwrap();
    for _ in 0..6 {
        wait(&mut ledger, ask(capped));
    }
    assert_eq!(ledger.acquire(ask(capped)), Err(Refused::QueueFull));
    ledger.check().unwrap();
    let mut ledger = Ledger::new(Options::new(10)).unwrap();
    let narrow = ledger.open_tenant(Share::new().max(2).max_waiting(1)).unwrap();
    for _ in 0..3 {
        wait(&mut ledger, ask(narrow));
    }
    assert_eq!(ledger.acquire(ask(narrow)), Err(Refused::TenantQueueFull));
    ledger.check().unwrap();
}

#[test]
fn one_that_needs_several_has_them_only_within_its_cap() {
    let mut ledger = filled(4, |options| options);
    let capped = ledger.open_tenant(Share::new().max(2)).unwrap();
    let refused = ledger.acquire(Ask { need: 3, ..ask(capped) });
    assert_eq!(refused, Err(Refused::TooMany));
    let held = lease(&mut ledger, capped);
    let two = wait(&mut ledger, Ask { need: 2, ..ask(capped) });
    // It gathers nothing that others could have, as long as it cannot have both.
    assert_eq!((offered(&mut ledger), ledger.gauges().offered), (Vec::new(), 0));
    let behind = wait(&mut ledger, ask(capped));
    assert!(ledger.release(held));
    assert_eq!(offered(&mut ledger), [two]);
    assert!(ledger.cancel(two));
    assert_eq!(offered(&mut ledger), [behind]);
}

#[test]
fn nothing_is_made_for_who_may_have_no_more() {
    let mut ledger = Ledger::new(Options::new(8)).unwrap();
    let capped = ledger.open_tenant(Share::new().max(2)).unwrap();
    for _ in 0..5 {
        wait(&mut ledger, ask(capped));
    }
    ledger.check().unwrap();
    assert_eq!(ledger.gauges().creating, 2);
    ledger.set_share(capped, Share::new().max(4)).unwrap();
    ledger.check().unwrap();
    assert_eq!(ledger.gauges().creating, 4);
}

#[test]
fn a_missed_offer_is_its_tenants_turn() {
    let timeout = Some(Duration::from_millis(1));
    let mut ledger = filled(1, |options| Options { offer_timeout: timeout, ..options });
    let dead = ledger.open_tenant(Share::new()).unwrap();
    let alive = ledger.open_tenant(Share::new()).unwrap();
    let held = ledger.try_acquire().unwrap();
    let dead: Vec<_> = (0..5).map(|_| wait(&mut ledger, ask(dead))).collect();
    let alive = wait(&mut ledger, ask(alive));
    assert!(ledger.release(held));
    assert_eq!(offered(&mut ledger), [dead[0]]);
    ledger.advance(Time::from_nanos(1_000_000));
    assert_eq!(offered(&mut ledger), [alive]);
    let Claim::Leased(slot) = ledger.claim(alive) else { panic!("it was offered one") };
    // It kept its place in the line of its tenant.
    assert!(ledger.release(slot));
    assert_eq!(offered(&mut ledger), [dead[0]]);
}

#[test]
fn a_lease_that_ran_out_is_its_tenants_until_it_is_closed() {
    let ttl = Some(Duration::from_millis(1));
    let mut ledger = filled(2, |options| Options { lease_ttl: ttl, ..options });
    let capped = ledger.open_tenant(Share::new().max(1)).unwrap();
    lease(&mut ledger, capped);
    let waiter = wait(&mut ledger, ask(capped));
    ledger.advance(Time::from_nanos(1_000_000));
    ledger.check().unwrap();
    let Some(Effect::Close { slot, .. }) = ledger.poll_effect() else { panic!("it ran out") };
    assert_eq!(ledger.tenant(capped).unwrap().in_use, 1);
    assert!(ledger.closed(slot));
    assert_eq!(offered(&mut ledger), [waiter]);
}

#[test]
fn a_full_queue_takes_who_has_less_than_its_share_of_it() {
    let mut ledger = filled(1, |options| Options { max_waiting: 10, ..options });
    let noisy = ledger.open_tenant(Share::new()).unwrap();
    let quiet = ledger.open_tenant(Share::new()).unwrap();
    lease(&mut ledger, noisy);
    for _ in 0..10 {
        wait(&mut ledger, ask(noisy));
    }
    assert_eq!(ledger.acquire(ask(noisy)), Err(Refused::QueueFull));
    for _ in 0..5 {
        wait(&mut ledger, ask(quiet));
    }
    assert_eq!(ledger.acquire(ask(quiet)), Err(Refused::QueueFull));
    // There is an end to it, however many tenants come.
    let mut tenants = 0;
    while ledger.gauges().waiting < 20 {
        let another = ledger.open_tenant(Share::new().weight(1_000)).unwrap();
        wait(&mut ledger, ask(another));
        tenants += 1;
    }
    let another = ledger.open_tenant(Share::new().weight(1_000)).unwrap();
    assert_eq!(ledger.acquire(ask(another)), Err(Refused::QueueFull));
    assert_eq!(tenants, 5);
    ledger.check().unwrap();
}

#[test]
fn a_tenants_own_queue_is_bounded() {
    let mut ledger = Ledger::new(Options::new(4)).unwrap();
    let tenant = ledger.open_tenant(Share::new().max(2).max_waiting(1)).unwrap();
    // One is to be made for each of two, and a third may wait.
    let waiters: Vec<_> = (0..2).map(|_| wait(&mut ledger, ask(tenant))).collect();
    assert_eq!(ledger.gauges().creating, 2);
    while let Some(Effect::Create { slot }) = ledger.poll_effect() {
        assert!(ledger.created(slot));
    }
    assert_eq!(offered(&mut ledger), waiters[1..]);
    wait(&mut ledger, ask(tenant));
    assert_eq!(ledger.acquire(ask(tenant)), Err(Refused::TenantQueueFull));
    assert_eq!(ledger.tenant(tenant).unwrap().refused, 1);
}

#[test]
fn the_waits_of_a_tenant_end_and_its_leases_stay() {
    let mut ledger = filled(2, |options| options);
    let tenant = ledger.open_tenant(Share::new()).unwrap();
    let other = ledger.open_tenant(Share::new()).unwrap();
    let held = [lease(&mut ledger, tenant), lease(&mut ledger, other)];
    let queued = [wait(&mut ledger, ask(tenant)), wait(&mut ledger, ask(tenant))];
    let others = wait(&mut ledger, ask(other));
    assert!(ledger.release(held[1]));
    // The first was offered what came back: it passes on.
    assert_eq!(offered(&mut ledger), queued[..1]);
    assert_eq!(ledger.end_waits(tenant), Some(2));
    assert_eq!(offered(&mut ledger), [others]);
    assert_eq!(ledger.claim(queued[0]), Claim::Ended(End::Removed));
    assert_eq!(ledger.claim(queued[1]), Claim::Ended(End::Removed));
    let told = ledger.tenant(tenant).unwrap();
    assert_eq!((told.in_use, told.waiting, told.ended), (1, 0, 2));
    assert!(ledger.release(held[0]));
    assert_eq!(ledger.tenant(tenant).unwrap().released, 1);
}

#[test]
fn a_closed_tenant_goes_with_its_last_lease() {
    let mut ledger = filled(1, |options| options);
    let tenant = ledger.open_tenant(Share::new()).unwrap();
    let held = lease(&mut ledger, tenant);
    let waiter = wait(&mut ledger, ask(tenant));
    assert!(ledger.close_tenant(tenant));
    assert!(!ledger.close_tenant(tenant));
    assert_eq!(ledger.acquire(ask(tenant)), Err(Refused::UnknownTenant));
    assert_eq!(ledger.tenants(), 1);
    assert_eq!(serve_all(&mut ledger, held), [waiter]);
    assert_eq!(ledger.tenants(), 0);
    ledger.check().unwrap();
}

#[test]
fn a_smaller_cap_ends_those_who_need_more() {
    let mut ledger = filled(3, |options| options);
    let tenant = ledger.open_tenant(Share::new()).unwrap();
    let held: Vec<_> = (0..3).map(|_| lease(&mut ledger, tenant)).collect();
    let waiter = wait(&mut ledger, Ask { need: 3, ..ask(tenant) });
    let other = wait(&mut ledger, Ask::until(Time::NEVER));
    assert!(ledger.release(held[0]));
    assert_eq!(offered(&mut ledger), []);
    // What it had gathered goes to the other.
    assert_eq!(ledger.set_share(tenant, Share::new().max(2)), Ok(true));
    assert_eq!(offered(&mut ledger), [other]);
    assert_eq!(ledger.claim(waiter), Claim::Ended(End::TooMany));
    assert_eq!(
        ledger.open_tenant(Share::new().weight(0)),
        Err(OptionsError::WeightOutOfRange { weight: 0 })
    );
    let none = ledger.set_share(tenant, Share::new().max(0));
    assert_eq!(none, Err(OptionsError::CountIsZero("a tenant's max")));
    assert_eq!(ledger.tenant(tenant).unwrap().share.max, Some(2));
}

#[test]
fn a_pool_closes_those_at_their_cap_too() {
    let mut ledger = filled(2, |options| options);
    let tenant = ledger.open_tenant(Share::new().max(1)).unwrap();
    lease(&mut ledger, tenant);
    let waiter = wait(&mut ledger, ask(tenant));
    ledger.close();
    ledger.check().unwrap();
    assert_eq!(ledger.claim(waiter), Claim::Ended(End::Closed));
}

#[test]
fn ten_thousand_tenants_leave_no_memory_behind() {
    let mut ledger = filled(1, |options| options);
    let tenants: Vec<_> = (0..10_000).map(|_| ledger.open_tenant(Share::new()).unwrap()).collect();
    assert!(ledger.queue.tenants.capacity() >= 10_000);
    tenants.into_iter().for_each(|tenant| assert!(ledger.close_tenant(tenant)));
    assert!(ledger.queue.tenants.capacity() < 10, "{}", ledger.queue.tenants.capacity());
    assert_eq!(ledger.tenants(), 0);
}

//! Bad ids, unknown tenants, options that contradict each other, and factories that misbehave.

use std::sync::Mutex;
use std::time::Duration;

use edgepool::ledger::OptionsError;
use edgepool::tenants::{
    BuildError, Entry, Strategy, TenantConfig, TenantError, TenantId, TenantIdError, TenantPools,
    Unknown,
};
use edgepool::{PoolState, Share};
use edgepool_sim::{ByHand, SimClock};
use edgepool_tests::{secs, settle};

use super::{Bank, BankBuilder, World, per_tenant, shared};

#[test]
fn bad_ids_are_named_and_leave_nothing_behind() {
    let world = World::new(per_tenant(2, 1), |it| it);
    let long = "x".repeat(10_000);
    let cases = [
        ("", None),
        ("acme'", Some((4, '\''))),
        ("a\"b", Some((1, '"'))),
        ("a\0b", Some((1, '\0'))),
        ("x; drop table tenants", Some((1, ';'))),
        ("' or '1'='1", Some((0, '\''))),
        ("../../etc/passwd", Some((0, '.'))),
        ("a/b", Some((1, '/'))),
        ("a b", Some((1, ' '))),
        ("a\nb", Some((1, '\n'))),
        ("-rf", Some((0, '-'))),
        ("_x", Some((0, '_'))),
        // A Cyrillic letter, a zero-width joiner, an override of the direction, a full-width letter.
        ("\u{430}cme", Some((0, '\u{430}'))),
        ("ac\u{200d}me", Some((2, '\u{200d}'))),
        ("ac\u{202e}me", Some((2, '\u{202e}'))),
        ("\u{ff41}cme", Some((0, '\u{ff41}'))),
        ("%61cme", Some((0, '%'))),
        (long.as_str(), None),
    ];
    for (name, bad) in cases {
        let error = settle(&mut world.ask(name)).unwrap_err();
        let TenantError::Id(error) = error else { panic!("{error}") };
        let text = error.to_string();
        assert!(text.len() < 250 && text.is_ascii() && !text.contains(['\0', '\n']), "{text:?}");
        match (&error, bad) {
            (TenantIdError::Character { at, found, .. }, Some(bad)) => {
                assert_eq!((*at, *found), bad)
            }
            (TenantIdError::Empty, None) => assert!(name.is_empty()),
            (TenantIdError::TooLong { bytes, .. }, None) => assert_eq!(*bytes, 10_000),
            _ => panic!("{error:?} for {name:?}"),
        }
        assert_eq!((world.pools.state(name), world.pools.stats(name)), (None, None));
        assert!(!settle(&mut ByHand::new(world.pools.remove(name))));
    }
    assert_eq!(world.pools.totals().tenants, 0);
    for name in ["a", "7", "A-b_c.d", &"x".repeat(56)] {
        drop(world.lease(name));
    }
    world.assert_closes();
}

/// PostgreSQL would cut both names off after 63 bytes, and take them for one.
#[test]
fn ids_that_would_share_a_name_are_refused() {
    let (first, second) = (format!("{}1", "x".repeat(60)), format!("{}2", "x".repeat(60)));
    let config = TenantConfig::new().schema("first");
    let world =
        World::new(per_tenant(2, 1), |it| it.tenant(TenantId::new(&first).unwrap(), config));
    drop(world.lease(&first));
    assert_eq!(world.pools.entry(&first).unwrap().schema(), Some("first"));
    let error = settle(&mut world.ask(&second)).unwrap_err();
    assert_eq!(error, TenantError::NameTooLong(TenantId::new(&second).unwrap()));
    world.assert_closes();
}

#[test]
fn unknown_tenants_are_refused_where_they_are_to_be() {
    let known = TenantId::new("acme").unwrap();
    let world = World::new(per_tenant(2, 1), |it| {
        let config = TenantConfig::new().schema("main").database("db");
        it.unknown(Unknown::Refuse).tenant(known.clone(), config)
    });
    assert_eq!(world.pools.state("acme"), Some(PoolState::Closed));
    let error = settle(&mut world.ask("other")).unwrap_err();
    assert_eq!(error, TenantError::Unknown(TenantId::new("other").unwrap()));
    assert_eq!(world.bank.asked("other"), 0);
    let lease = world.lease("acme");
    assert_eq!((lease.tenant().schema(), lease.tenant().database()), (Some("main"), Some("db")));
    drop(lease);
    assert!(settle(&mut ByHand::new(world.pools.remove("acme"))));
    assert_eq!(settle(&mut world.ask("acme")).unwrap_err(), TenantError::Unknown(known));
    world.assert_closes();
}

fn build(strategy: Strategy, set: impl FnOnce(BankBuilder) -> BankBuilder) -> Option<BuildError> {
    let clock = SimClock::new();
    let builder = TenantPools::builder(Bank::new(&clock), clock).strategy(strategy);
    set(builder).build().err()
}

#[test]
fn options_that_contradict_each_other_are_named() {
    let zero = |name| Some(BuildError::Options(OptionsError::CountIsZero(name)));
    assert_eq!(build(per_tenant(0, 1), |it| it), zero("max_pools"));
    assert_eq!(build(per_tenant(1, 0), |it| it), zero("pool_size"));
    assert_eq!(build(shared(0), |it| it), zero("size"));
    let databases = Strategy::PerDatabase { max_databases: 0, pool_size: 1 };
    assert_eq!(build(databases, |it| it), zero("max_databases"));
    let over = |what, is, bound, most| Some(BuildError::Over { what, is, bound, most });
    let budget = build(per_tenant(2, 5), |it| it.budget(3));
    assert_eq!(budget, over("pool_size", 5, "the budget", 3));
    assert_eq!(build(per_tenant(2, 5), |it| it.budget(0)), zero("budget"));
    assert_eq!(build(per_tenant(2, 5), |it| it.parallel_warm_ups(0)), zero("parallel_warm_ups"));
    assert_eq!(build(shared(5), |it| it.budget(5)), Some(BuildError::BudgetOfOnePool));
    assert_eq!(build(per_tenant(2, 5), |it| it.warm_up(6)), over("warm_up", 6, "pool_size", 5));
    let min_idle = build(per_tenant(2, 5), |it| it.pool(|pool| pool.min_idle(6)));
    assert_eq!(min_idle, over("min_idle", 6, "pool_size", 5));
    let max = build(per_tenant(2, 5), |it| it.pool(|pool| pool.max(7)));
    assert_eq!(max, Some(BuildError::MaxIsTheStrategys));
    let idle = build(per_tenant(2, 5), |it| it.idle_timeout(Duration::ZERO));
    assert_eq!(idle, Some(BuildError::Options(OptionsError::TimeIsZero("idle_timeout"))));
    let weightless = Some(BuildError::Options(OptionsError::WeightOutOfRange { weight: 0 }));
    assert_eq!(build(per_tenant(2, 5), |it| it.share(Share::new().weight(0))), weightless);
    let config = TenantConfig::new().share(Share::new().weight(0));
    let one = build(shared(5), |it| it.tenant(TenantId::new("a").unwrap(), config));
    assert_eq!(one, weightless);
    assert_eq!(build(per_tenant(2, 5), |it| it.budget(5)), None);
}

/// A share is one of what there is, so more than that is a mistake.
#[test]
fn shares_of_more_than_there_is_are_named() {
    let id = TenantId::new("acme").unwrap();
    let own = |share| TenantConfig::new().share(share);
    let text = |error: Option<BuildError>| error.expect("it is refused").to_string();
    let error = text(build(per_tenant(2, 5), |it| it.share(Share::new().max(6))));
    assert_eq!(
        error,
        "the share of tenants has max 6, more than pool_size, 5; it must be at most that, or none"
    );
    let one = own(Share::new().max(21));
    let error = text(build(shared(20), |it| it.tenant(id.clone(), one)));
    assert_eq!(
        error,
        "the share of the tenant acme has max 21, more than size, 20; it must be at most that, or \
         none"
    );
    let queued = own(Share::new().max_waiting(8));
    let error = text(build(per_tenant(2, 5), |it| {
        it.tenant(id.clone(), queued).pool(|pool| pool.max_waiting(7))
    }));
    assert_eq!(
        error,
        "the share of the tenant acme has max_waiting 8, more than that of the pools, 7; it must \
         be at most that, or none"
    );
    let whole = Share::new().max(5).max_waiting(7);
    let set = |it: BankBuilder| it.share(whole).pool(|pool| pool.max_waiting(7));
    assert_eq!(build(per_tenant(2, 5), set), None);
}

/// A share that is found as the tenant is opened is looked at then.
#[test]
fn shares_that_are_found_later_are_named_as_well() {
    let world = World::new(shared(5), |it| it);
    world.bank.find("acme", TenantConfig::new().share(Share::new().max(6)));
    let error = settle(&mut world.ask("acme")).unwrap_err();
    let TenantError::Share(excess) = error else { panic!("{error}") };
    assert_eq!((excess.what, excess.is, excess.most), ("max", 6, 5));
    assert_eq!(world.pools.state("acme"), None);
    drop(world.lease("other"));
    world.assert_closes();
}

/// Whatever is set later, and by whichever builder, what was set before stays.
#[test]
fn later_setters_are_never_lost() {
    let world = World::new(per_tenant(1, 1), |it| {
        it.pool(|pool| pool.acquire_timeout(secs(3)).max_waiting(7))
            .idle_timeout(secs(9))
            .pool(|pool| pool.max_waiting(1))
            .share(Share::new().max(1))
            .tenant(TenantId::new("b").unwrap(), TenantConfig::new().schema("other"))
    });
    let lease = world.lease("a");
    let mut waits = world.queued("b");
    let full = settle(&mut world.ask("c")).unwrap_err();
    assert_eq!(full, TenantError::QueueFull { max_waiting: 1 });
    world.clock.advance(secs(3));
    assert_eq!(settle(&mut waits).unwrap_err(), TenantError::NoPool { waited: secs(3) });
    drop(lease);
    assert_eq!(world.lease("b").tenant().schema(), Some("other"));
    world.clock.advance(secs(9));
    assert_eq!(world.pools.evict_expired(), 1);
    drop(waits);
    world.assert_closes();
}

#[test]
fn what_is_set_can_be_asked_for() {
    let acme = TenantConfig::new().schema("acme_prod").share(Share::new().weight(3));
    let world = World::new(per_tenant(7, 4), |it| {
        it.tenant(TenantId::new("acme").unwrap(), acme.clone())
            .warm_up(2)
            .parallel_warm_ups(3)
            .budget(9)
            .unknown(Unknown::Refuse)
            .idle_timeout(None)
            .share(Share::new().max(3))
            .pool(|pool| pool.acquire_timeout(secs(3)).max_waiting(5))
    });
    let config = world.pools.config();
    assert_eq!((config.strategy, config.budget, config.warm_up), (per_tenant(7, 4), Some(9), 2));
    assert_eq!((config.unknown, config.idle_timeout), (Unknown::Refuse, None));
    assert_eq!(config.parallel_warm_ups, 3);
    assert_eq!((config.acquire_timeout, config.max_waiting), (Some(secs(3)), 5));
    assert_eq!(config.share, Share::new().max(3));
    assert_eq!(world.pools.tenant_config("acme"), Some(acme));
    assert_eq!(world.pools.tenant_config("other"), None);
    assert!(settle(&mut ByHand::new(world.pools.remove("acme"))), "it was known");
    assert_eq!(world.pools.tenant_config("acme"), None);
    let world = World::new(shared(2), |it| it.pool(|pool| pool.acquire_timeout(None)));
    let config = world.pools.config();
    assert_eq!((config.acquire_timeout, config.idle_timeout), (None, Some(secs(300))));
}

#[test]
fn a_share_bounds_a_tenants_own_pool() {
    let config = TenantConfig::new().share(Share::new().max(1).max_waiting(1));
    let id = TenantId::new("a").unwrap();
    for strategy in [per_tenant(2, 3), shared(3)] {
        let world = World::new(strategy, |it| it.tenant(id.clone(), config.clone()));
        let lease = world.lease("a");
        let waits = world.queued("a");
        let error = settle(&mut world.ask("a")).unwrap_err();
        assert!(matches!(error, TenantError::Acquire(_)), "{error}");
        assert_eq!(world.pools.stats("a").unwrap().callers.refused, 1);
        drop([world.lease("b"), world.lease("b")]);
        drop((lease, waits));
        world.assert_closes();
    }
}

#[test]
fn a_factory_that_panics_ends_the_acquires_that_need_it() {
    let world = World::new(per_tenant(1, 1), |it| it);
    world.bank.plan_panic();
    assert_eq!(settle(&mut world.ask("a")).unwrap_err(), TenantError::FactoryPanicked);
    assert_eq!(world.pools.state("a"), None);
    drop(world.lease("a"));
    assert_eq!(world.bank.asked("a"), 2);
    world.check();
    world.assert_closes();
}

/// Factories are called without a lock, and so are connections closed.
#[test]
fn factories_may_use_the_pools() {
    let world = World::new(per_tenant(1, 1), |it| it);
    let pools = world.pools.clone();
    let kept = Mutex::new(Vec::new());
    world.bank.on_factory(move || {
        pools.check().unwrap();
        pools.totals();
        let mut other = ByHand::new(pools.acquire("other").timeout(Duration::ZERO));
        let _ = other.poll();
        drop(other);
        kept.lock().unwrap().push(pools.evict_expired());
        drop(pools.remove("nobody"));
    });
    let pools = world.pools.clone();
    world.bank.of("a").on_call(move |_| {
        pools.check().unwrap();
        drop(pools.remove("nobody"));
        pools.evict_expired();
    });
    drop(world.lease("a"));
    drop(world.lease("b"));
    drop(world.lease("a"));
    world.check();
    world.bank.ignore_calls();
    world.bank.of("a").ignore_calls();
    world.assert_closes();
}

#[test]
fn entries_say_what_they_are_of() {
    let world = World::new(Strategy::per_database(), |it| it);
    let lease = world.lease("acme");
    let entry: &Entry = lease.tenant();
    assert_eq!((entry.schema(), entry.database()), (None, Some("tenant_acme")));
    assert_eq!(entry.share(), Share::new());
    assert_eq!(world.pools.active_pools(), [(entry.id().clone(), PoolState::Ready)]);
    drop(lease);
    world.assert_closes();
}

//! What pools get wrong, each a test of its own name, on simulated time; and every feature of the
//! pool, in [`features`]. Tests whose names begin with one of these are further cases of it.
//!
//! - cancellation, wake-ups, hand-off (`hand_off.rs`): `cancelled_waiter_does_not_eat_the_wake`,
//!   `offered_but_never_polled_is_passed_on`, `newcomer_cannot_overtake`,
//!   `try_acquire_respects_the_queue`, `release_between_check_and_enqueue`,
//!   `repoll_replaces_the_waker`, `spurious_poll_keeps_the_order`,
//!   `one_broken_connection_wakes_one`, `cancel_inside_health_check`,
//!   `timeout_mid_check_keeps_a_healthy_connection`, `abort_while_queued_settles_at_once`,
//!   `forgotten_waiter_is_reclaimed`, `kill_at_every_await_point`, `one_caller_begins_one_check`,
//!   `a_waiter_is_served_beside_the_checks_of_idle_connections`,
//!   `forgotten_waiter_is_passed_over_at_the_next_operation`,
//!   `an_acquire_begins_when_it_is_polled`, `waiters_are_served_in_the_order_they_came`
//! - creation (`creation.rs`): `creation_survives_its_requester`, `served_by_whichever_is_first`,
//!   `creates_never_exceed_need`, `discard_frees_capacity_and_starts_a_create`,
//!   `create_error_reaches_the_caller`, `timeout_names_phase_and_cause`,
//!   `every_waiter_sees_a_failure`, `always_failing_create_is_bounded`,
//!   `always_failing_check_is_bounded`, `create_panics`, `create_never_settles`,
//!   `storm_of_20_waiters_on_a_slow_failure`, `warm_up_with_failures`,
//!   `creation_survives_a_cancelled_requester`, `a_late_creation_is_dropped`,
//!   `a_panicking_creation_does_not_unwind_its_caller`, `a_back_off_counts_from_the_failure`,
//!   `always_failing_check_costs_an_acquire_one_creation`
//! - accounting, resize (`accounting.rs`): `resize_at_every_fill_level`,
//!   `random_grow_shrink_under_load`, `destroy_called_once_for_each_created`,
//!   `taken_connection_frees_its_place`, `stats_add_up`, `created_at_survives_a_return`,
//!   `double_release`, `stale_release`, `destroying_counts_or_does_not`,
//!   `destroy_called_once_for_a_connection_that_comes_too_late`
//! - callbacks (`callbacks.rs`): `unshared_lock_poison`, `reentrant_callbacks`,
//!   `an_outcome_outlives_the_drop_of_the_last_waker`,
//!   `a_bad_waker_of_who_polls_the_jobs_is_nobody_elses_affair`
//! - time (`time.rs`): `a_day_idle_creates_nothing`, `reaper_never_goes_below_min_idle`,
//!   `busy_connection_is_retired_on_return`, `lifetimes_are_spread`,
//!   `lifetime_never_kills_a_lease`, `idle_pool_shrinks_under_light_load`, `clock_steps_back`,
//!   `clock_stands_still`, `clock_at_zero`, `zero_and_tiny_durations`,
//!   `empty_pool_has_no_deadline`, `expiry_needs_no_background_task`, `long_simulated_soak`,
//!   `acquire_timeout_of_30_seconds`, `each_call_may_have_its_own_timeout`,
//!   `a_warm_pool_does_not_read_the_clock`, `an_alarm_that_is_always_early_lets_others_run`
//! - close (`close.rs`): `close_settles_every_waiter`, `acquire_after_close_fails_at_once`,
//!   `close_waits_then_names_the_holders`, `nothing_leaks_into_a_closed_pool`,
//!   `close_hook_is_awaited_and_bounded`, `all_handles_dropped`,
//!   `guard_dropped_without_any_executor`
//! - shared limits (`features/queue.rs`): `priority_ages`, `nested_acquire_is_diagnosed`
//! - tenants (`features/tenants.rs`): `noisy_tenant_cannot_starve`
//! - tenants' pools (`tenants/lifecycle.rs`): `evicted_tenant_keeps_its_leases`,
//!   `ten_thousand_tenants_shrink_back`
//! - tenants' contexts (`tenants/context.rs`): `tenant_context_never_crosses`

mod accounting;
mod callbacks;
mod close;
mod creation;
mod features;
mod hand_off;
mod tenants;
mod time;

#[test]
fn every_test_is_named_above_and_is_one() {
    const FILES: &[(&str, &str)] = &[
        ("hand_off.rs", include_str!("hand_off.rs")),
        ("creation.rs", include_str!("creation.rs")),
        ("accounting.rs", include_str!("accounting.rs")),
        ("callbacks.rs", include_str!("callbacks.rs")),
        ("time.rs", include_str!("time.rs")),
        ("close.rs", include_str!("close.rs")),
        ("features/queue.rs", include_str!("features/queue.rs")),
        ("features/tenants.rs", include_str!("features/tenants.rs")),
        ("tenants/lifecycle.rs", include_str!("tenants/lifecycle.rs")),
        ("tenants/context.rs", include_str!("tenants/context.rs")),
    ];
    let text = include_str!("main.rs").lines().map_while(|line| line.strip_prefix("//!"));
    let text: String = text.collect();
    let mut areas = text.split(" - ").skip(1);
    for (file, source) in FILES {
        let area = areas.next().expect("each file has an area");
        let mut names = area.split('`').skip(1).step_by(2);
        assert_eq!(names.next(), Some(*file));
        let named: Vec<&str> = names.collect();
        let lines = source.lines().zip(source.lines().skip(1));
        let tests = lines.filter(|(above, _)| *above == "#[test]").map(|(_, test)| test);
        let tests: Vec<&str> =
            tests.filter_map(|test| test.strip_prefix("fn ")?.strip_suffix("() {")).collect();
        for name in &named {
            assert!(tests.contains(name), "{name} is no test of {file}");
        }
        let begins = |test: &str| named.iter().any(|name| test.starts_with(name));
        // The file of a feature has more than the scenarios.
        let unnamed = tests.iter().find(|test| !file.contains('/') && !begins(test));
        assert_eq!(unnamed, None, "{file} has a test that is not named");
    }
    assert_eq!(areas.next(), None);
}

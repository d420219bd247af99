// The names of what pools get wrong, by where each must be a case that passes: P in processes and
// browsers, W in workerd. The table of the runs has a row for each.

const PW = `
  cancelled_waiter_does_not_eat_the_wake offered_but_never_polled_is_passed_on
  newcomer_cannot_overtake try_acquire_respects_the_queue cancel_inside_health_check
  timeout_mid_check_keeps_a_healthy_connection abort_while_queued_settles_at_once
  abort_listeners_are_removed
  served_by_whichever_is_first creates_never_exceed_need discard_frees_capacity_and_starts_a_create
  create_error_reaches_the_caller timeout_names_phase_and_cause every_waiter_sees_a_failure
  always_failing_create_is_bounded always_failing_check_is_bounded create_throws_synchronously
  create_never_settles create_returns_nothing same_object_twice
  storm_of_20_waiters_on_a_slow_failure warm_up_with_failures
  resize_at_every_fill_level destroy_called_once_for_each_created taken_connection_frees_its_place
  stats_add_up created_at_survives_a_return double_release stale_release
  destroying_counts_or_does_not reentrant_callbacks
  close_settles_every_waiter acquire_after_close_fails_at_once close_waits_then_names_the_holders
  nothing_leaks_into_a_closed_pool close_hook_is_awaited_and_bounded
  priority_ages nested_acquire_is_diagnosed
  noisy_tenant_cannot_starve evicted_tenant_keeps_its_leases ten_thousand_tenants_shrink_back
  tenant_context_never_crosses
  async_context_is_the_waiters ten_thousand_waiters trap_recovers import_has_no_side_effects
`;
const P = `
  creation_survives_its_requester
  a_day_idle_creates_nothing reaper_never_goes_below_min_idle busy_connection_is_retired_on_return
  lifetimes_are_spread lifetime_never_kills_a_lease idle_pool_shrinks_under_light_load
  clock_steps_back clock_stands_still clock_at_zero zero_and_tiny_durations
  expiry_needs_no_background_task
  script_exits
`;
const W = `
  waiter_without_io_survives dead_request_gives_its_slot_back io_stays_in_its_request
`;
/** What a page has not: it neither exits by itself, nor keeps a context of asynchronous calls. */
const NOT_IN_PAGES = ["script_exits", "async_context_is_the_waiters"];

const words = (text) => text.trim().split(/\s+/);

/** The scenarios in the order of the table: `{ name, processes, workers, pages }`. */
export const SCENARIOS = [[PW, true, true], [P, true, false], [W, false, true]].flatMap(
  ([names, processes, workers]) => words(names).map((name) => {
    return { name, processes, workers, pages: processes && !NOT_IN_PAGES.includes(name) };
  }),
);

//! The bugs: where each was seen, and which tests catch it.

use edgepool::Bug;

/// What is known of a bug.
pub(crate) struct Case {
    /// Where it was seen: projects, and their issues.
    pub(crate) seen: &'static str,
    /// Every one of these must fail with it.
    pub(crate) caught_by: &'static [Test],
}

/// A test, by its name: after its binary and a slash, or among the scenarios.
pub(crate) type Test = &'static str;

const fn seen(seen: &'static str, caught_by: &'static [Test]) -> Case {
    Case { seen, caught_by }
}

/// The searches of all states, by what they are about.
const QUEUE: Test = "edgepool/ledger::search::every_state_of_the_queue";
const SIZES: Test = "edgepool/ledger::search::every_state_of_a_pool_that_changes_its_size";
const LEASES: Test = "edgepool/ledger::search::every_state_with_leases_that_end";
const FAILURES: Test = "edgepool/ledger::search::every_state_with_failures";

/// What tenants may rely on.
const TURNS: Test = "edgepool/ledger::tenant_cases::tenants_are_served_in_turn_by_their_weights";
const CAPS: Test = "edgepool/ledger::tenant_cases::a_tenant_at_its_cap_stands_in_nobodys_way";

/// Random operations on the ledger, beside a naive model of it.
const MODEL: Test = "ledger/does_what_the_naive_model_does";

/// Random schedules, checked after every step.
const SEEDS: Test = "seeds/random_schedules_keep_every_invariant_and_come_to_a_good_end";

/// It passes with every bug: a bug that nothing works with says little about the tests.
pub(crate) const CONTROL: Test = "time::acquire_timeout_of_30_seconds";

/// Tells what is known of a bug. In the order of the scenarios.
pub(crate) const fn case(bug: Bug) -> Case {
    match bug {
        Bug::CancelledOfferIsLost => seen(
            "bb8#67, sqlx#622",
            &["hand_off::offered_but_never_polled_is_passed_on", QUEUE, MODEL],
        ),
        Bug::WakeIsOnlyAHint => seen(
            "bb8#243, async-lock#23",
            &[
                "hand_off::newcomer_cannot_overtake",
                "hand_off::try_acquire_respects_the_queue",
                QUEUE,
                MODEL,
                SEEDS,
            ],
        ),
        Bug::FirstWakerIsKept => seen("qp", &["hand_off::repoll_replaces_the_waker"]),
        Bug::SpuriousPollLosesThePlace => {
            seen("sqlx#622", &["hand_off::spurious_poll_keeps_the_order", MODEL])
        }
        Bug::DriverLeavesNobody => {
            seen("qp#2, sqlx#918", &["creation::creation_survives_its_requester", SEEDS])
        }
        Bug::DiscardWakesAll => {
            seen("bb8#67", &["hand_off::one_broken_connection_wakes_one", MODEL])
        }
        Bug::TimeoutDestroysWhatIsChecked => {
            seen("tarn", &["hand_off::timeout_mid_check_keeps_a_healthy_connection", MODEL])
        }
        Bug::LeakedWaiterKeepsItsOffer => {
            seen("leaked futures", &["hand_off::forgotten_waiter_is_reclaimed", MODEL, SEEDS])
        }
        Bug::CreationDiesWithItsRequester => seen(
            "deadpool, sqlx#3132",
            &[
                "creation::creation_survives_its_requester",
                "creation::creation_survives_a_cancelled_requester",
                MODEL,
            ],
        ),
        Bug::ReturnSkipsThoseWhoCreate => {
            seen("sqlx#2848, deadpool", &["creation::served_by_whichever_is_first", QUEUE, MODEL])
        }
        Bug::CreatesMoreThanIsNeeded => {
            seen("hyper#4134, bb8", &["creation::creates_never_exceed_need", MODEL])
        }
        Bug::FreedPlaceStartsNothing => seen(
            "bb8#167, node-pool#173",
            &["creation::discard_frees_capacity_and_starts_a_create", QUEUE, MODEL, SEEDS],
        ),
        Bug::CreateErrorIsSwallowed => seen(
            "bb8#141, node-pool#175, tarn",
            &["creation::create_error_reaches_the_caller", MODEL],
        ),
        Bug::FailureTellsOneOnly => {
            seen("r2d2#75, hyper#4119", &["creation::every_waiter_sees_a_failure", MODEL])
        }
        Bug::NoBackOff => {
            seen("node-pool#175, sqlx", &["creation::always_failing_create_is_bounded", MODEL])
        }
        Bug::PanicLosesThePlace => seen("bb8, r2d2, node-pool", &["creation::create_panics"]),
        Bug::OverdueCreationKeepsItsPlace => {
            seen("node-pool, lightning-pool", &["creation::create_never_settles", FAILURES, MODEL])
        }
        Bug::ResizeForgetsTheSurplus => {
            seen("deadpool, mobc", &["accounting::resize_at_every_fill_level", SIZES, MODEL])
        }
        Bug::TakenStaysInUse => seen(
            "sqlx#895, design A",
            &["accounting::taken_connection_frees_its_place", QUEUE, MODEL],
        ),
        Bug::CancelIsNotCounted => seen("bb8, mobc", &["accounting::stats_add_up", QUEUE, MODEL]),
        Bug::LifetimeCountsFromTheReturn => {
            seen("designs A and C", &["accounting::created_at_survives_a_return", MODEL])
        }
        Bug::StaleReleaseIsTaken => {
            seen("node-pool, tarn, lightning-pool", &["accounting::stale_release", QUEUE, MODEL])
        }
        Bug::ClosingDoesNotCount => {
            seen("node-pool", &["accounting::destroying_counts_or_does_not", MODEL])
        }
        Bug::BusyConnectionNeverRetires => {
            seen("bb8#224", &["time::busy_connection_is_retired_on_return", MODEL])
        }
        Bug::BornTogetherDieTogether => {
            seen("sqlx#2854, PostHog#49745", &["time::lifetimes_are_spread", MODEL])
        }
        Bug::OldestIdleGoesFirst => {
            seen("r2d2, bb8#162", &["time::idle_pool_shrinks_under_light_load", MODEL])
        }
        Bug::IdleTimeoutIgnoresMinIdle => {
            seen("bb8, r2d2, sqlx", &["time::reaper_never_goes_below_min_idle", MODEL])
        }
        Bug::TimeRunsBackwards => {
            seen("sqlx#1912, mobc, hyper-util#238", &["time::clock_steps_back"])
        }
        Bug::ExpiryNeedsATimer => seen("mobc", &["time::expiry_needs_no_background_task"]),
        Bug::CloseForgetsAWaiter => {
            seen("pg-pool#132, p-limit#25", &["close::close_settles_every_waiter", QUEUE])
        }
        Bug::AcquireAfterCloseWaits => {
            seen("tarn#81", &["close::acquire_after_close_fails_at_once", QUEUE, MODEL])
        }
        Bug::ReturnLeaksIntoAClosedPool => {
            seen("sqlx#3217, cognee#132", &["close::nothing_leaks_into_a_closed_pool", LEASES])
        }
        Bug::DrainNamesNobody => {
            seen("sqlx#1773, pg#2199", &["close::close_waits_then_names_the_holders"])
        }
        Bug::NobodyAges => seen("node-pool", &["features::queue::priority_ages", MODEL]),
        Bug::FailedResetIsLent => seen(
            "design D",
            &["features::leases::release_waits_for_the_reset_and_gives_its_error", MODEL],
        ),
        Bug::LoudestTenantIsServed => seen(
            "p-queue#1",
            &["features::tenants::noisy_tenant_cannot_starve_and_each_has_its_weight", TURNS],
        ),
        Bug::CapIsIgnored => {
            seen("design D", &["features::tenants::a_tenant_keeps_within_its_max", CAPS])
        }
    }
}

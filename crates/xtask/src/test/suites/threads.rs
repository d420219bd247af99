//! The suites of threads that meet in the pool: small scenarios, each in many schedules.

use super::{MINUTE, Suite, Tier, cargo, thorough_test};
use crate::process::Cmd;
use crate::test::counts::Reader;
use crate::test::figures;
use crate::test::needs::Need;

pub(super) fn suites(tier: Tier) -> Vec<Suite> {
    let mut suites = vec![loom(tier), shuttle(tier)];
    if tier.full {
        suites.extend([conc(), miri()]);
    }
    suites
}

/// In every schedule: of up to two preemptions, or of any number for as long as there is time.
fn loom(tier: Tier) -> Suite {
    let suite = Suite::new("loom", &[], Reader::Libtest, move || {
        let test = explored("edgepool_loom");
        Ok(vec![match tier.full {
            // It looks at the time whenever it would save how far it has come.
            true => test.env("LOOM_MAX_DURATION", "120").env("LOOM_CHECKPOINT_INTERVAL", "1000"),
            false => test.env("LOOM_MAX_PREEMPTIONS", "2"),
        }])
    });
    let suite = suite.figures(figures::schedules);
    match tier.full {
        true => suite.limit(90 * MINUTE),
        // It may wait for what shuttle compiles.
        false => suite.limit(20 * MINUTE).beside_others(),
    }
}

/// In schedules at random.
fn shuttle(tier: Tier) -> Suite {
    let rounds = if tier.full { "100000" } else { "5000" };
    let suite = Suite::new("shuttle", &[], Reader::Libtest, move || {
        Ok(vec![explored("edgepool_shuttle").env("EDGEPOOL_ROUNDS", rounds)])
    });
    let suite = suite.limit(if tier.full { 60 * MINUTE } else { 20 * MINUTE });
    suite.figures(figures::schedules).beside_others()
}

/// Runs the scenarios with the lock of a tool that explores schedules.
fn explored(tool: &str) -> Cmd {
    let test = thorough_test().args(["-p", "edgepool", "--test", "conc", "--", "--nocapture"]);
    test.env("RUSTFLAGS", format!("--cfg {tool} -D warnings"))
}

/// In the schedules that come, often.
fn conc() -> Suite {
    let suite = Suite::new("conc", &[], Reader::Libtest, || {
        let test = thorough_test().args(["-p", "edgepool", "--test", "conc", "--", "--nocapture"]);
        Ok(vec![test.env("EDGEPOOL_ROUNDS", "50000")])
    });
    suite.limit(30 * MINUTE).figures(figures::schedules)
}

/// Under miri, which sees what must not be done with memory, and what is leaked. The wakers that use
/// the pool leak, as some of them own it.
fn miri() -> Suite {
    let miri = |test, flags| {
        let cargo = cargo().args(["+nightly", "miri", "test", "--locked", "-p", "edgepool"]);
        let cargo = cargo.args(["--test", test, "--", "--nocapture"]);
        cargo.env("MIRIFLAGS", format!("-Zmiri-strict-provenance -Zmiri-disable-isolation{flags}"))
    };
    let commands = move || vec![miri("conc", ""), miri("wakers", " -Zmiri-ignore-leaks")];
    let suite = Suite::new("miri", &[Need::Miri], Reader::Libtest, move || Ok(commands()));
    suite.limit(30 * MINUTE).figures(figures::schedules)
}

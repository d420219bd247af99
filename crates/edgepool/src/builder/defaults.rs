//! That the documentation tells the defaults as they are.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::Duration;

use super::Builder;
use crate::ledger::{Backoff, Options, Reuse};
use crate::shared::Settings;
use crate::{Clock, Factory, Time, factory_fn};

const FRONT_PAGE: &str = include_str!("../lib.rs");
const BUILDER: &str = include_str!("../builder.rs");

struct NoClock;

impl Clock for NoClock {
    type Alarm = Ready<()>;

    fn now(&self) -> Time {
        Time::ZERO
    }

    fn alarm(&self, _at: Time) -> Ready<()> {
        ready(())
    }
}

fn builder() -> Builder<impl Factory, NoClock> {
    let create = || ready(Ok::<_, Infallible>(()));
    Builder::new(factory_fn(create).check_sync(|_| Ok(())), NoClock)
}

/// The defaults as a builder has them that was told nothing, in the words of the documentation. An
/// option that is new does not compile here until it is told of.
fn defaults() -> Vec<(&'static str, String)> {
    let builder = builder();
    let Settings { patience, slow_acquire, capture_holders } = builder.settings;
    let Options {
        max,
        min_idle,
        max_waiting,
        reuse,
        offer_timeout,
        lease_ttl,
        create_timeout,
        check_timeout,
        reset_timeout,
        close_timeout,
        idle_timeout,
        max_lifetime,
        lifetime_jitter,
        max_uses,
        check_after,
        check_interval,
        max_checks,
        backoff,
        breaker,
        ageing,
        wait_times,
        hold_times,
        long_hold,
        seed: _,
    } = builder.resolve(true);
    assert_eq!(lease_ttl, None, "a lease in Rust has no time to live");
    let backoff = backoff.expect("there is a back-off");
    vec![
        ("max", count(max)),
        ("min_idle", format!("{}, or `max` if that is less", count(min_idle))),
        ("max_waiting", count(max_waiting)),
        ("max_uses", max_uses.map_or_else(none, count)),
        ("reuse", (if reuse == Reuse::Lifo { "the last used first" } else { "" }).to_owned()),
        ("acquire_timeout", time(Some(Duration::from_nanos(patience)))),
        ("create_timeout", time(create_timeout)),
        ("check_timeout", time(check_timeout)),
        ("reset_timeout", time(reset_timeout)),
        ("close_timeout", time(close_timeout)),
        ("offer_timeout", time(offer_timeout)),
        ("idle_timeout", format!("{}, or the lifetime if that is less", time(idle_timeout))),
        ("max_lifetime", time(max_lifetime)),
        ("lifetime_jitter", format!("{lifetime_jitter} %")),
        ("check_on_acquire", format!("if it was idle for {}", time(check_after))),
        ("check_interval", format!("{}, or the lifetime if that is less", time(check_interval))),
        ("max_checks", count(max_checks)),
        (
            "backoff",
            format!("{}, doubling to {}", time(Some(backoff.base)), time(Some(backoff.cap))),
        ),
        ("breaker", format!("{}, or none without a back-off", breaker.map_or_else(none, count))),
        ("ageing", time(ageing)),
        ("seed", "drawn at random".to_owned()),
        ("wait_times", yes(wait_times)),
        ("hold_times", yes(hold_times)),
        ("capture_holders", yes(capture_holders)),
        ("slow_acquire", time(slow_acquire)),
        ("long_hold", time(long_hold)),
    ]
}

fn none() -> String {
    "none".to_owned()
}

fn yes(on: bool) -> String {
    (if on { "yes" } else { "no" }).to_owned()
}

/// A number with commas between its thousands.
fn count(number: impl Into<u64>) -> String {
    match number.into() {
        number @ 0..1_000 => number.to_string(),
        number => format!("{},{:03}", count(number / 1_000), number % 1_000),
    }
}

fn time(time: Option<Duration>) -> String {
    let Some(time) = time else { return none() };
    match time.subsec_nanos() {
        0 => format!("{} s", count(time.as_secs())),
        _ => format!("{} ms", count(u64::try_from(time.as_millis()).expect("it is short"))),
    }
}

/// The options of the table and their defaults, in its order.
fn table() -> Vec<(String, String)> {
    let rows = FRONT_PAGE.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("//! | [`")?.split(" | ").collect();
        let (name, link) = cells[0].split_once("`](")?;
        assert_eq!(link, format!("Builder::{name})"), "{line}");
        Some((name.to_owned(), cells[1].to_owned()))
    });
    rows.collect()
}

/// The methods of the builder that set an option, and what is said of each.
fn setters() -> Vec<(String, String)> {
    let (mut found, mut doc) = (Vec::new(), String::new());
    for line in BUILDER.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
            continue;
        }
        let doc = std::mem::take(&mut doc);
        let Some(head) = line.strip_prefix("pub ") else { continue };
        if let Some((head, _)) = head.split_once("(mut self")
            && let Some((_, name)) = head.split_once("fn ")
        {
            found.push((name.to_owned(), doc));
        }
    }
    found
}

#[test]
fn the_table_tells_every_option_and_its_default() {
    let expected: Vec<_> =
        defaults().into_iter().map(|(name, default)| (name.to_owned(), default)).collect();
    assert_eq!(table(), expected);
}

#[test]
fn every_setter_tells_its_default() {
    let (mut setters, mut defaults) = (setters(), defaults());
    setters.sort();
    defaults.sort();
    assert_eq!(setters.len(), defaults.len(), "{setters:?}");
    for ((setter, doc), (name, default)) in setters.iter().zip(&defaults) {
        assert_eq!(setter, name);
        assert!(
            doc.contains(&format!("Default: {default}.")),
            "{name}, by default {default}:{doc}"
        );
    }
}

#[test]
fn what_depends_on_another_option_is_the_lesser_of_both() {
    assert_eq!(builder().max(1).resolve(true).min_idle, 1);
    let short = Duration::from_secs(10);
    let options = builder().max_lifetime(short).resolve(true);
    assert_eq!((options.idle_timeout, options.check_interval), (Some(short), Some(short)));
    let options = builder().max_lifetime(None).resolve(true);
    let unlimited = builder().resolve(true);
    assert_eq!(options.idle_timeout, unlimited.idle_timeout);
    assert_eq!(options.check_interval, unlimited.check_interval);
}

/// Whichever of the two is set first.
#[test]
fn the_breaker_follows_the_backoff_unless_it_is_set() {
    let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(2) };
    let breaker = |set: Builder<_, _>| set.resolve(true).breaker;
    assert_eq!(breaker(builder().backoff(None)), None);
    assert_eq!(breaker(builder().backoff(None).backoff(backoff)), Some(5));
    assert_eq!(breaker(builder().breaker(3).backoff(None).backoff(backoff)), Some(3));
    assert_eq!(breaker(builder().breaker(None).backoff(backoff)), None);
}

#[test]
fn numbers_are_written_with_commas_and_short_times_in_milliseconds() {
    let numbers = [999_u64, 1_000, 1_234_005].map(count);
    assert_eq!(numbers, ["999", "1,000", "1,234,005"]);
    let times = [1_800_000, 1_500].map(|millis| time(Some(Duration::from_millis(millis))));
    assert_eq!(times, ["1,800 s", "1,500 ms"]);
}

//! The statistics of pools as OpenMetrics text, for Prometheus and whatever else scrapes it.
//!
//! ```
//! use edgepool::{Stats, openmetrics};
//!
//! # let (primary, replica) = (Stats::default(), Stats::default());
//! // Here `primary` and `replica` are what `pool.stats()` told of two pools.
//! let mut text = String::new();
//! openmetrics::write(&mut text, [("primary", &primary), ("replica", &replica)])?;
//!
//! assert!(text.contains("edgepool_connections{pool=\"replica\",state=\"idle\"} 0\n"));
//! assert!(text.ends_with("# EOF\n"));
//! # Ok::<_, std::fmt::Error>(())
//! ```
//!
//! # What it says
//!
//! Gauges are as in [`Gauges`](crate::ledger::Gauges) and counters as in
//! [`Counters`](crate::ledger::Counters), under the names of the fields. What is an alternative to
//! each other is one family with a label, so that its sum means something:
//!
//! | family | label |
//! |---|---|
//! | `edgepool_connections` | `state`; their sum is the size, which has no family of its own |
//! | `edgepool_acquires` | `outcome`; what more was started is `edgepool_pending` |
//! | `edgepool_leases_ended` | `outcome` |
//! | `edgepool_connections_retired` | `reason` |
//! | `edgepool_creations` | `outcome`; `edgepool_creations_started` less their sum are under way |
//!
//! Durations are histograms in seconds. Their buckets reach from 256 us to 268 s, each twice the
//! one before. That is fewer than a [`Histogram`] has, so that a scrape stays small; the bounds are
//! among its own, so that the counts are exact.
//!
//! # How much it says
//!
//! Every pool has its own samples, and each of them is a time series wherever it is kept. The names
//! are the caller's, and so it is the caller who bounds their number: a pool for each of a thousand
//! tenants is better summed before it is written than named, as
//! [`TenantMetrics`](crate::tenants::TenantMetrics) does.

use core::fmt::{self, Write};
use core::ops::RangeInclusive;
use core::time::Duration;

use crate::{Histogram, Stats};

/// The media type of the text, for the `Content-Type` of an answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The powers of two of a microsecond that are bounds of a histogram's buckets.
const LADDER: RangeInclusive<u32> = 8..=28;

/// Writes the statistics of every pool, each with the name that its samples bear as the label
/// `pool`, in the version 1.0 of OpenMetrics.
///
/// The names must differ from each other: the same sample twice makes the text invalid. They may
/// hold any characters. The text ends with `# EOF`, so whatever else a scrape is to tell must be
/// written before, in families of other names.
///
/// # Errors
///
/// The writer failed; a `String` does not.
pub fn write<'a>(
    out: &mut impl Write,
    pools: impl IntoIterator<Item = (&'a str, &'a Stats)>,
) -> fmt::Result {
    let pools: Vec<Named<'_>> = pools.into_iter().collect();
    for family in FAMILIES {
        family.write(out, &pools)?;
    }
    out.write_str("# EOF\n")
}

type Named<'a> = (&'a str, &'a Stats);

/// A metric family: what is said of it, and how its samples are read.
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
}

type Get = fn(&Stats) -> u64;
type GetTimes = fn(&Stats) -> &Histogram;

enum Kind {
    Gauge(Samples),
    Counter(Samples),
    /// A histogram of durations, which is empty unless the pool keeps it.
    Times(GetTimes),
}

enum Samples {
    One(Get),
    /// A sample for each value of a label.
    By(&'static str, &'static [(&'static str, Get)]),
}

use Kind::{Counter, Gauge, Times};
use Samples::{By, One};

/// Everything that is told, in this order.
const FAMILIES: &[Family] = &[
    Family {
        name: "edgepool_connections",
        kind: Gauge(By(
            "state",
            &[
                ("creating", |stats| stats.gauges.creating.into()),
                ("idle", |stats| stats.gauges.idle.into()),
                ("checking", |stats| stats.gauges.checking.into()),
                ("offered", |stats| stats.gauges.offered.into()),
                ("in_use", |stats| stats.gauges.in_use.into()),
                ("resetting", |stats| stats.gauges.resetting.into()),
                ("retired", |stats| stats.gauges.retired.into()),
                ("closing", |stats| stats.gauges.closing.into()),
            ],
        )),
        help: "Connections by what is done with them; the sum is the places used.",
    },
    Family {
        name: "edgepool_max_connections",
        kind: Gauge(One(|stats| stats.gauges.max.into())),
        help: "The most places that the pool uses.",
    },
    Family {
        name: "edgepool_waiting",
        kind: Gauge(One(|stats| stats.gauges.waiting.into())),
        help: "Callers in the queue, those with all that they need set aside not counted.",
    },
    Family {
        name: "edgepool_pending",
        kind: Gauge(One(|stats| stats.gauges.pending.into())),
        help: "Callers whose wait is not over: those in the queue, and those with an offer.",
    },
    Family {
        name: "edgepool_acquires_started",
        kind: Counter(One(|stats| stats.counters.started)),
        help: "Acquires begun.",
    },
    Family {
        name: "edgepool_acquires",
        kind: Counter(By(
            "outcome",
            &[
                ("direct", |stats| stats.counters.direct),
                ("waited", |stats| stats.counters.waited),
                ("timed_out", |stats| stats.counters.timed_out),
                ("cancelled", |stats| stats.counters.cancelled),
                ("failed", |stats| stats.counters.failed),
                ("refused", |stats| stats.counters.refused),
                ("closed", |stats| stats.counters.closed),
                ("missed", |stats| stats.counters.missed),
            ],
        )),
        help: "Acquires that ended: served at once, after a wait, or why not.",
    },
    Family {
        name: "edgepool_leases_batched",
        kind: Counter(One(|stats| stats.counters.batched)),
        help: "Leases beyond the first of callers that needed several.",
    },
    Family {
        name: "edgepool_offers_missed",
        kind: Counter(One(|stats| stats.counters.offers_missed)),
        help: "Offers of a connection that were not claimed in time.",
    },
    Family {
        name: "edgepool_leases_ended",
        kind: Counter(By(
            "outcome",
            &[
                ("released", |stats| stats.counters.released),
                ("discarded", |stats| stats.counters.discarded),
                ("taken", |stats| stats.counters.taken),
                ("expired", |stats| stats.counters.expired),
            ],
        )),
        help: "Leases that ended: returned in good order, as damaged, never, or too late.",
    },
    Family {
        name: "edgepool_stale_operations",
        kind: Counter(One(|stats| stats.counters.stale)),
        help: "Operations on what was over already; they did nothing.",
    },
    Family {
        name: "edgepool_connections_adopted",
        kind: Counter(One(|stats| stats.counters.adopted)),
        help: "Connections made elsewhere that were taken in as leases.",
    },
    Family {
        name: "edgepool_creations_started",
        kind: Counter(One(|stats| stats.counters.creations)),
        help: "Creations begun.",
    },
    Family {
        name: "edgepool_creations",
        kind: Counter(By(
            "outcome",
            &[
                ("created", |stats| stats.counters.created),
                ("failed", |stats| stats.counters.create_failed),
                ("abandoned", |stats| stats.counters.create_abandoned),
            ],
        )),
        help: "Creations that ended: with a connection, with an error, or given up.",
    },
    Family {
        name: "edgepool_checks_started",
        kind: Counter(One(|stats| stats.counters.checks)),
        help: "Checks begun.",
    },
    Family {
        name: "edgepool_checks_failed",
        kind: Counter(One(|stats| stats.counters.check_failed)),
        help: "Checks that failed, were overdue or panicked.",
    },
    Family {
        name: "edgepool_resets_started",
        kind: Counter(One(|stats| stats.counters.resets)),
        help: "Resets begun.",
    },
    Family {
        name: "edgepool_resets_failed",
        kind: Counter(One(|stats| stats.counters.reset_failed)),
        help: "Resets that failed, were overdue or panicked.",
    },
    Family {
        name: "edgepool_connections_retired",
        kind: Counter(By(
            "reason",
            &[
                ("idle", |stats| stats.counters.retired_idle),
                ("aged", |stats| stats.counters.retired_aged),
                ("used", |stats| stats.counters.retired_used),
                ("invalidated", |stats| stats.counters.retired_invalidated),
                ("surplus", |stats| stats.counters.retired_surplus),
                ("closed", |stats| stats.counters.retired_closed),
                ("late", |stats| stats.counters.late),
                ("rejected", |stats| stats.counters.rejected),
            ],
        )),
        help: "Connections in good order that left, by why they did.",
    },
    Family {
        name: "edgepool_connections_removed",
        kind: Counter(One(|stats| stats.counters.removed)),
        help: "Connections that were closed or lost, so that their place is free.",
    },
    Family {
        name: "edgepool_wait_seconds",
        kind: Times(|stats| &stats.waits),
        help: "How long those waited who were served after a wait.",
    },
    Family {
        name: "edgepool_hold_seconds",
        kind: Times(|stats| &stats.holds),
        help: "How long leases were held.",
    },
];

impl Family {
    fn write(&self, out: &mut impl Write, pools: &[Named<'_>]) -> fmt::Result {
        let Self { name, kind, help } = self;
        match kind {
            Gauge(samples) => {
                write!(out, "# TYPE {name} gauge\n# HELP {name} {help}\n")?;
                samples.write(out, name, "", pools)
            }
            Counter(samples) => {
                write!(out, "# TYPE {name} counter\n# HELP {name} {help}\n")?;
                samples.write(out, name, "_total", pools)
            }
            Times(get) => {
                write!(out, "# TYPE {name} histogram\n# UNIT {name} seconds\n")?;
                writeln!(out, "# HELP {name} {help}")?;
                pools
                    .iter()
                    .try_for_each(|(pool, stats)| write_histogram(out, name, pool, get(stats)))
            }
        }
    }
}

impl Samples {
    fn write(
        &self,
        out: &mut impl Write,
        name: &str,
        suffix: &str,
        pools: &[Named<'_>],
    ) -> fmt::Result {
        for &(pool, stats) in pools {
            let pool = Escaped(pool);
            match self {
                One(get) => {
                    writeln!(out, "{name}{suffix}{{pool=\"{pool}\"}} {}", get(stats))?;
                }
                By(label, samples) => {
                    for (value, get) in *samples {
                        write!(out, "{name}{suffix}{{pool=\"{pool}\",{label}=\"{value}\"}} ")?;
                        writeln!(out, "{}", get(stats))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Writes how many were not longer than each bound, and their sum, exact to the nanosecond.
fn write_histogram(
    out: &mut impl Write,
    name: &str,
    pool: &str,
    histogram: &Histogram,
) -> fmt::Result {
    let pool = Escaped(pool);
    let (count, sum) = (histogram.count(), histogram.sum());
    let mut buckets = histogram.buckets().peekable();
    let mut below = 0_u64;
    for micros in LADDER.map(|power| 1_u64 << power) {
        while let Some((_, more)) =
            buckets.next_if(|&(bound, _)| bound <= Duration::from_micros(micros))
        {
            below = below.saturating_add(more);
        }
        let seconds = micros as f64 / 1e6;
        writeln!(out, "{name}_bucket{{pool=\"{pool}\",le=\"{seconds}\"}} {below}")?;
    }
    writeln!(out, "{name}_bucket{{pool=\"{pool}\",le=\"+Inf\"}} {count}")?;
    writeln!(out, "{name}_count{{pool=\"{pool}\"}} {count}")?;
    let (seconds, nanos) = (sum.as_secs(), sum.subsec_nanos());
    writeln!(out, "{name}_sum{{pool=\"{pool}\"}} {seconds}.{nanos:09}")
}

/// The value of a label, as it stands between its quotes.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '\\' => f.write_str(r"\\"),
            '"' => f.write_str(r#"\""#),
            '\n' => f.write_str(r"\n"),
            _ => f.write_char(char),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Counters, Gauges};

    /// Statistics in which every number is another, and how many they are. A field that is added
    /// does not compile until it is here, and fails the test below until it is told.
    fn numbered() -> (Stats, u64) {
        let mut last = 1_000_u32;
        let mut next = || {
            last += 1;
            last
        };
        let gauges = Gauges {
            max: next(),
            size: 0,
            creating: next(),
            idle: next(),
            checking: next(),
            offered: next(),
            in_use: next(),
            resetting: next(),
            retired: next(),
            closing: next(),
            waiting: next(),
            pending: next(),
        };
        let mut next = || u64::from(next());
        let counters = Counters {
            started: next(),
            direct: next(),
            waited: next(),
            batched: next(),
            timed_out: next(),
            cancelled: next(),
            failed: next(),
            refused: next(),
            closed: next(),
            missed: next(),
            offers_missed: next(),
            released: next(),
            discarded: next(),
            taken: next(),
            expired: next(),
            stale: next(),
            adopted: next(),
            creations: next(),
            created: next(),
            create_failed: next(),
            create_abandoned: next(),
            checks: next(),
            check_failed: next(),
            resets: next(),
            reset_failed: next(),
            retired_idle: next(),
            retired_aged: next(),
            retired_used: next(),
            retired_invalidated: next(),
            retired_surplus: next(),
            retired_closed: next(),
            late: next(),
            rejected: next(),
            removed: next(),
        };
        (Stats { gauges, counters, ..Stats::default() }, u64::from(last))
    }

    fn text(pools: &[(&str, &Stats)]) -> String {
        let mut text = String::new();
        write(&mut text, pools.iter().copied()).expect("a string takes everything");
        text
    }

    /// The samples of a pool `p` whose name is wanted, each after a line end.
    fn samples(stats: &Stats, wanted: fn(&str) -> bool) -> String {
        let text = text(&[("p", stats)]);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let wanted =
            samples.filter(|line| line.split_once('{').is_some_and(|(name, _)| wanted(name)));
        wanted.flat_map(|line| ["\n", line]).collect()
    }

    fn with_waits(waits: &Histogram) -> String {
        text(&[("p", &Stats { waits: waits.clone(), ..Stats::default() })])
    }

    /// The value of the only sample with these words before its value.
    fn value<'a>(text: &'a str, sample: &str) -> &'a str {
        let values = text.lines().filter_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        let [value] = values.collect::<Vec<_>>()[..] else {
            panic!("{sample} does not stand once in\n{text}");
        };
        value
    }

    #[test]
    fn every_number_of_a_pool_is_told_once() {
        let (stats, last) = numbered();
        let text = text(&[("p", &stats)]);
        for number in 1_001..=last {
            let told = text.lines().filter(|line| line.ends_with(&format!(" {number}"))).count();
            assert_eq!(told, 1, "{number} in {stats:?}\n{text}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn a_gauge_has_the_number_that_its_name_says() {
        let (stats, _) = numbered();
        let Gauges {
            max, size: _, creating, idle, checking, offered, in_use, resetting, retired, closing,
            waiting, pending,
        } = stats.gauges;
        let expected = format!(
            r#"
edgepool_connections{{pool="p",state="creating"}} {creating}
edgepool_connections{{pool="p",state="idle"}} {idle}
edgepool_connections{{pool="p",state="checking"}} {checking}
edgepool_connections{{pool="p",state="offered"}} {offered}
edgepool_connections{{pool="p",state="in_use"}} {in_use}
edgepool_connections{{pool="p",state="resetting"}} {resetting}
edgepool_connections{{pool="p",state="retired"}} {retired}
edgepool_connections{{pool="p",state="closing"}} {closing}
edgepool_max_connections{{pool="p"}} {max}
edgepool_waiting{{pool="p"}} {waiting}
edgepool_pending{{pool="p"}} {pending}"#
        );
        let is_gauge = |name: &str| !name.ends_with("_total") && !name.contains("_seconds_");
        assert_eq!(samples(&stats, is_gauge), expected);
    }

    #[test]
    #[rustfmt::skip]
    fn a_counter_has_the_number_that_its_name_says() {
        let (stats, _) = numbered();
        let Counters {
            started, direct, waited, timed_out, cancelled, failed, refused, closed, missed,
            offers_missed, released, discarded, taken, expired, stale, adopted,
            creations, created, create_failed, create_abandoned, batched, checks, check_failed,
            resets, reset_failed, retired_idle, retired_aged, retired_used, retired_invalidated,
            retired_surplus, retired_closed, late, rejected, removed,
        } = stats.counters;
        let expected = format!(
            r#"
edgepool_acquires_started_total{{pool="p"}} {started}
edgepool_acquires_total{{pool="p",outcome="direct"}} {direct}
edgepool_acquires_total{{pool="p",outcome="waited"}} {waited}
edgepool_acquires_total{{pool="p",outcome="timed_out"}} {timed_out}
edgepool_acquires_total{{pool="p",outcome="cancelled"}} {cancelled}
edgepool_acquires_total{{pool="p",outcome="failed"}} {failed}
edgepool_acquires_total{{pool="p",outcome="refused"}} {refused}
edgepool_acquires_total{{pool="p",outcome="closed"}} {closed}
edgepool_acquires_total{{pool="p",outcome="missed"}} {missed}
edgepool_leases_batched_total{{pool="p"}} {batched}
edgepool_offers_missed_total{{pool="p"}} {offers_missed}
edgepool_leases_ended_total{{pool="p",outcome="released"}} {released}
edgepool_leases_ended_total{{pool="p",outcome="discarded"}} {discarded}
edgepool_leases_ended_total{{pool="p",outcome="taken"}} {taken}
edgepool_leases_ended_total{{pool="p",outcome="expired"}} {expired}
edgepool_stale_operations_total{{pool="p"}} {stale}
edgepool_connections_adopted_total{{pool="p"}} {adopted}
edgepool_creations_started_total{{pool="p"}} {creations}
edgepool_creations_total{{pool="p",outcome="created"}} {created}
edgepool_creations_total{{pool="p",outcome="failed"}} {create_failed}
edgepool_creations_total{{pool="p",outcome="abandoned"}} {create_abandoned}
edgepool_checks_started_total{{pool="p"}} {checks}
edgepool_checks_failed_total{{pool="p"}} {check_failed}
edgepool_resets_started_total{{pool="p"}} {resets}
edgepool_resets_failed_total{{pool="p"}} {reset_failed}
edgepool_connections_retired_total{{pool="p",reason="idle"}} {retired_idle}
edgepool_connections_retired_total{{pool="p",reason="aged"}} {retired_aged}
edgepool_connections_retired_total{{pool="p",reason="used"}} {retired_used}
edgepool_connections_retired_total{{pool="p",reason="invalidated"}} {retired_invalidated}
edgepool_connections_retired_total{{pool="p",reason="surplus"}} {retired_surplus}
edgepool_connections_retired_total{{pool="p",reason="closed"}} {retired_closed}
edgepool_connections_retired_total{{pool="p",reason="late"}} {late}
edgepool_connections_retired_total{{pool="p",reason="rejected"}} {rejected}
edgepool_connections_removed_total{{pool="p"}} {removed}"#
        );
        assert_eq!(samples(&stats, |name| name.ends_with("_total")), expected);
    }

    #[test]
    fn a_family_holds_the_samples_of_every_pool() {
        let stats = Stats::default();
        let names = ["b", "a", "c"];
        let text = text(&names.map(|name| (name, &stats)));
        let waiting = names.map(|name| format!("edgepool_waiting{{pool=\"{name}\"}} 0\n"));
        assert!(text.contains(&waiting.concat()), "{text}");
    }

    #[test]
    fn without_a_pool_no_sample_is_told() {
        let text = text(&[]);
        assert!(text.lines().all(|line| line.starts_with("# ")), "{text}");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
    }

    #[test]
    fn what_a_label_may_not_hold_as_it_is_is_escaped() {
        let stats = Stats::default();
        let text = text(&[("a\"b\\c\nd{é}", &stats)]);
        let escaped = r#"edgepool_waiting{pool="a\"b\\c\nd{é}"} 0"#;
        assert!(text.lines().any(|line| line == escaped), "{text}");
    }

    #[test]
    fn every_bound_of_the_ladder_is_one_of_the_histogram() {
        let empty = Histogram::new();
        for power in LADDER {
            let bound = Duration::from_micros(1 << power);
            assert!(empty.buckets().any(|(found, _)| found == bound), "{bound:?}");
        }
    }

    #[test]
    fn a_bucket_counts_all_that_is_not_above_its_bound() {
        let least = Duration::from_micros(256);
        let most = least * (1 << 20);
        let nano = Duration::from_nanos(1);
        let mut waits = Histogram::new();
        for duration in [Duration::ZERO, least, least + nano, most, most + nano, most * 100] {
            waits.record(duration);
        }
        let text = with_waits(&waits);
        let below =
            |le| value(&text, &format!("edgepool_wait_seconds_bucket{{pool=\"p\",le={le}}}"));
        assert_eq!(["\"0.000256\"", "\"0.000512\"", "\"1.048576\""].map(below), ["2", "3", "3"]);
        assert_eq!(["\"134.217728\"", "\"268.435456\"", "\"+Inf\""].map(below), ["3", "4", "6"]);
        let buckets = text.lines().filter(|line| line.starts_with("edgepool_wait_seconds_bucket{"));
        assert_eq!(buckets.count(), 22);
    }

    #[test]
    fn the_sum_is_exact_in_seconds() {
        let mut waits = Histogram::new();
        for seconds in [1, 4_000_000_000] {
            waits.record(Duration::new(seconds, 1));
        }
        let text = with_waits(&waits);
        let sum = value(&text, r#"edgepool_wait_seconds_sum{pool="p"}"#);
        assert_eq!(sum, "4000000001.000000002");
        assert_eq!(value(&text, r#"edgepool_wait_seconds_count{pool="p"}"#), "2");
        assert_eq!(value(&text, r#"edgepool_hold_seconds_sum{pool="p"}"#), "0.000000000");
        assert_eq!(value(&text, r#"edgepool_hold_seconds_count{pool="p"}"#), "0");
    }
}

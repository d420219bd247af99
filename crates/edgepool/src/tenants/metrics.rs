//! What tenants had as OpenMetrics text, by no more names than one has asked for.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;

use super::entry::Entry;
use super::factory::TenantFactory;
use super::id::TenantId;
use super::pools::TenantPools;
use super::stats::{Totals, Usage};
use crate::openmetrics::Escaped;
use crate::{Clock, Time};

/// Whom the samples of all other tenants name. It is no id, so that no tenant can be called so.
const OTHERS: &str = "_others";

/// Tells what tenants had, for whatever scrapes OpenMetrics, with a bounded number of time series:
/// those tenants that had most leases by their names, and all the others together as the tenant
/// `_others`.
///
/// Keep one of them for as long as the pools are scraped. Who had most changes, and a counter must
/// not run backwards where it does: what was counted for the others once stays theirs, and a tenant
/// that is named from now on counts from 0. Each event is counted once, so that what a counter grew by
/// adds up over all tenants. At the first scrape all counts are told under the names that are there
/// then. Pools that were made anew are told under the name of the old ones as a counter that was
/// reset, which is how a restart looks to a scraper.
///
/// Connections of a pool that tenants share are nobody's while they are idle or checked: the others
/// have them.
///
/// The families, each with the labels `pools`, the name given, and `tenant`:
///
/// | family | what it says |
/// |---|---|
/// | `edgepool_tenant_connections` | gauge by `state`: `in_use`, `idle` |
/// | `edgepool_tenant_waiting` | gauge: its callers that wait |
/// | `edgepool_tenant_longest_wait_seconds` | gauge: the longest wait of one that was served |
/// | `edgepool_tenant_accesses` | counter: how often a caller came |
/// | `edgepool_tenant_acquires` | counter by `outcome`; their sum is how many have ended |
/// | `edgepool_tenant_leases_ended` | counter: leases that ended |
/// | `edgepool_tenant_wait_seconds` | counter: the waits of those that were served, together |
/// | `edgepool_tenant_health_failures` | counter: checks and resets that failed |
///
/// `edgepool_tenants` and `edgepool_tenant_pools` have no tenant: how many are known, and have a pool.
///
/// # Examples
///
/// ```
/// # use edgepool::tenants::{Strategy, TenantFactory, TenantPools};
/// # use edgepool::{Begun, BoxFactory, NoJob, StdClock, Tried, boxed, factory_fn};
/// use edgepool::openmetrics;
/// use edgepool::tenants::TenantMetrics;
/// # struct Numbers;
/// # impl TenantFactory for Numbers {
/// #     type Connection = u32;
/// #     type Error = std::io::Error;
/// #     type Factory = BoxFactory<u32, std::io::Error>;
/// #     type Enter = NoJob<Tried<u32, std::io::Error>>;
/// #     fn factory(&self, _: Option<&edgepool::tenants::Entry>) -> Self::Factory {
/// #         boxed(factory_fn(|| async { Ok(1) }))
/// #     }
/// #     fn enter(
/// #         &self, number: u32, _: &edgepool::tenants::Entry,
/// #     ) -> Begun<Tried<u32, std::io::Error>, Self::Enter> {
/// #         Begun::Done(Ok(number))
/// #     }
/// # }
/// # let pools = TenantPools::builder(Numbers, StdClock).strategy(Strategy::per_tenant()).build()?;
/// # drop(futures::executor::block_on(async { pools.acquire("acme").await })?);
///
/// let mut metrics = TenantMetrics::new(20);
/// // At each scrape:
/// let mut text = String::new();
/// metrics.collect("main", &pools);
/// metrics.write(&mut text)?;
/// openmetrics::write(&mut text, [])?; // The statistics of other pools, if any, and the end.
///
/// let acquired = "edgepool_tenant_acquires_total{pools=\"main\",tenant=\"acme\",outcome=\"acquired\"} 1\n";
/// assert!(text.contains(acquired), "{text}");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TenantMetrics {
    most: usize,
    scrapes: BTreeMap<String, Scrape>,
    /// What is to be written, by the name of the pools.
    collected: BTreeMap<String, Told>,
}

impl TenantMetrics {
    /// Names at most so many tenants in each of the pools of tenants; with 0 all are the others.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, scrapes: BTreeMap::new(), collected: BTreeMap::new() }
    }

    /// Takes in what the tenants of these pools had, to be written next under a name, which is the
    /// label `pools` of all samples. Pools of any kind can be collected for one text, each under a
    /// name of its own; what was collected under that before is told no more.
    ///
    /// It takes as long as there are tenants that are known by now.
    pub fn collect<T: TenantFactory, C: Clock + Clone>(
        &mut self,
        name: &str,
        pools: &TenantPools<T, C>,
    ) {
        // The sums come later, so that nothing of a tenant is missing in them.
        let all = pools.stats_all();
        let totals = pools.totals();
        let scrape = self.scrapes.entry(name.to_owned()).or_default();
        let rows = scrape.tell(self.most, &totals.usage, all);
        self.collected.insert(name.to_owned(), Told { totals, rows });
    }

    /// Writes what was collected since it was written last. The end is not written:
    /// [`openmetrics::write`](crate::openmetrics::write) comes last.
    ///
    /// # Errors
    ///
    /// The writer failed; a `String` does not. The next scrape tells all the same how things stand.
    pub fn write(&mut self, out: &mut impl Write) -> fmt::Result {
        write_all(out, &std::mem::take(&mut self.collected))
    }
}

/// What is told of some pools: how they stand, and a row for each tenant.
#[derive(Clone, Debug)]
struct Told {
    totals: Totals,
    rows: Vec<Row>,
}

/// The numbers of all counters, in the order of [`COUNTERS`]; durations in nanoseconds.
type Counts = [u128; 10];

/// What is told of a tenant, or of all the others.
#[derive(Clone, Debug)]
struct Row {
    tenant: Arc<str>,
    usage: Usage,
    counts: Counts,
}

/// What was told before, which what is told next goes on from.
#[derive(Clone, Debug, Default)]
struct Scrape {
    /// Whether anything was told.
    is_begun: bool,
    named: BTreeMap<TenantId, Named>,
    /// What was counted under names that are not there any more.
    past: Counts,
    /// What was told of the others.
    others: Counts,
    /// What all had.
    total: Counts,
}

/// A tenant that is told by its name.
#[derive(Clone, Debug)]
struct Named {
    /// When it came: who was forgotten and came again counts anew.
    opened_at: Time,
    /// What it had when it got its name here, which was counted for the others.
    before: Counts,
    /// What was counted under its name.
    told: Counts,
}

impl Scrape {
    fn tell(&mut self, most: usize, total: &Usage, mut all: Vec<(Arc<Entry>, Usage)>) -> Vec<Row> {
        let now = counts_of(total);
        if now.iter().zip(&self.total).any(|(now, before)| now < before) {
            // These are other pools than those that had the name before.
            *self = Self::default();
        }
        self.total = now;
        all.sort_by(|(a, of_a), (b, of_b)| {
            let more = of_b.callers.acquired.cmp(&of_a.callers.acquired);
            more.then_with(|| a.id().cmp(b.id()))
        });
        let rest = all.split_off(most.min(all.len()));
        self.forget_all_but(&all);
        let mut rows: Vec<_> = all.iter().map(|(entry, usage)| self.name(entry, usage)).collect();
        rows.push(self.sum(total, &all, &rest));
        self.is_begun = true;
        rows
    }

    /// Takes their names from those that are not among the first any more.
    fn forget_all_but(&mut self, first: &[(Arc<Entry>, Usage)]) {
        let came: BTreeMap<_, _> =
            first.iter().map(|(entry, usage)| (entry.id(), usage.callers.opened_at)).collect();
        let past = &mut self.past;
        self.named.retain(|id, named| {
            let stays = came.get(id) == Some(&named.opened_at);
            if !stays {
                add(past, &named.told);
            }
            stays
        });
    }

    fn name(&mut self, entry: &Entry, usage: &Usage) -> Row {
        let now = counts_of(usage);
        let before = if self.is_begun { now } else { Counts::default() };
        let opened_at = usage.callers.opened_at;
        let named = self.named.entry(entry.id().clone());
        let named = named.or_insert_with(|| Named { opened_at, before, told: Counts::default() });
        named.told = less(&now, &named.before);
        Row { tenant: entry.id().as_str().into(), usage: *usage, counts: named.told }
    }

    /// Makes the row of the others: how those stand that have no name, and what nobody's name had.
    fn sum(
        &mut self,
        total: &Usage,
        first: &[(Arc<Entry>, Usage)],
        rest: &[(Arc<Entry>, Usage)],
    ) -> Row {
        let mut usage = Usage::default();
        rest.iter().for_each(|(_, one)| usage.add(one));
        let idle = first.iter().map(|(_, one)| one.idle).sum();
        usage.idle = total.idle.saturating_sub(idle);
        let mut named = self.past;
        self.named.values().for_each(|one| add(&mut named, &one.told));
        // The sums are a moment younger than what the tenants had: what one has had in between is
        // told of the others too, and their counter waits until they have caught up.
        let counts = less(&self.total, &named);
        for (told, now) in self.others.iter_mut().zip(counts) {
            *told = now.max(*told);
        }
        Row { tenant: OTHERS.into(), usage, counts: self.others }
    }
}

fn add(sum: &mut Counts, more: &Counts) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

fn less(all: &Counts, some: &Counts) -> Counts {
    std::array::from_fn(|at| all[at].saturating_sub(some[at]))
}

type Get = fn(&Usage) -> u128;

/// A metric family: its name, what is said of it, and its samples, each with the value of its label
/// if it has one.
struct Family {
    name: &'static str,
    help: &'static str,
    label: Option<&'static str>,
    samples: &'static [(&'static str, Get)],
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    One,
    /// Read in nanoseconds, told in seconds.
    Seconds,
}

const GAUGES: [Family; 3] = [
    Family {
        name: "edgepool_tenant_connections",
        help: "Connections of a tenant: lent to it, or idle in a pool of its own.",
        label: Some("state"),
        samples: &[
            ("in_use", |usage| usage.callers.in_use.into()),
            ("idle", |usage| usage.idle.into()),
        ],
        unit: Unit::One,
    },
    Family {
        name: "edgepool_tenant_waiting",
        help: "Callers of a tenant that wait.",
        label: None,
        samples: &[("", |usage| usage.callers.waiting.into())],
        unit: Unit::One,
    },
    Family {
        name: "edgepool_tenant_longest_wait_seconds",
        help: "The longest that a caller of a tenant waited who was served.",
        label: None,
        samples: &[("", |usage| usage.callers.longest_wait.as_nanos())],
        unit: Unit::Seconds,
    },
];

const COUNTERS: [Family; 5] = [
    Family {
        name: "edgepool_tenant_accesses",
        help: "How often a caller of a tenant came.",
        label: None,
        samples: &[("", |usage| usage.accesses.into())],
        unit: Unit::One,
    },
    Family {
        name: "edgepool_tenant_acquires",
        help: "Acquires of a tenant that ended: with a lease, or why not.",
        label: Some("outcome"),
        samples: &[
            ("acquired", |usage| usage.callers.acquired.into()),
            ("timed_out", |usage| usage.callers.timed_out.into()),
            ("cancelled", |usage| usage.callers.cancelled.into()),
            ("failed", |usage| usage.callers.failed.into()),
            ("refused", |usage| usage.callers.refused.into()),
            ("ended", |usage| usage.callers.ended.into()),
        ],
        unit: Unit::One,
    },
    Family {
        name: "edgepool_tenant_leases_ended",
        help: "Leases of a tenant that ended.",
        label: None,
        samples: &[("", |usage| usage.callers.released.into())],
        unit: Unit::One,
    },
    Family {
        name: "edgepool_tenant_wait_seconds",
        help: "How long those callers of a tenant waited together who were served.",
        label: None,
        samples: &[("", |usage| usage.callers.total_wait.as_nanos())],
        unit: Unit::Seconds,
    },
    Family {
        name: "edgepool_tenant_health_failures",
        help: "Checks and resets that failed in a tenant's pools; in a pool for all, the others'.",
        label: None,
        samples: &[("", |usage| usage.health_failures.into())],
        unit: Unit::One,
    },
];

fn counts_of(usage: &Usage) -> Counts {
    let mut all = COUNTERS.iter().flat_map(|family| family.samples);
    std::array::from_fn(|_| all.next().map_or(0, |(_, get)| get(usage)))
}

fn write_all(out: &mut impl Write, told: &BTreeMap<String, Told>) -> fmt::Result {
    write_head(out, "edgepool_tenants", "gauge", "Tenants that are known by now.", Unit::One)?;
    for (pools, Told { totals, .. }) in told {
        writeln!(out, "edgepool_tenants{{pools=\"{}\"}} {}", Escaped(pools), totals.tenants)?;
    }
    let help = "Tenants that have a pool, or a share of the one for all.";
    write_head(out, "edgepool_tenant_pools", "gauge", help, Unit::One)?;
    for (pools, Told { totals, .. }) in told {
        writeln!(out, "edgepool_tenant_pools{{pools=\"{}\"}} {}", Escaped(pools), totals.pools)?;
    }
    for family in &GAUGES {
        family.write(out, "gauge", told, |row, at| (family.samples[at].1)(&row.usage))?;
    }
    let mut first = 0;
    for family in &COUNTERS {
        family.write(out, "counter", told, |row, at| row.counts[first + at])?;
        first += family.samples.len();
    }
    Ok(())
}

fn write_head(out: &mut impl Write, name: &str, kind: &str, help: &str, unit: Unit) -> fmt::Result {
    writeln!(out, "# TYPE {name} {kind}")?;
    if unit == Unit::Seconds {
        writeln!(out, "# UNIT {name} seconds")?;
    }
    writeln!(out, "# HELP {name} {help}")
}

impl Family {
    fn write(
        &self,
        out: &mut impl Write,
        kind: &str,
        told: &BTreeMap<String, Told>,
        value: impl Fn(&Row, usize) -> u128,
    ) -> fmt::Result {
        let Self { name, help, label, samples, unit } = self;
        let suffix = if kind == "counter" { "_total" } else { "" };
        write_head(out, name, kind, help, *unit)?;
        for (pools, Told { rows, .. }) in told {
            for row in rows {
                for (at, (state, _)) in samples.iter().enumerate() {
                    write!(out, "{name}{suffix}{{pools=\"{}\",", Escaped(pools))?;
                    write!(out, "tenant=\"{}\"", row.tenant)?;
                    if let Some(label) = label {
                        write!(out, ",{label}=\"{state}\"")?;
                    }
                    write_value(out, value(row, at), *unit)?;
                }
            }
        }
        Ok(())
    }
}

fn write_value(out: &mut impl Write, value: u128, unit: Unit) -> fmt::Result {
    match unit {
        Unit::One => writeln!(out, "}} {value}"),
        Unit::Seconds => {
            writeln!(out, "}} {}.{:09}", value / 1_000_000_000, value % 1_000_000_000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Share;
    use crate::tenants::{Strategy, TenantConfig};

    /// Tenants that come, acquire and are forgotten, as the pools would tell of them.
    #[derive(Default)]
    struct World {
        tenants: BTreeMap<u64, Usage>,
        past: Usage,
        steps: u64,
    }

    impl World {
        /// Draws a number below `n`, by splitmix64.
        const fn below(&mut self, n: u64) -> u64 {
            self.steps += 1;
            let mut z = self.steps.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) % n
        }

        fn live(&mut self) {
            for _ in 0..self.below(20) {
                let number = self.below(30);
                if self.below(10) == 0 {
                    if let Some(usage) = self.tenants.remove(&number) {
                        self.past.add(&usage);
                    }
                    continue;
                }
                let (more, waited, now) = (self.below(50), self.below(1_000), self.steps);
                let usage = self.tenants.entry(number).or_default();
                if usage.accesses == 0 {
                    usage.callers.opened_at = Time::from_nanos(now);
                }
                usage.accesses += more;
                usage.callers.acquired += more;
                usage.callers.timed_out += more / 7;
                usage.callers.total_wait += std::time::Duration::from_nanos(waited);
            }
        }

        fn total(&self) -> Usage {
            let mut total = self.past;
            self.tenants.values().for_each(|one| total.add(one));
            total
        }

        fn all(&self) -> Vec<(Arc<Entry>, Usage)> {
            let entry = |number| {
                let id = TenantId::new(&format!("t{number}")).unwrap();
                let strategy = Strategy::shared();
                Entry::new(id, &TenantConfig::new(), strategy, Share::new()).unwrap()
            };
            self.tenants.iter().map(|(number, usage)| (Arc::new(entry(number)), *usage)).collect()
        }
    }

    #[test]
    fn who_has_a_name_changes_and_every_event_is_counted_once() {
        let (mut world, mut scrape) = (World::default(), Scrape::default());
        // What a counter grew by at each scrape; one that was not there before grew from 0.
        let (mut last, mut grown) = (BTreeMap::<Arc<str>, Counts>::new(), Counts::default());
        let mut names = 0;
        for _ in 0..2_000 {
            world.live();
            let rows = scrape.tell(5, &world.total(), world.all());
            assert_eq!(rows.len(), world.tenants.len().min(5) + 1, "the others have a row");
            let least = rows.iter().rev().nth(1).map_or(0, |row| row.usage.callers.acquired);
            let named: Vec<_> = rows.iter().map(|row| Arc::clone(&row.tenant)).collect();
            for (number, usage) in &world.tenants {
                let is_named = named.contains(&format!("t{number}").into());
                assert!(is_named || usage.callers.acquired <= least, "t{number} had more");
            }
            let mut now = BTreeMap::new();
            for row in rows {
                let before = last.remove(&row.tenant).unwrap_or_else(|| {
                    names += 1;
                    Counts::default()
                });
                let restarts = row.counts.iter().zip(before).any(|(now, before)| *now < before);
                let since = if restarts { Counts::default() } else { before };
                assert!(!restarts || *row.tenant != *OTHERS, "the others run backwards");
                add(&mut grown, &less(&row.counts, &since));
                now.insert(row.tenant, row.counts);
            }
            last = now;
            assert_eq!(grown, counts_of(&world.total()));
        }
        assert!(names > 100, "{names} names came");
    }

    #[test]
    fn pools_that_were_made_anew_are_counted_from_their_beginning() {
        let mut scrape = Scrape::default();
        let has = |acquired| {
            let mut usage = Usage::default();
            usage.callers.acquired = acquired;
            usage
        };
        for acquired in [7, 2, 5] {
            let rows = scrape.tell(5, &has(acquired), Vec::new());
            assert_eq!(rows[0].counts, counts_of(&has(acquired)));
        }
    }

    #[test]
    fn every_counter_has_a_number() {
        let samples: usize = COUNTERS.iter().map(|family| family.samples.len()).sum();
        assert_eq!(samples, Counts::default().len());
    }
}

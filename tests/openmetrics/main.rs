//! The statistics of pools as text: that it keeps the rules of the format, and that its sums are
//! what the documentation says.

use std::collections::BTreeSet;

use edgepool::tenants::{Entry, Strategy, TenantFactory, TenantMetrics, TenantPools};
use edgepool::{Begun, NoJob, Stats, Tried, openmetrics};
use edgepool_sim::{Executor, SimClock, SimConnection, SimError, SimFactory};
use edgepool_tests::{Setup, Waiter, ms};

/// Makes simulated connections for every tenant.
struct Bank(SimClock);

impl TenantFactory for Bank {
    type Connection = SimConnection;
    type Error = SimError;
    type Factory = SimFactory;
    type Enter = NoJob<Tried<SimConnection, SimError>>;

    fn factory(&self, _: Option<&Entry>) -> SimFactory {
        SimFactory::new(&self.0, 1)
    }

    fn enter(
        &self,
        connection: SimConnection,
        _: &Entry,
    ) -> Begun<Tried<SimConnection, SimError>, Self::Enter> {
        Begun::Done(Ok(connection))
    }
}

/// Has each tenant acquire a connection so often.
fn tenants(uses: &[(&str, u32)]) -> TenantPools<Bank, SimClock> {
    let clock = SimClock::new();
    let pools = TenantPools::builder(Bank(clock.clone()), clock.clone());
    let pools = pools.strategy(Strategy::per_tenant()).build().expect("they are in range");
    for &(tenant, times) in uses {
        for _ in 0..times {
            let (pools, tenant) = (pools.clone(), tenant.to_owned());
            let used = async move { pools.acquire(&tenant).await.map(drop) };
            Executor::new(&clock, 1).block_on(used).expect("there is room");
        }
    }
    pools
}

fn text(pools: &[(&str, &Stats)]) -> String {
    text_with(&mut TenantMetrics::new(0), &[], pools)
}

fn text_with(
    metrics: &mut TenantMetrics,
    tenants: &[(&str, &TenantPools<Bank, SimClock>)],
    pools: &[(&str, &Stats)],
) -> String {
    let mut text = String::new();
    tenants.iter().for_each(|(name, pools)| metrics.collect(name, pools));
    metrics.write(&mut text).expect("a string takes everything");
    openmetrics::write(&mut text, pools.iter().copied()).expect("a string takes everything");
    text
}

/// A pool with a lease out and one caller waiting, and one that was served and one that was not.
fn used() -> Stats {
    let setup = Setup::with(|pool| pool.max(1).max_waiting(1).acquire_timeout(ms(10)));
    drop(setup.lease());
    let _lease = setup.lease();
    let _waiting = Waiter::queued(&setup.pool);
    assert!(Waiter::new(&setup.pool).ready().is_err(), "the queue is full");
    setup.pool.stats()
}

/// Adds up the samples of this name.
fn sum(text: &str, name: &str) -> u64 {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let values = samples.filter_map(|sample| sample.rsplit_once(' ')?.1.parse::<u64>().ok());
    values.sum()
}

#[test]
fn the_sums_of_a_family_are_what_the_documentation_says() {
    let stats = used();
    let text = text(&[("p", &stats)]);
    let gauges = stats.gauges;
    assert_eq!((gauges.size, gauges.in_use, gauges.waiting), (1, 1, 1));
    assert_eq!(sum(&text, "edgepool_connections"), gauges.size.into());

    let (started, ended) = ("edgepool_acquires_started_total", "edgepool_acquires_total");
    assert_eq!((sum(&text, started), sum(&text, ended)), (4, 3));
    let (started, ended) = ("edgepool_creations_started_total", "edgepool_creations_total");
    assert_eq!((sum(&text, started), sum(&text, ended)), (1, 1));
    assert_eq!(sum(&text, "edgepool_leases_ended_total"), 1);
}

/// A family as its first lines declare it.
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
}

impl Family<'_> {
    /// Tells whether a sample of this name belongs to it.
    fn has(&self, sample: &str) -> bool {
        let suffixes: &[&str] = match self.kind {
            "gauge" => &[""],
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            kind => panic!("{kind} is no type"),
        };
        sample.strip_prefix(self.name).is_some_and(|suffix| suffixes.contains(&suffix))
    }
}

/// Asserts that the labels are in quotes, with whatever they hold escaped, and counts them.
fn count_labels(labels: &str) -> usize {
    let mut rest = labels;
    for count in 1.. {
        let (name, value) = rest.split_once("=\"").expect("a label has a value");
        assert!(name.chars().all(|char| char.is_ascii_lowercase() || char == '_'), "{name}");
        let mut escaped = false;
        let end = value.find(|char| {
            let ends = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            ends
        });
        match value[end.expect("a value ends") + 1..].strip_prefix(',') {
            Some(more) => rest = more,
            None => return count,
        }
    }
    unreachable!("a line ends")
}

#[test]
fn the_text_keeps_the_rules_of_the_format() {
    let odd = "a \"b\" {c=\"d\"} \\e\\n \n é,\\";
    let (used, new) = (used(), Stats::default());
    let tenants = tenants(&[("acme", 1), ("globex", 2)]);
    let mut metrics = TenantMetrics::new(1);
    let named = [("main", &tenants), (odd, &tenants)];
    let text = text_with(&mut metrics, &named, &[("new", &new), (odd, &used)]);
    let lines = text.strip_suffix("\n# EOF\n").expect("it says where it ends").lines();
    let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
    let mut family = Family { name: "", kind: "" };
    for line in lines {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').expect("a name has a type");
            assert!(families.insert(name), "{name} is declared twice");
            family = Family { name, kind };
        } else if let Some(about) = line.strip_prefix("# ") {
            let (what, rest) = about.split_once(' ').expect("it says what it is");
            let (name, told) = rest.split_once(' ').expect("it says of what it is");
            assert!(["HELP", "UNIT"].contains(&what) && name == family.name, "{line}");
            assert!(what == "HELP" || name.ends_with(&format!("_{told}")), "{line}");
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a sample has a value");
            let (name, labels) = sample.split_once('{').expect("a sample has labels");
            assert!(family.has(name), "{line} does not belong to {}", family.name);
            let labels = labels.strip_suffix('}').expect("the labels end");
            assert!((1..=3).contains(&count_labels(labels)), "{line}");
            assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{line}");
            assert!(samples.insert(sample), "{line} stands there twice");
        }
    }
    assert!(families.len() > 10 && samples.len() > 2 * families.len(), "{text}");
}

#[test]
fn tenants_beyond_those_that_had_most_are_summed() {
    let pools = tenants(&[("acme", 1), ("globex", 3), ("initech", 2), ("umbrella", 1)]);
    let mut metrics = TenantMetrics::new(2);
    let has = |text: &str, tenant: &str, count: u32| {
        let sample = "edgepool_tenant_acquires_total{pools=\"main\"";
        let sample = format!("{sample},tenant=\"{tenant}\",outcome=\"acquired\"}} {count}\n");
        assert!(text.contains(&sample), "{sample}{text}");
    };
    for _ in 0..2 {
        let text = text_with(&mut metrics, &[("main", &pools)], &[]);
        [("globex", 3), ("initech", 2), ("_others", 2)]
            .iter()
            .for_each(|&(tenant, count)| has(&text, tenant, count));
        assert!(!text.contains("acme") && !text.contains("umbrella"), "{text}");
        assert!(text.contains("edgepool_tenants{pools=\"main\"} 4\n"), "{text}");
        assert_eq!(sum(&text, "edgepool_tenant_acquires_total"), 7);
    }
}

//! Tenants that want more than there is: who waits for how long, and who is served how often.

use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use edgepool::{Lease, Share, StdClock, Tenant};
use futures::FutureExt;
use futures::future::join_all;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::*;
use crate::Contender;
use crate::contenders::{Maker, Permitted};
use crate::harness::{filled, one_thread, run};

/// How long a connection is held each time.
const HOLD: Duration = Duration::from_millis(1);
/// How long the tenants ask.
const LASTS: Duration = Duration::from_secs(1);

/// A tenant: its weight, how many callers it has, and for how long each of them rests between.
#[derive(Clone, Copy)]
struct Load {
    weight: u32,
    callers: usize,
    rest: Duration,
}

const LIGHT: Load = Load { weight: 1, callers: 4, rest: Duration::from_millis(2) };
const LOUD: Load = Load { weight: 1, callers: 400, rest: Duration::ZERO };
const SINGLE: Load = Load { weight: 1, callers: 70, rest: Duration::ZERO };
const WEIGHTED: [Load; 3] = [SINGLE, Load { weight: 2, ..SINGLE }, Load { weight: 4, ..SINGLE }];

const BESIDE: &str = "8 connections, each held for a millisecond at a time, for a second. A tenant \
                      of 400 callers asks without a rest; the light one has 4 callers, who rest 2 \
                      ms between.";
const SERVED: &str = "7 connections, each held for a millisecond at a time, for a second. Three \
                      tenants of the weights 1, 2 and 4 have 70 callers each, who ask without a \
                      rest. The upright line is what the weight says.";

const HEADS: [Head; 7] = [
    milliseconds("fair-p50", "a light tenant's wait beside a loud one, median", BESIDE),
    milliseconds("fair-p99", "a light tenant's wait beside a loud one, 99th percentile", BESIDE),
    percent("fair-share-1", "served of the tenant of weight 1", SERVED),
    percent("fair-share-2", "served of the tenant of weight 2", SERVED),
    percent("fair-share-4", "served of the tenant of weight 4", SERVED),
    Head {
        id: "fair-jain",
        title: "Jain's index of what is served by weight",
        unit: "index",
        about: "Of the same three: 1 if each is served as its weight says, a third if only one is \
                served at all.",
    },
    Head {
        id: "fair-alone",
        title: "connections that the tenant of weight 1 gets while the others rest",
        unit: "connections",
        about: "Of the same 7: what nobody else wants should not lie idle.",
    },
];

const fn milliseconds(id: &'static str, title: &'static str, about: &'static str) -> Head {
    Head { id, title, unit: "ms", about }
}

const fn percent(id: &'static str, title: &'static str, about: &'static str) -> Head {
    Head { id, title, unit: "%", about }
}

pub(super) fn group() -> Group {
    let runtime = one_thread();
    let entries = vec![
        Entry::whole(BY_WEIGHT, by_weight),
        entry::<Shares>(&runtime),
        entry::<FirstCome>(&runtime),
        entry::<Parts>(&runtime),
    ];
    Group { heads: HEADS.into(), entries, sliced: true }
}

/// What the weights say, of what they say something.
const BY_WEIGHT: About = About {
    id: "bound",
    name: "as the weights say",
    package: None,
    settings: "what is due to each tenant, by its weight",
};

fn by_weight() -> Vec<f64> {
    let due = |load: &Load| 100.0 * f64::from(load.weight) / f64::from(total(&WEIGHTED));
    let [one, two, four] = WEIGHTED.each_ref().map(due);
    vec![f64::NAN, f64::NAN, one, two, four, 1.0, f64::NAN]
}

fn total(loads: &[Load]) -> u32 {
    loads.iter().map(|load| load.weight).sum()
}

/// A way to share connections among tenants.
trait Sharing: Sized + 'static {
    const ABOUT: About;
    type Lease<'a>;

    /// Opens so many connections for tenants.
    async fn open(size: u32, loads: &[Load]) -> Self;

    /// Waits for a connection for a tenant.
    fn get(&self, tenant: usize) -> impl Future<Output = Self::Lease<'_>>;
}

/// One pool that knows its tenants.
struct Shares {
    pool: Edgepool,
    tenants: Vec<Tenant<Maker, StdClock>>,
}

impl Sharing for Shares {
    const ABOUT: About = About {
        id: "edgepool",
        name: "edgepool, tenants",
        package: None,
        settings: "one pool with a tenant for each, by its weight",
    };
    type Lease<'a> = Lease<Maker, StdClock>;

    async fn open(size: u32, loads: &[Load]) -> Self {
        let pool: Edgepool = filled(size as usize).await;
        let tenant = |load: &Load| pool.tenant(Share::new().weight(load.weight));
        let tenants = loads.iter().map(tenant).collect::<Result<_, _>>();
        Self { tenants: tenants.expect("the shares are in their range"), pool }
    }

    async fn get(&self, tenant: usize) -> Self::Lease<'_> {
        self.pool.get_for(&self.tenants[tenant]).await.expect("nothing fails here")
    }
}

/// One pool that knows of no tenants.
struct FirstCome(Edgepool);

impl Sharing for FirstCome {
    const ABOUT: About = About {
        id: "fifo",
        name: "edgepool, no tenants",
        package: None,
        settings: "the same pool without tenants: one queue for all, first come first served",
    };
    type Lease<'a> = Lease<Maker, StdClock>;

    async fn open(size: u32, _: &[Load]) -> Self {
        Self(filled(size as usize).await)
    }

    async fn get(&self, _: usize) -> Self::Lease<'_> {
        self.0.get().await.expect("nothing fails here")
    }
}

/// A part of the connections for each tenant.
struct Parts(Vec<TokioSemaphore>);

impl Sharing for Parts {
    const ABOUT: About = About {
        id: "parts",
        name: "tokio semaphore for each",
        package: Some("tokio"),
        settings: "each tenant has its part of the connections to itself, by its weight",
    };
    type Lease<'a> = Permitted;

    async fn open(size: u32, loads: &[Load]) -> Self {
        let mut parts = Vec::new();
        for load in loads {
            parts.push(filled((size * load.weight / total(loads)) as usize).await);
        }
        Self(parts)
    }

    async fn get(&self, tenant: usize) -> Permitted {
        self.0[tenant].get().await.expect("nothing fails here")
    }
}

fn entry<S: Sharing>(runtime: &Rc<Runtime>) -> Entry {
    let runtime = Rc::clone(runtime);
    Entry::whole(S::ABOUT, move || run(&runtime, figures::<S>()))
}

/// Returns a figure for each head.
async fn figures<S: Sharing>() -> Vec<f64> {
    let mut light = overload::<S>(8, &[LIGHT, LOUD]).await.swap_remove(0);
    light.sort_unstable();
    let millis = |part| percentile(&light, part) / 1e6;
    let waits = overload::<S>(7, &WEIGHTED).await;
    let served: Vec<f64> = waits.iter().map(|waits| waits.len() as f64).collect();
    let all: f64 = served.iter().sum();
    let mut figures = vec![millis(0.5), millis(0.99)];
    figures.extend(served.iter().map(|served| 100.0 * served / all));
    let by_weight = served.iter().zip(&WEIGHTED);
    let by_weight = by_weight.map(|(served, load)| served / f64::from(load.weight));
    figures.push(jain(&by_weight.collect::<Vec<_>>()));
    figures.push(alone::<S>().await);
    figures
}

/// Has tenants ask for connections, and returns the nanoseconds of each tenant's waits.
async fn overload<S: Sharing>(size: u32, loads: &[Load]) -> Vec<Vec<u64>> {
    let places = S::open(size, loads).await;
    let end = Instant::now() + LASTS;
    let (places, mut waits) = (&places, vec![Vec::new(); loads.len()]);
    let callers = loads.iter().enumerate().flat_map(|(tenant, load)| {
        let caller = move |_| async move { (tenant, call(places, tenant, load.rest, end).await) };
        (0..load.callers).map(caller)
    });
    for (tenant, some) in join_all(callers).await {
        waits[tenant].extend(some);
    }
    waits
}

async fn call<S: Sharing>(places: &S, tenant: usize, rest: Duration, end: Instant) -> Vec<u64> {
    let mut waits = Vec::new();
    loop {
        let asked = Instant::now();
        let lease = places.get(tenant).await;
        let got = Instant::now();
        // Who is left then is let in one after the other, whoever has how much.
        if got >= end {
            return waits;
        }
        waits.push(u64::try_from((got - asked).as_nanos()).unwrap_or(u64::MAX));
        sleep(HOLD).await;
        drop(lease);
        if !rest.is_zero() {
            sleep(rest).await;
        }
    }
}

/// Returns how many connections the first tenant gets at once.
async fn alone<S: Sharing>() -> f64 {
    let places = S::open(total(&WEIGHTED), &WEIGHTED).await;
    let mut held = Vec::new();
    while let Some(lease) = places.get(0).now_or_never() {
        held.push(lease);
    }
    held.len() as f64
}

/// Tells how even some figures are: 1 if they are the same, one by their number if all but one are 0.
fn jain(figures: &[f64]) -> f64 {
    let sum: f64 = figures.iter().sum();
    let squares: f64 = figures.iter().map(|figure| figure * figure).sum();
    sum * sum / (figures.len() as f64 * squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jains_index_is_one_where_all_have_as_much() {
        assert_eq!(jain(&[3.0, 3.0, 3.0]), 1.0);
        assert_eq!(jain(&[5.0, 0.0]), 0.5);
    }

    #[test]
    fn a_tenant_alone_gets_all_but_where_each_has_its_part() {
        let runtime = one_thread();
        assert_eq!(run(&runtime, alone::<Shares>()), 7.0);
        assert_eq!(run(&runtime, alone::<FirstCome>()), 7.0);
        assert_eq!(run(&runtime, alone::<Parts>()), 1.0);
    }
}

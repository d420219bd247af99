use std::sync::Barrier;
use std::thread;

use edgepool::{StdClock, Time};
use edgepool_llm::client::{ClientPool, Registry, ShareError};
use edgepool_llm::provider::Builder;
use edgepool_llm::{Class, Secret};
use edgepool_sim::SimClock;
use futures::FutureExt;

use super::script::{Reply, Script};
use super::{Bench, Pool, WALL, hello, provider};

/// Two client pools with one registry.
struct Two {
    bench: Bench,
    other: Pool,
    registry: Registry<SimClock>,
}

impl Two {
    fn new(one: Builder, two: Builder, name: Option<&str>) -> Result<Self, ShareError> {
        let (clock, registry) = (SimClock::new(), Registry::new());
        let script = Script::new(&clock);
        let builder = || ClientPool::builder_with_wall(script.clone(), clock.clone(), || WALL);
        let pool = builder().registry(&registry).build();
        let other = builder().registry(&registry);
        let other = name.into_iter().fold(other, |it, name| it.pool_name(name)).build();
        pool.register_provider(one.build().unwrap())?;
        other.register_provider(two.build().unwrap())?;
        let bench = Bench { clock: clock.clone(), script: script.clone(), pool };
        Ok(Self { bench, other, registry })
    }

    /// Whether a place that one has is one less for the other.
    fn share(&self) -> bool {
        let name = &self.other.provider_names()[0];
        let held = self.bench.run(self.bench.pool.get("a")).unwrap();
        let free = self.other.get(name).now_or_never().is_some();
        drop(held);
        !free
    }
}

fn one() -> Builder {
    provider("a").max(1).key(Secret::new("sk-one"))
}

#[test]
fn who_is_the_same_shares_and_who_is_not_does_not() {
    let base = || provider("b").base_url("http://a.test/v1").max(1).key(Secret::new("sk-one"));
    let cases = [
        ("the same", base(), None, true),
        ("the same, said otherwise", base().base_url("HTTP://A.test:80/v1/"), None, true),
        ("another model", base().model("other"), None, true),
        ("another key", base().key(Secret::new("sk-two")), None, false),
        ("another address", base().base_url("http://a.test/v2"), None, false),
        ("another header", base().header("openai-project", Secret::new("x")), None, false),
        ("apart on purpose", base(), Some("mine"), false),
    ];
    for (case, builder, name, shared) in cases {
        let two = Two::new(one(), builder, name).unwrap();
        assert_eq!(two.share(), shared, "{case}");
        let stats = two.registry.stats();
        let expected = if shared { (1, 1, 1) } else { (2, 0, 2) };
        assert_eq!((stats.services, stats.hits, stats.misses), expected, "{case}");
    }
}

#[test]
fn other_limits_for_the_same_are_an_error_that_shows_them() {
    let error = Two::new(one(), one().max(5).max_waiting(7), None).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("max is 1, not 5; maxWaiting is 1000, not 7"), "{text}");
    assert!(text.contains("http://a.test/v1") && !text.contains("sk-one"), "{text}");
    assert!(Two::new(one(), one().max(5), Some("mine")).is_ok());
}

#[test]
fn closing_one_leaves_the_other_what_they_share() {
    let two = Two::new(one(), one(), None).unwrap();
    two.bench.pool.close();
    assert!(two.bench.run(two.other.chat("a", &hello())).is_ok());
    let Two { bench, other, registry } = two;
    let Bench { clock, script, pool } = bench;
    drop(pool);
    let bench = Bench { clock, script, pool: other };
    assert!(bench.chat().is_ok());
    assert_eq!(registry.stats().services, 1);
    bench.pool.close();
    assert_eq!((registry.stats().services, bench.pool.evict_expired()), (0, 1));
    assert_eq!(bench.pool.evict_expired(), 0);
}

#[test]
fn a_provider_that_others_share_is_not_replaced_by_other_limits() {
    let two = Two::new(one(), one(), None).unwrap();
    let replace = || two.bench.pool.register_provider(one().max(2).build().unwrap());
    assert!(matches!(replace(), Err(ShareError::Differs { .. })));
    assert!(two.share());
    two.other.remove_provider("a");
    replace().unwrap();
    assert_eq!(two.bench.pool.stats("a").unwrap().limit, 2);
}

#[test]
fn all_can_be_closed_at_once() {
    let two = Two::new(one(), one(), None).unwrap();
    let client = two.other.client("a").unwrap();
    two.bench.script.reply(Reply::events(&["one"]).done());
    let stream = two.bench.run(two.bench.pool.stream("a", &hello())).unwrap();
    two.registry.close_all();
    assert!(two.registry.is_closed());
    assert_eq!(two.bench.run(client.chat(&hello())).unwrap_err().class, Class::Refused);
    let late = two.other.register_provider(provider("c").build().unwrap());
    assert_eq!(late, Err(ShareError::Closed));
    let ended = two.bench.run(stream.collect_answer());
    assert_eq!(ended.unwrap().text, "one", "what was sent goes on");
}

#[test]
fn many_threads_first_use_makes_one() {
    let registry = Registry::<SimClock>::new();
    let clock = SimClock::new();
    let script = Script::new(&clock);
    let (threads, barrier) = (8, Barrier::new(8));
    let pools: Vec<_> = thread::scope(|scope| {
        let begin = || {
            let builder = ClientPool::builder(script.clone(), clock.clone());
            let pool = builder.registry(&registry).build();
            barrier.wait();
            pool.register_provider(one().build().unwrap()).unwrap();
            pool
        };
        let begun: Vec<_> = (0..threads).map(|_| scope.spawn(begin)).collect();
        begun.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let stats = registry.stats();
    assert_eq!((stats.services, stats.misses, stats.hits), (1, 1, threads - 1));
    let held = pools[0].get("a").now_or_never().unwrap().unwrap();
    assert!(pools[7].get("a").now_or_never().is_none());
    drop(held);
}

#[test]
fn a_program_has_one_registry_for_a_clock() {
    let one = Registry::<StdClock>::global();
    one.close_all();
    assert!(Registry::<StdClock>::global().is_closed());
    assert!(!Registry::<SimClock>::global().is_closed(), "of another clock it is another");
    assert_eq!(edgepool::Clock::now(&SimClock::new()), Time::ZERO);
}

use std::time::Duration;

use edgepool::Clock;
use edgepool_llm::endpoint::Balance;
use edgepool_llm::service::Policy;
use edgepool_llm::transport::HttpRequest;
use edgepool_sim::{Executor, Faults, Rng, SimClock, Stopped};
use futures::FutureExt;

use super::script::{Reply, Script};
use super::{Bench, MS, Pool, SECOND, WALL, hello, provider};

const MAX: u32 = 3;

/// A provider's answer of any kind, good ones among them.
fn any_reply(rng: &mut Rng) -> Reply {
    let wait = rng.duration(Duration::ZERO..=2 * SECOND);
    let reply = match rng.below(10) {
        0 => Reply::lost(),
        1 => Reply::never(),
        2 => Reply::json(500, "{}"),
        3 => Reply::json(429, "{}").header("retry-after", "1"),
        4 => Reply::json(503, "{}").hangs(),
        5 => Reply::events(&["one"]).hangs(),
        6 => Reply::events(&["one", "two"]).breaks(),
        7 => Reply::events(&["one"]).later(SECOND, ": ping\n\n").done(),
        _ => Reply::json(200, super::ANSWER),
    };
    reply.after(wait.min(if rng.chance(100) { Duration::MAX } else { wait }))
}

/// A caller of any kind, who may read an answer to its end or not.
async fn caller(pool: Pool, clock: SimClock, mut rng: Rng) {
    let start = rng.duration(Duration::ZERO..=30 * SECOND);
    clock.alarm(clock.now().saturating_add(start)).await;
    match rng.below(4) {
        0 => _ = pool.chat("a", &hello()).await,
        1 => {
            let Ok(mut stream) = pool.stream("a", &hello()).await else { return };
            let mut left = rng.below(6);
            while left > 0 && stream.next().await.is_some() {
                left -= 1;
            }
        }
        2 => {
            let Ok(lease) = pool.get("a").await else { return };
            _ = lease.chat(&hello()).await;
            if let Ok(stream) = lease.stream(&hello()).await {
                drop(lease);
                _ = stream.collect_answer().await;
            }
        }
        _ => {
            let Ok(answer) = pool.send("a", HttpRequest::new("GET", "/x")).await else { return };
            _ = answer.bytes(64).await;
        }
    }
}

fn bench() -> Bench {
    let clock = SimClock::new();
    let script = Script::new(&clock);
    let pool = Pool::builder_with_wall(script.clone(), clock.clone(), || WALL).seed(1).build();
    let policy = Policy {
        balance: Balance::LeastConnections,
        hedge_after: Some(500 * MS),
        ..Policy::default()
    };
    let both = [("http://one.test", 1), ("http://two.test", 2)];
    let provider = provider("a").endpoints(both).max(MAX).max_waiting(8).policy(policy);
    pool.register_provider(provider.build().unwrap()).unwrap();
    Bench { clock, script, pool }
}

/// Whatever is dropped, late or polled for nothing: no place is lost, and there are never more
/// requests under way than places.
#[test]
fn no_place_is_lost_in_a_storm() {
    for seed in 0..300 {
        let (bench, mut rng) = (bench(), Rng::new(seed));
        (0..120).for_each(|_| _ = bench.script.reply(any_reply(&mut rng)));
        let mut executor = Executor::new(&bench.clock, seed);
        executor.set_faults(Faults {
            spurious_poll: 50,
            late_poll: 50,
            late_by: 3 * SECOND,
            cancel: 10,
            ..Faults::default()
        });
        let spawner = executor.spawner();
        for _ in 0..30 {
            let task = caller(bench.pool.clone(), bench.clock.clone(), rng.fork());
            spawner.spawn_cancellable(task);
        }
        assert_eq!(executor.run(), Stopped::Done, "seed {seed}");
        assert!(bench.script.most() <= MAX as usize, "seed {seed}");
        let stats = bench.pool.stats("a").unwrap();
        assert_eq!((stats.in_flight, stats.waiting, bench.script.open()), (0, 0, 0), "seed {seed}");
        assert_eq!(stats.counts.calls, stats.counts.answered + stats.counts.failures.sum());
        let held: Vec<_> =
            (0..stats.limit).map_while(|_| bench.pool.get("a").now_or_never()?.ok()).collect();
        assert_eq!(held.len(), stats.limit as usize, "seed {seed}");
        drop(held);
        let drained = bench.pool.drain(Duration::ZERO).now_or_never();
        assert_eq!(drained, Some(Ok(())), "seed {seed}");
    }
}

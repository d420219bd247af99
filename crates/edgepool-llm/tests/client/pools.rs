use std::sync::{Arc, Mutex};
use std::time::Duration;

use edgepool::{Clock, Time};
use edgepool_llm::client::{ClientError, DrainError};
use edgepool_llm::clocks::Timeouts;
use edgepool_llm::endpoint::{Checks, EndpointOptions};
use edgepool_llm::retry::RetryOptions;
use edgepool_llm::service::{Policy, Service, ServiceOptions};
use edgepool_llm::{Class, Failure};
use futures::FutureExt;
use futures::future::join;

use super::script::Reply;
use super::{Bench, SECOND, hello, provider};

#[test]
fn a_name_that_is_not_there_is_an_error_that_names_those_that_are() {
    let bench = Bench::with(provider("a"));
    bench.pool.register_provider(provider("b").build().unwrap()).unwrap();
    let error = bench.run(bench.pool.chat("c", &hello())).unwrap_err();
    assert_eq!(error.to_string(), "no provider is named \"c\"; there are a, b");
    assert_eq!(bench.pool.provider_names(), ["a", "b"]);
    assert!(bench.pool.has_provider("b") && bench.pool.remove_provider("b"));
    assert!(!bench.pool.has_provider("b") && !bench.pool.remove_provider("b"));
    assert_eq!(bench.pool.all_stats().len(), 1);
    let none = Bench::empty().pool.client("a").unwrap_err();
    assert_eq!(none.to_string(), "no provider is named \"a\"; there is none yet");
}

#[test]
fn what_is_under_way_ends_at_the_provider_that_was_replaced() {
    let bench = Bench::with(provider("a").max(1));
    bench.script.reply(Reply::json(200, super::ANSWER).after(SECOND));
    let client = bench.pool.client("a").unwrap();
    let asked = hello();
    let replace = async {
        // The same service, with another limit: nobody else has it.
        bench.pool.register_provider(provider("a").max(3).build().unwrap()).unwrap();
        assert_eq!(bench.pool.stats("a").unwrap().limit, 3);
        assert!(bench.pool.chat("a", &asked).await.is_ok());
        assert!(bench.clock.elapsed().is_zero(), "it does not wait for the old one");
    };
    let (old, ()) = bench.run(join(client.chat(&asked), replace));
    assert!(old.is_ok());
    assert_eq!(client.stats().counts.answered, 1);
    bench.is_quiet();
}

#[test]
fn a_lease_holds_a_place_and_its_calls_use_it() {
    let timeouts = Timeouts { acquire: Some(SECOND), ..Timeouts::default() };
    let bench = Bench::with(provider("a").max(1).timeouts(timeouts));
    let lease = bench.run(bench.pool.get("a")).unwrap();
    assert_eq!(bench.run(lease.chat(&hello())).unwrap().text, "hello");
    bench.script.reply(Reply::events(&["one"]).done());
    let mut stream = bench.run(lease.stream(&hello())).unwrap();
    assert_eq!(
        bench.run(lease.chat(&hello())).unwrap_err().class,
        Class::Timeout(edgepool_llm::Timer::Acquire)
    );
    while let Some(event) = bench.run(stream.next()) {
        event.unwrap();
    }
    assert!(bench.run(lease.chat(&hello())).is_ok(), "the place came back to the lease");
    assert!(bench.run(bench.pool.get("a")).is_err(), "it is not in the pool");
    drop(lease);
    assert!(bench.chat().is_ok());
    bench.is_quiet();
}

#[test]
fn a_lease_that_ends_before_its_call_leaves_it_the_place() {
    let bench = Bench::with(provider("a").max(1));
    let lease = bench.run(bench.pool.get("a")).unwrap();
    bench.script.reply(Reply::events(&["one"]).done());
    let stream = bench.run(lease.stream(&hello())).unwrap();
    drop(lease);
    assert!(bench.pool.get("a").now_or_never().is_none(), "the stream has it");
    drop(stream);
    assert!(bench.pool.get("a").now_or_never().is_some());
}

#[test]
fn a_pool_that_is_closed_refuses_and_fails_those_who_wait() {
    let bench = Bench::with(provider("a").max(1));
    bench.script.reply(Reply::json(200, super::ANSWER).after(SECOND));
    let client = bench.pool.client("a").unwrap();
    let asked = hello();
    let close = async { bench.pool.close() };
    let waiting = join(client.chat(&asked), bench.pool.get("a"));
    let (first, ((second, lease), ())) = bench.run(join(client.chat(&asked), join(waiting, close)));
    assert!(first.is_ok(), "it was sent");
    assert_eq!(second.unwrap_err().class, Class::Refused);
    assert!(matches!(lease, Err(ClientError::Failed(failure)) if failure.class == Class::Refused));
    assert_eq!(bench.clock.elapsed(), SECOND);
    assert!(bench.pool.is_closed());
    assert_eq!(bench.pool.client("a").unwrap_err(), ClientError::Closed);
    assert_eq!(bench.run(client.chat(&asked)).unwrap_err().class, Class::Refused);
    assert!(bench.pool.register_provider(provider("b").build().unwrap()).is_err());
    assert_eq!((client.stats().in_flight, bench.script.open()), (0, 0));
}

#[test]
fn a_drain_waits_for_what_is_under_way() {
    let bench = Bench::with(provider("a"));
    bench.script.reply(Reply::json(200, super::ANSWER).after(3 * SECOND));
    let client = bench.pool.client("a").unwrap();
    let asked = hello();
    let drains = async {
        let early = bench.pool.drain(SECOND).await;
        (early, bench.pool.drain(None).await, bench.clock.elapsed())
    };
    let (answer, (early, late, at)) = bench.run(join(client.chat(&asked), drains));
    assert!(answer.is_ok());
    assert_eq!(
        (early.map_err(|DrainError { left, .. }| left), late, at),
        (Err(1), Ok(()), 3 * SECOND)
    );
}

#[test]
fn a_chain_goes_on_at_the_next_provider() {
    let bench = Bench::with(provider("a"));
    bench.pool.register_provider(provider("b").build().unwrap()).unwrap();
    bench.script.reply(Reply::json(401, "{}"));
    let answer = bench.run(bench.pool.chat_any(&["a", "b"], &hello(), None)).unwrap();
    assert_eq!(answer.text, "hello");
    assert_eq!(bench.script.urls()[1], "http://b.test/v1/chat/completions");
    assert_eq!(bench.pool.stats("a").unwrap().counts.fallbacks, 1);

    bench.script.reply(Reply::json(401, "{}")).reply(Reply::events(&["one"]));
    let stream = bench.run(bench.pool.stream_any(&["a", "b"], &hello(), SECOND)).unwrap();
    let cut = bench.run(stream.collect_answer()).unwrap_err();
    assert_eq!(cut.class, Class::Truncated, "after content there is no next");

    bench.script.reply(Reply::json(400, "{}"));
    let wrong = bench.run(bench.pool.chat_any(&["a", "b"], &hello(), None)).unwrap_err();
    assert!(matches!(wrong, ClientError::Failed(failure) if failure.class == Class::Invalid));
    assert_eq!(bench.script.sent().len(), 5);

    bench.script.reply(Reply::never());
    let late = bench.run(bench.pool.chat_any(&["a", "b"], &hello(), SECOND)).unwrap_err();
    assert!(late.to_string().contains("total"), "{late}");
    let unknown = bench.run(bench.pool.chat_any(&["a", "c"], &hello(), None)).unwrap_err();
    assert!(matches!(unknown, ClientError::UnknownProvider { .. }));
    assert!(bench.run(bench.pool.chat_any(&[], &hello(), None)).is_err());
    bench.is_quiet();
}

#[test]
fn defaults_hold_where_a_provider_says_nothing_else() {
    let clock = edgepool_sim::SimClock::new();
    let script = super::Script::new(&clock);
    let pool = super::Pool::builder(script, clock).defaults(|it| it.max(3).model("usual")).build();
    let usual = pool.provider("a", "ollama").build().unwrap();
    assert_eq!((usual.max, usual.model.as_deref()), (3, Some("usual")));
    let own = pool.provider("a", "ollama").max(4).build().unwrap();
    assert_eq!((own.max, own.model.as_deref()), (4, Some("usual")));
}

/// Whether futures and clients may go from thread to thread is up to the transport.
#[test]
fn what_is_sent_between_threads_may_be() {
    fn is_send<V: Send>(_: &V) {}
    fn is_sync<V: Sync>(_: &V) {}
    let bench = Bench::with(provider("a"));
    let (client, asked) = (bench.pool.client("a").unwrap(), hello());
    is_send(&bench.pool);
    is_sync(&bench.pool);
    is_send(&client);
    is_send(&client.chat(&asked));
    is_send(&client.stream(&asked));
    is_send(&client.embed("text"));
    is_send(&bench.pool.get("a"));
    is_send(&bench.pool.chat_any(&["a"], &asked, None));
    is_send(&bench.pool.drain(None));
    bench.script.reply(Reply::events(&["one"]).done());
    is_send(&bench.run(client.stream(&asked)).unwrap());
}

#[test]
fn it_is_told_when_there_is_too_little_room_and_when_there_is_enough_again() {
    let clock = edgepool_sim::SimClock::new();
    let script = super::Script::new(&clock);
    let told = Arc::new(Mutex::new(Vec::new()));
    let (log, at) = (Arc::clone(&told), clock.clone());
    let pool = super::Pool::builder(script.clone(), clock.clone());
    let pool = pool.on_alert(move |name, alert| {
        let waiting = alert.map(|alert| alert.waiting);
        log.lock().unwrap().push((name.to_owned(), waiting, at.elapsed().as_secs()));
    });
    let bench = Bench { pool: pool.build(), script, clock };
    bench.pool.register_provider(provider("a").max(1).build().unwrap()).unwrap();
    for _ in 0..2 {
        bench.script.reply(Reply::json(200, super::ANSWER).after(8 * SECOND));
    }
    let asked = hello();
    let both = join(bench.pool.chat("a", &asked), bench.pool.chat("a", &asked));
    let (one, two) = bench.run(both);
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(*told.lock().unwrap(), [("a".to_owned(), Some(1), 5), ("a".to_owned(), None, 8)]);
}

#[test]
fn a_driver_checks_endpoints_and_finds_out_which_are_down() {
    let checks = Checks { interval: 10 * SECOND, timeout: SECOND, failures: 2 };
    let policy = Policy { checks: Some(checks), ..Policy::default() };
    let both = [("http://one.test", 1), ("http://two.test", 1)];
    let bench = Bench::with(provider("a").endpoints(both).policy(policy));
    for _ in 0..40 {
        bench.script.reply(Reply::json(503, "{}"));
    }
    let watch = async {
        bench.clock.alarm(bench.clock.now().saturating_add(15 * SECOND)).await;
        let down = bench.pool.chat("a", &hello()).await.unwrap_err();
        assert!(down.to_string().contains("no endpoint is up"), "{down}");
        while bench.script.sent().len() < 44 {
            bench.clock.alarm(bench.clock.now().saturating_add(SECOND)).await;
        }
        assert!(bench.pool.chat("a", &hello()).await.is_ok(), "they are back");
        bench.pool.close();
    };
    bench.run(join(bench.pool.driver(), watch));
    assert!(bench.script.urls().iter().any(|url| url == "http://two.test/health"));
    assert_eq!(bench.script.open(), 0);
}

#[test]
fn a_call_goes_on_when_a_check_finds_an_endpoint_back() {
    let checks = Some(Checks { interval: 10 * SECOND, timeout: SECOND, failures: 1 });
    let retry = RetryOptions { retries: 0, ..RetryOptions::default() };
    let policy = Policy { checks, retry, ..Policy::default() };
    let both = [("http://one.test", 1), ("http://two.test", 1)];
    let bench = Bench::with(provider("a").endpoints(both).policy(policy));
    // The second is down for a second, and the first says to come back after 25.
    for status in [200, 503] {
        bench.script.reply(Reply::json(status, "{}"));
    }
    bench.script.reply(Reply::json(429, "{}").header("retry-after", "25"));
    let watch = async {
        bench.clock.alarm(bench.clock.now().saturating_add(SECOND / 2)).await;
        let limited = bench.pool.chat("a", &hello()).await.unwrap_err();
        assert!(limited.to_string().contains("429"), "{limited}");
        assert!(bench.pool.chat("a", &hello()).await.is_ok());
        assert!(bench.clock.elapsed() < 3 * SECOND, "after {:?}", bench.clock.elapsed());
        bench.pool.close();
    };
    bench.run(join(bench.pool.driver(), watch));
    assert_eq!(bench.script.open(), 0);
}

#[test]
fn checks_without_an_interval_come_to_an_end() {
    let checks = Checks { interval: Duration::ZERO, timeout: SECOND, failures: 1 };
    let endpoints = vec![EndpointOptions::new("a"), EndpointOptions::new("b")];
    let policy = Policy { checks: Some(checks), ..Policy::default() };
    let options = ServiceOptions { policy, ..ServiceOptions::new(endpoints) };
    let mut service = Service::new(options, Time::ZERO);
    for good in [true, false] {
        let due = std::iter::from_fn(|| {
            let check = service.check_due(0, Time::ZERO)?;
            let failure = Failure::new(Class::Network, "refused");
            service.checked(check, if good { Ok(()) } else { Err(failure) }, Time::ZERO);
            Some(check.endpoint)
        });
        let found = due.take(5).collect::<Vec<_>>();
        assert!(found.len() <= 2, "{found:?}");
    }
}

#[test]
fn a_driver_ends_with_its_pool() {
    let Bench { clock, script, pool } = Bench::with(provider("a"));
    let driver = pool.driver();
    let bench = Bench { clock, script, pool: Bench::empty().pool };
    bench.run(join(driver, async move { drop(pool) }));
}

use std::sync::Arc;

use edgepool_llm::chat::StreamEvent;
use edgepool_llm::clocks::Timeouts;
use edgepool_llm::service::Policy;
use edgepool_llm::transport::HttpRequest;
use edgepool_llm::{Class, Secret, Timer};
use futures::future::join;
use futures::stream::StreamExt;

use super::script::Reply;
use super::{Bench, MS, SECOND, WALL, hello, provider};

#[test]
fn a_chat_is_sent_with_its_key_and_answered() {
    let bench = Bench::with(provider("a").key(Secret::new("sk-secret")));
    assert_eq!(bench.chat().unwrap(), "hello");
    bench.is_quiet();
    let [request] = &bench.script.sent()[..] else { panic!("one is sent") };
    assert_eq!(
        (&request.method[..], &request.url[..]),
        ("POST", "http://a.test/v1/chat/completions")
    );
    let key = request.headers.iter().find(|(name, _)| name == "authorization").unwrap();
    assert_eq!(key.1.expose(), "Bearer sk-secret");
    let stats = bench.pool.stats("a").unwrap();
    assert_eq!((stats.counts.input_tokens, stats.counts.output_tokens), (5, 2));
}

#[test]
fn a_stream_brings_events_and_what_was_used_at_its_end() {
    let bench = Bench::with(provider("a"));
    bench.script.reply(Reply::events(&["one ", "two"]).done());
    bench.run(async {
        let mut stream = bench.pool.stream("a", &hello()).await.unwrap();
        assert_eq!(bench.pool.stats("a").unwrap().in_flight, 1, "its place is held");
        assert_eq!(stream.usage(), None);
        let events: Vec<_> = (&mut stream).map(|event| event.unwrap()).collect().await;
        assert!(events.contains(&StreamEvent::Text("two".into())));
        assert_eq!(events.last(), Some(&StreamEvent::Done));
        assert_eq!(stream.usage().map(|usage| usage.output_tokens), Some(2));
        assert_eq!(bench.script.open(), 0, "it is given back at the protocol's own end");
    });
    bench.is_quiet();
    bench.script.reply(Reply::events(&["one ", "two"]).done());
    let stream = bench.run(bench.pool.stream("a", &hello())).unwrap();
    assert_eq!(bench.run(stream.collect_answer()).unwrap().text, "one two");
    bench.is_quiet();
}

/// How a stream fails, with what came before it, and whether it was sent once.
#[test]
fn a_stream_that_fails_says_how_and_keeps_what_came() {
    let events = || Reply::events(&["one"]);
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    let cases = [
        ("truncated", events(), Class::Truncated),
        ("lost", events().breaks(), Class::Network),
        ("malformed", events().then("data: {\"choi\n\n"), Class::Malformed),
        ("an error in its midst", events().then(error), Class::Server),
        ("stalled", events().hangs(), Class::Timeout(Timer::BetweenContent)),
    ];
    for (name, reply, class) in cases {
        let bench = Bench::with(provider("a"));
        bench.script.reply(reply);
        let (said, failure) = bench.stream();
        assert_eq!((&said[..], failure.map(|it| it.class)), ("one", Some(class)), "{name}");
        assert_eq!(bench.script.sent().len(), 1, "{name}: nothing is repeated after content");
        bench.is_quiet();
    }
}

#[test]
fn a_stream_that_fails_before_its_content_is_asked_for_again() {
    let begun = Reply::new(200).header("content-type", "text/event-stream");
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    for reply in [begun.clone(), begun.clone().breaks(), begun.then(error), Reply::lost()] {
        let bench = Bench::with(provider("a"));
        bench.script.reply(reply).reply(Reply::events(&["two"]).done());
        assert_eq!(bench.stream(), ("two".to_owned(), None));
        assert_eq!(bench.script.sent().len(), 2);
        bench.is_quiet();
    }
}

#[test]
fn each_clock_has_its_error() {
    let timeouts = Timeouts {
        acquire: Some(SECOND),
        headers: Some(2 * SECOND),
        first_content: Some(3 * SECOND),
        between_content: Some(4 * SECOND),
        total: None,
    };
    let none = Policy {
        retry: edgepool_llm::retry::RetryOptions { retries: 0, ..Default::default() },
        ..Policy::default()
    };
    let begun = Reply::new(200).header("content-type", "text/event-stream");
    let cases = [
        (Reply::never(), Timer::Headers, 2),
        (begun.clone().hangs(), Timer::FirstContent, 3),
        (begun.then(": ping\n\n").hangs(), Timer::FirstContent, 3),
        (Reply::events(&["one"]).hangs(), Timer::BetweenContent, 4),
    ];
    for (reply, timer, seconds) in cases {
        let bench = Bench::with(provider("a").timeouts(timeouts).policy(none));
        bench.script.reply(reply);
        let (_, failure) = bench.stream();
        assert_eq!(failure.unwrap().class, Class::Timeout(timer));
        assert_eq!(bench.clock.elapsed(), seconds * SECOND);
        bench.is_quiet();
    }
    let total = Timeouts { total: Some(SECOND), ..timeouts };
    let bench = Bench::with(provider("a").timeouts(total));
    bench.script.reply(Reply::never());
    bench.fails(Class::Timeout(Timer::Total));
    assert_eq!(bench.clock.elapsed(), SECOND);
}

#[test]
fn who_gets_no_place_in_time_is_told_so() {
    let timeouts = Timeouts { acquire: Some(SECOND), ..Timeouts::default() };
    let bench = Bench::with(provider("a").max(1).max_waiting(1).timeouts(timeouts));
    bench.script.reply(Reply::json(200, super::ANSWER).after(5 * SECOND));
    let client = bench.pool.client("a").unwrap();
    let asked = hello();
    let three = join(client.chat(&asked), join(client.chat(&asked), client.chat(&asked)));
    let (first, (second, third)) = bench.run(three);
    assert!(first.is_ok());
    assert_eq!(second.unwrap_err().class, Class::Timeout(Timer::Acquire));
    assert_eq!(third.unwrap_err().class, Class::Refused, "the queue is full");
    assert_eq!(bench.script.most(), 1);
    bench.is_quiet();
}

#[test]
fn places_go_round_in_order() {
    let bench = Bench::with(provider("a").max(2));
    for _ in 0..6 {
        bench.script.reply(Reply::json(200, super::ANSWER).after(SECOND));
    }
    let client = bench.pool.client("a").unwrap();
    let asked = hello();
    let all = (0..6).map(|_| client.chat(&asked));
    let answers = bench.run(futures::future::join_all(all));
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((bench.script.most(), bench.clock.elapsed()), (2, 3 * SECOND));
    bench.is_quiet();
}

#[test]
fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let error = r#"{"error":{"message":"no","code":"insufficient_quota"}}"#;
    let cases = [
        (Reply::json(500, "{}"), None),
        (Reply::json(503, "{}"), None),
        (Reply::lost(), None),
        (Reply::json(429, "{}").header("retry-after", "3"), None),
        (Reply::json(429, error), Some(Class::QuotaExhausted)),
        (Reply::json(401, "{}"), Some(Class::Unauthorised)),
        (Reply::json(404, "{}"), Some(Class::NotFound)),
        (Reply::json(400, "{}"), Some(Class::Invalid)),
        (Reply::new(200).header("content-type", "text/html").then("<p>"), Some(Class::Malformed)),
        (Reply::json(500, "{}").header("x-should-retry", "false"), Some(Class::Server)),
    ];
    for (reply, class) in cases {
        let bench = Bench::with(provider("a"));
        bench.script.reply(reply.clone());
        let sent = match class {
            Some(class) => {
                bench.fails(class);
                1
            }
            None => {
                assert_eq!(bench.chat().unwrap(), "hello", "{reply:?}");
                2
            }
        };
        assert_eq!(bench.script.sent().len(), sent, "{reply:?}");
        bench.is_quiet();
    }
}

#[test]
fn a_retry_comes_when_the_provider_says() {
    let date = httpdate_of(WALL + 7 * SECOND);
    for (name, value, wait) in [
        ("retry-after", "7", 7 * SECOND),
        ("retry-after-ms", "250", 250 * MS),
        ("retry-after", &date, 7 * SECOND),
    ] {
        let bench = Bench::with(provider("a"));
        bench.script.reply(Reply::json(429, "{}").header(name, value));
        assert!(bench.chat().is_ok());
        assert!(bench.clock.elapsed() >= wait, "{name}: {value}");
        assert!(bench.clock.elapsed() < wait + 9 * SECOND, "{name}: {value}");
    }
    let bench = Bench::with(provider("a"));
    bench.script.reply(Reply::json(429, "{}").header("retry-after", "2592000"));
    let failure = bench.fails(Class::RateLimited);
    assert!(failure.message.contains("over the cap"), "{failure}");
    assert_eq!(bench.clock.elapsed(), super::Duration::ZERO);
}

fn httpdate_of(since: super::Duration) -> String {
    // 1,700,000,000 is Tue, 14 Nov 2023 22:13:20 GMT.
    format!("Tue, 14 Nov 2023 22:13:{:02} GMT", 20 + (since - WALL).as_secs())
}

#[test]
fn a_hedge_wins_and_the_other_is_broken_off() {
    let policy = Policy { hedge_after: Some(SECOND), ..Policy::default() };
    let bench = Bench::with(provider("a").policy(policy));
    bench.script.reply(Reply::never()).reply(Reply::events(&["two"]).done());
    assert_eq!(bench.stream(), ("two".to_owned(), None));
    assert_eq!(bench.clock.elapsed(), SECOND);
    assert_eq!(bench.script.most(), 2);
    let counts = bench.pool.stats("a").unwrap().counts;
    assert_eq!((counts.hedges, counts.hedges_won, counts.cancelled), (1, 1, 1));
    bench.is_quiet();
}

#[test]
fn another_endpoint_is_tried_when_one_fails() {
    let both = [("http://one.test", 1), ("http://two.test", 1)];
    let bench = Bench::with(provider("a").endpoints(both));
    bench.script.reply(Reply::lost());
    assert!(bench.chat().is_ok());
    let hosts: Vec<_> = bench.script.urls().iter().map(|url| url[7..10].to_owned()).collect();
    assert_eq!(hosts, ["one", "two"]);
    bench.is_quiet();
}

#[test]
fn embeddings_come_in_batches_and_in_order() {
    let bench = Bench::with(provider("a").embedding_model("e"));
    let texts = 3_000;
    let client = bench.pool.client("a").unwrap();
    let most = client.provider().flavour.quirks.max_inputs;
    let mut left = texts;
    let mut next = 0;
    while left > 0 {
        let count = left.min(most);
        let entries = (0..count).rev().map(|index| {
            let number = next + index;
            format!("{{\"index\":{index},\"embedding\":[{number},1]}}")
        });
        let entries: Vec<_> = entries.collect();
        bench.script.reply(Reply::json(200, &format!("{{\"data\":[{}]}}", entries.join(","))));
        next += count;
        left -= count;
    }
    let embeddings = bench.run(client.embed_all((0..texts).map(|n| n.to_string()))).unwrap();
    assert_eq!(bench.script.sent().len(), texts.div_ceil(most));
    let numbers: Vec<_> = embeddings.vectors.iter().map(|vector| vector[0] as usize).collect();
    assert_eq!(numbers, (0..texts).collect::<Vec<_>>());
    bench.script.reply(Reply::json(200, r#"{"data":[{"embedding":[0.5,0.25]}]}"#));
    assert_eq!(bench.run(client.embed("text")).unwrap(), [0.5, 0.25]);
    let pooled = edgepool_llm::client::PooledEmbeddingClient::new(client);
    bench.script.reply(Reply::json(200, r#"{"data":[{"embedding":[0.5,0.75]}]}"#));
    assert_eq!(bench.run(pooled.get_embedding("text")).unwrap(), [0.5, 0.75]);
    bench.is_quiet();
}

#[test]
fn models_and_probes() {
    let bench = Bench::with(provider("a"));
    bench.script.reply(Reply::json(200, r#"{"data":[{"id":"m"},{"id":"n"}]}"#));
    assert_eq!(bench.run(bench.pool.models("a")).unwrap(), ["m", "n"]);
    bench.script.reply(Reply::new(200));
    bench.run(bench.pool.probe("a")).unwrap();
    bench.script.reply(Reply::json(503, "{}"));
    assert!(bench.run(bench.pool.probe("a")).unwrap_err().to_string().contains("http://a.test/v1"));
    bench.script.reply(Reply::never());
    let before = bench.clock.elapsed();
    assert!(bench.run(bench.pool.probe("a")).is_err());
    assert_eq!(bench.clock.elapsed() - before, 5 * SECOND);
    bench.is_quiet();
}

#[test]
fn a_request_of_the_callers_own_is_passed_on() {
    let bench = Bench::with(provider("a").key(Secret::new("sk-ours")));
    bench.script.reply(Reply::new(201).header("x-more", "yes").then("one").later(SECOND, "two"));
    let mut request = HttpRequest::new("POST", "/files?x=1");
    request.headers.push(("authorization".into(), Secret::new("Bearer sk-theirs")));
    request.body = Arc::from(&b"body"[..]);
    bench.run(async {
        let answer = bench.pool.send("a", request).await.unwrap();
        assert_eq!((answer.status(), &answer.headers()[0].0[..]), (201, "x-more"));
        assert_eq!(bench.pool.stats("a").unwrap().in_flight, 1);
        assert_eq!(answer.bytes(6).await.unwrap(), b"onetwo");
    });
    let [sent] = &bench.script.sent()[..] else { panic!("one is sent") };
    assert_eq!((&sent.url[..], &sent.body[..]), ("http://a.test/v1/files?x=1", &b"body"[..]));
    let keys: Vec<_> = sent.headers.iter().filter(|(name, _)| name == "authorization").collect();
    assert_eq!(keys.iter().map(|(_, key)| key.expose()).collect::<Vec<_>>(), ["Bearer sk-ours"]);
    bench.is_quiet();
}

#[test]
fn what_must_not_happen_twice_is_sent_once() {
    for (method, sent) in [("POST", 1), ("PATCH", 1), ("GET", 2), ("DELETE", 2)] {
        let bench = Bench::with(provider("a"));
        bench.script.reply(Reply::json(500, "{}")).reply(Reply::new(204));
        let answer = bench.run(bench.pool.send("a", HttpRequest::new(method, "/x")));
        assert_eq!((answer.is_ok(), bench.script.sent().len()), (sent == 2, sent), "{method}");
        drop(answer);
        bench.is_quiet();
    }
}

#[test]
fn a_body_is_bounded_and_must_not_leave_its_origin() {
    let bench = Bench::with(provider("a"));
    bench.script.reply(Reply::new(200).then("one").then("two"));
    let small = bench.run(async {
        bench.pool.send("a", HttpRequest::new("GET", "/x")).await.unwrap().bytes(5).await
    });
    assert_eq!(small.unwrap_err().class, Class::TooLarge);
    let client = bench.pool.client("a").unwrap();
    let away = bench.run(client.send(HttpRequest::new("GET", "http://b.test/x")));
    assert_eq!(away.unwrap_err().class, Class::Invalid);
    let mut odd = HttpRequest::new("GET", "/x");
    odd.headers.push(("Host".into(), Secret::new("b.test")));
    assert_eq!(bench.run(client.send(odd)).unwrap_err().class, Class::Invalid);
    assert_eq!(bench.script.sent().len(), 1);
    bench.is_quiet();
}

#[test]
fn no_error_shows_a_key() {
    let bench = Bench::with(provider("a").key(Secret::new("sk-secret-key")));
    bench.script.reply(Reply::json(401, r#"{"error":{"message":"wrong key sk-secret-key"}}"#));
    let failure = bench.fails(Class::Unauthorised);
    let shown = format!("{failure} {failure:?} {:?} {:?}", bench.pool, bench.script.sent());
    assert!(!shown.contains("sk-secret"), "{shown}");
}

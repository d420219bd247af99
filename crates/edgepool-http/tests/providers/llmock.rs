//! LLMock: OpenAI and Anthropic with faults by scenario. Its log of requests is a witness, and it
//! judges the client.

use std::time::{Duration, Instant};

use edgepool_http::HttpTransport;
use edgepool_llm::chat::{ChatRequest, Image, Message, Part, Role, StreamEvent};
use edgepool_llm::clocks::Timeouts;
use edgepool_llm::transport::{HttpRequest, Transport as _};
use edgepool_llm::{Class, Failure, Timer};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{Clients, address, ask, clients, is_quiet, ms, say, timeouts, weather};

/// The two kinds that it speaks, with the paths that they have there.
const KINDS: [(&str, &str); 3] =
    [("openai", "/v1"), ("openai-responses", "/v1"), ("anthropic", "/anthropic")];

/// Speaks to its own interface.
struct Mock {
    at: String,
    transport: HttpTransport,
}

impl Mock {
    /// Begins anew.
    async fn fresh(server: &str) -> Self {
        let mock = Self { at: address(server), transport: HttpTransport::default() };
        mock.call("POST", "/reset", &Value::Null).await;
        mock
    }

    async fn call(&self, method: &'static str, path: &str, body: &Value) -> Value {
        let mut request = HttpRequest::new(method, format!("{}/_llmock{path}", self.at));
        if !body.is_null() {
            request.body = body.to_string().into_bytes().into();
        }
        let mut answer = self.transport.send(request).await.unwrap();
        let mut whole = Vec::new();
        while let Some(piece) = answer.body.next().await {
            whole.extend_from_slice(&piece.unwrap());
        }
        let text = String::from_utf8_lossy(&whole);
        assert!(answer.status < 300, "{path}: {text}");
        serde_json::from_slice(&whole).unwrap_or_else(|_| Value::from(text))
    }

    /// Sets what becomes of the next requests.
    async fn next(&self, behaviour: Value) {
        self.call("POST", "/scenario", &json!({"behaviors": [behaviour]})).await;
    }

    fn clients(&self, kind: &str, path: &str, timeouts: Timeouts) -> Clients {
        clients(kind, &format!("{}{path}", self.at), |it| it.timeouts(timeouts))
    }

    /// What it was asked, in order.
    async fn requests(&self) -> Vec<Value> {
        let told = self.call("GET", "/requests", &Value::Null).await;
        told["requests"].as_array().unwrap().clone()
    }

    /// Holds that its log agrees with what the pool has counted, that nothing is kept, and that it
    /// has nothing to say against the client.
    async fn agrees(&self, pool: &Clients) {
        is_quiet(pool);
        let counts = pool.stats("p").unwrap().counts;
        let requests = self.requests().await;
        let sent = usize::try_from(counts.sent).unwrap();
        assert_eq!(requests.len(), sent, "{requests:#?}");
        let failed = requests.iter().filter(|it| it["status"].as_u64() >= Some(400)).count();
        assert!(counts.attempt_failures.sum() >= failed as u64, "{counts:?}");
        assert_eq!(counts.calls, counts.answered + counts.failures.sum());
        self.judges().await;
    }

    async fn judges(&self) {
        let text = self.call("GET", "/verdict?format=text", &Value::Null).await;
        println!("{}", text.as_str().unwrap_or_default().trim_end());
        let verdict = self.call("GET", "/verdict", &Value::Null).await;
        assert_eq!(verdict["passed"], true);
        assert_eq!((&verdict["errors"], &verdict["warnings"]), (&json!(0), &json!(0)));
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn chats_come_whole_and_as_streams_with_their_usage() {
    for (kind, path) in KINDS {
        let mock = Mock::fresh("LLMOCK").await;
        let pool = mock.clients(kind, path, timeouts());
        let mut chat = say("Why is the sky blue?");
        chat.system = Some("Be short.".to_owned());
        chat.messages.push(Message::text(Role::Assistant, "Light scatters."));
        chat.messages.push(Message::text(Role::User, "Why?"));
        let mut texts = Vec::new();
        for stream in [false, true] {
            let answer = ask(&pool, &chat, stream).await.unwrap();
            let usage = answer.usage.unwrap_or_else(|| panic!("{kind}: no usage"));
            assert!(usage.input_tokens > 0 && usage.output_tokens > 0, "{usage:?}");
            texts.push(answer.text);
        }
        assert!(!texts[0].is_empty() && texts[0] == texts[1], "{kind}: {texts:?}");
        mock.agrees(&pool).await;
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn tools_and_images_are_passed_through() {
    for (kind, path) in [KINDS[0], KINDS[2]] {
        let mock = Mock::fresh("LLMOCK").await;
        let pool = mock.clients(kind, path, timeouts());
        for stream in [false, true] {
            let image = Image::from_url("data:image/png;base64,iVBORw0KGgo=");
            let mut user = Message::text(Role::User, "What is the weather?");
            user.content.push(Part::Image(image));
            let mut chat = ChatRequest { messages: vec![user], ..ChatRequest::default() };
            chat.tools.push(weather());
            let call = json!({"name": "weather", "arguments": {"city": "Berlin"}});
            mock.next(json!({"type": "reply", "tool_calls": [call]})).await;
            let answer = ask(&pool, &chat, stream).await.unwrap();
            let [call] = &answer.tool_calls[..] else { panic!("{kind}: {answer:?}") };
            assert_eq!(call.name, "weather");
            let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
            assert_eq!(arguments, json!({"city": "Berlin"}));

            let mut asked = Message::text(Role::Assistant, "");
            asked.tool_calls = answer.tool_calls.clone();
            chat.messages.extend([asked, Message::tool(&call.id, "sunny")]);
            assert!(!ask(&pool, &chat, stream).await.unwrap().text.is_empty());
        }
        let sent = mock.requests().await;
        let bodies: Vec<_> = sent.iter().map(|request| request["body"].to_string()).collect();
        assert!(bodies.iter().all(|body| body.contains("iVBORw0KGgo=")), "{bodies:?}");
        assert!(bodies.iter().all(|body| body.contains("Tells the weather")), "{bodies:?}");
        assert!(bodies.iter().filter(|body| body.contains("sunny")).count() == 2, "{bodies:?}");
        mock.agrees(&pool).await;
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn models_and_embeddings_are_there() {
    let mock = Mock::fresh("LLMOCK").await;
    for (kind, path) in KINDS {
        let pool = mock.clients(kind, path, timeouts());
        assert!(!pool.client("p").unwrap().models().await.unwrap().is_empty(), "{kind}");
        is_quiet(&pool);
    }
    let at = format!("{}/v1", mock.at);
    let pool = clients("openai", &at, |it| it.embedding_model("text-embedding-3-small"));
    let texts: Vec<_> = (0..5).map(|i| format!("text {i}")).collect();
    let client = pool.client("p").unwrap();
    let all = client.embed_all(texts.iter().cloned()).await.unwrap().vectors;
    for (text, vector) in texts.iter().zip(&all) {
        assert_eq!(client.embed(text.as_str()).await.unwrap(), *vector, "{text}");
    }
    is_quiet(&pool);
    mock.judges().await;
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn what_passes_is_tried_again_when_the_provider_says() {
    for (kind, path, status) in [
        ("openai", "/v1", 429),
        ("openai", "/v1", 503),
        ("anthropic", "/anthropic", 429),
        ("anthropic", "/anthropic", 529),
    ] {
        for stream in [false, true] {
            let mock = Mock::fresh("LLMOCK").await;
            let pool = mock.clients(kind, path, timeouts());
            mock.next(json!({"type": "fail", "status": status, "retry_after": 0.2, "times": 2}))
                .await;
            let started = Instant::now();
            assert!(!ask(&pool, &say("Why?"), stream).await.unwrap().text.is_empty());
            assert!(started.elapsed() >= Duration::from_millis(400), "{kind} {status}");
            let counts = pool.stats("p").unwrap().counts;
            let class = if status == 429 { Class::RateLimited } else { Class::Overloaded };
            assert_eq!((counts.sent, counts.attempt_failures.of(class)), (3, 2), "{kind} {status}");
            mock.agrees(&pool).await;
        }
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn a_server_that_breaks_is_asked_again() {
    let mock = Mock::fresh("LLMOCK").await;
    let pool = mock.clients("openai", "/v1", timeouts());
    mock.next(json!({"type": "fail", "status": 500})).await;
    assert!(!ask(&pool, &say("Why?"), false).await.unwrap().text.is_empty());
    assert_eq!(pool.stats("p").unwrap().counts.sent, 2);
    mock.agrees(&pool).await;
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn a_server_that_goes_on_breaking_is_given_more_time() {
    let mock = Mock::fresh("LLMOCK").await;
    let pool = mock.clients("openai", "/v1", timeouts());
    mock.next(json!({"type": "fail", "status": 500, "times": 3})).await;
    let failure = ask(&pool, &say("Why?"), false).await.unwrap_err();
    assert_eq!((failure.class, failure.status), (Class::Server, Some(500)));
    is_quiet(&pool);
    let requests = mock.requests().await;
    let time = |of: &Value, name: &str| of[name].as_f64().unwrap();
    let waits = requests.windows(2).map(|it| time(&it[1], "started_at") - time(&it[0], "ended_at"));
    let waits: Vec<_> = waits.collect();
    // Of full jitter, any part of the whole. Where the second is the shorter one LLMock takes them
    // for a constant interval, and warns; so here no more is held than that nothing is wrong.
    assert!(waits.len() == 2 && waits[0] < 0.7 && waits[1] < 1.2, "{waits:?}");
    assert_eq!(mock.call("GET", "/verdict", &Value::Null).await["passed"], true);
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn what_stays_wrong_is_not_tried_again() {
    for (kind, path) in KINDS {
        for (status, class) in [
            (400, Class::Invalid),
            (401, Class::Unauthorised),
            (403, Class::Unauthorised),
            (404, Class::NotFound),
            (422, Class::Invalid),
        ] {
            let mock = Mock::fresh("LLMOCK").await;
            let pool = mock.clients(kind, path, timeouts());
            mock.next(json!({"type": "fail", "status": status, "message": "for sk-test"})).await;
            let failure = ask(&pool, &say("Why?"), true).await.unwrap_err();
            assert_eq!((failure.class, failure.status), (class, Some(status)), "{failure}");
            assert!(!failure.to_string().contains("sk-test"), "{failure}");
            assert_eq!(pool.stats("p").unwrap().counts.sent, 1);
            mock.agrees(&pool).await;
        }
    }
}

fn short() -> Timeouts {
    Timeouts { first_content: ms(300), between_content: ms(300), ..timeouts() }
}

/// Reads a stream to its error, and tells what came before.
async fn broken(pool: &Clients, chat: &ChatRequest) -> (String, Failure) {
    let mut stream = pool.stream("p", chat).await.unwrap();
    let mut text = String::new();
    loop {
        match stream.next().await.expect("it does not end well") {
            Ok(StreamEvent::Text(more)) => text.push_str(&more),
            Ok(_) => {}
            Err(failure) => return (text, failure),
        }
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn a_stream_that_breaks_off_says_how_and_may_be_asked_for_again() {
    for (kind, path) in KINDS {
        for (fault, class) in [
            ("disconnect", Class::Network),
            ("truncate", Class::Truncated),
            ("stall", Class::Timeout(Timer::BetweenContent)),
            ("malformed", Class::Malformed),
        ] {
            let mock = Mock::fresh("LLMOCK").await;
            let pool = mock.clients(kind, path, short());
            let chat = say("Why is the sky blue?");
            // Far enough for content to have come, and for none of it to be the last.
            let after = if kind == "openai" { 3 } else { 6 };
            mock.next(json!({"type": "stream_fault", "kind": fault, "after_chunks": after})).await;
            let (text, failure) = broken(&pool, &chat).await;
            assert_eq!(failure.class, class, "{kind}, {fault}: {failure}");
            assert!(!text.is_empty(), "{kind}, {fault}");
            is_quiet(&pool);
            // What a caller has seen cannot be taken back, so it is for the caller to ask again.
            // It is the same call for LLMock once that has seen the end of the first attempt.
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(ask(&pool, &chat, true).await.unwrap().text.starts_with(&text));
            assert_eq!(pool.stats("p").unwrap().counts.sent, 2);
            mock.agrees(&pool).await;
        }
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn a_stream_that_breaks_off_before_content_is_asked_for_again() {
    for (kind, path) in [KINDS[0], KINDS[2]] {
        for fault in [
            json!({"type": "stream_fault", "kind": "disconnect", "after_chunks": 0}),
            json!({"type": "stream_fault", "kind": "truncate", "after_chunks": 0}),
            json!({"type": "stream_fault", "kind": "stall", "after_chunks": 0}),
            json!({"type": "slow_first_token", "seconds": 5}),
        ] {
            let mock = Mock::fresh("LLMOCK").await;
            let pool = mock.clients(kind, path, short());
            mock.next(fault.clone()).await;
            let answer = ask(&pool, &say("Why?"), true).await;
            assert!(!answer.unwrap_or_else(|it| panic!("{kind}, {fault}: {it}")).text.is_empty());
            assert_eq!(pool.stats("p").unwrap().counts.sent, 2, "{kind}, {fault}");
            mock.agrees(&pool).await;
        }
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn a_first_token_that_is_slow_is_waited_for() {
    let mock = Mock::fresh("LLMOCK").await;
    let pool = mock.clients("openai", "/v1", timeouts());
    mock.next(json!({"type": "slow_first_token", "seconds": 0.4})).await;
    assert!(!ask(&pool, &say("Why?"), true).await.unwrap().text.is_empty());
    let counts = pool.stats("p").unwrap().counts;
    assert_eq!((counts.sent, counts.first_content.count()), (1, 1));
    assert!(counts.first_content.max() >= Some(Duration::from_millis(350)), "{counts:?}");
    mock.agrees(&pool).await;
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn a_stream_that_is_dropped_gives_its_place_back() {
    for (kind, path) in KINDS {
        let mock = Mock::fresh("LLMOCK").await;
        let pool = mock.clients(kind, path, timeouts());
        let mut stream = pool.stream("p", &say("Why is the sky blue?")).await.unwrap();
        while !stream.next().await.unwrap().unwrap().is_content() {}
        assert_eq!(pool.stats("p").unwrap().in_flight, 1);
        drop(stream);
        is_quiet(&pool);
        let requests = mock.requests().await;
        assert_eq!((requests.len(), &requests[0]["completed"]), (1, &json!(false)), "{kind}");
    }
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn no_more_are_under_way_than_may_be_and_all_are_answered() {
    let mock = Mock::fresh("LLMOCK").await;
    let pool = mock.clients("openai", "/v1", timeouts());
    let all = (0..40).map(|i| {
        let (pool, chat) = (&pool, say(&format!("What is {i}?")));
        async move { ask(pool, &chat, false).await }
    });
    assert!(join_all(all).await.iter().all(Result::is_ok));
    let requests = mock.requests().await;
    let times = requests
        .iter()
        .map(|request| ["started_at", "ended_at"].map(|name| request[name].as_f64().unwrap()));
    let times: Vec<_> = times.collect();
    let most = times
        .iter()
        .map(|[start, _]| times.iter().filter(|[from, to]| from <= start && start < to).count());
    assert!(most.max() <= Some(4), "of 4 places");
    mock.agrees(&pool).await;
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn a_limit_that_headers_tell_of_is_kept_to() {
    // 60 requests at once, and one more each second.
    let mock = Mock::fresh("LLMOCK_LIMITED").await;
    let pool = mock.clients("openai", "/v1", timeouts());
    let started = Instant::now();
    let all = (0..62).map(|i| {
        let (pool, chat) = (&pool, say(&format!("What is {i}?")));
        async move { ask(pool, &chat, false).await }
    });
    let answers = join_all(all).await;
    let failed = answers.iter().find_map(|answer| answer.as_ref().err());
    assert!(failed.is_none(), "{failed:?}");
    let counts = pool.stats("p").unwrap().counts;
    let refused = counts.attempt_failures.of(Class::RateLimited);
    println!("62 calls of 60 a minute: {refused} refused, in {:?}", started.elapsed());
    mock.agrees(&pool).await;
}

#[tokio::test]
#[ignore = "wants servers: cargo xtask test --only providers"]
async fn pools_are_drained_while_they_stream() {
    let mock = Mock::fresh("LLMOCK").await;
    let pool = mock.clients("openai", "/v1", timeouts());
    let client = pool.client("p").unwrap();
    let stream = pool.stream("p", &say("Why is the sky blue?")).await.unwrap();
    let (answer, drained) =
        tokio::join!(stream.collect_answer(), pool.drain(Some(Duration::from_secs(5))));
    assert!(!answer.unwrap().text.is_empty());
    drained.unwrap();
    assert_eq!((client.stats().in_flight, mock.requests().await.len()), (0, 1));
    mock.judges().await;
}

//! Clients over a transport that answers from a script, on simulated time.

mod calls;
mod cancels;
mod pools;
mod script;
mod sharing;
mod storm;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use edgepool_llm::chat::{ChatRequest, Message, Role};
use edgepool_llm::client::ClientPool;
use edgepool_llm::provider::{Builder, Provider};
use edgepool_llm::{Class, Failure};
use edgepool_sim::SimClock;
use script::Script;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// The time since 1970 of these tests.
const WALL: Duration = Duration::from_secs(1_700_000_000);

const ANSWER: &str = r#"{"id":"1","choices":[{"message":{"content":"hello"},
    "finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;

type Pool = ClientPool<Script, SimClock>;

fn provider(name: &str) -> Builder {
    Provider::builder(name, "vllm").base_url(format!("http://{name}.test/v1")).model("m")
}

fn hello() -> ChatRequest {
    ChatRequest { messages: vec![Message::text(Role::User, "hello")], ..ChatRequest::default() }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A client pool, its transport and its clock.
struct Bench {
    clock: SimClock,
    script: Script,
    pool: Pool,
}

impl Bench {
    fn empty() -> Self {
        let clock = SimClock::new();
        let script = Script::new(&clock);
        let pool = ClientPool::builder_with_wall(script.clone(), clock.clone(), || WALL);
        let pool = pool.seed(1).build();
        Self { clock, script, pool }
    }

    fn with(builder: Builder) -> Self {
        let bench = Self::empty();
        bench.pool.register_provider(builder.build().unwrap()).unwrap();
        bench
    }

    /// Polls a future when it is woken, and lets time pass when it is not.
    fn run<R>(&self, future: impl Future<Output = R>) -> R {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut future = pin!(future);
        for _ in 0..100_000 {
            if let Poll::Ready(ready) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return ready;
            }
            while !woken.0.swap(false, Ordering::SeqCst) {
                assert!(self.clock.advance_to_next_alarm().is_some(), "it waits for ever");
            }
        }
        panic!("it goes in circles");
    }

    fn chat(&self) -> Result<String, Failure> {
        let client = self.pool.client("a").unwrap();
        Ok(self.run(client.chat(&hello()))?.text)
    }

    /// Streams a chat to its end; returns what was said, and how it failed.
    fn stream(&self) -> (String, Option<Failure>) {
        let client = self.pool.client("a").unwrap();
        self.run(async {
            let mut said = String::new();
            let mut stream = match client.stream(&hello()).await {
                Ok(stream) => stream,
                Err(failure) => return (said, Some(failure)),
            };
            while let Some(event) = stream.next().await {
                match event {
                    Ok(edgepool_llm::chat::StreamEvent::Text(text)) => said.push_str(&text),
                    Ok(_) => {}
                    Err(failure) => return (said, Some(failure)),
                }
            }
            (said, None)
        })
    }

    /// Nothing is under way, and nobody waits.
    #[track_caller]
    fn is_quiet(&self) {
        let stats = self.pool.stats("a").unwrap();
        assert_eq!((stats.in_flight, stats.waiting, self.script.open()), (0, 0, 0));
        let counts = &stats.counts;
        assert_eq!(counts.calls, counts.answered + counts.failures.sum());
    }

    #[track_caller]
    fn fails(&self, class: Class) -> Failure {
        let failure = self.chat().unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
        self.is_quiet();
        failure
    }
}

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use edgepool_llm::service::Policy;

use super::script::Reply;
use super::{Bench, MS, SECOND, hello, provider};

/// Polls a future so often, and drops it then; tells whether it was ready before.
async fn cancelled<F: Future>(future: F, polls: usize) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            // The last one is not woken: it is dropped at once.
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A call that waits for its place, fails, rests, is hedged and streams slowly.
async fn eventful(bench: &Bench) {
    let client = bench.pool.client("a").unwrap();
    let mut stream = client.stream(&hello()).await.unwrap();
    while let Some(event) = stream.next().await {
        event.unwrap();
    }
}

fn bench() -> Bench {
    let policy = Policy { hedge_after: Some(SECOND), ..Policy::default() };
    let bench = Bench::with(provider("a").max(2).policy(policy));
    let slow = Reply::new(200)
        .header("content-type", "text/event-stream")
        .after(100 * MS)
        .later(100 * MS, ": ping\n\n")
        .later(3 * SECOND, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n")
        .later(100 * MS, super::script::USAGE)
        .later(100 * MS, "data: [DONE]\n\n");
    let holders = Reply::json(200, super::ANSWER).after(SECOND);
    bench.script.reply(holders.clone()).reply(holders);
    bench.script.reply(Reply::json(500, "{}").after(100 * MS)).reply(slow).reply(Reply::never());
    bench
}

#[test]
fn wherever_a_call_is_dropped_everything_is_given_back() {
    let mut polls = 0;
    loop {
        let bench = bench();
        let client = bench.pool.client("a").unwrap();
        let asked = hello();
        let done = bench.run(async {
            let holders = futures::future::join(client.chat(&asked), client.chat(&asked));
            let ours = cancelled(eventful(&bench), polls);
            let (held, done) = futures::future::join(holders, ours).await;
            assert!(held.0.is_ok() && held.1.is_ok());
            done
        });
        bench.is_quiet();
        // Whatever was to come is of no interest any more; both places are there.
        for _ in 0..4 {
            bench.script.reply(Reply::json(200, super::ANSWER).after(MS));
        }
        drop(bench.script.sent());
        let both = futures::future::join(bench.pool.get("a"), bench.pool.get("a"));
        let (one, two) = bench.run(both);
        assert!(one.is_ok() && two.is_ok(), "after {polls} polls");
        if done {
            break;
        }
        polls += 1;
    }
    assert!(polls > 8, "it had {polls} points to be dropped at");
}

#[test]
fn a_stream_that_is_dropped_is_broken_off() {
    let bench = Bench::with(provider("a").max(1));
    bench.script.reply(Reply::events(&["one", "two"]).hangs());
    let stream = bench.run(bench.pool.stream("a", &hello())).unwrap();
    assert_eq!(bench.script.open(), 1);
    drop(stream);
    bench.is_quiet();
    assert!(bench.chat().is_ok());
}

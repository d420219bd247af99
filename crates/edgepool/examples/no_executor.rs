//! A program without any executor: it takes what is idle, gives it back by dropping it, and waits
//! by polling when it has the time: `cargo run -p edgepool --example no_executor`.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use edgepool::{Pool, StdClock, factory_fn};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(factory_fn(connect), StdClock).max(1).build()?;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pool.try_acquire().is_none(), "it creates nothing");

    // A creation that needs no time is done with the first poll.
    let Poll::Ready(lease) = pin!(pool.acquire()).poll(&mut cx) else { unreachable!() };
    drop(lease?);
    println!("{} idle", pool.stats().gauges.idle);

    // From here on plain calls do: the wait is a future that nobody has to run.
    let held = pool.try_acquire().ok_or("one is idle")?;
    let mut next = pin!(pool.acquire());
    let mut frames = 0;
    let mut held = Some(held);
    let lease = loop {
        match next.as_mut().poll(&mut cx) {
            Poll::Ready(outcome) => break outcome?,
            Poll::Pending => frames += 1, // a game would draw its next frame now
        }
        if frames == 3 {
            held.take();
        }
    };
    println!("{} was ours after {frames} frames", *lease);
    assert_eq!((frames, pool.stats().counters.created), (3, 1));
    Ok(())
}

async fn connect() -> Result<&'static str, Infallible> {
    Ok("the connection")
}

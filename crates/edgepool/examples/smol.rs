//! Whoever waits may be dropped, here by a timer of smol, and nothing is lost:
//! `cargo run -p edgepool --example smol`.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use edgepool::{AcquireError, Pool, StdClock, factory_fn};
use smol::Timer;
use smol::future::{or, try_zip};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(factory_fn(connect), StdClock).max(1).build()?;
    smol::block_on(async {
        let held = pool.acquire().await?;

        let impatient = or(async { pool.acquire().await.map(Some) }, async {
            after(20).await;
            println!("the first in the queue has left it");
            Ok(None)
        });
        let patient = async {
            let lease = pool.acquire().await?;
            println!("the second has {}", *lease);
            Ok::<_, AcquireError<Infallible>>(lease)
        };
        let release = async {
            after(40).await;
            println!("the connection is released");
            drop(held);
            Ok(())
        };
        let ((left, served), ()) = try_zip(try_zip(impatient, patient), release).await?;

        assert!(left.is_none() && pool.stats().gauges.in_use == 1);
        drop(served);
        println!("{} idle, {} waiting", pool.stats().gauges.idle, pool.stats().gauges.waiting);
        Ok(())
    })
}

async fn connect() -> Result<&'static str, Infallible> {
    Ok("the connection")
}

async fn after(millis: u64) {
    Timer::after(Duration::from_millis(millis)).await;
}

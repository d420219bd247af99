//! Tasks of a tokio runtime share two connections: `cargo run -p edgepool --example tokio`.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use edgepool::{AcquireError, Pool, StdClock, factory_fn};
use tokio::task::JoinSet;
use tokio::time::sleep;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder(factory_fn(connect), StdClock).max(2).build()?;

    let mut tasks = JoinSet::new();
    for task in 1..=6 {
        let pool = pool.clone();
        tasks.spawn(async move {
            let lease = pool.acquire().await?;
            println!("task {task} works on {} {}", *lease, lease.key().index);
            sleep(Duration::from_millis(5)).await;
            Ok::<_, AcquireError<Infallible>>(())
        });
    }
    for outcome in tasks.join_all().await {
        outcome?;
    }

    let counters = pool.stats().counters;
    println!("{} tasks were served by {} connections", counters.released, counters.created);
    assert_eq!((counters.released, counters.created), (6, 2));
    Ok(())
}

/// The pool is not tokio's, its connections may be.
async fn connect() -> Result<String, Infallible> {
    sleep(Duration::from_millis(20)).await;
    Ok("connection".to_owned())
}

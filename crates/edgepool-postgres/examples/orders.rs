//! Many callers on few connections: `cargo run -p edgepool-postgres --example orders`, with the
//! server in PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE. Without one of your own:
//! `cargo xtask postgres -- cargo run -p edgepool-postgres --example orders`.

use std::env::var;
use std::time::Duration;

use edgepool::StdClock;
use edgepool_postgres::PgConnector;
use edgepool_postgres::tokio_postgres::Config;

fn config() -> Config {
    let named = |name, default: &str| var(name).unwrap_or_else(|_| default.to_owned());
    let user = named("PGUSER", "postgres");
    let mut config = Config::new();
    config.host(named("PGHOST", "127.0.0.1")).user(&user).dbname(named("PGDATABASE", &user));
    config.port(named("PGPORT", "5432").parse().unwrap_or(5432)).application_name("orders");
    if let Ok(password) = var("PGPASSWORD") {
        config.password(password);
    }
    config
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = PgConnector::new(config()).pool(StdClock).max(4).build()?;
    tokio::spawn(pool.driver());

    let callers = (0..100_i64).map(|number| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let connection = pool.acquire().await.map_err(|error| error.to_string())?;
            let square = connection.prepare_cached("SELECT $1::bigint * $1::bigint").await;
            let square = square.map_err(|error| error.to_string())?;
            let row = connection.query_one(&square, &[&number]).await;
            row.map(|row| row.get::<_, i64>(0)).map_err(|error| error.to_string())
        })
    });
    let mut sum = 0;
    for caller in callers.collect::<Vec<_>>() {
        sum += caller.await??;
    }
    let stats = pool.stats();
    println!("the sum of 100 squares is {sum}, on {} connections", stats.counters.created);
    pool.drain(Duration::from_secs(5)).await?;
    Ok(())
}

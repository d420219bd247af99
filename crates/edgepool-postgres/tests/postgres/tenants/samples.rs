//! Who is connected, as the server says it.
//!
//! A connection that was closed or killed is gone for its pool at once, and so a new one may stand in
//! its place; at the server its process takes some moments more to end, and is listed until then. So
//! a look that finds more than there may be is followed by others, until those that it found and
//! that are still there are few enough: processes that end do, connections that are too many stay.
//! How long that took is told, and must not be longer than [`LINGER`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use edgepool_postgres::tokio_postgres::{Client, Error, NoTls};
use tokio::time::sleep;

use super::fixtures::Kind;
use crate::server::{config, outside};

/// How long a process may take to end.
const LINGER: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(5);

/// A process of the server: its name, its id, and when it began.
type Backend = (String, i32, String);

/// What the samples were.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) taken: usize,
    /// The most connections at once, without those that ended.
    pub(super) most: usize,
    /// The longest that one too many was listed.
    pub(super) lingered: Duration,
    /// What was too much, for good.
    pub(super) over: Vec<String>,
}

/// Looks at the server until it is told that all is over. A server that is down has no connections.
pub(super) async fn take(kind: Kind, over: Arc<AtomicBool>) -> Samples {
    let mut samples = Samples::default();
    while !over.load(Ordering::Relaxed) {
        let Ok((client, connection)) = config("sampler").connect(NoTls).await else {
            sleep(PAUSE).await;
            continue;
        };
        tokio::spawn(connection);
        while !over.load(Ordering::Relaxed) && samples.look(&client, kind).await.is_ok() {
            sleep(PAUSE).await;
        }
    }
    samples
}

impl Samples {
    async fn look(&mut self, client: &Client, kind: Kind) -> Result<(), Error> {
        let began = Instant::now();
        let mut there = backends(client, kind).await?;
        self.taken += 1;
        while let Some(excess) = excess(&there, kind) {
            if began.elapsed() > LINGER {
                self.over.push(excess);
                return Ok(());
            }
            sleep(PAUSE).await;
            let now = backends(client, kind).await?;
            there.retain(|backend| now.contains(backend));
            self.lingered = self.lingered.max(began.elapsed());
        }
        self.most = self.most.max(there.len());
        Ok(())
    }
}

async fn backends(client: &Client, kind: Kind) -> Result<HashSet<Backend>, Error> {
    let text = "SELECT application_name, pid, backend_start::text FROM pg_stat_activity \
                WHERE starts_with(application_name, $1) AND backend_type = 'client backend'";
    let rows = client.query(text, &[&kind.prefix()]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

/// Waits until the server has none of the connections any more.
pub(super) async fn await_none(kind: Kind) {
    let (outside, began) = (outside().await, Instant::now());
    loop {
        let left = backends(&outside, kind).await.unwrap();
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{left:?} are left");
        sleep(PAUSE).await;
    }
}

/// Tells what is more than there may be.
fn excess(there: &HashSet<Backend>, kind: Kind) -> Option<String> {
    let (most_each, most) = kind.caps();
    let mut each: HashMap<&str, usize> = HashMap::new();
    for (name, ..) in there {
        *each.entry(name).or_default() += 1;
    }
    if there.len() > most {
        return Some(format!("{} connections of {most}", there.len()));
    }
    let (name, number) = each.into_iter().find(|&(_, number)| number > most_each)?;
    Some(format!("{number} connections of {most_each} by the name {name}"))
}

#[test]
fn too_many_connections_are_seen() {
    let backends = |names: &[&str]| -> HashSet<Backend> {
        (1..).zip(names).map(|(pid, &name)| (name.to_owned(), pid, String::new())).collect()
    };
    assert_eq!(excess(&backends(&["schemas/a", "schemas/a", "schemas/b"]), Kind::Schemas), None);
    let three = excess(&backends(&["schemas/a"; 3]), Kind::Schemas).unwrap();
    assert_eq!(three, "3 connections of 2 by the name schemas/a");
    let thirteen = excess(&backends(&["rows/all"; 13]), Kind::Rows).unwrap();
    assert_eq!(thirteen, "13 connections of 12");
}

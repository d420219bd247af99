//! Three ways to keep tenants apart, behind one acquire: `cargo run --example tenants`.

use std::convert::Infallible;
use std::time::Duration;

use edgepool::tenants::{Entry, Strategy, TenantFactory, TenantPools};
use edgepool::{Begun, BoxFactory, NoJob, StdClock, Tried, boxed, factory_fn};

/// A session of a database.
struct Session {
    /// The tenant whose rows it sees, where tenants share it.
    rows_of: Option<String>,
    schema: String,
    database: String,
}

struct Sessions;

impl TenantFactory for Sessions {
    type Connection = Session;
    type Error = Infallible;
    type Factory = BoxFactory<Session, Infallible>;
    type Enter = NoJob<Tried<Session, Infallible>>;

    fn factory(&self, entry: Option<&Entry>) -> Self::Factory {
        let name = |name: Option<&str>, default: &str| name.unwrap_or(default).to_owned();
        let schema = name(entry.and_then(Entry::schema), "public");
        let database = name(entry.and_then(Entry::database), "main");
        let open = move || {
            let (schema, database) = (schema.clone(), database.clone());
            async { Ok(Session { rows_of: None, schema, database }) }
        };
        boxed(factory_fn(open).reset_sync(|session| {
            session.rows_of = None;
            Ok(())
        }))
    }

    fn enter(
        &self,
        mut session: Session,
        entry: &Entry,
    ) -> Begun<Tried<Session, Infallible>, Self::Enter> {
        session.rows_of = Some(entry.id().to_string());
        Begun::Done(Ok(session))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let strategies = [Strategy::shared(), Strategy::per_tenant(), Strategy::per_database()];
    for strategy in strategies {
        let pools = TenantPools::builder(Sessions, StdClock).strategy(strategy).build()?;
        println!("{strategy:?}");
        futures::executor::block_on(async {
            for tenant in ["acme", "globex", "acme"] {
                let session = pools.acquire(tenant).await?;
                let Session { rows_of, schema, database } = &*session;
                println!("  {tenant}: {database}.{schema}, rows of {rows_of:?}");
            }
            let totals = pools.totals();
            println!("  {} leases of {} tenants", totals.usage.callers.acquired, totals.tenants);
            pools.drain(Duration::from_secs(5)).await?;
            Ok::<_, Box<dyn std::error::Error>>(())
        })?;
    }
    Ok(())
}

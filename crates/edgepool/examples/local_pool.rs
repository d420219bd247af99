//! Connections for one thread, behind an `Rc`, on the executor of `futures` for one thread:
//! `cargo run -p edgepool --example local_pool`.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error;
use std::rc::Rc;

use edgepool::{Pool, StdClock, factory_fn};
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt as _;

/// What no other thread may touch: so the pool, its futures and its leases stay on this one.
type Journal = Rc<RefCell<Vec<String>>>;

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let opened = Rc::new(Cell::new(0));
    let counter = Rc::clone(&opened);
    let open = factory_fn(move || {
        counter.set(counter.get() + 1);
        async { Ok::<_, Infallible>(Journal::default()) }
    });
    let pool = Pool::builder(open, StdClock).max(1).build()?;

    let mut executor = LocalPool::new();
    for author in ["Ada", "Grace", "Barbara"] {
        let pool = pool.clone();
        executor.spawner().spawn_local(async move {
            let journal = pool.acquire().await.expect("one comes free soon");
            journal.borrow_mut().push(format!("{author} was here"));
        })?;
    }
    executor.run();

    let journal = pool.try_acquire().ok_or("it is idle again")?;
    journal.borrow().iter().for_each(|line| println!("{line}"));
    assert_eq!((journal.borrow().len(), opened.get()), (3, 1));
    Ok(())
}

//! A pool whose connections are counted, and of which a job can be kept from ending.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Poll, Waker};

use edgepool::{Begun, Builder, Factory, Lease, NoJob, Pool, Tried};

use crate::hand_clock::HandClock;
use crate::threads::{Mutex, poll_times};

/// Keeps everybody out until it is opened.
#[derive(Default)]
pub(crate) struct Gate(Mutex<(bool, Vec<Waker>)>);

impl Gate {
    fn pass(self: Arc<Self>) -> impl Future<Output = ()> + Send {
        poll_fn(move |cx| {
            let waker = cx.waker().clone();
            let mut gate = self.0.lock().unwrap();
            match gate.0 {
                true => Poll::Ready(()),
                false => {
                    gate.1.push(waker);
                    Poll::Pending
                }
            }
        })
    }

    pub(crate) fn open(&self) {
        let mut gate = self.0.lock().unwrap();
        gate.0 = true;
        let wakers = std::mem::take(&mut gate.1);
        drop(gate);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// How many connections were made, and how many are gone.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) made: AtomicU32,
    pub(crate) gone: AtomicU32,
}

pub(crate) struct Connection(Arc<Tally>);

impl Connection {
    fn new(tally: Arc<Tally>) -> Self {
        tally.made.fetch_add(1, SeqCst);
        Self(tally)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.gone.fetch_add(1, SeqCst);
    }
}

/// Its jobs with a gate wait there; the others are calls, and a creation without is made at once.
#[derive(Clone, Default)]
pub(crate) struct Gated {
    pub(crate) tally: Arc<Tally>,
    create: Option<Arc<Gate>>,
    reset: Option<Arc<Gate>>,
    close: Option<Arc<Gate>>,
}

/// A gate, and a factory of which one job waits there.
impl Gated {
    pub(crate) fn creating() -> (Arc<Gate>, Self) {
        let gate = Arc::new(Gate::default());
        (Arc::clone(&gate), Self { create: Some(gate), ..Self::default() })
    }

    pub(crate) fn resetting() -> (Arc<Gate>, Self) {
        let gate = Arc::new(Gate::default());
        (Arc::clone(&gate), Self { reset: Some(gate), ..Self::default() })
    }

    pub(crate) fn closing() -> (Arc<Gate>, Self) {
        let gate = Arc::new(Gate::default());
        (Arc::clone(&gate), Self { close: Some(gate), ..Self::default() })
    }
}

type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Factory for Gated {
    type Connection = Connection;
    type Error = Infallible;
    type Create = Job<Result<Connection, Infallible>>;
    type Check = NoJob<Tried<Connection, Infallible>>;
    type Reset = Job<Tried<Connection, Infallible>>;
    type Close = Job<()>;

    fn create(&self) -> Self::Create {
        let (tally, gate) = (Arc::clone(&self.tally), self.create.clone());
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.pass().await;
            }
            Ok(Connection::new(tally))
        })
    }

    fn checks(&self) -> bool {
        false
    }

    fn reset(&self, connection: Connection) -> Begun<Tried<Connection, Infallible>, Self::Reset> {
        match self.reset.clone() {
            Some(gate) => Begun::Later(Box::pin(async move {
                gate.pass().await;
                Ok(connection)
            })),
            None => Begun::Done(Ok(connection)),
        }
    }

    fn close(&self, connection: Connection) -> Begun<(), Self::Close> {
        match self.close.clone() {
            Some(gate) => Begun::Later(Box::pin(async move {
                gate.pass().await;
                drop(connection);
            })),
            None => {
                drop(connection);
                Begun::Done(())
            }
        }
    }
}

pub(crate) type GatedPool = Pool<Gated, HandClock>;
pub(crate) type GatedLease = Lease<Gated, HandClock>;

pub(crate) fn builder(factory: &Gated, max: u32) -> Builder<Gated, HandClock> {
    Pool::builder(factory.clone(), HandClock::default()).max(max).min_idle(0).seed(0)
}

pub(crate) fn pool(factory: &Gated, max: u32) -> GatedPool {
    builder(factory, max).build().unwrap()
}

/// Acquires what is there or is made at once.
pub(crate) fn take_one(pool: &GatedPool) -> GatedLease {
    poll_times(pool.acquire(), 1).expect("it is there").unwrap()
}

/// Checks that nobody is left in the pool, and that none of its connections is lost.
pub(crate) fn leave(pool: GatedPool, factory: &Gated) {
    pool.check().unwrap();
    let gauges = pool.stats().gauges;
    assert_eq!((gauges.in_use, gauges.waiting, gauges.offered), (0, 0, 0));
    let tally = &factory.tally;
    let kept = tally.made.load(SeqCst) - tally.gone.load(SeqCst);
    assert_eq!(kept, gauges.idle + gauges.resetting + gauges.closing);
    drop(pool);
    assert_eq!(tally.made.load(SeqCst), tally.gone.load(SeqCst), "none outlives the pool");
}

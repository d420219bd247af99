use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use edgepool::{Clock, Factory, NoJob, OptionsError, Pool, Time, Tried};

use crate::provider::Provider;
use crate::service::{Service, ServiceOptions};
use crate::url::BaseUrl;

/// The right to have one attempt under way. Connections are the transport's.
#[derive(Debug)]
pub(super) struct Place;

/// Makes places, at once and without fail.
#[derive(Debug)]
pub(super) struct Places;

impl Factory for Places {
    type Connection = Place;
    type Error = Infallible;
    type Create = Ready<Result<Place, Infallible>>;
    type Check = NoJob<Tried<Place, Infallible>>;
    type Reset = NoJob<Tried<Place, Infallible>>;
    type Close = NoJob<()>;

    fn create(&self) -> Self::Create {
        ready(Ok(Place))
    }
    fn checks(&self) -> bool {
        false
    }
}

/// What all callers of one service share, whichever client pool they come by.
pub(super) struct Hub<C: Clock> {
    service: Mutex<Service>,
    pub(super) pool: Pool<Places, C>,
    pub(super) clock: C,
    /// The size that the pool was given last.
    size: AtomicU32,
    chance: AtomicU64,
    /// What all who share it must agree on.
    pub(super) terms: Vec<(&'static str, String)>,
    /// By how many client pools' providers it is in use.
    pub(super) members: AtomicU32,
    /// The endpoints, in the order in which the service knows them.
    pub(super) bases: Vec<BaseUrl>,
}

impl<C: Clock + Clone> Hub<C> {
    pub(super) fn new(provider: &Provider, clock: &C, seed: u64) -> Result<Self, OptionsError> {
        let service = Service::new(ServiceOptions::of(provider), clock.now());
        let size = service.places(clock.now());
        // Places are free to keep and never stale, and each call has clocks of its own.
        let pool = Pool::builder(Places, clock.clone())
            .max(size)
            .min_idle(0)
            .max_waiting(provider.max_waiting)
            .acquire_timeout(None)
            .idle_timeout(None)
            .max_lifetime(None)
            .slow_acquire(None)
            .seed(seed)
            .build()?;
        Ok(Self {
            service: Mutex::new(service),
            pool,
            clock: clock.clone(),
            size: AtomicU32::new(size),
            chance: AtomicU64::new(seed),
            terms: provider.terms(),
            members: AtomicU32::new(0),
            bases: provider.endpoints.iter().map(|endpoint| endpoint.base.clone()).collect(),
        })
    }
}

impl<C: Clock> Hub<C> {
    /// Takes the lock, under which only the service's own code may run.
    pub(super) fn lock(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Draws a number; the generator is SplitMix64.
    pub(super) fn chance(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut it = self.chance.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    /// Has the pool be of the size that the service asks for. The pool is not told under the lock,
    /// as it wakes callers; so whoever told it looks again, and the last one to tell is right.
    pub(super) fn resize(&self) {
        loop {
            let now = self.now();
            let places = self.lock().places(now);
            if self.size.load(Ordering::SeqCst) == places {
                return;
            }
            // It is at least 1, and no `min_idle` is set.
            if self.pool.resize(places).is_err() {
                return;
            }
            self.size.store(places, Ordering::SeqCst);
        }
    }
}

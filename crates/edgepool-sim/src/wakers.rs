//! Wakers that count, and wakers that misbehave; futures that are polled by hand.
//!
//! Whoever keeps a waker runs another's code when it wakes, replaces or drops it. That code may use
//! the pool, drop a future of the pool, or panic, all of which the contract of wakers allows.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Counts the wakes of its [`waker`](Self::waker)s.
///
/// # Examples
/// ```
/// use edgepool_sim::Wakes;
///
/// let wakes = Wakes::new();
/// wakes.waker().wake();
/// assert_eq!(wakes.count(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Wakes(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter(AtomicU32);

impl Wakes {
    /// Starts to count.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a waker whose wakes are counted. All of one count are the same to
    /// [`will_wake`](Waker::will_wake).
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::from(self.0.clone())
    }

    /// Returns how often they were woken.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.0.load(Ordering::Relaxed)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes a waker that runs `wake`, in the middle of whatever wakes it. It may use the pool.
///
/// # Examples
/// ```
/// use edgepool::Pool;
/// use edgepool_sim::{ByHand, SimClock, SimFactory, waker_fn};
///
/// let clock = SimClock::new();
/// let pool = Pool::builder(SimFactory::new(&clock, 1), clock).max(1).build()?;
/// let lease = ByHand::new(pool.acquire()).ready().unwrap();
///
/// let mut acquire = ByHand::new(pool.acquire());
/// let reentrant = pool.clone();
/// let waker = waker_fn(move || assert_eq!(reentrant.stats().gauges.offered, 1));
/// assert!(acquire.poll_with(&waker).is_none());
/// drop(lease); // wakes it
/// assert!(acquire.ready().is_ok());
/// # Ok::<_, edgepool::OptionsError>(())
/// ```
pub fn waker_fn(wake: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Callback(wake)))
}

struct Callback<F>(F);

impl<F: Fn() + Send + Sync> Wake for Callback<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        (self.0)();
    }
}

/// Makes a waker that panics when it is woken.
#[must_use]
pub fn panicking_waker() -> Waker {
    waker_fn(|| panic!("a waker panics, as planned"))
}

/// Makes a waker that panics when the last of its clones is dropped, and does nothing when it is
/// woken.
#[must_use]
pub fn waker_that_panics_on_drop() -> Waker {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            // A second panic would end the process.
            assert!(std::thread::panicking(), "the drop of a waker panics, as planned");
        }
    }
    let bomb = PanicsOnDrop;
    waker_fn(move || {
        let _ = &bomb;
    })
}

/// Polls a future once, with a waker that is its only owner from then on: when whoever keeps the
/// waker wakes or drops it, the future is dropped right there. Returns what the future gave if it
/// was ready.
///
/// So does an executor whose handle of a task was dropped.
///
/// # Examples
/// ```
/// use edgepool::Pool;
/// use edgepool_sim::{ByHand, SimClock, SimFactory, poll_orphan};
///
/// let clock = SimClock::new();
/// let pool = Pool::builder(SimFactory::new(&clock, 1), clock).max(1).build()?;
/// let lease = ByHand::new(pool.acquire()).ready().unwrap();
///
/// let acquire = pool.clone();
/// assert!(poll_orphan(async move { acquire.acquire().await.is_ok() }).is_none());
/// assert_eq!(pool.stats().gauges.waiting, 1);
/// drop(lease); // wakes the orphan, and so drops it
/// assert_eq!((pool.stats().gauges.waiting, pool.stats().gauges.idle), (0, 1));
/// # Ok::<_, edgepool::OptionsError>(())
/// ```
pub fn poll_orphan<F>(future: F) -> Option<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let orphan = Arc::new(Orphan { future: Mutex::new(None), woken: AtomicBool::new(false) });
    let waker = Waker::from(orphan.clone());
    let mut future = Box::pin(future);
    let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
    if let Poll::Ready(output) = polled {
        return Some(output);
    }
    *orphan.future.lock().unwrap_or_else(PoisonError::into_inner) = Some(future);
    // A wake while it was polled counts, too.
    if orphan.woken.load(Ordering::Relaxed) {
        waker.wake_by_ref();
    }
    drop(waker);
    // From here on its wakers own it.
    drop(orphan);
    None
}

struct Orphan<F> {
    future: Mutex<Option<Pin<Box<F>>>>,
    woken: AtomicBool,
}

impl<F: Future + Send> Wake for Orphan<F> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        let future = self.future.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(future);
    }
}

/// A future that is polled by hand.
///
/// # Examples
/// ```
/// use edgepool_sim::ByHand;
///
/// let mut ready = ByHand::new(async { 7 });
/// assert_eq!(ready.poll(), Some(7));
/// assert_eq!(ready.wakes(), 0);
/// ```
pub struct ByHand<F> {
    future: Pin<Box<F>>,
    wakes: Wakes,
}

impl<F: Future> ByHand<F> {
    /// Wraps the future; it is not polled yet.
    pub fn new(future: F) -> Self {
        Self { future: Box::pin(future), wakes: Wakes::new() }
    }

    /// Polls it once with a waker that counts.
    pub fn poll(&mut self) -> Option<F::Output> {
        let waker = self.wakes.waker();
        self.poll_with(&waker)
    }

    /// Polls it once with another waker.
    pub fn poll_with(&mut self, waker: &Waker) -> Option<F::Output> {
        match self.future.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Polls it once, and returns its output.
    ///
    /// # Panics
    /// If it is not ready.
    pub fn ready(&mut self) -> F::Output {
        self.poll().expect("the future is ready")
    }

    /// Returns how often the waker that counts was woken.
    #[must_use]
    pub fn wakes(&self) -> u32 {
        self.wakes.count()
    }
}

impl<F> fmt::Debug for ByHand<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByHand").field("wakes", &self.wakes.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Keeps the waker of its poll, and tells when it is dropped.
    fn kept(
        waker: &Arc<Mutex<Option<Waker>>>,
        dropped: &Wakes,
    ) -> impl Future<Output = ()> + use<> {
        struct Tells(Wakes);
        impl Drop for Tells {
            fn drop(&mut self) {
                self.0.waker().wake();
            }
        }
        let (waker, tells) = (waker.clone(), Tells(dropped.clone()));
        poll_fn(move |cx| {
            let _ = &tells;
            *waker.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    #[test]
    fn an_orphan_lives_as_long_as_its_waker_and_is_dropped_by_its_wake() {
        let (waker, dropped) = (Arc::default(), Wakes::new());
        assert_eq!(poll_orphan(kept(&waker, &dropped)), None);
        assert_eq!(dropped.count(), 0);
        let taken = waker.lock().unwrap().take().unwrap();
        taken.wake_by_ref();
        assert_eq!(dropped.count(), 1);
        drop(taken);
        assert_eq!(dropped.count(), 1);

        poll_orphan(kept(&waker, &dropped));
        let taken = waker.lock().unwrap().take();
        drop(taken);
        assert_eq!(dropped.count(), 2);
        assert_eq!(poll_orphan(async { 5 }), Some(5));
    }

    #[test]
    fn an_orphan_that_is_woken_while_it_is_polled_is_dropped_after_it() {
        let (waker, dropped) = (Arc::default(), Wakes::new());
        let mut polled = Box::pin(kept(&waker, &dropped));
        let wakes_itself = poll_fn(move |cx| {
            cx.waker().wake_by_ref();
            polled.as_mut().poll(cx)
        });
        assert_eq!(poll_orphan(wakes_itself), None);
        assert_eq!(dropped.count(), 1);
    }

    #[test]
    fn panicking_wakers_panic_where_they_say() {
        assert!(catch_unwind(|| panicking_waker().wake()).is_err());
        assert!(catch_unwind(|| drop(panicking_waker())).is_ok());
        let waker = waker_that_panics_on_drop();
        drop(waker.clone());
        waker.wake_by_ref();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(waker))).is_err());
    }

    #[test]
    fn by_hand_counts_its_wakes() {
        let waker = Arc::default();
        let mut future = ByHand::new(kept(&waker, &Wakes::new()));
        assert!(future.poll().is_none());
        waker.lock().unwrap().take().unwrap().wake();
        assert_eq!(future.wakes(), 1);
        assert!(ByHand::new(pending::<()>()).poll().is_none());
    }
}

//! What a pool tells as events of `tracing`, as a program's log would have it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use edgepool::{
    Acquire, AcquireError, Builder, CheckOnAcquire, Lease, Observed, Pool, TracingObserver,
};
use edgepool_sim::{ByHand, Creation, SimClock, SimFactory, Trial};
use edgepool_tests::ms;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

type Factory = Observed<SimFactory, TracingObserver>;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Keeps what this thread logs until the guard is dropped, from this level up.
    fn begin(level: LevelFilter) -> (Self, impl Sized) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .finish();
        (log, subscriber.set_default())
    }

    /// Asserts what was logged since the last time; of a place the line, not the column.
    #[track_caller]
    fn expect(&self, expected: &[&str]) {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        let line = |line: &str| match line.contains("location=") {
            true => line.trim().rsplit_once(':').unwrap().0.to_owned(),
            false => line.trim().to_owned(),
        };
        assert_eq!(text.lines().map(line).collect::<Vec<_>>(), expected);
    }
}

struct Setup {
    clock: SimClock,
    factory: SimFactory,
    pool: Pool<Factory, SimClock>,
}

impl Setup {
    fn new(set: impl FnOnce(Builder<Factory, SimClock>) -> Builder<Factory, SimClock>) -> Self {
        let clock = SimClock::new();
        let factory = SimFactory::new(&clock, 0);
        let observed = Observed::new(factory.clone(), TracingObserver::new("p"));
        let builder = Pool::builder(observed, clock.clone()).max(1).min_idle(0).backoff(None);
        Self { clock, factory, pool: set(builder).build().unwrap() }
    }

    fn asks(&self) -> ByHand<Acquire<'_, Factory, SimClock>> {
        ByHand::new(self.pool.acquire())
    }

    fn queues(&self) -> ByHand<Acquire<'_, Factory, SimClock>> {
        let mut waiter = self.asks();
        assert!(waiter.poll().is_none(), "it need not wait");
        waiter
    }

    fn lease(&self) -> Lease<Factory, SimClock> {
        self.asks().ready().unwrap()
    }
}

/// How an event names a line of this file, without the column.
fn at(line: u32) -> String {
    format!("location={}:{line}", file!())
}

#[test]
fn a_lease_is_told_from_the_queue_to_its_release() {
    let (log, _guard) = Log::begin(LevelFilter::TRACE);
    let setup = Setup::new(|pool| pool.slow_acquire(ms(100)));
    let lease = setup.lease();
    log.expect(&[
        r#"INFO edgepool: connection created pool="p" connection=1"#,
        r#"DEBUG edgepool: acquired pool="p" connection=1 uses=1 waited_ms=0.0"#,
    ]);

    let (mut next, asked) = (ByHand::new(setup.pool.acquire()), at(line!()));
    assert!(next.poll().is_none(), "the only connection is out");
    setup.clock.advance(ms(250));
    drop(lease);
    drop(next.ready().unwrap());
    log.expect(&[
        r#"DEBUG edgepool: queued pool="p" waiter=0"#,
        r#"DEBUG edgepool: released pool="p" connection=1 uses=1"#,
        &format!(r#"WARN edgepool: slow acquire pool="p" waited_ms=250.0 {asked}"#),
        r#"DEBUG edgepool: acquired pool="p" connection=1 uses=2 waited_ms=250.0"#,
        r#"DEBUG edgepool: released pool="p" connection=1 uses=2"#,
    ]);
}

#[test]
fn a_wait_is_told_by_how_it_ends() {
    let (log, _guard) = Log::begin(LevelFilter::TRACE);
    let setup = Setup::new(|pool| pool.max_waiting(1).acquire_timeout(ms(10)));
    setup.factory.plan([Creation::Fail(ms(0))]);
    assert!(matches!(setup.asks().ready(), Err(AcquireError::CreateFailed(_))));
    log.expect(&[
        r#"DEBUG edgepool: queued pool="p" waiter=0"#,
        r#"WARN edgepool: creation failed pool="p""#,
        r#"DEBUG edgepool: acquire ended pool="p" waiter=0 reason="create_failed""#,
    ]);

    let _lease = setup.lease();
    drop(setup.queues());
    let mut waiter = setup.queues();
    assert!(matches!(setup.asks().ready(), Err(AcquireError::QueueFull { .. })));
    setup.clock.advance(ms(10));
    assert!(matches!(waiter.ready(), Err(AcquireError::TimedOut(_))));
    log.expect(&[
        r#"INFO edgepool: connection created pool="p" connection=2"#,
        r#"DEBUG edgepool: acquired pool="p" connection=2 uses=1 waited_ms=0.0"#,
        r#"DEBUG edgepool: queued pool="p" waiter=0"#,
        r#"DEBUG edgepool: cancelled pool="p" waiter=0"#,
        r#"DEBUG edgepool: queued pool="p" waiter=0"#,
        r#"DEBUG edgepool: acquire refused pool="p""#,
        r#"DEBUG edgepool: acquire ended pool="p" waiter=0 reason="timed_out""#,
    ]);
}

#[test]
fn a_connection_is_told_by_how_it_leaves() {
    let (log, _guard) = Log::begin(LevelFilter::INFO);
    let setup = Setup::new(|pool| pool.max_uses(1));
    setup.lease().discard();
    setup.factory.plan_resets([Trial::FailAtOnce]);
    drop(setup.lease());
    drop(setup.lease());
    let _connection = setup.lease().take();
    drop(setup.lease());
    log.expect(&[
        r#"INFO edgepool: connection created pool="p" connection=1"#,
        r#"INFO edgepool: connection leaves pool="p" connection=1 uses=1 reason="discarded""#,
        r#"INFO edgepool: connection created pool="p" connection=2"#,
        r#"INFO edgepool: connection leaves pool="p" connection=2 uses=1 reason="reset_failed""#,
        r#"INFO edgepool: connection created pool="p" connection=3"#,
        r#"INFO edgepool: connection leaves pool="p" connection=3 uses=1 reason="used""#,
        r#"INFO edgepool: connection created pool="p" connection=4"#,
        r#"INFO edgepool: connection taken pool="p" connection=4 uses=1"#,
        r#"INFO edgepool: connection created pool="p" connection=5"#,
        r#"INFO edgepool: connection leaves pool="p" connection=5 uses=1 reason="used""#,
    ]);
}

#[test]
fn a_connection_that_is_lost_is_told_with_what_had_it() {
    let (log, _guard) = Log::begin(LevelFilter::WARN);
    let setup = Setup::new(|pool| pool.check_on_acquire(CheckOnAcquire::Always));
    drop(setup.lease());
    setup.factory.plan_checks([Trial::PanicAtStart]);
    setup.factory.plan_resets([Trial::PanicAtStart]);
    drop(setup.lease());
    log.expect(&[
        r#"WARN edgepool: connection lost pool="p" connection=1 job="check""#,
        r#"WARN edgepool: connection lost pool="p" connection=2 job="reset""#,
    ]);
}

#[test]
fn a_lease_that_is_held_for_long_is_told_with_its_place_if_that_is_kept() {
    for keep in [false, true] {
        let (log, _guard) = Log::begin(LevelFilter::WARN);
        let setup = Setup::new(|pool| pool.long_hold(ms(500)).capture_holders(keep));
        drop(setup.lease());
        let (mut asks, asked) = (ByHand::new(setup.pool.acquire()), at(line!()));
        let _lease = asks.ready().unwrap();
        setup.clock.advance(ms(750));
        setup.pool.tick();
        let location = if keep { format!(" {asked}") } else { String::new() };
        log.expect(&[&format!(
            r#"WARN edgepool: lease held for long pool="p" connection=1 uses=2 held_ms=750.0{location}"#
        )]);
    }
}

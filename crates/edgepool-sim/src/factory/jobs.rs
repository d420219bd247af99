//! The jobs of a simulated factory while they are under way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use edgepool::{Clock, Tried};

use super::{Closing, Creation, Job, SimConnection, SimError, SimFactory, Trial};
use crate::Alarm;

/// The time that a job takes, and its place in the factory's counts.
struct Work {
    factory: SimFactory,
    job: Job,
    alarm: Option<Alarm>,
    polled: bool,
    ended: bool,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    Panicked,
    Abandoned,
}

impl Work {
    /// Starts to count; a job that takes no time given never ends.
    fn begin(factory: &SimFactory, job: Job, after: Option<Duration>) -> Self {
        let clock = &factory.clock;
        let alarm = after.map(|after| clock.alarm(clock.now().saturating_add(after)));
        factory.lock().counts.begin(job);
        Self { factory: factory.clone(), job, alarm, polled: false, ended: false }
    }

    /// Ready when its time is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        assert!(!self.ended, "a {:?} is polled after it has ended", self.job);
        if !std::mem::replace(&mut self.polled, true) {
            self.factory.lock().counts.polled(self.job);
        }
        let Some(alarm) = &mut self.alarm else { return Poll::Pending };
        Pin::new(alarm).poll(cx)
    }

    fn end(&mut self, outcome: Outcome) {
        self.ended = true;
        let mut state = self.factory.lock();
        if !self.polled {
            state.counts.polled(self.job);
        }
        state.counts.end(self.job, outcome);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Outcome::Abandoned);
        }
    }
}

/// A creation of a [`SimFactory`] under way.
pub struct Creating {
    id: u64,
    plan: Creation,
    work: Work,
}

impl Creating {
    pub(super) fn begin(factory: &SimFactory, id: u64, plan: Creation) -> Self {
        let after = match plan {
            Creation::Connect(after) | Creation::Fail(after) | Creation::Panic(after) => {
                Some(after)
            }
            Creation::Hang | Creation::PanicAtStart => None,
        };
        Self { id, plan, work: Work::begin(factory, Job::Create, after) }
    }
}

impl Future for Creating {
    type Output = Result<SimConnection, SimError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { id, plan, work } = &mut *self;
        if work.poll(cx).is_pending() {
            return Poll::Pending;
        }
        match plan {
            Creation::Connect(_) => {
                work.end(Outcome::Passed);
                Poll::Ready(Ok(work.factory.connect(*id)))
            }
            Creation::Fail(_) => {
                work.end(Outcome::Failed);
                Poll::Ready(Err(SimError { creation: *id }))
            }
            _ => {
                work.end(Outcome::Panicked);
                panic!("creation {id} panics, as planned");
            }
        }
    }
}

impl fmt::Debug for Creating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, plan, .. } = self;
        f.debug_struct("Creating").field("id", id).field("plan", plan).finish_non_exhaustive()
    }
}

/// A check or a reset of a [`SimFactory`]'s connection under way.
pub struct Trying {
    /// `None` once it is given back.
    connection: Option<SimConnection>,
    plan: Trial,
    work: Work,
}

impl Trying {
    pub(super) fn begin(job: Job, connection: SimConnection, plan: Trial) -> Self {
        let after = match plan {
            Trial::Pass(after) | Trial::Fail(after) | Trial::Panic(after) => Some(after),
            _ => None,
        };
        let work = Work::begin(&connection.factory, job, after);
        Self { connection: Some(connection), plan, work }
    }
}

impl Future for Trying {
    type Output = Tried<SimConnection, SimError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { connection, plan, work } = &mut *self;
        if work.poll(cx).is_pending() {
            return Poll::Pending;
        }
        if matches!(plan, Trial::Panic(_)) {
            work.end(Outcome::Panicked);
            connection.as_ref().inspect(|connection| connection.set_lost());
            panic!("a {:?} panics, as planned", work.job);
        }
        let connection = connection.take().expect("it has its connection until it ends");
        let sound = work.job == Job::Reset || !connection.is_broken();
        let good = matches!(plan, Trial::Pass(_)) && sound;
        work.end(if good { Outcome::Passed } else { Outcome::Failed });
        Poll::Ready(connection.judged(good))
    }
}

impl SimConnection {
    pub(super) fn judged(self, good: bool) -> Tried<Self, SimError> {
        let creation = self.id();
        if good { Ok(self) } else { Err((self, SimError { creation })) }
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.set_lost();
        }
    }
}

impl fmt::Debug for Trying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, plan, work } = self;
        f.debug_struct("Trying")
            .field("job", &work.job)
            .field("connection", connection)
            .field("plan", plan)
            .finish_non_exhaustive()
    }
}

/// The closing of a [`SimFactory`]'s connection under way.
pub struct ClosingDown {
    connection: Option<SimConnection>,
    plan: Closing,
    work: Work,
}

impl ClosingDown {
    pub(super) fn begin(connection: SimConnection, plan: Closing) -> Self {
        let after = match plan {
            Closing::After(after) | Closing::Panic(after) => Some(after),
            _ => None,
        };
        let work = Work::begin(&connection.factory, Job::Close, after);
        Self { connection: Some(connection), plan, work }
    }
}

impl Future for ClosingDown {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { connection, plan, work } = &mut *self;
        if work.poll(cx).is_pending() {
            return Poll::Pending;
        }
        if matches!(plan, Closing::Panic(_)) {
            work.end(Outcome::Panicked);
            panic!("a closing panics, as planned");
        }
        work.end(Outcome::Passed);
        *connection = None;
        Poll::Ready(())
    }
}

impl fmt::Debug for ClosingDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, plan, .. } = self;
        f.debug_struct("ClosingDown")
            .field("connection", connection)
            .field("plan", plan)
            .finish_non_exhaustive()
    }
}

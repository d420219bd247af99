//! Measures the contenders of a case in turn.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::unconstrained;

use crate::Contender;
use crate::output::{About, Head, Line, Series};

/// How long a slice of a measurement is: short enough that most of them end before the system lets
/// another process run.
const SLICE: Duration = Duration::from_millis(2);

/// How many slices a measurement has at least.
const FEWEST: u32 = 2;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How often each contender is measured.
    pub rounds: usize,
    /// About how long one measurement takes.
    pub budget: Duration,
}

/// What one measurement saw.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// How many operations it did.
    pub operations: u64,
    /// How long they took.
    pub elapsed: Duration,
}

impl Timed {
    /// Returns the nanoseconds of one operation.
    fn each(self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.operations as f64
    }
}

/// Does what is measured as often as it is told.
pub type Repeated = Box<dyn FnMut(u64) -> Timed>;

/// One contender in the cases of a group.
pub struct Entry {
    about: About,
    measure: Measure,
}

enum Measure {
    /// Measures an operation for each head.
    Repeated(Vec<Repeated>),
    /// Runs as a whole, and gives a figure for each head.
    Whole(Box<dyn FnMut() -> Vec<f64>>),
}

impl Entry {
    /// Makes an entry that measures an operation; the function does it this often.
    pub fn repeated<C: Contender>(measure: impl FnMut(u64) -> Timed + 'static) -> Self {
        Self::of(C::ABOUT, vec![Box::new(measure)])
    }

    /// Makes an entry that measures an operation for each head of its group.
    pub fn of(about: About, measures: Vec<Repeated>) -> Self {
        Self { about, measure: Measure::Repeated(measures) }
    }

    /// Makes an entry that is run as a whole, and gives a figure for each head of its group; NaN for
    /// one that has none.
    pub fn whole(about: About, measure: impl FnMut() -> Vec<f64> + 'static) -> Self {
        Self { about, measure: Measure::Whole(Box::new(measure)) }
    }

    /// Warms the contender up, and finds how often each operation is done in a slice.
    fn prepare(&mut self, slice: Duration) -> Vec<u64> {
        match &mut self.measure {
            Measure::Repeated(all) => all.iter_mut().map(|one| calibrate(one, slice)).collect(),
            Measure::Whole(measure) => {
                measure();
                Vec::new()
            }
        }
    }

    /// Measures each operation in slices for so long, or as one whole without a budget.
    fn measure(&mut self, times: &[u64], budget: Option<Duration>) -> Vec<f64> {
        let figure = |one: &mut Repeated, times| match budget {
            Some(budget) => fastest(one, times, budget),
            None => one(times).each(),
        };
        match &mut self.measure {
            Measure::Repeated(all) => {
                all.iter_mut().zip(times).map(|(one, &times)| figure(one, times)).collect()
            }
            Measure::Whole(measure) => measure(),
        }
    }
}

/// Finds how often an operation is done in a slice.
fn calibrate(measure: &mut Repeated, slice: Duration) -> u64 {
    let mut times = 1;
    loop {
        let start = Instant::now();
        measure(times);
        let took = start.elapsed();
        if took * 4 >= slice {
            let share = slice.as_secs_f64() / took.as_secs_f64();
            return ((times as f64 * share) as u64).max(1);
        }
        times *= 4;
    }
}

/// Measures slices until the time for them is over, and returns an operation of the fastest.
fn fastest(measure: &mut Repeated, times: u64, budget: Duration) -> f64 {
    let start = Instant::now();
    let mut fastest = f64::INFINITY;
    let mut slices = 0;
    while slices < FEWEST || start.elapsed() < budget {
        fastest = fastest.min(measure(times).each());
        slices += 1;
    }
    fastest
}

/// Cases that are measured together, each contender giving a figure for each of them.
pub struct Group {
    /// What is measured.
    pub heads: Vec<Head>,
    /// Of whom.
    pub entries: Vec<Entry>,
    /// Whether a measurement is cut into short slices. Not with more than one thread: the fastest
    /// slice would be the one in which the others were kept from running.
    pub sliced: bool,
}

impl Group {
    /// Measures every contender in each round, and prints the cases.
    pub fn run(mut self, plan: Plan, mut progress: impl FnMut(&str)) {
        progress("warming up");
        let slice = if self.sliced { SLICE } else { plan.budget };
        let budget = self.sliced.then_some(plan.budget);
        let times: Vec<_> = self.entries.iter_mut().map(|entry| entry.prepare(slice)).collect();
        let count = self.entries.len();
        let mut figures = vec![Vec::with_capacity(plan.rounds); count];
        for round in 0..plan.rounds {
            progress(&format!("round {} of {}", round + 1, plan.rounds));
            for turn in 0..count {
                // Nobody always follows the same one.
                let at = (round + turn) % count;
                figures[at].push(self.entries[at].measure(&times[at], budget));
            }
        }
        for (at, head) in self.heads.iter().enumerate() {
            let series = self.entries.iter().zip(&figures).map(|(entry, rounds)| {
                let samples = rounds.iter().map(|figures| figures[at]);
                let samples = samples.filter(|figure| !figure.is_nan()).collect();
                Series { contender: entry.about, samples }
            });
            let series = series.filter(|series| !series.samples.is_empty());
            Line::Case { head: *head, series: series.collect() }.print();
        }
    }
}

/// Makes the executor of the cases on one thread.
///
/// # Panics
///
/// The system has no resources for it.
pub fn one_thread() -> Rc<Runtime> {
    Rc::new(Builder::new_current_thread().enable_time().build().expect("the runtime starts"))
}

/// Makes the executor of the cases on two threads.
///
/// # Panics
///
/// The system has no resources for it.
pub fn two_threads() -> Rc<Runtime> {
    let mut builder = Builder::new_multi_thread();
    Rc::new(builder.worker_threads(2).enable_time().build().expect("the runtime starts"))
}

/// Runs a future on the executor, without its cooperative budget.
pub fn run<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    runtime.block_on(unconstrained(future))
}

/// Makes a pool of `size` connections, all of them created and idle.
pub async fn filled<C: Contender>(size: usize) -> C {
    let pool = C::open(size).await;
    let mut leases = Vec::with_capacity(size);
    for _ in 0..size {
        leases.push(pool.get().await.expect("nothing fails here"));
    }
    drop(leases);
    // A pool may give back in a task of its own.
    tokio::time::sleep(Duration::from_millis(5)).await;
    pool
}

/// Lets every other task have a turn.
pub fn yield_once() -> impl Future<Output = ()> + Send {
    let mut yielded = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

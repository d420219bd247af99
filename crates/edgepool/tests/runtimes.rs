//! The pool under the executors that there are, and under none: everyone is served, nothing is
//! lost. The examples are run here too.

mod load;

#[path = "../examples/local_pool.rs"]
mod example_local_pool;
#[path = "../examples/no_executor.rs"]
mod example_no_executor;
#[path = "../examples/smol.rs"]
mod example_smol;
#[path = "../examples/tokio.rs"]
mod example_tokio;

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use edgepool::{Clock, StdClock, Time, factory_fn};
use futures::executor::{LocalPool, ThreadPool, block_on};
use futures::future::join_all;
use futures::task::{LocalSpawnExt as _, SpawnExt as _};
use load::{Load, TASKS};

/// Connections that take `sleep` to create, and may cross threads. No closure here is `async ||`:
/// rustc 1.95 breaks down over those when it builds incrementally.
macro_rules! slow {
    ($sleep:path) => {
        factory_fn(|| async {
            $sleep(Duration::from_millis(1)).await;
            Ok::<_, Infallible>(7)
        })
    };
}

/// The pool's own clock tells time to executors that have no timers.
async fn sleep(duration: Duration) {
    StdClock.alarm(StdClock.now().saturating_add(duration)).await;
}

#[test]
fn tokio_on_several_threads() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_time().build().unwrap().block_on(async {
        let load = Arc::new(Load::new(slow!(tokio::time::sleep), StdClock));
        let task = |number| {
            let load = Arc::clone(&load);
            tokio::spawn(async move { load.task(number, tokio::time::sleep).await })
        };
        for ended in join_all((0..TASKS).map(task)).await {
            ended.unwrap();
        }
        load.end().await;
    });
}

#[test]
fn tokio_on_one_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let factory = factory_fn(|| async { Ok::<_, Infallible>(Rc::new(7)) });
        let load = Rc::new(Load::new(factory, StdClock));
        let task = |number| {
            let load = Rc::clone(&load);
            tokio::task::spawn_local(async move { load.task(number, tokio::time::sleep).await })
        };
        for ended in join_all((0..TASKS).map(task)).await {
            ended.unwrap();
        }
        load.end().await;
    });
}

#[test]
fn smol_tasks() {
    async fn sleep(duration: Duration) {
        smol::Timer::after(duration).await;
    }
    let load = Arc::new(Load::new(slow!(sleep), StdClock));
    let executor = Arc::new(smol::Executor::new());
    let task = |number| {
        let load = Arc::clone(&load);
        executor.spawn(async move { load.task(number, sleep).await })
    };
    let tasks: Vec<_> = (0..TASKS).map(task).collect();
    // The second thread ends when the first has seen every task end.
    let (stop, stopped) = smol::channel::bounded::<()>(1);
    let other = Arc::clone(&executor);
    let other = thread::spawn(move || smol::block_on(other.run(stopped.recv())));
    smol::block_on(executor.run(join_all(tasks)));
    drop(stop);
    other.join().unwrap().unwrap_err();
    smol::block_on(load.end());
}

#[test]
fn the_thread_pool_of_futures() {
    let load = Arc::new(Load::new(slow!(sleep), StdClock));
    let executor = ThreadPool::builder().pool_size(2).create().unwrap();
    let task = |number| {
        let load = Arc::clone(&load);
        executor.spawn_with_handle(async move { load.task(number, sleep).await }).unwrap()
    };
    block_on(join_all((0..TASKS).map(task)));
    block_on(load.end());
}

#[test]
fn the_local_pool_of_futures() {
    let factory = factory_fn(|| async { Ok::<_, Infallible>(Rc::new(7)) });
    let load = Rc::new(Load::new(factory, StdClock));
    let mut executor = LocalPool::new();
    for number in 0..TASKS {
        let load = Rc::clone(&load);
        let task = async move { load.task(number, sleep).await };
        executor.spawner().spawn_local(task).unwrap();
    }
    executor.run();
    executor.run_until(load.end());
}

#[test]
fn threads_that_block() {
    let load = Load::new(slow!(sleep), StdClock);
    thread::scope(|scope| {
        for number in 0..TASKS {
            let load = &load;
            scope.spawn(move || block_on(load.task(number, sleep)));
        }
    });
    block_on(load.end());
}

/// Time is turns of a loop, which polls everything in each of them: twenty are a millisecond.
#[derive(Clone, Copy)]
struct Turns;

static TURNS: AtomicU64 = AtomicU64::new(0);

/// An alarm of [`Turns`], which asks to be polled in every turn.
struct Turn(Time);

impl Clock for Turns {
    type Alarm = Turn;

    fn now(&self) -> Time {
        Time::from_nanos(TURNS.load(SeqCst) * 50_000)
    }

    fn alarm(&self, at: Time) -> Turn {
        Turn(at)
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Turns.now() >= self.0 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[test]
fn no_executor_but_a_loop_that_polls() {
    async fn sleep(duration: Duration) {
        Turns.alarm(Turns.now().saturating_add(duration)).await;
    }
    let load = Load::new(slow!(sleep), Turns);
    let mut tasks: Vec<Pin<Box<_>>> = (0..TASKS).map(|n| Box::pin(load.task(n, sleep))).collect();
    let mut cx = Context::from_waker(Waker::noop());
    while !tasks.is_empty() {
        TURNS.fetch_add(1, SeqCst);
        tasks.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
    }
    let mut end = pin!(load.end());
    while end.as_mut().poll(&mut cx).is_pending() {
        TURNS.fetch_add(1, SeqCst);
    }
}

#[test]
fn the_examples_run() {
    example_tokio::main().unwrap();
    example_smol::main().unwrap();
    example_local_pool::main().unwrap();
    example_no_executor::main().unwrap();
}

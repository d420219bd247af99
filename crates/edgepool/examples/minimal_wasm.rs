//! About the least that a Rust program on wasm can do with a pool, to see what the pool weighs: a
//! module without imports that lends one of four buffers. Its host tells it the time.
//!
//! ```text
//! cargo build --profile wasm -p edgepool --example minimal_wasm --target wasm32-unknown-unknown
//! node -e '
//!   const bytes = fs.readFileSync(process.argv[1]);
//!   const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
//!   console.log("length", exports.lend(0n), "in use after it", exports.in_use());
//!   console.log("raw", bytes.length, "gzip", zlib.gzipSync(bytes, { level: 9 }).length);
//! ' target/wasm32-unknown-unknown/wasm/examples/minimal_wasm.wasm
//! ```
//!
//! The names of its functions are part of that; `wasm-opt -O3 --strip-debug --strip-producers` takes
//! them out.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, Pending, Ready, pending, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use edgepool::{Clock, FactoryFn, Pool, Time, factory_fn};

/// The time that the host told last. Nothing here waits for a later one.
struct HostClock;

impl Clock for HostClock {
    type Alarm = Pending<()>;

    fn now(&self) -> Time {
        NOW.get()
    }

    fn alarm(&self, _at: Time) -> Pending<()> {
        pending()
    }
}

type Create = fn() -> Ready<Result<Vec<u8>, Infallible>>;

thread_local! {
    static NOW: Cell<Time> = const { Cell::new(Time::ZERO) };
    static POOL: Pool<FactoryFn<Create>, HostClock> = {
        let factory = factory_fn((|| ready(Ok(vec![0; 4096]))) as Create);
        Pool::builder(factory, HostClock).max(4).build().expect("the options are in range")
    };
}

/// Borrows a buffer, or makes one, and gives it back; returns how long it is, or 0 if none is free.
// An exported function needs its plain name, which the language counts as unsafe: two of the same
// name would clash. It has no pointer and touches no memory. So it is with the other.
#[unsafe(no_mangle)]
pub extern "C" fn lend(now: u64) -> u32 {
    NOW.set(Time::from_nanos(now));
    POOL.with(|pool| {
        if let Some(lease) = pool.try_acquire() {
            return lease.len() as u32;
        }
        match pin!(pool.acquire()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(lease)) => lease.len() as u32,
            _ => 0,
        }
    })
}

/// Tells how many buffers are lent.
#[unsafe(no_mangle)]
pub extern "C" fn in_use() -> u32 {
    POOL.with(|pool| pool.stats().gauges.in_use)
}

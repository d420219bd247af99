//! Which types cross threads: `Send` follows from the factory and the clock, and from nothing else.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::rc::Rc;

use edgepool::tenants::{
    Entry, TenantAcquire, TenantDriver, TenantFactory, TenantLease, TenantPools,
};
use edgepool::{Acquire, Begun, Factory, FactoryFn, Lease, NoJob, Pool, Stats, StdClock, Tried};

/// Makes plain values: everything crosses threads.
struct Shared;

impl Factory for Shared {
    type Connection = u32;
    type Error = Infallible;
    type Create = Ready<Result<u32, Infallible>>;
    type Check = NoJob<Tried<u32, Infallible>>;
    type Reset = NoJob<Tried<u32, Infallible>>;
    type Close = NoJob<()>;

    fn create(&self) -> Self::Create {
        ready(Ok(1))
    }
}

impl TenantFactory for Shared {
    type Connection = u32;
    type Error = Infallible;
    type Factory = Self;
    type Enter = NoJob<Tried<u32, Infallible>>;

    fn factory(&self, _entry: Option<&Entry>) -> Self {
        Self
    }

    fn enter(&self, connection: u32, _entry: &Entry) -> Begun<Tried<u32, Infallible>, Self::Enter> {
        Begun::Done(Ok(connection))
    }
}

/// Makes values for one thread: nothing crosses.
struct Local;

impl Factory for Local {
    type Connection = Rc<u32>;
    type Error = Infallible;
    type Create = Ready<Result<Rc<u32>, Infallible>>;
    type Check = NoJob<Tried<Rc<u32>, Infallible>>;
    type Reset = NoJob<Tried<Rc<u32>, Infallible>>;
    type Close = NoJob<()>;

    fn create(&self) -> Self::Create {
        ready(Ok(Rc::new(1)))
    }
}

impl TenantFactory for Local {
    type Connection = Rc<u32>;
    type Error = Infallible;
    type Factory = Self;
    type Enter = NoJob<Tried<Rc<u32>, Infallible>>;

    fn factory(&self, _entry: Option<&Entry>) -> Self {
        Self
    }

    fn enter(
        &self,
        connection: Rc<u32>,
        _entry: &Entry,
    ) -> Begun<Tried<Rc<u32>, Infallible>, Self::Enter> {
        Begun::Done(Ok(connection))
    }
}

/// Tells at compile time whether a type has an auto trait: an inherent constant goes before the
/// constant of a trait that every type has.
macro_rules! has {
    ($type:ty: $auto:ident) => {{
        struct Probe<T>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "unused where the type has the trait")]
        trait Otherwise {
            const HAS: bool = false;
        }
        impl<T> Otherwise for Probe<T> {}
        #[allow(dead_code, reason = "unused where the type lacks the trait")]
        impl<T: $auto> Probe<T> {
            const HAS: bool = true;
        }
        Probe::<$type>::HAS
    }};
}

#[test]
fn auto_traits_follow_from_the_factory() {
    let table = [
        ("Pool", has!(Pool<Shared, StdClock>: Send), has!(Pool<Local, StdClock>: Send)),
        ("Pool", has!(Pool<Shared, StdClock>: Sync), has!(Pool<Local, StdClock>: Sync)),
        (
            "Acquire",
            has!(Acquire<'static, Shared, StdClock>: Send),
            has!(Acquire<'static, Local, StdClock>: Send),
        ),
        ("Lease", has!(Lease<Shared, StdClock>: Send), has!(Lease<Local, StdClock>: Send)),
        ("Lease", has!(Lease<Shared, StdClock>: Sync), has!(Lease<Local, StdClock>: Sync)),
        (
            "TenantPools",
            has!(TenantPools<Shared, StdClock>: Send),
            has!(TenantPools<Local, StdClock>: Send),
        ),
        (
            "TenantPools",
            has!(TenantPools<Shared, StdClock>: Sync),
            has!(TenantPools<Local, StdClock>: Sync),
        ),
        (
            "TenantAcquire",
            has!(TenantAcquire<'static, Shared, StdClock>: Send),
            has!(TenantAcquire<'static, Local, StdClock>: Send),
        ),
        (
            "TenantLease",
            has!(TenantLease<Shared, StdClock>: Send),
            has!(TenantLease<Local, StdClock>: Send),
        ),
        (
            "TenantDriver",
            has!(TenantDriver<Shared, StdClock>: Send),
            has!(TenantDriver<Local, StdClock>: Send),
        ),
    ];
    for (name, over_shared, over_local) in table {
        assert!(over_shared, "{name} over a factory that crosses threads does too");
        assert!(!over_local, "{name} over a factory for one thread stays there");
    }
    assert!(has!(Stats: Send));
    assert!(has!(FactoryFn<fn()>: Send));
}

#[test]
fn a_local_factory_serves_a_local_executor() {
    let pool = Pool::builder(Local, StdClock).build().unwrap();
    let lease = futures::executor::block_on(pool.acquire()).unwrap();
    assert_eq!(**lease, 1);
}

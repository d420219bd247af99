//! Known bugs of pools, put back at run time to show that the tests catch them.
//!
//! Without the feature `mutations` there is nothing here: [`mutated!`] is `false`, and
//! [`mutate!`] is nothing at all.

/// Tells whether a bug is put back.
#[cfg(feature = "mutations")]
macro_rules! mutated {
    ($bug:ident) => {
        $crate::mutations::Bug::$bug.is_on()
    };
}

#[cfg(not(feature = "mutations"))]
macro_rules! mutated {
    ($bug:ident) => {
        false
    };
}

/// Does something if a bug is put back.
#[cfg(feature = "mutations")]
macro_rules! mutate {
    ($bug:ident, $wrong:expr) => {
        if mutated!($bug) {
            $wrong;
        }
    };
}

#[cfg(not(feature = "mutations"))]
macro_rules! mutate {
    ($bug:ident, $wrong:expr) => {};
}

#[cfg(feature = "mutations")]
pub use bugs::Bug;

#[cfg(feature = "mutations")]
mod bugs {
    use std::sync::OnceLock;

    macro_rules! bugs {
        ($($(#[doc = $doc:literal])+ $bug:ident,)*) => {
            /// A bug that can be put back, by its name in `EDGEPOOL_MUTATION`.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Bug {
                $($(#[doc = $doc])+ $bug,)*
            }

            impl Bug {
                /// Every bug.
                pub const ALL: &[Self] = &[$(Self::$bug),*];
            }
        };
    }

    bugs! {
        /// An offer whose waiter gives up makes its connection idle, and wakes nobody.
        CancelledOfferIsLost,
        /// A connection that comes back is idle, and the first waiter is woken to look for it:
        /// whoever comes meanwhile takes it.
        WakeIsOnlyAHint,
        /// A waiter that is polled with another waker keeps the first one.
        FirstWakerIsKept,
        /// A waiter that is polled before its turn goes to the end of the queue.
        SpuriousPollLosesThePlace,
        /// A caller that leaves the queue and polled the jobs tells nobody to go on.
        DriverLeavesNobody,
        /// A discarded connection wakes everybody in the queue.
        DiscardWakesAll,
        /// A caller that gives up takes the connection along that is being checked for it.
        TimeoutDestroysWhatIsChecked,
        /// A waiter to which a connection is offered has no deadline any more.
        LeakedWaiterKeepsItsOffer,
        /// A caller that gives up takes its creation along.
        CreationDiesWithItsRequester,
        /// A connection that comes back does not serve those for whom creations are under way.
        ReturnSkipsThoseWhoCreate,
        /// Creations under way do not count against what is missing.
        CreatesMoreThanIsNeeded,
        /// A place that becomes free starts no creation for those who wait.
        FreedPlaceStartsNothing,
        /// A failed creation is tried again, and its error is told to nobody.
        CreateErrorIsSwallowed,
        /// A failure that holds creations back is told to the first waiter only.
        FailureTellsOneOnly,
        /// Failed creations are tried again at once.
        NoBackOff,
        /// A creation that panics keeps its place.
        PanicLosesThePlace,
        /// A creation that never ends keeps its place.
        OverdueCreationKeepsItsPlace,
        /// A smaller `max` is written down, and what is beyond it stays.
        ResizeForgetsTheSurplus,
        /// A connection that its holder takes along counts as in use for ever.
        TakenStaysInUse,
        /// A caller that gives up is not counted.
        CancelIsNotCounted,
        /// A connection is born again whenever it comes back.
        LifetimeCountsFromTheReturn,
        /// A lease can be released again while another caller holds its place.
        StaleReleaseIsTaken,
        /// Connections that are being closed do not count against `max`.
        ClosingDoesNotCount,
        /// A connection that was out when its time came is left to a later round of maintenance.
        BusyConnectionNeverRetires,
        /// Connections that were made together expire together.
        BornTogetherDieTogether,
        /// What was idle for the longest time is lent first, so that nothing is ever idle for long.
        OldestIdleGoesFirst,
        /// Idle connections are closed although `min_idle` needs them.
        IdleTimeoutIgnoresMinIdle,
        /// A clock that steps back takes the pool along.
        TimeRunsBackwards,
        /// What is overdue is settled by whoever waits for it, and not by the next operation.
        ExpiryNeedsATimer,
        /// One waiter is left when the pool closes.
        CloseForgetsAWaiter,
        /// A closed pool lets callers wait.
        AcquireAfterCloseWaits,
        /// A connection that comes back to a closed pool is idle.
        ReturnLeaksIntoAClosedPool,
        /// A drain that is over its time does not say who holds the connections.
        DrainNamesNobody,
        /// A caller of a low class waits as long as any of a higher one comes.
        NobodyAges,
        /// A connection is lent again although its reset failed.
        FailedResetIsLent,
        /// A tenant is served for as long as it has callers.
        LoudestTenantIsServed,
        /// A tenant may have more connections than it may have.
        CapIsIgnored,
    }

    impl Bug {
        /// Tells whether it is put back in this process.
        pub fn is_on(self) -> bool {
            static ON: OnceLock<Option<Bug>> = OnceLock::new();
            *ON.get_or_init(Self::named) == Some(self)
        }

        /// The bug that the environment names.
        ///
        /// # Panics
        ///
        /// There is no bug of that name.
        fn named() -> Option<Self> {
            let name = std::env::var("EDGEPOOL_MUTATION").ok()?;
            let found = Self::ALL.iter().find(|bug| format!("{bug:?}") == name);
            Some(*found.unwrap_or_else(|| panic!("there is no bug {name}")))
        }
    }
}

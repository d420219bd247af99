//! How a pool behaves, and how to use it well. There is nothing in here but this text.
//!
//! [Cancellation](#cancellation) · [Panics](#panics) · [Timeouts](#timeouts) · [Health](#health) ·
//! [Sizes](#sizes) · [Fairness and priorities](#fairness-and-priorities) · [Failures](#failures) ·
//! [Driving a pool](#driving-a-pool) · [Clocks](#clocks) · [Observing a pool](#observing-a-pool) ·
//! [Connections to services](#connections-to-services) · [Tenants](#tenants) ·
//! [Edge and wasm](#edge-and-wasm) · [Testing](#testing)
//!
//! # Cancellation
//!
//! Every future of this crate may be dropped at any time, polled or not. What is lost then:
//!
//! | dropped | lost | goes on |
//! |---|---|---|
//! | [`Acquire`](crate::Acquire), [`AcquireMany`](crate::AcquireMany) | the place in the queue | the creation or check that it began; what was offered to it goes to the next caller |
//! | [`Lease`](crate::Lease) | nothing: the connection is released | its reset |
//! | [`Release`](crate::Release) | the outcome of the reset | the reset |
//! | [`WarmUp`](crate::WarmUp) | the creations not begun yet | those under way |
//! | [`Drain`](crate::Drain) | the wait | the closing of the pool |
//! | [`Driver`](crate::Driver) | promptness | everything, driven by callers |
//!
//! That is because creations, checks, resets and closings belong to the pool and not to the caller
//! whose need began them. A caller that is cancelled in the middle of a query has a connection in an
//! unknown state, though, and its lease releases it all the same: check that in the reset, or
//! [`discard`](crate::Lease::discard) the lease unless the query has ended.
//!
//! # Panics
//!
//! A panic in a factory, a hook, an observer, a waker or the `Drop` of a connection ends in the
//! pool, after the panic hook has told of it. A creation that panics counts as failed, and its
//! callers get [`CreatePanicked`](crate::AcquireError::CreatePanicked); a check or a reset that
//! panics has lost its connection, and its place is free. Hooks and observers that panic change
//! nothing. Only the closures that are given to a call are their caller's affair, whom their panic
//! reaches: those of [`retain`](crate::Pool::retain), of
//! [`on_progress`](crate::WarmUp::on_progress) and of [`map`](crate::Lease::map).
//!
//! # Timeouts
//!
//! | time | when it passes |
//! |---|---|
//! | [`acquire_timeout`](crate::Builder::acquire_timeout), [`Acquire::timeout`](crate::Acquire::timeout) | the caller gets [`TimedOut`](crate::AcquireError::TimedOut), which says what it waited for, who was before it, and who held connections |
//! | [`create_timeout`](crate::Builder::create_timeout) | the creation is dropped and counts as failed |
//! | [`check_timeout`](crate::Builder::check_timeout), [`reset_timeout`](crate::Builder::reset_timeout) | the job is dropped, and the connection with it |
//! | [`close_timeout`](crate::Builder::close_timeout) | the job is dropped, and the place is free |
//! | [`offer_timeout`](crate::Builder::offer_timeout) | the next caller is offered the connection |
//! | [`idle_timeout`](crate::Builder::idle_timeout) | the connection is closed, unless `min_idle` needs it; a check is no use |
//! | [`max_lifetime`](crate::Builder::max_lifetime) | the connection is closed, once it is not lent |
//!
//! The caller's time covers all of its wait, a creation and a check included. A time-out of zero
//! takes what is idle or made at once, and never waits. Between two operations nothing happens by
//! itself: what is overdue is settled exactly, but at the next operation, unless somebody
//! [drives](#driving-a-pool) the pool.
//!
//! # Health
//!
//! A connection is looked at
//!
//! - before it is lent, if it was idle for long enough
//!   ([`check_on_acquire`](crate::Builder::check_on_acquire)): a bad one is closed and the next is
//!   tried, so a caller only waits longer;
//! - while it is idle ([`check_interval`](crate::Builder::check_interval)), which also keeps it
//!   alive: a few at a time ([`max_checks`](crate::Builder::max_checks)), so that the others can be
//!   lent meanwhile;
//! - as it comes back, by the reset: one that cannot be cleaned is closed.
//!
//! A check that is a call rather than a future ([`check_sync`](crate::FactoryFn::check_sync)) costs
//! no more than that. A connection that was just made is lent unchecked. So a check which never
//! passes makes no connections in a circle: an acquire costs at most one, and its caller finds out
//! what is wrong. No [back-off](#failures) follows from failed checks, as a connection that grew
//! stale says nothing of the next one. Whoever finds a connection damaged while he has it says so
//! with [`discard`](crate::Lease::discard), and after a change of credentials
//! [`invalidate_all`](crate::Pool::invalidate_all) replaces them all.
//!
//! # Sizes
//!
//! `max` bounds connections in every state, those being made, checked, reset and closed among them.
//! There are more for a moment only after `max` was lowered, and while a connection closes that came
//! back from a job which had been given up: its place was given away. Connections are made when they are needed: there are as many creations under way as
//!
//! ```text
//! callers' needs + min_idle - (idle + being checked + being reset)
//! ```
//!
//! if there is room for them. So a burst of ten callers begins ten creations at once, and those that
//! come late, because a lease came back first, stay as idle connections. `min_idle` counts from the
//! first acquire on, or from the beginning of a driver, or the first [`tick`](crate::Pool::tick);
//! [`warm_up`](crate::Pool::warm_up) makes connections before.
//!
//! Idle connections beyond `min_idle` leave after the idle timeout. Those that `min_idle` needs stay
//! until they are too old, and are replaced a little before. Each connection's lifetime is drawn at
//! its birth from `max_lifetime` less up to `lifetime_jitter` of it, so that those made together do
//! not leave together. With [`Reuse::Lifo`](crate::Reuse::Lifo) a quiet pool shrinks to what it
//! needs; with [`Reuse::Fifo`](crate::Reuse::Fifo) all connections are kept in use.
//!
//! [`resize`](crate::Pool::resize) changes `max` at any time; what is out beyond it leaves as it comes
//! back. [`UNBOUNDED`](crate::UNBOUNDED) is a choice for either size, and a bad one for a service
//! that can be overloaded: a full queue is an early and honest no.
//!
//! # Fairness and priorities
//!
//! A connection that comes back is set aside for the caller that is first in the queue. It is not
//! put up for a race, so whoever comes later cannot take it, and nobody starves. A caller that needs
//! several ([`acquire_many`](crate::Pool::acquire_many)) gathers them at the head of the queue, and
//! only there, so two of them cannot hold each other up.
//!
//! With priorities, the caller is first whose
//!
//! ```text
//! arrival + ageing * classes below Urgent
//! ```
//!
//! is the earliest: [`High`](crate::Priority::High) is one class below, `Normal` two, `Low` three.
//! With the ageing of 5 s a normal caller is passed by urgent ones that come up to 10 s after it,
//! and by none that come later: it waits longer, not for ever. Without ageing, higher classes are
//! always first.
//!
//! ```
//! # use edgepool::{Pool, Priority, StdClock, factory_fn};
//! # let factory = factory_fn(async || Ok::<_, std::io::Error>(()));
//! # let pool = Pool::builder(factory, StdClock).build()?;
//! # futures::executor::block_on(async {
//! let lease = pool.acquire().priority(Priority::High).await?;
//! # drop(lease);
//! # Ok::<_, edgepool::AcquireError<_>>(())
//! # }).unwrap();
//! # Ok::<_, edgepool::OptionsError>(())
//! ```
//!
//! # Failures
//!
//! A creation that fails ends the wait of the first caller with
//! [`CreateFailed`](crate::AcquireError::CreateFailed) and the factory's error; the others wait on
//! for the next attempt, or for a lease to come back. If there is no connection that could come
//! back, and a back-off before the next attempt, it ends every wait: nobody is kept waiting for what
//! is known to be out of order.
//!
//! The next attempt is made after a random time: for the `n`-th failure in a row, between zero and
//!
//! ```text
//! min(cap, base * 2^(n - 1))
//! ```
//!
//! This is "full jitter", after Marc Brooker, "Exponential Backoff And Jitter" (2015): processes
//! that failed together do not come back together. Each draws from a seed of its own; in a bare wasm
//! module, the host must give it one with [`seed`](crate::Builder::seed).
//!
//! Creations that were under way together when one of them failed tell the same if they fail too:
//! that counts once. After as many failures in a row as [`breaker`](crate::Builder::breaker) says, one creation at a time is
//! tried. While none is, and there is no connection that could come back, callers are refused at
//! once with [`Unavailable`](crate::AcquireError::Unavailable), which tells how long to stay away
//! and how the last attempt failed. One success ends it all.
//!
//! # Driving a pool
//!
//! Jobs are futures, and somebody must poll them. Callers that wait do it for everybody, and one
//! that is served at once polls what nobody else does before it takes its connection; so a pool
//! works under any executor and under none. Calls that are no futures, as a release, poll nothing.
//! While no caller comes, a reset or a closing that takes time stands still, and idle connections
//! are neither checked nor retired. A job's time counts from when it is polled first, and one that
//! was woken is polled before it is given up, so none fails because nobody came by. Where
//! that is too late, spawn a [`driver`](crate::Pool::driver), on any executor: it polls what is to be
//! polled, sleeps until the next deadline, keeps `min_idle` up, and ends when the pool is closed and
//! empty.
//!
//! Where nothing can be spawned, call [`tick`](crate::Pool::tick) when
//! [`next_deadline`](crate::Pool::next_deadline) has come, from a loop or an alarm of your own. Each
//! tick polls the jobs that can go on once, so those that take several steps need as many ticks, or
//! callers:
//!
//! ```
//! # use edgepool::{Clock, Pool, StdClock, factory_fn};
//! # let factory = factory_fn(async || Ok::<_, std::io::Error>(()));
//! let pool = Pool::builder(factory, StdClock).build()?;
//! pool.tick(); // makes what `min_idle` asks for, without any caller
//! assert_eq!(pool.stats().gauges.idle, 2);
//!
//! let next = pool.next_deadline().expect("idle connections grow old");
//! assert!(next > StdClock.now());
//! # Ok::<_, edgepool::OptionsError>(())
//! ```
//!
//! # Clocks
//!
//! A [`Clock`](crate::Clock) tells the time in nanoseconds since any origin, and makes alarms. It may
//! step back or stand still: the pool's own time does not, and a wait is counted from that as it
//! begins. Natively [`StdClock`](crate::StdClock) serves every executor, with one
//! thread for all alarms, started with the first. An executor's own timer makes a clock in a few
//! lines, and on wasm the host's does.
//!
//! The clock is read when an option depends on it. With neither times that pass while a connection is
//! idle or lent nor hold times, an acquire and a release of an idle connection do not read it.
//!
//! # Observing a pool
//!
//! - [`Pool::stats`](crate::Pool::stats): gauges, counters that add up exactly (see
//!   [`Counters`](crate::ledger::Counters)), and [`Histogram`](crate::Histogram)s of waits and holds,
//!   all of one instant.
//! - The feature `openmetrics` writes them as text for Prometheus, of any number of pools.
//! - [`Event`](crate::Event)s, told as they happen, outside the lock, by
//!   [`Factory::observe`](crate::Factory::observe) or an [`Observer`](crate::Observer) beside a
//!   factory ([`Observed`](crate::Observed)). The feature `tracing` has an observer for logs.
//! - Hooks of a factory, with the connection at hand:
//!   [`after_create`](crate::Factory::after_create),
//!   [`before_acquire`](crate::Factory::before_acquire),
//!   [`after_release`](crate::Factory::after_release),
//!   [`before_close`](crate::Factory::before_close).
//! - Who holds what: [`Pool::holders`](crate::Pool::holders), and the errors
//!   [`TimedOut`](crate::TimedOut) and [`DrainError`](crate::DrainError), name the line where a lease
//!   was acquired if [`capture_holders`](crate::Builder::capture_holders) is on.
//!
//! # Connections to services
//!
//! A [`Connection`](crate::Connection) checks, resets and closes itself, and a
//! [`ConnectionFactory`](crate::ConnectionFactory) pools whatever opens such connections. The crate
//! `edgepool-postgres` has them for PostgreSQL, `edgepool-http` for services over HTTP.
//! [`Pool::for_service`](crate::Pool::for_service) sets a pool up for them. What pools elsewhere
//! call otherwise:
//!
//! | elsewhere | here |
//! |---|---|
//! | `min_connections` 2, `max_connections` 20 | [`min_idle`](crate::Builder::min_idle), [`max`](crate::Builder::max) |
//! | `max_idle_time` 300 s | [`idle_timeout`](crate::Builder::idle_timeout) |
//! | `connection_timeout` 10 s | [`create_timeout`](crate::Builder::create_timeout) |
//! | `health_check_interval` 30 s | [`check_interval`](crate::Builder::check_interval) |
//! | `max_lifetime` 3,600 s | [`max_lifetime`](crate::Builder::max_lifetime) |
//! | `is_healthy` | [`Connection::check`](crate::Connection::check), which says why not |
//! | `reset` | [`Connection::reset`](crate::Connection::reset) |
//! | `last_used`, `use_count` | [`last_used`](crate::Info::last_used) and [`uses`](crate::Info::uses) of [`Lease::info`](crate::Lease::info) |
//! | a guard, and its explicit return | [`Lease`](crate::Lease), [`Lease::release`](crate::Lease::release) |
//! | total, idle, active, max | `size`, `idle`, `in_use`, `max` of [`Gauges`](crate::ledger::Gauges) |
//! | utilisation | [`Stats::utilisation`](crate::Stats::utilisation) |
//! | creation failed | [`CreateFailed`](crate::AcquireError::CreateFailed), with the cause; [`CreateTimedOut`](crate::AcquireError::CreateTimedOut) |
//! | shut down | [`Closed`](crate::AcquireError::Closed) |
//! | timed out | [`TimedOut`](crate::AcquireError::TimedOut), with what was waited for |
//! | none healthy | [`Unavailable`](crate::AcquireError::Unavailable), with the last failure: what is bad is replaced, so there is none only as long as none can be made |
//!
//! # Tenants
//!
//! A program that serves many customers from one database keeps them apart in one of three ways, and
//! [`TenantPools`](crate::tenants::TenantPools) has them all behind the same acquire:
//!
//! | | [shared](crate::tenants::Strategy::Shared) | [per tenant](crate::tenants::Strategy::PerTenant) | [per database](crate::tenants::Strategy::PerDatabase) |
//! |---|---|---|---|
//! | kept apart by | rows | schemas | databases |
//! | pools | one, of 20 | up to 100, of 5 each | up to 100, of 5 each |
//! | a tenant's first acquire | as any other | opens a pool | opens a pool |
//! | a busy tenant | has its fair share | has its own pool | has its own pool |
//! | what costs | the context, put on and taken off for each lease | connections, bounded by a [budget](crate::tenants#a-budget) | the same |
//!
//! The tenant's context is put on a shared connection before its caller has it, and taken off by the
//! reset before another has. Whatever fails in between closes the connection. Pools of their own are
//! opened when they are needed and [closed](crate::tenants#a-tenants-life) when they are not, or
//! another tenant needs the place. Callers of a single pool may also have shares of it without all
//! this: see [`Pool::tenant`](crate::Pool::tenant). What managers of tenants' pools elsewhere call
//! otherwise:
//!
//! | elsewhere | here |
//! |---|---|
//! | `warmup_size` 1 | [`warm_up`](crate::tenants::Builder::warm_up) |
//! | `idle_timeout` 300 s of a tenant | [`idle_timeout`](crate::tenants::Builder::idle_timeout) |
//! | `max_lifetime` 1,800 s, health checks each 30 s | options of each [`pool`](crate::tenants::Builder::pool), with these defaults |
//! | a schema, a database for each tenant | [`Entry::schema`](crate::tenants::Entry::schema), [`Entry::database`](crate::tenants::Entry::database) |
//! | an entry's access count | [`Usage::accesses`](crate::tenants::Usage::accesses) |
//! | `get_or_create`, `config` | [`get_or_create`](crate::tenants::TenantPools::get_or_create), [`strategy`](crate::tenants::TenantPools::strategy) and [`budget`](crate::tenants::TenantPools::budget) |
//! | states initializing, warming up, ready, draining, closed | [`PoolState`](crate::PoolState), by [`state`](crate::tenants::TenantPools::state) |
//! | acquired, released, active, waits, time-outs, created at, last activity | [`Usage::callers`](crate::tenants::Usage::callers), for each tenant and in [`totals`](crate::tenants::TenantPools::totals) |
//! | health failures | [`Usage::health_failures`](crate::tenants::Usage::health_failures) |
//!
//! # Edge and wasm
//!
//! The crate builds for `wasm32-unknown-unknown` as it is, without `StdClock`. Nothing in it asks for
//! `Send`: a pool over `Rc` is a pool for one thread, and one whose factory, connections and clock
//! are `Send` crosses threads. Where types must be named, [`boxed`](crate::boxed) and
//! [`boxed_local`](crate::boxed_local) give the factory a short one.
//!
//! A host at the edge may stop a request in the middle, without dropping its futures, and never poll
//! them again. Set [`offer_timeout`](crate::Builder::offer_timeout) there: a connection that was set
//! aside for such a caller then goes to the next. A pool lives as long as what holds it, so it
//! limits the instance that it lives in, not the service in all. The crate `edgepool-wasm` has the
//! host's clock, a client over `fetch`, and a scope that lets go what a dead request held.
//!
//! # Testing
//!
//! The crate `edgepool-sim` is what this one is tested with: a simulated clock on which a time-out of
//! half a minute takes microseconds, an executor whose order and faults come from a seed, and a
//! factory whose creations, checks, resets and closings go as planned.
//! [`Pool::check`](crate::Pool::check) asserts the invariants of the pool's books after every step.

//! The pools that are searched, and what is done to each.

use std::time::Duration;

use super::*;

const NORMAL: Priority = Priority::Normal;
const URGENT: Priority = Priority::Urgent;
pub(super) const FOR_EVER: Caller = caller(None, NORMAL, 1);
const TWO: Caller = caller(None, NORMAL, 2);

const fn nanos(nanos: u64) -> Option<Duration> {
    Some(Duration::from_nanos(nanos))
}

/// One that belongs to no tenant.
const fn caller(patience: Option<u64>, class: Priority, need: u16) -> Caller {
    Caller { tenant: 0, patience, class, need }
}

const fn of_tenant(tenant: u32, caller: Caller) -> Caller {
    Caller { tenant, ..caller }
}

/// What the settings differ from: two places, nothing expires.
const BASE: Setting = Setting {
    name: "",
    options: Options { lifetime_jitter: 0, ageing: None, ..Options::new(2) },
    waiters: 2,
    tenants: &[],
    asks: &[FOR_EVER, TWO],
    ticks: &[1],
    resets: false,
    does: &[Op::Close],
};

/// Who waits: classes, callers that need two, a pool that is paused, a queue that is full.
pub(super) const QUEUE: Setting = Setting {
    name: "queue",
    options: Options { max_waiting: 1, ..BASE.options },
    waiters: 3,
    asks: &[FOR_EVER, caller(None, URGENT, 1), TWO, caller(None, URGENT, 2)],
    ticks: &[],
    does: &[Op::Pause, Op::Resume, Op::Close],
    ..BASE
};

/// A size that changes, beside connections that are kept ready or made elsewhere.
pub(super) const SIZES: Setting = Setting {
    name: "sizes",
    options: Options { min_idle: 1, ..BASE.options },
    ticks: &[],
    waiters: 1,
    does: &[
        Op::Adopt,
        Op::Fill,
        Op::Prepare,
        Op::PrepareDirectly,
        Op::CloseLate,
        Op::Resize(1),
        Op::Resize(2),
        Op::Resize(3),
        Op::SetMinIdle(0),
        Op::SetMinIdle(1),
        Op::Close,
    ],
    ..BASE
};

/// Connections that are invalidated, looked at, used up, reset.
pub(super) const HEALTH: Setting = Setting {
    name: "health",
    options: Options { max_uses: Some(2), reuse: Reuse::Fifo, ..BASE.options },
    ticks: &[],
    resets: true,
    does: &[Op::LookAtIdle, Op::InvalidateAll, Op::Pause, Op::Resume, Op::Close],
    ..BASE
};

/// Offers that are not claimed, and callers that lose patience.
pub(super) const OFFERS: Setting = Setting {
    name: "offers",
    options: Options { offer_timeout: nanos(1), ageing: nanos(1), ..BASE.options },
    asks: &[caller(Some(2), NORMAL, 1), caller(None, URGENT, 2)],
    does: &[Op::Resize(1), Op::InvalidateAll, Op::Close],
    ..BASE
};

/// Leases that expire, are renewed, are held for long; closings that are overdue.
pub(super) const LEASES: Setting = Setting {
    name: "leases",
    options: Options {
        lease_ttl: nanos(3),
        long_hold: nanos(2),
        close_timeout: nanos(2),
        ..BASE.options
    },
    asks: &[caller(Some(2), NORMAL, 1), caller(None, URGENT, 2)],
    does: &[Op::Adopt, Op::Close],
    ..BASE
};

/// Checks before loans and resets after them, both of which can be overdue.
pub(super) const CHECKS: Setting = Setting {
    name: "checks",
    options: Options {
        check_after: Some(Duration::ZERO),
        check_timeout: nanos(2),
        reset_timeout: nanos(1),
        ..BASE.options
    },
    asks: &[FOR_EVER, caller(Some(2), NORMAL, 2)],
    resets: true,
    does: &[Op::LookAtIdle, Op::InvalidateAll, Op::Close],
    ..BASE
};

/// Checks of what was idle for a while: before it is lent, and by itself.
pub(super) const SWEEPS: Setting = Setting {
    name: "sweeps",
    options: Options {
        check_after: nanos(1),
        check_interval: nanos(2),
        reuse: Reuse::Fifo,
        ..BASE.options
    },
    waiters: 1,
    does: &[Op::Pause, Op::Resume, Op::Close],
    ..BASE
};

/// Offers that are missed so late that what they offered is to be checked before the next.
pub(super) const LATE: Setting = Setting {
    name: "late offers",
    options: Options {
        min_idle: 1,
        check_after: nanos(2),
        offer_timeout: nanos(1),
        ..BASE.options
    },
    ..BASE
};

/// Connections that grow old, beside one that is kept ready.
pub(super) const AGE: Setting = Setting {
    name: "age",
    options: Options { min_idle: 1, max_lifetime: nanos(10), ..BASE.options },
    waiters: 1,
    asks: &[TWO],
    ticks: &[],
    does: &[Op::LookAtIdle, Op::SetMinIdle(0), Op::SetMinIdle(1), Op::Close],
    ..BASE
};

/// Connections that are idle for too long, beside one that is kept ready.
pub(super) const IDLE: Setting = Setting {
    name: "idle",
    options: Options { min_idle: 1, idle_timeout: nanos(2), ..BASE.options },
    waiters: 1,
    does: &[Op::Pause, Op::Resume, Op::SetMinIdle(0), Op::SetMinIdle(1), Op::Close],
    ..BASE
};

/// Creations that fail, or are overdue, with back-off and breaker.
pub(super) const FAILURES: Setting = Setting {
    name: "failures",
    options: Options {
        create_timeout: nanos(2),
        backoff: Some(Backoff { base: Duration::from_nanos(2), cap: Duration::from_nanos(4) }),
        breaker: Some(2),
        ..BASE.options
    },
    asks: &[FOR_EVER, caller(Some(2), NORMAL, 2)],
    does: &[Op::PrepareDirectly, Op::InvalidateAll, Op::Close],
    ..BASE
};

/// Two tenants, one of which may have one connection alone.
pub(super) const TENANTS: Setting = Setting {
    name: "tenants",
    tenants: &[LIGHT, CAPPED],
    asks: &[of_tenant(1, FOR_EVER), of_tenant(1, TWO), of_tenant(2, FOR_EVER)],
    ticks: &[],
    does: &[Op::EndWaits(1), Op::CloseTenant(2), Op::Close],
    ..BASE
};

const LIGHT: Share = Share::new();
const CAPPED: Share = Share { weight: 1, max: Some(1), max_waiting: None };
const NARROW: Share = Share { weight: 1, max: Some(1), max_waiting: Some(0) };

/// Shares that change, while some wait and some have more than they may have by then.
pub(super) const SHARES: Setting = Setting {
    name: "shares",
    options: Options { max_waiting: 1, ..BASE.options },
    asks: &[of_tenant(1, FOR_EVER), of_tenant(1, TWO), of_tenant(2, FOR_EVER)],
    does: &[
        Op::SetShare(1, LIGHT),
        Op::SetShare(1, NARROW),
        Op::SetShare(2, LIGHT),
        Op::Resize(1),
        Op::Resize(2),
        Op::Close,
    ],
    ..TENANTS
};

/// Offers that tenants miss: what passes to whom, and whose turn that is.
pub(super) const TENANTS_OFFERS: Setting = Setting {
    name: "tenants' offers",
    options: Options { offer_timeout: nanos(1), ..BASE.options },
    asks: &[of_tenant(1, FOR_EVER), of_tenant(1, TWO), of_tenant(2, FOR_EVER)],
    ticks: &[],
    does: &[Op::SetShare(1, NARROW), Op::Close],
    ..TENANTS
};

/// Leases that run out, and count as their tenants' until they are closed.
pub(super) const TENANTS_LEASES: Setting = Setting {
    name: "tenants' leases",
    options: Options { lease_ttl: nanos(2), close_timeout: nanos(2), ..BASE.options },
    asks: &[of_tenant(1, TWO), of_tenant(2, FOR_EVER), of_tenant(2, caller(Some(1), URGENT, 1))],
    waiters: 2,
    ticks: &[1],
    does: &[Op::EndWaits(2), Op::Close],
    ..TENANTS
};

/// The same with more places, more callers, more operations: with `EDGEPOOL_SEARCH=full`.
pub(super) const LARGE: [Setting; 10] = [
    Setting {
        name: "queue of 3",
        options: Options { max: 3, max_waiting: 2, ..QUEUE.options },
        waiters: 4,
        ..QUEUE
    },
    Setting {
        name: "an operator's all",
        options: Options { max_uses: Some(2), min_idle: 1, ..BASE.options },
        ticks: &[],
        resets: true,
        does: &[
            Op::Adopt,
            Op::LookAtIdle,
            Op::Fill,
            Op::Prepare,
            Op::Resize(1),
            Op::Resize(2),
            Op::Resize(3),
            Op::SetMinIdle(0),
            Op::SetMinIdle(1),
            Op::Pause,
            Op::Resume,
            Op::InvalidateAll,
            Op::Close,
        ],
        ..BASE
    },
    Setting {
        name: "offers of 3",
        options: Options { max: 3, offer_timeout: nanos(2), ..OFFERS.options },
        waiters: 3,
        does: &[Op::Resize(1), Op::Resize(3), Op::Pause, Op::Resume, Op::Close],
        ..OFFERS
    },
    Setting { name: "checks of 3", options: Options { max: 3, ..CHECKS.options }, ..CHECKS },
    Setting {
        name: "sweeps of 3",
        options: Options { max: 3, ..SWEEPS.options },
        asks: &[FOR_EVER],
        does: &[Op::LookAtIdle, Op::Close],
        ..SWEEPS
    },
    Setting {
        name: "sweeps, two at once",
        options: Options { check_interval: nanos(3), max_checks: 2, ..SWEEPS.options },
        waiters: 2,
        ..SWEEPS
    },
    Setting {
        name: "age and idleness",
        options: Options { idle_timeout: nanos(5), ..AGE.options },
        ticks: &[5],
        asks: &[FOR_EVER, TWO],
        does: &[Op::LookAtIdle, Op::SetMinIdle(0), Op::SetMinIdle(1), Op::Close],
        ..AGE
    },
    Setting {
        name: "failures of 3",
        options: Options { max: 3, create_timeout: nanos(3), ..FAILURES.options },
        does: &[Op::Prepare, Op::InvalidateAll, Op::Pause, Op::Resume, Op::Close],
        ..FAILURES
    },
    Setting {
        name: "tenants of 3",
        options: Options { max: 3, ..TENANTS.options },
        waiters: 4,
        does: &[Op::EndWaits(1), Op::SetShare(2, LIGHT), Op::SetShare(2, CAPPED), Op::Close],
        ..TENANTS
    },
    Setting {
        name: "tenants' offers of 3",
        options: Options { max: 3, ..TENANTS_OFFERS.options },
        ..TENANTS_OFFERS
    },
];

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use edgepool::{Clock, Time};

use super::Core;
use super::hub::Hub;
use super::pool::{Inner, Wait};
use crate::endpoint::Check;
use crate::transport::Transport;

/// Makes the checks of a client pool's providers until it is closed or dropped.
pub(super) async fn drive<T: Transport, C: Clock>(
    pool: Weak<Inner<T, C>>,
    core: Arc<Core<T>>,
    clock: C,
) {
    let wait = Wait { gate: &core.gate, ticket: core.gate.ticket() };
    let mut checks = Vec::new();
    let mut alarm: Option<(Time, Pin<Box<C::Alarm>>)> = None;
    poll_fn(|cx| {
        let mut rang = false;
        loop {
            if wait.gate.is_shut(wait.ticket, cx.waker()) {
                return Poll::Ready(());
            }
            let Some(inner) = pool.upgrade() else { return Poll::Ready(()) };
            let clients = inner.clients();
            drop(inner);
            let mut until = Time::NEVER;
            for client in clients {
                let (due, change) = look(&client.entry.hub);
                let begin = |check| Box::pin(client.clone().check(check));
                checks.extend(due.into_iter().map(begin));
                until = until.min(change);
            }
            if poll_all(&mut checks, cx) {
                continue;
            }
            if !ring(&clock, &mut alarm, until, cx) {
                return Poll::Pending;
            }
            if std::mem::replace(&mut rang, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    })
    .await;
}

/// Returns the checks that are to be made now, and when there is more to be done.
fn look<C: Clock>(hub: &Hub<C>) -> (Vec<Check>, Time) {
    let now = hub.now();
    let due = std::iter::from_fn(|| {
        let chance = hub.chance();
        hub.lock().check_due(chance, now)
    });
    let due = due.collect();
    hub.resize();
    (due, hub.lock().next_change(now))
}

/// Polls what is under way; tells whether anything has ended.
fn poll_all<F: Future<Output = ()>>(checks: &mut Vec<Pin<Box<F>>>, cx: &mut Context<'_>) -> bool {
    let before = checks.len();
    checks.retain_mut(|check| check.as_mut().poll(cx).is_pending());
    checks.len() < before
}

/// Tells whether a time has come; if not, the caller is woken then.
fn ring<C: Clock>(
    clock: &C,
    alarm: &mut Option<(Time, Pin<Box<C::Alarm>>)>,
    until: Time,
    cx: &mut Context<'_>,
) -> bool {
    if alarm.as_ref().is_none_or(|(at, _)| *at != until) {
        *alarm = Some((until, Box::pin(clock.alarm(until))));
    }
    let rang = alarm.as_mut().is_some_and(|(_, alarm)| alarm.as_mut().poll(cx).is_ready());
    if rang {
        *alarm = None;
    }
    rang
}

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use edgepool::{Acquire, AcquireError, Clock, Lease, Priority, Time};
use futures_core::Stream;

use super::Core;
use super::alerts::Alerts;
use super::gate::Pass;
use super::hub::{Hub, Places};
use super::seat::{Home, Seat};
use crate::bucket::Need;
use crate::call::{Attempt, Call, CallOptions, Step};
use crate::chat::StreamEvent;
use crate::exchange::{Head, Kind, Outgoing, Output, Reader, Reading};
use crate::provider::Provider;
use crate::refusal::Reason;
use crate::transport::{HttpResponse, Transport};
use crate::{Class, Failure, redact};

/// Carries out what a call asks for: it waits for a place, sends attempts, reads what comes, and
/// tells the call of it.
///
/// Dropped before the call is over, it breaks off what is under way and gives everything back.
pub(super) struct Drive<T: Transport, C: Clock> {
    core: Arc<Core<T>>,
    hub: Arc<Hub<C>>,
    provider: Arc<Provider>,
    outgoing: Outgoing,
    kind: Kind,
    call: Call,
    running: Vec<Running<T, C>>,
    /// The place that came, until an attempt is sent with it.
    seat: Option<Seat<C>>,
    /// Where the caller keeps a place of its own.
    home: Option<Arc<Home<C>>>,
    /// The attempt whose answer counts, once content came.
    winner: Option<Attempt>,
    head: Option<Head>,
    pieces: VecDeque<Piece<T::Chunk>>,
    output: Option<Output>,
    alarm: Option<(Time, Pin<Box<C::Alarm>>)>,
    /// Until the call is over.
    pass: Option<Pass>,
    alerts: Option<Alerts>,
    /// When it has been in the queue for as long as is told.
    alert_at: Time,
}

/// An attempt. What is under way is broken off before its place is given back.
struct Running<T: Transport, C: Clock> {
    attempt: Attempt,
    part: Part<T>,
    _seat: Option<Seat<C>>,
}

enum Part<T: Transport> {
    Sending(Pin<Box<T::Send>>),
    Reading(Box<Incoming<T>>),
    /// Read as far as its protocol goes.
    Over,
}

/// The body of an attempt, as far as it has come.
struct Incoming<T: Transport> {
    reader: Reader,
    /// What is passed on as it is, until it is clear that this attempt is the one that counts.
    chunks: VecDeque<T::Chunk>,
    body: Pin<Box<T::Body>>,
}

impl<T: Transport> Incoming<T> {
    fn push(&mut self, chunk: T::Chunk) -> Reading {
        let bytes = chunk.as_ref();
        let reading = self.reader.push(bytes);
        if self.reader.passes_bytes() && !bytes.is_empty() {
            self.chunks.push_back(chunk);
        }
        reading
    }

    /// Moves what came to where the caller finds it.
    fn hand_out(&mut self, head: &mut Option<Head>, pieces: &mut VecDeque<Piece<T::Chunk>>) {
        if head.is_none() {
            *head = Some(self.reader.head().clone());
        }
        pieces.extend(std::iter::from_fn(|| self.reader.next_event()).map(Piece::Event));
        pieces.extend(self.chunks.drain(..).map(Piece::Bytes));
    }
}

/// A piece of an answer, on its way to the caller.
#[derive(Debug)]
pub(super) enum Piece<B> {
    Event(StreamEvent),
    Bytes(B),
}

/// Everything that a call is begun with.
pub(super) struct Start<T: Transport, C: Clock> {
    pub(super) core: Arc<Core<T>>,
    pub(super) hub: Arc<Hub<C>>,
    pub(super) provider: Arc<Provider>,
    pub(super) home: Option<Arc<Home<C>>>,
    pub(super) pass: Pass,
    pub(super) outgoing: Outgoing,
    pub(super) kind: Kind,
    pub(super) options: CallOptions,
    pub(super) alerts: Option<Alerts>,
}

/// How often a call goes on in one poll, and how much it reads each time.
const ROUNDS: usize = 32;
const READS: usize = 32;

/// The wait in the pool's queue.
type Queued<'a, C> = Option<Acquire<'a, Places, C>>;

/// The answer as far as it is told at once: all of it, or its head if it is handed out in pieces.
pub(super) async fn begin<T: Transport, C: Clock>(
    start: Start<T, C>,
) -> Result<Drive<T, C>, Failure> {
    let mut drive = Drive::new(start);
    let hub = Arc::clone(&drive.hub);
    let mut queued: Queued<'_, C> = None;
    let turn = poll_fn(|cx| drive.poll(&mut queued, &hub, cx));
    turn.await?;
    drop(queued);
    Ok(drive)
}

impl<T: Transport, C: Clock> Drive<T, C> {
    fn new(start: Start<T, C>) -> Self {
        let Start { core, hub, provider, home, pass, outgoing, kind, options, alerts } = start;
        let now = hub.now();
        let call = Call::new(&mut hub.lock(), options, now);
        Self {
            core,
            hub,
            provider,
            outgoing,
            kind,
            call,
            running: Vec::new(),
            seat: None,
            home,
            winner: None,
            head: None,
            pieces: VecDeque::new(),
            output: None,
            alarm: None,
            pass: Some(pass),
            alerts,
            alert_at: Time::NEVER,
        }
    }

    pub(super) fn take_output(&mut self) -> Option<Output> {
        self.output.take()
    }

    pub(super) const fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Returns the next piece of the answer that counts; `None` at its end.
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece<T::Chunk>, Failure>>> {
        let hub = Arc::clone(&self.hub);
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if self.output.is_some() {
                return Poll::Ready(None);
            }
            // After content nothing is repeated, so nobody queues.
            match self.poll(&mut None, &hub, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failure)) => {
                    self.output = Some(Output::Pieces);
                    return Poll::Ready(Some(Err(failure)));
                }
            }
        }
    }

    /// Goes on until there is something for the caller: pieces, or the end.
    fn poll<'a>(
        &mut self,
        queued: &mut Queued<'a, C>,
        hub: &'a Hub<C>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let mut rang = false;
        for _ in 0..ROUNDS {
            // What came in time counts, even if the caller looks late.
            self.progress(queued, cx);
            let step = self.step(queued, hub);
            if self.call.is_over() {
                self.leave();
            }
            if !self.pieces.is_empty() {
                // A failure is told again, after what came before it.
                return Poll::Ready(Ok(()));
            }
            let Some(until) = step? else { return Poll::Ready(Ok(())) };
            if self.is_shut_out(queued, cx) {
                return Poll::Ready(Err(closed()));
            }
            // What was begun by the steps wants to be polled once.
            if self.progress(queued, cx) {
                continue;
            }
            let until = match queued {
                Some(_) => until.min(self.next_change()).min(self.next_alert()),
                None => until,
            };
            if !self.ring(until, &mut rang, cx) {
                return Poll::Pending;
            }
        }
        // Somebody who sends without end must not keep the thread.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Carries out what the call asks for, until it waits; returns until when. `None` is the end.
    fn step<'a>(
        &mut self,
        queued: &mut Queued<'a, C>,
        hub: &'a Hub<C>,
    ) -> Result<Option<Time>, Failure> {
        loop {
            let (now, chance) = (hub.now(), hub.chance());
            let (step, alert) = {
                let mut service = hub.lock();
                (self.call.poll(&mut service, now, chance), service.alert(now))
            };
            hub.resize();
            if let Some(alerts) = &self.alerts {
                alerts.tell(alert);
            }
            match step {
                Step::Acquire { priority } => *queued = self.acquire(priority, hub, now),
                Step::Release => {
                    *queued = None;
                    self.seat = None;
                }
                Step::Send { attempt, endpoint } => self.send(attempt, endpoint),
                Step::Cancel(attempt) => self.running.retain(|each| each.attempt != attempt),
                Step::WaitUntil(until) => return Ok(Some(until)),
                Step::Fail(failure) => return Err(failure),
                Step::Finished => return Ok(None),
            }
        }
    }

    /// Takes the place that the caller keeps, or gets in the queue.
    fn acquire<'a>(&mut self, priority: Priority, hub: &'a Hub<C>, now: Time) -> Queued<'a, C> {
        if let Some(seat) = self.home.as_ref().and_then(Home::take) {
            self.seat_came(seat);
            return None;
        }
        self.alert_at = now.saturating_add(self.provider.policy.alert_after);
        Some(hub.pool.acquire().timeout(None).priority(priority))
    }

    fn send(&mut self, attempt: Attempt, endpoint: usize) {
        let seat = self.seat.take();
        let request = match self.hub.bases.get(endpoint) {
            Some(base) => self.outgoing.to(base),
            None => Err(Failure::new(Class::Invalid, "the endpoint is not there")),
        };
        match request {
            Ok(request) => {
                let part = Part::Sending(Box::pin(self.core.transport.send(request)));
                self.running.push(Running { attempt, part, _seat: seat });
            }
            Err(failure) => {
                drop(seat);
                let now = self.hub.now();
                self.call.failed(&mut self.hub.lock(), attempt, failure, now);
            }
        }
    }

    fn seat_came(&mut self, seat: Seat<C>) {
        if self.call.acquired() {
            self.seat = Some(seat);
        }
    }

    /// Polls everything that is under way; tells whether anything happened.
    fn progress(&mut self, queued: &mut Queued<'_, C>, cx: &mut Context<'_>) -> bool {
        let mut happened = false;
        if let Some(acquire) = queued
            && let Poll::Ready(acquired) = Pin::new(acquire).poll(cx)
        {
            *queued = None;
            happened = true;
            self.acquired(acquired);
        }
        let mut index = 0;
        while let Some(running) = self.running.get_mut(index) {
            let attempt = running.attempt;
            let lost = self.winner.is_some_and(|winner| winner != attempt);
            let gone = !lost && self.progress_of(index, &mut happened, cx);
            if gone {
                drop(self.running.remove(index));
            } else {
                index += 1;
            }
        }
        happened
    }

    fn acquired(
        &mut self,
        acquired: Result<Lease<Places, C>, AcquireError<std::convert::Infallible>>,
    ) {
        match acquired {
            Ok(lease) => self.seat_came(Seat::new(lease)),
            Err(error) => {
                let failure = match error {
                    AcquireError::Closed => closed(),
                    error => Failure::new(Class::Refused, error.to_string()),
                };
                let now = self.hub.now();
                self.call.refused(&mut self.hub.lock(), failure, now);
            }
        }
    }

    /// Polls an attempt until it waits; tells whether it is gone.
    fn progress_of(&mut self, index: usize, happened: &mut bool, cx: &mut Context<'_>) -> bool {
        for _ in 0..READS {
            let running = &mut self.running[index];
            let attempt = running.attempt;
            let mut ended = false;
            let reading = match &mut running.part {
                Part::Sending(sending) => match sending.as_mut().poll(cx) {
                    Poll::Pending => return false,
                    Poll::Ready(Ok(response)) => match self.read(index, response) {
                        Ok(()) => Reading::Nothing,
                        Err(failure) => Reading::Failed(failure),
                    },
                    Poll::Ready(Err(error)) => Reading::Failed(self.lost(error)),
                },
                Part::Reading(incoming) => match incoming.body.as_mut().poll_next(cx) {
                    Poll::Pending => return false,
                    Poll::Ready(Some(Ok(chunk))) => incoming.push(chunk),
                    Poll::Ready(None) => {
                        ended = true;
                        incoming.reader.end()
                    }
                    Poll::Ready(Some(Err(error))) => Reading::Failed(self.lost(error)),
                },
                Part::Over => return true,
            };
            *happened = true;
            let over = !ended && matches!(reading, Reading::Done(..));
            if let Some(gone) = self.tell(index, attempt, reading) {
                if over {
                    self.finish_body(index, cx);
                }
                return gone;
            }
        }
        false
    }

    /// Takes the headers of an attempt in.
    fn read(&mut self, index: usize, response: HttpResponse<T::Body>) -> Result<(), Failure> {
        let (wall, now) = ((self.core.wall)(), self.hub.now());
        let HttpResponse { status, headers, body } = response;
        let head = Head { status, headers };
        let told = head.limits(self.provider.flavour, wall);
        let running = &mut self.running[index];
        self.call.headers(&mut self.hub.lock(), running.attempt, status, &told, now);
        let reader = Reader::new(&self.provider, self.kind, head, wall)?;
        let (chunks, body) = (VecDeque::new(), Box::pin(body));
        running.part = Part::Reading(Box::new(Incoming { reader, chunks, body }));
        Ok(())
    }

    fn lost(&self, error: T::Error) -> Failure {
        let mut failure: Failure = error.into();
        failure.message = redact(&failure.message, self.provider.secrets());
        failure
    }

    /// Tells the call what an attempt has brought. `None` if there may be more at once, else whether
    /// it is gone.
    fn tell(&mut self, index: usize, attempt: Attempt, reading: Reading) -> Option<bool> {
        let now = self.hub.now();
        let hub = Arc::clone(&self.hub);
        match reading {
            Reading::On { content: true } => {
                self.call.content(&mut hub.lock(), attempt, now);
                self.winner.get_or_insert(attempt);
            }
            Reading::On { content: false } => self.call.quiet(attempt),
            Reading::Bytes => self.call.bytes(attempt, now),
            Reading::Nothing => {}
            Reading::Done(output, used) => {
                self.winner.get_or_insert(attempt);
                self.hand_out(index);
                return Some(self.ended(attempt, output, &used));
            }
            Reading::Failed(failure) => {
                self.hand_out(index);
                self.call.failed(&mut hub.lock(), attempt, failure, now);
                return Some(true);
            }
        }
        self.hand_out(index);
        // The caller takes what there is before more is read.
        (!self.pieces.is_empty()).then_some(false)
    }

    fn ended(&mut self, attempt: Attempt, output: Output, used: &Need) -> bool {
        self.output = Some(output);
        let now = self.hub.now();
        self.call.ended(&mut self.hub.lock(), attempt, used, now);
        true
    }

    /// Hands out what the winner has brought.
    fn hand_out(&mut self, index: usize) {
        let running = &mut self.running[index];
        if self.winner == Some(running.attempt)
            && self.kind.is_in_pieces()
            && let Part::Reading(incoming) = &mut running.part
        {
            incoming.hand_out(&mut self.head, &mut self.pieces);
        }
    }

    /// Looks whether the body ends with its protocol, as its connection can be used again then. If
    /// not, the transport may wait for that.
    fn finish_body(&mut self, index: usize, cx: &mut Context<'_>) {
        const LOOKS: usize = 4;
        let part = std::mem::replace(&mut self.running[index].part, Part::Over);
        let Part::Reading(incoming) = part else { return };
        let mut body = incoming.body;
        for _ in 0..LOOKS {
            match body.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return,
                Poll::Pending => return self.core.transport.finish(body),
            }
        }
    }

    /// Tells whether the client pool was closed before anything was sent.
    fn is_shut_out(&mut self, queued: &mut Queued<'_, C>, cx: &Context<'_>) -> bool {
        let shut = |pass: &Pass| pass.is_closed(cx.waker());
        if !self.running.is_empty() || !self.pass.as_ref().is_some_and(shut) {
            return false;
        }
        *queued = None;
        self.give_up();
        true
    }

    /// Leaves what a call has that is not over, however long the caller keeps the answer.
    fn leave(&mut self) {
        self.home = None;
        self.pass = None;
    }

    fn give_up(&mut self) {
        let now = self.hub.now();
        self.call.abandoned(&mut self.hub.lock(), now);
        self.running.clear();
        self.seat = None;
        self.hub.resize();
        self.leave();
    }

    /// Returns when the service may have more places without anybody's doing.
    fn next_change(&self) -> Time {
        let now = self.hub.now();
        let change = self.hub.lock().next_change(now);
        if change > now { change } else { Time::NEVER }
    }

    /// Returns when somebody is to be told of the wait.
    fn next_alert(&self) -> Time {
        let tells = self.alerts.is_some() && self.alert_at > self.hub.now();
        if tells { self.alert_at } else { Time::NEVER }
    }

    /// Tells whether a time has come; if not, the caller is woken then. It rings once a poll: a
    /// clock that stands still must not keep its thread for ever.
    fn ring(&mut self, until: Time, rang: &mut bool, cx: &mut Context<'_>) -> bool {
        if until == Time::NEVER {
            self.alarm = None;
            return false;
        }
        if self.alarm.as_ref().is_none_or(|(at, _)| *at != until) {
            self.alarm = Some((until, Box::pin(self.hub.clock.alarm(until))));
        }
        let Some((_, alarm)) = &mut self.alarm else { return false };
        if alarm.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.alarm = None;
        if std::mem::replace(rang, true) {
            cx.waker().wake_by_ref();
            return false;
        }
        true
    }
}

impl<T: Transport, C: Clock> Drop for Drive<T, C> {
    fn drop(&mut self) {
        if !self.call.is_over() {
            self.give_up();
        }
    }
}

/// What is said to those who come after the end.
pub(super) fn closed() -> Failure {
    let code = Some(Reason::PoolClosed.code().to_owned());
    Failure { code, ..Failure::new(Class::Refused, "the client pool is closed") }
}

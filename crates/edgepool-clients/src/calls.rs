//! Calls: from the queue to the end of an answer.
//!
//! A call is stepped until it waits or is over. A step says what is to be done; see [`Code`].

mod asked;

use std::cell::RefCell;
use std::rc::Rc;

use edgepool::{Priority, Time};
use edgepool_llm::call::{Attempt, Call, Step};
use edgepool_llm::chat::{StreamEvent, Usage};
use edgepool_llm::exchange::{Head, Kind, Outgoing, Output, Reader, Reading};
use edgepool_llm::json::{self, object, write};
use edgepool_llm::provider::Provider;
use edgepool_llm::{Class, Failure, Timer, redact};
use serde_json::Value;

use crate::providers;
use crate::services::{self, Shared, to_json};
use crate::state::{chance as to_chance, parse, time, to_ms, wall as to_wall, with};
use crate::thrown::Thrown;

pub use asked::batches;

/// What a step says, in the low 8 bits of what it returns. The 8 bits above are the endpoint of
/// [`Send`](Self::Send) and the priority of [`Acquire`](Self::Acquire), from 0 for the lowest to 3;
/// all above are the number of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Wait, until [`until`] or until something happened.
    Wait = 0,
    /// Ask the pool for a place.
    Acquire = 1,
    /// Leave the queue, or give the place back that came.
    Release = 2,
    /// Send an attempt.
    Send = 3,
    /// Break an attempt off, and give its place back.
    Cancel = 4,
    /// It failed: see [`failure`].
    Fail = 5,
    /// It was answered to the end.
    Finished = 6,
}

/// Bits of what comes of bytes: they are content.
pub const CONTENT: u32 = 1;
/// The answer is over, by the word of its protocol.
pub const OVER: u32 = 2;
/// The attempt failed, or is not wanted any more.
pub const GONE: u32 = 4;
/// There are events to be taken.
pub const EVENTS: u32 = 8;

/// One call.
pub(crate) struct Entry {
    shared: Rc<RefCell<Shared>>,
    provider: Rc<Provider>,
    outgoing: Outgoing,
    kind: Kind,
    /// Whether it may reach one server once.
    once: bool,
    call: Call,
    /// What is under way, with its reader once its headers came.
    running: Vec<(Attempt, usize, Option<Box<Reader>>)>,
    /// The attempt whose answer counts, once content came.
    winner: Option<Attempt>,
    events: Vec<StreamEvent>,
    output: Option<Output>,
    usage: Option<Usage>,
    request_id: Option<String>,
    /// How attempts failed, with the provider's names for them.
    failed: Vec<(Attempt, Failure, Option<String>)>,
    failure: Option<Failure>,
    until: Time,
    /// When something was last done for it.
    seen: Time,
}

/// Begins a call of a provider at its service; returns its number. `kind` is 0 for a chat, 1 for one
/// in pieces, 2 for embeddings, 3 for models, 4 for what is passed on as it is.
///
/// # Errors
///
/// Tells what is wrong with the request or the options, or that the provider or service is closed.
pub fn open(
    service: f64,
    provider: f64,
    kind: u32,
    request: &str,
    options: &str,
    now: f64,
) -> Result<f64, Thrown> {
    let closed = || Thrown::from(Failure::new(Class::Refused, "the provider is closed"));
    let shared = services::find(service).ok_or_else(closed)?;
    let provider = providers::find(provider).ok_or_else(closed)?;
    let asked = asked::Asked::read(&provider, kind, &parse(request)?, &shared.borrow())?;
    let options = asked.options(&provider, &shared.borrow().service, &parse(options)?)?;
    let call = Call::new(&mut shared.borrow_mut().service, options, time(now));
    let entry = Entry {
        shared,
        provider,
        outgoing: asked.outgoing,
        kind: asked.kind,
        once: asked.once,
        call,
        running: Vec::new(),
        winner: None,
        events: Vec::new(),
        output: None,
        usage: None,
        request_id: None,
        failed: Vec::new(),
        failure: None,
        until: Time::NEVER,
        seen: time(now),
    };
    Ok(with(|state| {
        let number = state.number();
        state.calls.insert(number, Box::new(entry));
        number as f64
    }))
}

/// Says what is to be done next, as [`Code`] tells. `chance` is from 0 to 1, another one each time.
#[must_use]
pub fn step(number: f64, now: f64, chance: f64) -> f64 {
    at(number, now, Code::Fail as u32 as f64, |call| call.step(time(now), to_chance(chance)))
}

/// Returns until when a call waits, if nothing happens; infinite for ever.
#[must_use]
pub fn until(number: f64) -> f64 {
    look(number, f64::INFINITY, |call| to_ms(call.until))
}

/// Returns the request of an attempt: `{method, url, headers, keyed}`. Where it is keyed no redirect
/// may be followed.
///
/// # Errors
///
/// When the call or the attempt is over.
pub fn request(number: f64, attempt: u32) -> Result<String, Thrown> {
    let made = look(number, None, |call| {
        let attempts = call.running.iter();
        let (_, endpoint, _) = attempts.into_iter().find(|(each, ..)| each.0 == attempt)?;
        let shared = call.shared.borrow();
        let request = call.outgoing.to(shared.bases.get(*endpoint)?);
        Some((request, call.outgoing.is_keyed()))
    });
    let (request, keyed) = made.ok_or_else(over)?;
    let mut value = to_json(&request?);
    value["keyed"] = keyed.into();
    Ok(write(&value))
}

/// Returns the body that every attempt is sent with. That of a call that is passed on is the
/// caller's.
#[must_use]
pub fn body(number: f64) -> Vec<u8> {
    look(number, Vec::new(), |call| call.outgoing.body().to_vec())
}

/// Tells that a place came; returns whether it is wanted. If not, give it back.
#[must_use]
pub fn acquired(number: f64) -> bool {
    look(number, false, |call| call.call.acquired())
}

/// Tells that the pool refused a place; `code` is that of a
/// [`Reason`](edgepool_llm::refusal::Reason).
pub fn refused(number: f64, code: &str, message: &str, now: f64) {
    at(number, now, (), |call| {
        let mut failure = Failure::new(Class::Refused, message);
        failure.code = Some(code.to_owned());
        let mut shared = call.shared.borrow_mut();
        call.call.refused(&mut shared.service, failure, time(now));
    });
}

/// Tells that the headers of an attempt came: a list of `[name, value]`. `wall` is the time since
/// 1970. Returns the bits of what comes of it.
#[must_use]
pub fn head(number: f64, attempt: u32, status: u16, headers: &str, now: f64, wall: f64) -> u32 {
    let head = Head { status, headers: pairs(headers) };
    at(number, now, GONE, |call| call.head(Attempt(attempt), head, time(now), wall))
}

/// Hands in bytes of an attempt's body. Returns the bits of what came of them.
pub fn chunk(number: f64, attempt: u32, bytes: &[u8], now: f64) -> u32 {
    at(number, now, GONE, |call| call.read(Attempt(attempt), Some(bytes), time(now)))
}

/// Tells that an attempt's body has ended. Returns the bits of what comes of it.
pub fn end(number: f64, attempt: u32, now: f64) -> u32 {
    at(number, now, GONE, |call| call.read(Attempt(attempt), None, time(now)))
}

/// Tells that an attempt could not be sent, or its connection was lost.
pub fn lost(number: f64, attempt: u32, message: &str, now: f64) {
    at(number, now, (), |call| {
        let message = redact(message, call.provider.secrets());
        call.fail(Attempt(attempt), Failure::new(Class::Network, message), time(now));
    });
}

/// Tells that the answer of an attempt was handed to the caller: nothing else is sent, and the clocks
/// of its content are the caller's from then on; see [`late`].
pub fn taken(number: f64, attempt: u32, now: f64) {
    at(number, now, (), |call| {
        let attempt = Attempt(attempt);
        let lost = call.winner.is_some_and(|winner| winner != attempt);
        if !lost && call.running.iter().any(|(each, ..)| *each == attempt) {
            call.winner = Some(attempt);
            call.call.taken(&mut call.shared.borrow_mut().service, attempt, time(now));
        }
    });
}

/// Tells that a clock of an attempt ran out whose answer was [`taken`]: 3 for the first content, 4
/// for what comes after it.
pub fn late(number: f64, attempt: u32, timer: u32, now: f64) {
    let timer = if timer == 3 { Timer::FirstContent } else { Timer::BetweenContent };
    at(number, now, (), |call| call.late(Attempt(attempt), timer, time(now)));
}

/// Takes the events that came of the attempt that counts, as a list.
#[must_use]
pub fn events(number: f64) -> String {
    look(number, "[]".to_owned(), |call| {
        write(&call.events.drain(..).map(|event| event.to_json()).collect())
    })
}

/// Returns what the answer says; `null` before its end.
#[must_use]
pub fn output(number: f64) -> String {
    look(number, "null".to_owned(), |call| write(&call.output()))
}

/// Returns the tokens that the answer has told of so far; nothing if it has not.
#[must_use]
pub fn usage(number: f64) -> String {
    let told = look(number, None, |call| call.usage);
    told.map_or_else(String::new, |usage| write(&usage.to_json()))
}

/// Returns embeddings, one behind the other.
#[must_use]
pub fn vectors(number: f64) -> Vec<f32> {
    look(number, Vec::new(), |call| match &call.output {
        Some(Output::Embeddings(read)) => read.vectors.concat(),
        _ => Vec::new(),
    })
}

/// Returns the attempt whose answer counts, once content came; -1 before.
#[must_use]
pub fn winner(number: f64) -> i32 {
    look(number, -1, |call| call.winner.map_or(-1, |attempt| attempt.0 as i32))
}

/// Returns how the call failed; where it has not, or there is none, that it is over.
#[must_use]
pub fn failure(number: f64) -> String {
    let told = look(number, None, |call| call.failure.as_ref().map(|it| call.told(it)));
    write(&told.unwrap_or_else(|| with_attempt(&over(), None)))
}

/// Tells that somebody is there who waits for the call.
pub fn seen(number: f64, now: f64) {
    at(number, now, (), |_| ());
}

/// Abandons and forgets the calls of a service that nobody did anything for since `before`: those
/// who waited for them are gone. Returns how many there were.
pub fn sweep(service: f64, before: f64, now: f64) -> u32 {
    let Some(shared) = services::find(service) else { return 0 };
    let is_dead = |call: &Entry| call.seen < time(before) && Rc::ptr_eq(&call.shared, &shared);
    with(|state| {
        let swept = state.calls.retain(|call| {
            let dead = is_dead(call);
            if dead {
                call.abandon(time(now));
            }
            !dead
        });
        swept as u32
    })
}

/// Tells that nobody waits for the call any more. Step it, to have what it has given back.
pub fn abandon(number: f64, now: f64) {
    at(number, now, (), |call| call.abandon(time(now)));
}

/// Forgets a call; abandons it if it is not over.
pub fn free(number: f64, now: f64) {
    at(number, now, (), |call| call.abandon(time(now)));
    with(|state| drop(state.calls.remove(number)));
}

fn look<R>(number: f64, none: R, act: impl FnOnce(&mut Entry) -> R) -> R {
    with(|state| state.calls.get_mut(number).map_or(none, |call| act(call)))
}

/// As [`look`], for what says that somebody is there.
fn at<R>(number: f64, now: f64, none: R, act: impl FnOnce(&mut Entry) -> R) -> R {
    look(number, none, |call| {
        call.seen = call.seen.max(time(now));
        act(call)
    })
}

fn over() -> Failure {
    Failure::new(Class::Cancelled, "the call is over")
}

fn with_attempt(failure: &Failure, told: Option<&(Attempt, Failure, Option<String>)>) -> Value {
    let mut value = failure.to_json();
    value["attempt"] = told.map_or(-1, |(attempt, ..)| i64::from(attempt.0)).into();
    if let Some(id) = told.and_then(|(.., id)| id.as_deref()) {
        value["requestId"] = id.into();
    }
    value
}

/// Reads a list of headers; what is none is left out.
fn pairs(headers: &str) -> Vec<(String, Vec<u8>)> {
    let Some(Value::Array(list)) = json::parse(headers.as_bytes()) else { return Vec::new() };
    let pair = |pair: &Value| {
        let (name, value) = (pair[0].as_str()?, pair[1].as_str()?);
        Some((name.to_owned(), value.as_bytes().to_vec()))
    };
    list.iter().filter_map(pair).collect()
}

impl Entry {
    fn step(&mut self, now: Time, chance: u64) -> f64 {
        let step = self.call.poll(&mut self.shared.borrow_mut().service, now, chance);
        let pack = |code: Code, detail: usize, attempt: Attempt| {
            f64::from(code as u32) + (detail * 256) as f64 + f64::from(attempt.0) * 65_536.0
        };
        const NONE: Attempt = Attempt(0);
        match step {
            Step::Acquire { priority } => pack(Code::Acquire, rank(priority), NONE),
            Step::Release => pack(Code::Release, 0, NONE),
            Step::Send { attempt, endpoint } => {
                self.running.push((attempt, endpoint, None));
                pack(Code::Send, endpoint, attempt)
            }
            Step::Cancel(attempt) => {
                self.running.retain(|(each, ..)| *each != attempt);
                pack(Code::Cancel, 0, attempt)
            }
            Step::Fail(failure) => {
                self.failure = Some(failure);
                pack(Code::Fail, 0, NONE)
            }
            Step::Finished => pack(Code::Finished, 0, NONE),
            Step::WaitUntil(until) => {
                self.until = until;
                pack(Code::Wait, 0, NONE)
            }
            _ => pack(Code::Wait, 0, NONE),
        }
    }

    fn head(&mut self, attempt: Attempt, head: Head, now: Time, wall: f64) -> u32 {
        let wall = to_wall(wall);
        let told = head.limits(self.provider.flavour, wall);
        let Some(running) = self.running.iter_mut().find(|(each, ..)| *each == attempt) else {
            return GONE;
        };
        {
            let mut shared = self.shared.borrow_mut();
            self.call.headers(&mut shared.service, attempt, head.status, &told, now);
        }
        match Reader::new(&self.provider, self.kind, head, wall) {
            Ok(reader) => {
                running.2 = Some(Box::new(reader));
                0
            }
            Err(failure) => self.fail(attempt, failure, now),
        }
    }

    /// Takes bytes of an attempt, or their end.
    fn read(&mut self, attempt: Attempt, bytes: Option<&[u8]>, now: Time) -> u32 {
        let lost = self.winner.is_some_and(|winner| winner != attempt);
        let running = self.running.iter_mut().find(|(each, ..)| *each == attempt && !lost);
        let Some((_, _, Some(reader))) = running else { return GONE };
        let reading = match bytes {
            Some(bytes) => reader.push(bytes),
            None => reader.end(),
        };
        let bits = match reading {
            Reading::On { content: true } => {
                self.winner = Some(attempt);
                self.call.content(&mut self.shared.borrow_mut().service, attempt, now);
                CONTENT
            }
            Reading::On { content: false } => {
                self.call.quiet(attempt);
                0
            }
            Reading::Bytes => {
                self.call.bytes(attempt, now);
                0
            }
            Reading::Done(output, used) => {
                self.winner = Some(attempt);
                self.output = Some(output);
                self.take(attempt);
                let mut shared = self.shared.borrow_mut();
                self.call.ended(&mut shared.service, attempt, &used, now);
                OVER
            }
            Reading::Failed(failure) => {
                self.take(attempt);
                return self.fail(attempt, failure, now) | self.have_events();
            }
            _ => 0,
        };
        self.take(attempt);
        bits | self.have_events()
    }

    /// Takes what an attempt has brought, if it is the one that counts.
    fn take(&mut self, attempt: Attempt) {
        let running = self.running.iter_mut().find(|(each, ..)| *each == attempt);
        let Some((_, _, Some(reader))) = running else { return };
        if self.winner == Some(attempt) {
            self.events.extend(core::iter::from_fn(|| reader.next_event()));
            self.usage = reader.usage();
            if self.request_id.is_none() {
                self.request_id = reader.head().request_id();
            }
        }
    }

    fn have_events(&self) -> u32 {
        if self.events.is_empty() { 0 } else { EVENTS }
    }

    fn fail(&mut self, attempt: Attempt, failure: Failure, now: Time) -> u32 {
        if let Some(place) = self.running.iter().position(|(each, ..)| *each == attempt) {
            let (_, _, reader) = self.running.swap_remove(place);
            let id = reader.and_then(|reader| reader.head().request_id());
            self.failed.push((attempt, failure.clone(), id));
            self.call.failed(&mut self.shared.borrow_mut().service, attempt, failure, now);
        }
        GONE
    }

    fn late(&mut self, attempt: Attempt, timer: Timer, now: Time) {
        if let Some(place) = self.running.iter().position(|(each, ..)| *each == attempt) {
            self.running.swap_remove(place);
            self.call.late(&mut self.shared.borrow_mut().service, attempt, timer, now);
        }
    }

    fn abandon(&mut self, now: Time) {
        if !self.call.is_over() {
            self.call.abandoned(&mut self.shared.borrow_mut().service, now);
        }
    }

    /// Writes how the call failed, and which attempt's answer says so.
    fn told(&self, failure: &Failure) -> Value {
        let same = |(_, told, _): &&(_, Failure, _)| {
            (told.class, told.status, &told.code) == (failure.class, failure.status, &failure.code)
        };
        let mut value = with_attempt(failure, self.failed.iter().rev().find(same));
        if self.once {
            value["fallsBack"] = false.into();
        }
        value
    }

    fn output(&self) -> Value {
        let mut value = match &self.output {
            None => return Value::Null,
            Some(Output::Answer(answer)) => answer.to_json(),
            Some(Output::Embeddings(read)) => {
                let dimensions = read.vectors.first().map_or(0, Vec::len);
                object(vec![
                    ("count", read.vectors.len().into()),
                    ("dimensions", dimensions.into()),
                ])
            }
            Some(Output::Models(models)) => object(vec![("models", models.as_slice().into())]),
            Some(_) => object(Vec::new()),
        };
        if let Some(usage) = self.usage {
            value["usage"] = usage.to_json();
        }
        if let Some(id) = &self.request_id {
            value["requestId"] = id.as_str().into();
        }
        value
    }
}

const fn rank(priority: Priority) -> usize {
    match priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
        Priority::Urgent => 3,
    }
}

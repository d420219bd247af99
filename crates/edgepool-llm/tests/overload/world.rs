//! Callers, a pool of places and a service, run event by event on simulated time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use edgepool::{Priority, Time};
use edgepool_llm::bucket::Need;
use edgepool_llm::call::{Attempt, Call, CallOptions, Step};
use edgepool_llm::endpoint::Check;
use edgepool_llm::service::{Service, ServiceOptions};
use edgepool_llm::{Class, Failure};
use edgepool_sim::Rng;

use crate::backend::{Backend, Happening};

/// What a driver keeps of a call.
struct Caller {
    call: Call,
    began: Time,
    place: Place,
    /// The attempts under way and where they are.
    attempts: BTreeMap<Attempt, usize>,
    /// Until when it said that nothing is to be done.
    until: Time,
}

/// What a caller has of the pool beside the places of its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Nothing,
    Queued,
    Held,
}

#[derive(Clone, Debug)]
enum Event {
    Arrival,
    /// A caller is polled, if it is still there.
    Poll(u64),
    Happens(u64, Attempt, Box<Happening>),
    GivesUp(u64),
    /// The service may have changed by itself.
    Change,
    CheckEnds(Check, bool),
}

/// How callers come and go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// How many a second.
    pub(crate) rate: u64,
    /// Of 1,000 how many give up.
    pub(crate) give_up: u32,
    /// How late a driver may be.
    pub(crate) late: Duration,
}

/// All of it.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) service: Service,
    pub(crate) backends: Vec<Backend>,
    pub(crate) load: Load,
    /// Calls that began from here on are kept account of.
    pub(crate) measure_from: Time,
    /// How those ended: answered, and otherwise.
    pub(crate) answered: u32,
    pub(crate) failed: Vec<Failure>,
    rng: Rng,
    events: BTreeMap<(Time, u64), Event>,
    next_event: u64,
    callers: BTreeMap<u64, Caller>,
    next_caller: u64,
    /// Places that are out, and who waits for one.
    out: u32,
    queue: BTreeMap<Priority, VecDeque<u64>>,
    in_flight: Vec<u32>,
    change_at: Time,
}

/// So many callers at once are enough to be an overload.
const MOST_CALLERS: usize = 400;

/// No driver is later than that.
pub(crate) const MOST_LATE: Duration = Duration::from_millis(200);

/// So many steps of one poll are a circle.
const MOST_STEPS: u32 = 50;

impl World {
    pub(crate) fn new(
        options: ServiceOptions,
        backends: Vec<Backend>,
        load: Load,
        seed: u64,
    ) -> Self {
        let in_flight = vec![0; backends.len()];
        let mut world = Self {
            now: Time::ZERO,
            service: Service::new(options, Time::ZERO),
            backends,
            load,
            measure_from: Time::NEVER,
            answered: 0,
            failed: Vec::new(),
            rng: Rng::new(seed),
            events: BTreeMap::new(),
            next_event: 0,
            callers: BTreeMap::new(),
            next_caller: 0,
            out: 0,
            queue: BTreeMap::new(),
            in_flight,
            change_at: Time::NEVER,
        };
        world.at(Time::ZERO, Event::Arrival);
        world.at(Time::ZERO, Event::Change);
        world
    }

    fn at(&mut self, time: Time, event: Event) {
        self.next_event += 1;
        self.events.insert((time.max(self.now), self.next_event), event);
    }

    fn after(&mut self, time: Duration, event: Event) {
        self.at(self.now.saturating_add(time), event);
    }

    /// Runs until that time, and checks every invariant after each event.
    pub(crate) fn run_until(&mut self, end: Time) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((time, _), event) = entry.remove_entry();
            self.now = time;
            self.handle(event);
            self.hand_out();
            self.watch_service();
            self.check();
        }
        self.now = end;
    }

    /// Lets nobody come any more, runs until all calls are over, and checks that nothing is held.
    pub(crate) fn run_dry(&mut self) {
        self.load.rate = 0;
        self.run_until(self.now.saturating_add(Duration::from_secs(900)));
        let stats = self.service.stats(self.now);
        assert!(self.callers.is_empty(), "{} calls never end", self.callers.len());
        assert_eq!((stats.in_flight, stats.waiting, self.out), (0, 0, 0));
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrive(),
            Event::Poll(caller) => self.drive(caller),
            Event::Happens(caller, attempt, happening) => self.tell(caller, attempt, *happening),
            Event::GivesUp(number) => {
                if let Some(caller) = self.callers.get_mut(&number) {
                    caller.call.abandoned(&mut self.service, self.now);
                    self.drive(number);
                }
            }
            Event::Change => {
                self.change_at = Time::NEVER;
                let chance = self.rng.next_u64();
                while let Some(check) = self.service.check_due(chance, self.now) {
                    // An endpoint that has no trouble to speak of answers.
                    let good = self.backends[check.endpoint]
                        .faults
                        .iter()
                        .all(|fault| self.now < fault.from || fault.until <= self.now);
                    let longest = if good { 100 } else { 6_000 };
                    let time = Duration::from_millis(self.rng.within(5..=longest));
                    self.after(time, Event::CheckEnds(check, good));
                }
            }
            Event::CheckEnds(check, good) => {
                let broken = || Failure::new(Class::Network, "the check failed");
                let result = if good { Ok(()) } else { Err(broken()) };
                self.service.checked(check, result, self.now);
            }
        }
    }

    fn arrive(&mut self) {
        if self.load.rate == 0 {
            return;
        }
        let mean = 1_000_000 / self.load.rate;
        let pause = Duration::from_micros(self.rng.within(0..=2 * mean));
        self.after(pause, Event::Arrival);
        if self.callers.len() >= MOST_CALLERS {
            return;
        }
        let number = self.next_caller;
        self.next_caller += 1;
        let mut options = CallOptions::of(&self.service);
        options.priority = if self.rng.chance(100) { Priority::High } else { Priority::Normal };
        options.retried = u32::from(self.rng.chance(20));
        let call = Call::new(&mut self.service, options, self.now);
        let (attempts, place) = (BTreeMap::new(), Place::Nothing);
        let caller = Caller { call, began: self.now, place, attempts, until: self.now };
        self.callers.insert(number, caller);
        if self.rng.chance(self.load.give_up) {
            let patience = Duration::from_millis(self.rng.within(0..=8_000));
            self.after(patience, Event::GivesUp(number));
        }
        self.drive(number);
    }

    /// Polls a call until nothing is to be done, and does what is.
    fn drive(&mut self, number: u64) {
        for _ in 0..MOST_STEPS {
            let chance = self.rng.next_u64();
            let Some(caller) = self.callers.get_mut(&number) else { return };
            match caller.call.poll(&mut self.service, self.now, chance) {
                Step::Acquire { priority } => {
                    assert_eq!(caller.place, Place::Nothing, "a second place is asked for");
                    caller.place = Place::Queued;
                    self.queue.entry(priority).or_default().push_back(number);
                }
                Step::Release => self.take_back(number),
                Step::Send { attempt, endpoint } => self.send(number, attempt, endpoint),
                Step::Cancel(attempt) => self.let_go(number, attempt, false),
                Step::WaitUntil(until) => {
                    assert!(self.now < until, "it waits for what has come");
                    caller.until = until;
                    let late = self.load.late.as_micros() as u64;
                    let late = Duration::from_micros(self.rng.within(0..=late));
                    return self.at(until.saturating_add(late), Event::Poll(number));
                }
                Step::Finished => return self.end(number, None),
                Step::Fail(failure) => return self.end(number, Some(failure)),
                step => panic!("{step:?}"),
            }
        }
        panic!("a call goes in circles");
    }

    fn take_back(&mut self, number: u64) {
        let caller = self.callers.get_mut(&number).expect("it is polled");
        match std::mem::replace(&mut caller.place, Place::Nothing) {
            Place::Nothing => panic!("what it has not is given back"),
            Place::Held => self.out -= 1,
            Place::Queued => self.queue.values_mut().for_each(|each| each.retain(|&n| n != number)),
        }
    }

    fn send(&mut self, number: u64, attempt: Attempt, endpoint: usize) {
        let caller = self.callers.get_mut(&number).expect("it is polled");
        assert_eq!(caller.place, Place::Held, "it is sent without a place");
        assert!(!caller.call.has_content(), "it is sent again after content");
        caller.place = Place::Nothing;
        assert_eq!(caller.attempts.insert(attempt, endpoint), None);
        let mut time = Duration::ZERO;
        for (wait, happening) in self.backends[endpoint].take(&mut self.rng, self.now) {
            time += wait;
            self.after(time, Event::Happens(number, attempt, Box::new(happening)));
        }
    }

    /// An attempt is over, however it ended; its place comes back.
    fn let_go(&mut self, number: u64, attempt: Attempt, answered: bool) {
        let caller = self.callers.get_mut(&number).expect("it is polled");
        let endpoint = caller.attempts.remove(&attempt).expect("an attempt ends once");
        self.backends[endpoint].let_go(answered);
        self.out -= 1;
    }

    fn tell(&mut self, number: u64, attempt: Attempt, happening: Happening) {
        let Some(caller) = self.callers.get_mut(&number) else { return };
        if !caller.attempts.contains_key(&attempt) {
            return;
        }
        let (call, service, now) = (&mut caller.call, &mut self.service, self.now);
        match happening {
            Happening::Headers(status, told) => call.headers(service, attempt, status, &told, now),
            Happening::Content => call.content(service, attempt, now),
            Happening::Quiet => call.quiet(attempt),
            Happening::Ended => {
                let used = Need { input_tokens: 100, output_tokens: 100 };
                call.ended(service, attempt, &used, now);
                self.let_go(number, attempt, true);
            }
            Happening::Failed(failure) => {
                call.failed(service, attempt, failure, now);
                self.let_go(number, attempt, false);
            }
        }
        self.drive(number);
    }

    fn end(&mut self, number: u64, failure: Option<Failure>) {
        let caller = self.callers.remove(&number).expect("it is polled");
        assert_eq!(caller.place, Place::Nothing, "a call ends with a place");
        assert!(caller.attempts.is_empty(), "a call ends before its attempts");
        if caller.began < self.measure_from {
            return;
        }
        match failure {
            None => self.answered += 1,
            Some(failure) if failure.class == Class::Cancelled => {}
            Some(failure) => self.failed.push(failure),
        }
    }

    /// Gives out places while there are some, by priority and in order.
    fn hand_out(&mut self) {
        while self.out < self.service.places(self.now) {
            let Some(number) = self.queue.values_mut().rev().find_map(VecDeque::pop_front) else {
                return;
            };
            self.out += 1;
            let caller = self.callers.get_mut(&number).expect("who waits is there");
            caller.place = Place::Held;
            assert!(caller.call.acquired());
            self.drive(number);
        }
    }

    fn watch_service(&mut self) {
        let next = self.service.next_change(self.now);
        if next < self.change_at && next != Time::NEVER {
            self.change_at = next;
            self.at(next, Event::Change);
        }
    }
}

/// What holds after every event.
impl World {
    fn check(&mut self) {
        self.check_places();
        self.check_waits();
        self.check_counts();
    }

    fn check_places(&mut self) {
        let endpoints = self.service.endpoints();
        let all: u32 = endpoints.all().iter().map(|each| each.in_flight()).sum();
        assert_eq!(all, self.out, "places that are out, and attempts under way or about to be");
        let half = self.backends.len() / 2;
        assert!(endpoints.ejected() <= half, "more than half are ejected");
        for (index, endpoint) in endpoints.all().iter().enumerate() {
            let in_flight = endpoint.in_flight();
            assert!(in_flight >= self.backends[index].busy, "an attempt is not counted");
            if in_flight > self.in_flight[index] {
                let limit = endpoint.limit().unwrap_or(u32::MAX);
                assert!(in_flight <= limit, "{in_flight} are sent, over the limit of {limit}");
            }
            self.in_flight[index] = in_flight;
        }
    }

    /// Nobody waits without a reason and a time at which that ends.
    fn check_waits(&self) {
        let queued: usize = self.queue.values().map(VecDeque::len).sum();
        let free = self.out < self.service.places(self.now);
        assert!(queued == 0 || !free, "{queued} wait beside a free place");
        if !self.next_event.is_multiple_of(16) {
            return;
        }
        let mut held = 0;
        for (number, caller) in &self.callers {
            assert!(caller.until != Time::NEVER, "call {number} waits for ever");
            let late = self.now.saturating_since(caller.until);
            assert!(late <= MOST_LATE, "call {number} was forgotten");
            held += u32::from(caller.place == Place::Held);
        }
        let busy: u32 = self.backends.iter().map(|backend| backend.busy).sum();
        assert_eq!(held + busy, self.out);
    }

    fn check_counts(&self) {
        let counts = self.service.counts();
        let over = counts.answered + counts.failures.sum();
        assert_eq!(counts.calls, over + self.callers.len() as u64);
        let seconds = self.now.as_nanos() / 1_000_000_000 + 1;
        let budget = 10 * seconds + 10 + counts.calls / 5;
        let spent = counts.retries + counts.hedges;
        assert!(spent <= budget, "{spent} retries and hedges of {budget}");
        assert!(counts.sent <= counts.calls + counts.retries + counts.hedges);
    }
}

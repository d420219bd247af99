//! What every part of a case can do: become simpler, and be written as Rust code.

use std::time::Duration;

use edgepool::ledger::{Backoff, Priority, Reuse, Share};

use super::{
    Act, Action, Ask, Caller, Case, Ending, Luck, Parting, PoolOptions, Round, Wait, Waking,
};
use crate::{Closing, Creation, Defect, Faults, Hook, Trial};

/// A part of a case. Its plain value is the simplest that it can have.
pub(super) trait Part: Clone + PartialEq {
    /// Returns simpler values, the boldest first: each is nearer to `plain` than this one.
    fn simpler(&self, plain: &Self) -> Vec<Self>;

    /// Writes it as an expression.
    fn code(&self) -> String;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Part for $number {
            fn simpler(&self, plain: &Self) -> Vec<Self> {
                let (from, to) = (*self, *plain);
                let half = to.midpoint(from);
                let near = if from > to { from - 1 } else { from.saturating_add(1) };
                let mut values = vec![to, half, near];
                values.dedup();
                values.retain(|&value| value != from);
                if from == to { Vec::new() } else { values }
            }

            fn code(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64);

impl Part for bool {
    fn simpler(&self, plain: &Self) -> Vec<Self> {
        if self == plain { Vec::new() } else { vec![*plain] }
    }

    fn code(&self) -> String {
        self.to_string()
    }
}

impl Part for Duration {
    /// The plain duration is zero, whatever `plain` is: nothing else is used.
    fn simpler(&self, _: &Self) -> Vec<Self> {
        let (millis, nanos) = (self.as_millis() as u64, self.subsec_nanos() % 1_000_000);
        let mut values = Vec::new();
        if !self.is_zero() {
            values.push(Self::ZERO);
        }
        for coarser in [1_000, 100, 10, 1] {
            if millis >= coarser && (millis % coarser > 0 || (coarser == 1 && nanos > 0)) {
                values.push(Self::from_millis(millis / coarser * coarser));
            }
        }
        if millis > 1 {
            values.push(Self::from_millis(millis / 2));
            values.push(Self::from_millis(millis - 1));
        } else if nanos > 0 {
            values.push(Self::from_nanos(u64::from(nanos) / 2));
        }
        values
    }

    fn code(&self) -> String {
        let nanos = self.as_nanos();
        match nanos {
            0 => "Duration::ZERO".to_owned(),
            _ if nanos.is_multiple_of(1_000_000_000) => {
                format!("Duration::from_secs({})", nanos / 1_000_000_000)
            }
            _ if nanos.is_multiple_of(1_000_000) => {
                format!("Duration::from_millis({})", nanos / 1_000_000)
            }
            _ => format!("Duration::from_nanos({nanos})"),
        }
    }
}

impl<T: Part + Default> Part for Option<T> {
    fn simpler(&self, plain: &Self) -> Vec<Self> {
        let Some(value) = self else { return Vec::new() };
        let within = value.simpler(&T::default()).into_iter().map(Some);
        plain.is_none().then_some(None).into_iter().chain(within).collect()
    }

    fn code(&self) -> String {
        self.as_ref().map_or_else(|| "None".to_owned(), |value| format!("Some({})", value.code()))
    }
}

impl<T: Part + Default> Part for Vec<T> {
    /// Drops halves, quarters and so on down to single ones, then makes single ones simpler.
    fn simpler(&self, _: &Self) -> Vec<Self> {
        let mut values = Vec::new();
        let mut size = self.len();
        while size > 0 {
            for at in (0..self.len()).step_by(size) {
                let end = (at + size).min(self.len());
                values.push([&self[..at], &self[end..]].concat());
            }
            size /= 2;
        }
        let plain = T::default();
        for (at, value) in self.iter().enumerate() {
            for simpler in value.simpler(&plain) {
                let mut with = self.clone();
                with[at] = simpler;
                values.push(with);
            }
        }
        values
    }

    fn code(&self) -> String {
        let values: Vec<String> = self.iter().map(Part::code).collect();
        let line = format!("vec![{}]", values.join(", "));
        if line.len() < 60 && !line.contains('\n') {
            return line;
        }
        format!("vec![\n{}]", values.iter().map(|value| indented(value)).collect::<String>())
    }
}

/// Indents every line by one level, and ends with a comma.
fn indented(code: &str) -> String {
    let lines: Vec<String> = code.lines().map(|line| format!("    {line}")).collect();
    format!("{},\n", lines.join("\n"))
}

/// Writes a struct with the fields that are not plain.
fn structure(name: &str, fields: &[(&str, Option<String>)], rest: &str) -> String {
    let set: Vec<String> = fields
        .iter()
        .filter_map(|(field, code)| code.as_ref().map(|code| format!("{field}: {code}")))
        .collect();
    if set.is_empty() && !rest.is_empty() {
        return rest.to_owned();
    }
    let rest = if set.len() == fields.len() { String::new() } else { format!("..{rest}") };
    let mut line = set.join(", ");
    if !rest.is_empty() {
        line = format!("{line}, {rest}");
    }
    if line.len() < 70 && !line.contains('\n') {
        return format!("{name} {{ {line} }}");
    }
    let fields: String = set.iter().map(|field| indented(field)).collect();
    let rest = if rest.is_empty() { rest } else { format!("    {rest}\n") };
    format!("{name} {{\n{fields}{rest}}}")
}

macro_rules! structs {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl Part for $name {
            fn simpler(&self, plain: &Self) -> Vec<Self> {
                let mut values = Vec::new();
                $(for $field in self.$field.simpler(&plain.$field) {
                    values.push(Self { $field, ..self.clone() });
                })*
                values
            }

            fn code(&self) -> String {
                let plain = Self::default();
                let fields = [$((
                    stringify!($field),
                    (self.$field != plain.$field).then(|| self.$field.code()),
                )),*];
                structure(stringify!($name), &fields, concat!(stringify!($name), "::default()"))
            }
        }
    )*};
}

impl Case {
    /// Returns cases in which one part is simpler, the boldest first: that of so many of
    /// [`PARTS`](Self::PARTS).
    pub(super) fn simpler_in(&self, part: usize) -> Vec<Self> {
        let plain = Self::default();
        macro_rules! with {
            ($($path:ident).+) => {
                self.$($path).+.simpler(&plain.$($path).+).into_iter().map(|simpler| {
                    let mut case = self.clone();
                    case.$($path).+ = simpler;
                    case
                }).collect()
            };
        }
        match part {
            0 => with!(callers),
            1 => with!(acts),
            2 => with!(luck.creations),
            3 => with!(luck.checks),
            4 => with!(luck.resets),
            5 => with!(luck.closings),
            6 => with!(luck.defects),
            7 => with!(luck.hook_panics),
            8 => with!(luck.reentrant_calls),
            9 => with!(faults),
            10 => with!(pool),
            11 => with!(faulty_steps),
            12 => with!(driver),
            13 => with!(careless),
            14 => with!(look),
            15 => with!(ending),
            16 => with!(start),
            _ => with!(seed),
        }
    }

    /// How many parts a case has that become simpler by themselves.
    pub(super) const PARTS: usize = 18;
}

structs! {
    Case { callers, acts, luck, faults, faulty_steps, pool, driver, careless, look, ending, start, seed }
    PoolOptions {
        max, min_idle, max_waiting, acquire_timeout, create_timeout, check_timeout, reset_timeout,
        close_timeout, offer_timeout, idle_timeout, max_lifetime, lifetime_jitter, max_uses,
        check_after, check_interval, max_checks, reuse, backoff, breaker, ageing, long_hold, times,
        tenants
    }
    Share { weight, max, max_waiting }
    Caller { rounds, tenant, cancellable }
    Round { pause, ask, timeout, priority, wait, waking, hold, parting, dropped_at }
    Act { at, action }
    Luck {
        creations, checks, resets, closings, defects, hook_panics, reentrant_calls
    }
    Faults { cancel, stall, stall_for, late_poll, late_by, spurious_poll }
}

impl Part for Backoff {
    fn simpler(&self, _: &Self) -> Vec<Self> {
        if self.base < self.cap { vec![Self { cap: self.base, ..*self }] } else { Vec::new() }
    }

    fn code(&self) -> String {
        format!("Backoff {{ base: {}, cap: {} }}", self.base.code(), self.cap.code())
    }
}

impl Part for (Hook, u32) {
    fn simpler(&self, _: &Self) -> Vec<Self> {
        self.1.simpler(&0).into_iter().map(|well| (self.0, well)).collect()
    }

    fn code(&self) -> String {
        format!("(Hook::{:?}, {})", self.0, self.1)
    }
}

impl Part for (u32, Share) {
    fn simpler(&self, _: &Self) -> Vec<Self> {
        self.1.simpler(&Share::default()).into_iter().map(|share| (self.0, share)).collect()
    }

    fn code(&self) -> String {
        format!("({}, {})", self.0, self.1.code())
    }
}

macro_rules! enums {
    ($($name:ident { $($variant:ident $(($inner:ident))?),* })*) => {$(
        impl Part for $name {
            fn simpler(&self, plain: &Self) -> Vec<Self> {
                let mut values = Vec::new();
                if self != plain {
                    values.push(plain.clone());
                }
                match self {
                    $(Self::$variant $(($inner))? => {
                        $(for simpler in $inner.simpler(&Default::default()) {
                            values.push(Self::$variant(simpler));
                        })?
                    })*
                }
                values.dedup();
                values
            }

            fn code(&self) -> String {
                match self {
                    $(Self::$variant $(($inner))? => {
                        let path = concat!(stringify!($name), "::", stringify!($variant));
                        $(let path = format!("{path}({})", $inner.code());)?
                        path.to_string()
                    })*
                }
            }
        }
    )*};
}

enums! {
    Ask { Acquire, Try, Many(n) }
    Wait { Patient, GiveUp(after), LookAway(after), Leak, Orphan }
    Waking { Plain, Reentrant, Panics }
    Parting { Drop, Release, Discard, Take }
    Ending { Close, Drain, DropPool }
    Action {
        Stats, Tick, Resize(max), SetMinIdle(n), Pause, Resume, Retain(one_in), RetainPanics,
        InvalidateAll, WarmUp(n), SetShare(share), EndWaits(n), Reopen(n), StepBack(by), StepForward(by), Rate(per_mille), Freeze, Thaw,
        Close
    }
    Creation { Connect(after), Fail(after), Hang, Panic(after), PanicAtStart }
    Trial { PassAtOnce, FailAtOnce, Pass(after), Fail(after), Hang, Panic(after), PanicAtStart }
    Closing { AtOnce, After(after), Hang, Panic(after), PanicAtStart }
    Defect { None, AtUse(n), After(after) }
    Priority { Low, Normal, High, Urgent }
    Reuse { Lifo, Fifo }
}

//! Panics that are planned, and those that are not.
//!
//! A simulation panics on purpose, thousands of times, and a pool catches what its callbacks throw.
//! So the messages of planned panics are noise, and a panic that was *not* planned can go unseen.
//! While a run lasts, its thread's panics are kept here instead of being written.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

/// How the message of every panic ends that this crate plans.
const PLANNED: &str = "as planned";

thread_local! {
    /// What panicked without a plan, while this thread is listened to.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs `run` without a word from panics in it. Returns what it returned or what ended it, and the
/// unplanned panics, the oldest first, each with its place.
pub(crate) fn listen<R>(run: impl FnOnce() -> R) -> (Result<R, String>, Vec<String>) {
    install();
    let outer = HEARD.replace(Some(Vec::new()));
    let outcome = catch_unwind(AssertUnwindSafe(run));
    let heard = HEARD.replace(outer).unwrap_or_default();
    let outcome = outcome.map_err(|payload| match heard.last() {
        Some(last) if last.starts_with(message(&*payload)) => last.clone(),
        _ => message(&*payload).to_owned(),
    });
    (outcome, heard)
}

/// Returns the first unplanned panic that was heard so far, caught or not.
pub(crate) fn first_heard() -> Option<String> {
    HEARD.with_borrow(|heard| heard.as_ref().and_then(|heard| heard.first().cloned()))
}

/// Tells whether a panic was planned.
pub(crate) fn is_planned(payload: &(dyn Any + Send)) -> bool {
    message(payload).ends_with(PLANNED)
}

/// Installs the hook, once and for all threads: those that are not listened to write as before.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_heard = HEARD.try_with(|heard| hear(&mut heard.borrow_mut(), info));
            if !is_heard.unwrap_or(false) {
                before(info);
            }
        }));
    });
}

fn hear(heard: &mut Option<Vec<String>>, info: &PanicHookInfo<'_>) -> bool {
    let Some(heard) = heard else { return false };
    let what = message(info.payload());
    if !what.ends_with(PLANNED) {
        let at = info.location().map(|at| format!(", at {}:{}", at.file(), at.line()));
        heard.push(format!("{what}{}", at.unwrap_or_default()));
    }
    true
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hears_what_was_not_planned_even_if_it_is_caught() {
        let (outcome, heard) = listen(|| {
            let _ = catch_unwind(|| panic!("this is just as planned"));
            let _ = catch_unwind(|| panic!("this is {}", "not"));
            assert!(first_heard().unwrap().starts_with("this is not, at "));
            7
        });
        assert_eq!((outcome, heard.len()), (Ok(7), 1));
        assert_eq!(first_heard(), None);

        let (outcome, heard) = listen(|| -> u8 { panic!("an end") });
        assert_eq!(outcome.unwrap_err(), heard[0]);
        assert!(heard[0].starts_with("an end, at ") && heard[0].contains("panics.rs:"));
    }
}

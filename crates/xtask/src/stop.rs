//! Requests to stop: Ctrl-C, SIGTERM, and the end of the terminal.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for a signal that asks this process to stop, and returns its number.
pub(crate) async fn requested() -> i32 {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [mut interrupt, mut terminate, mut hangup] =
        kinds.map(|kind| signal(kind).expect("signal handlers can be set"));
    tokio::select! {
        _ = interrupt.recv() => kinds[0].as_raw_value(),
        _ = terminate.recv() => kinds[1].as_raw_value(),
        _ = hangup.recv() => kinds[2].as_raw_value(),
    }
}

/// Returns the exit code that a shell shows for a process ended by this signal.
pub(crate) fn exit_code(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

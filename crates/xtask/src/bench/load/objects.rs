//! A client for each provider object, beside one that all of them share.

use crate::bench::data::Case;
use crate::bench::load::contenders::Place;
use crate::bench::load::programs::{Programs, js, native, project};
use crate::bench::program;

/// Measures latency, memory and connections.
pub(super) async fn measure(programs: &Programs, quick: bool) -> anyhow::Result<Vec<Case>> {
    let rounds = if quick { "2" } else { "7" };
    let mut cases = Vec::new();
    if programs.has(Place::Native) {
        cases.extend(program::run(native("objects").arg(rounds)).await?.cases);
    }
    if programs.has(Place::Node) {
        cases.extend(program::run(js("objects.mjs")?.arg(rounds).arg(project())).await?.cases);
    }
    Ok(cases)
}

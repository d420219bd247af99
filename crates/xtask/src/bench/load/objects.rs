//! A client for each provider object, beside one that all of them share.

use crate::bench::data::{Case, OURS, OURS_TIMED, figure};
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

/// Where they are measured, by the ends of the ids of the cases, and who shares beside whom.
const PAIRS: [(&str, &str, &str, &str); 3] = [
    ("Rust", "", OURS, "each"),
    ("Rust, TLS", "", OURS_TIMED, "each-tls"),
    ("Node", "-node", OURS, "each"),
];

/// Says in a sentence for each place what sharing saves.
pub(super) fn savings(cases: &[Case]) -> Vec<String> {
    PAIRS.iter().filter_map(|pair| saving(cases, pair)).collect()
}

fn saving(cases: &[Case], pair: &(&str, &str, &str, &str)) -> Option<String> {
    let (place, end, shared, each) = pair;
    let both = |name: &str| {
        let case = cases.iter().find(|case| case.id == format!("objects-{name}{end}"))?;
        Some((case.median(shared)?, case.median(each)?))
    };
    let less = |name| both(name).map(|(one, other)| 100.0 * (1.0 - one / other));
    let (one, other) = both("connections")?;
    Some(format!(
        "{place}: shared, an object's first request takes {:.0} % less time, its later ones \
         {:.0} %, each {:.0} % less of the processors; {:.0} % less memory; connections: {} in \
         place of {}.",
        less("first")?,
        less("later")?,
        less("each")?,
        less("memory")?,
        figure(one),
        figure(other),
    ))
}

/// What was expected of sharing, to be compared with.
pub(super) const EXPECTED: &str =
    "Expected were 15 to 30 % less time for repeated requests, and 20 to 40 % less memory.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::tests::run_of;

    #[test]
    fn what_sharing_saves_is_told_where_it_was_measured() {
        let pair = |shared: f64, each: f64| [(OURS, vec![shared]), ("each", vec![each])];
        let [first, connections] = [pair(70.0, 100.0), pair(1.0, 50.0)];
        let cases = ["first", "later", "each", "memory", "connections"].map(|name| {
            let samples = if name == "connections" { &connections } else { &first };
            (format!("objects-{name}-node"), samples.each_ref().map(|(id, all)| (*id, &all[..])))
        });
        let cases = cases.each_ref().map(|(id, series)| (&id[..], &series[..]));
        let told = savings(&run_of(&cases).cases);
        let text = "Node: shared, an object's first request takes 30 % less time, its later ones \
                    30 %, each 30 % less of the processors; 30 % less memory; connections: 1 in \
                    place of 50.";
        assert_eq!(told, [text]);
    }
}

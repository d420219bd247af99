//! The tables of the load on the terminal.

use crate::bench::data::figure;
use crate::bench::load::contenders::{LEARNT, Place};
use crate::bench::load::data::{Cell, LoadRun, Offered};
use crate::bench::load::objects;
use crate::bench::marks::Mark;
use crate::bench::table;

/// What a table shows of a cell: its heading, and the figure.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
}

const fn column(title: &'static str, name: &'static str, unit: &'static str) -> Column {
    Column { title, name, unit }
}

pub(super) const COLUMNS: [Column; 9] = [
    column("answered/s", "goodput", ""),
    column("of capacity", "share", " %"),
    column("refused/s", "refused", ""),
    column("turned away", "turnedAway", " %"),
    column("gave up", "gaveUp", " %"),
    column("failed", "failed", " %"),
    column("p50", "latencyP50", " ms"),
    column("p99", "latencyP99", " ms"),
    column("first byte p50..p99", "firstP50", " ms"),
];

/// Writes a table for each place, one of the marks, and what they were measured on.
pub(super) fn text(run: &LoadRun, marks: &[Mark]) -> String {
    let mut text = format!("\n{}\n", backend(run));
    for place in run.places() {
        text += &format!("\n{}\n{}\n", place.title(), of_place(run, place));
        for line in failures(run, place).into_iter().chain(learning(run, place)) {
            text += &format!("{line}\n");
        }
    }
    for case in &run.objects {
        text += &format!("\n{} ({})\n{}\n", case.title, case.unit, table::of_case(case));
    }
    for line in objects::savings(&run.objects) {
        text += &format!("\n{line}");
    }
    text += &format!("\n{}\n", objects::EXPECTED);
    let rounds = if run.quick { "rounds, quick" } else { "rounds" };
    text += &format!("\nmarks\n{}\n", table::marks_table(marks));
    text += &format!("\n{} {rounds}; {}; {}\n", run.rounds, run.machine.line(), run.busy());
    text += &run.late().map_or_else(String::new, |late| format!("{late}\n"));
    text
}

/// Says what the backend is.
pub(super) fn backend(run: &LoadRun) -> String {
    let backend = run.backend;
    format!(
        "a backend that takes {} at once and works {:.0} ms on each: {:.1} a second",
        backend.max, backend.millis, backend.capacity
    )
}

fn of_place(run: &LoadRun, place: Place) -> comfy_table::Table {
    let head = ["load", ""].into_iter().chain(COLUMNS.iter().map(|column| column.title));
    let mut table = table::new(&head.collect::<Vec<_>>());
    for offered in Offered::all() {
        let mut first = Some(offered.title());
        for sender in run.senders_in(place) {
            let Some(cell) = run.cell(place, sender.id, offered) else { continue };
            let mut row = vec![first.take().unwrap_or_default(), sender.name.to_owned()];
            row.extend(cells(cell));
            table.add_row(row);
        }
    }
    table::align_right(&mut table, 2);
    table
}

/// Writes the figures of a cell.
pub(super) fn cells(cell: &Cell) -> Vec<String> {
    if cell.rounds.is_empty() {
        return vec!["–".to_owned(); COLUMNS.len()];
    }
    let write = |column: &Column| {
        let Some(value) = cell.median(column.name) else { return "–".to_owned() };
        match cell.median("firstP99").filter(|_| column.name == "firstP50") {
            Some(p99) => format!("{}..{}{}", rounded(value), rounded(p99), column.unit),
            None => format!("{}{}", rounded(value), column.unit),
        }
    };
    COLUMNS.iter().map(write).collect()
}

/// Writes what is large without a fraction.
fn rounded(value: f64) -> String {
    if value >= 100.0 { figure(value.round()) } else { figure(value) }
}

/// Says of whoever could not be measured why that is so.
pub(super) fn failures(run: &LoadRun, place: Place) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for cell in run.cells.iter().filter(|cell| cell.place == place) {
        let Some(why) = &cell.failed else { continue };
        let name = run.senders_in(place).find(|sender| sender.id == cell.sender);
        let name = name.map_or(cell.sender, |sender| sender.name);
        let line = format!("{name}: {}", why.lines().next().unwrap_or_default());
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Says what it cost to learn the limit.
pub(super) fn learning(run: &LoadRun, place: Place) -> Option<String> {
    let of = |offered| run.cell(place, LEARNT, offered)?.median("refusedWarm");
    let all: Vec<f64> = Offered::all().into_iter().filter_map(of).collect();
    let most = all.iter().copied().reduce(f64::max)?;
    let least = all.iter().copied().reduce(f64::min)?;
    Some(format!(
        "To learn the limit, before the window: {} to {} refused.",
        figure(least),
        figure(most)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::contenders::KNOWN;
    use crate::bench::load::data::tests::run_of;

    #[test]
    fn a_row_has_what_was_measured_and_says_who_failed() {
        let figures =
            [("goodput", 24.31), ("share", 98.0), ("firstP50", 1_272.8), ("firstP99", 1_408.2)];
        let mut run = run_of(&[
            (KNOWN, 5, &figures),
            (LEARNT, 5, &[("refusedWarm", 8.0)]),
            ("fetch", 5, &[]),
        ]);
        run.cells[2].rounds.clear();
        run.cells[2].failed = Some("no network\n  at a place".to_owned());
        let text = text(&run, &[]);
        let row = text.lines().find(|line| line.contains("| edgepool ")).unwrap();
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells[..4], ["5 ×", "edgepool", "24.3", "98 %"]);
        assert_eq!(cells.last(), Some(&"1,273..1,408 ms"));
        assert!(text.contains("fetch: no network\n"), "{text}");
        assert!(text.contains("before the window: 8 to 8 refused"), "{text}");
    }
}

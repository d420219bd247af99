//! The tables on the terminal.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::bench::data::{BOUND, Case, Contender, DEADPOOL, Run, Series, figure};
use crate::bench::marks::Mark;

/// Writes a table for each case, one of the marks, and what they were measured on.
pub(super) fn text(run: &Run, marks: &[Mark]) -> String {
    let mut text = String::new();
    for case in &run.cases {
        text += &format!("\n{} ({})\n{}\n", case.title, case.unit, of_case(case));
    }
    text + &closing(run, marks)
}

/// Writes what comes after the cases: the marks, and what all was measured on.
pub(super) fn closing(run: &Run, marks: &[Mark]) -> String {
    let rounds = if run.quick { "rounds, quick" } else { "rounds" };
    let mut text = format!("\nmarks\n{}\n", marks_table(marks));
    text += &format!("\n{} {rounds}; {}\n", run.rounds, run.machine.line());
    if !run.runtimes.is_empty() {
        text += &format!("{}\n", runtimes(run));
    }
    if run.machine.was_busy() {
        text += "The machine was busy before the run: its figures are worth less.\n";
    }
    text
}

/// Names the runtimes of a run with their versions.
pub(super) fn runtimes(run: &Run) -> String {
    let all = run.runtimes.iter().map(|(name, version)| format!("{name} {version}"));
    all.collect::<Vec<_>>().join(", ")
}

/// Makes a table with these columns.
pub(super) fn new<T: ToString>(head: &[T]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(head.iter().map(T::to_string));
    table
}

/// Makes the table of a case.
pub(super) fn of_case(case: &Case) -> Table {
    let grid = Grid::of(case);
    let mut table = new(&grid.head);
    for (_, cells) in grid.rows {
        table.add_row(cells);
    }
    align_right(&mut table, 1);
    table
}

/// Makes the table of the marks.
pub(super) fn marks_table(marks: &[Mark]) -> Table {
    let mut table = new(&["", "measured", "mark", "result"]);
    for mark in marks {
        let measured = mark.written(mark.measured);
        table.add_row([mark.text.clone(), measured, mark.limit_written(), mark.verdict()]);
    }
    align_right(&mut table, 1);
    table
}

/// Aligns the columns from this one on to the right.
pub(super) fn align_right(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// The figures of a case in rows, without the columns in which there would be nothing.
pub(super) struct Grid<'a> {
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<(&'a Contender, Vec<String>)>,
}

impl<'a> Grid<'a> {
    pub(super) fn of(case: &'a Case) -> Self {
        let head = ["", "median", "quartiles", "min..max", "× bound", "× deadpool"];
        let (bound, deadpool) = (case.median(BOUND), case.median(DEADPOOL));
        let row = |series: &'a Series| {
            let spread = series.spread()?;
            let cells = [
                series.contender.name.clone(),
                figure(spread.median),
                reach(spread.lower, spread.upper),
                reach(spread.min, spread.max),
                times(spread.median, bound),
                times(spread.median, deadpool),
            ];
            Some((&series.contender, cells))
        };
        let rows: Vec<_> = case.series.iter().filter_map(row).collect();
        let has_any = |column: usize| rows.iter().any(|(_, cells)| !cells[column].is_empty());
        let columns: Vec<usize> = (0..head.len()).filter(|&column| has_any(column)).collect();
        let pick = |cells: &[String; 6]| columns.iter().map(|&at| cells[at].clone()).collect();
        Self {
            head: columns.iter().map(|&at| head[at]).collect(),
            rows: rows.iter().map(|(contender, cells)| (*contender, pick(cells))).collect(),
        }
    }
}

/// Writes from where to where; nothing if both are one figure.
pub(super) fn reach(from: f64, to: f64) -> String {
    let (from, to) = (figure(from), figure(to));
    if from == to { String::new() } else { format!("{from}..{to}") }
}

/// Writes how many times another figure this one is; nothing if there is none to compare with.
pub(super) fn times(value: f64, other: Option<f64>) -> String {
    let ratio = other.filter(|&other| other != 0.0).map(|other| value / other);
    ratio.map_or_else(String::new, |ratio| match ratio {
        ratio if ratio >= 100.0 => format!("{} ×", figure(ratio)),
        ratio => format!("{ratio:.2} ×"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::OURS;
    use crate::bench::data::tests::run_of;

    #[test]
    fn a_row_has_the_median_the_spread_and_the_ratios() {
        let ours: &[f64] = &[31.0, 30.0, 36.0, 33.0, 32.0];
        let run = run_of(&[
            ("warm", &[(BOUND, &[16.0]), (OURS, ours), (DEADPOOL, &[160.0])]),
            ("bytes", &[(OURS, &[96.0])]),
        ]);
        let text = text(&run, &[]);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| line.starts_with("| edgepool"))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        let warm: &[&str] = &["edgepool", "32", "31..33", "30..36", "2.00 ×", "0.20 ×"];
        assert_eq!(rows, [warm, &["edgepool", "96"]]);
    }
}

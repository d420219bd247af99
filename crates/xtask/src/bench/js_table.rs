//! The tables of the npm package on the terminal: rows for contenders, columns for runtimes.

use comfy_table::Table;

use crate::bench::data::{BOUND, Case, Contender, Run, figure};
use crate::bench::js_marks;
use crate::bench::marks::Mark;
use crate::bench::table;

/// Writes a table for each case, one of the marks, and what they were measured on.
pub(super) fn text(run: &Run, marks: &[Mark]) -> String {
    let mut text = String::new();
    for group in run.grouped() {
        let Matrix { head, rows } = Matrix::of(&group);
        let mut table = table::new(&head);
        for (_, cells) in rows {
            table.add_row(cells);
        }
        right(&mut table);
        text += &format!("\n{} ({})\n{table}\n", group[0].title, group[0].unit);
        for line in failures(&group) {
            text += &format!("{line}\n");
        }
    }
    text + &table::closing(run, marks)
}

fn right(table: &mut Table) {
    table::align_right(table, 1);
}

/// The figures of a case in all its runtimes.
pub(super) struct Matrix<'a> {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<(&'a Contender, Vec<String>)>,
}

impl<'a> Matrix<'a> {
    pub(super) fn of(group: &[&'a Case]) -> Self {
        let has_bound = group.iter().any(|case| case.median(BOUND).is_some());
        let mut head = vec![String::new()];
        for case in group {
            head.push(case.runtime.clone().unwrap_or_default());
            if has_bound {
                head.push("× bound".to_owned());
            }
        }
        let mut contenders: Vec<&Contender> = Vec::new();
        for series in group.iter().flat_map(|case| &case.series) {
            if !contenders.iter().any(|contender| contender.id == series.contender.id) {
                contenders.push(&series.contender);
            }
        }
        let row = |contender: &'a Contender| {
            let mut cells = vec![contender.name.clone()];
            for case in group {
                let [figure, ratio] = cells_of(case, contender);
                cells.push(figure);
                if has_bound {
                    cells.push(ratio);
                }
            }
            (contender, cells)
        };
        Self { head, rows: contenders.into_iter().map(row).collect() }
    }
}

/// Writes a median with its quartiles, and how many times the bound it is.
fn cells_of(case: &Case, contender: &Contender) -> [String; 2] {
    let nothing = || ["–".to_owned(), String::new()];
    let Some(series) = case.series.iter().find(|series| series.contender.id == contender.id) else {
        return nothing();
    };
    if series.failed.is_some() {
        return ["failed".to_owned(), String::new()];
    }
    let Some(spread) = series.spread() else { return nothing() };
    let reach = table::reach(spread.lower, spread.upper);
    let median = figure(spread.median);
    let cell = if reach.is_empty() { median } else { format!("{median} ({reach})") };
    [cell, table::times(spread.median, case.median(BOUND))]
}

/// Says of whoever could not be measured why that is so.
pub(super) fn failures(group: &[&Case]) -> Vec<String> {
    let mut lines = Vec::new();
    for case in group {
        for series in &case.series {
            if let Some(why) = js_marks::failure(series) {
                let runtime = case.runtime.as_deref().unwrap_or_default();
                lines.push(format!("{} in {runtime}: {why}", series.contender.name));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::OURS;
    use crate::bench::data::tests::{all_in, run_of};

    #[test]
    fn a_row_has_each_runtime_beside_its_own_ring() {
        let ours: &[f64] = &[31.0, 30.0, 36.0, 33.0, 32.0];
        let in_node = all_in("node", run_of(&[("warm", &[(BOUND, &[16.0]), (OURS, ours)])]));
        let mut run = all_in("deno", run_of(&[("warm", &[(BOUND, &[20.0]), (OURS, &[])])]));
        run.cases[0].series[1].failed = Some("Error: no timers\n  at a place".to_owned());
        run.cases.splice(0..0, in_node.cases);
        let group = run.grouped().remove(0);
        let Matrix { head, rows } = Matrix::of(&group);
        assert_eq!(head, ["", "node", "× bound", "deno", "× bound"]);
        assert_eq!(rows[1].1, ["edgepool", "32 (31..33)", "2.00 ×", "failed", ""]);
        assert_eq!(failures(&group), ["edgepool in deno: Error: no timers"]);
        assert!(text(&run, &[]).contains("edgepool in deno: Error: no timers"));
    }
}

//! The report as a page that needs nothing beside itself.

use std::fmt::Write as _;

use crate::bench::data::{Case, Contender, Run};
use crate::bench::js_table::{self, Matrix};
use crate::bench::marks::Mark;
use crate::bench::plot;
use crate::bench::table::{self, Grid};

const PAGE: &str = include_str!("page.html");

/// How the pages look.
pub(super) const STYLE: &str = include_str!("page.css");

/// What a page says of its kind of benches.
pub(super) struct Words {
    /// What the lighter points are.
    second: &'static str,
    /// What is there to compare with.
    reference: &'static str,
    how: &'static str,
}

pub(super) const NATIVE: Words = Words {
    second: "edgepool with lifetimes, an idle timeout and hold times",
    reference: "what is there without a pool; the upright line is the bound",
    how: include_str!("page-native.html"),
};

pub(super) const JS: Words = Words {
    second: "edgepool with all defaults",
    reference: "a ring by hand, with nothing that a pool is for; the upright line is its median",
    how: include_str!("page-js.html"),
};

/// Writes the page.
pub(super) fn html(run: &Run, marks: &[Mark], words: &Words) -> anyhow::Result<String> {
    let mut cases = String::new();
    for group in run.grouped() {
        cases += &if run.runtimes.is_empty() { card(group[0])? } else { wide_card(&group)? };
    }
    let met = marks.iter().filter(|mark| mark.met == Some(true)).count();
    let quick = if run.quick { ", in a quick run" } else { "" };
    let busy = if run.machine.was_busy() { " The machine was busy before the run." } else { "" };
    let at =
        if run.runtimes.is_empty() { String::new() } else { format!(" {}.", table::runtimes(run)) };
    let parts = [
        ("{{style}}", STYLE.to_owned()),
        ("{{machine}}", escaped(&run.machine.line())),
        ("{{rounds}}", format!("Medians of {} rounds{quick}.{at}{busy}", run.rounds)),
        ("{{met}}", format!("{met} of {} met", marks.len())),
        ("{{marks}}", marks_table(marks)),
        ("{{second}}", words.second.to_owned()),
        ("{{reference}}", words.reference.to_owned()),
        ("{{cases}}", cases),
        ("{{contenders}}", contenders(&run.contenders())),
        ("{{how}}", words.how.trim().to_owned()),
    ];
    Ok(parts.iter().fold(PAGE.to_owned(), |page, (name, part)| page.replace(name, part)))
}

/// Writes a case with a plot for each runtime that it was measured in.
fn wide_card(group: &[&Case]) -> anyhow::Result<String> {
    let Case { title, unit, about, .. } = group[0];
    let (title, about) = (escaped(title), escaped(about));
    let mut plots = String::new();
    for case in group {
        let runtime = escaped(case.runtime.as_deref().unwrap_or_default());
        if let Some(svg) = plot::svg(case)? {
            let _ = writeln!(
                plots,
                "<figure role=\"img\" aria-label=\"{title}, {runtime}\">\
                 <figcaption>{runtime}</figcaption>{svg}</figure>"
            );
        }
    }
    let failed = js_table::failures(group);
    let failed = failed.iter().map(|line| format!("<li>{}</li>", escaped(line)));
    let failed: String = failed.collect();
    let failed =
        if failed.is_empty() { failed } else { format!("<ul class=\"failed\">{failed}</ul>") };
    let table = matrix(group);
    let body = match plots.is_empty() {
        true => table,
        false => format!(
            "<div class=\"plots\">{plots}</div>\n\
             <details><summary>Figures, in {unit}</summary>{table}</details>"
        ),
    };
    Ok(format!(
        "<section class=\"card wide\"><h3>{title}</h3><p>{about}</p>{body}{failed}</section>\n"
    ))
}

fn matrix(group: &[&Case]) -> String {
    let Matrix { head, rows } = Matrix::of(group);
    let rows: Vec<_> =
        rows.iter().map(|(contender, cells)| (*contender, cells.as_slice())).collect();
    html_table(&head, &rows)
}

/// Writes a case with one plot.
pub(super) fn card(case: &Case) -> anyhow::Result<String> {
    let Case { title, unit, about, .. } = case;
    let (title, about) = (escaped(title), escaped(about));
    let table = figures(case);
    let body = match plot::svg(case)? {
        Some(svg) => format!(
            "<figure role=\"img\" aria-label=\"{title}\">{svg}</figure>\n\
             <details><summary>Figures, in {unit}</summary>{table}</details>"
        ),
        None => table,
    };
    Ok(format!("<section class=\"card\"><h3>{title}</h3><p>{about}</p>{body}</section>\n"))
}

fn figures(case: &Case) -> String {
    let grid = Grid::of(case);
    let rows: Vec<_> =
        grid.rows.iter().map(|(contender, cells)| (*contender, cells.as_slice())).collect();
    html_table(&grid.head, &rows)
}

fn html_table<T: AsRef<str>>(head: &[T], rows: &[(&Contender, &[String])]) -> String {
    let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
    let mut html = format!("<table><tr><th>{}</th></tr>", head.join("</th><th>"));
    for (contender, cells) in rows {
        let class = if contender.is_ours() { " class=\"ours\"" } else { "" };
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        let _ = write!(html, "<tr{class}><td>{}</td></tr>", cells.join("</td><td>"));
    }
    html + "</table>"
}

/// Writes the marks, and which are met.
pub(super) fn marks_table(marks: &[Mark]) -> String {
    let head = "<table class=\"marks\"><tr><th></th><th>measured</th><th>mark</th><th></th></tr>";
    let mut html = String::from(head);
    for mark in marks {
        let class = match mark.met {
            Some(true) => "pill met",
            Some(false) => "pill missed",
            None => "faint",
        };
        let text = escaped(&mark.text);
        let (measured, limit) = (mark.written(mark.measured), mark.limit_written());
        let verdict = mark.verdict();
        let _ = write!(
            html,
            "<tr><td>{text}</td><td>{measured}</td><td>{limit}</td>\
             <td><span class=\"{class}\">{verdict}</span></td></tr>"
        );
    }
    html + "</table>"
}

fn contenders(contenders: &[&Contender]) -> String {
    let mut html = String::from("<table>");
    for contender in contenders.iter().filter(|contender| !contender.settings.is_empty()) {
        let package = contender.package.iter().zip(&contender.version);
        let package = package.map(|(package, version)| format!("{package} {version}"));
        let _ = write!(
            html,
            "<tr><td>{}</td><td class=\"prose\">{}</td><td class=\"prose\">{}</td></tr>",
            escaped(&contender.name),
            escaped(&package.collect::<String>()),
            escaped(&contender.settings),
        );
    }
    html + "</table>"
}

/// Writes text so that a page shows it as it is.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::tests::{all_in, run_of};
    use crate::bench::data::{DEADPOOL, OURS};

    #[test]
    fn every_part_of_the_page_is_filled_in() {
        let run = run_of(&[("Mutex<Vec>", &[(OURS, &[30.0]), (DEADPOOL, &[60.0])])]);
        let page = html(&run, &crate::bench::marks::native(&run), &NATIVE).unwrap();
        assert!(!page.contains("{{"), "{page}");
        assert!(page.contains("<h3>Mutex&lt;Vec&gt;</h3>") && page.contains("<svg"), "{page}");
        assert!(page.contains("0.50 ×"), "{page}");
    }

    #[test]
    fn a_case_has_a_plot_for_each_runtime_and_says_who_failed() {
        let mut run = all_in("deno", run_of(&[("warm", &[(OURS, &[30.0]), ("peer", &[60.0])])]));
        let failed = [("warm", &[(OURS, &[3.0][..]), ("peer", &[6.0]), ("other", &[])][..])];
        let mut in_node = all_in("node", run_of(&failed));
        in_node.cases[0].series[2].failed = Some("too <many> timers".to_owned());
        run.cases.extend(in_node.cases);
        let page = html(&run, &crate::bench::js_marks::of(&run), &JS).unwrap();
        assert!(!page.contains("{{"), "{page}");
        assert_eq!(page.matches("<svg").count(), 2, "{page}");
        assert!(page.contains("other in node: too &lt;many&gt; timers"), "{page}");
    }
}

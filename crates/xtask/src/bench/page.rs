//! The report as a page that needs nothing beside itself.

use std::fmt::Write as _;

use crate::bench::data::{Case, Contender, Run};
use crate::bench::marks::Mark;
use crate::bench::plot;
use crate::bench::table::Grid;

const PAGE: &str = include_str!("page.html");

/// Writes the page.
pub(super) fn html(run: &Run, marks: &[Mark]) -> anyhow::Result<String> {
    let mut cases = String::new();
    for case in &run.cases {
        cases += &card(case)?;
    }
    let met = marks.iter().filter(|mark| mark.met == Some(true)).count();
    let quick = if run.quick { ", in a quick run" } else { "" };
    let busy = if run.machine.was_busy() { " The machine was busy before the run." } else { "" };
    let parts = [
        ("{{machine}}", escaped(&run.machine.line())),
        ("{{rounds}}", format!("Medians of {} rounds{quick}.{busy}", run.rounds)),
        ("{{met}}", format!("{met} of {} met", marks.len())),
        ("{{marks}}", marks_table(marks)),
        ("{{cases}}", cases),
        ("{{contenders}}", contenders(&run.contenders())),
    ];
    Ok(parts.iter().fold(PAGE.to_owned(), |page, (name, part)| page.replace(name, part)))
}

fn card(case: &Case) -> anyhow::Result<String> {
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
    let mut html = format!("<table><tr><th>{}</th></tr>", grid.head.join("</th><th>"));
    for (contender, cells) in &grid.rows {
        let class = if contender.is_ours() { " class=\"ours\"" } else { "" };
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        let _ = write!(html, "<tr{class}><td>{}</td></tr>", cells.join("</td><td>"));
    }
    html + "</table>"
}

fn marks_table(marks: &[Mark]) -> String {
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
    for contender in contenders {
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

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::tests::run_of;
    use crate::bench::data::{DEADPOOL, OURS};

    #[test]
    fn every_part_of_the_page_is_filled_in() {
        let run = run_of(&[("Mutex<Vec>", &[(OURS, &[30.0]), (DEADPOOL, &[60.0])])]);
        let page = html(&run, &crate::bench::marks::native(&run)).unwrap();
        assert!(!page.contains("{{"), "{page}");
        assert!(page.contains("<h3>Mutex&lt;Vec&gt;</h3>") && page.contains("<svg"), "{page}");
        assert!(page.contains("0.50 ×"), "{page}");
    }
}

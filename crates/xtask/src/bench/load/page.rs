//! The report of the load as a page that needs nothing beside itself.

use std::fmt::Write as _;

use crate::bench::data::figure;
use crate::bench::load::contenders::Place;
use crate::bench::load::data::{LoadRun, Offered};
use crate::bench::load::objects;
use crate::bench::load::plot::{self, Figure, Scale};
use crate::bench::load::table::{self, COLUMNS};
use crate::bench::marks::Mark;
use crate::bench::page::{STYLE, card, escaped, marks_table};
use crate::workspace;

const PAGE: &str = include_str!("page.html");

/// What is drawn against the load: a title, what it is, and the figure.
const DRAWN: [(&str, &str, Figure); 5] = [
    (
        "Goodput",
        "What callers got whole, in percent of what the backend can do. More is better.",
        Figure { name: "share", unit: "%", scale: Scale::Linear(105.0) },
    ),
    (
        "Refused by the backend",
        "Each second, in the window. It should never have to.",
        Figure { name: "refused", unit: "/s", scale: Scale::Linear(10.0) },
    ),
    (
        "Latency, median",
        "Of what was answered, with the wait for a place, on a logarithmic scale.",
        Figure { name: "latencyP50", unit: "ms", scale: Scale::Log },
    ),
    (
        "Latency, 99th percentile",
        "The same: of a hundred answers one took longer.",
        Figure { name: "latencyP99", unit: "ms", scale: Scale::Log },
    ),
    (
        "Time to the first byte, 99th percentile",
        "Of what was answered, with the wait for a place.",
        Figure { name: "firstP99", unit: "ms", scale: Scale::Log },
    ),
];

/// Writes the page.
pub(super) fn html(run: &LoadRun, marks: &[Mark]) -> anyhow::Result<String> {
    let mut cards = String::new();
    for (title, about, figure) in &DRAWN {
        cards += &wide_card(run, title, about, |place| plot::svg(run, place, figure))?;
    }
    cards += &impatient(run)?;
    cards += &figures(run);
    let mut shared = String::new();
    for case in &run.objects {
        shared += &card(case)?;
    }
    let met = marks.iter().filter(|mark| mark.met == Some(true)).count();
    let backend = run.backend;
    let parts = [
        ("{{style}}", STYLE.to_owned()),
        ("{{machine}}", escaped(&run.machine.line())),
        ("{{rounds}}", escaped(&rounds(run))),
        ("{{max}}", backend.max.to_string()),
        ("{{millis}}", format!("{:.0}", backend.millis)),
        ("{{capacity}}", figure(backend.capacity)),
        ("{{met}}", format!("{met} of {} met", marks.len())),
        ("{{marks}}", marks_table(marks)),
        ("{{cards}}", cards),
        ("{{savings}}", savings(run)),
        ("{{objects}}", shared),
        ("{{senders}}", senders(run)),
        ("{{seconds}}", if run.quick { "6" } else { "10" }.to_owned()),
    ];
    Ok(parts.iter().fold(PAGE.to_owned(), |page, (name, part)| page.replace(name, part)))
}

fn rounds(run: &LoadRun) -> String {
    let (quick, busy) = (if run.quick { ", in a quick run" } else { "" }, run.busy());
    let versions = run.runtimes.iter().map(|(name, version)| format!("{name} {version}"));
    let versions = versions.collect::<Vec<_>>().join(", ");
    let versions = if versions.is_empty() { versions } else { format!(" {versions}.") };
    let late = run.late().map_or_else(String::new, |late| format!(" {late}"));
    format!("Medians of {} rounds{quick}.{versions} The {busy}.{late}", run.rounds)
}

fn savings(run: &LoadRun) -> String {
    let lines = objects::savings(&run.objects);
    let lines = lines.iter().map(|line| format!("<p>{}</p>", escaped(line)));
    lines.collect::<String>() + &format!("<p class=\"faint\">{}</p>", objects::EXPECTED)
}

/// Writes a card with a plot for each place.
fn wide_card(
    run: &LoadRun,
    title: &str,
    about: &str,
    draw: impl Fn(Place) -> anyhow::Result<Option<String>>,
) -> anyhow::Result<String> {
    let mut plots = String::new();
    for place in run.places() {
        if let Some(svg) = draw(place)? {
            let name = place.title();
            let _ = writeln!(
                plots,
                "<figure role=\"img\" aria-label=\"{title}, {name}\">\
                 <figcaption>{name}</figcaption>{svg}</figure>"
            );
        }
    }
    Ok(format!(
        "<section class=\"card wide\"><h3>{title}</h3><p>{about}</p>\
         <div class=\"plots\">{plots}</div></section>\n"
    ))
}

fn impatient(run: &LoadRun) -> anyhow::Result<String> {
    let offered = Offered { times: 5, impatient: true };
    let share = Figure { name: "share", unit: "%", scale: Scale::Linear(100.0) };
    let about = "Five times the load from callers that wait for 2.5 s, and then are gone: goodput, \
                 in percent of what the backend can do. Who has waited for long in a queue without \
                 a bound is given up in the midst of its answer.";
    let title = "When callers give up";
    wide_card(run, title, about, |place| plot::bars(run, place, offered, &share))
}

/// Writes all figures as tables.
fn figures(run: &LoadRun) -> String {
    let mut tables = String::new();
    for place in run.places() {
        let _ = write!(tables, "<h3>{}</h3>{}", place.title(), figures_of(run, place));
        let lines = table::failures(run, place).into_iter().chain(table::learning(run, place));
        for line in lines {
            let _ = write!(tables, "<p class=\"faint\">{}</p>", escaped(&line));
        }
    }
    format!(
        "<section class=\"card wide\"><details><summary>All figures</summary>{tables}</details>\
         </section>\n"
    )
}

fn figures_of(run: &LoadRun, place: Place) -> String {
    let head: Vec<&str> = COLUMNS.iter().map(|column| column.title).collect();
    let head = head.join("</th><th>");
    let mut html = format!("<table><tr><th>load</th><th></th><th>{head}</th></tr>");
    for offered in Offered::all() {
        let mut first = Some(offered.title());
        for sender in run.senders_in(place) {
            let Some(cell) = run.cell(place, sender.id, offered) else { continue };
            let class = if sender.is_ours() { " class=\"ours\"" } else { "" };
            let cells: Vec<_> = table::cells(cell).iter().map(|text| escaped(text)).collect();
            let load = first.take().unwrap_or_default();
            let cells = cells.join("</td><td>");
            let name = escaped(sender.name);
            let _ = write!(html, "<tr{class}><td>{load}</td><td>{name}</td><td>{cells}</td></tr>");
        }
    }
    html + "</table>"
}

fn senders(run: &LoadRun) -> String {
    let mut html = String::from("<table>");
    for sender in &run.senders {
        let package = sender.package.map(|package| match version(sender.place, package) {
            Some(version) => format!("{package} {version}"),
            None => package.to_owned(),
        });
        let _ = write!(
            html,
            "<tr><td>{}, {}</td><td class=\"prose\">{}</td><td class=\"prose\">{}</td></tr>",
            sender.place.title(),
            escaped(sender.name),
            escaped(&package.unwrap_or_default()),
            escaped(sender.settings),
        );
    }
    html + "</table>"
}

/// Returns the version of a package that was measured.
fn version(place: Place, package: &str) -> Option<String> {
    if place == Place::Native {
        let lock = std::fs::read_to_string(workspace::path("tests/bench/Cargo.lock")).ok()?;
        return workspace::version_in_lock(&lock, package).ok();
    }
    let lock = workspace::path("tests/js/bench/package-lock.json");
    let lock = std::fs::read_to_string(lock).ok()?;
    let lock: serde_json::Value = serde_json::from_str(&lock).ok()?;
    Some(lock["packages"][format!("node_modules/{package}")]["version"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::contenders::KNOWN;
    use crate::bench::load::data::tests::run_of;

    #[test]
    fn every_part_of_the_page_is_filled_in() {
        let figures = [("share", 97.0), ("refused", 0.0), ("latencyP50", 400.0)];
        let run = run_of(&[(KNOWN, 1, &figures), (KNOWN, 5, &figures)]);
        let page = html(&run, &crate::bench::load::marks::of(&run)).unwrap();
        assert!(!page.contains("{{"), "{page}");
        assert_eq!(page.matches("<svg").count(), 3, "{page}");
        assert!(page.contains("undici 7.") && page.contains("tokio 1."), "{page}");
    }
}

//! Plots of a figure against the load: a line for each sender, named at its end.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::bench::data::{Spread, figure};
use crate::bench::load::contenders::{Look, Place, Sender};
use crate::bench::load::data::{LoadRun, Offered};
use crate::bench::plot::{ACCENT, ACCENT_LIGHT, FAINT, GRID, INK, PEER, REFERENCE};

const WIDTH: i32 = 540;
const HEIGHT: i32 = 250;
const LEFT: i32 = 58;
const RIGHT: i32 = 138;
const TOP: i32 = 12;
const BOTTOM: i32 = 26;
/// How far names are apart at least.
const LINE: i32 = 16;

// The page gives these colours a dark counterpart, by their values.
const TOO_MANY: RGBColor = RGBColor(0x8a, 0x5f, 0xb0);
const CONNECTIONS: RGBColor = RGBColor(0x2f, 0x8f, 0x83);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// What is drawn.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) scale: Scale,
}

/// How the upright axis goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From nothing to this much, or to the most that there is.
    Linear(f64),
    Log,
}

/// One sender's line: a spread for each load at which there is one.
struct Line<'a> {
    sender: &'a Sender,
    points: Vec<(u32, Spread)>,
}

/// Draws a figure as SVG. `None` if nobody has one.
pub(super) fn svg(run: &LoadRun, place: Place, figure: &Figure) -> anyhow::Result<Option<String>> {
    let line = |sender| {
        let point = |times| {
            let cell = run.cell(place, sender_id(sender), Offered::patient(times))?;
            Some((times, cell.spread(figure.name)?))
        };
        let points: Vec<_> = Offered::STEPS.into_iter().filter_map(point).collect();
        (!points.is_empty()).then_some(Line { sender, points })
    };
    let mut lines: Vec<Line<'_>> = run.senders_in(place).filter_map(line).collect();
    // Those of this project come last, and so on top.
    lines.sort_by_key(|line| line.sender.is_ours());
    if lines.is_empty() {
        return Ok(None);
    }
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (WIDTH as u32, HEIGHT as u32));
    // What goes wrong while a string is drawn names no cause that lives long enough.
    draw(&area.into_drawing_area(), &lines, figure).map_err(|error| anyhow!("{error}"))?;
    Ok(Some(text))
}

const fn sender_id(sender: &Sender) -> &'static str {
    sender.id
}

fn draw(area: &Area<'_>, lines: &[Line<'_>], figure: &Figure) -> Drawn {
    let axis = Axis::of(lines, figure);
    for tick in axis.ticks() {
        let y = axis.y(tick);
        area.draw(&PathElement::new(vec![(LEFT, y), (WIDTH - RIGHT, y)], GRID))?;
        let right = Pos::new(HPos::Right, VPos::Center);
        write(area, short(tick, figure.unit), (LEFT - 8, y), 12, FAINT, right)?;
    }
    for times in Offered::STEPS {
        let below = Pos::new(HPos::Center, VPos::Top);
        let at = (x(times), HEIGHT - BOTTOM + 8);
        write(area, format!("{times} ×"), at, 12, FAINT, below)?;
    }
    for line in lines {
        draw_line(area, &axis, line)?;
    }
    for (line, y) in lines.iter().zip(name_places(lines, &axis)) {
        let left = Pos::new(HPos::Left, VPos::Center);
        let name = line.sender.name.to_owned();
        write(area, name, (WIDTH - RIGHT + 12, y), 13, colour(line.sender.look), left)?;
    }
    area.present()?;
    Ok(())
}

fn draw_line(area: &Area<'_>, axis: &Axis, line: &Line<'_>) -> Drawn {
    let colour = colour(line.sender.look);
    let width = if line.sender.is_ours() { 3 } else { 2 };
    let points = line.points.iter().map(|(times, spread)| (x(*times), axis.y(spread.median)));
    area.draw(&PathElement::new(points.collect::<Vec<_>>(), colour.stroke_width(width)))?;
    for (times, spread) in &line.points {
        let at = x(*times);
        let reach = vec![(at, axis.y(spread.min)), (at, axis.y(spread.max))];
        area.draw(&PathElement::new(reach, colour.stroke_width(1)))?;
        area.draw(&Circle::new((at, axis.y(spread.median)), 4, colour.filled()))?;
    }
    Ok(())
}

/// Finds a place for the name of each line beside its end, none on another.
fn name_places(lines: &[Line<'_>], axis: &Axis) -> Vec<i32> {
    let ends: Vec<i32> = lines
        .iter()
        .map(|line| axis.y(line.points.last().map_or(0.0, |(_, spread)| spread.median)))
        .collect();
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by_key(|&at| ends[at]);
    let mut places = ends.clone();
    // Downwards each is pushed by the one above it, then all of them back up from the bottom.
    let mut least = TOP;
    for &at in &order {
        places[at] = ends[at].max(least);
        least = places[at] + LINE;
    }
    let mut most = HEIGHT - BOTTOM;
    for &at in order.iter().rev() {
        places[at] = places[at].min(most);
        most = places[at] - LINE;
    }
    places
}

/// The upright axis.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    fn of(lines: &[Line<'_>], figure: &Figure) -> Self {
        let all = || lines.iter().flat_map(|line| &line.points).map(|(_, spread)| spread);
        let most = all().map(|spread| spread.max).fold(0.0, f64::max);
        match figure.scale {
            Scale::Linear(least) => {
                Self { scale: figure.scale, low: 0.0, high: (most * 1.04).max(least) }
            }
            Scale::Log => {
                let low = all().map(|spread| spread.min).fold(f64::INFINITY, f64::min).max(1.0);
                Self { scale: Scale::Log, low: low / 1.3, high: most.max(low) * 1.3 }
            }
        }
    }

    fn y(&self, value: f64) -> i32 {
        let share = match self.scale {
            Scale::Linear(_) => value / self.high,
            Scale::Log => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        };
        let room = f64::from(HEIGHT - BOTTOM - TOP);
        HEIGHT - BOTTOM - (share.clamp(0.0, 1.0) * room).round() as i32
    }

    /// Returns a few round figures.
    fn ticks(&self) -> Vec<f64> {
        if self.scale == Scale::Log {
            let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let steps: &[f64] =
                if self.high / self.low > 200.0 { &[1.0, 3.0] } else { &[1.0, 2.0, 5.0] };
            let all = powers.flat_map(|power| steps.iter().map(move |it| it * 10_f64.powi(power)));
            return all.filter(|tick| (self.low..=self.high).contains(tick)).collect();
        }
        let rough = self.high / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|it| it * power).find(|&it| it >= rough);
        let step = step.unwrap_or(rough);
        (0..=5).map(|at| f64::from(at) * step).filter(|&tick| tick <= self.high).collect()
    }
}

/// Returns where a load is, on a logarithmic scale.
fn x(times: u32) -> i32 {
    let most = f64::from(Offered::STEPS[Offered::STEPS.len() - 1]).ln();
    let room = f64::from(WIDTH - LEFT - RIGHT - 24);
    LEFT + 12 + (f64::from(times).ln() / most * room).round() as i32
}

fn write(
    area: &Area<'_>,
    text: String,
    at: (i32, i32),
    size: u32,
    colour: RGBColor,
    side: Pos,
) -> Drawn {
    let style = ("system-ui, sans-serif", size).into_font().color(&colour).pos(side);
    Ok(area.draw(&Text::new(text, at, style))?)
}

fn short(tick: f64, unit: &str) -> String {
    match unit {
        "ms" if tick >= 1_000.0 => format!("{} s", figure(tick / 1_000.0)),
        unit => format!("{} {unit}", figure(tick)).trim_end().to_owned(),
    }
}

/// Returns the colour of a line, as the page's key has it.
const fn colour(look: Look) -> RGBColor {
    match look {
        Look::Ours => ACCENT,
        Look::OursLearning => ACCENT_LIGHT,
        Look::Unlimited => REFERENCE,
        Look::Ideal => PEER,
        Look::TooMany => TOO_MANY,
        Look::Connections => CONNECTIONS,
    }
}

/// Draws a figure under one load as bars, a row for each sender.
pub(super) fn bars(
    run: &LoadRun,
    place: Place,
    offered: Offered,
    figure: &Figure,
) -> anyhow::Result<Option<String>> {
    let row =
        |sender| Some((sender, run.cell(place, sender_id(sender), offered)?.median(figure.name)?));
    let rows: Vec<(&Sender, f64)> = run.senders_in(place).filter_map(row).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let mut text = String::new();
    let height = 26 * rows.len() as u32 + 8;
    let area = SVGBackend::with_string(&mut text, (WIDTH as u32, height));
    draw_bars(&area.into_drawing_area(), &rows, figure).map_err(|error| anyhow!("{error}"))?;
    Ok(Some(text))
}

fn draw_bars(area: &Area<'_>, rows: &[(&Sender, f64)], figure: &Figure) -> Drawn {
    let Scale::Linear(high) = figure.scale else { return Ok(()) };
    for (at, (sender, value)) in rows.iter().enumerate() {
        let middle = 26 * at as i32 + 17;
        let colour = colour(sender.look);
        let name = if sender.is_ours() { colour } else { INK };
        let right = Pos::new(HPos::Right, VPos::Center);
        write(area, sender.name.to_owned(), (RIGHT - 12, middle), 13, name, right)?;
        let room = f64::from(WIDTH - RIGHT - 70);
        let end = RIGHT + ((value / high).clamp(0.0, 1.0) * room).round() as i32;
        let whole = [(RIGHT, middle - 8), (RIGHT + room as i32, middle + 8)];
        area.draw(&Rectangle::new(whole, GRID.filled()))?;
        area.draw(&Rectangle::new([(RIGHT, middle - 8), (end, middle + 8)], colour.filled()))?;
        let text = format!("{value:.0} {}", figure.unit);
        write(area, text, (WIDTH - 8, middle), 13, INK, right)?;
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::contenders::{KNOWN, LEARNT};
    use crate::bench::load::data::tests::run_of;

    const SHARE: Figure = Figure { name: "share", unit: "%", scale: Scale::Linear(100.0) };

    #[test]
    fn a_line_goes_through_what_was_measured_and_has_its_name() {
        let run = run_of(&[
            (KNOWN, 1, &[("share", 96.0)]),
            (KNOWN, 20, &[("share", 98.0)]),
            (LEARNT, 20, &[("share", 98.0)]),
        ]);
        let drawn = svg(&run, Place::Node, &SHARE).unwrap().unwrap();
        assert!(drawn.contains("edgepool\n") && drawn.contains("edgepool, learning\n"), "{drawn}");
        let other = Figure { name: "refused", unit: "", scale: Scale::Linear(1.0) };
        assert_eq!(svg(&run, Place::Node, &other).unwrap(), None);
    }

    #[test]
    fn names_that_end_together_are_apart() {
        let spread =
            |value| Spread { min: value, lower: value, median: value, upper: value, max: value };
        let all = crate::bench::load::contenders::all();
        let lines: Vec<Line<'_>> = [0.0, 0.0, 97.0, 98.0, 99.0]
            .iter()
            .zip(&all)
            .map(|(value, sender)| Line { sender, points: vec![(20, spread(*value))] })
            .collect();
        let mut places = name_places(&lines, &Axis::of(&lines, &SHARE));
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= LINE), "{places:?}");
        assert!(places[0] >= TOP && places[4] <= HEIGHT - BOTTOM, "{places:?}");
    }

    #[test]
    fn an_axis_has_a_few_round_ticks() {
        let axis = |scale, low, high| Axis { scale, low, high }.ticks();
        assert_eq!(axis(Scale::Linear(0.0), 0.0, 104.0), [0.0, 50.0, 100.0]);
        assert_eq!(axis(Scale::Log, 90.0, 6_000.0), [100.0, 200.0, 500.0, 1e3, 2e3, 5e3]);
    }
}

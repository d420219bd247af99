//! One plot: a row for each contender, with its median, its quartiles and how far it reaches.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::bench::data::{BOUND, Case, Contender, OURS, Spread, figure};

const WIDTH: u32 = 560;
const ROW: u32 = 26;
const NAMES: u32 = 186;
const FIGURES: u32 = 82;
const TICKS: u32 = 34;

// The page gives these colours a dark counterpart, by their values.
pub(super) const INK: RGBColor = RGBColor(0x1c, 0x24, 0x30);
pub(super) const FAINT: RGBColor = RGBColor(0x6b, 0x76, 0x86);
pub(super) const GRID: RGBColor = RGBColor(0xe2, 0xe7, 0xed);
pub(super) const ACCENT: RGBColor = RGBColor(0x0b, 0x63, 0xc5);
pub(super) const ACCENT_LIGHT: RGBColor = RGBColor(0x5b, 0x9b, 0xe6);
pub(super) const PEER: RGBColor = RGBColor(0x7a, 0x86, 0x98);
pub(super) const REFERENCE: RGBColor = RGBColor(0xc2, 0x6a, 0x1a);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b, X> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;
type Row<'a> = (&'a Contender, Spread);

/// How a figure becomes a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// By its logarithm, for what differs by times.
    Times,
    /// From nothing on, for shares of a whole.
    Share,
}

/// Draws a case as SVG. `None` if it counts, or has a zero where figures differ by times: a table
/// says that better.
pub(super) fn svg(case: &Case) -> anyhow::Result<Option<String>> {
    let rows: Vec<Row<'_>> = case
        .series
        .iter()
        .filter_map(|series| Some((&series.contender, series.spread()?)))
        .collect();
    let scale = match case.unit.as_str() {
        "ns" | "ms" | "bytes" => Scale::Times,
        "%" | "index" => Scale::Share,
        _ => return Ok(None),
    };
    let has_zero = rows.iter().any(|(_, spread)| spread.min <= 0.0);
    if rows.len() < 2 || (has_zero && scale == Scale::Times) {
        return Ok(None);
    }
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (WIDTH, ROW * rows.len() as u32 + TICKS));
    let area = area.into_drawing_area();
    let (low, high) = range(&rows, scale);
    let ticks = ticks(low, high, scale);
    let drawn = match scale {
        Scale::Times => draw(&area, (low..high).log_scale(), &ticks, &rows, &case.unit),
        Scale::Share => draw(&area, low..high, &ticks, &rows, &case.unit),
    };
    // What goes wrong while a string is drawn names no cause that lives long enough.
    drawn.map_err(|error| anyhow!("{error}"))?;
    drop(area);
    Ok(Some(text))
}

fn draw<X>(area: &Area<'_>, axis: X, ticks: &[f64], rows: &[Row<'_>], unit: &str) -> Drawn
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64>,
{
    let top = rows.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .set_label_area_size(LabelAreaPosition::Left, NAMES)
        .set_label_area_size(LabelAreaPosition::Bottom, TICKS)
        .margin_right(FIGURES)
        .build_cartesian_2d(axis, 0.0..top)?;
    for &tick in ticks {
        chart.draw_series([PathElement::new(vec![(tick, 0.0), (tick, top)], GRID)])?;
        let (x, y) = chart.backend_coord(&(tick, 0.0));
        let label = short(tick, unit);
        write(area, label, (x, y + 8), 12, FAINT, Pos::new(HPos::Center, VPos::Top))?;
    }
    if let Some((_, bound)) = rows.iter().find(|(contender, _)| contender.id == BOUND) {
        let line = vec![(bound.median, 0.0), (bound.median, top)];
        chart.draw_series([PathElement::new(line, REFERENCE.mix(0.45))])?;
    }
    for (at, row) in rows.iter().enumerate() {
        draw_row(area, &mut chart, row, top - 0.5 - at as f64)?;
    }
    area.present()?;
    Ok(())
}

fn draw_row<X>(area: &Area<'_>, chart: &mut Chart<'_, '_, X>, row: &Row<'_>, y: f64) -> Drawn
where
    X: Ranged<ValueType = f64>,
{
    let (contender, spread) = row;
    let colour = colour(contender);
    let reach = vec![(spread.min, y), (spread.max, y)];
    chart.draw_series([PathElement::new(reach, colour.stroke_width(1))])?;
    let middle = [(spread.lower, y - 0.16), (spread.upper, y + 0.16)];
    chart.draw_series([Rectangle::new(middle, colour.mix(0.35).filled())])?;
    chart.draw_series([Circle::new((spread.median, y), 4, colour.filled())])?;
    let (_, y) = chart.backend_coord(&(spread.median, y));
    let right = Pos::new(HPos::Right, VPos::Center);
    let name = if contender.is_ours() { colour } else { INK };
    write(area, contender.name.clone(), (NAMES as i32 - 14, y), 14, name, right)?;
    write(area, figure(spread.median), (WIDTH as i32 - 6, y), 14, INK, right)
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

fn colour(contender: &Contender) -> RGBColor {
    match contender {
        ours if ours.id == OURS => ACCENT,
        ours if ours.is_ours() => ACCENT_LIGHT,
        reference if reference.is_reference() => REFERENCE,
        _ => PEER,
    }
}

/// Returns what the axis covers: all that was measured, and a little more.
fn range(rows: &[Row<'_>], scale: Scale) -> (f64, f64) {
    let low = rows.iter().map(|(_, spread)| spread.min).fold(f64::INFINITY, f64::min);
    let high = rows.iter().map(|(_, spread)| spread.max).fold(0.0, f64::max);
    match scale {
        Scale::Times => (low / 1.15, high * 1.15),
        Scale::Share => (0.0, high * 1.15),
    }
}

/// Writes a round figure in few letters.
fn short(tick: f64, unit: &str) -> String {
    match tick {
        nanos if unit == "ns" && nanos >= 1e6 => format!("{} ms", figure(nanos / 1e6)),
        nanos if unit == "ns" && nanos >= 1e3 => format!("{} µs", figure(nanos / 1e3)),
        millis if unit == "ms" && millis < 0.1 => short(millis * 1e6, "ns"),
        bytes if unit == "bytes" && bytes >= 1e5 => format!("{} MB", figure(bytes / 1e6)),
        tick => format!("{} {unit}", figure(tick)),
    }
}

/// Returns round figures in a range, a few of them however wide it is.
fn ticks(low: f64, high: f64, scale: Scale) -> Vec<f64> {
    if scale == Scale::Share {
        let power = 10_f64.powf(high.log10().floor());
        let steps = [0.2, 0.5, 1.0, 2.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| high / step <= 6.0).unwrap_or(high);
        // As the nearest number to the round one.
        let tick = |at| (f64::from(at) * step * 1e6).round() / 1e6;
        return (0..=6).map(tick).filter(|&tick| tick <= high).collect();
    }
    let decades = (high / low).log10();
    let steps: &[f64] = match decades {
        wide if wide > 3.0 => &[1.0],
        wide if wide > 0.8 => &[1.0, 2.0, 5.0],
        some if some > 0.3 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        _ => &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    };
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let all = powers.flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
    all.filter(|tick| (low..=high).contains(tick)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::tests::run_of;

    #[test]
    fn an_axis_has_a_few_round_ticks_however_wide_it_is() {
        let times = |low, high| ticks(low, high, Scale::Times);
        assert_eq!(times(13.0, 900.0), [20.0, 50.0, 100.0, 200.0, 500.0]);
        assert_eq!(times(80.0, 410.0), [100.0, 150.0, 200.0, 300.0]);
        assert_eq!(times(24.0, 38.0), [25.0, 30.0, 35.0]);
        assert_eq!(times(150.0, 3e7), [1e3, 1e4, 1e5, 1e6, 1e7]);
        assert_eq!(ticks(0.0, 65.0, Scale::Share), [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(ticks(0.0, 1.15, Scale::Share), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        let written = [(500.0, "ns"), (2e3, "ns"), (1e7, "ns"), (2e3, "bytes"), (5e6, "bytes")];
        let written = written.map(|(tick, unit)| short(tick, unit));
        assert_eq!(written, ["500 ns", "2 µs", "10 ms", "2,000 bytes", "5 MB"]);
        let written = [0.01, 0.1, 10.0].map(|tick| short(tick, "ms"));
        assert_eq!(written, ["10 µs", "0.10 ms", "10 ms"]);
    }

    #[test]
    fn what_has_a_zero_is_not_drawn() {
        let run = run_of(&[
            ("speed", &[(OURS, &[30.0]), ("peer", &[60.0])]),
            ("times", &[(OURS, &[0.0]), ("peer", &[9.0])]),
        ]);
        let drawn = svg(&run.cases[0]).unwrap().unwrap();
        assert!(drawn.starts_with("<svg") && drawn.contains("peer"), "{drawn}");
        assert_eq!(svg(&run.cases[1]).unwrap(), None);
    }
}

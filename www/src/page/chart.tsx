import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";

import { HISTORY_SECONDS } from "../wire.js";
import { colour, useColours } from "./theme.js";

/** One line of a chart; `colour` names a colour of the style sheet. */
export interface Line {
  name: string;
  colour: string;
  values: readonly (number | null)[];
  filled?: boolean;
  bars?: boolean;
}

interface ChartProps {
  title: string;
  /** The time of the first value, in seconds; the others follow each second. */
  start: number;
  /** Drawn in this order, so the last is on top; the legend names that first. */
  lines: Line[];
  format: (value: number | null) => string;
  /** The least top of the scale. */
  atLeast: number;
  /** Shown while no line has a value. */
  empty: string;
  /** The values are counts, so the axis has no fractions. */
  counts?: boolean;
}

/** A chart of the last five minutes with a legend that follows the pointer. */
export function Chart(props: ChartProps) {
  const { title, start, lines, format, empty } = props;
  const [at, setAt] = useState<number | undefined>();
  const box = useRef<HTMLDivElement>(null);
  usePlot(box, props, setAt);
  const shown = (values: Line["values"]) =>
    (at === undefined ? newest(values) : values[at] ?? null);
  const has = lines.some(({ values }) => values.some((value) => value !== null));
  const now = lines.map(({ name, values }) => `${name} ${format(newest(values))}`);
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="chart-time">{at === undefined ? "" : clock(start + at)}</span>
        <span class="legend">
          {[...lines].reverse().map((line) => (
            <span class="key" key={line.name}>
              <span><i class={`swatch ${line.colour}`} />{line.name}</span>
              <b>{format(shown(line.values))}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div class="plot" ref={box} role="img"
        aria-label={`${title}, last five minutes. Now: ${now.join(", ")}.`} />
      {!has && <p class="chart-empty">{empty}</p>}
    </figure>
  );
}

/** The value of now: the last second is not over, and the one before may have had none. */
function newest(values: Line["values"]): number | null {
  return values.slice(-4).findLast((value) => value !== null) ?? null;
}

/** Tells a time of the day; the short form leaves out seconds that are none. */
function clock(seconds: number, short = false): string {
  const time = new Date(seconds * 1_000).toLocaleTimeString("en-GB");
  return short ? time.replace(/:00$/, "") : time;
}

type Box = { current: HTMLDivElement | null };

function usePlot(box: Box, props: ChartProps, hover: (at: number | undefined) => void): void {
  const plot = useRef<uPlot | undefined>(undefined);
  const colours = useColours();
  const data = table(props);
  useEffect(() => {
    const element = box.current as HTMLDivElement;
    const made = new uPlot(options(props, element, hover), data, element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize(sizeOf(element)));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [colours]);
  useEffect(() => plot.current?.setData(data));
}

function table({ start, lines }: ChartProps): uPlot.AlignedData {
  const length = lines[0]?.values.length ?? 0;
  const times = Array.from({ length }, (_, index) => start + index);
  return [times, ...lines.map(({ values }) => values as (number | null)[])];
}

function sizeOf(element: HTMLElement): { width: number; height: number } {
  return { width: element.clientWidth, height: element.clientHeight };
}

function options(
  { lines, format, atLeast, counts }: ChartProps, element: HTMLElement,
  hover: (at: number | undefined) => void,
): uPlot.Options {
  const text = colour("faint");
  const grid = { stroke: colour("line"), width: 1 };
  const axis = { stroke: text, font: `11px ${getComputedStyle(element).fontFamily}`, grid };
  return {
    ...sizeOf(element),
    legend: { show: false },
    padding: [8, 6, 0, 0],
    cursor: { drag: { x: false, y: false }, y: false, points: { size: 6 } },
    scales: {
      x: { time: true, range: (plot, _, max) => [max - spanOf(plot) + 1, max] },
      y: { range: (_, __, max) => [0, Math.max(atLeast, (max ?? 0) * 1.08)] },
    },
    axes: [
      { ...axis, size: 24, gap: 4, space: 64, ticks: { show: false }, values: times },
      {
        ...axis, size: 54, gap: 6, space: 28, ticks: { show: false },
        ...(counts ? { incrs: COUNT_STEPS } : {}),
        values: (_, splits) => splits.map((value) => format(value).replace(/\.0+ /, " ")),
      },
    ],
    series: [{}, ...lines.map(series)],
    hooks: { setCursor: [({ cursor }) => hover(cursor.idx ?? undefined)] },
  };
}

/** A time that is nearer to the right edge than this would be cut off. */
const HALF_LABEL_PX = 26;
const COUNT_STEPS = [1, 10, 100, 1_000, 10_000].flatMap((ten) => [ten, 2 * ten, 5 * ten]);

/** Grows in a few steps, so that the first minute is no sliver and the axis does not creep. */
function spanOf(plot: uPlot): number {
  const known = plot.data[0].length;
  return [60, 120].find((span) => known <= span) ?? HISTORY_SECONDS;
}

function times(plot: uPlot, splits: number[]): string[] {
  const right = plot.over.clientWidth - HALF_LABEL_PX;
  return splits.map((seconds) => (plot.valToPos(seconds, "x") > right ? "" : clock(seconds, true)));
}

function series({ name, colour: named, filled, bars }: Line): uPlot.Series {
  const stroke = colour(named);
  const fill = filled || bars ? { fill: faded(stroke, bars ? 0.9 : 0.16) } : {};
  const shape = bars ? { paths: uPlot.paths.bars?.({ size: [1, 4] }) as uPlot.Series.PathBuilder }
    : filled ? { paths: uPlot.paths.stepped?.({ align: 1 }) as uPlot.Series.PathBuilder } : {};
  return { label: name, stroke, width: bars ? 0 : 1.5, points: pointsOf(bars), ...fill, ...shape };
}

/** A value without neighbours is a point, as no line can show it. */
function pointsOf(bars: boolean | undefined): uPlot.Series.Points {
  if (bars) return { show: false };
  const alone = (values: readonly (number | null | undefined)[], index: number) =>
    values[index] != null && values[index - 1] == null && values[index + 1] == null;
  return {
    size: 4,
    filter: (plot, index) => {
      const values = plot.data[index] as (number | null)[];
      return values.map((_, at) => at).filter((at) => alone(values, at));
    },
  };
}

function faded(rgb: string, alpha: number): string {
  return rgb.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}

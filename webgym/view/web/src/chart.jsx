// A line chart of one or more runs over iterations, steps or time; the charts of a page share their cursor.
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { number, short } from "./words.js";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const COLOURS = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5"];
const sync = uPlot.sync("iterations");

// The mean over the last `span` values that are there.
export function smooth(values, span) {
  if (span <= 1) return values;
  return values.map((v, i) => {
    const window = values.slice(Math.max(0, i - span + 1), i + 1).filter((x) => x != null);
    return v == null || !window.length ? null : window.reduce((a, b) => a + b, 0) / window.length;
  });
}

// lines: [{label, x, y, colour, low, high, fill, dots}]; range: [low, high], null to fit; `over` is what stands along x.
export function Chart({ title, words, lines, range, wide, over = "iterations" }) {
  const place = useRef(null);
  const [at, setAt] = useState(null);
  const [theme, setTheme] = useState(0);
  const drawn = lines.filter((line) => line.y.some((v) => v != null));
  const fingerprint = JSON.stringify([drawn.map((line) => [line.label, line.colour, line.x, line.y, line.low]), range, theme]);

  useEffect(() => {
    const changed = () => setTheme((n) => n + 1);
    const media = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("themechange", changed);
    media.addEventListener("change", changed);
    return () => { removeEventListener("themechange", changed); media.removeEventListener("change", changed); };
  }, []);

  useEffect(() => {
    if (!drawn.length) return;
    const box = place.current;
    const tables = [], series = [{}], bands = [];
    for (const line of drawn) {
      const colour = css(line.colour);
      const table = [line.x, line.y];
      series.push({ label: line.label, stroke: colour, width: 1.75, fill: line.fill ? `${colour}55` : undefined, spanGaps: true,
        paths: line.dots ? () => null : undefined, points: { show: line.dots || line.y.length < 2, size: line.dots ? 7 : 5, fill: colour } });
      if (line.low) {
        table.push(line.high, line.low);
        bands.push({ series: [series.length, series.length + 1], fill: `${colour}26` });
        for (let i = 0; i < 2; i++) series.push({ stroke: "transparent", width: 0, points: { show: false }, spanGaps: true });
      }
      tables.push(table);
    }
    const axis = { stroke: css("--dim"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const plot = new uPlot({
      width: box.clientWidth, height: 170, series, bands,
      legend: { show: false },
      cursor: { sync: { key: sync.key, setSeries: false }, points: { size: 6 }, drag: { x: true, y: false } },
      scales: { x: { time: false }, y: range ? { range } : { range: (u, low, high) => {
        const pad = (high - low) * 0.08 || Math.abs(high) * 0.1 || 0.1;
        return [low >= 0 && low - pad < 0 ? 0 : low - pad, high + pad];
      } } },
      axes: [{ ...axis, size: 24, ...(over === "iterations" ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] } : { values: (u, ticks) => ticks.map((v) => short(v)) }) }, { ...axis, size: 46, values: (u, ticks) => ticks.map((v) => number(v)) }],
      hooks: { setCursor: [(u) => setAt(u.cursor.idx == null ? null : u.data[0][u.cursor.idx])] },
    }, uPlot.join(tables), box);
    const watch = new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: 170 }));
    watch.observe(box);
    return () => { watch.disconnect(); plot.destroy(); };
  }, [fingerprint]);

  const value = (line) => {
    const i = at == null ? line.y.findLastIndex((v) => v != null) : line.x.indexOf(at);
    return i < 0 ? null : line.shown?.[i] ?? line.y[i];
  };
  return (
    <figure class={`card chart ${wide ? "wide" : ""}`}>
      <figcaption>
        <b>{title}</b>
        <span class="values">{drawn.map((line) => <span key={line.label} style={{ color: `var(${line.colour})` }}>
          {drawn.length > 1 && <i>{line.label} </i>}{number(value(line))}</span>)}</span>
      </figcaption>
      {words && <p class="meaning" title={words}>{words}</p>}
      {drawn.length ? <div class="plot" ref={place} role="img" aria-label={`${title} over ${over}`} /> : <p class="nothing">nothing yet</p>}
    </figure>
  );
}

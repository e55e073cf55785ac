// Plots the use of a limit over time, with its threshold and its forecast (uPlot).

import { useEffect, useRef } from "preact/hooks";
import { html } from "./html.js";
import { forecastLine, sawtooth } from "./model.js";
import { mark, meterName, number, t } from "./language.js";

const HEIGHT = 170;
let library;

/** Load uPlot when the first plot is drawn, because the list does not need it. */
function load() {
  library ??= new Promise((resolve, reject) => {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = "vendor/uplot.css";
    const script = document.createElement("script");
    script.src = "vendor/uplot.js";
    script.onload = () => resolve(globalThis.uPlot);
    script.onerror = reject;
    document.head.append(sheet, script);
  });
  return library;
}

/** Times and three curves: use, threshold, forecast. Null means unknown. */
function dataOf(task, limit, points, log) {
  const [moments, uses] = sawtooth(points, limit.used, log);
  if (moments.length < 2) return null;
  const now = moments[moments.length - 1];
  const line = forecastLine(task, limit, now);
  const data = [
    [...moments],
    [...uses],
    moments.map(() => limit.threshold),
    moments.map(() => null),
  ];
  if (line.length) {
    const [, [due, threshold]] = line;
    data[3][moments.length - 1] = limit.used;
    data[0].push(due);
    data[1].push(null);
    data[2].push(limit.threshold);
    data[3].push(threshold);
  }
  return data;
}

export function Plot({ task, limit, points, log }) {
  const place = useRef(null);
  const data = dataOf(task, limit, points, log);
  useEffect(() => {
    if (!data) return undefined;
    let plot;
    let gone = false;
    load().then((UPlot) => {
      if (gone) return;
      plot = new UPlot(optionsFor(limit, place.current), data, place.current);
    }, () => null);
    return () => {
      gone = true;
      plot?.destroy();
    };
  }, [JSON.stringify(data)]);
  if (!data) return null;
  const label = t("plot", { meter: meterName(limit.meter) });
  return html`<div class="plot" ref=${place} role="img" aria-label=${label}></div>`;
}

function optionsFor(limit, element) {
  // A canvas knows no CSS variables, so their present values are read from an element.
  const probe = element.appendChild(document.createElement("i"));
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const grid = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--muted"), grid, ticks: grid };
  const [use, area, due] = ["--accent", "--accent-soft", "--due"].map(colour);
  probe.remove();
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (_, _least, most) => [0, most * 1.08 || 1] } },
    axes: [
      {
        ...axis,
        values: (_, moments, _axis, _space, step) => moments.map((each) => mark(each, step)),
      },
      {
        ...axis,
        values: (_, amounts) => amounts.map((each) => number(each)),
        size: 56,
        label: limit.unit || undefined,
        labelSize: 16,
      },
    ],
    series: [
      {},
      { stroke: use, width: 2, fill: area },
      { stroke: due, width: 1, dash: [6, 4] },
      { stroke: use, width: 2, dash: [3, 4], spanGaps: true },
    ],
  };
}

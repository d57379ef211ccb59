// Charts: each element with `data-chart` holds its numbers as JSON, and is drawn over by uPlot in
// the colours of the style. The table beside it has the same numbers for whoever cannot see it.

import uPlot from "uplot";

const drawings = new Map();
const charts = new WeakMap();

export function drawCharts(root) {
  for (const [element, drawing] of drawings) {
    if (!element.isConnected) forget(element, drawing);
  }
  for (const element of root.querySelectorAll("[data-chart]")) {
    if (!drawings.has(element)) draw(element);
    else update(element);
  }
}

// Numbers that came live: the drawing stays, and so does what the pointer shows of it.
function update(element) {
  const chart = charts.get(element);
  const fresh = JSON.parse(element.dataset.chart);
  Object.assign(chart, fresh);
  drawings.get(element).setData(columns(chart));
}

document.addEventListener("themechange", () => {
  for (const [element, drawing] of [...drawings]) {
    forget(element, drawing);
    draw(element);
  }
});

const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    drawings.get(target)?.setSize({ width: contentRect.width, height: contentRect.height });
  }
});

function forget(element, drawing) {
  sizes.unobserve(element);
  drawing.destroy();
  drawings.delete(element);
}

function draw(element) {
  const chart = JSON.parse(element.dataset.chart);
  const { width, height } = element.getBoundingClientRect();
  const colours = getComputedStyle(document.documentElement);
  const options = {
    width,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), chart.timezone),
    padding: [12, 24, 0, 4],
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    legend: { show: false },
    scales: { x: { time: true }, y: { range: (_, low, high) => [0, ceiling(chart, high)] } },
    axes: axes(chart, colours),
    series: [{}, ...lines(chart, colours)],
    plugins: [tip(chart), marks(chart, colours)],
  };
  const drawing = new uPlot(options, columns(chart), element);
  drawings.set(element, drawing);
  charts.set(element, chart);
  sizes.observe(element);
}

function ceiling(chart, high) {
  if (chart.unit === "share") return Math.min(1, Math.max(0.05, (high ?? 0) * 1.1));
  return Math.max(4, (high ?? 0) * 1.08);
}

// Each line in two: the spans that are over, and from the last of them on the one that is running.
// Drawn as one, what today has so far would look like a fall.
function columns(chart) {
  const running = chart.running ?? Infinity;
  const part = (holds) => chart.series.map(({ values }) => values.map((value, place) => (holds(place) ? value : null)));
  return [chart.at, ...part((place) => place < running), ...part((place) => place === running || place === running - 1)];
}

function lines(chart, colours) {
  const over = chart.series.map((line) => series(chart, line, colours));
  return [...over, ...over.map((one) => ({ ...one, width: 1.5, dash: [4, 4], fill: undefined }))];
}

function series(chart, line, colours) {
  const colour = paint(colours, line.tone);
  const isSoft = line.tone === "available";
  const isAlone = chart.at.length === 1;
  return {
    label: line.label,
    stroke: colour,
    width: isSoft ? 1.5 : 2,
    fill: isSoft || chart.unit === "share" ? undefined : fade(colour),
    points: { show: isAlone, size: 7, fill: colour },
    spanGaps: false,
  };
}

function axes(chart, colours) {
  const shared = {
    stroke: paint(colours, "soft"),
    font: `12px ${colours.getPropertyValue("--sans")}`,
    ticks: { show: false },
  };
  return [
    { ...shared, grid: { show: false }, values: TIMES, incrs: chart.interval === "hour" ? undefined : WHOLE_DAYS, space: 64, gap: 6, size: 30 },
    {
      ...shared,
      grid: { stroke: paint(colours, "line"), width: 1 },
      size: 52,
      gap: 8,
      space: 34,
      incrs: chart.unit === "share" ? undefined : WHOLE_STEPS,
      values: (_, ticks) => ticks.map((tick) => told(chart, tick)),
    },
  ];
}

// From which distance between two labels on they look how; the last number means: from the largest.
const DAY = 86_400;
const TIMES = [
  [365 * DAY, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * DAY, "{MMM} {YYYY}", null, null, null, null, null, null, 1],
  [DAY, "{D} {MMM}", null, null, null, null, null, null, 1],
  [1, "{HH}:{mm}", null, null, "{D} {MMM}", null, null, null, 0],
];
const WHOLE_DAYS = [1, 2, 3, 4, 5, 7, 10, 14, 30, 60, 90, 180, 365, 730, 1825, 3650].map((days) => days * DAY);

const WHOLE_STEPS = [0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

// The style's colours are written for light and dark at once; a canvas wants the one that holds.
function paint(colours, name) {
  const probe = document.createElement("i");
  probe.className = `paint-${name}`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function fade(colour) {
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
  return `rgba(${red}, ${green}, ${blue}, 0.1)`;
}

function told(chart, value) {
  if (value === null || value === undefined) return "–";
  if (chart.unit === "share") return `${Number((value * 100).toFixed(1))}%`;
  return value.toLocaleString("en");
}

function moment(chart, seconds) {
  const parts = { day: "numeric", month: "short", year: "numeric" };
  if (chart.interval === "month") delete parts.day;
  if (chart.interval === "hour") Object.assign(parts, { hour: "2-digit", minute: "2-digit" });
  const text = new Intl.DateTimeFormat("en-GB", { ...parts, timeZone: chart.timezone }).format(seconds * 1000);
  return chart.interval === "week" ? `Week of ${text}` : text;
}

// What the pointer is over, in words.
function tip(chart) {
  const box = document.createElement("div");
  box.className = "plot-tip";
  box.hidden = true;
  box.ariaHidden = "true";
  return {
    hooks: {
      init: (plot) => plot.over.append(box),
      setCursor: (plot) => {
        const { idx, left } = plot.cursor;
        box.hidden = idx === null || idx === undefined || left < 0;
        if (box.hidden) return;
        const heading = document.createElement("b");
        heading.textContent = moment(chart, chart.at[idx]) + (idx === chart.running ? ", so far" : "");
        const rows = chart.series.map((line) => {
          const row = document.createElement("span");
          const value = document.createElement("i");
          value.textContent = told(chart, line.values[idx]);
          row.append(line.label, value);
          return row;
        });
        box.replaceChildren(heading, ...rows);
        const isRight = left > plot.over.clientWidth / 2;
        box.style.left = `${isRight ? left - box.offsetWidth - 12 : left + 12}px`;
        box.style.top = "8px";
      },
    },
  };
}

// Moments that are pointed out, such as the day a version was published.
function marks(chart, colours) {
  return {
    hooks: {
      draw: (plot) => {
        const { ctx: canvas, bbox: box } = plot;
        canvas.save();
        canvas.strokeStyle = canvas.fillStyle = paint(colours, "handoff");
        canvas.lineWidth = devicePixelRatio;
        canvas.font = `${11 * devicePixelRatio}px ${colours.getPropertyValue("--sans")}`;
        canvas.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
        for (const mark of chart.marks) {
          const x = Math.round(plot.valToPos(mark.at, "x", true));
          if (x < box.left || x > box.left + box.width) continue;
          canvas.beginPath();
          canvas.moveTo(x, box.top);
          canvas.lineTo(x, box.top + box.height);
          canvas.stroke();
          const isRight = x > box.left + box.width / 2;
          canvas.textAlign = isRight ? "right" : "left";
          canvas.fillText(mark.label, x + (isRight ? -5 : 5) * devicePixelRatio, box.top + 10 * devicePixelRatio);
        }
        canvas.restore();
      },
    },
  };
}

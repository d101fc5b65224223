// Draws what tables cannot show, and plays the replay. All texts are set as text, never as HTML.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const SHADE = "rgba(128, 128, 128, 0.16)";
  const INK = css("--ink"), QUIET = css("--quiet"), LINE = css("--line"), ACCENT = css("--accent");
  const COLOURS = ["#c2571a", "#7a5195", "#2e8b57", "#b5179e", "#9a7500", "#3a86c8", "#8a5a44", "#5f7d00"];

  // --- texts and elements ----------------------------------------------------------------------------------------

  /** Four digits or more, as wide as it must be: as the tables of the command write numbers. */
  function number(value) {
    if (value === null || value === undefined) return "—";
    const size = Math.abs(value);
    if (size >= 1e8) return value.toPrecision(4);
    const digits = size >= 1e3 ? 0 : size >= 100 ? 1 : 2;
    return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }
  const signed = (value) => (value >= 0 ? "+" : "") + number(value);
  const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 4 });
  const percent = (share) => Math.round(100 * share) + " %";

  function element(kind, className, text) {
    const made = document.createElement(kind);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }
  function fill(select, labels, chosen) {
    select.replaceChildren(...labels.map((label, i) => {
      const option = element("option", "", label);
      option.value = i;
      return option;
    }));
    select.value = Math.max(chosen, 0);
  }

  // --- what is under the pointer, or has the focus ----------------------------------------------------------------

  const tip = $("tip");
  function showTip(text, x, y) {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 12, innerWidth - box.width - 4)) + "px";
    tip.style.top = (y + 18 + box.height < innerHeight ? y + 18 : y - box.height - 8) + "px";
  }
  const tipOf = (event) => event.target instanceof Element && event.target.closest("[data-tip]");
  document.addEventListener("pointermove", (event) => {
    const at = tipOf(event);
    if (at) showTip(at.dataset.tip, event.clientX, event.clientY);
    else if (!(event.target instanceof HTMLCanvasElement)) tip.hidden = true;
  });
  document.addEventListener("focusin", (event) => {
    const at = tipOf(event);
    if (!at) { tip.hidden = true; return; }
    const box = at.getBoundingClientRect();
    showTip(at.dataset.tip, box.left + box.width / 2, box.bottom - 16);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });

  // --- lines over time --------------------------------------------------------------------------------------------

  /** Grey before and after the periods that count. */
  function shadeUncounted(u, periods) {
    const [low, high] = [u.scales.x.min, u.scales.x.max];
    u.ctx.save();
    u.ctx.fillStyle = SHADE;
    for (const [from, to] of [[low, Math.min(0, high)], [Math.max(periods, low), high]]) {
      if (to <= from) continue;
      const x = u.valToPos(from, "x", true);
      u.ctx.fillRect(x, u.bbox.top, u.valToPos(to, "x", true) - x, u.bbox.height);
    }
    u.ctx.restore();
  }

  /** A chart of `lines` ({label, values, stroke, dash}) over `x`; redrawn as wide as its box. */
  function plot(box, x, lines, { height = 240, xLabel = "period", legend = true, hooks = {}, counted } = {}) {
    if (counted) hooks = { ...hooks, drawClear: [(u) => shadeUncounted(u, counted)] };
    const axis = { stroke: QUIET, grid: { stroke: LINE, width: 1 }, ticks: { stroke: LINE, width: 1 }, font: "12px system-ui" };
    const chart = new uPlot({
      width: Math.max(box.clientWidth, 200),
      height,
      scales: { x: { time: false } },
      legend: { show: legend },
      cursor: { drag: { x: false, y: false } },
      axes: [
        { ...axis, label: xLabel, labelSize: 18, labelFont: "12px system-ui", size: 30 },
        { ...axis, size: 58, values: (_, ticks) => ticks.map((tick) => compact.format(tick)) },
      ],
      series: [
        { label: xLabel },
        ...lines.map((line) => ({
          label: line.label, stroke: line.stroke, dash: line.dash, width: line.width || 1.75, spanGaps: true,
          points: { show: x.length < 3 }, value: (_, value) => (value === null || value === undefined ? "—" : number(value)),
        })),
      ],
      hooks,
    }, [x, ...lines.map((line) => line.values)], box);
    new ResizeObserver(() => {
      if (box.clientWidth && box.clientWidth !== chart.width) chart.setSize({ width: box.clientWidth, height });
    }).observe(box);
    return chart;
  }

  // Grey and dashed where changes are counted from, the accent for what they lead to.
  function styleOf(regime, regimes) {
    if (regime === data.baseline) return { stroke: QUIET, dash: [6, 4] };
    if (regime === data.ledger.pair[1]) return { stroke: ACCENT, width: 2.5 };
    const others = regimes.filter((r) => r !== data.baseline && r !== data.ledger.pair[1]);
    return { stroke: COLOURS[others.indexOf(regime) % COLOURS.length] };
  }

  function learning() {
    const curves = data.learning;
    const columns = [...new Set(curves.flatMap((c) => Object.keys(c.columns)))].filter((name) => name !== "step");
    fill($("curve"), columns, 0);
    function draw() {
      const column = columns[$("curve").value];
      $("curves").replaceChildren();
      const groups = new Map();
      for (const curve of curves) {
        if (!curve.columns[column]) continue;
        const name = curve.policy === data.policy ? curve.regime : `${curve.regime}, ${curve.policy}`;
        groups.set(name, [...(groups.get(name) || []), curve]);
      }
      for (const [name, group] of groups) {
        const box = element("div");
        box.append(element("h3", "", name));
        const inner = element("div", "plot");
        box.append(inner);
        $("curves").append(box);
        const joined = uPlot.join(group.map((curve) => [curve.columns.step, curve.columns[column]]));
        const lines = group.map((curve, i) => ({
          label: `seed ${curve.seed}`, values: joined[i + 1], stroke: i ? COLOURS[(i - 1) % COLOURS.length] : ACCENT,
        }));
        plot(inner, joined[0], lines, { height: 170, xLabel: "step" });
      }
    }
    $("curve").addEventListener("change", draw);
    draw();
  }

  function wasteOverTime() {
    const { periods, regimes } = data.waste, names = Object.keys(regimes);
    const kinds = Object.keys(regimes[names[0]]);
    fill($("waste-kind"), kinds.map((kind) => kind.replace(/_/g, " ")), 0);
    function draw() {
      const kind = kinds[$("waste-kind").value];
      $("waste-plot").replaceChildren();
      const lines = names.map((regime) => ({ label: regime, values: regimes[regime][kind], ...styleOf(regime, names) }));
      plot($("waste-plot"), periods, lines, { height: 280, counted: data.waste.counted });
    }
    $("waste-kind").addEventListener("change", draw);
    draw();
  }

  // --- the ledger before and after --------------------------------------------------------------------------------

  function muda() {
    const { cost, pair, muda: kinds } = data.ledger, regimes = Object.keys(cost);
    fill($("before"), regimes, regimes.indexOf(pair[0]));
    fill($("after"), regimes, regimes.indexOf(pair[1]));
    function draw() {
      const sides = [regimes[$("before").value], regimes[$("after").value]];
      const most = Math.max(...sides.flatMap((regime) => kinds.map((kind) => Math.abs(cost[regime][kind] || 0))), 1e-12);
      const key = element("p", "quiet");
      sides.forEach((regime, i) => key.append(element("span", i ? "swatch after" : "swatch"), regime + "\u2003"));
      const rows = kinds.map((kind) => {
        const row = element("div", "bars"), two = element("div", "pair");
        row.append(element("span", "name", kind.replace(/_/g, " ")), two);
        const [before, after] = sides.map((regime) => cost[regime][kind]);
        row.dataset.tip = `${kind.replace(/_/g, " ")}: ${number(before)} under ${sides[0]}, ${number(after)} under ${sides[1]}`
          + (before ? ` (${signed((100 * (after - before)) / Math.abs(before))} %)` : "");
        sides.forEach((regime, i) => {
          const bar = element("div", i ? "bar after" : "bar"), fillOf = element("i");
          fillOf.style.width = `calc(${(Math.abs(cost[regime][kind] || 0) / most).toFixed(4)} * (100% - 90px))`;
          bar.append(fillOf, element("span", "", number(cost[regime][kind])));
          two.append(bar);
        });
        return row;
      });
      $("muda-bars").replaceChildren(key, ...rows);
    }
    $("before").addEventListener("change", draw);
    $("after").addEventListener("change", draw);
    draw();
  }

  if (data.learning && data.learning.length) learning();
  if ($("muda-bars")) muda();
  if ($("waste-plot")) wasteOverTime();
  window.kaizenReport = { data, element, fill, number, signed, percent, plot, showTip, css, COLOURS, INK, QUIET, LINE, ACCENT };
})();

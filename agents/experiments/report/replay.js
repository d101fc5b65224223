// Plays the replay: two recordings of one world side by side, drawn with cytoscape.
"use strict";
(() => {
  const { data, element, fill, number, signed, percent, plot, showTip, css, INK, QUIET, LINE, ACCENT } = window.kaizenReport;
  const play = data.replay;
  if (!play) return;
  const $ = (id) => document.getElementById(id);
  const WASTE = css("--waste"), LATE = css("--late"), PAPER = css("--paper"), SOFT = css("--soft"), HALO = css("--accent");
  const WHOLE = 20000; // milliseconds that a replay takes, if its frames allow
  const TALL = 560; // pixels of width below which goods flow from top to bottom

  const sides = [...document.querySelectorAll(".side")].map((box, i) => ({
    box, which: box.querySelector(".which"), net: box.querySelector(".network"), value: box.querySelector(".value"),
    why: box.querySelector(".why-not"), chosen: play.pair[i], cy: null,
  }));
  const recording = (side) => play.recordings[side.chosen];
  const longest = () => Math.max(0, ...sides.map((side) => recording(side).frames.length - 1));
  const frameOf = (side) => recording(side).frames[Math.min(now, recording(side).frames.length - 1)];
  const first = Math.max(0, (play.recordings.find((r) => r.frames.length)?.frames || []).findIndex((f) => f.period >= 0));
  let now = first, timer = null, charts = [];

  // --- the network ------------------------------------------------------------------------------------------------

  const columns = new Set(play.companies.map((c) => Math.round(50 * c.place[0]))).size + 1;

  /** Centres in pixels: as placed where there is room, else turned so that goods flow downwards. */
  function layout(net) {
    const width = net.clientWidth, tall = width < TALL && columns > 3;
    const height = Math.round(Math.min(720, Math.max(180, tall ? columns * 66 : play.rows * 92)));
    net.style.height = height + "px";
    const centre = ([x, y]) => (tall ? { x: y * width, y: x * height } : { x: x * width, y: y * height });
    return { centre, width, height };
  }

  function elements(room) {
    // What the styles refer to has to be there from the first; `paint` sets it.
    const plainNode = { size: 1, waste: 0, rim: LINE, rimWidth: 1, halo: 0, opacity: 1 };
    const plainEdge = { width: 1, colour: LINE, opacity: 1 };
    const node = (id, name, place, kind) => (
      { group: "nodes", data: { id, name, ...plainNode }, position: room.centre(place), classes: kind });
    const edge = (id, source, target) => ({ group: "edges", data: { id, source, target, ...plainEdge } });
    return [
      ...play.companies.map((c, i) => node("c" + i, c.name, c.place, "company")),
      ...play.markets.map((m, i) => node("m" + i, m.name, m.place, "market")),
      ...play.trades.map((t, i) => edge("t" + i, "c" + t.seller, "c" + t.buyer)),
      ...play.market_links.map((l, i) => edge("k" + i, "c" + l.seller, "m" + l.market)),
    ];
  }

  /** Least distance between two centres, and least distance sideways in a row, in pixels. */
  function spacing(room) {
    const centres = [...play.companies, ...play.markets].map((thing) => room.centre(thing.place));
    let nearest = 120, sideways = room.width / 1.5;
    for (let i = 0; i < centres.length; i++) {
      for (let j = 0; j < i; j++) {
        const dx = Math.abs(centres[i].x - centres[j].x), dy = Math.abs(centres[i].y - centres[j].y);
        nearest = Math.min(nearest, Math.hypot(dx, dy));
        if (dy < 30) sideways = Math.min(sideways, dx);
      }
    }
    return { largest: Math.max(3, Math.min(20, 0.36 * nearest)), sideways, named: nearest >= 44 && sideways >= 40 };
  }

  function draw(side) {
    if (side.cy) side.cy.destroy();
    side.room = layout(side.net);
    side.space = spacing(side.room);
    const { sideways, named, largest } = side.space;
    side.cy = cytoscape({
      container: side.net, elements: elements(side.room), layout: { name: "preset" }, zoom: 1, pan: { x: 0, y: 0 },
      userZoomingEnabled: false, userPanningEnabled: false, boxSelectionEnabled: false, autoungrabify: true,
      autounselectify: true,
      style: [
        { selector: "node", style: {
          label: named ? "data(name)" : "", color: INK, "font-size": sideways < 64 ? 9 : 11,
          "font-family": "system-ui, sans-serif", "text-valign": "bottom", "text-margin-y": 4, "text-wrap": "wrap",
          "text-max-width": Math.max(36, sideways - 6) + "px", "text-overflow-wrap": "anywhere",
          "text-background-color": PAPER, "text-background-opacity": 0.85,
        } },
        { selector: ".company", style: {
          width: "data(size)", height: "data(size)", "background-color": ACCENT, "border-color": "data(rim)",
          "border-width": "data(rimWidth)", opacity: "data(opacity)", "pie-size": "100%",
          "pie-1-background-color": WASTE, "pie-1-background-size": "data(waste)", "underlay-color": HALO,
          "underlay-opacity": "data(halo)", "underlay-padding": Math.min(6, largest / 2), "underlay-shape": "ellipse",
        } },
        { selector: ".market", style: {
          shape: "round-rectangle", width: 1.6 * largest, height: 1.2 * largest, "background-color": SOFT,
          "border-color": "data(rim)", "border-width": "data(rimWidth)",
        } },
        { selector: "edge", style: {
          width: "data(width)", "line-color": "data(colour)", "curve-style": "straight", opacity: "data(opacity)",
          "target-arrow-shape": "triangle", "target-arrow-color": "data(colour)", "arrow-scale": 0.7,
        } },
      ],
    });
    side.cy.on("mousemove", "node, edge", (event) => {
      showTip(about(side, event.target.id()), event.originalEvent.clientX, event.originalEvent.clientY);
    });
    side.cy.on("mouseout", "node, edge", () => { $("tip").hidden = true; });
    side.cy.on("tap", ".company", (event) => {
      $("look-at").value = Number(event.target.id().slice(1)) + 1;
      numbers();
    });
  }

  /** What stands behind a company, market or link at this moment, in words. */
  function about(side, id) {
    const frame = frameOf(side), kind = id[0], i = Number(id.slice(1));
    if (!frame) return "";
    if (kind === "c") {
      const waste = play.wastes ? `, waste left ${percent(frame.waste[i])}` : "";
      return `${play.companies[i].name}: ${number(frame.on_hand[i])} on hand, ${number(frame.late[i])} late${waste}`;
    }
    if (kind === "m") return `${play.markets[i].name}: ${number(frame.served[i])} served, ${number(frame.unserved[i])} not`;
    const link = kind === "t" ? play.trades[i] : play.market_links[i], at = kind === "t" ? i : play.trades.length + i;
    const to = kind === "t" ? play.companies[link.buyer].name : play.markets[link.market].name;
    const way = kind === "t" ? `, ${number(frame.in_transit[i])} on the way` : "";
    const waste = kind === "t" && play.wastes ? `, waste left ${percent(frame.link_waste[i])}` : "";
    return `${play.companies[link.seller].name} → ${to}: ${number(frame.shipped[at])} shipped, ${number(frame.backlog[at])} late${way}${waste}`;
  }

  /** Put the numbers of the present period into the picture. */
  function paint(side) {
    const frame = frameOf(side);
    side.net.hidden = !frame;
    side.why.hidden = Boolean(frame);
    side.why.textContent = frame ? "" : `No replay: ${recording(side).why_not}`;
    side.value.textContent = frame ? number(frame.so_far) : "—";
    if (!frame) return;
    const { largest } = side.space, rim = Math.max(1.5, largest / 6);
    side.cy.batch(() => {
      play.companies.forEach((company, i) => {
        const cover = frame.on_hand[i] / Math.max(company.usual, 1e-9) / Math.max(play.largest_cover, 1e-9);
        const late = Math.min(1, frame.late[i] / Math.max(company.usual, 1e-9));
        side.cy.getElementById("c" + i).data({
          size: 2 * largest * (0.4 + 0.6 * Math.sqrt(Math.min(1, cover))), waste: play.wastes ? 100 * Math.min(1, frame.waste[i]) : 0,
          rim: late > 0.001 ? LATE : ACCENT, rimWidth: late > 0.001 ? rim * (0.6 + 1.2 * late) : 1,
          halo: frame.open_twin[i] ? 0.25 : 0, opacity: frame.alive[i] ? 1 : 0.25,
        });
      });
      play.markets.forEach((_, i) => {
        const late = frame.unserved[i] > 0.001 * (frame.served[i] + frame.unserved[i]);
        side.cy.getElementById("m" + i).data({ rim: late ? LATE : QUIET, rimWidth: late ? rim : 1 });
      });
      const links = [...play.trades.map((l, i) => ["t" + i, l]), ...play.market_links.map((l, i) => ["k" + i, l])];
      links.forEach(([id, link], at) => {
        const usual = Math.max(link.usual, 1e-9), full = Math.max(0.8, largest / 4);
        const late = frame.backlog[at] > 0.001 * usual;
        side.cy.getElementById(id).data({
          width: 0.6 + full * Math.min(2.5, frame.shipped[at] / usual), colour: late ? LATE : frame.shipped[at] > 0 ? QUIET : LINE,
          opacity: side.space.named || late ? 0.85 : 0.35, // many links would hide what is late
        });
      });
    });
  }

  // --- numbers of the period --------------------------------------------------------------------------------------

  function numbers() {
    const i = Number($("look-at").value) - 1, sum = (list) => list.reduce((a, b) => a + b, 0);
    const rows = i < 0 ? [
      ["value of the period", (f) => number(f.value)], ["value so far", (f) => number(f.so_far)],
      ["waste left", (f) => (play.wastes ? percent(f.waste_left) : "—")],
      ["companies that are late", (f) => String(f.late.filter((late) => late > 0.001).length)],
      ["open twins", (f) => `${sum(f.open_twin)} of ${play.companies.length}`],
      ["end customers served, units", (f) => number(sum(f.served))], ["not served, units", (f) => number(sum(f.unserved))],
    ] : [
      ["on hand, units", (f) => number(f.on_hand[i])], ["inputs, enough for units", (f) => number(f.inputs[i])],
      ["in process, units", (f) => number(f.in_process[i])], ["late to its customers, units", (f) => number(f.late[i])],
      ["waste left", (f) => (play.wastes ? percent(f.waste[i]) : "—")], ["twin", (f) => (f.open_twin[i] ? "open" : "closed")],
    ];
    const cells = (kind, texts) => {
      const row = element("tr");
      texts.forEach((text, k) => {
        const cell = element(k === 0 || kind === "th" ? "th" : "td", k ? "n" : "t", text);
        if (cell.tagName === "TH") cell.scope = kind === "th" ? "col" : "row";
        row.append(cell);
      });
      return row;
    };
    const [head, body] = [$("numbers").tHead, $("numbers").tBodies[0]];
    head.replaceChildren(cells("th", [i < 0 ? "whole network" : play.companies[i].name, ...sides.map((s) => recording(s).label)]));
    body.replaceChildren(...rows.map(([name, told]) =>
      cells("td", [name, ...sides.map((side) => (frameOf(side) ? told(frameOf(side)) : "—"))])));
  }

  function show() {
    sides.forEach(paint);
    const known = sides.map(frameOf).find(Boolean), period = known ? known.period : 0;
    const days = play.period_days === 1 ? "" : `, day ${(period * play.period_days).toLocaleString("en-US", { maximumFractionDigits: 2 })}`;
    const told = period < 0 ? `warm-up, ${-period} before the start` : period > play.horizon
      ? `tail, ${period - play.horizon} after the end` : period ? `period ${period} of ${play.horizon}${days}`
      : `start, 0 of ${play.horizon} periods`;
    $("clock").textContent = told + (period < 0 || period > play.horizon ? " (not counted)" : "");
    $("replay-box").classList.toggle("uncounted", period < 0 || period > play.horizon);
    $("period").value = now;
    $("period").setAttribute("aria-valuetext", $("clock").textContent);
    const [one, other] = sides.map(frameOf);
    $("difference").replaceChildren();
    if (one && other) {
      const bold = element("b", "", signed(other.so_far - one.so_far));
      $("difference").append(`${recording(sides[1]).label} less ${recording(sides[0]).label}, so far: `, bold);
    }
    numbers();
    charts.forEach((chart) => chart.redraw(false));
  }

  /** End-customer value so far, of both, and what one has more than the other, with a line at the present period. */
  function curves() {
    const found = sides.filter((side) => recording(side).frames.length);
    $("so-far-plot").replaceChildren();
    $("difference-plot").replaceChildren();
    charts = [];
    if (!found.length) return;
    const marker = (u) => {
      const x = u.valToPos(u.data[0][Math.min(now, u.data[0].length - 1)], "x", true);
      u.ctx.save();
      u.ctx.strokeStyle = INK;
      u.ctx.lineWidth = 1;
      u.ctx.beginPath();
      u.ctx.moveTo(x, u.bbox.top);
      u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
      u.ctx.stroke();
      u.ctx.restore();
    };
    const lines = found.map((side) => ({
      label: `value so far, ${recording(side).label}`, values: recording(side).frames.map((f) => f.so_far),
      ...(side === sides[1] ? { stroke: ACCENT, width: 2.5 } : { stroke: QUIET, dash: [6, 4] }),
    }));
    const periods = recording(found[0]).frames.map((f) => f.period), options = { height: 180, hooks: { draw: [marker] }, counted: play.horizon };
    charts.push(plot($("so-far-plot"), periods, lines, options));
    if (found.length < 2) return;
    const more = {
      label: `${recording(found[1]).label} less ${recording(found[0]).label}, so far`, stroke: ACCENT,
      values: lines[1].values.map((value, i) => value - lines[0].values[i]),
    };
    charts.push(plot($("difference-plot"), periods, [more], options));
  }

  // --- play, pause, slide, choose ---------------------------------------------------------------------------------

  function pause() {
    clearInterval(timer);
    timer = null;
    $("play").textContent = "Play";
  }
  function start() {
    if (now >= longest()) now = first;
    $("play").textContent = "Pause";
    timer = setInterval(() => {
      now += 1;
      show();
      if (now >= longest()) pause();
    }, Math.min(600, Math.max(80, WHOLE / Math.max(longest(), 1))));
  }
  $("play").addEventListener("click", () => (timer ? pause() : start()));
  $("period").max = longest();
  $("period").addEventListener("input", () => {
    pause();
    now = Number($("period").value);
    show();
  });
  $("look-at").addEventListener("change", numbers);
  fill($("look-at"), ["the whole network", ...play.companies.map((c) => c.name)], 0);
  for (const side of sides) {
    fill(side.which, play.recordings.map((r) => (r.label.includes(r.policy) ? r.label : `${r.label} (${r.policy})`)), side.chosen);
    side.which.addEventListener("change", () => {
      side.chosen = Number(side.which.value);
      curves();
      show();
    });
    draw(side);
    let width = side.net.clientWidth;
    new ResizeObserver(() => {
      if (!side.net.clientWidth || side.net.clientWidth === width) return;
      width = side.net.clientWidth;
      draw(side);
      paint(side);
    }).observe(side.net);
  }
  $("play").disabled = longest() === 0;
  curves();
  show();
})();

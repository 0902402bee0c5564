"use strict";
// The page shows everything without this; here it learns to answer: curves to pointer and keys, tables to clicks.
(() => {
  const root = document.documentElement;
  const SVG = "http://www.w3.org/2000/svg";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js");

  const node = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const number = (value) => {
    if (value === null || !Number.isFinite(value)) return "NaN";
    const size = Math.abs(value);
    if (Number.isInteger(value) && size < 1e9) return value.toLocaleString("en");
    if (size >= 1e-3 && size < 1e6) return value.toLocaleString("en", { maximumSignificantDigits: Math.max(4, Math.ceil(Math.log10(size))) });
    return value.toExponential(3).replace(/\.?0*e\+?/, "e");
  };

  const exactly = (value) => { // beside an axis, with all digits
    const plain = value.toLocaleString("en", { maximumSignificantDigits: 12 }), size = Math.abs(value);
    const short = Number(value.toPrecision(12)).toExponential().replace("e+", "e");
    return !value || (size >= 1e-3 && size < 1e6) || plain.length <= short.length ? plain : short;
  };

  // -- light and dark
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // -- tables
  const orderOf = (row, at) => {
    const cell = row.cells[at];
    return cell.dataset.order === undefined ? cell.textContent.trim() : Number(cell.dataset.order);
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, "en", { numeric: true });
  };
  for (const table of all("table.sortable")) {
    all("thead th", table).forEach((head, at) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      all("thead th", table).forEach((each) => each.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = all("tbody tr", table);
      const known = rows.filter((row) => orderOf(row, at) !== "\u2013"); // rows without a value stay below
      known.sort((a, b) => (down ? -1 : 1) * compare(orderOf(a, at), orderOf(b, at)));
      table.tBodies[0].append(...known, ...rows.filter((row) => !known.includes(row)));
    }));
  }

  // -- curves
  const LEFT = 58, RIGHT = 12, TOP = 12, BOTTOM = 34, HEIGHT = 260;
  const hiddenRuns = new Set();

  const ticks = (low, high, about) => {
    const raw = (high - low) / about, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 2.5, 5, 10].find((each) => each * power >= raw * 0.999);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9); at <= high / step + 1e-9; at += 1) found.push(Number((at * step).toPrecision(12)));
    return found;
  };
  const decades = (low, high) => {
    const first = Math.floor(low), last = Math.ceil(high), found = [];
    const within = last - first <= 2 ? [1, 2, 5] : [1], every = Math.max(1, Math.ceil((last - first) / 7));
    for (let power = first; power <= last; power += every) for (const digit of within) found.push(digit * 10 ** power);
    return found.filter((each) => Math.log10(each) >= low && Math.log10(each) <= high);
  };

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.plot = figure.querySelector(".plot");
      this.svg = this.plot.querySelector("svg");
      this.readout = figure.querySelector(".readout");
      this.data = JSON.parse(figure.querySelector("script").textContent);
      this.hidden = new Set();
      this.log = false;
      this.range = null; // of the horizontal axis, where a part was chosen
      this.at = null; // where the pointer or the keys are
      this.width = 0;
      this.tip = document.createElement("div");
      this.tip.className = "tip";
      this.tip.hidden = true;
      this.plot.append(this.tip);
      this.listen();
      new ResizeObserver(() => {
        if (Math.abs(this.plot.clientWidth - this.width) > 1) this.draw();
      }).observe(this.plot);
    }

    listen() {
      const svg = this.svg;
      all(".legend button", this.figure).forEach((button) => button.addEventListener("click", () => {
        const at = Number(button.dataset.series), gone = !this.hidden.has(at);
        if (gone) this.hidden.add(at); else this.hidden.delete(at);
        button.setAttribute("aria-pressed", String(!gone));
        this.draw();
      }));
      this.logButton = this.figure.querySelector(".log");
      this.logButton.addEventListener("click", () => {
        this.log = !this.log;
        this.logButton.setAttribute("aria-pressed", String(this.log));
        this.draw();
      });
      if (!this.data.series.some((each) => each.y.some((y) => y > 0))) this.logButton.hidden = true;
      this.wholeButton = this.figure.querySelector(".whole");
      this.wholeButton.addEventListener("click", () => this.zoom(null));
      svg.addEventListener("pointermove", (event) => this.moved(event));
      svg.addEventListener("pointerleave", () => { if (this.from === undefined) this.leave(); });
      svg.addEventListener("pointerdown", (event) => {
        if (event.button !== 0 || event.pointerType === "touch") return;
        this.from = this.valueAt(event);
        svg.setPointerCapture(event.pointerId);
      });
      svg.addEventListener("pointerup", (event) => {
        if (this.from === undefined) return;
        const both = [this.from, this.valueAt(event)].sort((a, b) => a - b);
        this.from = undefined;
        if (this.x(both[1]) - this.x(both[0]) > 8) this.zoom(both); else this.draw();
      });
      svg.addEventListener("dblclick", () => this.zoom(null));
      svg.addEventListener("keydown", (event) => this.pressed(event));
      svg.addEventListener("blur", () => this.leave());
    }

    zoom(range) {
      this.range = range;
      this.wholeButton.hidden = range === null;
      this.draw();
    }

    shown() {
      return this.data.series.filter((each, at) => !this.hidden.has(at) && !hiddenRuns.has(each.run));
    }

    bounds() {
      let xs = [Infinity, -Infinity], ys = [Infinity, -Infinity];
      const shown = this.shown();
      for (const each of shown) each.x.forEach((x) => { xs = [Math.min(xs[0], x), Math.max(xs[1], x)]; });
      if (xs[0] > xs[1]) xs = [0, 1];
      const room = (xs[1] - xs[0]) * 0.04 || Math.abs(xs[0]) * 0.1 || 1;
      this.xs = this.range || [xs[0] - room, xs[1] + room];
      for (const each of shown) {
        each.y.forEach((y, at) => {
          if (y === null || each.x[at] < this.xs[0] || each.x[at] > this.xs[1] || (this.log && y <= 0)) return;
          const height = this.log ? Math.log10(y) : y;
          ys = [Math.min(ys[0], height), Math.max(ys[1], height)];
        });
      }
      if (ys[0] > ys[1]) ys = [0, 1];
      const above = (ys[1] - ys[0]) * 0.04 || Math.abs(ys[0]) * 0.1 || 1;
      this.ys = [ys[0] - above, ys[1] + above];
    }

    x(value) { return LEFT + ((value - this.xs[0]) / (this.xs[1] - this.xs[0])) * (this.width - LEFT - RIGHT); }

    y(value) {
      const height = this.log ? Math.log10(value) : value;
      return HEIGHT - BOTTOM - ((height - this.ys[0]) / (this.ys[1] - this.ys[0])) * (HEIGHT - BOTTOM - TOP);
    }

    valueAt(event) {
      const place = event.clientX - this.svg.getBoundingClientRect().left;
      const share = (Math.min(Math.max(place, LEFT), this.width - RIGHT) - LEFT) / (this.width - LEFT - RIGHT);
      return this.xs[0] + share * (this.xs[1] - this.xs[0]);
    }

    draw(wide) {
      this.width = wide || this.plot.clientWidth || 480;
      this.bounds();
      const { svg, width } = this, base = HEIGHT - BOTTOM;
      svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
      const frame = node("g", { "aria-hidden": "true" });
      let marks = this.log ? decades(...this.ys) : ticks(...this.ys, 5);
      if (this.log && marks.length < 3) marks = ticks(10 ** this.ys[0], 10 ** this.ys[1], 5).filter((each) => each > 0);
      for (const each of marks.length ? marks : [this.log ? 10 ** this.ys[0] : this.ys[0]]) {
        frame.append(node("line", { x1: LEFT, x2: width - RIGHT, y1: this.y(each), y2: this.y(each), class: "rule" }),
          node("text", { x: LEFT - 6, y: this.y(each) + 4, class: "at-end" }, exactly(each)));
      }
      frame.append(node("line", { x1: LEFT, x2: width - RIGHT, y1: base, y2: base, class: "axis" }));
      for (const each of ticks(...this.xs, Math.max(3, Math.min(8, width / 90))).filter(Number.isInteger)) {
        frame.append(node("line", { x1: this.x(each), x2: this.x(each), y1: base, y2: base + 4, class: "axis" }),
          node("text", { x: this.x(each), y: base + 16, class: "at-middle" }, exactly(each)));
      }
      frame.append(node("text", { x: (LEFT + width - RIGHT) / 2, y: HEIGHT - 3, class: "at-middle name" }, this.data.unit));
      const { mark } = this.data;
      if (mark !== null && mark >= this.xs[0] && mark <= this.xs[1]) {
        const line = node("line", { x1: this.x(mark), x2: this.x(mark), y1: TOP, y2: base, class: "best" });
        line.append(node("title", {}, "best checkpoint"));
        frame.append(line);
      }
      const lines = this.data.series.map((each, at) => this.line(each, at));
      this.over = node("g", {});
      svg.replaceChildren(frame, ...lines, this.over);
      if (this.at !== null) this.point(this.at);
    }

    line(each, at) {
      const gone = this.hidden.has(at) || hiddenRuns.has(each.run);
      const look = { "data-line": at, class: `curve ${each.look}${gone ? " gone" : ""}` };
      let path = "", down = false, count = 0;
      each.x.forEach((x, index) => {
        const y = each.y[index];
        const inside = y !== null && !(this.log && y <= 0) && x >= this.xs[0] && x <= this.xs[1];
        if (inside) {
          path += `${down ? "L" : "M"}${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`;
          count += 1;
        }
        down = inside;
      });
      if (count !== 1) return node("path", { d: path, ...look });
      const [cx, cy] = path.slice(1).split(" ");
      return node("circle", { cx, cy, r: 3.5, ...look, class: look.class.replace("curve", "dot") });
    }

    moved(event) {
      const value = this.valueAt(event);
      this.point(value);
      if (this.from !== undefined) {
        const [a, b] = [this.x(this.from), this.x(value)].sort((one, other) => one - other);
        this.over.append(node("rect", { x: a, y: TOP, width: b - a, height: HEIGHT - BOTTOM - TOP, class: "brush" }));
      }
    }

    places() {
      const found = new Set();
      for (const each of this.shown()) for (const x of each.x) if (x >= this.xs[0] && x <= this.xs[1]) found.add(x);
      return [...found].sort((a, b) => a - b);
    }

    pressed(event) {
      const places = this.places(), last = places.length - 1;
      const now = this.at === null ? -1 : places.indexOf(this.nearest(places, this.at));
      const to = { ArrowRight: Math.min(now + 1, last), ArrowLeft: Math.max(now - 1, 0), Home: 0, End: last }[event.key];
      if (event.key === "Escape") { this.leave(); this.zoom(null); return; }
      if (to === undefined || last < 0) return;
      event.preventDefault();
      this.point(places[to]);
      this.readout.textContent = this.tip.textContent;
    }

    nearest(places, value) {
      return places.reduce((best, each) => (Math.abs(each - value) < Math.abs(best - value) ? each : best), places[0]);
    }

    leave() {
      this.at = null;
      this.tip.hidden = true;
      this.over?.replaceChildren();
    }

    point(value) {
      const places = this.places();
      if (!places.length) { this.leave(); return; }
      const at = this.nearest(places, value);
      this.at = at;
      const told = [];
      for (const each of this.shown()) {
        const index = each.x.indexOf(at);
        if (index >= 0) told.push({ each, y: each.y[index], step: each.step[index] });
      }
      const marks = told.filter(({ y }) => y !== null && !(this.log && y <= 0))
        .map(({ each, y }) => node("circle", { cx: this.x(at), cy: this.y(y), r: 4, class: `dot ${each.look}` }));
      this.over.replaceChildren(node("line", { x1: this.x(at), x2: this.x(at), y1: TOP, y2: HEIGHT - BOTTOM, class: "cross" }), ...marks);
      this.tell(at, told);
    }

    tell(at, told) {
      const when = this.data.unit === "epoch" ? `epoch ${number(at)}, step ${number(told[0].step)}` : `step ${number(at)}`;
      const sorted = told.length > 2 ? [...told].sort((a, b) => (a.y ?? Infinity) - (b.y ?? Infinity)) : told;
      const lines = sorted.slice(0, 10).map(({ each, y }) => {
        const line = document.createElement("div"), value = document.createElement("b");
        value.textContent = number(y);
        line.append(`${each.name} `, value);
        return line;
      });
      const rest = sorted.length > 10 ? [`and ${sorted.length - 10} more`] : [];
      const head = document.createElement("div");
      head.textContent = when;
      this.tip.replaceChildren(head, ...lines, ...rest);
      this.tip.hidden = false;
      const room = this.plot.clientWidth, place = this.x(at), wide = this.tip.offsetWidth;
      const left = place + wide + 14 < room ? place + 12 : Math.max(place - wide - 12, 0);
      this.tip.style.left = `${Math.min(left, Math.max(room - wide, 0))}px`;
      this.tip.style.top = "10px";
    }
  }

  const charts = all("figure[data-chart]").map((figure) => new Chart(figure));

  const ON_PAPER = 340; // the width of a chart, so that its text is as large as the rest
  addEventListener("beforeprint", () => charts.forEach((chart) => chart.draw(ON_PAPER)));
  addEventListener("afterprint", () => charts.forEach((chart) => chart.draw()));

  // -- runs that a table shows and hides in all charts
  for (const button of all("button[data-run]")) {
    button.addEventListener("click", () => {
      const run = Number(button.dataset.run), gone = !hiddenRuns.has(run);
      if (gone) hiddenRuns.add(run); else hiddenRuns.delete(run);
      button.setAttribute("aria-pressed", String(!gone));
      charts.forEach((chart) => chart.draw());
    });
  }

  // -- a blueprint without its defaults
  for (const button of all("button[data-few]")) {
    button.addEventListener("click", () => {
      const few = document.getElementById(button.dataset.few).classList.toggle("few");
      button.setAttribute("aria-pressed", String(few));
    });
  }

  // -- the end of a log says what came of it
  for (const log of all("#log pre")) log.scrollTop = log.scrollHeight;

  // -- jobs that are lit in the picture and in the table alike
  const picture = document.querySelector(".parallel");
  const light = (job) => {
    picture.classList.toggle("lit", job !== null);
    all(".job", picture).forEach((each) => each.classList.toggle("on", each.dataset.job === job));
    all("tr[data-job]").forEach((row) => row.classList.toggle("chosen", row.dataset.job === job));
  };
  if (picture) {
    for (const each of all("tr[data-job], .parallel .job")) {
      each.addEventListener("pointerenter", () => light(each.dataset.job));
      each.addEventListener("pointerleave", () => light(null));
    }
  }
})();

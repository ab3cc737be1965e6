/*
 * The page: what was chosen, the link that keeps it, and showing what it leaves.
 * Counting is in counts.js, what each chart shows in charts.js.
 *
 * Labels come from documents and are only ever set as text, never as markup.
 */
"use strict";

(async () => {
  const { DAY, integer, many, dayText, spanText, isoDay, dayOf, listed } = Words;
  const { find, make, makeButton, showTip, hideTip } = Elements;
  const ERRORS_ONLY = 1; // Vega's warnings are about data sets that are empty, as some are meant to be.
  const FIRST_ROWS = 100;

  if (typeof DecompressionStream === "undefined") {
    find("message").textContent = "This browser is too old for this page: it needs one from 2023 or later.";
    return;
  }

  const data = JSON.parse(find("data").textContent);
  const counts = await CallCounts.read(data.counts);
  const { days } = counts;
  const apart = counts.cubes.length > 1;
  const APART = "the page holds hours and durations apart";
  const dimensions = dimensionsOf(counts);

  // ------------------------------------------------------------------------------------------------ what is chosen
  function nothingChosen() {
    const choice = { from: null, to: null };
    for (const dimension in dimensions) choice[dimension] = new Set();
    return choice;
  }

  let choice = nothingChosen();
  const whole = CallCounts.summarize(counts, choice);
  counts.allDurations = whole.durations;
  const range = CallCounts.plausibleSpan(counts, whole.dates);

  /** Count the calls that some choices leave, of all days that the page covers. */
  function count(choices) {
    return CallCounts.summarize(counts, {
      ...choices, from: choices.from ?? range.first, to: choices.to ?? range.last,
    });
  }

  let all = count(choice);
  let summary = all;
  const figures = figuresOf(counts, range, count);
  const charts = chartsOf(counts, dimensions, data.frame, range, () => choice);

  /** Return the span of days that is chosen, or null where it is all of them. */
  function chosenSpan() {
    return choice.from === null && choice.to === null ? null : [choice.from ?? range.first, choice.to ?? range.last];
  }

  const chosenIn = (dimension) => [...choice[dimension]].sort((a, b) => a - b);
  const anyChosen = () => chosenSpan() !== null || Object.keys(dimensions).some((name) => choice[name].size);

  /** Choose one value, or with `more` add it to those chosen or take it away; the only one chosen is let go. */
  function choose(dimension, value, more) {
    const before = choice[dimension];
    let values = before.size === 1 && before.has(value) ? [] : [value];
    if (more) values = before.has(value) ? [...before].filter((other) => other !== value) : [...before, value];
    chooseAll(dimension, values);
  }

  function chooseAll(dimension, values) {
    choice[dimension] = new Set(values.length === dimensions[dimension].values.length ? [] : values);
    if (apart && choice[dimension].size) {
      if (dimension === "hours") choice.bins = new Set();
      if (dimension === "bins") choice.hours = new Set();
    }
    chosen();
  }

  function chooseDays(from, to) {
    Object.assign(choice, bounded(from, to));
    chosen();
  }

  /** Return a span of days in order and within the calls; a bound that leaves nothing out is null. */
  function bounded(from, to) {
    if (from !== null && to !== null && from > to) [from, to] = [to, from];
    return {
      from: from === null || from <= range.first ? null : Math.min(from, range.last),
      to: to === null || to >= range.last ? null : Math.max(to, range.first),
    };
  }

  function clear() {
    choice = nothingChosen();
    find("message").textContent = "";
    chosen();
  }

  // ------------------------------------------------------------------------------------------------ the link
  function linked() {
    const link = new URLSearchParams();
    if (choice.from !== null) link.set("from", isoDay(choice.from));
    if (choice.to !== null) link.set("to", isoDay(choice.to));
    for (const [dimension, { link: key, names }] of Object.entries(dimensions)) {
      for (const value of chosenIn(dimension)) link.append(key, names[value]);
    }
    return link.toString();
  }

  const inLink = () => new URLSearchParams(location.hash.slice(1));

  function writeLink(how) {
    const link = linked();
    if (link !== inLink().toString()) history[how](null, "", link ? `#${link}` : location.pathname + location.search);
  }

  /** Show a new choice, and write it into the link, so that the browser's Back button undoes it. */
  function chosen() {
    writeLink("pushState");
    return show();
  }

  /** Take over the choices of the link, and say if the calls shown do not have some of them. */
  function restore() {
    const restored = nothingChosen();
    let unknown = 0;
    for (const [key, value] of inLink()) {
      const [dimension, { names }] = Object.entries(dimensions).find(([, { link }]) => link === key) ?? [null, {}];
      const position = names?.indexOf(value) ?? -1;
      if (position >= 0) restored[dimension].add(position);
      else if ((key === "from" || key === "to") && dayOf(value) !== null && days.length) restored[key] = dayOf(value);
      else unknown++;
    }
    if (apart && restored.hours.size) restored.bins = new Set();
    choice = { ...restored, ...bounded(restored.from, restored.to) };
    find("message").textContent = unknown
      ? `The link names ${many(unknown, "choice")} that the calls shown here do not have; the rest was taken over.`
      : "";
    writeLink("replaceState");
    return show();
  }

  // ------------------------------------------------------------------------------------------------ filters
  function buildFilters() {
    for (const [dimension, name] of [["types", "Calls by Type"], ["statuses", "Calls by Status"]]) {
      const { bars } = charts[name].rows(all);
      find(dimension).append(...dimensions[dimension].values.map((label, value) => {
        const swatch = dimension === "types" ? make("span", { className: "swatch" }) : null;
        swatch?.style.setProperty("--colour", data.colours[value]);
        const title = `${label}: ${many(bars[value].end, "call")}`;
        const button = makeButton({ title }, () => choose(dimension, value, true), swatch, make("bdi", {}, label));
        Object.assign(button.dataset, { dimension, value });
        return button;
      }));
    }
    if (!days.length) return;
    for (const id of ["from", "to"]) {
      Object.assign(find(id), { min: isoDay(days[0]), max: isoDay(days.at(-1)) });
      find(id).addEventListener("change", () => {
        const [from, to] = [dayOf(find("from").value), dayOf(find("to").value)];
        if (from !== null && to !== null) chooseDays(from, to);
      });
    }
    for (const button of document.querySelectorAll("#presets button")) {
      const length = Number(button.dataset.days);
      button.hidden = range.last - range.first < length;
      button.addEventListener("click", () => chooseDays(range.last - length + 1, range.last));
    }
    find("include").addEventListener("click", () => {
      Object.assign(range, { first: days[0], last: days.at(-1) });
      all = count(nothingChosen());
      return show();
    });
  }

  /** Name the call types beside their colours, where they stay in view and are printed. */
  function buildLegend() {
    find("legend").replaceChildren(...dimensions.types.values.map((label, value) => {
      const swatch = make("span", { className: "swatch" });
      swatch.style.setProperty("--colour", data.colours[value]);
      return make("span", { className: "entry", title: label }, swatch, make("bdi", {}, Words.shortened(label)));
    }));
  }

  /** Say how many calls lie outside of the days that the page covers. */
  function showOutside() {
    const outside = whole.calls - all.calls;
    const before = days[0] < range.first, after = days.at(-1) > range.last;
    const where = before && after ? `outside of ${spanText([range.first, range.last])}`
      : before ? `before ${dayText(range.first)}` : `after ${dayText(range.last)}`;
    find("outside").hidden = !outside;
    find("outside-text").textContent = outside
      ? `${many(outside, "call")} ${where} ${outside === 1 ? "is" : "are"} not shown: probably a wrong date.` : "";
  }

  /** Return what is chosen: the dimension, its name and the names of its values. */
  function descriptions() {
    const span = chosenSpan();
    const described = span ? [["days", "Dates", spanText(span)]] : [];
    for (const [dimension, { words, values }] of Object.entries(dimensions)) {
      const names = chosenIn(dimension).map((value) => values[value]);
      if (names.length) described.push([dimension, words, listed(names)]);
    }
    return described;
  }

  function showState() {
    const every = many(all.calls, "call");
    find("shown").textContent = anyChosen() ? `${integer(summary.calls)} of ${every} chosen`
      : all.calls > 1 ? `All ${every}` : days.length ? every : "No calls";
    find("chosen").replaceChildren(...descriptions().map(([dimension, words, values]) => makeButton(
      { className: "chosen", title: "Remove this filter" },
      () => (dimension === "days" ? chooseDays(null, null) : chooseAll(dimension, [])),
      `${words}: `, make("bdi", {}, values), make("span", { "aria-hidden": true }, " ✕"),
    )));
    find("hint").hidden = anyChosen() || !days.length;
    find("clear").hidden = !anyChosen();
    find("from").value = days.length ? isoDay(choice.from ?? range.first) : "";
    find("to").value = days.length ? isoDay(choice.to ?? range.last) : "";
    for (const button of document.querySelectorAll("#filters [data-dimension]")) {
      button.setAttribute("aria-pressed", choice[button.dataset.dimension].has(Number(button.dataset.value)));
    }
  }

  // ------------------------------------------------------------------------------------------------ headline
  function showHeadline() {
    const span = chosenSpan();
    const length = span && span[1] - span[0] + 1;
    const earlier = span && [span[0] - length, span[0] - 1];
    const before = span && earlier[0] >= range.first
      ? count({ ...choice, from: earlier[0], to: earlier[1] }) : null;
    find("headline").replaceChildren(...figures.headline(summary, before, choice).map(([name, number, of, change]) =>
      make("div", { className: "figure" },
        make("dt", {}, name), make("dd", { className: "number" }, number), make("dd", {}, of),
        change === null ? null : make("dd", { className: "before" }, change))));
    const period = many(length, "day");
    find("comparison").textContent = !days.length ? ""
      : !span ? "Choose dates to compare them with the period before."
      : before ? `Compared with the ${period} before: ${spanText(earlier)}.`
      : `The calls begin on ${dayText(range.first)}: there is no whole period of ${period} before to compare with.`;
  }

  function showTrend() {
    const trend = figures.trend(choice, data.frame.lastFullDay);
    find("trend").hidden = trend === null;
    find("trend").replaceChildren(...(trend ?? []).map(([period, change]) =>
      make("span", {}, `${period}: `, make("strong", {}, change), ". ")));
  }

  // ------------------------------------------------------------------------------------------------ charts
  async function loadLibrary() {
    const source = new TextDecoder().decode(await CallCounts.inflate(find("library").textContent));
    document.head.append(make("script", { textContent: source }));
  }

  async function buildChart(name, spec) {
    const chart = charts[name];
    const figure = find("figure").content.cloneNode(true).firstElementChild;
    figure.dataset.chart = name;
    figure.querySelector("h2").textContent = name;
    figure.querySelector(".subtitle").textContent = data.subtitles[name];
    find("charts").append(figure);
    const [picture, drawing, note, details] = [".picture", ".drawing", ".note", "details"]
      .map((selector) => figure.querySelector(selector));
    Object.assign(chart, { name, figure, picture, drawing, note, details, limit: FIRST_ROWS });
    if (!days.length) return;
    const { view } = await vegaEmbed(drawing, { ...spec, width: "container", datasets: chart.rows(summary, 1) }, {
      actions: false, ast: true, renderer: "svg", tooltip: () => {}, logLevel: ERRORS_ONLY,
      config: { ...data.config, font: "system-ui, sans-serif", background: "transparent" },
    });
    chart.view = view;
    view.addSignalListener("width", () => draw(chart));
    details.addEventListener("toggle", () => showTable(chart));
    if (chart.dimension) listenToBars(chart);
    else {
      picture.after(find("days").content.cloneNode(true));
      listenToDays(chart);
    }
  }

  function draw(chart) {
    if (!chart.view) return null;
    for (const [part, rows] of Object.entries(chart.rows(summary, chart.view.width()))) chart.view.data(part, rows);
    return chart.view.runAsync();
  }

  function listenToBars(chart) {
    const { view, drawing, dimension } = chart;
    view.addEventListener("click", (event, item) => {
      const more = event.shiftKey || event.ctrlKey || event.metaKey;
      if (item?.datum?.bar !== undefined) choose(dimension, item.datum.bar, more);
    });
    view.addEventListener("pointermove", (event, item) => {
      if (item?.datum?.bar !== undefined) showTip(event, chart.tip(item.datum, summary));
      else hideTip();
    });
    drawing.addEventListener("pointerleave", hideTip);
  }

  /** Drag over days to choose them; click a day to choose it, and again to let it go. */
  function listenToDays(chart) {
    const { view, drawing } = chart;
    let start = null, end = null;
    const dragged = () => [Math.min(start, end), Math.max(start, end)];
    const dayAt = (event) => {
      const x = event.clientX - drawing.querySelector("svg").getBoundingClientRect().left - view.origin()[0];
      const [first, last] = chart.shownSpan();
      return Math.min(last, Math.max(first, Math.round(view.scale("x").invert(x) / DAY)));
    };
    drawing.addEventListener("pointerdown", (event) => {
      if (!days.length || event.button !== 0) return;
      start = end = dayAt(event);
      drawing.setPointerCapture(event.pointerId);
    });
    drawing.addEventListener("pointermove", (event) => {
      if (!days.length) return;
      const day = dayAt(event);
      if (start === null || day === end) {
        showTip(event, chart.tip(day, summary));
        return;
      }
      end = day;
      const span = dragged();
      showTip(event, [spanText(span), many(span[1] - span[0] + 1, "day")]);
      view.data("chosen", [chart.shade(...span)]).runAsync();
    });
    drawing.addEventListener("pointerup", () => {
      if (start === null) return;
      const [first, last] = dragged();
      const [from, to] = [chart.periodOf(first)[0], chart.periodOf(last)[1]];
      start = null;
      const again = from === to && choice.from === from && choice.to === to;
      chooseDays(again ? null : from, again ? null : to);
    });
    drawing.addEventListener("pointercancel", () => { start = null; });
    drawing.addEventListener("pointerleave", hideTip);
    for (const button of document.querySelectorAll("#units button")) {
      button.addEventListener("click", () => {
        chart.setUnit(button.dataset.unit);
        for (const other of document.querySelectorAll("#units button")) {
          other.setAttribute("aria-pressed", other === button);
        }
        return show();
      });
    }
    listenToOverview();
  }

  /** Drag over the overview to choose days; click it to choose all days again. */
  function listenToOverview() {
    const strip = find("overview");
    let start = null;
    const dayAt = ({ clientX }) => {
      const { left, width } = strip.getBoundingClientRect();
      const share = Math.min(Math.max((clientX - left) / width, 0), 0.9999);
      return range.first + Math.floor(share * (range.last - range.first + 1));
    };
    strip.addEventListener("pointerdown", (event) => {
      start = dayAt(event);
      strip.setPointerCapture(event.pointerId);
    });
    strip.addEventListener("pointermove", (event) => {
      const day = dayAt(event);
      const span = [Math.min(start ?? day, day), Math.max(start ?? day, day)];
      showTip(event, start === null ? [dayText(day)] : [spanText(span), many(span[1] - span[0] + 1, "day")]);
    });
    strip.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const day = dayAt(event);
      if (day === start) chooseDays(null, null);
      else chooseDays(Math.min(start, day), Math.max(start, day));
      start = null;
    });
    strip.addEventListener("pointerleave", hideTip);
  }

  function showDays(chart) {
    chart.figure.querySelector(".subtitle").textContent = chart.subtitle();
    find("over").hidden = !days.length || range.last - range.first < 14;
    if (find("over").hidden) return;
    const { path, from, to } = chart.overview(summary);
    find("outline").setAttribute("d", path);
    find("window").setAttribute("x", from);
    find("window").setAttribute("width", Math.max(to - from, 2));
  }

  // ------------------------------------------------------------------------------------------------ tooltips, tables
  /** Make a table's cell: text, or a button that chooses. */
  function tableCell(cell, column) {
    if (typeof cell === "string") return make(column ? "td" : "th", column ? {} : { scope: "row" }, cell);
    const { dimension, value, text, label } = cell;
    const aria = { "aria-pressed": choice[dimension].has(value), ...(label && { "aria-label": `${label}: ${text}` }) };
    const button = makeButton({ className: "value", ...aria }, () => choose(dimension, value, true), text);
    return make(column ? "td" : "th", column ? {} : { scope: "row" }, button);
  }

  /** Write a chart's numbers into its table, if that is open; of many rows only the first. */
  function showTable(chart) {
    const place = chart.details.querySelector(".table");
    place.replaceChildren();
    if (!chart.details.open) return;
    const { head, length, row } = chart.table(summary);
    const body = make("tbody");
    for (let at = 0; at < Math.min(length, chart.limit); at++) body.append(make("tr", {}, ...row(at).map(tableCell)));
    const filters = descriptions().map(([, words, values]) => `${words}: ${values}`).join("; ");
    place.append(make("table", {},
      make("caption", {}, `${chart.name}: ${filters || "all calls"}`),
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
      body));
    if (length > chart.limit) {
      const showAll = () => { chart.limit = Infinity; showTable(chart); };
      place.append(makeButton({}, showAll, `Show all ${many(length, "row")}`));
    }
  }

  // ------------------------------------------------------------------------------------------------ notes
  function showNotes() {
    const without = counts.durations.indexOf(-1) < 0 ? 0 : summary.durations[counts.durations.indexOf(-1)];
    const notes = {
      "Duration Histogram": [
        without ? `${many(without, "call")} without a duration ${without === 1 ? "is" : "are"} left out.` : "",
        apart && choice.hours.size ? `Shown for all hours: ${APART}.` : "",
      ],
      "Calls by Hour and Weekday": [apart && choice.bins.size ? `Shown for all durations: ${APART}.` : ""],
    };
    for (const [name, texts] of Object.entries(notes)) charts[name].note.textContent = texts.join(" ").trim();
  }

  function showProvenance() {
    const { refreshed, source, snapshot, fields, timezone, accounted, documents, uncovered, rejected, repaired } =
      data.provenance;
    find("refreshed").textContent = refreshed;
    find("accounted").textContent = accounted;
    const facts = [
      ["Source", source],
      ["Snapshot", snapshot],
      ...(fields ? [["Fields used", fields]] : []),
      ["Documents", integer(documents)],
      ["Calls on this page", integer(whole.calls)],
      ["Rejected", integer(rejected)],
      ...(uncovered ? [["In no partition", integer(uncovered)]] : []),
      ["Repaired", integer(repaired)],
      ["Time zone of days and hours", timezone],
    ];
    find("facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
    for (const list of ["reasons", "repairs"]) {
      const lines = data.provenance[list];
      find(list).replaceChildren(...lines.map(([words, number]) => make("li", {}, `${integer(number)} × ${words}`)));
      find(list).parentElement.hidden = !lines.length;
    }
  }

  // ------------------------------------------------------------------------------------------------ all together
  /** Count what is chosen, and show it everywhere. */
  async function show() {
    summary = anyChosen() ? count(choice) : all;
    hideTip();
    showState();
    showOutside();
    showTrend();
    showHeadline();
    showNotes();
    if (days.length) showDays(charts["Daily Calls"]);
    await Promise.all(Object.values(charts).map((chart) => {
      const some = chart.calls(summary) > 0;
      chart.figure.classList.toggle("none", !some);
      chart.picture.setAttribute("aria-label", `${chart.name}: ${some ? chart.text(summary) : "no calls"}.`);
      showTable(chart);
      return draw(chart);
    }));
    document.body.dataset.shown = linked() || "all";
  }

  document.body.classList.toggle("empty", !days.length);
  showProvenance();
  buildFilters();
  buildLegend();
  if (days.length) await loadLibrary();
  for (const [name, spec] of Object.entries(data.specs)) await buildChart(name, spec);
  find("clear").addEventListener("click", clear);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.tagName !== "INPUT" && anyChosen()) clear();
  });
  addEventListener("hashchange", restore);
  await restore();
})().catch((error) => {
  document.getElementById("message").textContent = `This page could not be shown: ${error.message}`;
  throw error;
});

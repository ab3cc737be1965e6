/*
 * The charts on the page: drawing them, pointing, clicking and dragging in them, and saving what they show.
 */
"use strict";

/**
 * Return functions that build and draw the charts.
 *
 * @param page the page's state, see dashboard.js.
 * @param choices what `choicesOf` gives.
 * @param tables what `tablesOf` gives.
 * @param show shows the page again.
 */
function drawingsOf(page, choices, tables, show) {
  const { DAY, many, dayText, spanText } = Words;
  const { find, make, makeButton, showTip, hideTip } = Elements;
  const { data, days, range } = page;
  const ERRORS_ONLY = 1; // Vega's warnings are about data sets that are empty, as some are meant to be.
  const FIRST_ROWS = 100;
  const PAPER_WIDTH = 660; // of a chart on A4, in pixels

  let fitting = false;

  async function loadLibrary() {
    const source = new TextDecoder().decode(await Cells.inflate(find("library").textContent));
    document.head.append(make("script", { textContent: source }));
  }

  async function build(name, spec) {
    const chart = page.charts[name];
    const figure = find("figure").content.cloneNode(true).firstElementChild;
    figure.dataset.chart = name;
    figure.querySelector("h2").textContent = name;
    figure.querySelector(".subtitle").textContent = data.subtitles[name];
    find("charts").append(figure);
    const [picture, drawing, note, details, steps] = [".picture", ".drawing", ".note", "details", ".steps"]
      .map((selector) => figure.querySelector(selector));
    Object.assign(chart, { name, figure, picture, drawing, note, details, steps, limit: FIRST_ROWS });
    if (!days.length) return;
    const { view } = await vegaEmbed(drawing, { ...spec, width: "container", datasets: chart.rows(page.summary, 1) }, {
      actions: false, ast: true, renderer: "svg", tooltip: () => {}, logLevel: ERRORS_ONLY,
      config: { ...data.config, font: "system-ui, sans-serif", background: "transparent" },
    });
    chart.view = view;
    view.addSignalListener("width", () => (fitting ? null : draw(chart)));
    details.addEventListener("toggle", () => tables.showTable(chart));
    addExports(chart);
    if (chart.dimension) listenToBars(chart);
    else listenToDays(chart);
    if (name === "Daily Calls") {
      picture.after(find("days").content.cloneNode(true));
      listenToUnits(chart);
      listenToOverview();
    }
    if (name === "Duration Histogram") addBinWidths(chart);
  }

  /** Draw a chart again, its subtitle and the steps of its colours. */
  async function draw(chart) {
    if (!chart.view) return;
    if (chart.dimension === "bins") {
      const { binSeconds, tailSeconds } = page.counts, tail = tailSeconds / 60;
      const tick = tail % 6 || tail < 30 ? tail / 5 : tail / 6;
      chart.view.signal("tail", tail).signal("end", tail + binSeconds / 60).signal("tick", tick);
    }
    const { summary } = page;
    if (chart.subtitle) chart.figure.querySelector(".subtitle").textContent = chart.subtitle(summary);
    if (chart.legend) showSteps(chart);
    for (const [part, rows] of Object.entries(chart.rows(summary, chart.view.width()))) chart.view.data(part, rows);
    await chart.view.runAsync();
    if (chart.overview) placeOverview(chart);
  }

  /** Name the calls that each step of the colour begins with. */
  function showSteps(chart) {
    chart.steps.replaceChildren("Calls: ", ...stepNames(chart).map(({ name, opacity }) => {
      const swatch = make("span", { className: "swatch step" });
      swatch.style.setProperty("--strength", opacity);
      return make("span", { className: "entry" }, swatch, name);
    }));
  }

  function stepNames(chart) {
    const steps = chart.legend(page.summary), { integer } = Words;
    return steps.map(({ from, strength }, at) => {
      const next = steps[at + 1]?.from;
      const name = next === undefined ? `${integer(from)} or more`
        : next - 1 === from ? integer(from) : `${integer(from)} to ${integer(next - 1)}`;
      return { colour: "#0072b2", opacity: strength, name };
    });
  }

  // ------------------------------------------------------------------------------------------------ saving
  function addExports(chart) {
    const place = chart.figure.querySelector(".exports");
    const legendOf = () => (chart.legend ? stepNames(chart) : chart.name === "Share of Missed Calls" ? []
      : page.dimensions.types.values.map((name, value) => ({ colour: data.colours[value], name: Words.shortened(name) })));
    const lines = () => [
      chart.name, chart.figure.querySelector(".subtitle").textContent, tables.filters() || `All calls, ${whole()}`,
    ];
    const whole = () => spanText([range.first, range.last]);
    const formats = {
      CSV() {
        const { head, length, row } = chart.table(page.summary);
        Exports.saveCsv(chart.name, head, Array.from({ length }, (_, at) => row(at)));
      },
      SVG: () => Exports.saveSvg(chart.name, chart.view, lines(), legendOf()),
      PNG: () => Exports.savePng(chart.name, chart.view, lines(), legendOf()),
    };
    for (const [format, save] of Object.entries(formats)) {
      place.append(makeButton({ "aria-label": `Save ${chart.name} as ${format}` }, save, format));
    }
  }

  // ------------------------------------------------------------------------------------------------ bars
  /** Let the reader choose how wide a bar of the histogram is. */
  function addBinWidths(chart) {
    const names = (seconds) => (seconds < 60 ? `${seconds} s` : `${seconds / 60} min`);
    const select = make("select", { id: "bar" }, ...page.binWidths.map((seconds) =>
      make("option", { value: seconds }, names(seconds))));
    select.addEventListener("change", () => choices.setBinSeconds(Number(select.value)));
    chart.subtitle = () => {
      const { binSeconds, tailSeconds } = page.counts;
      select.value = binSeconds;
      return `Bars of ${names(binSeconds)}, the last for all calls of ${names(tailSeconds)} or longer`;
    };
    chart.figure.querySelector(".exports").prepend(make("label", { className: "widths" }, "Bars of ", select));
  }

  function listenToBars(chart) {
    const { view, drawing, dimension } = chart;
    view.addEventListener("click", (event, item) => {
      const more = event.shiftKey || event.ctrlKey || event.metaKey;
      if (item?.datum?.bar !== undefined) choices.choose(dimension, item.datum.bar, more);
    });
    view.addEventListener("pointermove", (event, item) => {
      if (item?.datum?.bar !== undefined) showTip(event, chart.tip(item.datum, page.summary));
      else hideTip();
    });
    drawing.addEventListener("pointerleave", hideTip);
  }

  // ------------------------------------------------------------------------------------------------ days
  /** Drag over days to choose them; click a day to choose it, and again to let it go. */
  function listenToDays(chart) {
    const { view, drawing } = chart;
    let start = null, end = null;
    const dragged = () => [Math.min(start, end), Math.max(start, end)];
    const dayAt = (event) => {
      const x = event.clientX - drawing.querySelector("svg").getBoundingClientRect().left - view.origin()[0];
      const [first, last] = chart.timeline.shownSpan();
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
        showTip(event, chart.tip(day, page.summary));
        return;
      }
      end = day;
      const span = dragged();
      showTip(event, [spanText(span), many(span[1] - span[0] + 1, "day")]);
      if (chart.rows(page.summary, 1).chosen) view.data("chosen", [chart.timeline.shade(...span)]).runAsync();
    });
    drawing.addEventListener("pointerup", () => {
      if (start === null) return;
      const [first, last] = dragged();
      const [from, to] = [chart.timeline.periodOf(first)[0], chart.timeline.periodOf(last)[1]];
      start = null;
      const again = from === to && page.choice.from === from && page.choice.to === to;
      choices.chooseDays(again ? null : from, again ? null : to);
    });
    drawing.addEventListener("pointercancel", () => { start = null; });
    drawing.addEventListener("pointerleave", hideTip);
  }

  /** Let the reader choose the unit of the charts over time. */
  function listenToUnits(chart) {
    for (const button of document.querySelectorAll("#units button")) {
      button.addEventListener("click", () => {
        chart.timeline.setUnit(button.dataset.unit);
        for (const other of document.querySelectorAll("#units button")) {
          other.setAttribute("aria-pressed", other === button);
        }
        return show();
      });
    }
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
      if (day === start) choices.chooseDays(null, null);
      else choices.chooseDays(Math.min(start, day), Math.max(start, day));
      start = null;
    });
    strip.addEventListener("pointerleave", hideTip);
  }

  /** Show the overview of all days, and which of them are chosen. */
  function showOverview(chart) {
    find("over").hidden = !days.length || range.last - range.first < 14;
    if (find("over").hidden) return;
    const { path, from, to } = chart.overview(page.summary);
    find("outline").setAttribute("d", path);
    find("window").setAttribute("x", from);
    find("window").setAttribute("width", Math.max(to - from, 2));
  }

  /** Put the overview below the chart's own axis of days, from its left end to its right. */
  function placeOverview({ view }) {
    find("overview").style.marginLeft = `${view.origin()[0]}px`;
    find("overview").style.width = `${view.width()}px`;
  }

  // ------------------------------------------------------------------------------------------------ print
  /** Draw the charts as wide as on paper, so that their texts are as large as the others; afterwards as before. */
  function fitPaper(paper) {
    fitting = true;
    for (const { view, figure, drawing, rows } of Object.values(page.charts)) {
      if (!view) continue;
      const whole = figure.clientWidth > find("charts").clientWidth / 2 + 20;
      view.width(!paper ? drawing.clientWidth : whole || narrow() ? PAPER_WIDTH : PAPER_WIDTH / 2 - 20).run();
      for (const [part, data] of Object.entries(rows(page.summary, view.width()))) view.data(part, data);
      view.run();
    }
    fitting = false;
  }

  const narrow = () => getComputedStyle(find("charts")).gridTemplateColumns.split(" ").length === 1;

  return { loadLibrary, build, draw, showOverview, fitPaper };
}

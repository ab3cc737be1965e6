/*
 * The page: its state, and showing a new choice everywhere. Counting is in counts.js, what is chosen in
 * choice.js, what each chart shows in charts.js, how it is drawn in drawing.js.
 *
 * Labels come from documents and are only ever set as text, never as markup.
 */
"use strict";

(async () => {
  const { integer, many, dayText, spanText } = Words;
  const { find, make, hideTip } = Elements;
  const APART = "the page holds hours and durations apart";
  const BIN_WIDTHS = [10, 30, 60, 120, 300]; // in seconds
  const NEAR = 50; // pixels beyond the window that count as in view

  if (typeof DecompressionStream === "undefined") {
    find("message").textContent = "This browser is too old for this page: it needs one from 2023 or later.";
    return;
  }

  const data = JSON.parse(find("data").textContent);
  const counts = await CallCounts.read(data.counts);
  const { days } = counts;
  const dimensions = dimensionsOf(counts);

  /** What the page shows: the counts and the choice, and what has been counted of it. */
  const page = {
    data, counts, days, dimensions,
    apart: counts.cubes.length > 1,
    fieldSummaries: new Map(), // calls by each field, under the choice
    binWidths: BIN_WIDTHS.filter((seconds) => seconds % counts.step === 0),
    choice: null,
    unknown: 0, // choices in the link that the calls do not have
    count: (choice) => CallCounts.summarize(counts, {
      ...choice, from: choice.from ?? page.range.first, to: choice.to ?? page.range.last,
    }),
  };
  const nothing = { from: null, to: null };
  for (const dimension in dimensions) nothing[dimension] = new Set();
  page.choice = nothing;
  page.whole = CallCounts.summarize(counts, nothing);
  counts.allDurations = page.whole.durations;
  page.range = CallCounts.plausibleSpan(counts, page.whole.dates);
  page.all = page.summary = page.count(nothing);
  page.figures = figuresOf(counts, page.range, data.frame.targetMissed);
  page.charts = chartsOf(counts, dimensions, data.frame, page.range, () => page.choice);
  const { range } = page;

  const choices = choicesOf(page, show);
  const tables = tablesOf(page, choices);
  const filters = filtersOf(page, choices, show);
  const drawings = drawingsOf(page, choices, tables, show);

  // ------------------------------------------------------------------------------------------------ headline
  function showHeadline() {
    const span = choices.span();
    const length = span && span[1] - span[0] + 1;
    const earlier = span && [span[0] - length, span[0] - 1];
    const before = span && earlier[0] >= range.first
      ? page.count({ ...page.choice, from: earlier[0], to: earlier[1] }) : null;
    find("headline").replaceChildren(...page.figures.headline(page.summary, before, page.choice).map(([name, number, of, change]) =>
      make("div", { className: "figure" },
        make("dt", {}, name), make("dd", { className: "number" }, number), make("dd", {}, of),
        change === null ? null : make("dd", { className: "before" }, change))));
    find("comparison").classList.toggle("none", before === null);
    const period = many(length, "day");
    find("comparison").textContent = !days.length ? ""
      : !span ? "Choose dates to compare them with the period before."
      : before ? `Compared with the ${period} before: ${spanText(earlier)}.`
      : `The calls begin on ${dayText(range.first)}: there is no whole period of ${period} before to compare with.`;
  }

  function showTrend() {
    const trend = page.figures.trend(page.summary, data.frame.lastFullDay);
    find("trend").hidden = trend === null;
    find("trend").replaceChildren(...(trend ?? []).map(([period, change]) =>
      make("span", {}, `${period}: `, make("strong", {}, change), ". ")));
  }

  // ------------------------------------------------------------------------------------------------ notes
  /** Say what a chart leaves out. */
  function noteOf(name) {
    const { summary, choice } = page, field = counts.fields.find(({ dimension }) => choice[dimension].size);
    const all = field ? `Shown for all values of ${field.name}.` : "";
    if (name === "Calls by Weekday") return field?.monthly ? all : "";
    if (name === "Calls by Hour and Weekday") {
      return sentences(page.apart && choice.bins.size ? `Shown for all durations: ${APART}.` : "", all);
    }
    if (name !== "Duration Histogram") return "";
    const without = summary.calls - CallCounts.median(counts, summary).calls;
    return sentences(
      without ? `${many(without, "call")} without a duration ${without === 1 ? "is" : "are"} left out.` : "",
      page.apart && choice.hours.size ? `Shown for all hours: ${APART}.` : "",
      field && !FieldCounts.hasBins(counts) ? all : "",
    );
  }

  const sentences = (...texts) => texts.filter((text) => text).join(" ");
  const listedLabels = (labels, setting) => `${labels.join(", ") || "no label of these calls"} (set by ${setting})`;

  /** Say how old the data is where it is old. */
  function showAge() {
    const age = data.refreshedAt === null ? 0 : Date.now() - data.refreshedAt;
    const older = many(Math.floor(age / Words.DAY), "day"), hours = many(Math.floor(age / 3_600_000), "hour");
    find("stale").hidden = age <= data.staleAfter;
    find("stale").textContent = `This data is ${age < 2 * Words.DAY ? hours : older} old: the page shows the calls as they were then.`;
  }

  function showProvenance() {
    const { refreshed, source, snapshot, fields, timezone, accounted, documents, uncovered, rejected, repaired } =
      data.provenance;
    find("refreshed").textContent = refreshed;
    showAge();
    find("accounted").textContent = accounted;
    const facts = [
      ["Source", source],
      ["Snapshot", snapshot],
      ...(fields ? [["Fields used", fields]] : []),
      ["Documents", integer(documents)],
      ["Calls on this page", integer(page.whole.calls)],
      ["Rejected", integer(rejected)],
      ...(uncovered ? [["In no partition", integer(uncovered)]] : []),
      ["Repaired", integer(repaired)],
      ["Time zone of days and hours", timezone],
      ["Counted as completed", listedLabels(counts.completed.map((at) => counts.statuses[at]), "CALLVIZ_COMPLETED_LABELS")],
      ["Counted as missed", listedLabels([listedMissed(counts)].filter((text) => text), "CALLVIZ_MISSED_LABELS")],
      ...(data.provenance.missingFields.length
        ? [["Fields that the calls do not have", data.provenance.missingFields.join(", ")]] : []),
    ];
    find("facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
    for (const list of ["reasons", "repairs"]) {
      const lines = data.provenance[list];
      find(list).replaceChildren(...lines.map(([words, number]) => make("li", {}, `${integer(number)} × ${words}`)));
      find(list).parentElement.hidden = !lines.length;
    }
  }

  // ------------------------------------------------------------------------------------------------ by a field
  function buildFields() {
    for (const field of counts.fields) {
      const figure = find("by-field").content.cloneNode(true).firstElementChild;
      figure.dataset.field = field.name;
      figure.querySelector("h2").textContent = `Calls by ${field.name}`;
      figure.querySelector(".exports").append(Elements.makeButton({ "aria-label": `Save Calls by ${field.name} as CSV` },
        () => {
          const { head, rows } = tables.fieldNumbers(field, page.fieldSummaries.get(field).values);
          Exports.saveCsv(`Calls by ${field.name}`, head, rows);
        }, "CSV"));
      find("fields").append(figure);
      tables.buildField(field);
    }
  }

  /** Count the calls by a field, with what of the choice its counts can be combined with. */
  function countField(field) {
    const { choice } = page, left = [];
    const without = { ...choice, from: choice.from ?? range.first, to: choice.to ?? range.last };
    const leave = (dimension) => {
      if (choice[dimension].size) left.push(dimensions[dimension].words.toLowerCase());
      without[dimension] = new Set();
    };
    leave("hours");
    if (field.monthly) leave("weekdays");
    if (!FieldCounts.hasBins(counts)) leave("bins");
    for (const other of counts.fields) if (other !== field) leave(other.dimension);
    const dated = choices.span() !== null && field.monthly;
    const months = dated ? `Whole months: ${spanText(FieldCounts.chosenDays(field, without))}. ` : "";
    const note = months + (left.length ? `Not filtered by ${left.join(" and ")}.` : "");
    return { values: FieldCounts.valuesOf(field, counts, without), note };
  }

  function showField(field) {
    const shown = countField(field);
    page.fieldSummaries.set(field, shown);
    tables.showField(field, shown);
  }

  // ------------------------------------------------------------------------------------------------ all together
  function showChart(chart) {
    const some = chart.calls(page.summary) > 0;
    chart.figure.classList.toggle("none", !some);
    chart.picture.setAttribute("aria-label", `${chart.name}: ${some ? chart.text(page.summary) : "no calls"}.`);
    chart.note.textContent = noteOf(chart.name);
    tables.showTable(chart);
    if (chart.overview && days.length) drawings.showOverview(chart);
    return drawings.draw(chart);
  }

  /** Return the parts of the page that follow the choice: the element of each, and what shows it. */
  function parts() {
    const built = Object.values(page.charts).filter(({ figure }) => figure);
    return [
      { element: find("headline"), showPart: showHeadline },
      ...built.map((chart) => ({ element: chart.figure, showPart: () => showChart(chart) })),
      ...counts.fields.map((field) => ({ element: tables.fieldFigure(field), showPart: () => showField(field) })),
    ];
  }

  function inView(element) {
    const { top, bottom } = element.getBoundingClientRect();
    return bottom > -NEAR && top < innerHeight + NEAR;
  }

  const painted = () => new Promise((done) => {
    if (document.hidden) done();
    else requestAnimationFrame(() => setTimeout(done));
  });

  let choicesShown = 0;

  /**
   * Count what is chosen, and show it: what is in view at once, all else as soon as that has been painted. A choice
   * that is made meanwhile takes over.
   */
  async function show() {
    const number = ++choicesShown, seen = [], unseen = [];
    for (const part of parts()) (inView(part.element) ? seen : unseen).push(part);
    page.summary = choices.any() ? page.count(page.choice) : page.all;
    hideTip();
    filters.showState();
    filters.showOutside();
    showTrend();
    await Promise.all(seen.map(({ showPart }) => showPart()));
    await painted();
    if (number !== choicesShown) return;
    await Promise.all(unseen.map(({ showPart }) => showPart()));
    if (number === choicesShown) document.body.dataset.shown = choices.linked() || "all";
  }

  document.body.classList.toggle("empty", !days.length);
  showProvenance();
  filters.buildFilters();
  filters.buildLegend();
  buildFields();
  if (days.length) await drawings.loadLibrary();
  for (const [name, spec] of Object.entries(data.specs)) await drawings.build(name, spec);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !["INPUT", "SELECT"].includes(event.target.tagName) && choices.any()) choices.clear();
  });
  addEventListener("hashchange", choices.restore);
  addEventListener("beforeprint", () => drawings.fitPaper(true));
  addEventListener("afterprint", () => drawings.fitPaper(false));
  await choices.restore();
})().catch((error) => {
  document.getElementById("message").textContent = `This page could not be shown: ${error.message}`;
  throw error;
});

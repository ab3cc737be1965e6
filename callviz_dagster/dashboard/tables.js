/*
 * Tables: the numbers of each chart, and the calls by the values of a further field, which can be sorted.
 */
"use strict";

/**
 * Return functions that fill the tables.
 *
 * @param page the page's state, see dashboard.js.
 * @param choices what `choicesOf` gives.
 */
function tablesOf(page, choices) {
  const { find, make, makeButton } = Elements;
  const { integer, share, many, shortened } = Words;

  /** Make a table's cell: text, or a button that chooses. */
  function tableCell(cell, column) {
    const element = column ? "td" : "th", properties = column ? {} : { scope: "row" };
    if (typeof cell === "string") return make(element, properties, cell);
    const { dimension, value, text, label } = cell;
    const aria = { "aria-pressed": page.choice[dimension].has(value), ...(label && { "aria-label": `${label}: ${text}` }) };
    const choose = () => choices.choose(dimension, value, true);
    return make(element, properties, makeButton({ className: "value", title: text, ...aria }, choose, text));
  }

  const filters = () => choices.descriptions().map(([, words, values]) => `${words}: ${values}`).join("; ");

  /** Write a chart's numbers into its table, if that is open; of many rows only the first. */
  function showTable(chart) {
    const place = chart.details.querySelector(".table");
    place.replaceChildren();
    if (!chart.details.open) return;
    const { head, length, row } = chart.table(page.summary);
    const body = make("tbody");
    for (let at = 0; at < Math.min(length, chart.limit); at++) body.append(make("tr", {}, ...row(at).map(tableCell)));
    place.append(make("table", {},
      make("caption", {}, `${chart.name}: ${filters() || "all calls"}`),
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
      body));
    if (length > chart.limit) {
      const showAll = () => { chart.limit = Infinity; showTable(chart); };
      place.append(makeButton({}, showAll, `Show all ${many(length, "row")}`));
    }
  }

  // ------------------------------------------------------------------------------------------------ by a field
  const sorting = new Map(page.counts.fields.map(({ name }) => [name, { column: 1, down: true }]));

  /** Return the columns of a field's table: heading, the number to sort by, and its text. */
  function columns(field) {
    const { COMPLETED, MISSED } = CallCounts;
    const { completed, missedTypes, missedStatuses } = page.counts;
    const all = (rows) => rows.reduce((sum, row) => sum + row.calls, 0);
    const part = (outcome) => (row) => (row.calls ? row.outcomes[outcome] / row.calls : -1);
    const partText = (outcome) => (row) => share(row.outcomes[outcome], row.calls);
    const seconds = ({ bins }) => FieldCounts.median(bins).seconds ?? -1;
    return [
      { head: field.name, key: ({ label }) => label, text: ({ label }) => label },
      { head: "Calls", key: (row) => row.calls, text: (row) => integer(row.calls) },
      { head: "Share", key: (row) => row.calls, text: (row, rows) => share(row.calls, all(rows)) },
      ...(completed.length ? [{ head: "Completed", key: part(COMPLETED), text: partText(COMPLETED) }] : []),
      ...(missedTypes.length + missedStatuses.length
        ? [{ head: "Missed", key: part(MISSED), text: partText(MISSED) }] : []),
      {
        head: "Median ≈", key: seconds,
        text: ({ bins }) => page.figures.medianText(FieldCounts.median(bins)),
      },
    ];
  }

  /** Return the rows of a field's table, sorted; those grouped together stay last. */
  function sortedRows(field, values) {
    const { column, down } = sorting.get(field.name);
    const { key } = columns(field)[column];
    const rows = values.map((row, value) => ({ ...row, value, label: field.values[value] }));
    const last = field.grouped ? rows.pop() : null;
    const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
    rows.sort((a, b) => compare(key(a), key(b)) * (down ? -1 : 1) || a.value - b.value);
    return last ? [...rows, last] : rows;
  }

  /** Return the numbers of a field's table as they are shown: the heading, and the rows. */
  function fieldNumbers(field, values) {
    const rows = sortedRows(field, values), shown = columns(field);
    return { head: shown.map(({ head }) => head), rows: rows.map((row) => shown.map(({ text }) => text(row, rows))), of: rows };
  }

  function sortBy(field, column) {
    const { column: before, down } = sorting.get(field.name);
    sorting.set(field.name, { column, down: column === before ? !down : column > 0 });
    showField(field, page.fieldSummaries.get(field));
    find("fields").querySelector(`[data-field="${CSS.escape(field.name)}"] th:nth-child(${column + 1}) button`).focus();
  }

  function showField(field, { values, note }) {
    const place = find("fields").querySelector(`[data-field="${CSS.escape(field.name)}"]`);
    const { head, rows, of } = fieldNumbers(field, values);
    const { column, down } = sorting.get(field.name);
    const most = Math.max(...of.map((row) => row.calls), 1);
    const headCells = head.map((text, at) => make("th", {
      scope: "col", "aria-sort": at === column ? (down ? "descending" : "ascending") : "none",
    }, makeButton({ className: "sort" }, () => sortBy(field, at), text,
      make("span", { "aria-hidden": true }, at === column ? (down ? " ▼" : " ▲") : ""))));
    const bodyRows = rows.map((texts, at) => {
      const choose = () => choices.choose(field.dimension, of[at].value, true);
      const pressed = page.choice[field.dimension].has(of[at].value);
      const button = makeButton({ className: "value", title: texts[0], "aria-pressed": pressed }, choose,
        make("bdi", {}, shortened(texts[0])));
      const bar = make("td", { className: "bar" }, texts[1]);
      bar.style.setProperty("--length", `${(of[at].calls / most) * 100}%`);
      return make("tr", {}, make("th", { scope: "row" }, button), bar,
        ...texts.slice(2).map((text) => make("td", {}, text)));
    });
    place.querySelector(".note").textContent = note;
    place.querySelector(".table").replaceChildren(make("table", {},
      make("caption", {}, `Calls by ${field.name}: ${filters() || "all calls"}`),
      make("thead", {}, make("tr", {}, ...headCells)), make("tbody", {}, ...bodyRows)));
  }

  return { showTable, showField, fieldNumbers, filters };
}

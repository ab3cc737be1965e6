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
  const fieldFigure = ({ name }) => find("fields").querySelector(`[data-field="${CSS.escape(name)}"]`);
  const fieldTables = new Map();
  const sorting = new Map(page.counts.fields.map(({ name }) => [name, { column: 1, down: true }]));

  /** Return the columns of a field's table: heading, the number to sort by, and its text. */
  function columns(field) {
    const { COMPLETED, MISSED } = Cells;
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
  }

  /** Make the table of a field, whose rows are filled each time the page shows another choice. */
  function buildField(field) {
    const head = columns(field).map(({ head: name }, column) => make("th", { scope: "col" },
      makeButton({ className: "sort" }, () => sortBy(field, column), name, make("span", { "aria-hidden": true }))));
    const rows = field.values.map(() => {
      const label = make("bdi"), row = { value: null, label };
      row.button = makeButton({ className: "value" }, () => choices.choose(field.dimension, row.value, true), label);
      row.cells = head.slice(1).map((_, at) => make("td", at ? {} : { className: "bar" }));
      row.element = make("tr", {}, make("th", { scope: "row" }, row.button), ...row.cells);
      return row;
    });
    const caption = make("caption");
    fieldTables.set(field.name, { head, rows, caption });
    fieldFigure(field).querySelector(".table").append(make("table", {}, caption,
      make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows.map(({ element }) => element))));
  }

  function showField(field, { values, note }) {
    const { rows, of } = fieldNumbers(field, values), { column, down } = sorting.get(field.name);
    const most = Math.max(...of.map((row) => row.calls), 1);
    const table = fieldTables.get(field.name);
    table.caption.textContent = `Calls by ${field.name}: ${filters() || "all calls"}`;
    table.head.forEach((cell, at) => {
      cell.setAttribute("aria-sort", at === column ? (down ? "descending" : "ascending") : "none");
      cell.querySelector("span").textContent = at === column ? (down ? " ▼" : " ▲") : "";
    });
    rows.forEach(([label, ...texts], at) => {
      const row = table.rows[at];
      row.value = of[at].value;
      row.label.textContent = shortened(label);
      row.button.title = label;
      row.button.setAttribute("aria-pressed", page.choice[field.dimension].has(row.value));
      texts.forEach((text, cell) => { row.cells[cell].textContent = text; });
      row.cells[0].style.setProperty("--length", `${(of[at].calls / most) * 100}%`);
    });
    fieldFigure(field).querySelector(".note").textContent = note;
  }

  return { showTable, buildField, showField, fieldFigure, fieldNumbers, filters };
}

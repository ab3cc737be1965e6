/*
 * The filters, the bar that says what is shown, and the legend of call types.
 */
"use strict";

/**
 * Return functions that build and show them.
 *
 * @param page the page's state, see dashboard.js.
 * @param choices what `choicesOf` gives.
 * @param show shows the page again.
 */
function filtersOf(page, choices, show) {
  const { find, make, makeButton } = Elements;
  const { integer, many, dayText, spanText, isoDay, dayOf, shortened } = Words;
  const { days, range, dimensions, whole } = page;

  function swatch(value) {
    const element = make("span", { className: "swatch" });
    element.style.setProperty("--colour", page.data.colours[value]);
    return element;
  }

  function buildFilters() {
    for (const [dimension, name] of [["types", "Calls by Type"], ["statuses", "Calls by Status"]]) {
      const { bars } = page.charts[name].rows(page.all);
      find(dimension).append(...dimensions[dimension].values.map((label, value) => {
        const title = `${label}: ${many(bars[value].end, "call")}`;
        const button = makeButton({ title }, () => choices.choose(dimension, value, true),
          dimension === "types" ? swatch(value) : null, make("bdi", {}, shortened(label)));
        Object.assign(button.dataset, { dimension, value });
        return button;
      }));
    }
    if (!days.length) return;
    for (const id of ["from", "to"]) {
      Object.assign(find(id), { min: isoDay(days[0]), max: isoDay(days.at(-1)) });
      find(id).addEventListener("change", () => {
        const [from, to] = [dayOf(find("from").value), dayOf(find("to").value)];
        if (from !== null && to !== null) choices.chooseDays(from, to);
      });
    }
    for (const button of document.querySelectorAll("#presets button")) {
      const length = Number(button.dataset.days);
      button.hidden = range.last - range.first < length;
      button.addEventListener("click", () => choices.chooseDays(range.last - length + 1, range.last));
    }
    find("include").addEventListener("click", () => {
      Object.assign(range, { first: days[0], last: days.at(-1) });
      page.all = page.count(choices.nothing());
      return show();
    });
    find("clear").addEventListener("click", choices.clear);
  }

  /** Name the call types beside their colours, where they stay in view and are printed. */
  function buildLegend() {
    find("legend").replaceChildren(...dimensions.types.values.map((label, value) =>
      make("span", { className: "entry", title: label }, swatch(value), make("bdi", {}, shortened(label)))));
  }

  /** Say how many calls lie outside of the days that the page covers. */
  function showOutside() {
    const outside = whole.calls - page.all.calls;
    const before = days[0] < range.first, after = days.at(-1) > range.last;
    const where = before && after ? `outside of ${spanText([range.first, range.last])}`
      : before ? `before ${dayText(range.first)}` : `after ${dayText(range.last)}`;
    find("outside").hidden = !outside;
    find("outside-text").textContent = outside
      ? `${many(outside, "call")} ${where} ${outside === 1 ? "is" : "are"} not shown: probably a wrong date.` : "";
  }

  function showState() {
    const every = many(page.all.calls, "call"), any = choices.any();
    find("message").textContent = page.unknown
      ? `The link names ${many(page.unknown, "choice")} that the calls shown here do not have; the rest was taken over.`
      : "";
    find("shown").textContent = any ? `${integer(page.summary.calls)} of ${every} chosen`
      : page.all.calls > 1 ? `All ${every}` : days.length ? every : "No calls";
    find("chosen").replaceChildren(...choices.descriptions().map(([dimension, words, values]) => makeButton(
      { className: "chosen", title: `Remove this filter: ${values}` },
      () => (dimension === "days" ? choices.chooseDays(null, null) : choices.chooseAll(dimension, [])),
      `${words}: `, make("bdi", {}, values), make("span", { "aria-hidden": true }, " ✕"),
    )));
    find("hint").hidden = any || !days.length;
    find("clear").hidden = !any;
    find("from").value = days.length ? isoDay(page.choice.from ?? range.first) : "";
    find("to").value = days.length ? isoDay(page.choice.to ?? range.last) : "";
    for (const button of document.querySelectorAll("#filters [data-dimension]")) {
      const { dimension, value } = button.dataset;
      button.setAttribute("aria-pressed", page.choice[dimension].has(Number(value)));
    }
  }

  return { buildFilters, buildLegend, showOutside, showState };
}

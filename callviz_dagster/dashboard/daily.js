/*
 * What Daily Calls shows: the chosen days by day, week or month, their running mean, and the overview of all days.
 * Nothing here knows the page.
 */
"use strict";

/**
 * Return the chart.
 *
 * @param counts the counts, as `CallCounts.read` gives them.
 * @param range first and last: the days that the page covers, which may change.
 * @param frame height in pixels, up to how many days each is marked, and the last day that was over.
 * @param chosen gives the current choice.
 * @param shownTypes gives the positions of the call types that are chosen.
 */
function dailyChart(counts, range, frame, chosen, shownTypes) {
  const { DAY, integer, decimal, many, dayText, dayName, spanText, isoDay, weekday } = Words;
  const { types, days } = counts;
  const kinds = types.length;
  const MOST_DAYS = 190, MOST_WEEKS = 160; // in a chart, before it shows the next longer unit
  const MEAN_DAYS = 7, FEWEST_FOR_MEAN = 21, MOST_POINTS_IN_A_LINE = 4000, FEWEST_SHOWN = 7;
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  const positions = new Map(days.map((day, position) => [day, position]));
  let unit = "auto";

  const startOf = {
    day: (day) => day,
    week: (day) => day - weekday(day),
    month: (day) => monthStart(day, 0),
  };
  const nextAfter = { day: (day) => day + 1, week: (day) => day + 7, month: (day) => monthStart(day, 1) };

  function monthStart(day, later) {
    const date = new Date(day * DAY);
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + later, 1) / DAY;
  }

  function unitOf([from, to]) {
    if (unit !== "auto") return unit;
    const length = to - from + 1;
    return length <= MOST_DAYS ? "day" : length <= MOST_WEEKS * 7 ? "week" : "month";
  }

  /** Return the days that are drawn: those chosen, and some beside them where they are few. */
  function shownSpan() {
    const from = chosen().from ?? range.first, to = chosen().to ?? range.last;
    const more = Math.max(Math.ceil((FEWEST_SHOWN - (to - from + 1)) / 2), 0);
    return [Math.max(from - more, range.first), Math.min(to + more, range.last)];
  }

  /** Return the days, weeks or months of a span, those at its ends cut to it; of very many days only those with calls. */
  function periods([from, to], by) {
    if (by === "day" && to - from > MOST_POINTS_IN_A_LINE) {
      const near = new Set(days.flatMap((day) => [day - 1, day, day + 1]));
      return [...near].filter((day) => day >= from && day <= to).sort((a, b) => a - b)
        .map((day) => ({ from: day, to: day, whole: true }));
    }
    const found = [];
    for (let start = startOf[by](from); start <= to; start = nextAfter[by](start)) {
      const end = nextAfter[by](start) - 1;
      const whole = start >= from && end <= Math.min(to, Math.max(frame.lastFullDay ?? to, from));
      found.push({ from: Math.max(start, from), to: Math.min(end, to), whole });
    }
    return found;
  }

  /** Return the calls of periods, by period and call type. */
  function callsIn(summary, by, spans) {
    const at = new Map(spans.map(({ from }, position) => [startOf[by](from), position]));
    const grid = new Float64Array(spans.length * kinds);
    const first = spans[0]?.from, last = spans.at(-1)?.to;
    days.forEach((day, position) => {
      if (day < first || day > last) return;
      const place = at.get(startOf[by](day)) * kinds;
      for (let code = 0; code < kinds; code++) grid[place + code] += summary.dates[position * kinds + code];
    });
    return grid;
  }

  /** Return for each position the mean of it and the six before; none where there are fewer. */
  function runningMean(calls) {
    let total = 0;
    return calls.map((number, at) => {
      total += number - (at >= MEAN_DAYS ? calls[at - MEAN_DAYS] : 0);
      return at >= MEAN_DAYS - 1 ? total / MEAN_DAYS : null;
    });
  }

  /** Return rows of one call type: its line, dashed where a period is not whole, and its running mean. */
  function linesOf(code, spans, calls, mean, place) {
    const feature = (points, more) => ({
      code, ...more, type: "Feature", geometry: { type: "LineString", coordinates: points },
    });
    const points = spans.map(({ from, to }, at) => place((from + to) / 2, calls[at]));
    const whole = spans.map(({ whole: one }) => one);
    const first = Math.max(whole.indexOf(true), 0), last = Math.max(whole.lastIndexOf(true), 0);
    const rows = [feature(points.slice(first, last + 1), { faint: mean !== null })];
    if (first > 0) rows.push(feature(points.slice(0, first + 1), { open: true }));
    if (last < points.length - 1) rows.push(feature(points.slice(last), { open: true }));
    if (mean) {
      const known = spans.map(({ from }, at) => (mean[at] === null ? null : place(from, mean[at])));
      rows.push(feature(known.filter((point) => point !== null), { mean: true }));
    }
    return rows;
  }

  // Lines are shapes in pixels, for drawing them point by point takes longer than a click may.
  function rows(summary, width) {
    if (range.first === null) return { rows: [], points: [], bounds: [], chosen: [] };
    const span = shownSpan(), by = unitOf(span), spans = periods(span, by);
    const grid = callsIn(summary, by, spans);
    const margin = span[0] === span[1] ? 1 : 0;
    const [left, right] = [span[0] - margin, span[1] + margin];
    const lines = shownTypes().map((code) => ({ code, calls: spans.map((_, at) => grid[at * kinds + code]) }));
    const top = lines.reduce((most, { calls }) => calls.reduce((one, number) => Math.max(one, number), most), 1);
    const place = (day, calls) => [((day - left) / (right - left)) * width, (1 - calls / top) * frame.height];
    const withMean = by === "day" && spans.length >= FEWEST_FOR_MEAN && spans.length <= MOST_POINTS_IN_A_LINE;
    const { from, to } = chosen();
    const cut = from !== null && from > span[0] || to !== null && to < span[1];
    return {
      rows: lines.flatMap(({ code, calls }) =>
        linesOf(code, spans, calls, withMean ? runningMean(calls) : null, place)),
      points: spans.length > frame.mostPoints ? [] : lines.flatMap(({ code, calls }) =>
        spans.map((period, at) => ({ day: ((period.from + period.to) / 2) * DAY, code, calls: calls[at] }))),
      bounds: [{ day: left * DAY, calls: 0 }, { day: right * DAY, calls: top }],
      chosen: cut ? [shade(from ?? range.first, to ?? range.last)] : [],
    };
  }

  /** Return the row that shades a span of days. */
  const shade = (from, to) => ({ from: (from - 0.5) * DAY, to: (to + 0.5) * DAY });

  /** Return the day, week or month that a day is drawn in. */
  function periodOf(day) {
    const span = shownSpan(), by = unitOf(span), start = startOf[by](day);
    return [Math.max(start, span[0]), Math.min(nextAfter[by](start) - 1, span[1])];
  }

  function tip(day, summary) {
    const [from, to] = periodOf(day);
    const grid = callsIn(summary, unitOf(shownSpan()), [{ from, to }]);
    const calls = shownTypes().map((code) => [types[code], grid[code]]);
    return [
      from === to ? dayName(from) : spanText([from, to]),
      many(sum(calls.map(([, number]) => number)), "call"),
      ...calls.map(([type, number]) => `${type}: ${integer(number)}`),
    ];
  }

  function table(summary) {
    const callsOn = (day, code) => (positions.has(day) ? summary.dates[positions.get(day) * kinds + code] : 0);
    return {
      head: ["Day", ...types, "Calls"],
      length: range.first === null ? 0 : range.last - range.first + 1,
      row(at) {
        const calls = types.map((_, code) => callsOn(range.last - at, code));
        return [isoDay(range.last - at), ...calls.map(integer), integer(sum(calls))];
      },
    };
  }

  function totals(summary, spans, by) {
    const grid = callsIn(summary, by, spans);
    return spans.map((_, at) => sum(grid.subarray(at * kinds, (at + 1) * kinds)));
  }

  function text(summary) {
    const span = shownSpan(), spans = periods(span, "day").filter(({ whole }) => whole);
    const calls = totals(summary, spans, "day"), length = span[1] - span[0] + 1;
    const most = calls.indexOf(calls.reduce((one, number) => Math.max(one, number), 0));
    const all = sum(totals(summary, periods(span, "day"), "day"));
    return `${many(length, "day")} from ${dayText(span[0])} to ${dayText(span[1])}, ` +
      `${decimal(all / length)} calls a day on average` +
      (most < 0 ? "" : `, most on ${dayName(spans[most].from)}: ${integer(calls[most])}`);
  }

  /** Say what a point stands for, and what is dashed. */
  function subtitle() {
    const span = range.first === null ? [0, 0] : shownSpan(), by = unitOf(span);
    const spans = range.first === null ? [] : periods(span, by);
    const open = spans.some(({ whole }) => !whole) ? `; dashed: a ${by} that is not complete` : "";
    const mean = by === "day" && spans.length >= FEWEST_FOR_MEAN ? "; strong lines: mean of 7 days" : "";
    const zero = by === "day" ? "; a day without calls is drawn as 0" : "";
    return `Calls per ${by}, one line for each type${mean}${zero}${open}`;
  }

  /** Return the outline of all days, in a box of 1000 by 40, and where the chosen ones begin and end in it. */
  function overview(summary) {
    const span = [range.first, range.last];
    const by = span[1] - span[0] > 400 ? "week" : "day", spans = periods(span, by);
    const calls = totals(summary, spans, by);
    const top = calls.reduce((most, number) => Math.max(most, number), 1), length = span[1] - span[0] + 1;
    const x = (day) => ((day - span[0]) / length) * 1000;
    const steps = spans.map(({ from, to }, at) => `V${40 - (calls[at] / top) * 38}H${x(to + 1).toFixed(1)}`);
    return {
      path: `M0,40${steps.join("")}V40Z`,
      from: x(chosen().from ?? span[0]),
      to: x((chosen().to ?? span[1]) + 1),
    };
  }

  return {
    calls: (summary) => sum(totals(summary, periods([range.first, range.last], "week"), "week")),
    rows, shade, periodOf, tip, table, text, subtitle, overview, shownSpan,
    setUnit: (chosenUnit) => { unit = chosenUnit; },
  };
}

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
 * @param frame height in pixels, and up to how many days each is marked.
 * @param chosen gives the current choice.
 * @param timeline what `timelineOf` gives.
 * @param shownTypes gives the positions of the call types that are chosen.
 */
function dailyChart(counts, range, frame, chosen, timeline, shownTypes) {
  const { DAY, integer, decimal, many, dayText, dayName, isoDay } = Words;
  const { unitOf, shownSpan, periods, drawnPeriods, sumsIn, runningSums, hasMean, periodOf } = timeline;
  const { types, days } = counts;
  const kinds = types.length;
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  const positions = new Map(days.map((day, position) => [day, position]));
  const callsIn = (summary, spans) => sumsIn(summary.dates, kinds, spans);

  // Lines are shapes in pixels, for drawing them point by point takes longer than a click may.
  function rows(summary, width) {
    if (range.first === null) return { rows: [], points: [], bounds: [], chosen: [] };
    const span = shownSpan(), by = unitOf(span), spans = drawnPeriods(span, by);
    const grid = callsIn(summary, spans);
    const lines = shownTypes().map((code) => ({ code, calls: spans.map((_, at) => grid[at * kinds + code]) }));
    const top = lines.reduce((most, { calls }) => calls.reduce((one, number) => Math.max(one, number), most), 1);
    const { left, right, at: placed } = timeline.frameOf(span, width, frame.height);
    const place = (day, calls) => placed(day, calls / top);
    const meanOf = (calls) => runningSums(calls).map((total) => (total === null ? null : total / timeline.MEAN_DAYS));
    return {
      rows: lines.flatMap(({ code, calls }) =>
        timeline.lineOf(spans, calls, hasMean(by, spans) ? meanOf(calls) : null, place, { code })),
      points: spans.length > frame.mostPoints ? [] : lines.flatMap(({ code, calls }) =>
        spans.map((period, at) => ({ day: ((period.from + period.to) / 2) * DAY, code, calls: calls[at] }))),
      bounds: [{ day: left * DAY, calls: 0 }, { day: right * DAY, calls: top }],
      chosen: timeline.shaded(span),
    };
  }

  function tip(day, summary) {
    const [from, to] = periodOf(day);
    const grid = callsIn(summary, [{ from, to }]);
    const calls = shownTypes().map((code) => [types[code], grid[code]]);
    return [
      timeline.named(from, to),
      many(sum(calls.map(([, number]) => number)), "call"),
      ...calls.map(([type, number]) => `${type}: ${integer(number)}`),
    ];
  }

  function table(summary) {
    if (timeline.monthly()) return tableOfMonths(summary);
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

  function tableOfMonths(summary) {
    const spans = periods(shownSpan(), "month"), grid = callsIn(summary, spans);
    return {
      head: ["Month from", ...types, "Calls"],
      length: spans.length,
      row(at) {
        const from = (spans.length - 1 - at) * kinds, calls = [...grid.subarray(from, from + kinds)];
        return [isoDay(spans[spans.length - 1 - at].from), ...calls.map(integer), integer(sum(calls))];
      },
    };
  }

  function totals(summary, spans) {
    const grid = callsIn(summary, spans);
    return spans.map((_, at) => sum(grid.subarray(at * kinds, (at + 1) * kinds)));
  }

  function text(summary) {
    const by = timeline.monthly() ? "month" : "day";
    const span = shownSpan(), spans = periods(span, by).filter(({ whole }) => whole);
    const calls = totals(summary, spans), length = span[1] - span[0] + 1;
    const most = calls.indexOf(calls.reduce((one, number) => Math.max(one, number), 0));
    const all = sum(totals(summary, periods(span, by)));
    return `${many(length, "day")} from ${dayText(span[0])} to ${dayText(span[1])}, ` +
      `${decimal(all / length)} calls a day on average` +
      (most < 0 ? "" : `, most ${by === "day" ? "on" : "in the month from"} ${dayName(spans[most].from)}: ${integer(calls[most])}`);
  }

  /** Say what a point stands for, and what is dashed. */
  function subtitle() {
    const span = range.first === null ? [0, 0] : shownSpan(), by = unitOf(span);
    const spans = range.first === null ? [] : drawnPeriods(span, by);
    const open = spans.some(({ whole }) => !whole) ? `; dashed: a ${by} that is not complete` : "";
    const mean = hasMean(by, spans) ? "; strong lines: mean of 7 days" : "";
    const zero = by === "day" ? "; a day without calls is drawn as 0" : "";
    return `Calls per ${by}, one line for each type${mean}${zero}${open}`;
  }

  /** Return the outline of all days, in a box of 1000 by 40, and where the chosen ones begin and end in it. */
  function overview(summary) {
    const span = [range.first, range.last];
    const by = span[1] - span[0] > 400 ? "week" : "day", spans = periods(span, by);
    const calls = totals(summary, spans);
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
    calls: (summary) => sum(totals(summary, periods([range.first, range.last], "week"))),
    rows, tip, table, text, subtitle, overview,
  };
}

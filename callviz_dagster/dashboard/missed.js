/*
 * What Share of Missed Calls shows: by day, week or month as Daily Calls does, the share over seven days, and the target.
 * Nothing here knows the page.
 */
"use strict";

/**
 * Return the chart.
 *
 * @param counts the counts, as `CallCounts.read` gives them.
 * @param range first and last: the days that the page covers, which may change.
 * @param frame height in pixels, and the target.
 * @param timeline what `timelineOf` gives.
 */
function missedChart(counts, range, frame, timeline) {
  const { DAY, integer, share, many, isoDay, percent } = Words;
  const { unitOf, shownSpan, periods, drawnPeriods, sumsIn, runningSums, hasMean, periodOf } = timeline;
  const kinds = counts.types.length;
  const LEAST_TOP = 0.1;

  /** Return missed and all calls of periods. */
  function callsIn(summary, spans) {
    const grid = sumsIn(summary.dates, kinds, spans);
    const calls = spans.map((_, at) => grid.subarray(at * kinds, (at + 1) * kinds).reduce((a, b) => a + b, 0));
    return { calls, missed: [...sumsIn(summary.missedDates, 1, spans)] };
  }

  const shares = (missed, calls) => missed.map((number, at) => (calls[at] ? number / calls[at] : null));

  function rows(summary, width) {
    if (range.first === null) return { rows: [], bounds: [], target: [] };
    const span = shownSpan(), by = unitOf(span), spans = drawnPeriods(span, by);
    const { missed, calls } = callsIn(summary, spans);
    const values = shares(missed, calls);
    const mean = hasMean(by, spans) ? shares(runningSums(missed), runningSums(calls)) : null;
    const target = frame.targetMissed === null ? [] : [{ share: frame.targetMissed }];
    // A day's share jumps where its calls are few: beside the mean it would only distract.
    const most = [...(mean ?? values), ...target.map((one) => one.share)];
    const top = Math.min(most.reduce((one, number) => Math.max(one, (number ?? 0) * 1.05), LEAST_TOP), 1);
    const { left, right, at } = timeline.frameOf(span, width, frame.missedHeight);
    const place = (day, number) => at(day, Math.min(number / top, 1));
    const lines = timeline.lineOf(spans, mean ?? values, null, place, { mean: mean !== null });
    for (const { geometry } of lines) {
      const [[x, y], second] = geometry.coordinates;
      if (!second) geometry.coordinates = [[x - 3, y], [x + 3, y]]; // a line of one point would not be seen
    }
    return {
      rows: lines,
      bounds: [{ day: left * DAY, share: 0 }, { day: right * DAY, share: top }],
      target,
    };
  }

  function tip(day, summary) {
    const [from, to] = periodOf(day);
    const { missed: [missed], calls: [calls] } = callsIn(summary, [{ from, to }]);
    return [timeline.named(from, to), `${share(missed, calls)} missed`, `${integer(missed)} of ${many(calls, "call")}`];
  }

  function table(summary) {
    const span = range.first === null ? [0, -1] : shownSpan(), by = unitOf(span);
    const spans = periods(span, by).reverse();
    const { missed, calls } = callsIn(summary, [...spans].reverse());
    const last = spans.length - 1;
    return {
      head: [{ day: "Day", week: "Week from", month: "Month from" }[by], "Missed", "Calls", "Share missed"],
      length: spans.length,
      row: (at) => [
        isoDay(spans[at].from), integer(missed[last - at]), integer(calls[last - at]),
        share(missed[last - at], calls[last - at]),
      ],
    };
  }

  function subtitle() {
    const span = range.first === null ? [0, 0] : shownSpan(), by = unitOf(span);
    const spans = range.first === null ? [] : drawnPeriods(span, by);
    const labels = listedMissed(counts);
    const share7 = hasMean(by, spans) ? "Over the last 7 days, for each day" : `By ${by}`;
    const target = frame.targetMissed === null ? "" : `; dashed: target ${percent(frame.targetMissed)}`;
    return `${share7}; missed: ${labels}${target}`;
  }

  const text = (summary) => `${share(summary.missed, summary.calls)} of ${many(summary.calls, "call")} missed`;

  return { calls: (summary) => summary.calls, rows, tip, table, subtitle, text };
}

/** Name the labels that count as missed. */
function listedMissed({ types, statuses, missedTypes, missedStatuses, completed }) {
  const ofStatus = missedStatuses.filter((status) => !completed.includes(status)).map((status) => statuses[status]);
  return [
    ...(missedTypes.length ? [`type ${missedTypes.map((type) => types[type]).join(", ")}`] : []),
    ...(ofStatus.length ? [`status ${ofStatus.join(", ")}`] : []),
  ].join("; ");
}

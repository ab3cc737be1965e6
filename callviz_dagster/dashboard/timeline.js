/*
 * Time as the charts over time share it: the chosen days by day, week or month, which of these are whole, and lines as
 * shapes. Nothing here knows the page.
 */
"use strict";

/**
 * Return the timeline.
 *
 * @param counts the counts, as `CallCounts.read` gives them.
 * @param range first and last: the days that the page covers, which may change.
 * @param frame height in pixels, up to how many days each is marked, and the last day that was over.
 * @param chosen gives the current choice.
 */
function timelineOf(counts, range, frame, chosen) {
  const { DAY, spanText, weekday } = Words;
  const { days } = counts;
  const MOST_DAYS = 190, MOST_WEEKS = 160; // in a chart, before it shows the next longer unit
  const MEAN_DAYS = 7, FEWEST_FOR_MEAN = 21, MOST_POINTS_IN_A_LINE = 4000, FEWEST_SHOWN = 7;
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

  /** Return the field that is chosen, if it is counted by month. */
  const monthly = () => counts.fields.find((field) => field.monthly && chosen()[field.dimension].size);

  function unitOf([from, to]) {
    if (monthly()) return "month";
    if (unit !== "auto") return unit;
    const length = to - from + 1;
    return length <= MOST_DAYS ? "day" : length <= MOST_WEEKS * 7 ? "week" : "month";
  }

  /** Return the days that are drawn: those chosen, and some beside them where they are few. */
  function shownSpan() {
    const field = monthly() ?? {}, [first, last] = FieldCounts.chosenDays(field, chosen());
    const from = Math.max(first, range.first), to = Math.min(last, range.last);
    const more = Math.max(Math.ceil((FEWEST_SHOWN - (to - from + 1)) / 2), 0);
    return [Math.max(from - more, range.first), Math.min(to + more, range.last)];
  }

  /** Return the days, weeks or months of a span, those at its ends cut to it; of very many days those with calls. */
  function periods([from, to], by) {
    if (by === "day" && to - from > MOST_POINTS_IN_A_LINE) {
      const near = new Set(days.flatMap((day) => [day - 1, day, day + 1]));
      return [...near].filter((day) => day >= from && day <= to).sort((a, b) => a - b)
        .map((day) => ({ from: day, to: day, whole: true }));
    }
    const cut = [];
    for (let start = startOf[by](from); start <= to; start = nextAfter[by](start)) {
      const end = nextAfter[by](start) - 1;
      const whole = start >= from && end <= Math.min(to, Math.max(frame.lastFullDay ?? to, from));
      cut.push({ from: Math.max(start, from), to: Math.min(end, to), whole });
    }
    return cut;
  }

  /** Return the periods that are drawn: of days those whose weekday is chosen, for the others are not without calls. */
  function drawnPeriods(span, by) {
    const { weekdays } = chosen(), cut = periods(span, by);
    return by === "day" && weekdays.size ? cut.filter(({ from }) => weekdays.has(weekday(from))) : cut;
  }

  /** Return the sums of numbers by day over periods; a day has `width` numbers, and so has a period. */
  function sumsIn(numbers, width, spans) {
    const sums = new Float64Array(spans.length * width);
    const first = spans[0]?.from, last = spans.at(-1)?.to;
    let period = 0;
    days.forEach((day, position) => {
      if (day < first || day > last) return;
      while (spans[period].to < day) period++;
      const place = period * width;
      for (let code = 0; code < width; code++) sums[place + code] += numbers[position * width + code];
    });
    return sums;
  }

  /** Return for each position the sum of it and the six before; null where there are fewer. */
  function runningSums(numbers) {
    let total = 0;
    return Array.from(numbers, (number, at) => {
      total += number - (at >= MEAN_DAYS ? numbers[at - MEAN_DAYS] : 0);
      return at >= MEAN_DAYS - 1 ? total : null;
    });
  }

  /** Return whether a chart of these periods has a mean of seven days. */
  const hasMean = (by, spans) =>
    by === "day" && !chosen().weekdays.size && spans.length >= FEWEST_FOR_MEAN && spans.length <= MOST_POINTS_IN_A_LINE;

  const feature = (points, more) => ({
    ...more, type: "Feature", geometry: { type: "LineString", coordinates: points },
  });

  /**
   * Return the rows of a line: dashed where a period is not whole, interrupted where it has no value, and its mean.
   *
   * @param values a number for each period, or null.
   * @param mean likewise, or null where there is none.
   * @param place gives the point of a day and a number.
   */
  function lineOf(spans, values, mean, place, more) {
    const points = spans.map(({ from, to }, at) => (values[at] === null ? null : place((from + to) / 2, values[at])));
    const whole = spans.map(({ whole: one }) => one);
    const first = Math.max(whole.indexOf(true), 0), last = Math.max(whole.lastIndexOf(true), 0);
    const rows = unbroken(points.slice(first, last + 1)).map((part) =>
      feature(part, { ...more, faint: mean !== null }));
    const open = [...(first > 0 ? unbroken(points.slice(0, first + 1)) : []),
      ...(last < points.length - 1 ? unbroken(points.slice(last)) : [])];
    rows.push(...open.map((part) => feature(part, { ...more, open: true })));
    if (mean) {
      const means = spans.map(({ from }, at) => (mean[at] === null ? null : place(from, mean[at])));
      rows.push(...unbroken(means).map((part) => feature(part, { ...more, mean: true })));
    }
    return rows;
  }

  /** Return the stretches of points that are there. */
  function unbroken(points) {
    const parts = [[]];
    for (const point of points) {
      if (point) parts.at(-1).push(point);
      else if (parts.at(-1).length) parts.push([]);
    }
    return parts.filter((part) => part.length);
  }

  /** Return where the chosen days begin and end in pixels, and a function that places a day and a share of the height. */
  function frameOf(span, width, height) {
    const margin = span[0] === span[1] ? 1 : 0;
    const [left, right] = [span[0] - margin, span[1] + margin];
    return {
      left, right,
      at: (day, share) => [((day - left) / (right - left)) * width, (1 - share) * height],
    };
  }

  /** Return the row that shades a span of days. */
  const shade = (from, to) => ({ from: (from - 0.5) * DAY, to: (to + 0.5) * DAY });

  /** Return the rows that shade the chosen days where more are shown. */
  function shaded(span) {
    const { from, to } = chosen();
    const cut = from !== null && from > span[0] || to !== null && to < span[1];
    return cut ? [shade(from ?? range.first, to ?? range.last)] : [];
  }

  /** Return the day, week or month that a day is drawn in. */
  function periodOf(day) {
    const span = shownSpan(), by = unitOf(span), start = startOf[by](day);
    return [Math.max(start, span[0]), Math.min(nextAfter[by](start) - 1, span[1])];
  }

  const named = (from, to) => (from === to ? Words.dayName(from) : spanText([from, to]));

  return {
    monthly, unitOf, shownSpan, periods, drawnPeriods, sumsIn, runningSums, hasMean, lineOf, frameOf, shade, shaded, periodOf, named,
    MEAN_DAYS,
    setUnit: (chosenUnit) => { unit = chosenUnit; },
  };
}

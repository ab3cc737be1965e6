/*
 * All counts of the page: reading them, and what a choice leaves of them. Numbers in, numbers out: nothing here knows
 * the page. Cells are filtered in cube.js and fields.js.
 */
"use strict";

const CallCounts = (() => {
  const { COMPLETED, MISSED } = Cells;

  /** Return the counts in `data`, as Python's `payload.to_payload` wrote them, ready to be filtered. */
  async function read(data) {
    const lastBin = data.tailSeconds / data.binSeconds, weekdayOf = Uint8Array.from(data.days, Words.weekday);
    const counts = {
      ...data,
      bins: lastBin + 1,
      weekdayOf,
      binOf: Int16Array.from(data.durations, (duration) =>
        duration < 0 ? -1 : Math.min(Math.floor((duration * data.step) / data.binSeconds), lastBin)),
      outcomeOf: outcomes(data),
      cubes: [],
      fields: [],
    };
    for (const cube of data.cubes) counts.cubes.push(await CallCube.read(cube, data, weekdayOf));
    for (const field of data.fields) counts.fields.push(await FieldCounts.read(field, data));
    return counts;
  }

  /** Return whether calls of each type and status are completed, missed or neither. */
  function outcomes({ types, statuses, completed, missedTypes, missedStatuses }) {
    return Uint8Array.from({ length: types.length * statuses.length }, (_, at) => {
      const type = Math.floor(at / statuses.length), status = at % statuses.length;
      if (completed.includes(status)) return COMPLETED;
      return missedTypes.includes(type) || missedStatuses.includes(status) ? MISSED : 0;
    });
  }

  /** Hold the durations of the histogram in other bars; the last one still holds all longer calls. */
  function setBinSeconds(counts, seconds) {
    const last = counts.bins - 1;
    counts.binSeconds = seconds;
    counts.tailSeconds = seconds * last;
    counts.binOf = Int16Array.from(counts.durations, (duration) =>
      duration < 0 ? -1 : Math.min(Math.floor((duration * counts.step) / seconds), last));
  }

  /**
   * Count the calls that a choice leaves.
   *
   * @param choice from, to: days or null; types, statuses, weekdays, bins, hours: sets of positions, empty for all;
   *   an hour's position is weekday × 24 + hour; and the same for each field, of which one at most is chosen.
   * @returns totals of the calls that pass all filters, and for each chart the calls that pass all filters but the
   *   chart's own, by what the chart shows and call type.
   */
  function summarize(counts, choice) {
    const plain = withoutFields(counts, choice);
    const field = counts.fields.find(({ dimension }) => choice[dimension].size);
    if (!field) return plain;
    const { hours, weekdays, weekdaySpan, bins } = plain;
    const chosen = FieldCounts.tally(field, counts, choice);
    return {
      ...chosen,
      hours,
      ...(field.monthly ? { weekdays, weekdaySpan } : {}),
      ...(FieldCounts.hasBins(counts) ? {} : { bins }),
    };
  }

  function withoutFields(counts, choice) {
    if (counts.cubes.length === 1) return CallCube.tally(counts, counts.cubes[0], choice);
    const [withHours, withDurations] = counts.cubes.map((cube) =>
      CallCube.tally(counts, cube, choice, { byDay: cube.hasDurations === choice.bins.size > 0 }));
    const { hours } = withHours, { bins, durations } = withDurations;
    return { ...(choice.bins.size ? withDurations : withHours), hours, bins, durations };
  }

  /**
   * Return the first and the last day that the page opens on: without a few calls whose dates are far from all others.
   *
   * @param dates the calls by day and call type.
   */
  function plausibleSpan({ days, types }, dates) {
    const runs = [];
    days.forEach((day, at) => {
      if (!at || day - days[at - 1] > 366) runs.push({ from: day, to: day, calls: 0 });
      const run = runs.at(-1);
      run.to = day;
      for (let type = 0; type < types.length; type++) run.calls += dates[at * types.length + type];
    });
    if (!runs.length) return { first: null, last: null };
    const main = runs.reduce((most, run) => (run.calls > most.calls ? run : most));
    const apart = runs.reduce((sum, run) => sum + run.calls, 0) - main.calls;
    const few = apart <= Math.max(0.01 * main.calls, 3) && main.calls >= 10 * apart;
    return few ? { first: main.from, last: main.to } : { first: days[0], last: days.at(-1) };
  }

  /** Return how often a weekday lies in a span of days, both ends included. */
  function timesOfWeekday(position, span) {
    if (!span) return 0;
    const first = span[0] + ((position - Words.weekday(span[0]) + 7) % 7);
    return first > span[1] ? 0 : Math.floor((span[1] - first) / 7) + 1;
  }

  /**
   * Return the median in seconds, the calls that have a duration, whether the median is exact, and within how many
   * seconds it is known.
   */
  function median(counts, summary) {
    if (summary.fieldBins) return FieldCounts.median(summary.fieldBins);
    const known = counts.durations.map((duration, position) => (duration < 0 ? 0 : summary.durations[position]));
    const total = known.reduce((sum, calls) => sum + calls, 0);
    if (!total) return { seconds: null, calls: 0, exact: true, within: 0 };
    const { allDurations } = counts;
    const all = counts.durations.every((duration, at) => duration < 0 || known[at] === allDurations[at]);
    if (all) return { seconds: counts.median, calls: total, exact: true, within: 0 };
    const starts = counts.durations.map((duration) => duration * counts.step);
    const seconds = medianOfClasses(starts, known, total, counts.exact ? 0 : counts.step);
    return { seconds, calls: total, exact: counts.exact, within: counts.step };
  }

  /** Return the median of calls in classes, taken as spread evenly over the width of each. */
  function medianOfClasses(starts, calls, total, width) {
    const value = (rank) => {
      let before = 0;
      for (let position = 0; ; position++) {
        if (before + calls[position] > rank) {
          return starts[position] + (width * (rank - before + 0.5)) / calls[position];
        }
        before += calls[position];
      }
    };
    return (value(Math.floor((total - 1) / 2)) + value(Math.floor(total / 2))) / 2;
  }

  return {
    read, summarize, plausibleSpan, median, medianOfClasses, timesOfWeekday, setBinSeconds,
  };
})();

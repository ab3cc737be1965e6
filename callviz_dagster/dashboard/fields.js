/*
 * Counts of calls by a further field, such as queue or agent: reading them, and filtering them. Nothing here knows the
 * page. A cell counts the calls of one value, type, status, duration bin and day, or month where days took too much.
 */
"use strict";

const FieldCounts = (() => {
  const BIN_SECONDS = 60, BINS = 31;

  /** Return a field as Python's `payload.to_payload` wrote it, ready to be filtered. */
  async function read(field, data) {
    const columns = await Cells.columns(field, data), { day } = columns;
    // By day within a group, so that a span of days is found without looking at all cells.
    const { order: byDay } = Cells.grouped(day, data.days.length);
    const groupOf = (cell) => (columns.value[cell] * data.types.length + columns.type[cell]) * data.statuses.length
      + columns.status[cell];
    const { order, starts } = Cells.grouped(byDay.map(groupOf),
      field.values.length * data.types.length * data.statuses.length);
    const sorted = order.map((at) => byDay[at]);
    const bin = Uint8Array.from(sorted, (cell) => columns.bin[cell]), calls = sorted.map((cell) => columns.calls[cell]);
    return {
      name: field.name,
      values: field.values,
      grouped: field.grouped,
      monthly: field.monthly,
      dimension: `field ${field.name}`,
      groups: groups(starts, data, bin, calls),
      day: sorted.map((cell) => day[cell]), bin, calls,
    };
  }

  /** Return the groups of one value, type and status that have calls, with their calls by duration bin. */
  function groups(starts, { types, statuses }, bin, calls) {
    const withCalls = [];
    for (let group = 0; group < starts.length - 1; group++) {
      const start = starts[group], end = starts[group + 1], bins = new Float64Array(BINS + 1);
      if (start === end) continue;
      for (let cell = start; cell < end; cell++) bins[bin[cell]] += calls[cell];
      const label = Math.floor(group / statuses.length);
      withCalls.push({
        value: Math.floor(label / types.length), type: label % types.length, status: group % statuses.length,
        start, end, bins,
      });
    }
    return withCalls;
  }

  /** Return whether cells can fill the bars of the histogram as wide as they are. */
  const hasBins = ({ binSeconds }) => binSeconds === BIN_SECONDS;

  /** Return the first or the last day of a day's month. */
  function monthEnd(day, last) {
    const date = new Date(day * Words.DAY);
    const month = date.getUTCMonth() + (last ? 1 : 0);
    return Date.UTC(date.getUTCFullYear(), month, 1) / Words.DAY - (last ? 1 : 0);
  }

  /** Return the days that a choice stands for: whole months where the field is counted by month. */
  function chosenDays({ monthly }, { from, to }) {
    if (!monthly) return [from ?? -Infinity, to ?? Infinity];
    return [from === null ? -Infinity : monthEnd(from, false), to === null ? Infinity : monthEnd(to, true)];
  }

  /** Return why each value of each part of a cell is left out by a choice. */
  function failures(field, counts, choice) {
    const { failing, TYPES, STATUSES, DURATIONS } = Cells;
    const weekdays = field.monthly ? new Set() : choice.weekdays;
    const bins = failing(BINS, hasBins(counts) ? choice.bins : new Set(), DURATIONS);
    const none = hasBins(counts) && choice.bins.size ? DURATIONS : 0;
    return {
      values: failing(field.values.length, choice[field.dimension], 1),
      types: failing(counts.types.length, choice.types, TYPES),
      statuses: failing(counts.statuses.length, choice.statuses, STATUSES),
      bins: Uint8Array.from([none, ...bins]),
      days: Cells.failingDays(counts, chosenDays(field, choice), weekdays),
    };
  }

  /** Return the first cell of a group whose day is not before one. */
  function firstOf(days, start, end, from) {
    while (start < end) {
      const middle = (start + end) >> 1;
      if (days[middle] < from) start = middle + 1;
      else end = middle;
    }
    return start;
  }

  /** Return calls, outcomes and duration bins of each value of a field under a choice, its own values left aside. */
  function valuesOf(field, counts, choice) {
    const fail = failures(field, counts, choice);
    const { bin, day, calls } = field;
    const rows = Array.from(field.values, () => ({
      calls: 0, outcomes: [0, 0, 0], bins: new Float64Array(BINS + 1),
    }));
    const all = !fail.days.some((one) => one) && !fail.bins.some((one) => one);
    const first = fail.days.indexOf(0), last = fail.days.lastIndexOf(0);
    for (const { value, type, status, start, end, bins } of field.groups) {
      if (fail.types[type] | fail.statuses[status]) continue;
      const row = rows[value];
      let number = 0;
      if (all) {
        for (let one = 0; one <= BINS; one++) {
          row.bins[one] += bins[one];
          number += bins[one];
        }
      } else {
        for (let cell = firstOf(day, start, end, first); cell < end && day[cell] <= last; cell++) {
          if (fail.days[day[cell]] | fail.bins[bin[cell]]) continue;
          row.bins[bin[cell]] += calls[cell];
          number += calls[cell];
        }
      }
      row.calls += number;
      row.outcomes[counts.outcomeOf[type * counts.statuses.length + status]] += number;
    }
    return rows;
  }

  /** Count the calls that a choice leaves, as `CallCounts.summarize` does. */
  function tally(field, counts, choice) {
    const { DATES, WEEKDAYS, TYPES, STATUSES, DURATIONS, COMPLETED, MISSED } = Cells;
    const { bin, day, calls } = field;
    const fail = failures(field, counts, choice);
    const kinds = counts.types.length, length = counts.days.length;
    const sums = {
      types: new Float64Array(kinds), statuses: new Float64Array(counts.statuses.length * kinds),
      dates: new Float64Array(length * kinds), missedDates: new Float64Array(length),
      weekdays: new Float64Array(7 * kinds), bins: new Float64Array(BINS * kinds),
      fieldBins: new Float64Array(BINS + 1),
    };
    const withCalls = new Uint8Array(length), inWeekdays = new Uint8Array(length), outcomes = [0, 0, 0];
    for (const { value, type, status, start, end } of field.groups) {
      const labels = fail.types[type] | fail.statuses[status];
      if (fail.values[value] || labels === (TYPES | STATUSES)) continue;
      const outcome = counts.outcomeOf[type * counts.statuses.length + status];
      for (let cell = start; cell < end; cell++) {
        const on = day[cell], lasted = bin[cell], number = calls[cell];
        const fails = labels | fail.bins[lasted] | fail.days[on];
        if ((fails & (fails - 1)) !== 0) continue;
        if (fails === 0) {
          outcomes[outcome] += number;
          sums.fieldBins[lasted] += number;
          withCalls[on] = 1;
        }
        if (fails === 0 || fails === TYPES) sums.types[type] += number;
        if (fails === 0 || fails === STATUSES) sums.statuses[status * kinds + type] += number;
        if (fails === 0 || fails === DATES) {
          sums.dates[on * kinds + type] += number;
          if (outcome === MISSED) sums.missedDates[on] += number;
        }
        if (fails === 0 || fails === WEEKDAYS) {
          sums.weekdays[counts.weekdayOf[on] * kinds + type] += number;
          inWeekdays[on] = 1;
        }
        if (lasted && (fails === 0 || fails === DURATIONS)) sums.bins[(lasted - 1) * kinds + type] += number;
      }
    }
    return {
      ...sums, monthly: field.monthly,
      calls: outcomes[0] + outcomes[COMPLETED] + outcomes[MISSED],
      completed: outcomes[COMPLETED], missed: outcomes[MISSED],
      span: Cells.span(counts.days, withCalls), weekdaySpan: Cells.span(counts.days, inWeekdays),
      daysWithCalls: withCalls.reduce((sum, some) => sum + some, 0),
    };
  }

  /** Return the median of calls in duration bins; the first holds those without a duration, the last is open. */
  function median(bins) {
    const known = bins.subarray(1), total = known.reduce((sum, calls) => sum + calls, 0);
    if (!total) return { seconds: null, calls: 0, exact: true, within: 0 };
    const starts = known.map((_, bin) => bin * BIN_SECONDS), tail = starts[BINS - 1];
    const seconds = Math.min(CallCounts.medianOfClasses(starts, known, total, BIN_SECONDS), tail);
    return { seconds, calls: total, exact: false, within: BIN_SECONDS, atLeast: seconds === tail };
  }

  return { read, tally, valuesOf, hasBins, median, chosenDays };
})();

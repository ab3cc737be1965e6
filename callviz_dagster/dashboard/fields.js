/*
 * Counts of calls by a further field, such as queue or agent: reading them, and filtering them. Nothing here knows the
 * page. A cell counts the calls of one value, type, status, duration bin and day, or month where days took too much.
 */
"use strict";

const FieldCounts = (() => {
  const BIN_SECONDS = 60, BINS = 31;

  /** Return a field as Python's `payload.to_payload` wrote it, ready to be filtered. */
  async function read(field, { days }, column) {
    const read = {};
    for (const [name, text] of Object.entries(field.columns)) read[name] = await column(text, field.cells);
    const { day: steps } = read;
    let day = 0;
    for (let cell = 0; cell < field.cells; cell++) {
      day = (day + steps[cell]) % days.length;
      steps[cell] = day;
    }
    return {
      name: field.name,
      values: field.values,
      grouped: field.grouped,
      monthly: field.monthly,
      dimension: `field ${field.name}`,
      ...groups(read, field.cells),
    };
  }

  /** Return cells in groups of one value, type and status, and the calls of each group by duration bin. */
  function groups({ value, type, status, bin, day, calls }, length) {
    const starts = [];
    for (let cell = 0; cell < length; cell++) {
      const before = cell - 1;
      if (!cell || value[cell] !== value[before] || type[cell] !== type[before] || status[cell] !== status[before]) {
        starts.push(cell);
      }
    }
    const read = starts.map((start, at) => {
      const end = starts[at + 1] ?? length, bins = new Float64Array(BINS + 1);
      for (let cell = start; cell < end; cell++) bins[bin[cell]] += calls[cell];
      return { value: value[start], type: type[start], status: status[start], start, end, bins };
    });
    return { groups: read, bin: Uint8Array.from(bin), day, calls };
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
    const { failing, DATES, WEEKDAYS, TYPES, STATUSES, DURATIONS } = CallCounts;
    const [from, to] = chosenDays(field, choice);
    const weekdays = failing(7, field.monthly ? new Set() : choice.weekdays, WEEKDAYS);
    const bins = failing(BINS, hasBins(counts) ? choice.bins : new Set(), DURATIONS);
    const none = hasBins(counts) && choice.bins.size ? DURATIONS : 0;
    return {
      values: failing(field.values.length, choice[field.dimension], 1),
      types: failing(counts.types.length, choice.types, TYPES),
      statuses: failing(counts.statuses.length, choice.statuses, STATUSES),
      bins: Uint8Array.from([none, ...bins]),
      days: Uint8Array.from(counts.days, (day, at) =>
        (day < from || day > to ? DATES : 0) | weekdays[counts.weekdayOf[at]]),
    };
  }

  /** Return calls, outcomes and duration bins of each value of a field under a choice, its own values left aside. */
  function valuesOf(field, counts, choice) {
    const fail = failures(field, counts, choice);
    const { bin, day, calls } = field;
    const rows = Array.from(field.values, () => ({
      calls: 0, outcomes: [0, 0, 0], bins: new Float64Array(BINS + 1),
    }));
    const all = !fail.days.some((one) => one) && !fail.bins.some((one) => one);
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
        for (let cell = start; cell < end; cell++) {
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
    const { DATES, WEEKDAYS, TYPES, STATUSES, DURATIONS, COMPLETED, MISSED } = CallCounts;
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
      span: CallCounts.span(counts.days, withCalls), weekdaySpan: CallCounts.span(counts.days, inWeekdays),
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

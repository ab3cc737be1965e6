/*
 * Counts of calls: reading them, and filtering them. Numbers in, numbers out: nothing here knows the page.
 *
 * A cell counts the calls of one type, status, day, hour and duration class. Cells lie together by type, status and
 * day in groups, so that most questions are answered from a group's total without looking at its cells.
 */
"use strict";

const CallCounts = (() => {
  // Why a call is left out, a bit for each filter. A chart leaves its own filter aside, so that what was not chosen
  // can still be seen and chosen: calls that fail one filter alone count in that filter's chart.
  const DATES = 1, WEEKDAYS = 2, TYPES = 4, STATUSES = 8, HOURS = 16, DURATIONS = 32;
  const COMPLETED = 1, MISSED = 2;

  /** Return the bytes that were deflated and written as base64. */
  async function inflate(text) {
    const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Return the numbers of a column: the lowest byte of all of them, then the next higher byte of all, and so on. */
  async function column(text, length) {
    const bytes = await inflate(text);
    if (bytes.length % length) throw new Error(`the page is damaged, a column of ${length} counts is incomplete`);
    const numbers = new Uint32Array(length);
    for (let at = 0, scale = 1; at < bytes.length; scale *= 256) {
      for (let cell = 0; cell < length; cell++, at++) numbers[cell] += bytes[at] * scale;
    }
    return numbers;
  }

  /** Return the counts in `data`, as Python's `payload.to_payload` wrote them, ready to be filtered. */
  async function read(data) {
    const lastBin = data.tailSeconds / data.binSeconds;
    const counts = {
      ...data,
      bins: lastBin + 1,
      weekdayOf: Uint8Array.from(data.days, Words.weekday),
      binOf: Int16Array.from(data.durations, (duration) =>
        duration < 0 ? -1 : Math.min(Math.floor((duration * data.step) / data.binSeconds), lastBin)),
      outcomeOf: outcomes(data),
      cubes: [],
      fields: [],
    };
    for (const cube of data.cubes) counts.cubes.push(await readCube(cube, data));
    for (const field of data.fields) counts.fields.push(await FieldCounts.read(field, data, column));
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

  /** Sort the cells of a cube by type, status and day. */
  async function readCube({ cells, columns, hasHours, hasDurations }, { types, statuses, days }) {
    const read = {};
    for (const [name, text] of Object.entries(columns)) read[name] = await column(text, cells);
    const groups = types.length * statuses.length * days.length;
    const groupOf = new Uint32Array(cells);
    const starts = new Uint32Array(groups + 1), totals = new Float64Array(groups);
    let day = 0;
    for (let cell = 0; cell < cells; cell++) {
      day = (day + read.day[cell]) % days.length;
      const group = (read.type[cell] * statuses.length + read.status[cell]) * days.length + day;
      groupOf[cell] = group;
      starts[group + 1]++;
      totals[group] += read.calls[cell];
    }
    for (let group = 0; group < groups; group++) starts[group + 1] += starts[group];
    const next = starts.slice();
    const sorted = {
      hours: new Uint8Array(cells),
      durations: new Uint32Array(cells),
      calls: new Uint32Array(cells),
    };
    for (let cell = 0; cell < cells; cell++) {
      const place = next[groupOf[cell]]++;
      sorted.hours[place] = read.hour[cell];
      sorted.durations[place] = read.duration[cell];
      sorted.calls[place] = read.calls[cell];
    }
    return { hasHours, hasDurations, starts, totals, ...sorted };
  }

  /** Return for each position the bit, where positions are chosen and it is not among them. */
  function failing(length, chosen, bit) {
    return Uint8Array.from({ length }, (_, position) => (chosen.size && !chosen.has(position) ? bit : 0));
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
    if (counts.cubes.length === 1) return tally(counts, counts.cubes[0], choice);
    const [byHour, byDuration] = counts.cubes;
    const withHours = tally(counts, byHour, choice), withDurations = tally(counts, byDuration, choice);
    const { hours } = withHours, { bins, durations } = withDurations;
    return { ...(choice.bins.size ? withDurations : withHours), hours, bins, durations };
  }

  function tally(counts, cube, choice) {
    const { days, weekdayOf, binOf } = counts;
    const kinds = counts.types.length;
    const from = choice.from ?? -Infinity, to = choice.to ?? Infinity;
    const typeFails = failing(kinds, choice.types, TYPES);
    const statusFails = failing(counts.statuses.length, choice.statuses, STATUSES);
    const weekdayFails = failing(7, choice.weekdays, WEEKDAYS);
    const hourFails = failing(168, cube.hasHours ? choice.hours : new Set(), HOURS);
    const binFails = failing(counts.bins, cube.hasDurations ? choice.bins : new Set(), DURATIONS);
    const anyBin = cube.hasDurations && choice.bins.size > 0;
    const durationFails = Uint8Array.from(binOf, (bin) => (bin >= 0 ? binFails[bin] : anyBin ? DURATIONS : 0));
    const anyCell = anyBin || (cube.hasHours && choice.hours.size > 0);
    const dayFails = Uint8Array.from(days, (day, position) =>
      (day < from || day > to ? DATES : 0) | weekdayFails[weekdayOf[position]]);

    const types = new Float64Array(kinds);
    const statuses = new Float64Array(counts.statuses.length * kinds);
    const dates = new Float64Array(days.length * kinds);
    const weekdays = new Float64Array(7 * kinds);
    const hours = new Float64Array(168);
    const byDuration = new Float64Array(counts.durations.length * kinds);
    const durations = new Float64Array(counts.durations.length);
    const daysWithCalls = new Uint8Array(days.length), weekdaySpan = new Uint8Array(days.length);
    const missedDates = new Float64Array(days.length);
    const outcomeCalls = [0, 0, 0];
    let calls = 0;

    let group = 0;
    for (let type = 0; type < kinds; type++) {
      for (let status = 0; status < counts.statuses.length; status++) {
        const labelFails = typeFails[type] | statusFails[status];
        const outcome = counts.outcomeOf[type * counts.statuses.length + status];
        if (labelFails === (TYPES | STATUSES)) {
          group += days.length;
          continue;
        }
        for (let day = 0; day < days.length; day++, group++) {
          const fails = labelFails | dayFails[day];
          const start = cube.starts[group], end = cube.starts[group + 1];
          if (start === end || (fails & (fails - 1)) !== 0) continue;
          const hour = weekdayOf[day] * 24;
          let passing = cube.totals[group];
          if (anyCell || fails === 0) {
            passing = 0;
            for (let cell = start; cell < end; cell++) {
              const slot = hour + cube.hours[cell], duration = cube.durations[cell], number = cube.calls[cell];
              const cellFails = hourFails[slot] | durationFails[duration];
              if (cellFails === 0) {
                passing += number;
                if (fails === 0) {
                  hours[slot] += number;
                  byDuration[duration * kinds + type] += number;
                  durations[duration] += number;
                }
              } else if (fails === 0) {
                if (cellFails === HOURS) hours[slot] += number;
                else if (cellFails === DURATIONS) byDuration[duration * kinds + type] += number;
              }
            }
          }
          if (passing === 0) continue;
          if (fails === 0) {
            calls += passing;
            outcomeCalls[outcome] += passing;
            daysWithCalls[day] = 1;
          }
          if (fails === 0 || fails === TYPES) types[type] += passing;
          if (fails === 0 || fails === STATUSES) statuses[status * kinds + type] += passing;
          if (fails === 0 || fails === DATES) {
            dates[day * kinds + type] += passing;
            if (outcome === MISSED) missedDates[day] += passing;
          }
          if (fails === 0 || fails === WEEKDAYS) {
            weekdays[weekdayOf[day] * kinds + type] += passing;
            weekdaySpan[day] = 1;
          }
        }
      }
    }
    const bins = new Float64Array(counts.bins * kinds);
    binOf.forEach((bin, duration) => {
      if (bin < 0) return;
      for (let type = 0; type < kinds; type++) bins[bin * kinds + type] += byDuration[duration * kinds + type];
    });
    return {
      calls, completed: outcomeCalls[COMPLETED], missed: outcomeCalls[MISSED],
      types, statuses, dates, missedDates, weekdays, hours, bins, durations,
      span: span(days, daysWithCalls), weekdaySpan: span(days, weekdaySpan),
      daysWithCalls: daysWithCalls.reduce((sum, some) => sum + some, 0),
    };
  }

  /** Return the first and the last day that is marked, or null. */
  function span(days, marked) {
    const first = marked.indexOf(1);
    return first < 0 ? null : [days[first], days[marked.lastIndexOf(1)]];
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
    inflate, read, summarize, plausibleSpan, median, medianOfClasses, timesOfWeekday, setBinSeconds, failing, span,
    DATES, WEEKDAYS, TYPES, STATUSES, DURATIONS, COMPLETED, MISSED,
  };
})();

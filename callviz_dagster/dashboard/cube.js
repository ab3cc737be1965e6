/*
 * Counts of calls by type, status, day, hour and duration class: reading them, and filtering them.
 *
 * Cells lie together by type, status and day in groups, so that most questions are answered from a group's total
 * without looking at its cells. For hours and durations of a span of days there are sums over blocks of days.
 */
"use strict";

const CallCube = (() => {
  const { DATES, WEEKDAYS, TYPES, STATUSES, HOURS, DURATIONS, COMPLETED, MISSED } = Cells;
  const DAYS_IN_BLOCK = 32, MOST_SUMS = 4_000_000;
  const HOURS_OF_WEEK = 168;

  /** Read a cube; `weekdayOf` has the weekday of each day. */
  async function read(cube, { types, statuses, days, durations }, weekdayOf) {
    const { type, status, day, hour, duration, calls } = await Cells.columns(cube, { days });
    const pairs = types.length * statuses.length;
    const groupOf = type.map((code, cell) => (code * statuses.length + status[cell]) * days.length + day[cell]);
    const { order, starts } = Cells.grouped(groupOf, pairs * days.length);
    const totals = new Float64Array(pairs * days.length);
    groupOf.forEach((group, cell) => { totals[group] += calls[cell]; });
    const slots = Uint8Array.from(order, (cell) => weekdayOf[day[cell]] * 24 + hour[cell]);
    const classes = order.map((cell) => duration[cell]);
    const sorted = { starts, totals, days: days.length, calls: order.map((cell) => calls[cell]), slots, classes };
    return {
      hasHours: cube.hasHours,
      hasDurations: cube.hasDurations,
      ...sorted,
      byHour: cube.hasHours ? blocksOf(sorted, pairs, slots, HOURS_OF_WEEK) : null,
      byDuration: cube.hasDurations ? blocksOf(sorted, pairs, classes, durations.length) : null,
    };
  }

  /**
   * Sum the calls of each type and status by a part of their cells.
   *
   * @param parts the hour of the week, or the duration class, of each cell.
   * @param width how many there are.
   * @returns the parts; sums: for each type and status, and each block of days, the calls before that block; how many
   *   days a block has, and how many blocks there are.
   */
  function blocksOf({ starts, calls, days }, pairs, parts, width) {
    const most = Math.max(Math.floor(MOST_SUMS / (pairs * width)), 1);
    const length = Math.max(Math.ceil(days / most), DAYS_IN_BLOCK), blocks = Math.ceil(days / length);
    const sums = new Float64Array(pairs * (blocks + 1) * width);
    for (let pair = 0; pair < pairs; pair++) {
      for (let block = 0; block < blocks; block++) {
        const before = (pair * (blocks + 1) + block) * width, after = before + width;
        sums.copyWithin(after, before, after);
        const first = pair * days + block * length, next = pair * days + Math.min((block + 1) * length, days);
        for (let cell = starts[first]; cell < starts[next]; cell++) sums[after + parts[cell]] += calls[cell];
      }
    }
    return { parts, width, sums, length, blocks };
  }

  /** Add the calls of one type and status from a day up to before another one to sums by hour or duration class. */
  function addSpan(into, cube, { parts, width, sums, length, blocks }, pair, from, to) {
    const first = Math.ceil(from / length), last = to === cube.days ? blocks : Math.floor(to / length);
    if (first >= last) {
      addDaysOf(into, cube, parts, pair, from, to);
      return;
    }
    const before = (pair * (blocks + 1) + first) * width, after = (pair * (blocks + 1) + last) * width;
    for (let part = 0; part < width; part++) into[part] += sums[after + part] - sums[before + part];
    addDaysOf(into, cube, parts, pair, from, first * length);
    addDaysOf(into, cube, parts, pair, Math.min(last * length, to), to);
  }

  /** Add the calls of one type and status from a day up to before another one cell by cell. */
  function addDaysOf(into, { starts, calls, days }, parts, pair, from, to) {
    const end = starts[pair * days + to];
    for (let cell = starts[pair * days + from]; cell < end; cell++) into[parts[cell]] += calls[cell];
  }

  /** Return the spans of days that pass, each from a day up to before another one. */
  function passingSpans(dayFails) {
    const spans = [];
    dayFails.forEach((fails, day) => {
      if (fails) return;
      if (day && !dayFails[day - 1]) spans.at(-1)[1] = day + 1;
      else spans.push([day, day + 1]);
    });
    return spans;
  }

  /** Return why a choice leaves out each part of a cell. */
  function failures(counts, cube, choice) {
    const bins = cube.hasDurations ? choice.bins : new Set(), hours = cube.hasHours ? choice.hours : new Set();
    const binFails = Cells.failing(counts.bins, bins, DURATIONS), without = bins.size ? DURATIONS : 0;
    const days = Cells.failingDays(counts, [choice.from ?? -Infinity, choice.to ?? Infinity], choice.weekdays);
    return {
      types: Cells.failing(counts.types.length, choice.types, TYPES),
      statuses: Cells.failing(counts.statuses.length, choice.statuses, STATUSES),
      days,
      spans: passingSpans(days),
      slots: Cells.failing(HOURS_OF_WEEK, hours, HOURS),
      classes: Uint8Array.from(counts.binOf, (bin) => (bin >= 0 ? binFails[bin] : without)),
      anyCell: bins.size > 0 || hours.size > 0,
    };
  }

  function noSums({ types, statuses, days, durations }) {
    const kinds = types.length;
    return {
      types: new Float64Array(kinds), statuses: new Float64Array(statuses.length * kinds),
      dates: new Float64Array(days.length * kinds), missedDates: new Float64Array(days.length),
      weekdays: new Float64Array(7 * kinds), hours: new Float64Array(HOURS_OF_WEEK),
      durations: new Float64Array(durations.length), durationsByType: new Float64Array(durations.length * kinds),
      withCalls: new Uint8Array(days.length), inWeekdays: new Uint8Array(days.length), outcomes: [0, 0, 0],
    };
  }

  /** Count the calls that a choice leaves, see `CallCounts.summarize`; without `byDay` only hours and durations. */
  function tally(counts, cube, choice, { byDay = true } = {}) {
    const kinds = counts.types.length, { length } = counts.days;
    const fails = failures(counts, cube, choice), sums = noSums(counts);
    for (let type = 0; type < kinds; type++) {
      for (let status = 0; status < counts.statuses.length; status++) {
        const labels = fails.types[type] | fails.statuses[status];
        if (labels === (TYPES | STATUSES)) continue;
        const pair = type * counts.statuses.length + status;
        let totals = cube.totals.subarray(pair * length, (pair + 1) * length);
        if (fails.anyCell) totals = addCells(sums, cube, fails, type, pair, labels);
        else if (!labels) addSpans(sums, cube, fails, type, pair);
        if (byDay) addDays(sums, counts, totals, fails.days, type, status, labels);
      }
    }
    return summed(counts, sums);
  }

  /** Add the hours and durations of one type and status on all days that pass. */
  function addSpans(sums, cube, { spans }, type, pair) {
    const width = sums.durations.length, durations = new Float64Array(width);
    for (const [from, to] of spans) {
      if (cube.byHour) addSpan(sums.hours, cube, cube.byHour, pair, from, to);
      if (cube.byDuration) addSpan(durations, cube, cube.byDuration, pair, from, to);
    }
    for (let at = 0; at < width; at++) {
      sums.durations[at] += durations[at];
      sums.durationsByType[type * width + at] += durations[at];
    }
  }

  /** Add the hours and durations of one type and status cell by cell, and return the calls that pass on each day. */
  function addCells(sums, { starts, slots, classes, calls }, fails, type, pair, labels) {
    const { length } = fails.days, passing = new Float64Array(length), first = type * sums.durations.length;
    const { hours, durations, durationsByType } = sums;
    for (let day = 0; day < length; day++) {
      const dayFails = labels | fails.days[day];
      if ((dayFails & (dayFails - 1)) !== 0) continue;
      const end = starts[pair * length + day + 1];
      for (let cell = starts[pair * length + day]; cell < end; cell++) {
        const slot = slots[cell], duration = classes[cell], number = calls[cell];
        const cellFails = fails.slots[slot] | fails.classes[duration];
        if (cellFails === 0) passing[day] += number;
        if (dayFails !== 0) continue;
        if (cellFails === 0 || cellFails === HOURS) hours[slot] += number;
        if (cellFails === 0 || cellFails === DURATIONS) durationsByType[first + duration] += number;
        if (cellFails === 0) durations[duration] += number;
      }
    }
    return passing;
  }

  /** Add the calls of one type and status by day to all sums that do not distinguish hours and durations. */
  function addDays(sums, { types, statuses, weekdayOf, outcomeOf }, totals, dayFails, type, status, labels) {
    const kinds = types.length, outcome = outcomeOf[type * statuses.length + status];
    let passing = 0;
    for (let day = 0; day < totals.length; day++) {
      const number = totals[day], fails = labels | dayFails[day];
      if (number === 0 || (fails & (fails - 1)) !== 0) continue;
      if (dayFails[day] === 0) passing += number;
      if (labels) continue;
      if (fails === 0) sums.withCalls[day] = 1;
      if (fails === 0 || fails === DATES) {
        sums.dates[day * kinds + type] += number;
        if (outcome === MISSED) sums.missedDates[day] += number;
      }
      if (fails === 0 || fails === WEEKDAYS) {
        sums.weekdays[weekdayOf[day] * kinds + type] += number;
        sums.inWeekdays[day] = 1;
      }
    }
    if (labels === 0) sums.outcomes[outcome] += passing;
    if (labels === 0 || labels === TYPES) sums.types[type] += passing;
    if (labels === 0 || labels === STATUSES) sums.statuses[status * kinds + type] += passing;
  }

  function summed(counts, sums) {
    const { types, statuses, dates, missedDates, weekdays, hours, durations, outcomes, withCalls, inWeekdays } = sums;
    const kinds = types.length, bins = new Float64Array(counts.bins * kinds);
    counts.binOf.forEach((bin, duration) => {
      if (bin < 0) return;
      for (let type = 0; type < kinds; type++) {
        bins[bin * kinds + type] += sums.durationsByType[type * durations.length + duration];
      }
    });
    return {
      types, statuses, dates, missedDates, weekdays, hours, bins, durations,
      calls: outcomes[0] + outcomes[COMPLETED] + outcomes[MISSED],
      completed: outcomes[COMPLETED], missed: outcomes[MISSED],
      span: Cells.span(counts.days, withCalls), weekdaySpan: Cells.span(counts.days, inWeekdays),
      daysWithCalls: withCalls.reduce((sum, some) => sum + some, 0),
    };
  }

  return { read, tally };
})();

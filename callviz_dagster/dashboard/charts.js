/*
 * What each chart shows of the calls that are counted: rows to draw, lines of a tooltip, a table, a sentence.
 * How it is drawn is in the specifications that come with the page. Nothing here knows the page.
 */
"use strict";

/**
 * Return what can be chosen: its name on the page and in the link, and each value's name in both.
 */
function dimensionsOf(counts) {
  const { WEEKDAYS, clock } = Words;
  const { types, statuses, fields } = counts;
  const hours = Array.from({ length: 168 }, (_, slot) => [WEEKDAYS[Math.floor(slot / 24)], slot % 24]);
  return {
    types: { words: "Call type", link: "type", values: types, names: types },
    statuses: { words: "Status", link: "status", values: statuses, names: statuses },
    weekdays: { words: "Weekday", link: "weekday", values: WEEKDAYS, names: WEEKDAYS },
    bins: { words: "Duration", link: "duration", ...binNames(counts) },
    hours: {
      words: "Hour", link: "hour",
      values: hours.map(([weekday, hour]) => `${weekday} ${clock(hour)} to ${clock(hour + 1)}`),
      names: hours.map(([weekday, hour]) => `${weekday}-${clock(hour).slice(0, 2)}`),
    },
    ...Object.fromEntries(fields.map(({ dimension, name, values }) =>
      [dimension, { words: name, link: `field.${name}`, values, names: values }])),
  };
}

/** Return the names of the bars of the histogram on the page, and in the link. */
function binNames({ bins, binSeconds }) {
  const starts = Array.from({ length: bins }, (_, bin) => bin * binSeconds);
  const { unit, size } = binSeconds < 60 ? { unit: "s", size: 1 } : { unit: "min", size: 60 };
  const values = starts.map((start, bin) => bin === bins - 1
    ? `${start / size} ${unit} or longer` : `${start / size} to under ${(start + binSeconds) / size} ${unit}`);
  return { values, names: starts.map(String) };
}

/**
 * Return the charts by name.
 *
 * @param counts the counts, as `CallCounts.read` gives them.
 * @param dimensions what `dimensionsOf` gives.
 * @param frame what the charts over time need.
 * @param range first and last: the days that the page covers, which may change.
 * @param chosen gives the current choice.
 */
function chartsOf(counts, dimensions, frame, range, chosen) {
  const { WEEKDAYS, integer, decimal, share, many, clock } = Words;
  const { types } = counts;
  const kinds = types.length;
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  const largest = (numbers) => numbers.reduce((most, number) => Math.max(most, number), 0);
  const isChosen = (dimension, value) => !chosen()[dimension].size || chosen()[dimension].has(value);
  const callsAndShare = (calls, whole) => `${many(calls, "call")}, ${share(calls, whole)}`;

  /** Return the length of each bar of a grid, which holds calls by bar and call type. */
  function lengths(grid) {
    return Array.from({ length: grid.length / kinds }, (_, bar) => sum(grid.subarray(bar * kinds, (bar + 1) * kinds)));
  }

  /** Return a row for each part of each stacked bar. */
  function parts(grid, places, dimension) {
    const rows = [];
    places.forEach((place, bar) => {
      let start = 0;
      for (let code = 0; code < kinds; code++) {
        const end = start + grid[bar * kinds + code];
        if (end > start) rows.push({ ...place, bar, code, part: bar * kinds + code, start, end, chosen: isChosen(dimension, bar) });
        start = end;
      }
    });
    return rows;
  }

  /**
   * A chart of stacked bars, one bar for each value of a dimension.
   *
   * @param grid gives its grid of a summary.
   * @param places gives where each bar stands.
   * @param byType whether a bar has parts.
   * @param more further columns of the table and lines of the tooltip, by name.
   */
  function bars(dimension, grid, places, { byType = true, more = {} } = {}) {
    const { words } = dimensions[dimension];
    const named = () => dimensions[dimension].values;
    const further = (bar, calls, summary) => Object.values(more).map((figure) => figure(bar, calls, summary));
    return {
      dimension,
      calls: (summary) => sum(grid(summary)),
      rows(summary) {
        const calls = lengths(grid(summary)), whole = sum(calls);
        const written = (bar) => `${integer(calls[bar])} · ${share(calls[bar], whole)}`;
        return {
          rows: parts(grid(summary), places(), dimension),
          bars: places().map((place, bar) => ({ ...place, bar, start: 0, end: calls[bar], text: written(bar) })),
        };
      },
      tip({ bar, code, start, end }, summary) {
        const calls = lengths(grid(summary)), names = Object.keys(more);
        return [
          named()[bar],
          ...(byType && code !== undefined ? [`${types[code]}: ${many(end - start, "call")}`] : []),
          `${byType ? "All types: " : ""}${callsAndShare(calls[bar], sum(calls))}`,
          ...further(bar, calls[bar], summary).map((figure, at) => `${names[at]}: ${figure}`),
        ];
      },
      table(summary) {
        const cells = grid(summary), calls = lengths(cells), whole = sum(calls);
        const kindsOf = (bar) => [...cells.subarray(bar * kinds, (bar + 1) * kinds)].map(integer);
        return {
          head: [words, ...(byType ? types : []), "Calls", "Share", ...Object.keys(more)],
          length: named().length,
          row: (bar) => [
            { dimension, value: bar, text: named()[bar] },
            ...(byType ? kindsOf(bar) : []),
            integer(calls[bar]),
            share(calls[bar], whole),
            ...further(bar, calls[bar], summary),
          ],
        };
      },
      text(summary) {
        const calls = lengths(grid(summary)), whole = sum(calls);
        const values = named();
        const shown = values.map((value, bar) => `${value} ${integer(calls[bar])}, ${share(calls[bar], whole)}`);
        if (values.length <= 15) return shown.join("; ");
        return `${values.length} bars, the longest is ${shown[calls.indexOf(largest(calls))]}`;
      },
    };
  }

  /** Return calls by call type as a grid of bars that each hold one type. */
  function diagonal(calls) {
    const grid = new Float64Array(kinds * kinds);
    calls.forEach((number, code) => { grid[code * kinds + code] = number; });
    return grid;
  }

  function averagePerDay(bar, calls, { weekdaySpan }) {
    const times = CallCounts.timesOfWeekday(bar, weekdaySpan);
    return times ? decimal(calls / times) : "–";
  }

  const shownTypes = () => types.map((_, code) => code).filter((code) => isChosen("types", code));
  const hourWords = dimensions.hours.values;
  const hours = {
    dimension: "hours",
    calls: (summary) => sum(summary.hours),
    legend: (summary) => stepsOf(summary.hours),
    rows: (summary, _, steps = stepsOf(summary.hours)) => ({
      rows: hourWords.map((__, slot) => ({
        bar: slot,
        label: WEEKDAYS[Math.floor(slot / 24)],
        hour: slot % 24,
        calls: summary.hours[slot],
        strength: strengthOf(summary.hours[slot], steps),
        chosen: isChosen("hours", slot),
      })),
    }),
    tip: ({ bar }, summary) => [hourWords[bar], callsAndShare(summary.hours[bar], sum(summary.hours))],
    table: (summary) => ({
      head: ["Hour", ...WEEKDAYS],
      length: 24,
      row: (hour) => [clock(hour), ...WEEKDAYS.map((_, weekday) => {
        const slot = weekday * 24 + hour;
        return { dimension: "hours", value: slot, text: integer(summary.hours[slot]), label: hourWords[slot] };
      })],
    }),
    text(summary) {
      const most = largest(summary.hours);
      return `busiest on ${hourWords[summary.hours.indexOf(most)]} with ${many(most, "call")}`;
    },
  };

  const labels = (values) => () => values.map((label) => ({ label }));
  const spans = () => dimensions.bins.values.map((_, bin) => (
    { from: (bin * counts.binSeconds) / 60, to: ((bin + 1) * counts.binSeconds) / 60 }));
  const timeline = timelineOf(counts, range, frame, chosen);
  return {
    "Calls by Type": bars("types", (summary) => diagonal(summary.types), labels(types), { byType: false }),
    "Calls by Status": bars("statuses", (summary) => summary.statuses, labels(counts.statuses)),
    "Daily Calls": { ...dailyChart(counts, range, frame, chosen, timeline, shownTypes), timeline },
    "Share of Missed Calls": { ...missedChart(counts, range, frame, timeline), timeline },
    "Calls by Weekday": bars("weekdays", (summary) => summary.weekdays, labels(WEEKDAYS), {
      more: { "Average per day": averagePerDay },
    }),
    "Duration Histogram": bars("bins", (summary) => summary.bins, spans),
    "Calls by Hour and Weekday": hours,
  };
}

/** Return the steps of the heat map: the calls that each begins with and its strength; the last one is open. */
function stepsOf(hours) {
  const STRENGTHS = [0.16, 0.34, 0.54, 0.76, 1], MOST = 0.95;
  const busy = [...hours].filter((calls) => calls > 0).sort((a, b) => a - b);
  // One very busy hour does not wash out all others: it is in the last step, which begins well below it.
  const high = busy[Math.floor(MOST * (busy.length - 1))] ?? 0;
  const width = Math.max(rounded(high / STRENGTHS.length), 1);
  const starts = STRENGTHS.map((_, step) => step * width + 1).filter((from) => from <= (busy.at(-1) ?? 0));
  // The strongest ones, so that a few calls do not look like none.
  return starts.map((from, step) => ({ from, strength: STRENGTHS.at(step - starts.length) }));
}

/** Return a number rounded up to one that is easily read. */
function rounded(number) {
  const power = 10 ** Math.floor(Math.log10(Math.max(number, 1)));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((factor) => Math.ceil(factor * power)).find((one) => one >= number);
}

function strengthOf(calls, steps) {
  return steps.findLast(({ from }) => from <= calls)?.strength ?? 0.03;
}

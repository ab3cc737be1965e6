/*
 * Cells that count calls, as the page holds them: their columns, their order, and why a choice leaves them out.
 * Numbers in, numbers out: nothing here knows the page.
 */
"use strict";

const Cells = (() => {
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

  /** Read all columns of cells; a day is written as the number of days after that of the cell before. */
  async function columns({ cells, columns: texts }, { days }) {
    const read = {};
    for (const [name, text] of Object.entries(texts)) read[name] = await column(text, cells);
    const { day: steps } = read;
    let day = 0;
    for (let cell = 0; cell < cells; cell++) {
      day = (day + steps[cell]) % days.length;
      steps[cell] = day;
    }
    return read;
  }

  /**
   * Sort cells into groups.
   *
   * @param groupOf the group of each cell.
   * @param groups how many groups there are.
   * @returns order: the cells group by group, otherwise as they were; starts: where each group starts in that order,
   *   and where the last one ends.
   */
  function grouped(groupOf, groups) {
    const starts = new Uint32Array(groups + 1), order = new Uint32Array(groupOf.length);
    for (const group of groupOf) starts[group + 1]++;
    for (let group = 0; group < groups; group++) starts[group + 1] += starts[group];
    const next = starts.slice();
    for (let cell = 0; cell < groupOf.length; cell++) order[next[groupOf[cell]]++] = cell;
    return { order, starts };
  }

  /** Return for each position the bit, where positions are chosen and it is not among them. */
  function failing(length, chosen, bit) {
    return Uint8Array.from({ length }, (_, position) => (chosen.size && !chosen.has(position) ? bit : 0));
  }

  /** Return for each day why a choice of dates and weekdays leaves it out. */
  function failingDays({ days, weekdayOf }, [from, to], weekdays) {
    const weekdayFails = failing(7, weekdays, WEEKDAYS);
    const fails = new Uint8Array(days.length);
    for (let at = 0; at < fails.length; at++) {
      fails[at] = (days[at] < from || days[at] > to ? DATES : 0) | weekdayFails[weekdayOf[at]];
    }
    return fails;
  }

  /** Return the first and the last day that is marked, or null. */
  function span(days, marked) {
    const first = marked.indexOf(1);
    return first < 0 ? null : [days[first], days[marked.lastIndexOf(1)]];
  }

  return {
    inflate, columns, grouped, failing, failingDays, span,
    DATES, WEEKDAYS, TYPES, STATUSES, HOURS, DURATIONS, COMPLETED, MISSED,
  };
})();

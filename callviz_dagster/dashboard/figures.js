/*
 * The headline figures as text: calls, share completed, median duration, days covered, and whether calls go up or down.
 * Nothing here knows the page.
 */
"use strict";

/**
 * Return functions that say the figures.
 *
 * @param counts the counts, as `CallCounts.read` gives them.
 * @param range first and last: the days that the page covers, which may change.
 * @param count counts the calls that some choices leave.
 */
function figuresOf(counts, range, count) {
  const { integer, decimal, percent, share, many, signed, dayName, spanText } = Words;
  const apart = counts.cubes.length > 1;
  const APART = "the page holds hours and durations apart";

  function medianOf(summary, choice) {
    return apart && choice.hours.size ? null : CallCounts.median(counts, summary.durations);
  }

  function medianText(median) {
    if (median === null || median.seconds === null) return "–";
    return median.exact ? Words.duration(median.seconds) : `≈ ${Words.duration(Math.round(median.seconds))}`;
  }

  /** Say of how many calls a median is, and its seconds or how far it may be off. */
  function medianNote(median, calls) {
    if (median === null) return `Not known for chosen hours: ${APART}`;
    if (!calls) return "";
    const { seconds, exact } = median;
    const precision = seconds === null ? "" : exact ? `${decimal(seconds)} s, ` : `within ${counts.step} s, `;
    return `${precision}of ${many(median.calls, "call")} with a duration; ${integer(calls - median.calls)} without`;
  }

  /** Return the lines of each headline figure: name, number, what it is of, and how it was in the period before. */
  function headline(summary, before, choice) {
    const { calls, completed, span, daysWithCalls } = summary;
    const covered = span ? span[1] - span[0] + 1 : 0;
    const known = counts.completed !== null;
    const median = medianOf(summary, choice);
    const changes = [null, null, null, null];
    if (before) {
      const growth = before.calls ? `${signed(calls / before.calls - 1, percent)}, ` : "";
      const points = before.calls && calls
        ? `${signed((completed / calls - before.completed / before.calls) * 100, decimal)} points, ` : "";
      changes[0] = `${growth}before: ${integer(before.calls)}`;
      changes[1] = known ? `${points}before: ${share(before.completed, before.calls)}` : null;
      changes[2] = `before: ${medianText(medianOf(before, choice))}`;
    }
    const completedNote = calls ? "No status is called completed" : "";
    const daysNote = covered > 1 ? `; ${integer(daysWithCalls)} with calls` : "";
    return [
      ["Calls", integer(calls), covered ? `${decimal(calls / covered)} a day on average` : "", changes[0]],
      known ? ["Completed", share(completed, calls), `${many(completed, "call")} with status completed`, changes[1]]
        : ["Completed", "–", completedNote, null],
      ["Median duration", medianText(median), medianNote(median, calls), changes[2]],
      ["Days covered", integer(covered), span ? spanText(span) + daysNote : "", null],
    ];
  }

  /**
   * Compare the last seven full days, and the last full day, with those before.
   *
   * @returns two pairs, each of a period's name and what changed; null where the days are too few.
   */
  function trend(choice, lastFullDay) {
    const last = Math.min(range.last, lastFullDay ?? range.last);
    if (range.first === null || last - 13 < range.first) return null;
    const calls = (from, to) => count({ ...choice, from, to }).calls;
    const change = (now, before) => (before ? signed(now / before - 1, percent) : "none");
    const week = calls(last - 6, last), day = calls(last, last);
    const weekChange = change(week, calls(last - 13, last - 7)), dayChange = change(day, calls(last - 7, last - 7));
    const weekday = Words.WEEKDAYS[Words.weekday(last)];
    return [
      [`Last 7 full days (${spanText([last - 6, last])})`,
        `${many(week, "call")}, ${weekChange} on the 7 days before`],
      [dayName(last), `${many(day, "call")}, ${dayChange} on the ${weekday} before`],
    ];
  }

  return { headline, trend };
}

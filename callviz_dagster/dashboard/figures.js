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
 * @param target the share of missed calls not to exceed, or null.
 */
function figuresOf(counts, range, target) {
  const { integer, decimal, percent, share, many, signed, dayName, spanText } = Words;
  const apart = counts.cubes.length > 1;
  const APART = "the page holds hours and durations apart";

  function medianOf(summary, choice) {
    return apart && choice.hours.size ? null : CallCounts.median(counts, summary);
  }

  function medianText(median) {
    if (median === null || median.seconds === null) return "–";
    if (median.atLeast) return `≥ ${Words.duration(median.seconds)}`;
    return median.exact ? Words.duration(median.seconds) : `≈ ${Words.duration(Math.round(median.seconds))}`;
  }

  /** Say of how many calls a median is, and its seconds or how far it may be off. */
  function medianNote(median, calls) {
    if (median === null) return `Not known for chosen hours: ${APART}`;
    if (!calls) return "";
    const { seconds, exact, within } = median;
    const precision = seconds === null ? "" : exact ? `${decimal(seconds)} s, ` : `within ${within} s, `;
    return `${precision}of ${many(median.calls, "call")} with a duration; ${integer(calls - median.calls)} without`;
  }

  /** Return lines of each headline figure: name, number, what it is of, and how it was in the period before. */
  function headline(summary, before, choice) {
    const { calls, completed, missed, span, daysWithCalls, monthly } = summary;
    const covered = span && !monthly ? span[1] - span[0] + 1 : 0;
    const median = medianOf(summary, choice);
    const growth = before?.calls ? `${signed(calls / before.calls - 1, percent)}, ` : "";
    const shareChange = (name) => (before?.calls && calls
      ? `${signed((summary[name] / calls - before[name] / before.calls) * 100, decimal)} points, ` : "");
    const was = (name) => before && `${shareChange(name)}before: ${share(before[name], before.calls)}`;
    const { completed: counted } = counts;
    const tiles = [
      ["Calls", integer(calls), covered ? `${decimal(calls / covered)} a day on average` : "",
        before && `${growth}before: ${integer(before.calls)}`],
      counted.length
        ? ["Completed", share(completed, calls), `${many(completed, "call")} with status ${Words.listed(namesOf(counted))}`,
          was("completed")]
        : ["Completed", "–", calls ? "No status counts as completed" : "", null],
    ];
    if (counts.missedTypes.length + counts.missedStatuses.length) {
      tiles.push(["Missed", share(missed, calls), `${many(missed, "call")}${againstTarget(missed, calls)}`,
        was("missed")]);
    }
    const daysNote = covered > 1 ? `; ${integer(daysWithCalls)} with calls` : "";
    return [
      ...tiles,
      ["Median duration", medianText(median), medianNote(median, calls),
        before && `before: ${medianText(medianOf(before, choice))}`],
      monthly ? ["Days covered", "–", "This field is counted by month", null]
        : ["Days covered", integer(covered), span ? spanText(span) + daysNote : "", null],
    ];
  }

  const namesOf = (statuses) => statuses.map((status) => counts.statuses[status]);

  /** Say how missed calls stand to the target. */
  function againstTarget(missed, calls) {
    if (target === null || !calls) return "";
    const over = missed / calls - target;
    return over > 0 ? `; ${decimal(over * 100)} points over the target of ${percent(target)}`
      : `; within the target of ${percent(target)}`;
  }

  /**
   * Compare the last seven full days, and the last full day, with those before.
   *
   * @returns two pairs, each of a period's name and what changed; null where the days are too few.
   */
  function trend({ dates, monthly }, lastFullDay) {
    const last = Math.min(range.last, lastFullDay ?? range.last), kinds = counts.types.length;
    if (range.first === null || monthly || last - 13 < range.first) return null;
    // Of all dates, and of those types that are chosen.
    const calls = (from, to) => counts.days.reduce((sum, day, at) => (day < from || day > to ? sum
      : dates.subarray(at * kinds, (at + 1) * kinds).reduce((one, number) => one + number, sum)), 0);
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

  return { headline, trend, medianText };
}

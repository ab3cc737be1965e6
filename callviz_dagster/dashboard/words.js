/*
 * Numbers, days and durations as text, the same for every reader whatever their browser's language.
 */
"use strict";

const Words = (() => {
  const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
  const DAY = 86_400_000;
  const one = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
  const tenths = new Intl.NumberFormat("en-GB", one);
  const percents = new Intl.NumberFormat("en-GB", { style: "percent", ...one });
  const dates = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short", year: "numeric" });

  const integer = (number) => whole.format(number);
  const decimal = (number) => tenths.format(number);
  const percent = (number) => percents.format(number);
  const share = (part, all) => (all ? percent(part / all) : "–");
  const many = (number, word) => `${integer(number)} ${word}${number === 1 ? "" : "s"}`;
  const signed = (number, format) => `${number > 0 ? "+" : number < 0 ? "−" : "±"}${format(Math.abs(number))}`;
  const clock = (hour) => `${String(hour).padStart(2, "0")}:00`;

  /** Return the weekday of a day since 1970-01-01: 0 is Monday. */
  const weekday = (day) => (((day + 3) % 7) + 7) % 7;
  const dayText = (day) => dates.format(day * DAY);
  const dayName = (day) => `${WEEKDAYS[weekday(day)]}, ${dayText(day)}`;
  const spanText = ([from, to]) => (from === to ? dayText(from) : `${dayText(from)} to ${dayText(to)}`);
  const isoDay = (day) => new Date(day * DAY).toISOString().slice(0, 10);

  /** Return the day of an ISO date since 1970-01-01, or null where the text is not one. */
  function dayOf(text) {
    const time = /^\d{4}-\d{2}-\d{2}$/.test(text ?? "") ? Date.parse(text) : NaN;
    return Number.isNaN(time) ? null : time / DAY;
  }

  function duration(seconds) {
    if (seconds < 59.95) return `${Number.isInteger(seconds) ? integer(seconds) : decimal(seconds)} s`;
    const rounded = Math.round(seconds), minutes = Math.floor(rounded / 60);
    if (minutes < 60) return `${minutes} min ${rounded % 60} s`;
    return `${integer(Math.floor(minutes / 60))} h ${minutes % 60} min`;
  }

  /** Return a long label without its middle, for labels often differ at their ends. */
  function shortened(label) {
    const characters = [...label];
    return characters.length > 24 ? `${characters.slice(0, 12).join("")}…${characters.slice(-11).join("")}` : label;
  }

  function listed(values) {
    return values.length > 3 ? `${values.slice(0, 2).join(", ")} and ${values.length - 2} more` : values.join(", ");
  }

  return {
    WEEKDAYS, DAY, integer, decimal, percent, share, many, signed, clock,
    weekday, dayText, dayName, spanText, isoDay, dayOf, duration, shortened, listed,
  };
})();

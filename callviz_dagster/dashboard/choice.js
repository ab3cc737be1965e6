/*
 * What is chosen, and the link that keeps it. Shows nothing.
 */
"use strict";

/**
 * Return functions that change `page.choice`.
 *
 * @param page the page's state, see dashboard.js.
 * @param show shows a new choice.
 */
function choicesOf(page, show) {
  const { counts, dimensions, range } = page;
  const { isoDay, dayOf, spanText, listed } = Words;
  const fields = counts.fields.map(({ dimension }) => dimension);

  function nothing() {
    const choice = { from: null, to: null };
    for (const dimension in dimensions) choice[dimension] = new Set();
    return choice;
  }

  /** Return the span of days that is chosen, or null where it is all of them. */
  function span() {
    const { from, to } = page.choice;
    return from === null && to === null ? null : [from ?? range.first, to ?? range.last];
  }

  const chosenIn = (dimension) => [...page.choice[dimension]].sort((a, b) => a - b);
  const any = () => span() !== null || Object.keys(dimensions).some((name) => page.choice[name].size);

  /** Return the dimensions that the page cannot combine with one, so that a choice in it replaces theirs. */
  function apartFrom(dimension) {
    const apart = [];
    if (page.apart && dimension === "hours") apart.push("bins");
    if (page.apart && dimension === "bins") apart.push("hours");
    const field = counts.fields.find((one) => one.dimension === dimension);
    if (field) apart.push(...fields.filter((other) => other !== dimension), "hours");
    if (field?.monthly) apart.push("weekdays");
    if (field && !FieldCounts.hasBins(counts)) apart.push("bins");
    if (dimension === "hours" || (dimension === "bins" && !FieldCounts.hasBins(counts))) apart.push(...fields);
    if (dimension === "weekdays") {
      apart.push(...counts.fields.filter(({ monthly }) => monthly).map((one) => one.dimension));
    }
    return apart;
  }

  /** Choose one value, or with `more` add it to those chosen or take it away; the only one chosen is let go. */
  function choose(dimension, value, more) {
    const before = page.choice[dimension];
    let values = before.size === 1 && before.has(value) ? [] : [value];
    if (more) values = before.has(value) ? [...before].filter((other) => other !== value) : [...before, value];
    return chooseAll(dimension, values);
  }

  function chooseAll(dimension, values) {
    page.choice[dimension] = new Set(values.length === dimensions[dimension].values.length ? [] : values);
    if (page.choice[dimension].size) {
      for (const other of apartFrom(dimension)) page.choice[other] = new Set();
    }
    return chosen();
  }

  function chooseDays(from, to) {
    Object.assign(page.choice, bounded(from, to));
    return chosen();
  }

  /** Return a span of days in order and within the calls; a bound that leaves nothing out is null. */
  function bounded(from, to) {
    if (from !== null && to !== null && from > to) [from, to] = [to, from];
    return {
      from: from === null || from <= range.first ? null : Math.min(from, range.last),
      to: to === null || to >= range.last ? null : Math.max(to, range.first),
    };
  }

  function clear() {
    page.choice = nothing();
    page.unknown = 0;
    return chosen();
  }

  /** Hold durations in other bars; which of them were chosen is forgotten. */
  function setBinSeconds(seconds) {
    CallCounts.setBinSeconds(counts, seconds);
    Object.assign(dimensions.bins, binNames(counts));
    page.choice.bins = new Set();
    page.all = page.count(nothing());
    return chosen();
  }

  // ------------------------------------------------------------------------------------------------ the link
  function linked() {
    const link = new URLSearchParams();
    const { from, to } = page.choice;
    if (from !== null) link.set("from", isoDay(from));
    if (to !== null) link.set("to", isoDay(to));
    if (counts.binSeconds !== page.data.counts.binSeconds) link.set("bar", counts.binSeconds);
    for (const [dimension, { link: key, names }] of Object.entries(dimensions)) {
      for (const value of chosenIn(dimension)) link.append(key, names[value]);
    }
    return link.toString();
  }

  const inLink = () => new URLSearchParams(location.hash.slice(1));

  function writeLink(how) {
    const link = linked();
    if (link !== inLink().toString()) history[how](null, "", link ? `#${link}` : location.pathname + location.search);
  }

  /** Show a new choice, and write it into the link, so that the browser's Back button undoes it. */
  function chosen() {
    writeLink("pushState");
    return show();
  }

  /** Take over the choices of the link, and count those that the calls shown do not have. */
  function restore() {
    const restored = nothing();
    const seconds = Number(inLink().get("bar") ?? page.data.counts.binSeconds);
    if (page.binWidths.includes(seconds)) CallCounts.setBinSeconds(counts, seconds);
    Object.assign(dimensions.bins, binNames(counts));
    page.all = page.count(nothing());
    page.unknown = 0;
    for (const [key, value] of inLink()) {
      const [dimension, { names }] = Object.entries(dimensions).find(([, { link }]) => link === key) ?? [null, {}];
      const position = names?.indexOf(value) ?? -1;
      if (position >= 0) restored[dimension].add(position);
      else if (["from", "to"].includes(key) && dayOf(value) !== null && page.days.length) restored[key] = dayOf(value);
      else if (key !== "bar" || !page.binWidths.includes(seconds)) page.unknown++;
    }
    for (const dimension in dimensions) {
      if (restored[dimension].size) for (const other of apartFrom(dimension)) restored[other] = new Set();
    }
    page.choice = { ...restored, ...bounded(restored.from, restored.to) };
    writeLink("replaceState");
    return show();
  }

  /** Return what is chosen: the dimension, its name and the names of its values. */
  function descriptions() {
    const days = span();
    const described = days ? [["days", "Dates", spanText(days)]] : [];
    for (const [dimension, { words, values }] of Object.entries(dimensions)) {
      const names = chosenIn(dimension).map((value) => values[value]);
      if (names.length) described.push([dimension, words, listed(names)]);
    }
    return described;
  }

  return { nothing, span, any, choose, chooseAll, chooseDays, clear, setBinSeconds, linked, restore, descriptions };
}

/*
 * The numbers shown as CSV, and each chart as SVG and PNG, made in the browser: no request leaves the page.
 */
"use strict";

const Exports = (() => {
  const PAPER = "#ffffff", INK = "#1c2530", QUIET = "#56616e", FONT = "sans-serif";
  const MARGIN = 16, SCALE = 2;

  /** Give a text or a picture to the reader as a file. */
  function save(blob, name) {
    const link = Elements.make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  /** Return a file name of a chart's name. */
  const fileName = (name, ending) => `${name.replace(/[^\p{L}\p{N}]+/gu, "_").toLowerCase()}.${ending}`;

  /**
   * Return a cell as CSV: numbers without separators, and no text that a spreadsheet would run as a formula.
   *
   * A label may look like a number, and stays as it is.
   */
  function csvCell(cell, isLabel) {
    const text = typeof cell === "string" ? cell : cell.text;
    const plain = !isLabel && /^-?[\d,]+(\.\d+)?%?$/.test(text) ? text.replaceAll(",", "")
      : /^[=@+\-\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  }

  function saveCsv(name, head, rows) {
    const line = (row) => row.map((cell, column) => csvCell(cell, !column || typeof cell !== "string")).join(",");
    const lines = [head.map((text) => csvCell(text, true)).join(","), ...rows.map(line)];
    save(new Blob([`${lines.join("\n")}\n`], { type: "text/csv;charset=utf-8" }), fileName(name, "csv"));
  }

  const NAMESPACE = "http://www.w3.org/2000/svg";

  function element(tag, attributes, text = "") {
    const one = document.createElementNS(NAMESPACE, tag);
    for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
    one.textContent = text;
    return one;
  }

  /**
   * Return a chart as a drawing of its own: title, what is shown, the legend, and the chart, dark on white.
   *
   * @param view the chart's Vega view.
   * @param lines the title and the lines below it.
   * @param legend colours and their names.
   */
  async function drawing(view, [title, ...lines], legend) {
    const chart = new DOMParser().parseFromString(await view.toSVG(), "image/svg+xml").documentElement;
    const [width, height] = ["width", "height"].map((name) => Number(chart.getAttribute(name)));
    const frame = Math.max(width, 320) + 2 * MARGIN;
    const parts = [element("text", { x: MARGIN, y: MARGIN + 14, "font-size": 16, "font-weight": 600, fill: INK }, title)];
    let y = MARGIN + 20;
    for (const line of lines.flatMap((text) => wrapped(text, (frame - 2 * MARGIN) / 6))) {
      y += 16;
      parts.push(element("text", { x: MARGIN, y, "font-size": 12, fill: QUIET }, line));
    }
    let x = MARGIN;
    if (legend.length) y += 22;
    for (const { colour, opacity = 1, name } of legend) {
      const length = 24 + name.length * 7;
      if (x + length > frame - MARGIN && x > MARGIN) [x, y] = [MARGIN, y + 18];
      parts.push(element("rect", { x, y: y - 10, width: 11, height: 11, fill: colour, "fill-opacity": opacity }));
      parts.push(element("text", { x: x + 16, y, "font-size": 12, fill: INK }, name));
      x += length;
    }
    y += 12;
    chart.setAttribute("x", MARGIN);
    chart.setAttribute("y", y);
    const whole = element("svg", {
      width: frame, height: y + height + MARGIN, viewBox: `0 0 ${frame} ${y + height + MARGIN}`, "font-family": FONT,
    });
    whole.append(element("rect", { width: "100%", height: "100%", fill: PAPER }), ...parts, chart);
    return whole;
  }

  /** Return a text in lines of about this number of characters. */
  function wrapped(text, characters) {
    const lines = [""];
    for (const word of text.split(" ")) {
      if (lines.at(-1) && lines.at(-1).length + word.length > characters) lines.push("");
      lines.push(`${lines.pop()}${word} `);
    }
    return lines.map((line) => line.trim()).filter((line) => line);
  }

  async function saveSvg(name, ...parts) {
    const text = new XMLSerializer().serializeToString(await drawing(...parts));
    save(new Blob([text], { type: "image/svg+xml" }), fileName(name, "svg"));
  }

  async function savePng(name, ...parts) {
    const svg = await drawing(...parts);
    const image = new Image();
    image.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(svg))}`;
    await image.decode();
    const canvas = Elements.make("canvas", { width: image.width * SCALE, height: image.height * SCALE });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    save(await new Promise((done) => canvas.toBlob(done, "image/png")), fileName(name, "png"));
  }

  return { saveCsv, saveSvg, savePng };
})();

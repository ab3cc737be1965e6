/*
 * Elements of the page: finding and making them, and the tooltip. Texts are only ever set as text, never as markup.
 */
"use strict";

const Elements = (() => {
  const find = (id) => document.getElementById(id);

  /** Make an element with properties, attributes where their name has a hyphen, and children; strings become text. */
  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.includes("-")) element.setAttribute(name, value);
      else element[name] = value;
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  function makeButton(properties, action, ...children) {
    const button = make("button", { type: "button", ...properties }, ...children);
    button.addEventListener("click", action);
    return button;
  }

  const tip = find("tip");

  function showTip(event, [title, ...lines]) {
    tip.replaceChildren(make("strong", {}, title), ...lines.map((line) => make("div", {}, line)));
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - width - 8);
    const below = event.clientY + 18;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below + height > innerHeight ? Math.max(8, event.clientY - height - 12) : below}px`;
  }

  function hideTip() {
    tip.hidden = true;
  }

  return { find, make, makeButton, showTip, hideTip };
})();

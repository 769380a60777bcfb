"use strict";
const net = JSON.parse(document.getElementById("net").textContent);
const view = document.getElementById("view");
const button = document.getElementById("folds");
// The drawing with all layers, and the one in which equal blocks are folded, if there are any.
const all = document.getElementById("all");
const folded = document.getElementById("folded");
let svg;
const panel = document.querySelector("aside");
const search = document.querySelector("input");
let [scale, x, y] = [1, 0, 0];

function place() {
  svg.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
}

function zoom(factor, at) {
  const next = Math.min(8, Math.max(0.02, scale * factor));
  x = at[0] - (at[0] - x) * next / scale;
  y = at[1] - (at[1] - y) * next / scale;
  scale = next;
  place();
}

// The least scale at which a drawing opens: its smallest text has 10 pixels.
const READABLE = 0.9;

// The whole width, and for a short net the whole net.
function fit() {
  const [width, height] = [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
  scale = Math.min(1, view.clientWidth / width);
  if (height * scale < view.clientHeight * 2) scale = Math.min(scale, view.clientHeight / height);
  [x, y] = [(view.clientWidth - width * scale) / 2, 0];
  place();
}

// A drawing opens with its whole width if its text can be read then, else with its upper left corner, where the title is.
function start() {
  const { width, height } = svg.viewBox.baseVal;
  scale = Math.max(READABLE, Math.min(1, view.clientWidth / width));
  [x, y] = [[view.clientWidth, width], [view.clientHeight, height]].map(([all, own]) => Math.max(0, (all - own * scale) / 2));
  place();
}

// Shows one of the drawings.
function show(drawing) {
  for (const other of [all, folded]) if (other) other.hidden = other !== drawing;
  if (button) button.setAttribute("aria-pressed", String(drawing === all));
  svg = drawing.querySelector("svg");
}

const idOf = (element) => element.id.replace("folded-", "");
const find = (drawing, id) => drawing && document.getElementById(drawing === folded ? `folded-${id}` : id);
const foldOf = (index) => net.folds.findIndex((fold) => fold.blocks.some((block) => block.includes(index)));

// Opens a fold: shows all layers, its own marked.
function openFold(fold) {
  show(all);
  view.querySelectorAll(".opened").forEach((element) => element.classList.remove("opened"));
  const layers = net.folds[fold].blocks.flat().map((index) => find(all, `layer-${index}`)).filter(Boolean);
  layers.forEach((layer) => layer.classList.add("opened"));
  if (layers.length > 0) go(layers[0]);
  describe(fold);
}

// Closes a fold again.
function closeFold(fold) {
  show(folded);
  go(find(folded, `fold-${fold}`));
  describe(fold);
}

function go(element) {
  if (scale < 0.9) zoom(1 / scale, middle());
  place();
  centre(element);
}

function act(text, action) {
  const element = document.createElement("button");
  element.textContent = text;
  element.addEventListener("click", action);
  return element;
}

const opener = (fold) => svg === folded.querySelector("svg")
  ? act("Open the blocks", () => openFold(fold)) : act("Close the blocks", () => closeFold(fold));

// The panel of a fold: its blocks.
function describe(fold) {
  const { label, blocks } = net.folds[fold];
  const heading = document.createElement("h2");
  heading.textContent = `${blocks.length} × ${label || "the same"}`;
  const list = document.createElement("ol");
  for (const block of blocks) {
    const [first, last] = [net.layers[block[0]].name, net.layers[block[block.length - 1]].name];
    const item = document.createElement("li");
    item.append(act(first === last ? first : `${first} … ${last}`, () => {
      show(all);
      go(find(all, `layer-${block[0]}`));
    }));
    list.append(item);
  }
  panel.replaceChildren(heading, opener(fold), list);
}

function centre(element) {
  const [box, frame] = [element.getBoundingClientRect(), view.getBoundingClientRect()];
  x += frame.left + frame.width / 2 - box.left - box.width / 2;
  y += frame.top + frame.height / 2 - box.top - box.height / 2;
  place();
}

function row(table, name, text) {
  if (text === undefined || text === null || text === "") return;
  const line = table.insertRow();
  const head = document.createElement("th");
  head.textContent = name;
  line.append(head);
  line.insertCell().textContent = text;
}

const drawn = (name, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};
const short = (value) => Number(value.toPrecision(3)).toString();

// The distribution of a parameter's values: bars, and zero as a line.
function histogram({ role, shape, histogram: { minimum, maximum, mean, deviation, bins, not_finite } }) {
  const figure = document.createElement("figure");
  const heading = document.createElement("h3");
  heading.textContent = `${role} ${shape.join(" × ")}`;
  const caption = document.createElement("figcaption");
  if (bins.length === 0) {
    caption.textContent = `all ${not_finite.toLocaleString("en")} infinite or NaN`;
    figure.append(heading, caption);
    return figure;
  }
  const [width, height] = [280, 64];
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Histogram of ${role}` });
  const most = Math.max(...bins);
  const step = width / bins.length;
  bins.forEach((count, index) => {
    const size = count === 0 ? 0 : Math.max(1, (height - 2) * count / most);
    const bar = drawn("rect", { x: index * step, y: height - size, width: Math.max(0.5, step - 1), height: size });
    const [low, high] = [0, 1].map((side) => minimum + (maximum - minimum) * (index + side) / bins.length);
    const title = drawn("title", {});
    title.textContent = `${short(low)} to ${short(high)}: ${count.toLocaleString("en")}`;
    bar.append(title);
    picture.append(bar);
  });
  if (minimum < 0 && maximum > 0) {
    const zero = width * -minimum / (maximum - minimum);
    picture.append(drawn("line", { x1: zero, x2: zero, y1: 0, y2: height }));
  }
  const ends = Object.assign(document.createElement("div"), { className: "ends" });
  ends.append(...[minimum, maximum].map((end) => Object.assign(document.createElement("span"), { textContent: short(end) })));
  caption.textContent = `mean ${short(mean)}, deviation ${short(deviation)}`
    + (not_finite > 0 ? `, ${not_finite.toLocaleString("en")} infinite or NaN` : "");
  figure.append(heading, picture, ends, caption);
  return figure;
}

function choose(element) {
  const index = Number(idOf(element).replace("layer-", ""));
  view.querySelectorAll(".chosen").forEach((other) => other.classList.remove("chosen"));
  element.classList.add("chosen");
  const layer = net.layers[index];
  if (!layer) return;
  const heading = document.createElement("h2");
  heading.textContent = layer.name;
  const table = document.createElement("table");
  row(table, "layer", layer.kind);
  for (const [name, value] of Object.entries(layer.settings)) row(table, name, value);
  row(table, "inputs", layer.inputs.join(", "));
  row(table, "output", layer.output);
  row(table, "parameters", layer.parameters.toLocaleString("en"));
  row(table, "multiply-adds", layer.macs === null ? "unknown" : layer.macs.toLocaleString("en"));
  row(table, "frozen", layer.frozen ? "yes" : "");
  row(table, "fused", (layer.fused || []).join(", "));
  row(table, "step", layer.step && `${layer.step_index}: ${layer.step}`);
  panel.replaceChildren(heading, table, ...(layer.weights || []).map(histogram));
  const fold = folded ? foldOf(index) : -1;
  if (fold < 0) return;
  const { blocks } = net.folds[fold];
  const note = document.createElement("p");
  note.textContent = `In block ${blocks.findIndex((block) => block.includes(index)) + 1} of ${blocks.length} equal ones.`;
  panel.append(note, opener(fold));
}

const number = (element) => Number(element.id.split("-").pop());
// The end of a drag is no click.
let pressed = [0, 0];
view.addEventListener("pointerdown", (event) => { pressed = [event.clientX, event.clientY]; });
view.addEventListener("click", (event) => {
  if (Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) > 4) event.stopPropagation();
}, true);
view.querySelectorAll(".layer").forEach((element) => element.addEventListener("click", () => choose(element)));
view.querySelectorAll(".fold").forEach((element) => element.addEventListener("click", () => openFold(number(element))));
view.querySelectorAll(".group").forEach((element) => element.addEventListener("click", () => {
  const list = document.createElement("ol");
  const [heading, ...names] = element.querySelector("title").textContent.split("\n");
  list.append(...names.map((name) => Object.assign(document.createElement("li"), { textContent: name })));
  const opener = act("Open", () => {
    show(all);
    go(find(all, `layer-${number(element)}`));
  });
  const drawn = folded && find(all, `layer-${number(element)}`);
  panel.replaceChildren(Object.assign(document.createElement("h2"), { textContent: heading }), ...(drawn ? [opener] : []), list);
}));
if (button) button.addEventListener("click", () => {
  show(svg.parentElement === all ? folded : all);
  start();
});

// Search finds layers in folds too: it goes to them in the drawing with all layers.
const layers = [...all.querySelectorAll(".layer")];
let found = [];
let current = -1;
search.addEventListener("input", () => {
  const wanted = search.value.trim().toLowerCase();
  found = layers.filter((element) => {
    const matches = wanted !== "" && element.querySelector("title").textContent.split("\n")[0].toLowerCase().includes(wanted);
    element.classList.toggle("found", matches);
    const drawn = find(folded, element.id);
    if (drawn) drawn.classList.toggle("found", matches);
    return matches;
  });
  current = -1;
  search.setAttribute("aria-label", `Search layers, ${found.length} found`);
});
search.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || found.length === 0) return;
  current = (current + (event.shiftKey ? found.length - 1 : 1)) % found.length;
  const drawn = svg.parentElement === folded ? find(folded, found[current].id) : found[current];
  if (!drawn) show(all);
  go(drawn || found[current]);
  choose(drawn || found[current]);
});

const point = (event) => {
  const frame = view.getBoundingClientRect();
  return [event.clientX - frame.left, event.clientY - frame.top];
};
view.addEventListener("wheel", (event) => {
  event.preventDefault();
  if (event.ctrlKey || event.metaKey) {
    zoom(Math.exp(-event.deltaY / 200), point(event));
  } else {
    [x, y] = [x - event.deltaX, y - event.deltaY];
    place();
  }
}, { passive: false });
const pointers = new Map();
view.addEventListener("pointerdown", (event) => pointers.set(event.pointerId, point(event)));
view.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = point(event);
  if (pointers.size === 1) {
    [x, y] = [x + now[0] - before[0], y + now[1] - before[1]];
    place();
  } else {
    const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
    const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
    zoom(distance(now, other) / Math.max(1, distance(before, other)), other);
  }
  pointers.set(event.pointerId, now);
});
["pointerup", "pointercancel", "pointerleave"].forEach((name) =>
  view.addEventListener(name, (event) => pointers.delete(event.pointerId)));

const middle = () => [view.clientWidth / 2, view.clientHeight / 2];
const keys = {
  "+": () => zoom(1.25, middle()), "=": () => zoom(1.25, middle()), "-": () => zoom(0.8, middle()), "0": fit,
  ArrowLeft: () => { x += 60; place(); }, ArrowRight: () => { x -= 60; place(); },
  ArrowUp: () => { y += 60; place(); }, ArrowDown: () => { y -= 60; place(); },
};
view.addEventListener("keydown", (event) => {
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});
document.getElementById("in").addEventListener("click", keys["+"]);
document.getElementById("out").addEventListener("click", keys["-"]);
document.getElementById("fit").addEventListener("click", fit);
show(folded && button.getAttribute("aria-pressed") === "false" ? folded : all);
start();

// The editor of the playground. Built with `npm run build` into src/serve/edit/editor.min.js.
import { EditorState } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { HighlightStyle, StreamLanguage, bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { tags } from "@lezer/highlight";

const KEYWORD = /^(net|weights|labels|train|expect|use|netc|repeat|as|frozen|share|rename|missing)\b/;

// Words alone: the diagnostics come from the program.
const language = StreamLanguage.define({
  name: "netc",
  token(stream) {
    if (stream.eatSpace()) return null;
    if (stream.match(/^#.*/)) return "comment";
    if (stream.match(/^"([^"\\]|\\.)*("|$)/)) return "string";
    if (stream.match(KEYWORD)) return "keyword";
    if (stream.match(/^\d+(x\d+)*(\.\d+)?([eE][-+]?\d+)?\b/)) return "number";
    if (stream.match(/^[\p{Lu}][\p{L}\d_]*/u)) return "typeName";
    if (stream.match(/^[\p{L}_][\p{L}\d_]*(?=\s*=[^=>])/u)) return "propertyName";
    if (stream.match(/^[\p{L}_][\p{L}\d_]*/u)) return "variableName";
    if (stream.match(/^(>>|\.\.=?|=>|[-+*\/|=<>])/)) return "operator";
    stream.next();
    return null;
  },
  languageData: { commentTokens: { line: "#" } },
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--keyword)", fontWeight: "600" },
  { tag: tags.typeName, color: "var(--layer)" },
  { tag: tags.string, color: "var(--string)" },
  { tag: tags.number, color: "var(--number)" },
  { tag: tags.comment, color: "var(--soft)", fontStyle: "italic" },
  { tag: tags.propertyName, color: "var(--key)" },
]);

const theme = EditorView.theme({
  "&": { height: "100%", backgroundColor: "var(--paper)", color: "var(--ink)" },
  ".cm-scroller": { font: "13px/1.55 ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace" },
  ".cm-gutters": { backgroundColor: "var(--card)", color: "var(--soft)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--line) 35%, transparent)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-tooltip": { backgroundColor: "var(--card)", color: "var(--ink)", border: "1px solid var(--line)" },
});

const $ = (id) => document.getElementById(id);
const state = { version: "", saved: "", saving: Promise.resolve(), refused: "", checked: "", checking: null, timer: 0 };

/// What a check found; a save that was refused comes first, until one succeeds.
function tell() {
  $("status").textContent = state.refused || state.checked;
  $("status").classList.toggle("error", state.refused !== "");
}

async function ask(path, options) {
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/// The place of a line and a column of characters, both from 1.
function place(text, line, column) {
  const found = text.line(Math.min(Math.max(line, 1), text.lines));
  let at = found.from;
  for (const character of [...found.text].slice(0, column - 1)) at += character.length;
  return Math.min(at, found.to);
}

function shown(text, diagnostic) {
  const label = diagnostic.labels.find((label) => label.file === state.file);
  const from = label ? place(text, label.line, label.column) : 0;
  const word = /^[\p{L}\d_]+|^./u.exec(text.sliceString(from, text.lineAt(from).to));
  const message = [`${diagnostic.code}: ${diagnostic.message}`]
    .concat(label && label.text ? [label.text] : [], diagnostic.notes, diagnostic.help.map((line) => `help: ${line}`));
  return { from, to: from + (word ? word[0].length : 0), severity: diagnostic.severity, message: message.join("\n") };
}

function list(diagnostics) {
  $("problems").replaceChildren(...diagnostics.map((diagnostic) => {
    const item = document.createElement("li");
    item.className = diagnostic.severity;
    const label = diagnostic.labels.find((label) => label.file === state.file);
    const line = label ? `line ${label.line}: ` : "";
    item.textContent = `${line}${diagnostic.message} [${diagnostic.code}]`;
    if (label) {
      item.tabIndex = 0;
      const go = () => {
        const at = place(editor.state.doc, label.line, label.column);
        editor.dispatch({ selection: { anchor: at }, scrollIntoView: true });
        editor.focus();
      };
      item.addEventListener("click", go);
      item.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });
    }
    return item;
  }));
}

async function check() {
  state.checking?.abort();
  const stop = new AbortController();
  state.checking = stop;
  const body = editor.state.doc.toString();
  try {
    const query = $("net").value ? `?net=${encodeURIComponent($("net").value)}` : "";
    const answer = await ask(`/edit/check${query}`, { method: "POST", body, signal: stop.signal });
    // What was typed meanwhile is checked next.
    if (editor.state.doc.toString() !== body) return;
    editor.dispatch(setDiagnostics(editor.state, answer.diagnostics.map((one) => shown(editor.state.doc, one))));
    list(answer.diagnostics);
    nets(answer);
    const errors = answer.diagnostics.filter((one) => one.severity === "error").length;
    state.checked = errors ? `${errors} ${errors === 1 ? "error" : "errors"}` : answer.summary ?? "no net";
    tell();
    // The last drawing stays while there are errors.
    if (answer.svg) {
      $("drawing").innerHTML = answer.svg;
      $("table").textContent = answer.table;
    }
    $("network").classList.toggle("stale", !answer.svg);
  } catch (error) {
    if (error.name === "AbortError") return;
    state.checked = error.message;
    tell();
  }
}

function nets({ nets, net }) {
  const select = $("net");
  select.hidden = nets.length < 2;
  select.replaceChildren(...nets.map((name) => new Option(name, name, false, name === net)));
}

// One after the other: each has the version that the one before has made.
function save() {
  state.saving = state.saving.then(write);
}

async function write() {
  const text = editor.state.doc.toString();
  try {
    const answer = await ask("/edit/spec", { method: "PUT", body: text, headers: { "If-Match": `"${state.version}"` } });
    state.version = answer.version;
    state.saved = text;
    state.refused = "";
    changed();
  } catch (error) {
    state.refused = `Not saved: ${error.message}`;
  }
  tell();
}

function changed() {
  const dirty = editor.state.doc.toString() !== state.saved;
  $("save").disabled = !dirty;
  document.title = `${dirty ? "• " : ""}${state.file} – netc`;
}

const editor = new EditorView({ parent: $("editor") });
function open(text) {
  editor.setState(EditorState.create({
    doc: text,
    extensions: [
      lineNumbers(), history(), drawSelection(), highlightActiveLine(), bracketMatching(), lintGutter(), language,
      syntaxHighlighting(colours), theme, EditorState.tabSize.of(4), EditorView.lineWrapping,
      EditorView.contentAttributes.of({ "aria-label": "The spec" }),
      keymap.of([
        { key: "Mod-s", run: () => { save(); return true; }, preventDefault: true },
        ...defaultKeymap, ...historyKeymap, ...lintKeymap, indentWithTab,
      ]),
      EditorView.updateListener.of((update) => {
        if (!update.docChanged) return;
        changed();
        clearTimeout(state.timer);
        state.timer = setTimeout(check, 150);
      }),
    ],
  }));
}

$("save").addEventListener("click", save);
$("net").addEventListener("change", check);
addEventListener("beforeunload", (event) => { if (!$("save").disabled) event.preventDefault(); });
ask("/edit/spec").then((spec) => {
  Object.assign(state, { file: spec.file, version: spec.version, saved: spec.text });
  $("file").textContent = spec.file;
  open(spec.text);
  changed();
  check();
}, (error) => { state.refused = error.message; tell(); });

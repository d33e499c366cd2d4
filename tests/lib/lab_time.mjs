// Runs the labextension that shows the time of a server on a JupyterLab of few lines.
//
//   node lab_time.mjs EXTENSION STEPS
//
// STEPS (JSON): [what is done, [[status, body], …]], the answers of the server to what is asked then. What is done:
// "look" (the tab comes to the front), "touch" (a key is pressed), "click" (the status bar), or a button's label.
// Prints, step by step: {"asked": [[method, path, wish], …], "bar": text, "shown": [[type, text, [label, …]], …]}.
import { readFileSync } from "node:fs";

const [, , extension, steps] = process.argv;
const queue = [];
const shown = {};
let asked = [];
const listeners = {};
const callbacks = {};
const actions = {};
let number = 0;

const Notification = {
  dismiss: (id) => { delete shown[id]; },
};
for (const type of ["info", "success", "warning", "error"]) {
  Notification[type] = (text, options) => {
    number += 1;
    shown[number] = [type, text, (options.actions || []).map((each) => each.label)];
    for (const each of options.actions || []) actions[each.label] = each.callback;
    return number;
  };
}
const ServerConnection = {
  makeSettings: () => ({ baseUrl: "http://lab/user/ada/" }),
  makeRequest: async (url, init) => {
    asked.push([init.method, new URL(url).pathname, init.body ? JSON.parse(init.body).do : null]);
    const [status, body] = queue.shift();
    return { ok: status < 400, status, statusText: "refused", json: async () => body };
  },
};
class Node {
  constructor() { Object.assign(this, { style: {}, textContent: "", children: [] }); }
  addEventListener(kind, callback) { callbacks[kind] = callback; }
  append(child) { this.children.push(child); }
}
class Widget {
  constructor() { this.node = new Node(); }
  addClass() {}
  setHidden() {}
}
let bar = null;
const statusBar = { registerStatusItem: (_id, { item }) => { [bar] = item.node.children; } };
globalThis.window = globalThis;
globalThis.document = {
  hidden: false,
  addEventListener: (kind, callback) => { listeners[kind] = callback; },
  createElement: () => new Node(),
};
globalThis.setInterval = () => 0;
globalThis.setTimeout = () => 0;
Date.prototype.toLocaleTimeString = () => "18:40";

const module = (exports) => ({ "1.0.0": { get: async () => () => exports } });
(0, eval)(readFileSync(extension, "utf8"));
const container = globalThis._JUPYTERLAB["labhub-time"];
container.init({
  "@jupyterlab/apputils": module({ Notification }),
  "@jupyterlab/services": module({ ServerConnection }),
  "@jupyterlab/statusbar": module({ IStatusBar: "IStatusBar" }),
  "@lumino/widgets": module({ Widget }),
});
const plugin = (await container.get("./extension"))().default;
const acts = {
  begin: () => plugin.activate({ restored: Promise.resolve() }, statusBar),
  look: () => listeners.visibilitychange(),
  touch: () => listeners.keydown(),
  click: () => callbacks.click(),
};
const seen = [];
for (const [act, answers] of [...JSON.parse(steps)]) {
  asked = [];
  queue.push(...answers);
  (acts[act] || actions[act])();
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
  seen.push({ asked, bar: bar.textContent, shown: Object.values(shown) });
}
process.stdout.write(JSON.stringify(seen));

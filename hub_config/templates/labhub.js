"use strict";
// What several pages share. No library: the hub's own API, forms that say they are busy, times in the reader's zone.
const lab = {
  // Ask the hub's API as the signed-in user. Throws an Error with the hub's own sentence.
  async api(method, url, sent) {
    const headers = { "X-XSRFToken": window.jhdata.xsrf_token, Accept: "application/json", "Content-Type": "application/json" };
    let answer;
    try {
      answer = await fetch(url, { method, headers, body: sent && JSON.stringify(sent), credentials: "same-origin", cache: "no-store" });
    } catch {
      throw new Error("The hub did not answer. Check your connection and try again.");
    }
    const said = await answer.text();
    const parse = () => { try { return JSON.parse(said); } catch { return null; } };
    if (!answer.ok) throw new Error(parse()?.message || `The hub refused (${answer.status}). Reload this page and try again.`);
    return parse();
  },

  // A server as the API tells it -> the word the pages use for its state.
  state(server) {
    if (!server) return "stopped";
    if (server.pending === "stop") return "stopping";
    if (server.pending) return "starting";
    return server.ready ? "running" : "stopped";
  },

  duration(seconds) {
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
    return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  },

  // What is left: in minutes, and in seconds only at the very end.
  span(seconds) {
    const [s, m, h] = [1, 60, 3600].map((each) => Math.max(0, Math.floor(seconds / each)));
    if (s < 120) return lab.duration(s);
    return m < 60 ? `${m} min` : `${h} h ${m % 60} min`;
  },

  busy(button, text) {
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    button.lastChild.textContent = text;
  },

  say(text) {
    const place = document.getElementById("lab-say");
    place.textContent = text;
    place.hidden = !text;
  },

  // The state of a server, before the hub's own page tells it.
  show(title, state, text) {
    title.closest("[data-state]").dataset.state = state;
    title.lastChild.textContent = text;
  },

  // A button with data-stop=URL stops (or cancels) that very server, then goes to data-next.
  stopButton(button) {
    const label = button.lastChild.innerHTML;
    button.addEventListener("click", async () => {
      lab.busy(button, button.dataset.busy || "Stopping…");
      button.dispatchEvent(new CustomEvent("lab:stopping", { bubbles: true }));
      const title = button.closest("[data-state]")?.querySelector(".lab-state");
      if (title) lab.show(title, "stopping", "Stopping");
      try {
        await lab.api("DELETE", button.dataset.stop);
        window.location.assign(button.dataset.next);
      } catch (error) {
        lab.say(`Your server was not stopped: ${error.message}`);
        if (title) lab.show(title, "running", "Running");
        button.dispatchEvent(new CustomEvent("lab:not-stopped", { bubbles: true }));
        button.disabled = false;
        button.removeAttribute("aria-busy");
        button.lastChild.innerHTML = label;
      }
    });
  },

  // Do something for a button; say what went wrong, and let it be pressed again.
  async attempt(button, text, what, work) {
    const label = button.lastChild.innerHTML;
    lab.say("");
    lab.busy(button, text);
    try {
      await work();
    } catch (error) {
      lab.say(`${what}: ${error.message}`);
      button.disabled = false;
      button.removeAttribute("aria-busy");
      button.lastChild.innerHTML = label;
    }
  },

  // A button with data-remove=URL takes a named server away; its files stay.
  removeButton(button) {
    button.addEventListener("click", () => lab.attempt(button, "Deleting…", "The server was not deleted", async () => {
      await lab.api("DELETE", button.dataset.remove, { remove: true });
      window.location.reload();
    }));
  },

  // An element with data-left=SECONDS counts down.
  countDown(element) {
    const end = Date.now() + 1000 * Number(element.dataset.left);
    const tick = () => { element.textContent = lab.span((end - Date.now()) / 1000); };
    tick();
    setInterval(tick, 1000);
  },

  // A moment to come, and how far it is; data-reload=SECONDS loads the page again then, when somebody sees it.
  untilTime(element) {
    const then = new Date(element.dateTime);
    if (Number.isNaN(then.getTime())) return;
    const clock = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const tick = () => {
      const day = then.toDateString() === new Date().toDateString() ? "" : `${then.toLocaleDateString()}, `;
      element.textContent = `${day}${clock} (in ${lab.span((then - Date.now()) / 1000)})`;
    };
    tick();
    setInterval(tick, 5000);
    const reload = () => (document.hidden ? setTimeout(reload, 5000) : window.location.reload());
    // More than a browser's clock can count is more than anybody waits.
    if (element.dataset.reload < 2e6) setTimeout(reload, 1000 * Math.max(5, element.dataset.reload));
  },

  // A form with data-add=URL makes a named server, and goes on to data-next, where it is started.
  addForm(form) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = encodeURIComponent(form.elements.name.value);
      const button = form.querySelector("button[type=submit]");
      lab.attempt(button, "Adding…", "No server was added", async () => {
        await lab.api("PUT", form.dataset.add + name);
        window.location.assign(form.dataset.next + name);
      });
    });
  },

  // An element with data-watch=URL (of the user) reloads the page when the server's state is no longer the shown one.
  watch(element) {
    const shown = element.dataset.state === "failed" ? "stopped" : element.dataset.state;
    const pause_ms = ["starting", "stopping"].includes(shown) ? 1500 : 15000;
    const look = async () => {
      try {
        const user = document.hidden ? null : await lab.api("GET", element.dataset.watch);
        if (user && lab.state(user.servers?.[element.dataset.server || ""]) !== shown) {
          window.location.reload();
          return;
        }
      } catch { /* the hub is restarting: look again */ }
      setTimeout(look, pause_ms);
    };
    setTimeout(look, pause_ms);
  },

  // A moment as a clock shows it, with its day when that is not today.
  clock(element) {
    const then = new Date(element.dateTime);
    if (Number.isNaN(then.getTime())) return;
    const day = then.toDateString() === new Date().toDateString() ? "" : `${then.toLocaleDateString()}, `;
    element.textContent = day + then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  },

  // A page with data-fresh=SECONDS loads itself again, when somebody sees it and nothing is being pressed.
  stayFresh(element) {
    setInterval(() => {
      const isIdle = !document.hidden && !document.querySelector("[aria-busy]") && !element.contains(document.activeElement);
      if (isIdle) window.location.reload();
    }, 1000 * element.dataset.fresh);
  },

  // Elements with data-gpus=NUMBER are shown while that many GPUs are chosen; without JavaScript all are.
  tellOf(select) {
    const tell = () => document.querySelectorAll("[data-gpus]").forEach((each) => { each.hidden = each.dataset.gpus !== select.value; });
    select.addEventListener("change", tell);
    tell();
  },

  localTime(element) {
    const then = new Date(element.dateTime);
    if (Number.isNaN(then.getTime())) return;
    const day = then.toDateString() === new Date().toDateString() ? "today" : then.toLocaleDateString();
    const clock = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    element.textContent = `${day} at ${clock}, ${lab.duration((Date.now() - then) / 1000)} ago`;
  },
};

document.querySelectorAll("[data-stop]").forEach(lab.stopButton);
document.querySelectorAll("[data-remove]").forEach(lab.removeButton);
document.querySelectorAll("[data-left]").forEach(lab.countDown);
document.querySelectorAll("time[data-until]").forEach(lab.untilTime);
document.querySelectorAll("[data-add]").forEach(lab.addForm);
document.querySelectorAll("[data-watch]").forEach(lab.watch);
document.querySelectorAll("time[data-clock]").forEach(lab.clock);
document.querySelectorAll("select[name=gpus]").forEach(lab.tellOf);
document.querySelectorAll("[data-fresh]").forEach(lab.stayFresh);
document.querySelectorAll("time[data-local]").forEach(lab.localTime);
document.querySelectorAll("form[data-busy]").forEach((form) => {
  form.addEventListener("submit", () => lab.busy(form.querySelector("button[type=submit]"), form.dataset.busy));
});
document.querySelectorAll(".lab-header .nav-link").forEach((link) => {
  if (link.pathname === window.location.pathname) link.setAttribute("aria-current", "page");
});
// A log that scrolls must be reachable by keyboard.
document.querySelectorAll("main pre").forEach((log) => {
  if (log.scrollHeight > log.clientHeight) log.tabIndex = 0;
});
// Coming back with the Back button shows the page as it was: a form must not stay busy.
window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });

"use strict";
// How long this server may run, in JupyterLab: warnings before its end with a button that puts it off, and the rest in
// the status bar. It asks labserver/times.py, which asks the hub, and shows the hub's own sentences.
//
// JupyterLab takes extensions as containers of webpack's module federation. That is two functions, init and get, so
// this file is one as it stands: no build, and nothing to keep in step but the names of JupyterLab's own modules.
(() => {
  const ASK_SECONDS = 60; // and more often when the end is near
  const SOONEST_SECONDS = 2;
  const PERSON = ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"];

  // The words of spawner/messages/times.py: a time in its one or two largest units; seconds only at the very end.
  const span = (seconds) => {
    let rest = Math.max(0, Math.round(seconds));
    const units = [["d", 86400, 2], ["h", 3600, 1], ["min", 60, 1], ["s", 1, 0]];
    const first = units.findIndex(([, size, least]) => rest >= size * least);
    const [unit, size] = units[first];
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    const next = units[first + 1];
    const more = next && !(unit === "min" && whole > 1) ? Math.floor(rest / next[1]) : 0;
    return `${whole} ${unit}${more ? ` ${more} ${next[0]}` : ""}`;
  };

  const clock = (seconds) => new Date(Date.now() + 1000 * seconds)
    .toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

  // How many of the warnings are due when so much is left: each is shown once, and stays closed when it was closed.
  const step = (left, warnings) => (warnings || [1800, 600, 120]).filter((each) => left <= each).length;

  // One warning, which JupyterLab shows until somebody closes it.
  class Warning {
    constructor(Notification) {
      Object.assign(this, { Notification, id: null, step: 0 });
    }

    show(due, text, action) {
      if (due === this.step) return;
      this.clear();
      this.step = due;
      this.id = this.Notification.warning(text, { autoClose: false, actions: action ? [action] : [] });
    }

    clear() {
      if (this.id !== null) this.Notification.dismiss(this.id);
      Object.assign(this, { id: null, step: 0 });
    }
  }

  class Timekeeper {
    constructor({ Notification }, { ServerConnection }) {
      this.Notification = Notification;
      this.connection = ServerConnection;
      this.settings = ServerConnection.makeSettings();
      this.session = new Warning(Notification);
      this.idle = new Warning(Notification);
      this.gpus = new Warning(Notification);
      Object.assign(this, { told: null, at: 0, seen: false, timer: null, show: () => {} });
    }

    begin() {
      for (const kind of PERSON) {
        document.addEventListener(kind, () => this.somebody(), { capture: true, passive: true });
      }
      document.addEventListener("visibilitychange", () => { if (!document.hidden) this.look(); });
      setInterval(() => this.show(), 1000);
      this.look();
    }

    // Somebody touched keyboard or mouse. The hub hears of it with the next question, or at once when it matters.
    somebody() {
      if (this.seen) return;
      this.seen = true;
      if (this.idle.step) this.look();
    }

    async request(wish) {
      const init = wish ? { method: "POST", body: JSON.stringify({ do: wish }) } : { method: "GET" };
      const url = `${this.settings.baseUrl.replace(/\/$/, "")}/labhub/time`;
      const answer = await this.connection.makeRequest(url, init, this.settings);
      const body = await answer.json().catch(() => ({}));
      if (!answer.ok) throw Object.assign(new Error(body.message || answer.statusText), { status: answer.status });
      this.take(body);
      return body;
    }

    async look() {
      clearTimeout(this.timer);
      const { seen } = this;
      this.seen = false;
      try {
        await this.request(seen ? "keep" : null);
      } catch (error) {
        this.seen = this.seen || seen; // to be told again
        if (error.status === 404) this.take({}); // the hub keeps no time of this server, or not yet
      }
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.look(), 1000 * this.pause());
    }

    pause() {
      const ends = [this.told?.left_seconds, this.told?.idle_left_seconds, this.told?.gpu_left_seconds].filter((each) => each != null);
      return Math.min(ASK_SECONDS, Math.max(SOONEST_SECONDS, Math.min(ASK_SECONDS, ...ends) / 4));
    }

    left() {
      const left = this.told?.left_seconds;
      return left == null ? null : Math.max(0, left - (Date.now() - this.at) / 1000);
    }

    take(told) {
      Object.assign(this, { told, at: Date.now() });
      const action = told.extend ? this.action(told.extend, "extend") : null;
      this.warn(this.session, told.warning, told.left_seconds, told.warnings, action, told.no_extension);
      this.warn(this.gpus, told.gpu_warning, told.gpu_left_seconds, told.gpu_warnings, null, "", told.gpu_step);
      this.warn(this.idle, told.idle_warning, told.idle_left_seconds, told.idle_warnings, this.action("Keep", "keep"));
      this.show();
    }

    // `level` is how urgent it is whatever is left, so that a warning of another level is shown anew.
    warn(warning, sentence, left, warnings, action, more, level = 0) {
      if (!sentence) {
        warning.clear();
        return;
      }
      // It stays up while time goes on, so it also says when.
      const text = sentence.replace("{left}", `${span(left)} (at ${clock(left)})`);
      warning.show(Math.max(1, level + step(left, warnings)), more ? `${text} ${more}` : text, action);
    }

    action(label, wish) {
      return { label, displayType: "accent", callback: () => { this.act(wish); } };
    }

    async act(wish) {
      try {
        const told = await this.request(wish);
        if (told.said) {
          const said = told.said.replace("{left}", told.left_seconds == null ? "" : span(told.left_seconds));
          this.Notification.success(said, { autoClose: 5000 });
        }
      } catch (error) {
        this.Notification.error(error.message, { autoClose: 10000 });
      }
    }

    // What a click on the status bar tells.
    explain() {
      const left = this.left();
      if (left === null) return;
      const text = `This server runs until ${clock(left)} (in ${span(left)}).`;
      const actions = this.told.extend ? [this.action(this.told.extend, "extend")] : [];
      this.Notification.info(text, { autoClose: 15000, actions });
    }
  }

  // The rest of the time in the status bar: a button, so that the keyboard reaches it.
  const statusItem = (keeper, Widget) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "jp-StatusBar-TextItem labhub-time";
    Object.assign(button.style, { display: "block", background: "none", border: "0", color: "inherit", cursor: "pointer" });
    button.addEventListener("click", () => keeper.explain());
    const widget = new Widget();
    widget.addClass("jp-mod-highlighted");
    widget.node.append(button);
    keeper.show = () => {
      const left = keeper.left();
      const text = left === null ? "" : `${left < 3600 ? "Stops in" : "Runs for"} ${span(left)}`;
      if (button.textContent === text) return;
      button.textContent = text;
      button.title = left === null ? "" : `This server runs until ${clock(left)}`;
      button.style.fontWeight = keeper.told?.warning ? "bold" : "normal";
      widget.setHidden(!text);
    };
    return widget;
  };

  let scope = null;

  // JupyterLab's own copy of a module, or undefined where this application has none.
  const shared = async (name) => {
    const [version] = Object.values(scope[name] || {});
    return version && (await version.get())();
  };

  const makePlugin = async () => {
    const [apputils, services, widgets, statusbar] = await Promise.all(
      ["@jupyterlab/apputils", "@jupyterlab/services", "@lumino/widgets", "@jupyterlab/statusbar"].map(shared),
    );
    return {
      id: "labhub-time:plugin",
      description: "How long this server may run.",
      autoStart: true,
      optional: statusbar ? [statusbar.IStatusBar] : [],
      activate(app, statusBar) {
        const keeper = new Timekeeper(apputils, services);
        if (statusBar) {
          const item = statusItem(keeper, widgets.Widget);
          statusBar.registerStatusItem("labhub-time:left", { item, align: "right", rank: 2 });
        }
        app.restored.then(() => keeper.begin());
      },
    };
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["labhub-time"] = {
    init(shareScope) { scope = shareScope; },
    async get() {
      const plugin = await makePlugin();
      return () => ({ __esModule: true, default: plugin });
    },
  };
})();

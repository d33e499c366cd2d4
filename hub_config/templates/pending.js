"use strict";
// The waiting room: the hub's event stream becomes steps; its end leads on to the server or to the reason why not.
(() => {
  const room = document.getElementById("lab-room");
  const bar = document.getElementById("lab-progress");
  const steps = document.getElementById("lab-steps");
  const started = new Date(room.dataset.started).getTime() || Date.now();
  const seconds = () => Math.max(0, (Date.now() - started) / 1000);
  let cancelled = false;

  const clock = document.getElementById("lab-elapsed");
  const tick = () => { clock.textContent = lab.duration(seconds()); };
  tick();
  setInterval(tick, 1000);

  const addStep = (text) => {
    const last = steps.lastElementChild;
    if (last?.dataset.text === text) return;
    if (steps.dataset.waiting) { steps.replaceChildren(); delete steps.dataset.waiting; }
    const item = document.createElement("li");
    item.dataset.text = text;
    const what = document.createElement("span");
    what.textContent = text;
    const when = document.createElement("time");
    when.textContent = lab.duration(seconds());
    item.append(what, when);
    steps.append(item);
  };

  const showProgress = (percent) => {
    bar.setAttribute("aria-valuenow", percent);
    bar.firstElementChild.style.width = `${Math.max(3, percent)}%`;
  };

  const hubAnswers = async () => {
    try {
      const answer = await fetch(`${window.jhdata.base_url}health`, { cache: "no-store" });
      return answer.ok;
    } catch {
      return false;
    }
  };

  // The page itself knows where to go on: to the server, or to what says why there is none.
  // A hub that is restarting is waited for.
  const goOn = async () => {
    events.close();
    while (!(await hubAnswers())) {
      lab.say("The hub does not answer at the moment. This page continues by itself.");
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
    window.location.reload();
  };

  const events = new EventSource(room.dataset.progress);
  events.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (cancelled) return;
    if (event.ready || event.failed) {
      goOn();
      return;
    }
    if (event.progress !== undefined) showProgress(event.progress);
    if (event.message) addStep(event.message);
  };
  events.onerror = () => {
    if (!cancelled && events.readyState === EventSource.CLOSED) goOn();
  };
  room.addEventListener("lab:stopping", () => { cancelled = true; });
  room.addEventListener("lab:not-stopped", () => {
    cancelled = false;
    if (events.readyState === EventSource.CLOSED) goOn();
  });
})();

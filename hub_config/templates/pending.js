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

  // The queue: where this start stands, what is ahead, and when its turn comes.
  const queue = document.getElementById("lab-queue");
  const part = (id) => document.getElementById(id);
  const cancel = part("cancel").lastChild;
  const words = { title: part("lab-title").textContent, page: document.title, cancel: cancel.textContent };

  const showAhead = (ahead) => {
    const list = part("lab-ahead");
    list.hidden = ahead.length === 0;
    list.querySelector("summary").textContent = ahead.length === 1 ? "What is ahead of you" : `What is ahead of you (${ahead.length})`;
    list.querySelector("ol").replaceChildren(...ahead.map((each) => {
      const item = document.createElement("li");
      item.textContent = each.name ? `${each.name}: ${each.text}` : each.text;
      return item;
    }));
  };

  const showEta = (seconds) => {
    const place = part("lab-eta");
    place.hidden = seconds === null;
    if (seconds === null) return;
    const then = new Date(Date.now() + 1000 * seconds);
    const day = then.toDateString() === new Date().toDateString() ? "" : `${then.toLocaleDateString()}, `;
    place.firstElementChild.dateTime = then.toISOString();
    place.firstElementChild.textContent = day + then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  };

  // Admins read names there, and the event stream has none.
  const withNames = async (place) => {
    try {
      return (await lab.api("GET", room.dataset.queue)).queue || place;
    } catch {
      return place;
    }
  };

  const showPlace = async (told) => {
    const place = room.dataset.admin ? await withNames(told) : told;
    queue.hidden = false;
    part("lab-position").textContent = `${place.position} of ${place.waiting}`;
    part("lab-sentence").textContent = place.sentence;
    showEta(place.eta_seconds);
    showAhead(place.ahead);
    part("without-gpu").hidden = !place.gpus;
    part("notify").hidden = !("Notification" in window) || Notification.permission !== "default";
    part("lab-title").textContent = "Your server is waiting for room";
    document.title = `${place.position} of ${place.waiting} in the queue · labhub`;
    cancel.textContent = "Leave the queue";
  };

  const leaveQueue = () => {
    if (queue.hidden) return;
    queue.hidden = true;
    part("lab-title").textContent = words.title;
    document.title = `It starts now · ${words.page}`;
    cancel.textContent = words.cancel;
    notify(part("without-gpu").hidden ? "It is your turn." : "It is your turn: come back to the page, or others get your GPU.");
  };

  const notify = (body) => {
    if (!("Notification" in window) || Notification.permission !== "granted") return;
    try {
      const note = new Notification("Your server starts now", { body, tag: room.dataset.queue });
      note.onclick = () => { window.focus(); note.close(); };
    } catch {
      // Chrome on phones lets no page do this; the title says it there.
    }
  };

  part("notify").addEventListener("click", async () => {
    await Notification.requestPermission();
    part("notify").hidden = true;
  });
  part("without-gpu").addEventListener("click", (event) => lab.attempt(event.currentTarget, "A moment…", "It still waits for a GPU",
    () => lab.api("POST", room.dataset.queue, { do: "without_gpu" })));

  const hubAnswers = async () => {
    try {
      const answer = await fetch(`${window.jhdata.base_url}health`, { cache: "no-store" });
      return answer.ok;
    } catch {
      return false;
    }
  };

  // The page itself knows where to go on: to the server, or to what says why there is none.
  // A hub that is restarting is waited for, and so is a place in the queue that it has not taken up again.
  const pause = () => new Promise((resolve) => setTimeout(resolve, 1500));
  const stillWaits = async () => {
    try {
      return Boolean(await lab.api("GET", room.dataset.queue));
    } catch {
      return false;
    }
  };
  const goOn = async () => {
    events.close();
    while (!(await hubAnswers())) {
      lab.say("The hub does not answer at the moment. This page continues by itself.");
      await pause();
    }
    for (let tries = 8; tries && !queue.hidden && (await stillWaits()); tries -= 1) await pause();
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
    if (event.queue) showPlace(event.queue);
    else if (event.queue === null || event.progress > 2) leaveQueue();
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

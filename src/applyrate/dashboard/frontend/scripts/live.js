// Live numbers. An element with `data-live` names a stream of server-sent events. After an event
// that concerns the page, at most every two seconds, the page is asked for again, and its parts
// with `data-live-part` take the new numbers on in place. What is no such part stays as it is (a
// search that is being typed, say), and so do focus, scroll and whatever the reader has opened.

import { Idiomorph } from "idiomorph";

const PAUSE_MS = 2000;

/** Follow the stream of the page that is shown now; `changed` is told of each part that changed. */
export function follow(changed) {
  const address = document.querySelector("[data-live]")?.dataset.live;
  if (address === known.address) return;
  Object.assign(known, { address, changed, isStale: false });
  connect();
}

// A browser holds few connections to one service, and a stream is one of them: a page that nobody
// sees gives its own back. The address says since when changes are wanted, so none is missed.
function connect() {
  known.source?.close();
  known.source = undefined;
  if (!known.address || document.hidden) return;
  known.source = new EventSource(known.address);
  known.source.addEventListener("usage", ({ data }) => {
    if (!concerns(JSON.parse(data))) return;
    known.isStale = true;
    schedule();
  });
}

const known = { address: undefined, changed: undefined, source: undefined, isStale: false, timer: 0, at: 0 };

document.addEventListener("visibilitychange", connect);
addEventListener("pagehide", () => known.source?.close());

function concerns({ resource_type: type, resource_id: id }) {
  const { liveType, liveId } = document.querySelector("[data-live]")?.dataset ?? {};
  return type === liveType && (liveId === undefined || id === liveId);
}

function schedule() {
  if (!known.isStale || known.timer || document.hidden) return;
  const wait = Math.max(0, known.at + PAUSE_MS - performance.now());
  known.timer = setTimeout(refresh, wait);
}

async function refresh() {
  known.isStale = false;
  const asked = location.href;
  try {
    const answer = await fetch(asked, { redirect: "error" });
    const page = answer.ok ? await answer.text() : "";
    // The reader may have sorted the table meanwhile, or gone on: what is there then is newer.
    if (page && asked === location.href) take(new DOMParser().parseFromString(page, "text/html"));
  } catch {
    // The service is away, or the session has ended: the next event or the next click will tell.
  }
  known.timer = 0;
  known.at = performance.now();
  schedule();
}

function take(fresh) {
  for (const part of document.querySelectorAll("[data-live-part]")) {
    const next = fresh.getElementById(part.id);
    if (!next) continue;
    Idiomorph.morph(part, next, {
      callbacks: { beforeNodeMorphed, beforeAttributeUpdated },
    });
    known.changed(part);
  }
}

// What a chart has drawn is not in the page that the service makes, which has its numbers alone.
function beforeNodeMorphed(node, next) {
  if (!(node instanceof HTMLElement) || !node.matches("[data-chart]")) return true;
  if (next instanceof HTMLElement && next.dataset.chart) node.dataset.chart = next.dataset.chart;
  return false;
}

function beforeAttributeUpdated(name) {
  return name !== "open";
}

// Whoever hears a page rather than sees it is told when a part of it was replaced, and keeps the
// place in it: the control that was used has the focus again.

export function announcePage() {
  let used = "";
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    used = place(document.activeElement ?? detail.elt);
  });
  document.addEventListener("htmx:afterSettle", () => {
    if (document.activeElement && document.activeElement !== document.body) return;
    const main = document.getElementById("content");
    (seen(find(main, used)) ?? main).focus({ preventScroll: true });
    document.getElementById("announcements").textContent = document.title;
  });
}

function place(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const text = element.textContent.trim();
  return text && `${element.localName}:${text}`;
}

// What is folded away cannot have the focus; what folds it out can.
function seen(element) {
  const folded = element?.closest("details:not([open])");
  return folded ? folded.querySelector("summary") : element;
}

function find(main, used) {
  if (used.startsWith("#")) return main.querySelector(used);
  const [name, ...text] = used.split(":");
  if (!name) return null;
  return [...main.querySelectorAll(name)].find((one) => one.textContent.trim() === text.join(":"));
}

// The window picker: it closes by Escape and by a click elsewhere, and knows all time zones.

export function closeOutside() {
  document.addEventListener("click", ({ target }) => {
    for (const picker of document.querySelectorAll("[data-picker][open]")) {
      if (!picker.contains(target)) picker.open = false;
    }
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    for (const picker of document.querySelectorAll("[data-picker][open]")) {
      picker.open = false;
      picker.querySelector("summary").focus();
    }
  });
}

export function offerTimeZones(root) {
  for (const list of root.querySelectorAll("[data-timezones]")) {
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const names = new Set([own, "UTC", ...Intl.supportedValuesOf("timeZone")]);
    list.replaceChildren(...[...names].map((name) => new Option(name, name)));
  }
}

// Tells whoever hears the page how many rows a search has left, while the focus stays where it is.

export function announceCounts() {
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    const told = detail.target?.id === "resources" && document.querySelector("#resources [data-told]");
    if (told) document.getElementById("announcements").textContent = told.textContent;
  });
}

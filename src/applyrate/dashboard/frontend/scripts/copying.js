// Buttons that copy the text beside them.

const TOLD_MILLISECONDS = 2_000;

export function offerCopies(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
}

async function copy(button) {
  const source = button.closest("figure").querySelector("code");
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source); // no clipboard without TLS: let the reader's keys do it
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = label; }, TOLD_MILLISECONDS);
}

// Light or dark: what the system says, until the reader chooses; a cookie tells the server, so that
// the next page comes in the right colours at once.

const YEAR_SECONDS = 31_536_000;

export function offerThemes() {
  const button = document.querySelector("[data-theme-toggle]");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    document.cookie = `applyrate_theme=${theme}; path=/dashboard; max-age=${YEAR_SECONDS}; samesite=lax`;
    document.dispatchEvent(new Event("themechange"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    document.dispatchEvent(new Event("themechange"));
  });
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

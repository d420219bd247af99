import { useEffect, useState } from "preact/hooks";

type Theme = "auto" | "light" | "dark";

const NEXT: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };
const SIGN: Record<Theme, string> = { auto: "◐", light: "☀", dark: "☾" };
const STORE = "edgepool-theme";

function stored(): Theme {
  try {
    const theme = localStorage.getItem(STORE);
    return theme === "light" || theme === "dark" ? theme : "auto";
  } catch {
    return "auto";
  }
}

/** A button that goes through: as the system, light, dark. */
export function ThemeButton() {
  const [theme, setTheme] = useState(stored);
  useEffect(() => {
    document.documentElement.dataset["theme"] = theme;
    try {
      localStorage.setItem(STORE, theme);
    } catch {
      // Some browsers keep nothing for some pages; the choice then lasts as long as the page.
    }
  }, [theme]);
  const label = `Colours: ${theme === "auto" ? "as the system" : theme}`;
  return (
    <button class="quiet" type="button" title={label} aria-label={`${label}. Change.`}
      onClick={() => setTheme(NEXT[theme])}>
      <span aria-hidden="true">{SIGN[theme]}</span>
      <span class="theme-name">{theme}</span>
    </button>
  );
}

/** Counts the changes of the colours, however they come about. */
export function useColours(): number {
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    const changed = () => setChanges((before) => before + 1);
    const system = matchMedia("(prefers-color-scheme: dark)");
    const chosen = new MutationObserver(changed);
    chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    system.addEventListener("change", changed);
    return () => {
      chosen.disconnect();
      system.removeEventListener("change", changed);
    };
  }, []);
  return changes;
}

/** Resolves a colour of the style sheet for a canvas, which knows no variables. */
export function colour(name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

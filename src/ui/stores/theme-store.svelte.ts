/**
 * Light or dark: as the system says, or as was chosen here before.
 *
 * In: a choice. Out: `data-theme` on the document, and the choice kept in localStorage.
 * Guarantees: works where storage is refused (the choice then lasts for the visit).
 */

/** What may be chosen. */
export const THEMES = ['auto', 'light', 'dark'] as const;

/** One of {@link THEMES}. */
export type Theme = (typeof THEMES)[number];

const KEY = 'firstlight.theme';

/** The page's theme. */
export class ThemeStore {
  current = $state<Theme>(readTheme());

  /** Puts the theme on the document without keeping it. */
  apply(): void {
    document.documentElement.dataset.theme = this.current;
  }

  /** Chooses a theme and keeps the choice. */
  choose(theme: Theme): void {
    this.current = theme;
    this.apply();
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Storage refused: nothing depends on it.
    }
  }
}

function readTheme(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return THEMES.find((theme) => theme === kept) ?? 'auto';
  } catch {
    return 'auto';
  }
}

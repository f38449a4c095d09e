/**
 * Ratios as horizontal bars with the goal as a line: an SVG that stands by itself, in light and dark. Pure.
 */

/** One bar. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Drawn as a line across the bar; null for none. */
  readonly goal: number | null;
}

const ROW = 26;
const LABEL_WIDTH = 330;
const BAR_WIDTH = 360;
const VALUE_WIDTH = 70;
const TOP = 40;

/** Draws the chart. */
export function drawBars(title: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ value, goal }) => Math.max(value, goal ?? 0)), Number.MIN_VALUE);
  const x = (value: number): number => LABEL_WIDTH + (value / most) * BAR_WIDTH;
  const height = TOP + bars.length * ROW + 12;
  const width = LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH;
  const rows = bars.map(({ label, value, goal }, index) => {
    const y = TOP + index * ROW;
    const text = Number(value.toPrecision(3));
    return [
      `<text x="${LABEL_WIDTH - 10}" y="${y + 14}" text-anchor="end">${escape(label)}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y + 2}" width="${(x(value) - LABEL_WIDTH).toFixed(1)}" height="16" rx="3"/>`,
      ...(goal === null
        ? []
        : [`<line x1="${x(goal).toFixed(1)}" x2="${x(goal).toFixed(1)}" y1="${y - 2}" y2="${y + 22}"/>`]),
      `<text x="${LABEL_WIDTH + BAR_WIDTH + 8}" y="${y + 14}">${text}</text>`,
    ].join('');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(title)}">
<style>text{font:13px system-ui,sans-serif;fill:#222}.t{font-weight:600}rect{fill:#2f6fdb}line{stroke:#c2410c;stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#eee}rect{fill:#6ea0ff}line{stroke:#fb923c}}</style>
<text class="t" x="10" y="20">${escape(title)}</text>
${rows.join('\n')}
</svg>
`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

/**
 * Prints, at the end of a run of Playwright, which tests were skipped and why: its own list says only that they were.
 */
import type { FullResult, Reporter, TestCase } from '@playwright/test/reporter';

export default class SkipReporter implements Reporter {
  readonly #skipped = new Map<string, string>();

  onTestEnd(test: TestCase): void {
    if (test.outcome() !== 'skipped') return;
    const asked = test.annotations.filter(({ type }) => type === 'skip' || type === 'fixme');
    const reason = asked.find(({ description }) => description)?.description ?? 'no reason was given';
    // Nobody asked to skip what Playwright did not come to.
    const why = asked.length > 0 ? reason : 'it was not run, because something before it failed';
    this.#skipped.set(test.titlePath().filter(Boolean).join(' › '), why);
  }

  onEnd(_: FullResult): void {
    for (const [title, reason] of this.#skipped) console.warn(`SKIPPED: ${title}: ${reason}`);
  }
}

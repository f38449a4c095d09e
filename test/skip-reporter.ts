/**
 * Prints, at the end of a run of Playwright, which tests were skipped and why: its own list says only that they were.
 */
import type { FullResult, Reporter, TestCase } from '@playwright/test/reporter';

export default class SkipReporter implements Reporter {
  readonly #skipped = new Map<string, string>();

  onTestEnd(test: TestCase): void {
    if (test.outcome() !== 'skipped') return;
    const reasons = test.annotations.flatMap(({ type, description }) => (type === 'skip' ? [description ?? ''] : []));
    this.#skipped.set(test.titlePath().filter(Boolean).join(' › '), reasons.find(Boolean) ?? 'no reason was given');
  }

  onEnd(_: FullResult): void {
    for (const [title, reason] of this.#skipped) console.warn(`SKIPPED: ${title}: ${reason}`);
  }
}

/**
 * The error table of the README names every code of the closed list, with the sentence and the advice that people read.
 */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ERROR_SENTENCES, type ErrorCode } from '../../../src/contract/errors.ts';
import { adviceFor } from '../../../src/ui/error-advice.ts';

it('the README lists every error code, what happened and what to do', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const section = /^## Errors$([\s\S]*?)^## /mu.exec(readme)?.[1] ?? '';
  const rows = [...section.matchAll(/^\| `(\w+)` \| (.*?) \| (.*?) \|$/gmu)].map(([, code, what, advice]) => [
    code,
    what,
    advice,
  ]);
  const codes = Object.keys(ERROR_SENTENCES) as ErrorCode[];
  expect(rows).toEqual(codes.map((code) => [code, ERROR_SENTENCES[code], adviceFor(code)]));
});

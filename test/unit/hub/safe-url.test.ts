/** Addresses in messages: what may have come from a redirect is shown without what it was signed with. */
import { expect, test } from 'vitest';
import { toSafeUrl } from '../../../src/hub/urls.ts';

test.each([
  ['https://cdn.example/x?Signature=secret&a=b#c', 'https://cdn.example/x'],
  ['https://cdn.example/x?X-Amz-Signature=secret', 'https://cdn.example/x'],
  ['https://cdn.example/x#token=secret', 'https://cdn.example/x'],
  ['https://name:secret@cdn.example/x', 'https://cdn.example/x'],
  ['https://cdn.example/a@b/x', 'https://cdn.example/a@b/x'],
])('%s → %s', (url, shown) => {
  expect(toSafeUrl(url)).toBe(shown);
});

/**
 * What a person types or pastes for a model. Expected values: huggingface_hub's own verdicts (see
 * test/reference/references/hub_client.py) and git-check-ref-format's rules.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toNamedOrigin } from '../../../src/client/model-source.ts';
import {
  DEFAULT_ENDPOINT,
  findModelIdFault,
  findRevisionFault,
  readModelName,
} from '../../../src/contract/model-name.ts';

interface Recorded {
  readonly endpoint: string;
  readonly repoIds: readonly (readonly [string, boolean])[];
  readonly addresses: readonly (readonly [string, { type: string; id: string; revision: string | null } | null])[];
}
const recorded = JSON.parse(
  readFileSync(new URL('../../fixtures/hub/huggingface-hub.json', import.meta.url), 'utf8'),
) as Recorded;

const read = (text: string, endpoint = recorded.endpoint) => readModelName(text, endpoint);

describe('a model id', () => {
  it.each(recorded.repoIds)('%j: huggingface_hub says %s', (id, isValid) => {
    const fault = findModelIdFault(id);
    expect(fault === null).toBe(isValid);
    if (fault !== null) expect(fault).toMatch(/\.$/);
  });

  it.each(recorded.repoIds.filter(([, isValid]) => isValid))('%j stays what it is', (id) => {
    expect(read(id)).toEqual({ modelId: id, revision: null });
  });

  it.each([' org/name', 'org/name\n', '\u00a0org/name\ufeff', 'org/name/', ' org/name// '])(
    '%j is understood',
    (text) => {
      expect(read(text)).toEqual({ modelId: 'org/name', revision: null });
    },
  );
});

describe('an address', () => {
  // A scheme may be written in capitals anywhere else, and phones like to do it.
  const rows = recorded.addresses.filter(([text]) => text !== 'HF://org/name');

  it.each(rows)('%s as huggingface_hub reads it', (text, verdict) => {
    const name = read(text);
    if (verdict?.type === 'model') expect(name).toEqual({ modelId: verdict.id, revision: verdict.revision });
    else expect(name).toEqual({ fault: expect.stringMatching(/\.$/) as string });
  });

  it.each(rows.filter(([text, verdict]) => verdict !== null && !text.includes('hub.example')))(
    '%s with spaces around it, for the hub itself',
    (text) => {
      expect(read(` ${text}\n`, DEFAULT_ENDPOINT)).toEqual(read(text));
    },
  );

  it('says what it is the address of, where that is no model', () => {
    expect(read('https://huggingface.co/datasets/org/name')).toEqual({
      fault: expect.stringContaining('a dataset') as string,
    });
    expect(read('https://huggingface.co/org/name/discussions/3')).toEqual({
      fault: expect.stringContaining('“discussions”') as string,
    });
  });

  it('of another host is none of the hub that is asked', () => {
    const name = read('https://hub.example:8443/mirror/org/name', DEFAULT_ENDPOINT);
    expect(name).toEqual({ fault: expect.stringContaining('hub.example:8443') as string });
    expect(read('https://huggingface.co/org/name', 'half typed')).toEqual({ modelId: 'org/name', revision: null });
  });

  it('with a password is refused and not repeated', () => {
    const name = read('https://me:hf_secret@huggingface.co/org/name');
    expect(name).toHaveProperty('fault');
    expect(JSON.stringify(name)).not.toContain('secret');
  });

  it('whatever is typed, what comes out are names that pass their own check', () => {
    const part = fc.constantFrom(
      'https://',
      'hf://',
      'huggingface.co',
      '/',
      'org',
      'name',
      'tree',
      '@',
      '%2F',
      '..',
      '?',
      '#',
      ' ',
      'é',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(part).map((parts) => parts.join('')),
        ),
        (text) => {
          const name = read(text);
          if ('fault' in name) return;
          expect(findModelIdFault(name.modelId)).toBeNull();
          if (name.revision !== null) expect(findRevisionFault(name.revision)).toBeNull();
        },
      ),
    );
  });
});

describe('a revision', () => {
  it.each(['main', 'v1.0', 'refs/pr/1', 'feature/x-y', 'größe', 'a'.repeat(40)])('takes %s', (revision) => {
    expect(findRevisionFault(revision)).toBeNull();
  });

  it.each([
    '',
    ' ',
    '/main',
    'main/',
    'a..b',
    'a//b',
    '-x',
    'a b',
    'a?b',
    'x.lock',
    'x.lock/y',
    'a@{1}',
    '@',
    'a.',
    '.a/b',
    'a\u0000',
    'a^b',
    'a\\b',
  ])('refuses %j', (revision) => {
    expect(findRevisionFault(revision)).toMatch(/\.$/);
  });
});

describe('a revision named twice', () => {
  const address = 'https://huggingface.co/org/name/tree/v1';
  const name = (revision: string | undefined, text = address) =>
    toNamedOrigin(text, { revision, endpoint: DEFAULT_ENDPOINT, pageUrl: undefined });

  it('is taken from the address, from the option, or is main', async () => {
    expect(await name(undefined)).toMatchObject({ modelId: 'org/name', revision: 'v1' });
    expect(await name('v1')).toMatchObject({ modelId: 'org/name', revision: 'v1' });
    expect(await name('v2', 'org/name')).toMatchObject({ modelId: 'org/name', revision: 'v2' });
    expect(await name(undefined, 'org/name')).toMatchObject({ modelId: 'org/name', revision: 'main' });
  });

  it('is refused where the two differ', async () => {
    await expect(name('v2')).rejects.toMatchObject({ code: 'invalid_argument', detail: { argument: 'revision' } });
  });
});

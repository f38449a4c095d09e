import { describe, expect, it } from 'vitest';
import type { ResolveRecords } from '../../../src/contract/cache-records.ts';
import { LoadError, type ErrorCode } from '../../../src/contract/errors.ts';
import { OptionalRecords } from '../../../src/store/optional-records.ts';

const REF = { endpoint: 'https://hub.example', modelId: 'a/b', revision: 'main', commit: 'c', resolvedAtMs: 1 };

/** Records whose every call fails. */
function failing(code: ErrorCode): { records: ResolveRecords; calls: string[] } {
  const calls: string[] = [];
  const fail = (name: string) => (): Promise<never> => {
    calls.push(name);
    return Promise.reject(new LoadError(code));
  };
  const records = {
    getRef: fail('getRef'),
    putRef: fail('putRef'),
    getSnapshot: fail('getSnapshot'),
    putSnapshot: fail('putSnapshot'),
  };
  return { records, calls };
}

describe('records that may be missing', () => {
  it('a database that the browser refuses holds nothing, and is asked once', async () => {
    const { records, calls } = failing('storage_unavailable');
    const optional = new OptionalRecords(records);
    expect(await optional.getRef('e', 'a/b', 'main')).toBeNull();
    await optional.putRef(REF);
    expect(await optional.getSnapshot('e', 'a/b', 'c')).toBeNull();
    expect(optional.obstacle).toMatchObject({ code: 'storage_unavailable' });
    expect(calls).toEqual(['getRef']);
  });

  it('a full one can still be read', async () => {
    const { records } = failing('quota_exceeded');
    const optional = new OptionalRecords({ ...records, getRef: () => Promise.resolve(REF) });
    await optional.putRef(REF);
    expect(optional.obstacle).toMatchObject({ code: 'quota_exceeded' });
    expect(await optional.getRef('e', 'a/b', 'main')).toEqual(REF);
  });

  it('what has another reason is thrown', async () => {
    const optional = new OptionalRecords(failing('storage_failed').records);
    await expect(optional.getRef('e', 'a/b', 'main')).rejects.toMatchObject({ code: 'storage_failed' });
    expect(optional.obstacle).toBeNull();
  });

  it('none at all', async () => {
    const optional = new OptionalRecords(null);
    expect(await optional.getRef('e', 'a/b', 'main')).toBeNull();
    await optional.putRef(REF);
    expect(optional.obstacle).toBeNull();
  });
});

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

describe('public/models', () => {
  it('is described by its index, byte for byte', () => {
    const script = fileURLToPath(new URL('../../../scripts/write-model-index.mjs', import.meta.url));
    expect(() => execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' })).not.toThrow();
  });
});

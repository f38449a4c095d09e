import { describe, expect, it } from 'vitest';
import { explainAbsence, isSoftwareAdapter } from '../../../src/runtime/gpu/adapter.ts';

const nameless = { vendor: '', architecture: '', device: '', description: '' };

describe('software adapters', () => {
  it.each([
    [
      'Chromium 156 on SwiftShader',
      { ...nameless, vendor: 'google', architecture: 'swiftshader', isFallbackAdapter: true },
    ],
    ['Firefox 153 on lavapipe', { ...nameless, isFallbackAdapter: true }],
    ['a browser without the flag, SwiftShader', { ...nameless, description: 'SwiftShader Device (Subzero)' }],
    ['without the flag, Mesa', { ...nameless, description: 'llvmpipe (LLVM 15.0.6, 256 bits)' }],
    ['without the flag, Windows', { ...nameless, vendor: 'microsoft', description: 'Microsoft Basic Render Driver' }],
    ['without the flag, WARP', { ...nameless, vendor: 'microsoft', architecture: 'warp' }],
  ])('%s', (_, info) => {
    expect(isSoftwareAdapter({ info })).toBe(true);
  });

  it('Chromium before 136: the flag was the adapter’s own', () => {
    expect(isSoftwareAdapter({ info: nameless, isFallbackAdapter: true })).toBe(true);
  });

  it.each([
    { ...nameless, vendor: 'apple', architecture: 'metal-3', isFallbackAdapter: false },
    { ...nameless, vendor: 'nvidia', architecture: 'ampere', description: 'NVIDIA GeForce RTX 3060' },
    { ...nameless, vendor: 'microsoft', description: 'Microsoft Surface GPU' },
    nameless,
  ])('a GPU: $vendor $description', (info) => {
    expect(isSoftwareAdapter({ info, isFallbackAdapter: false })).toBe(false);
  });
});

describe('no adapter, in words', () => {
  it.each([
    [{ isSecureContext: false, navigator: {} }, /https/u],
    [{ isSecureContext: true, navigator: {} }, /no WebGPU, or none for workers/u],
    [{ isSecureContext: true, navigator: { gpu: {} } }, /gives no adapter: .*blocked/u],
  ])('%j', (scope, words) => {
    expect(explainAbsence(scope)).toMatch(words);
  });
});

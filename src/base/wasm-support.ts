/**
 * Whether this realm may compile WebAssembly, found out by compiling a module of 8 bytes.
 *
 * What a browser says of a module that its policy refuses is a sentence of its own, buried in the runtime's; a valid module of
 * nothing cannot be refused for any other reason.
 */
import { LoadError } from '../contract/errors.ts';

/** Magic number and version: https://webassembly.github.io/spec/core/binary/modules.html#binary-module. */
const EMPTY_MODULE = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);

/** @throws LoadError `blocked_by_policy`, `environment_unsupported` */
export function checkWasm(): void {
  if (typeof WebAssembly === 'undefined') {
    throw new LoadError('environment_unsupported', {
      message: 'This browser has no WebAssembly (Lockdown Mode switches it off), which the runtime is made of.',
      detail: { reason: 'no_webassembly' },
    });
  }
  try {
    new WebAssembly.Module(EMPTY_MODULE);
  } catch (cause) {
    const needed = "script-src 'self' 'wasm-unsafe-eval'";
    throw new LoadError('blocked_by_policy', {
      message: `It lets no WebAssembly be compiled. Allow it, for the page and for its workers' scripts: ${needed}`,
      detail: { directive: 'script-src', blocked: 'wasm-eval', needed },
      cause,
    });
  }
}

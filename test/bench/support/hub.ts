/**
 * Starts the local hub in a process of its own. In: its options. Out: its address and its throttle.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { HubOptions, Throttle } from '../../hub/index.ts';

/** A hub elsewhere. */
export interface BenchHub {
  readonly endpoint: string;
  setThrottle(throttle: Throttle): Promise<void>;
  close(): void;
}

/** Resolves when it listens and has hashed what it serves. */
export async function startHubProcess(options: HubOptions): Promise<BenchHub> {
  const child = fork(fileURLToPath(new URL('./hub-process.mjs', import.meta.url)), {
    serialization: 'advanced', // keeps byte arrays what they are
  });
  const ask = async (message: object): Promise<unknown> => {
    child.send(message);
    const [answer] = (await once(child, 'message')) as [unknown];
    return answer;
  };
  const { endpoint } = (await ask(options)) as { endpoint: string };
  return {
    endpoint,
    setThrottle: async (throttle) => {
      await ask({ throttle });
    },
    close: () => {
      child.kill();
    },
  };
}

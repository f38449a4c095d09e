/**
 * How much memory a system lets a page hold before it ends it, where that is less than what buffers and heaps may be. Pure.
 *
 * In: what the browser says about itself. Out: {@link MemoryCeiling}, or null where no fixed ceiling is known: there, running
 * out of memory is an error that can be caught, and here it is not (the page is gone, and the browser loads it again).
 */

/** See the file's header. */
export interface MemoryCeiling {
  /** All that the page's process may hold. */
  readonly bytes: number;
  /** In words that follow "and": `an iPhone or iPad ends …`. */
  readonly holder: string;
}

/** What a browser says about the device. */
export interface PlatformFacts {
  readonly userAgent: string;
  /** `navigator.maxTouchPoints` of a page; 0 where that is not known (workers do not have it). */
  readonly maxTouchPoints: number;
}

const GIB = 2 ** 30;

/**
 * The ceilings, and where they are from. Every browser on iOS and iPadOS is WebKit to the system, whatever its name.
 *
 * | system       | ceiling | sources                                                                                             |
 * |--------------|---------|-----------------------------------------------------------------------------------------------------|
 * | iOS, iPadOS  | 1.5 GiB | WebKit's own change that lets WebGPU buffers grow to 1 GB names the limit at which the system ends  |
 * |              |         | the process (https://github.com/WebKit/WebKit/pull/49472, bug 297475); the same figure in           |
 * |              |         | https://bugs.webkit.org/show_bug.cgi?id=268816; language models that end Safari's page after their  |
 * |              |         | download: https://github.com/mlc-ai/web-llm/issues/753, and without end when the page loads again:  |
 * |              |         | https://github.com/huggingface/transformers.js/issues/1241.                                         |
 *
 * Devices with little memory end pages earlier, which no page can find out. Android and the desktops have no fixed figure.
 */
const CEILINGS: readonly (MemoryCeiling & { readonly applies: (facts: PlatformFacts) => boolean })[] = [
  { bytes: 1.5 * GIB, holder: 'an iPhone or iPad', applies: isIos },
];

/** The ceiling of a device. */
export function findMemoryCeiling(facts: PlatformFacts): MemoryCeiling | null {
  const found = CEILINGS.find(({ applies }) => applies(facts));
  return found ? { bytes: found.bytes, holder: found.holder } : null;
}

/**
 * iPadOS 13 and later asks for the pages that a Mac would get and says that it is one; but no Mac has a touch screen. Old phones
 * of Microsoft's claimed to be "like iPhone".
 */
function isIos({ userAgent, maxTouchPoints }: PlatformFacts): boolean {
  if (/Windows Phone/u.test(userAgent)) return false;
  return /\b(?:iPhone|iPad|iPod)\b/u.test(userAgent) || (/\bMacintosh\b/u.test(userAgent) && maxTouchPoints > 1);
}

/** What the page puts on the window; see main.ts. */
import type { Loader } from '../client/loader.ts';
import type * as firstlight from '../index.ts';

declare global {
  interface Window {
    firstlight: typeof firstlight & { readonly loader: Loader };
  }
}

/**
 * The page's one loader.
 *
 * In: a way to make loaders, and where the hub is. Out: the loader that serves the page now.
 * Guarantees: one loader at a time; another one only where the endpoint or the token changed. The token is kept in
 * this object alone: in memory, never in storage, an address or a log.
 */
import type { Loader, LoaderOptions } from '../../client/loader.ts';

/** Where models come from. Empty: the default. */
export interface HubFields {
  readonly endpoint: string;
  readonly token: string;
}

/** The app brings models: in the folder of its page. */
const OWN_FOLDER = './';

/** Holds the current loader and replaces it when the hub changes. */
export class LoaderHost {
  readonly #create: (options: LoaderOptions) => Loader;
  #hub: HubFields = { endpoint: '', token: '' };
  #current: Loader;

  constructor(create: (options: LoaderOptions) => Loader) {
    this.#create = create;
    this.#current = create({ bundledBaseUrl: OWN_FOLDER });
  }

  /** The loader that serves the page now. */
  get current(): Loader {
    return this.#current;
  }

  /** The loader for this hub; the one before it is disposed, with every model it made. */
  async useHub(hub: HubFields): Promise<Loader> {
    if (hub.endpoint === this.#hub.endpoint && hub.token === this.#hub.token) return this.#current;
    const previous = this.#current;
    // Made first: a loader that cannot be made (an address that is none) leaves the page with the one it has.
    this.#current = this.#create({
      bundledBaseUrl: OWN_FOLDER,
      hub: {
        ...(hub.endpoint === '' ? {} : { endpoint: hub.endpoint }),
        ...(hub.token === '' ? {} : { token: hub.token }),
      },
    });
    this.#hub = { ...hub };
    await previous.dispose();
    return this.#current;
  }
}

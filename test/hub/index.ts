/**
 * A local hub that speaks Hugging Face's HTTP: a listener for the hub and one for the CDN (so redirects and CORS are
 * real), revisions, pages, tokens, signed addresses, ranges; slow or broken on command. For tests, benchmarks, and by hand:
 * `node test/hub/main.mjs --root <folder> --port <n>`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { deliver } from './deliver.ts';
import { Listener } from './listener.ts';
import { type ActiveRule, type FaultRule, Misbehaviour } from './misbehave.ts';
import {
  type Commit,
  commitFiles,
  type FilesSpec,
  openRepository,
  type Repository,
  type RepositorySpec,
} from './repository.ts';
import { type LoggedRequest, RequestLog } from './request-log.ts';
import { routeCdn, type RouteContext, routeHub } from './routes.ts';
import { Pacer, type Throttle } from './throttle.ts';
import { UrlSigner } from './url-signer.ts';

export type { ContentSpec, SyntheticSpec } from './content.ts';
export type { Fault, FaultRule, ActiveRule } from './misbehave.ts';
export type { FileSpec, FilesSpec, RepositorySpec } from './repository.ts';
export type { LoggedRequest, RequestKind, RequestLog } from './request-log.ts';
export type { Throttle } from './throttle.ts';

/** How a hub is started. */
export interface HubOptions {
  /** By id, `org/name` or `name`. */
  readonly repositories: Readonly<Record<string, RepositorySpec>>;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default: any free one. */
  readonly port?: number;
  readonly cdnPort?: number;
  /** Entries of a page of the file list. Default 1,000. */
  readonly pageSize?: number;
  /** How long a signed address works. Default 3,600. */
  readonly signedUrlSeconds?: number;
  /** Small files by a 307 within the hub, as the real one does it, or at once. Default `redirect`. */
  readonly smallFiles?: 'redirect' | 'direct';
  readonly throttle?: Throttle;
}

/** A running hub. */
export interface Hub {
  /** What a client is given as endpoint. */
  readonly endpoint: string;
  readonly cdnOrigin: string;
  readonly requests: RequestLog;
  misbehave(rule: FaultRule): ActiveRule;
  /** Ends all misbehaviour. */
  behave(): void;
  setThrottle(throttle: Throttle): void;
  /** From now on both origins refuse whoever says where he comes from, as hosts do against being linked to. */
  refuseReferers(): void;
  /** Adds or replaces a repository. */
  addRepository(id: string, spec: RepositorySpec): Promise<void>;
  /** Makes a commit on a branch (new or old) and yields its sha; older commits stay readable. */
  push(id: string, branch: string, files: FilesSpec): Promise<string>;
  /** The commit that a revision names now. */
  commitOf(id: string, revision?: string): Commit;
  /** All signed addresses issued so far stop working. */
  expireSignedUrls(): void;
  /** Connections are ended and refused until {@link Hub.comeBack}. Default: both origins. */
  goDown(which?: 'hub' | 'cdn'): Promise<void>;
  /** On the same ports as before. */
  comeBack(): Promise<void>;
  close(): Promise<void>;
}

/** What the real hub lets pages read; `Retry-After` and `Content-Encoding` are not in it. */
const EXPOSED_HEADERS =
  'X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,' +
  'X-Linked-Size,X-Linked-ETag,X-Xet-Hash';

/** Starts a hub; resolves when both origins listen and all contents are hashed. */
export async function startHub(options: HubOptions): Promise<Hub> {
  const { host = '127.0.0.1', pageSize = 1000, signedUrlSeconds = 3600, smallFiles = 'redirect' } = options;
  const repositories = new Map<string, Repository>();
  const addRepository = async (id: string, spec: RepositorySpec): Promise<void> => {
    repositories.set(id, await openRepository(id, spec));
  };
  for (const [id, spec] of Object.entries(options.repositories)) await addRepository(id, spec);

  const requests = new RequestLog();
  const misbehaviour = new Misbehaviour();
  const signer = new UrlSigner(signedUrlSeconds);
  const line = new Line(options.throttle ?? {});
  const habits = { refusesReferers: false };
  const context: RouteContext = {
    repositories,
    pageSize,
    smallFiles,
    signer,
    hubOrigin: () => hub.origin,
    cdnOrigin: () => cdn.origin,
  };
  const handle = (server: 'hub' | 'cdn') => (request: IncomingMessage, response: ServerResponse) =>
    answer({ server, context, requests, misbehaviour, line, habits }, request, response);
  const hub = new Listener(host, options.port ?? 0, handle('hub'));
  const cdn = new Listener(host, options.cdnPort ?? 0, handle('cdn'));
  await hub.start();
  await cdn.start();

  const find = (id: string): Repository => {
    const repository = repositories.get(id);
    if (repository === undefined) throw new Error(`The local hub has no repository ${id}`);
    return repository;
  };
  return {
    endpoint: hub.origin,
    cdnOrigin: cdn.origin,
    requests,
    misbehave: (rule) => misbehaviour.add(rule),
    behave: () => misbehaviour.clear(),
    setThrottle: (throttle) => line.set(throttle),
    refuseReferers: () => void (habits.refusesReferers = true),
    addRepository,
    push: async (id, branch, files) => (await commitFiles(find(id), branch, files)).sha,
    commitOf: (id, revision = 'main') => {
      const commit = find(id).refs.get(revision) ?? find(id).commits.get(revision);
      if (commit === undefined) throw new Error(`The local hub has no ${revision} of ${id}`);
      return commit;
    },
    expireSignedUrls: () => signer.revoke(null),
    goDown: async (which) => {
      if (which !== 'cdn') await hub.stop();
      if (which !== 'hub') await cdn.stop();
    },
    comeBack: async () => {
      await hub.start();
      await cdn.start();
    },
    close: async () => {
      await Promise.all([hub.stop(), cdn.stop()]);
    },
  };
}

interface Server {
  readonly server: 'hub' | 'cdn';
  readonly context: RouteContext;
  readonly requests: RequestLog;
  readonly misbehaviour: Misbehaviour;
  readonly line: Line;
  readonly habits: { readonly refusesReferers: boolean };
}

async function answer(server: Server, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { context, requests, misbehaviour, line } = server;
  const url = new URL(request.url ?? '/', server.server === 'hub' ? context.hubOrigin() : context.cdnOrigin());
  const route = server.server === 'hub' ? routeHub(context, url) : routeCdn(context, url);
  const preflight = request.method === 'OPTIONS';
  const log: LoggedRequest = {
    index: requests.entries.length,
    server: server.server,
    kind: preflight ? 'preflight' : route.kind,
    method: request.method ?? 'GET',
    url: url.pathname + url.search,
    repository: route.repository,
    file: route.file,
    range: request.headers.range ?? null,
    ifRange: readOne(request.headers['if-range']),
    hadAuthorization: request.headers.authorization !== undefined,
    origin: request.headers.origin ?? null,
    referer: request.headers.referer ?? null,
    status: 0,
    bytesSent: 0,
    fault: null,
    startedAtMs: performance.now(),
    endedAtMs: null,
    completed: false,
  };
  requests.entries.push(log);
  const refused = server.habits.refusesReferers && log.referer !== null;
  const fault = misbehaviour.take(log);
  const exchange = {
    response,
    log,
    fault,
    // A refusal comes from what stands before the server, which knows of no CORS.
    cors: refused ? {} : corsHeaders(server, request, preflight),
    latencyMs: line.latencyMs,
    pace: line.paceFor(request.socket),
  };
  try {
    const answered = refused
      ? { status: 403, headers: {}, body: null }
      : preflight
        ? { status: 200, headers: { 'Content-Length': '0' }, body: null }
        : route.answer(request.headers, fault);
    const usable = log.method === 'GET' || log.method === 'HEAD' || preflight;
    await deliver(exchange, usable ? answered : { status: 405, headers: {}, body: null });
  } finally {
    log.endedAtMs = performance.now();
  }
}

/** The hub names the page's origin and a list of headers; its CDN allows and exposes everything (which never covers Authorization). */
function corsHeaders(server: Server, request: IncomingMessage, preflight: boolean): Record<string, string> {
  const asked = readOne(request.headers['access-control-request-headers']);
  if (server.server === 'cdn') {
    return {
      'Access-Control-Allow-Origin': '*',
      'Access-Control-Expose-Headers': '*',
      ...(preflight ? { 'Access-Control-Allow-Methods': 'GET, HEAD', 'Access-Control-Allow-Headers': '*' } : {}),
    };
  }
  return {
    'Access-Control-Allow-Origin': request.headers.origin ?? server.context.hubOrigin(),
    'Access-Control-Expose-Headers': EXPOSED_HEADERS,
    'Access-Control-Max-Age': '86400',
    Vary: 'Origin',
    ...(preflight
      ? { 'Access-Control-Allow-Methods': 'GET', ...(asked === null ? {} : { 'Access-Control-Allow-Headers': asked }) }
      : {}),
  };
}

function readOne(header: string | string[] | undefined): string | null {
  return Array.isArray(header) ? (header[0] ?? null) : (header ?? null);
}

/** The line that all answers share. */
class Line {
  #throttle: Throttle = {};
  #shared: Pacer | null = null;
  #connections = new WeakMap<object, Pacer>();

  constructor(throttle: Throttle) {
    this.set(throttle);
  }

  get latencyMs(): number {
    return this.#throttle.latencyMs ?? 0;
  }

  set(throttle: Throttle): void {
    this.#throttle = throttle;
    this.#shared = throttle.bytesPerSecond ? new Pacer(throttle.bytesPerSecond) : null;
    this.#connections = new WeakMap();
  }

  /** Null where nothing slows this connection. */
  paceFor(connection: object): ((sizeBytes: number) => Promise<void>) | null {
    const rate = this.#throttle.bytesPerSecondPerConnection;
    const shared = this.#shared;
    let own = this.#connections.get(connection) ?? null;
    if (own === null && rate) {
      own = new Pacer(rate);
      this.#connections.set(connection, own);
    }
    if (shared === null && own === null) return null;
    return async (sizeBytes) => {
      await own?.wait(sizeBytes);
      await shared?.wait(sizeBytes);
    };
  }
}

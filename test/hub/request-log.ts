/**
 * What the local hub was asked and what it answered, for tests to read.
 */

/**
 * What a request was for. `api`: the JSON API. `resolve`: `/{id}/resolve/…`, answered by a redirect. `content`: bytes of a
 * file, from the CDN or the hub's own cache route. `preflight`: OPTIONS. `other`: anything else.
 */
export type RequestKind = 'api' | 'resolve' | 'content' | 'preflight' | 'other';

/** One request. */
export interface LoggedRequest {
  /** From 0, in order of arrival. */
  readonly index: number;
  /** Which of the two origins was asked. */
  readonly server: 'hub' | 'cdn';
  readonly kind: RequestKind;
  readonly method: string;
  /** Path and query as they came. */
  readonly url: string;
  /** e.g. `org/name`, where known. */
  readonly repository: string | null;
  /** Path inside the repository, where the request was for a file. */
  readonly file: string | null;
  readonly range: string | null;
  readonly ifRange: string | null;
  readonly hadAuthorization: boolean;
  /** The page's origin; `null` as text after a redirect to another origin, null outside pages. */
  readonly origin: string | null;
  readonly referer: string | null;
  /** 0 until (or unless) the answer began. */
  status: number;
  /** Body bytes handed to the connection. */
  bytesSent: number;
  /** The misbehaviour that it met. */
  fault: string | null;
  readonly startedAtMs: number;
  /** Null while it runs. */
  endedAtMs: number | null;
  /** Whether the whole answer was sent. */
  completed: boolean;
}

/** The requests so far. */
export class RequestLog {
  readonly entries: LoggedRequest[] = [];

  clear(): void {
    this.entries.length = 0;
  }

  /** Entries that match every given field. */
  find(filter: Partial<Pick<LoggedRequest, 'server' | 'kind' | 'method' | 'repository' | 'file'>>): LoggedRequest[] {
    return this.entries.filter((entry) =>
      Object.entries(filter).every(([key, value]) => entry[key as keyof LoggedRequest] === value),
    );
  }

  /** Body bytes of file contents, e.g. to prove that a second load asked for none. */
  contentBytes(filter: { file?: string; repository?: string } = {}): number {
    return this.find({ ...filter, kind: 'content' }).reduce((sum, entry) => sum + entry.bytesSent, 0);
  }
}

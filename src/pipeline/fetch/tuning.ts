/**
 * The numbers of the fetch stage, in one place, each with its reason. Tests shorten the times.
 */

/** How the fetch stage behaves. Sizes in bytes, times in ms. */
export interface FetchTuning {
  /** Requests at once, over all files, at most. HTTP/1.1 gives a host six connections; HTTP/2 needs no more to fill a line. */
  readonly connections: number;
  /** Bytes a range request asks for at least. Small enough that a lost answer costs little, large enough to hide a round trip. */
  readonly rangeBytes: number;
  /** And at most. Where disk or hash are slower than the line, a browser keeps the whole rest of an answer in memory. */
  readonly maxRangeBytes: number;
  /** Bytes asked for at once, over all connections: what a crash may cost on a fast line. There few, long ranges do best. */
  readonly maxOpenBytes: number;
  /**
   * Where nothing is kept: bytes of the network ahead of the device at most. All of them may be in memory: a line of 1 Gbit/s and
   * 100 ms brings 12 MB before an answer to a request for more.
   */
  readonly windowBytes: number;
  /** No byte for so long: another request takes its turn beside this one. */
  readonly quietMs: number;
  /** No byte for so long: the request is given up and asked again. */
  readonly stallTimeoutMs: number;
  /** No status line for so long. Longer than a stall: servers fetch cold objects before they answer. */
  readonly headersTimeoutMs: number;
  /** Failed attempts of one range without a new byte before the download fails. */
  readonly maxAttempts: number;
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /** Between two progress reports. */
  readonly progressIntervalMs: number;
}

/** What a browser gets unless a test says otherwise. */
export const DEFAULT_TUNING: FetchTuning = {
  connections: 6,
  rangeBytes: 2 * 1024 * 1024,
  maxRangeBytes: 16 * 1024 * 1024,
  maxOpenBytes: 48 * 1024 * 1024,
  windowBytes: 32 * 1024 * 1024,
  quietMs: 2_000,
  stallTimeoutMs: 20_000,
  headersTimeoutMs: 60_000,
  maxAttempts: 7,
  firstDelayMs: 500,
  maxDelayMs: 15_000,
  progressIntervalMs: 50,
};

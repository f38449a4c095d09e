/** A name and a value, as cards show them. */
export interface Fact {
  readonly name: string;
  readonly value: string;
  /** Said below the value. */
  readonly note?: string | undefined;
}

/**
 * The error of everything that reads safetensors files and their index.
 */
import { LoadError } from '../../contract/errors.ts';

/** What can be wrong, in a file's header and in the index of several. */
export type SafetensorsFault =
  | 'file_too_short'
  | 'header_too_large'
  | 'header_beyond_file'
  | 'not_utf8'
  | 'not_json'
  | 'not_an_object'
  | 'duplicate_name'
  | 'metadata_invalid'
  | 'tensor_invalid'
  | 'dtype_unknown'
  | 'shape_invalid'
  | 'size_overflow'
  | 'size_not_whole_bytes'
  | 'size_mismatch'
  | 'offsets_invalid'
  | 'offsets_reversed'
  | 'offsets_out_of_range'
  | 'offsets_overlap'
  | 'offsets_hole'
  | 'data_shorter_than_file'
  | 'index_not_json'
  | 'index_invalid'
  | 'index_duplicate_name'
  | 'index_path';

/** `safetensors_invalid`, with what is wrong as `detail.reason`, and where. */
export function safetensorsInvalid(
  reason: SafetensorsFault,
  file: string,
  message: string,
  detail: Record<string, unknown>,
  cause?: unknown,
): LoadError {
  return new LoadError('safetensors_invalid', {
    message: `${file}: ${message}`,
    detail: { reason, file, ...detail },
    ...(cause === undefined ? {} : { cause }),
  });
}

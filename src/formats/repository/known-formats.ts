/**
 * Which formats of weights a repository has, told by the names of its files. Pure.
 *
 * In: paths. Out: the formats that Firstlight does not read, and which files are of each.
 */

const OTHER_SAFETENSORS = 'safetensors under other names';

/** Weights that are not read here, by the end of their names, in the words of their users. */
const OTHER_FORMATS: readonly (readonly [string, RegExp])[] = [
  ['OpenVINO', /(^|\/)openvino[^/]*\.(bin|xml)$/],
  ['PyTorch', /\.(bin|pt|pth|ckpt)$/],
  ['GGUF', /\.gguf$/],
  ['ONNX', /\.onnx(_data)?$/],
  ['TensorFlow', /\.(h5|tflite|litertlm|task)$/],
  ['Flax', /\.msgpack$/],
  ['NumPy', /\.npz$/],
  [OTHER_SAFETENSORS, /\.safetensors$/],
];

/** Small files that end like weights. */
const NO_WEIGHTS = /(^|\/)(training_args|optimizer|scheduler|rng_state[^/]*|scaler)\.(bin|pt|pth)$/;

/** Files of one format. */
export interface SeenFormat {
  readonly format: string;
  readonly files: readonly string[];
}

/** Whether files without a config.json are of a format that has a name here; safetensors under other names are not. */
export function isKnownKind(paths: readonly string[]): boolean {
  return seeFormats(paths).some(({ format }) => format !== OTHER_SAFETENSORS);
}

/** Every format that is there, in the order of the table; a file counts once. */
export function seeFormats(paths: readonly string[]): readonly SeenFormat[] {
  const left = new Set(paths.filter((path) => !NO_WEIGHTS.test(path)));
  return OTHER_FORMATS.flatMap(([format, pattern]) => {
    const files = [...left].filter((path) => pattern.test(path));
    for (const file of files) left.delete(file);
    return files.length > 0 ? [{ format, files }] : [];
  });
}

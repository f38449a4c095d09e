import js from '@eslint/js';
import { createNodeResolver, importX } from 'eslint-plugin-import-x';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

/**
 * Which folders each folder of src/ may not import: the one direction of the architecture.
 * ui → client → contract; workers → pipeline → {blueprints, onnx, formats, store, hub, runtime} → base → contract.
 */
const MAY_IMPORT = {
  contract: [],
  base: ['contract'],
  formats: ['base', 'contract'],
  onnx: ['base', 'contract'],
  blueprints: ['onnx', 'base', 'contract'],
  hub: ['base', 'contract'],
  store: ['base', 'contract'],
  runtime: ['base', 'contract'],
  pipeline: ['blueprints', 'onnx', 'formats', 'store', 'hub', 'runtime', 'base', 'contract'],
  client: ['base', 'contract'],
  ui: ['client', 'contract'],
};

/**
 * The stages of src/pipeline, in the order of their imports: a stage may import from those before it only. `load.ts` and the
 * services that stand beside the folders call the stages, so that no stage may import them.
 */
const STAGES = [
  'fetch',
  'resolve',
  'plan',
  'build',
  'texts',
  'fill',
  'prepared',
  'place',
  'sequences',
  'warm-up',
  'deliver',
  'serve',
];

/** Folders of src/runtime: `ort` knows the runtime, `gpu` and `wasm` the device, and neither device knows the other. */
const RUNTIME_MAY_IMPORT = { ort: [], gpu: ['ort'], wasm: ['ort'] };

const NETWORK_GLOBALS = ['fetch', 'XMLHttpRequest', 'EventSource', 'WebSocket'];
const USE_SEND = 'Requests are made by src/base/send.ts only.';

/** The runtime is never inside two calls at once; src/runtime/ort/sessions.ts sees to that, for whoever goes through it. */
const USE_SESSIONS = 'Sessions are made, run and released by src/runtime/ort/sessions.ts only.';
const SESSION_RULES = [
  "MemberExpression[property.name='InferenceSession']",
  "MemberExpression[property.value='InferenceSession']",
  "ObjectPattern > Property[key.name='InferenceSession']",
  // Also as a type: what holds a session that is not a `Session` could run it.
  "ImportSpecifier[imported.name='InferenceSession']",
  "TSQualifiedName[right.name='InferenceSession']",
]
  .map((selector) => ({ selector, message: USE_SESSIONS }))
  .concat({
    selector: "ImportDeclaration[source.value=/^onnxruntime-/][importKind!='type']",
    message: 'The runtime is loaded by src/runtime/ort/onnxruntime.ts only; others import its types.',
  });

const directionRules = Object.entries(MAY_IMPORT).map(([folder, allowed]) => {
  const forbidden = Object.keys(MAY_IMPORT).filter((other) => other !== folder && !allowed.includes(other));
  const patterns = [
    {
      regex: `^(\\.\\./)+(${[...forbidden, 'workers'].join('|')})/`,
      message: `src/${folder} may import only from: ${allowed.join(', ') || 'nothing'} (see eslint.config.js).`,
    },
  ];
  if (folder !== 'runtime') {
    patterns.push({ regex: '^onnxruntime-(web|common)', message: 'Only src/runtime imports onnxruntime.' });
  }
  return restrictImports(`src/${folder}`, patterns);
});

const runtimePatterns = directionRules.find(({ files }) => files[0].startsWith('src/runtime/'));
const pipelinePatterns = directionRules.find(({ files }) => files[0].startsWith('src/pipeline/'));

// A later rule replaces the earlier one of the same name, so that each holds the patterns of the folder around it, too.
const stageRules = STAGES.map((stage, index) =>
  restrictImports(`src/pipeline/${stage}`, [
    ...listPatterns(pipelinePatterns),
    {
      regex: `^(\\.\\./)+(${STAGES.slice(index + 1).join('|') || '(?!)'})/`,
      message: `The stage ${stage} may import only from: ${STAGES.slice(0, index).join(', ') || 'no other stage'} (see eslint.config.js).`,
    },
    { regex: '^(\\.\\./)+(load|[a-z]+-service)\\.ts$', message: 'A stage does not know who calls it.' },
  ]),
);

const runtimeRules = Object.entries(RUNTIME_MAY_IMPORT).map(([folder, allowed]) => {
  const forbidden = Object.keys(RUNTIME_MAY_IMPORT).filter((other) => other !== folder && !allowed.includes(other));
  return restrictImports(`src/runtime/${folder}`, [
    ...listPatterns(runtimePatterns),
    {
      regex: `^(\\.\\./)+(${forbidden.join('|') || '(?!)'})/`,
      message: `src/runtime/${folder} may import only from: ${allowed.join(', ') || 'no other folder there'} (see eslint.config.js).`,
    },
  ]);
});

function restrictImports(folder, patterns) {
  return { files: [`${folder}/**/*.{ts,svelte}`], rules: { 'no-restricted-imports': ['error', { patterns }] } };
}

function listPatterns(rule) {
  return rule.rules['no-restricted-imports'][1].patterns;
}

export default ts.config(
  {
    ignores: [
      'dist',
      'node_modules',
      'test-results',
      'playwright-report',
      'src/onnx/generated',
      'public',
      'test/reference',
    ],
  },
  js.configs.recommended,
  ...ts.configs.strictTypeChecked,
  ...svelte.configs.recommended,
  {
    languageOptions: {
      globals: { ...globals.browser, ...globals.worker },
      parserOptions: {
        project: ['./tsconfig.json', './workers/tsconfig.json', './test/tsconfig.json'],
        extraFileExtensions: ['.svelte'],
      },
    },
    plugins: { 'import-x': importX },
    settings: {
      'import-x/resolver-next': [createNodeResolver({ extensions: ['.ts', '.js'] })],
      'import-x/ignore': ['\\.svelte', 'node_modules'],
    },
    rules: {
      'import-x/no-cycle': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // A function may be async because its interface is.
      '@typescript-eslint/require-await': 'off',
      // A LoadError is an Error; what a signal or a promise carries may be anything.
      '@typescript-eslint/only-throw-error': ['error', { allowThrowingUnknown: true, allowRethrowing: true }],
      '@typescript-eslint/prefer-promise-reject-errors': ['error', { allowThrowingUnknown: true }],
      // `while (true)` reads better than a flag in parsers and retry loops.
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, svelteConfig } },
  },
  {
    files: ['**/*.{js,mjs}'],
    ...ts.configs.disableTypeChecked,
    languageOptions: { globals: globals.node, parserOptions: { project: null } },
  },
  ...directionRules,
  ...stageRules,
  ...runtimeRules,
  {
    files: ['src/**/*.{ts,svelte}', 'workers/**/*.ts'],
    ignores: ['src/runtime/ort/sessions.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...SESSION_RULES,
        {
          selector: 'ImportExpression[source.value=/^onnxruntime-/]',
          message: 'The runtime is loaded by src/runtime/ort/onnxruntime.ts only.',
        },
      ],
    },
  },
  {
    files: ['src/runtime/ort/onnxruntime.ts'],
    rules: { 'no-restricted-syntax': ['error', ...SESSION_RULES] },
  },
  {
    // What holds for every request (no cookies, no Referer) is stated in one place.
    files: ['src/**/*.{ts,svelte}'],
    ignores: ['src/base/send.ts'],
    rules: {
      'no-restricted-globals': ['error', ...NETWORK_GLOBALS.map((name) => ({ name, message: USE_SEND }))],
      'no-restricted-properties': [
        'error',
        ...['globalThis', 'self', 'window'].flatMap((object) =>
          NETWORK_GLOBALS.map((property) => ({ object, property, message: USE_SEND })),
        ),
      ],
    },
  },
);

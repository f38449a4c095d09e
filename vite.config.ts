/**
 * The app's build: `index.html`, two workers, and the service worker that keeps them for offline use. The library is built from the same sources by `npm run build:lib`.
 */
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { contentSecurityPolicy } from './scripts/content-security-policy-plugin.ts';
import { appServiceWorker } from './scripts/service-worker-plugin.ts';

/**
 * Cross-origin isolation gives the page SharedArrayBuffer, which onnxruntime needs for threads. The app works without
 * these headers too (a static host that cannot set them), on one thread.
 */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'cross-origin',
};

export default defineConfig({
  base: './',
  plugins: [svelte(), contentSecurityPolicy(), appServiceWorker({ entry: 'workers/app.service-worker.ts' })],
  worker: { format: 'es' },
  build: { target: 'es2023', outDir: 'dist/app', sourcemap: true, chunkSizeWarningLimit: 2000 },
  // Pre-bundling would move onnxruntime's modules away from the .wasm files that they find by import.meta.url, and
  // would give transformers.js a copy of the runtime of its own.
  optimizeDeps: { exclude: ['onnxruntime-web', '@huggingface/transformers'] },
  resolve: { dedupe: ['onnxruntime-web', 'onnxruntime-common'] },
  server: { headers: isolation },
  preview: { headers: isolation },
});

/**
 * Gives the built page a content security policy, as a `<meta>`: a static host needs no configuration for it.
 *
 * In: `index.html`. Out: the same with the policy at the top of its head, before anything that it is about. Only in builds:
 * the development server puts inline styles and a web socket into the page. (Workers and the service worker have the policy of
 * their own script's response: a host that sends this one as a header, for all files, binds them too, and they work with it.)
 */
import type { Plugin } from 'vite';

/** What is not named is forbidden. https://www.w3.org/TR/CSP3/ */
const POLICY = {
  'default-src': ["'none'"],
  'script-src': ["'self'", "'wasm-unsafe-eval'"], // WebAssembly is what hashes and what computes
  'worker-src': ["'self'"],
  'connect-src': ["'self'", 'https:', 'http:'], // any hub, and the hosts that it redirects to; http: those on this computer
  'style-src': ["'self'"],
  'img-src': ["'self'"],
  'font-src': ["'self'"],
  'manifest-src': ["'self'"],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
};

/** See the file's header. */
export function contentSecurityPolicy(): Plugin {
  const content = Object.entries(POLICY)
    .map(([directive, sources]) => `${directive} ${sources.join(' ')}`)
    .join('; ');
  return {
    name: 'firstlight:content-security-policy',
    apply: 'build',
    transformIndexHtml: () => [
      { tag: 'meta', attrs: { 'http-equiv': 'Content-Security-Policy', content }, injectTo: 'head-prepend' },
    ],
  };
}

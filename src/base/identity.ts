/**
 * A commit for what has none: a hash over what tells one version from another.
 */

/** SHA-256 over `facts` as JSON, 64 hex digits. The order counts. */
export async function hashIdentity(facts: unknown): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(facts)));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

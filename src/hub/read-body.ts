/**
 * Reading a response's body up to a limit. In: a `Response`. Out: its text. Guarantees: never holds more than the limit;
 * a body that is cut short rejects as the platform does.
 */
import { LoadError } from '../contract/errors.ts';

/**
 * The body as UTF-8.
 *
 * @throws LoadError `listing_invalid` beyond `maxBytes`; whatever the platform throws when the connection breaks
 */
export async function readText(response: Response, maxBytes: number): Promise<string> {
  if (response.body === null) return '';
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let sizeBytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    sizeBytes += value.byteLength;
    if (sizeBytes > maxBytes) {
      await reader.cancel();
      throw new LoadError('listing_invalid', {
        message: `The answer is larger than ${maxBytes} bytes: no listing of a model needs that.`,
        detail: { limitBytes: maxBytes },
      });
    }
    text += decoder.decode(value, { stream: true });
  }
}

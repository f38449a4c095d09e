/**
 * Up to what sizes of the weights `dtype: 'auto'` takes which dtype.
 */

/** In fp32. Up to here full precision costs nothing that anybody notices. */
export const FP32_MAX_BYTES = 64 * 2 ** 20;

/** In q8. Up to here 8 bits fit nearly every GPU; beyond, memory matters more than the last bit of quality. */
export const Q8_MAX_BYTES = 2 ** 30;

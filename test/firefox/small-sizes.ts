/** Instead of `src/pipeline/plan/auto-sizes.ts`: with these, `dtype: 'auto'` treats a tiny model as it treats a large one. */
export const FP32_MAX_BYTES = 0;
export const Q8_MAX_BYTES = 0;

/** `14:05:30` on this device's clock; with the day, `2026-01-31 14:05:30`, where that is not today. */
export function formatClock(timeMs: number, nowMs: number = Date.now()): string {
  const [time, now] = [new Date(timeMs), new Date(nowMs)];
  const clock = time.toTimeString().slice(0, 8);
  if (time.toDateString() === now.toDateString()) return clock;
  const day = [time.getFullYear(), time.getMonth() + 1, time.getDate()].map((part) => String(part).padStart(2, '0'));
  return `${day.join('-')} ${clock}`;
}

/**
 * The geometry of an iris diaphragm with as many blades as there are stages.
 *
 * In: how far it is open. Out: SVG path data around the origin.
 * The opening is a regular polygon. Each blade is bounded by the line along one side of it and the line along the
 * side before, both drawn on to the rim; so the blades tile the ring and never overlap.
 */

/** A point, y down as SVG has it. */
interface Point {
  readonly x: number;
  readonly y: number;
}

/** How far the blades turn between closed and open, radians: what makes it look like a diaphragm. */
const TWIST = 1.1;

/** The outline of blade `index` of `count`, between an opening of radius `openRadius` and a rim of `rimRadius`. */
export function bladePath(index: number, count: number, openRadius: number, rimRadius: number): string {
  const step = (2 * Math.PI) / count;
  const turn = (1 - openRadius / rimRadius) * TWIST;
  const corner = (at: number): Point => polar(openRadius, at * step + turn);
  const rimPoint = (at: number): Point => {
    const from = corner(at);
    const direction = polar(1, (at + 0.5) * step + turn + Math.PI / 2);
    return alongToRim(from, direction, rimRadius);
  };
  const [inner, far, near] = [corner(index), rimPoint(index), rimPoint(index - 1)];
  return `M${show(inner)}L${show(far)}A${rimRadius} ${rimRadius} 0 0 0 ${show(near)}Z`;
}

/** A star with thin points: long ones along the axes, short ones between, as a telescope's mirror draws them. */
export function starPath(longRadius: number, shortRadius: number, waistRadius: number): string {
  const corners = Array.from({ length: 16 }, (_, index) => {
    const radius = index % 2 === 1 ? waistRadius : index % 4 === 0 ? longRadius : shortRadius;
    return show(polar(radius, (index * Math.PI) / 8));
  });
  return `M${corners.join('L')}Z`;
}

/** A point on a circle around the origin. */
export function polar(radius: number, angle: number): Point {
  return { x: radius * Math.cos(angle), y: radius * Math.sin(angle) };
}

/** Where the ray from `from` (inside the rim) meets the rim: the positive root of |from + t · direction| = rim. */
function alongToRim(from: Point, direction: Point, rimRadius: number): Point {
  const b = from.x * direction.x + from.y * direction.y;
  const c = from.x ** 2 + from.y ** 2 - rimRadius ** 2;
  const t = -b + Math.sqrt(Math.max(0, b * b - c));
  return { x: from.x + t * direction.x, y: from.y + t * direction.y };
}

function show(point: Point): string {
  return `${point.x.toFixed(2)} ${point.y.toFixed(2)}`;
}

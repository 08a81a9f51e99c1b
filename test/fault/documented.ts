import type { Point } from './point.ts';

/** The kubelet's calls whose steps are documented, with the steps in order; the same step twice is its second run. */
export type DocumentedSteps = ReadonlyMap<string, readonly string[]>;

/** Reads docs/recovery.md: `### Call`, then a table whose rows begin with the step in backticks. */
export function parseDocumentedSteps(text: string): DocumentedSteps {
  const sections = text.split(/^### /m).slice(1);
  return new Map(
    sections.map((section) => {
      const [call = ''] = section.split('\n');
      return [call.trim(), [...section.matchAll(/^\| `([^`]+)` +\|/gm)].map(([, step = '']) => step)];
    }),
  );
}

/** Both moments of every step, in order. */
export function pointsOf(steps: readonly string[]): readonly Point[] {
  return steps.flatMap((step, index) => {
    const run = steps.slice(0, index + 1).filter((each) => each === step).length;
    return (['before', 'after'] as const).map((when) => ({ when, step, run }));
  });
}

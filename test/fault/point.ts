import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../../src/lib/errno.ts';

/** A moment of a call: before the n-th run of a step, from 1, after it, or in its place: it then fails. */
export interface Point {
  readonly when: 'before' | 'after' | 'instead';
  /** `<room>.<method>`, or a program. */
  readonly step: string;
  readonly run: number;
}

/** As it is written in files and names of tests: `before network.attach 1`. */
export function pointText({ when, step, run }: Point): string {
  return `${when} ${step} ${run}`;
}

/** What test and daemon share: the steps that were reached, in order, and the point at which the daemon kills itself. Two files, so that it holds across daemons. */
export interface FaultFiles {
  /** Notes a step and answers which run of it this is. */
  readonly reach: (step: string) => number;
  readonly reached: () => readonly string[];
  /** True for the point that was told last. */
  readonly isArmed: (point: Point) => boolean;
  /** Forgets the steps and arms one point, or none. */
  readonly arm: (point: Point | undefined) => void;
}

/** The files in a directory that both know. */
export function faultFiles(dir: string): FaultFiles {
  const steps = join(dir, 'steps');
  const armed = join(dir, 'armed');
  const reached = (): string[] => read(steps).split('\n').slice(0, -1);
  return {
    reach: (step) => {
      appendFileSync(steps, `${step}\n`);
      return reached().filter((each) => each === step).length;
    },
    reached,
    isArmed: (point) => read(armed) === pointText(point),
    arm: (point) => {
      rmSync(steps, { force: true });
      writeFileSync(armed, point ? pointText(point) : '');
    },
  };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return '';
    throw error;
  }
}

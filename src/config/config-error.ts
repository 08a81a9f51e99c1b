import type { Problem } from './layers.ts';

/** All that is wrong with the configuration, each with its key and where it was set. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(['the configuration is not valid:', ...problems.map(formatProblem)].join('\n  '));
    this.problems = problems;
  }
}

function formatProblem(problem: Problem): string {
  return `${problem.source}: ${problem.key === '' ? '' : `${problem.key}: `}${problem.message}`;
}

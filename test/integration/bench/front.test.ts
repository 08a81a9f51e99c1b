import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tryProgram } from '../../../src/lib/run-program.ts';

const front = join(import.meta.dirname, '..', '..', 'bench', 'bench.ts');

it('a benchmark that there is not is refused with the names of those that there are, before any runs', async () => {
  const { signal } = new AbortController();
  const { exitCode, stdout, stderr } = await tryProgram(process.execPath, [front, 'overlay', 'nope', 'neither'], { signal });
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  expect(stderr).toBe(
    'bench: no benchmark nope, neither; there are: start-overhead, sandbox, sandbox-10, overlay, pulls, pull-storm, pull-flaky, net-tcp, event-loop, scale, leaks\n',
  );
});

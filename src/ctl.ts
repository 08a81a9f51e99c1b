#!/usr/bin/env node
import { tmpdir } from 'node:os';
import { runCtl } from './ctl/ctl.ts';
import { isErrno, messageOf } from './lib/errno.ts';

const interrupted = new AbortController();
/** Exit status of a command that a signal ended, as shells tell it. */
const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
let endedBy: number | undefined;
for (const [name, code] of Object.entries(exitCodes)) {
  process.on(name, () => {
    endedBy ??= code;
    interrupted.abort(new DOMException(`ended by ${name}`, 'AbortError')); // a second one changes nothing: what is cleaned up is soon
  });
}

process.stdout.on('error', (error) => {
  if (isErrno(error, 'EPIPE')) return; // who reads has read enough
  process.stderr.write(`vmletctl: the answer cannot be written: ${messageOf(error)}\n`);
  process.exitCode = 2;
});

const code = await runCtl(process.argv.slice(2), {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  isRoot: process.getuid?.() === 0,
  tempDir: tmpdir(),
  signal: interrupted.signal,
});
process.exitCode ??= endedBy ?? code;

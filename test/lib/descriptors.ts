import { closeSync, openSync } from 'node:fs';
import { isErrno } from '../../src/lib/errno.ts';

/** Takes every descriptor that the process may have but `left` of them; to be run under a low limit. Gives them back when it is disposed of. */
export function takeDescriptors(left: number): Disposable {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch (error) {
    if (!isErrno(error, 'EMFILE')) throw error;
  }
  for (const fd of taken.splice(0, left)) closeSync(fd);
  return { [Symbol.dispose]: () => taken.forEach((fd) => closeSync(fd)) };
}

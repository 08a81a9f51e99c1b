import { messageOf } from '../lib/errno.ts';
import { isLibvirtError, isNoAnswer, libvirtNumbers } from '../libvirt/libvirt.ts';
import { VmletError } from '../model/errors.ts';

const { noDomain, operationInvalid } = libvirtNumbers.libvirtErrorCode;

/** libvirt knows no such domain. */
export function isGone(error: unknown): boolean {
  return isLibvirtError(error, noDomain);
}

/** The domain is not in a state for it: to be destroyed it must run. */
export function isWrongState(error: unknown): boolean {
  return isLibvirtError(error, operationInvalid);
}

/** An error of this room's dealings with libvirt as the rest of vmlet knows it; others (a signal's reason, a bug) stay what they are. */
export function asVmletError(error: unknown, vm: string): unknown {
  if (isNoAnswer(error)) return unavailable(`libvirt does not answer: ${error.message}`, error);
  if (isLibvirtError(error)) return vmFailed(vm, `libvirt: ${error.message}`, error);
  return error;
}

/** libvirt cannot be asked. */
export function unavailable(message: string, cause?: unknown): VmletError {
  return new VmletError({ code: 'LIBVIRT_UNAVAILABLE' }, message, { cause });
}

/** A VM cannot be had; `log` is the end of QEMU's log. */
export function vmFailed(vm: string, problem: string, cause?: unknown, log = ''): VmletError {
  const quoted = log === '' ? '' : `; QEMU's log ends with: ${log}`;
  return new VmletError({ code: 'VM_FAILED', vm }, `VM ${vm}: ${problem}${quoted}`, { cause });
}

/** Why something failed, with what caused it, in one line. */
export function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? `: ${messageOf(error.cause)}` : '';
  return `${messageOf(error)}${cause}`.replaceAll(/\s+/g, ' ').slice(0, 500);
}

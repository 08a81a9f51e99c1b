import { makeSeed, type SeedRequest } from './seed.ts';

export type { SeedRequest } from './seed.ts';

/** What the guest is told. */
export interface Guest {
  /**
   * Writes the NoCloud seed (label `cidata`; meta-data, user-data, network-config version 2), mode 0600, owned by the VM's uid. Replaces a leftover.
   * Errors: INVALID for a host name, server or search domain that is none, DISK_FULL.
   */
  readonly makeSeed: (request: SeedRequest, signal: AbortSignal) => Promise<void>;
}

/** Options of the room. */
export interface GuestOptions {
  /** A program with genisoimage's options: genisoimage itself, or mkisofs. Default `genisoimage`. */
  readonly isoProgram?: string;
}

/** Makes the room that tells guests who they are. It keeps nothing in memory and needs root, to give files away. */
export function makeGuest(options: GuestOptions = {}): Guest {
  const { isoProgram = 'genisoimage' } = options;
  return { makeSeed: async (request, signal) => makeSeed(isoProgram, request, signal) };
}

import { VmletError } from '../model/errors.ts';

/** Hands out the uids that VMs run as, one for each container record. */
export interface Uids {
  /** The lowest uid that no record and no creation under way has. Release it when the creation fails; a record keeps it otherwise. */
  readonly reserve: () => number;
  readonly release: (uid: number) => void;
}

/** Makes the allocator; `taken` answers the uids on record. Errors: DISK_FULL's sibling for uids, VM_FAILED, when the range is used up. */
export function makeUids(range: { readonly first: number; readonly count: number }, taken: () => Iterable<number>): Uids {
  const reserved = new Set<number>();
  return {
    reserve: () => {
      const used = new Set([...taken(), ...reserved]);
      for (let uid = range.first; uid < range.first + range.count; uid += 1) {
        if (used.has(uid)) continue;
        reserved.add(uid);
        return uid;
      }
      throw new VmletError(
        { code: 'VM_FAILED', vm: '' },
        `all ${range.count} uids from ${range.first} are in use (vm.firstUid, vm.uidCount)`,
      );
    },
    release: (uid) => void reserved.delete(uid),
  };
}

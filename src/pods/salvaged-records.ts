import type { Records } from '../records/records.ts';

/** Records of which some could not be read, and may be shown as far as they are known from elsewhere. */
export interface SalvagedRecords<T> extends Records<T> {
  /**
   * Shows a record in the place of an unreadable file. The file stays as it is, for a version of vmlet that can read it, until the record
   * is written or removed. A file that is not unreadable is left alone.
   */
  readonly show: (id: string, record: T) => void;
}

/** Adds salvage. */
export function makeSalvagedRecords<T>(records: Records<T>): SalvagedRecords<T> {
  const unreadable = [...records.unreadable];
  const salvaged = new Map<string, T>();

  function settle(id: string): void {
    const index = unreadable.findIndex((bad) => bad.id === id);
    if (index >= 0) unreadable.splice(index, 1);
  }

  async function write(id: string, act: () => Promise<void>): Promise<void> {
    await act();
    salvaged.delete(id);
    settle(id);
  }

  return {
    get: (id) => salvaged.get(id) ?? records.get(id),
    all: () => (salvaged.size === 0 ? records.all() : new Map([...records.all(), ...salvaged])),
    put: async (id, record) => write(id, async () => records.put(id, record)),
    remove: async (id) => write(id, async () => records.remove(id)),
    unreadable,
    show: (id, record) => {
      if (!unreadable.some((bad) => bad.id === id)) return;
      settle(id);
      salvaged.set(id, record);
    },
  };
}

/** Which containers' root disks depend on which image; in memory, told again by their owners after a start. */
export interface Holds {
  /** Idempotent by container. */
  readonly hold: (imageId: string, containerId: string) => void;
  readonly release: (imageId: string, containerId: string) => void;
  /** One of the containers that hold the image, the one that came first. */
  readonly holder: (imageId: string) => string | undefined;
}

/** Makes an empty register. */
export function makeHolds(): Holds {
  const holders = new Map<string, Set<string>>();
  return {
    hold: (imageId, containerId) => {
      const held = holders.get(imageId) ?? new Set();
      held.add(containerId);
      holders.set(imageId, held);
    },
    release: (imageId, containerId) => {
      const held = holders.get(imageId);
      held?.delete(containerId);
      if (held?.size === 0) holders.delete(imageId);
    },
    holder: (imageId) => holders.get(imageId)?.values().next().value,
  };
}

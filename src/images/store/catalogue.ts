import { join } from 'node:path';
import type { Image } from '../../model/image.ts';
import { hexOf, type ImageRecord, type NameRecord } from './image-record.ts';
import { keyOf, parseReference } from '../reference.ts';

/** Images as callers see them, made of records: a pure view, made anew after each change. */
export interface Catalogue {
  /** By id, in a stable order. */
  readonly list: readonly Image[];
  /** The image that a reference leads to, refused ones included; throws INVALID when it cannot be read as any form of reference. */
  readonly find: (reference: string) => Image | undefined;
}

/** What a catalogue is made of. */
export interface CatalogueSource {
  readonly blobs: string;
  /** Ids of image records are hex digits. */
  readonly images: ReadonlyMap<string, ImageRecord>;
  readonly names: ReadonlyMap<string, NameRecord>;
  /** Bytes on disk, by hex digits. */
  readonly allocatedBytes: ReadonlyMap<string, number>;
  /** By key of a name. */
  readonly isPinned: (key: string) => boolean;
  /** Images that are being removed are shown no more. */
  readonly isHidden: (imageId: string) => boolean;
}

const fullId = /^(?:sha256:)?([0-9a-f]{64})$/;
const idPrefix = /^(?:sha256:)?([0-9a-f]{12,63})$/; // as short as crictl and docker print them

/** Makes the view. */
export function makeCatalogue(source: CatalogueSource): Catalogue {
  const keys = new Map([...source.names.values()].map((record) => [record.key, record.imageId]));
  const namesOf = Map.groupBy([...keys], ([, imageId]) => imageId);
  const list = [...source.images]
    .map(([hex, record]) => ({ id: `sha256:${hex}`, hex, record }))
    .filter(({ id }) => !source.isHidden(id))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ id, hex, record }): Image => {
      const names = (namesOf.get(id) ?? []).map(([key]) => key).toSorted();
      return {
        id,
        digest: record.digest,
        format: record.format,
        path: join(source.blobs, hex),
        sizeBytes: record.sizeBytes,
        allocatedBytes: source.allocatedBytes.get(hex) ?? record.sizeBytes,
        virtualSizeBytes: record.virtualSizeBytes,
        repoTags: names.filter((key) => !key.includes('@')),
        repoDigests: names.filter((key) => key.includes('@')),
        pinned: names.some(source.isPinned),
      };
    });
  const byId = new Map(list.map((image) => [image.id, image]));

  return {
    list,
    find: (reference) => {
      const hex = fullId.exec(reference)?.[1];
      if (hex !== undefined) return byId.get(`sha256:${hex}`);
      const prefix = idPrefix.exec(reference)?.[1];
      const named = prefix !== undefined && reference.startsWith('sha256:') ? undefined : keys.get(keyOf(parseReference(reference)));
      if (named !== undefined || prefix === undefined) return byId.get(named ?? '');
      const matching = list.filter((image) => hexOf(image.id).startsWith(prefix));
      return matching.length === 1 ? matching[0] : undefined;
    },
  };
}

import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { randomId } from '../lib/ids.ts';
import type { Log } from '../lib/log.ts';
import { makeSlots } from '../lib/slots.ts';
import type { DiskFormat, Image } from '../model/image.ts';
import type { Converter } from './door/convert.ts';
import type { Door } from './door/door.ts';
import type { ForeignFormat } from './door/foreign-header.ts';
import { hasQcow2Magic } from './door/qcow2-header.ts';
import { PullProblem, Refusal } from './failures.ts';
import type { Validators } from './http/validators.ts';
import type { Digested } from './layer/follower.ts';
import { unwrapFile } from './layer/follow.ts';
import type { FetchPart } from './part.ts';
import type { SpaceWatch } from './store/free-space.ts';
import type { Store, Ties } from './store/store.ts';
import { blobDigestOf, type Wanted } from './wanted.ts';

/** What came of an intake. */
export interface Taken {
  readonly image: Image;
  /** Of the disk as it was unpacked, before any conversion. */
  readonly diskDigest: string;
  readonly validators: Validators;
}

/** One disk to take in. */
export interface IntakeRequest {
  /** The reference as the caller wrote it, for logs. */
  readonly text: string;
  readonly wanted: Wanted;
  /** The image that came from there last. */
  readonly known: Taken | undefined;
  /** What shall lead to the image. */
  readonly tiesOf: (imageId: string, found: Pick<Taken, 'diskDigest' | 'validators'>) => Ties;
}

/** Fetches a disk, judges it and puts it into the store; leaves nothing else behind. */
export type Intake = (request: IntakeRequest, signal: AbortSignal) => Promise<Taken>;

/** Bounds of intakes. */
export interface IntakeOptions {
  /** Most at work at a time; others wait for their turn. */
  readonly maxPulls: number;
  /** Foreign formats that are converted. */
  readonly convert: readonly ForeignFormat[];
  /** Largest disk file, bytes. */
  readonly maxBytes: number;
}

/** What an intake works with. */
export interface IntakeDeps {
  readonly store: Store;
  readonly door: Door;
  readonly converter: Converter;
  readonly fetchPart: FetchPart;
  /** Sees to it that what is unpacked or converted, whose size nobody knows before, leaves what must stay free. */
  readonly watchSpace: (outer: AbortSignal) => SpaceWatch;
  readonly log: Log;
}

/** A disk on its way into the store. */
interface Disk<F extends DiskFormat | ForeignFormat> {
  readonly file: string;
  readonly format: F;
  readonly digested: Digested;
}

interface Fetched {
  readonly disk: Disk<DiskFormat | ForeignFormat>;
  readonly validators: Validators;
}

/** Makes the intake. */
export function makeIntake(options: IntakeOptions, deps: IntakeDeps): Intake {
  const { store, door, converter, fetchPart, watchSpace, log } = deps;
  const slots = makeSlots(options.maxPulls);

  return async (request, outer) => {
    for (const { format } of request.wanted.parts) requireConvertible(format);
    using _slot = await slots.take(outer);
    using space = watchSpace(outer);
    const { signal } = space;
    await using left = new AsyncDisposableStack();
    const fetched = await fetchAll(request, left, signal);
    if (!fetched) return unchanged(request.known);
    const { disk, validators } = fetched;
    const diskDigest = disk.digested.digest;
    const { diskDigest: wantedDigest } = request.wanted;
    if (wantedDigest !== undefined && diskDigest !== wantedDigest)
      throw new PullProblem('digest', `the disk has the digest ${diskDigest}, not ${wantedDigest}`);
    const ready = await converted(disk, left, signal);
    const image = await judgeAndKeep(ready, { ...request, found: { diskDigest, validators } }, signal);
    return { image, diskDigest, validators };
  };

  function requireConvertible(format: DiskFormat | ForeignFormat): void {
    if (format === 'qcow2' || format === 'raw' || options.convert.includes(format)) return;
    throw new Refusal(
      'format',
      `${format} disks are not taken: publish it as qcow2 (qemu-img convert -O qcow2), or allow ${format} in images.convert`,
    );
  }

  /** The one disk in all parts; nothing when the server says that ours is current. */
  async function fetchAll(
    { text, wanted, known }: IntakeRequest,
    left: AsyncDisposableStack,
    signal: AbortSignal,
  ): Promise<Fetched | undefined> {
    let found: Fetched | undefined;
    const withoutDisk = new Set<string>();
    for (const part of wanted.parts) {
      const key = JSON.stringify([part.partialKey, part.wrapping]);
      if (withoutDisk.has(key)) continue; // builders repeat an empty layer
      const request = {
        text,
        part,
        blobDigest: blobDigestOf(wanted, part),
        unlessCurrent: known?.validators,
        isAlone: wanted.parts.length === 1,
      };
      const result = left.use(await fetchPart(request, signal));
      if (result.kind === 'unchanged') return undefined;
      if (!result.disk) {
        withoutDisk.add(key);
        continue;
      }
      if (found) throw new Refusal('two-disks', 'more than one layer holds a disk; a containerDisk has one regular file under disk/');
      found = { disk: { ...result.disk, format: part.format }, validators: result.validators };
    }
    if (found) return found;
    throw new Refusal('no-disk', 'no layer holds a disk; a containerDisk has one regular file under disk/');
  }

  function unchanged(known: Taken | undefined): Taken {
    const image = known && store.usable(known.image.id);
    if (!known || !image) throw new PullProblem('connection', 'the image was removed during the pull');
    return { ...known, image };
  }

  async function converted(
    disk: Disk<DiskFormat | ForeignFormat>,
    left: AsyncDisposableStack,
    signal: AbortSignal,
  ): Promise<Disk<DiskFormat>> {
    const { format } = disk;
    if (format === 'qcow2' || format === 'raw') return { ...disk, format };
    const file = join(store.layout.ingest, `${randomId()}.qcow2`);
    left.defer(async () => rm(file, { force: true }));
    await using source = await open(disk.file, 'r');
    await source.chmod(0o644); // the converter's child is nobody
    const result = await converter.convert(source, format, file, signal);
    await result.file.close();
    const bare = { compression: 'none', archive: 'none' } as const;
    const { blob } = await unwrapFile(file, bare, { diskFile: `${file}.disk`, maxDiskBytes: options.maxBytes }, signal);
    return { file, format: 'qcow2', digested: blob };
  }

  async function judgeAndKeep(
    { file, format, digested }: Disk<DiskFormat>,
    { text, tiesOf, found }: Pick<IntakeRequest, 'text' | 'tiesOf'> & { readonly found: Pick<Taken, 'diskDigest' | 'validators'> },
    signal: AbortSignal,
  ): Promise<Image> {
    await using handle = await open(file, 'r+');
    await handle.chmod(0o644);
    const [{ virtualSizeBytes, versions }] = await Promise.all([door.inspect(handle, format, signal), handle.sync()]);
    if (format === 'raw') await warnOfQcow2(text, handle);
    const record = { digest: digested.digest, format, sizeBytes: digested.sizeBytes, virtualSizeBytes, verdict: versions };
    return await store.add({ file, handle }, record, (imageId) => tiesOf(imageId, found));
  }

  async function warnOfQcow2(text: string, handle: FileHandle): Promise<void> {
    const beginning = new Uint8Array(4);
    await handle.read(beginning, { position: 0 });
    if (hasQcow2Magic(beginning)) log.warn({ reference: text }, 'raw image begins as a qcow2 disk: is its format configured right?');
  }
}

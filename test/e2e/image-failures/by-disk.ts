import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { foreignDisk } from '../../lib/foreign-disks.ts';
import type { HostileDisk } from '../../lib/hostile/disk.ts';
import { hostileQcow2 } from '../../lib/hostile/qcow2-disks.ts';
import { hostileVmdk } from '../../lib/hostile/vmdk-disks.ts';
import { gzipZeros, pack, xzWithDictionary, zstdRepeating } from '../../lib/packed.ts';
import { newQcow2 } from '../../lib/qcow2.ts';
import { layerOf, tarHeader, tarOf, type TarEntry } from '../../lib/tar.ts';
import { pushLayers } from './by-registry.ts';
import type { Failures, MappedFormat, Stage, Staging } from './staging.ts';

const mib = 2 ** 20;

const layer =
  (...entries: readonly (TarEntry | Buffer)[]): Stage =>
  async (at) =>
    pushLayers(at, [{ content: tarOf({ name: 'disk/', type: '5' }, ...entries) }]);

const disk = 'disk/vm.qcow2';

/** What the layers of a containerDisk can hold. */
const layerFailures: Failures = {
  'two disks, one in each of two layers': async (at) =>
    pushLayers(at, [{ content: layerOf(newQcow2()) }, { content: layerOf(newQcow2('32M')) }]),
  'two files in one layer': async (at) => layer({ name: disk, content: newQcow2() }, { name: 'disk/b', content: newQcow2() })(at),
  'no disk in any layer': layer(),
  'a file that is not below disk/': layer({ name: 'etc/passwd', content: Buffer.from('root::0:0::/:/bin/sh\n') }),
  'a symbolic link': layer({ name: disk, type: '2', linkName: '/etc/shadow' }),
  'a hard link': layer({ name: disk, type: '1', linkName: '/etc/shadow' }),
  'a character device': layer({ name: disk, type: '3' }),
  'a block device': layer({ name: disk, type: '4' }),
  'a fifo': layer({ name: disk, type: '6' }),
  'a sparse file': layer({ name: disk, type: 'S' }),
  'a name with ..': layer({ name: 'disk/../../etc/cron.d/x', content: Buffer.from('x') }),
  'an absolute name': layer({ name: '/disk/vm.qcow2', content: Buffer.from('x') }),
  'a tar archive that is cut off': async (at) => pushLayers(at, [{ content: layerOf(newQcow2()).subarray(0, 4_096) }]),
  'a tar archive with a wrong checksum': layer(tarHeader({ name: disk, checksumOff: 1 })),
  'bytes behind the tar archive': async (at) => pushLayers(at, [{ content: Buffer.concat([layerOf(newQcow2()), Buffer.alloc(512, 'x')]) }]),
  'a layer that says gzip and is not': async (at) =>
    pushLayers(at, [{ content: layerOf(newQcow2()), mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' }]),
  'a member of more bytes than images.maxBytes': layer(tarHeader({ name: disk, size: 2 ** 32 })),
};

/** What compression can hide. */
const packedFailures: Failures = {
  'a gzip bomb': (at) => at.web(gzipZeros(128), { end: '.gz' }),
  'a zstd bomb': (at) => at.web(zstdRepeating(720), { end: '.zst' }),
  'an xz bomb': (at) => at.web(pack.xz(Buffer.alloc(90 * mib)), { end: '.xz' }),
  'an xz file that wants 3 GiB of memory': (at) => at.web(xzWithDictionary(newQcow2(), 39), { end: '.xz' }),
  'a packed disk that is cut off': (at) => at.web(gzipSync(newQcow2()).subarray(0, 100), { end: '.gz' }),
  'a disk that is packed twice': (at) => at.web(gzipSync(gzipSync(newQcow2())), { end: '.gz' }),
};

function hostile(corpus: readonly HostileDisk[], name: string): Stage {
  return (at) => {
    const found = corpus.find((each) => each.name === name);
    if (!found) throw new Error(`the corpus has no ${name}`);
    return at.web(found.make(), { format: found.format as MappedFormat });
  };
}

const qcow2 = (name: string): Stage => hostile(hostileQcow2, name);
const vmdk = (name: string): Stage => hostile(hostileVmdk, name);

/** What the door finds; one of the corpus for each of its rules. */
const doorFailures: Failures = {
  'no qcow2 disk': qcow2('text'),
  'qcow2 of another version': qcow2('qcow1'),
  'a backing file': qcow2('backing-abs'),
  'an external data file': qcow2('datafile-mapped'),
  'an encrypted disk': qcow2('crypt-aes'),
  'internal snapshots': qcow2('snapshot-real'),
  'dirty bitmaps': qcow2('bitmap-real'),
  'a disk that was not closed': qcow2('incompat-dirty'),
  'a disk that QEMU marked as corrupt': qcow2('incompat-corrupt'),
  'a feature that is not known': qcow2('incompat-unknown-63'),
  'a header of an impossible length': qcow2('header-padding'),
  'header extensions that lie': qcow2('extension-4G'),
  'a compression that is not known': qcow2('compression-type-9'),
  'extended L2 entries in small clusters': qcow2('extended-l2-small'),
  'reference counts of an impossible width': qcow2('refcount-order-max'),
  'an L1 table outside of the file': qcow2('l1-out'),
  'a refcount table outside of the file': qcow2('refcount-table-out'),
  'tables that overlap': qcow2('l1-is-refcount-table'),
  'a disk that is cut off': qcow2('truncated-header'),
  'clusters that are used twice': qcow2('data-twice'),
  'a virtual size over images.maxVirtualSize': (at) => at.web(newQcow2('2T')),
  'a virtual size of no whole sectors': qcow2('size-odd'),
  'raw with half a sector': (at) => at.web(Buffer.alloc(768), { format: 'raw' }),
  'a foreign format that images.convert does not allow': (at) => at.web(foreignDisk('vdi', ''), { format: 'vdi' }),
  'no VMDK disk': (at) => at.web(newQcow2(), { format: 'vmdk' }),
  'a VMDK whose data lies in other files': vmdk('vmdk-type-flat'),
  'a VMDK that is based on another': vmdk('vmdk-parent-name'),
  'a VMDK whose tables lie': vmdk('vmdk-grain-out'),
};

/** Makes a path in the directory of local files. */
function local(at: Staging, name: string, make: (path: string) => void): string {
  const path = join(at.files.localDir, name);
  make(path);
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return `file.example/${name}:1`;
}

/** What references and the node's own files can be. */
const nodeFailures: Failures = {
  'a name that no image has': () => 'registry.example/UPPER:1',
  'nothing but a tag': () => ':latest',
  'the form of an image id': () => '0'.repeat(64),
  'no digest behind the @': () => 'registry.example/disk@sha256:short',
  'another digest than the mapping gives': () => `pinned.example/disk:1@sha256:${'2'.repeat(64)}`,
  'virtlet.cloud and a host that is not in images.urlHosts': () => 'virtlet.cloud/unknown.example/disk.qcow2',
  'virtlet.cloud and a tag': () => 'virtlet.cloud/disks.example/disk.qcow2:v1',
  'virtlet.cloud and a host on this node': () => 'virtlet.cloud/localhost/disk.qcow2',
  'a local file that is missing': () => 'file.example/missing:1',
  'a local file that is a directory': (at) => local(at, 'directory', (path) => mkdirSync(path)),
  'a local file that is a symbolic link': (at) => local(at, 'link', (path) => symlinkSync('/etc/shadow', path)),
  'a local file that is a fifo': (at) => local(at, 'fifo', (path) => void execFileSync('mkfifo', [path])),
};

/** What is wrong with the image itself, or with what asks for it. */
export const diskFailures: readonly Failures[] = [layerFailures, packedFailures, doorFailures, nodeFailures];

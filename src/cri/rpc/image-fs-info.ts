import type { MessageInitShape } from '@bufbuild/protobuf';
import { ImageService, type FilesystemUsageSchema } from '../../gen/runtime/v1/api_pb.js';
import type { Space } from '../deps.ts';
import { nowNs } from '../numbers.ts';
import { rpc } from '../table.ts';

/**
 * Space that images and root disks use. Where both lie on one file system they have one mountpoint: by different ones a kubelet tells that
 * containers have a file system of their own.
 */
export const imageFsInfo = rpc(ImageService.method.imageFsInfo, {}, (_request, { images, runtime }) => ({
  imageFilesystems: [toProto(images.usage())],
  containerFilesystems: [toProto(runtime.rootDiskSpace())],
}));

function toProto({ mountpoint, usedBytes, inodesUsed }: Space): MessageInitShape<typeof FilesystemUsageSchema> {
  return {
    timestamp: nowNs(),
    fsId: { mountpoint },
    usedBytes: { value: BigInt(usedBytes) },
    inodesUsed: { value: BigInt(inodesUsed) },
  };
}

import { ImageService } from '../../gen/runtime/v1/api_pb.js';
import { nowNs } from '../numbers.ts';
import { rpc } from '../table.ts';

/** Space that images use. Root disks lie on the same file system, so that one answer serves both lists. */
export const imageFsInfo = rpc(ImageService.method.imageFsInfo, {}, (_request, { images }) => {
  const { mountpoint, usedBytes, inodesUsed } = images.usage();
  const filesystem = {
    timestamp: nowNs(),
    fsId: { mountpoint },
    usedBytes: { value: BigInt(usedBytes) },
    inodesUsed: { value: BigInt(inodesUsed) },
  };
  return { imageFilesystems: [filesystem], containerFilesystems: [filesystem] };
});

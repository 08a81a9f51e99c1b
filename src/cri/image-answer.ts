import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ImageSchema, ImageSpec } from '../gen/runtime/v1/api_pb.js';
import { invalid } from '../model/errors.ts';
import type { Image } from '../model/image.ts';
import type { FieldSupport } from './support.ts';

/**
 * The user that images claim to run as. A guest has its own users; but a kubelet takes an image without one for root and refuses it
 * under `runAsNonRoot`. 107 is what distributions give to QEMU.
 */
const imageUid = 107n;

/** An image as CRI tells it; `size` in bytes on disk, never 0, which a kubelet takes for an error. */
export function imageToProto(image: Image): MessageInitShape<typeof ImageSchema> {
  return {
    id: image.id,
    repoTags: [...image.repoTags],
    repoDigests: [...image.repoDigests],
    size: BigInt(Math.max(image.allocatedBytes, 1)),
    uid: { value: imageUid },
    spec: { image: image.id },
    pinned: image.pinned,
  };
}

/** `ImageSpec` where it names an image to look up or to pull. */
export const imageSpecFields: FieldSupport = {
  image: 'honoured',
  annotations: { ignored: 'the node’s configuration decides where an image comes from, never a pod' },
  user_specified_image: { ignored: 'image is what counts' },
  runtime_handler: { ignored: 'all handlers share one store' },
  image_ref: { ignored: 'belongs to image volumes' },
};

/** The reference in a request. Throws INVALID when it is missing. */
export function requireReference(spec: ImageSpec | undefined): string {
  if (!spec?.image) throw invalid('image.image', 'is missing');
  return spec.image;
}

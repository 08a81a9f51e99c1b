import { ImageService } from '../../gen/runtime/v1/api_pb.js';
import { imageSpecFields, requireReference } from '../image-answer.ts';
import { below } from '../support.ts';
import { rpc } from '../table.ts';

/** Removes an image with all its names. */
export const removeImage = rpc(
  ImageService.method.removeImage,
  below('image', imageSpecFields),
  async (request, { images }, { signal }) => {
    await images.remove(requireReference(request.image), signal);
    return {};
  },
);

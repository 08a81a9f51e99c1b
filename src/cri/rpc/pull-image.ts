import { ImageService } from '../../gen/runtime/v1/api_pb.js';
import { imageSpecFields, requireReference } from '../image-answer.ts';
import { below } from '../support.ts';
import { rpc } from '../table.ts';

/** Makes an image present. Has no deadline of its own: a caller that goes away cancels it. */
export const pullImage = rpc(
  ImageService.method.pullImage,
  {
    ...below('image', imageSpecFields),
    auth: { ignored: 'sources have their credentials in the node’s configuration; a pod’s are sent to no server' },
    sandbox_config: { ignored: 'an image is the same for every pod' },
  },
  async (request, { images }, { signal }) => ({ imageRef: (await images.pull(requireReference(request.image), signal)).id }),
);

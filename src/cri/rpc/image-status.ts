import { ImageService } from '../../gen/runtime/v1/api_pb.js';
import { imageSpecFields, imageToProto, requireReference } from '../image-answer.ts';
import { below } from '../support.ts';
import { rpc } from '../table.ts';
import { verboseInfo } from '../verbose.ts';

/** Tells about one image; one that is absent is an empty answer, never an error. */
export const imageStatus = rpc(
  ImageService.method.imageStatus,
  { ...below('image', imageSpecFields), verbose: 'honoured' },
  (request, { images }) => {
    const image = images.find(requireReference(request.image));
    return image ? { image: imageToProto(image), info: verboseInfo(request.verbose, () => image) } : {};
  },
);

import { ImageService } from '../../gen/runtime/v1/api_pb.js';
import { imageSpecFields, imageToProto } from '../image-answer.ts';
import { below } from '../support.ts';
import { rpc } from '../table.ts';

/** Lists images, or the one that the filter names. */
export const listImages = rpc(ImageService.method.listImages, below('filter.image', imageSpecFields), (request, { images }) => {
  const wanted = request.filter?.image?.image;
  if (!wanted) return { images: images.list().map(imageToProto) };
  const image = images.find(wanted);
  return { images: image ? [imageToProto(image)] : [] };
});

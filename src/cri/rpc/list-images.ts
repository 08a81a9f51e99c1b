import { ImageSchema, ImageService, type ImageFilter } from '../../gen/runtime/v1/api_pb.js';
import type { Images } from '../../images/images.ts';
import type { Image } from '../../model/image.ts';
import { makeEncodedItems } from '../encoded-items.ts';
import { imageSpecFields, imageToProto } from '../image-answer.ts';
import { below } from '../support.ts';
import { encodedRpc, encodedStreamRpc } from '../table.ts';

const { listImages: list, streamImages: stream } = ImageService.method;
const items = makeEncodedItems<typeof ImageSchema, Image>([list, stream], ImageSchema, imageToProto);
const fields = below('filter.image', imageSpecFields);

/** Lists images, or the one that the filter names. */
export const listImages = encodedRpc(list, fields, (request, { images }) => items.join(chosen(images, request.filter)));

/** The same list in pieces. */
export const streamImages = encodedStreamRpc(stream, fields, (request, { images }) => items.chunks(chosen(images, request.filter)));

function chosen(images: Images, filter: ImageFilter | undefined): readonly Image[] {
  const wanted = filter?.image?.image;
  if (!wanted) return images.list();
  const image = images.find(wanted);
  return image ? [image] : [];
}

import { ImageService, type AuthConfig } from '../../gen/runtime/v1/api_pb.js';
import type { RegistryAuth } from '../../images/images.ts';
import { imageSpecFields, requireReference } from '../image-answer.ts';
import { below } from '../support.ts';
import { rpc } from '../table.ts';

/** Makes an image present. Has no deadline of its own: a caller that goes away cancels it. */
export const pullImage = rpc(
  ImageService.method.pullImage,
  {
    ...below('image', imageSpecFields),
    auth: 'honoured',
    sandbox_config: { ignored: 'an image is the same for every pod' },
  },
  async (request, { images }, { signal }) => {
    const image = await images.pull({ reference: requireReference(request.image), auth: authOf(request.auth) }, signal);
    return { imageRef: image.id };
  },
);

/** Credentials as the images room takes them; a field that is empty is not there (proto3). */
function authOf(auth: AuthConfig | undefined): RegistryAuth | undefined {
  if (!auth) return undefined;
  const given = (text: string): string | undefined => (text === '' ? undefined : text);
  return {
    username: given(auth.username),
    password: given(auth.password),
    auth: given(auth.auth),
    serverAddress: given(auth.serverAddress),
    identityToken: given(auth.identityToken),
    registryToken: given(auth.registryToken),
  };
}

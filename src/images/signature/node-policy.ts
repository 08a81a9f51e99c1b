import type { VerifySignature } from '../registry/registry.ts';
import { loadPolicy } from './policy-file.ts';
import { acceptAll, type Policy } from './policy.ts';
import { checkName, checkUnsigned, makeSignatureCheck } from './signature-check.ts';

/** The node's signature policy. */
export interface NodePolicy {
  readonly verifySignature: VerifySignature;
  /** As `checkName`. */
  readonly checkName: (name: string) => Promise<void>;
  /** As `checkUnsigned`, for images of the name. */
  readonly checkUnsigned: (name: string) => Promise<void>;
  /** Reads the file again. Throws INVALID with what is wrong with it. */
  readonly reload: () => Promise<void>;
}

/**
 * Makes the policy of `images.signaturePolicy`, which is read when it is first needed; without a file everything is accepted. A file that
 * cannot be used refuses every image until it can, for which it is read again at each pull.
 */
export function makeNodePolicy(file: string | undefined): NodePolicy {
  let held = file === undefined ? acceptAll : undefined;

  async function read(): Promise<Policy> {
    return file === undefined ? acceptAll : loadPolicy(file);
  }

  const policy = async (): Promise<Policy> => (held ??= await read());

  return {
    verifySignature: makeSignatureCheck({ policy }),
    checkName: async (name) => checkName(policy, name),
    checkUnsigned: async (name) => checkUnsigned(policy, name),
    reload: async () => {
      held = undefined;
      held = await read();
    },
  };
}

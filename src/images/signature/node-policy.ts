import type { VerifySignature } from '../registry/registry.ts';
import { loadPolicy } from './policy-file.ts';
import { acceptAll, type Policy } from './policy.ts';
import { checkUnsigned, makeSignatureCheck } from './signature-check.ts';

/** The node's signature policy: read when it is first needed, and again after `reload`. */
export interface NodePolicy {
  readonly verifySignature: VerifySignature;
  /** As `checkUnsigned`, for images of the name. */
  readonly checkUnsigned: (name: string) => Promise<void>;
  readonly reload: () => void;
}

/** Makes the policy of `images.signaturePolicy`; without a file everything is accepted. A file that cannot be used refuses every image until it can. */
export function makeNodePolicy(file: string | undefined): NodePolicy {
  let loaded: Promise<Policy> | undefined;

  async function policy(): Promise<Policy> {
    if (file === undefined) return acceptAll;
    const reading = (loaded ??= loadPolicy(file));
    reading.catch(() => {
      if (loaded === reading) loaded = undefined; // it may be mended before anyone says so
    });
    return reading;
  }

  return {
    verifySignature: makeSignatureCheck({ policy }),
    checkUnsigned: async (name) => checkUnsigned(policy, name),
    reload: () => void (loaded = undefined),
  };
}

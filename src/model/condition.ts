/** One truth about the runtime as CRI's Status reports it (`RuntimeReady`, `NetworkReady`). */
export interface Condition {
  readonly ready: boolean;
  /** One CamelCase word; empty when ready. */
  readonly reason: string;
  /** For people; also used for a warning while ready (for example: no KVM). */
  readonly message: string;
}

/** The condition of what works. */
export const readyCondition: Condition = { ready: true, reason: '', message: '' };

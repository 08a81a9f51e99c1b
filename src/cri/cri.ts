import type { CriDeps } from './deps.ts';
import { builtRpcs } from './rpc/built.ts';
import { serveCri, type CallHooks, type CriServer } from './server.ts';
import { renderSupport } from './support-docs.ts';
import { makeTable, type CriTable } from './table.ts';

export type { CriDeps, Space } from './deps.ts';
export type { CallHooks, CriServer } from './server.ts';

/** The table of all methods of CRI v1 on raw bytes, bound to the rooms. */
function makeCriTable(deps: CriDeps): CriTable {
  return makeTable(builtRpcs, deps);
}

/** Serves CRI v1 on a unix socket; answers when it listens. The hooks are told of every call, when it comes and when its status is known. */
export async function startCriServer(options: { readonly socketPath: string }, deps: CriDeps, hooks: CallHooks = {}): Promise<CriServer> {
  return serveCri(options, { table: makeCriTable(deps), log: deps.log, ...hooks });
}

/** The generated page docs/cri-support.md. */
export function renderSupportDocs(): string {
  return renderSupport(builtRpcs);
}

import { parseDocument } from 'yaml';

/** Plain data as YAML or JSON gives it. */
export type Tree = { readonly [key: string]: unknown };

/** One place that configuration comes from; later layers win. */
export interface Layer {
  /** Names the place in messages: a file, `environment VMLET_X`, `flag --set`. */
  readonly source: string;
  readonly tree: Tree;
}

/** The layers merged, and where each leaf came from (keys joined by dots). */
export interface Merged {
  readonly tree: Tree;
  readonly sources: ReadonlyMap<string, string>;
}

/** Something wrong with the configuration. */
export interface Problem {
  readonly key: string;
  readonly source: string;
  readonly message: string;
}

/** Reads a YAML text as a layer; an empty document is an empty layer. */
export function parseLayer(text: string, source: string): Layer | Problem {
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error) return { key: '', source, message: error.message.split('\n')[0] ?? 'is not YAML' };
  const tree: unknown = document.toJS();
  if (tree === null || tree === undefined) return { source, tree: {} };
  if (!isTree(tree)) return { key: '', source, message: 'must be a mapping of keys' };
  return { source, tree };
}

/** Merges layers: mappings by key, everything else (lists too) as a whole, the last one wins. */
export function mergeLayers(layers: readonly Layer[]): Merged {
  const sources = new Map<string, string>();
  let tree: Tree = {};
  for (const layer of layers) tree = mergeTree(tree, layer.tree, (key) => sources.set(key, layer.source));
  return { tree, sources };
}

/** The layer of one environment variable or flag: `path` set to `text`, which is read as YAML so that numbers and lists can be given. */
export function leafLayer(path: readonly string[], text: string, source: string): Layer | Problem {
  const document = parseDocument(text);
  if (document.errors.length > 0) return { key: path.join('.'), source, message: 'is not YAML' };
  const value: unknown = document.toJS();
  return { source, tree: path.toReversed().reduce<unknown>((inner, key) => ({ [key]: inner }), value) as Tree };
}

function mergeTree(below: Tree, above: Tree, note: (key: string) => void, prefix = ''): Tree {
  const merged: Record<string, unknown> = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const old = below[key];
    note(path);
    merged[key] = isTree(value) ? mergeTree(isTree(old) ? old : {}, value, note, path) : value;
  }
  return merged;
}

/** True for a mapping. */
export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

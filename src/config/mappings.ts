import { isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, messageOf } from '../lib/errno.ts';
import { readSmallFileSync } from '../lib/small-file.ts';
import { ConfigError } from './config-error.ts';
import { mappingFileSchema, type ImagesConfig, type ImageSource, type MappingFile } from './images.ts';
import type { Problem } from './layers.ts';
import { fullName, repeatedNames, unknownTransports, type MappingIssue } from './mapping-rules.ts';
import { loadTransport, type LoadedTransport } from './transport-files.ts';

export type { LoadedTransport } from './transport-files.ts';

/** Sources and the transports that they may name. */
export interface Mapping {
  /** For messages: `images.sources`, or the file. */
  readonly from: string;
  readonly sources: readonly ImageSource[];
  /** The mapping's own, then those of `images.transports`, by name. */
  readonly transports: ReadonlyMap<string, LoadedTransport>;
}

/** A name that an earlier mapping maps already: only the earlier one counts. */
export interface Shadowed {
  readonly name: string;
  readonly from: string;
  /** Where the line is that counts. */
  readonly by: string;
}

/** All mappings, in order of precedence. */
export interface Mappings {
  readonly mappings: readonly Mapping[];
  /** To be warned of. */
  readonly shadowed: readonly Shadowed[];
}

/** Largest mapping file, bytes. */
const maxFileBytes = 2 ** 20;
const maxFiles = 1000;

/**
 * Reads the files of `images.mappingDir` and all PEM files that transports name; a missing directory is fine. Read again on SIGHUP. Throws
 * `ConfigError` with all problems at once, each with file, line and key.
 */
export function loadMappings(images: ImagesConfig): Mappings {
  const problems: Problem[] = [];
  const note = (found: readonly Problem[]): void => void problems.push(...found);
  const shared = loadTransports(images, 'images.', () => 'configuration', note);
  const mappings: Mapping[] = [{ from: 'images.sources', sources: images.sources, transports: shared }];
  for (const file of mappingFiles(images.mappingDir, note)) {
    const read = readMapping(file, note);
    if (!read) continue;
    const { mapping, sourceOf } = read;
    const issues = [...repeatedNames(mapping.sources), ...unknownTransports(mapping.sources, [mapping.transports, images.transports])];
    note(issues.map((issue) => problemOf(issue, sourceOf)));
    const own = loadTransports({ ...mapping, stallTimeout: images.stallTimeout }, '', sourceOf, note);
    mappings.push({ from: file, sources: mapping.sources, transports: new Map([...shared, ...own]) });
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { mappings, shadowed: shadowedIn(mappings) };
}

/** The place of a key in a file, `FILE:LINE`. */
type SourceOf = (path: readonly (string | number)[]) => string;

function mappingFiles(dir: string, note: (found: readonly Problem[]) => void): readonly string[] {
  let names: readonly string[];
  try {
    names = readdirSync(dir).filter((name) => !name.startsWith('.'));
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) note([{ key: '', source: dir, message: messageOf(error) }]);
    return [];
  }
  const misnamed = names.filter((name) => name.endsWith('.yml'));
  note(misnamed.map((name) => ({ key: '', source: join(dir, name), message: 'must end in .yaml to be read' })));
  const files = names.filter((name) => name.endsWith('.yaml')).toSorted();
  if (files.length > maxFiles) note([{ key: '', source: dir, message: `has more than ${maxFiles} files` }]);
  return files.slice(0, maxFiles).map((name) => join(dir, name));
}

function readMapping(
  file: string,
  note: (found: readonly Problem[]) => void,
): { readonly mapping: MappingFile; readonly sourceOf: SourceOf } | undefined {
  const lines = new LineCounter();
  try {
    const document = parseDocument(readSmallFileSync(file, maxFileBytes).toString('utf8'), { lineCounter: lines, prettyErrors: false });
    const [error] = document.errors;
    if (error) {
      note([{ key: '', source: `${file}:${lines.linePos(error.pos[0]).line}`, message: error.message.split('\n')[0] ?? 'is not YAML' }]);
      return undefined;
    }
    const sourceOf: SourceOf = (path) => `${file}:${lineOf(document, path, lines)}`;
    const tree: unknown = document.toJS();
    const checked = mappingFileSchema.safeParse(tree ?? {});
    if (checked.success) return { mapping: checked.data, sourceOf };
    note(
      checked.error.issues.flatMap((issue) => {
        const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
        if (issue.code !== 'unrecognized_keys') return [problemOf({ path, message: issue.message }, sourceOf)];
        return issue.keys.map((key) => problemOf({ path: [...path, key], message: 'is not a key of a mapping file' }, sourceOf));
      }),
    );
  } catch (error) {
    note([{ key: '', source: file, message: messageOf(error) }]);
  }
  return undefined;
}

function problemOf({ path, message }: MappingIssue, sourceOf: SourceOf): Problem {
  return { key: path.join('.'), source: sourceOf(path), message };
}

function lineOf(document: Document, path: readonly (string | number)[], lines: LineCounter): number {
  let offset = 0;
  let node: unknown = document.contents;
  for (const part of path) {
    const pair = isMap(node) ? node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part)) : undefined;
    const item: unknown = isSeq(node) ? node.items[Number(part)] : pair?.key;
    if (!isNode(item)) break;
    offset = item.range?.[0] ?? offset;
    node = pair ? pair.value : item;
  }
  return lines.linePos(offset).line || 1;
}

function loadTransports(
  { transports, stallTimeout }: Pick<ImagesConfig, 'transports' | 'stallTimeout'>,
  prefix: string,
  sourceOf: SourceOf,
  note: (found: readonly Problem[]) => void,
): ReadonlyMap<string, LoadedTransport> {
  return new Map(
    Object.entries(transports).map(([name, profile]) => {
      const loaded = loadTransport(profile, stallTimeout);
      const path = ['transports', name];
      note(
        loaded.problems.map(({ key, message }) => ({
          key: `${prefix}${[...path, key].join('.')}`,
          source: sourceOf([...path, key]),
          message,
        })),
      );
      return [name, loaded.transport];
    }),
  );
}

function shadowedIn(mappings: readonly Mapping[]): readonly Shadowed[] {
  const first = new Map<string, string>();
  return mappings.flatMap(({ from, sources }) =>
    sources.flatMap(({ name }) => {
      if (name === undefined) return [];
      const by = first.get(fullName(name));
      if (by !== undefined) return [{ name, from, by }];
      first.set(fullName(name), from);
      return [];
    }),
  );
}

import type { z } from 'zod';
import { leafLayer, type Layer, type Problem } from './layers.ts';
import { configSchema } from './schema.ts';

const prefix = 'VMLET_';

/** Variables with our prefix that are no configuration: read by the test and demo programs. */
const notConfiguration: ReadonlySet<string> = new Set(['VMLET_IMAGE_CACHE']);

/** Names of all keys as paths, in the schema's order. */
export function configKeys(schema: z.ZodType = configSchema, path: readonly string[] = []): readonly (readonly string[])[] {
  const shape = shapeOf(schema);
  if (!shape) return [path];
  return Object.entries(shape).flatMap(([key, inner]) => configKeys(inner, [...path, key]));
}

/** The environment variable of a key: `libvirt.runDir` is `VMLET_LIBVIRT_RUN_DIR`. */
export function variableOf(path: readonly string[]): string {
  const words = path.map((part) => part.replaceAll(/([A-Z])/g, '_$1').toUpperCase());
  return `${prefix}${words.join('_')}`;
}

/** A layer for each `VMLET_*` variable; an unknown one is a problem, so that a typing error is not silently ignored. */
export function environmentLayers(environment: Readonly<Record<string, string | undefined>>): (Layer | Problem)[] {
  const paths = new Map(configKeys().map((path) => [variableOf(path), path]));
  const given = Object.entries(environment).filter(([name]) => name.startsWith(prefix) && !notConfiguration.has(name));
  return given.flatMap(([name, text]) => {
    if (text === undefined) return [];
    const path = paths.get(name);
    const source = `environment ${name}`;
    return path ? [leafLayer(path, text, source)] : [{ key: '', source, message: 'is not a variable of vmlet’s configuration' }];
  });
}

/** The inner keys of a mapping, through defaults and optional wrappers; `undefined` for anything else. */
export function shapeOf(schema: z.ZodType): Readonly<Record<string, z.ZodType>> | undefined {
  if ('shape' in schema) return schema.shape as Readonly<Record<string, z.ZodType>>;
  const inner = 'unwrap' in schema ? (schema.unwrap as () => z.ZodType)() : undefined;
  return inner && !('element' in inner) ? shapeOf(inner) : undefined;
}

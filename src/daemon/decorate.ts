import { basename } from 'node:path';
import { openRecords, type OpenRecords } from '../records/records.ts';

/** Stands before a room, or a kind of records (`records.<directory>`), as it is built; answers what the others get in its place. */
export type Decorate = <T extends object>(name: string, part: T) => T;

/** Every room as it is. */
export const undecorated: Decorate = (_name, part) => part;

/** Opens records and has each kind decorated; `onRead` is told of each file that is read. */
export function openDecorated(decorate: Decorate, onRead: () => void): OpenRecords {
  return async (options) => decorate(`records.${basename(options.dir)}`, await openRecords({ ...options, onRead }));
}

/** The text of a record's file: schema version beside the record, big integers as decimal strings, one trailing newline. */
export function encodeRecord(record: unknown, version: number): string {
  const write = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);
  return `${JSON.stringify({ schema: version, record }, write)}\n`;
}

/** The record in a file's text. Throws with what is wrong: no JSON, no envelope, another schema version. */
export function decodeRecord(text: string, version: number): unknown {
  const envelope: unknown = JSON.parse(text);
  if (typeof envelope !== 'object' || envelope === null || !('schema' in envelope) || !('record' in envelope)) {
    throw new Error('not a record: "schema" and "record" are missing');
  }
  if (envelope.schema !== version) throw new Error(`schema ${String(envelope.schema)}, this version of vmlet reads ${version}`);
  return envelope.record;
}

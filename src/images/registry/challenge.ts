/** What a server asks for before it answers (RFC 9110, section 11.6.1). */
export interface Challenge {
  /** In lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** By names in lower case. */
  readonly params: ReadonlyMap<string, string>;
}

const maxLength = 8192;
const maxChallenges = 16;

const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const token68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;
const quotedString = /"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)"/y;
const equals = /[ \t]*=[ \t]*/y;
const spaces = /[ \t]+/y;
const separator = /[ \t]*(?:,[ \t]*)+/y;

/**
 * Reads the value of `WWW-Authenticate` fields, several of which may be joined by commas; `undefined` for what is no list of challenges or gives
 * a parameter twice. A challenge that is a token68 has no parameters.
 */
export function parseChallenges(text: string): readonly Challenge[] | undefined {
  if (text.length > maxLength) return undefined;
  const scan = makeScanner(text);
  const challenges: Challenge[] = [];
  scan.take(separator);
  scan.take(spaces);
  while (!scan.atEnd()) {
    const scheme = scan.take(token);
    if (scheme === undefined || challenges.length === maxChallenges) return undefined;
    const params = readRest(scan);
    if (!params) return undefined;
    challenges.push({ scheme: scheme.toLowerCase(), params });
  }
  return challenges;
}

interface Scanner {
  /** The text that the expression matches here, behind which it goes on. */
  readonly take: (expression: RegExp) => string | undefined;
  readonly at: () => number;
  readonly back: (to: number) => void;
  readonly atEnd: () => boolean;
}

function makeScanner(text: string): Scanner {
  let position = 0;
  return {
    take: (expression) => {
      expression.lastIndex = position;
      const match = expression.exec(text);
      if (!match) return undefined;
      position = expression.lastIndex;
      return match[0];
    },
    at: () => position,
    back: (to) => void (position = to),
    atEnd: () => position === text.length,
  };
}

/** What follows a scheme, up to the next one: nothing, a token68, or parameters; `undefined` when it is none of these. */
function readRest(scan: Scanner): ReadonlyMap<string, string> | undefined {
  if (ends(scan)) return new Map();
  if (scan.take(spaces) === undefined) return undefined;
  if (ends(scan)) return new Map();
  if (scan.take(token68) !== undefined) return ends(scan) ? new Map() : undefined;
  return readParams(scan);
}

function readParams(scan: Scanner): ReadonlyMap<string, string> | undefined {
  const params = new Map<string, string>();
  for (;;) {
    const start = scan.at();
    const name = scan.take(token)?.toLowerCase();
    if (name === undefined) return undefined;
    if (scan.take(equals) === undefined) {
      scan.back(start); // the next challenge's scheme
      return params.size > 0 ? params : undefined;
    }
    const value = scan.take(token) ?? unquote(scan.take(quotedString));
    if (value === undefined || params.has(name)) return undefined;
    params.set(name, value);
    const goesOn = scan.take(separator) !== undefined;
    if (!goesOn) scan.take(spaces);
    if (scan.atEnd()) return params;
    if (!goesOn) return undefined;
  }
}

/** Takes the comma or the end that may stand here. */
function ends(scan: Scanner): boolean {
  if (scan.take(separator) !== undefined) return true;
  const start = scan.at();
  scan.take(spaces);
  if (scan.atEnd()) return true;
  scan.back(start);
  return false;
}

function unquote(text: string | undefined): string | undefined {
  return text?.slice(1, -1).replaceAll(/\\(.)/g, '$1');
}

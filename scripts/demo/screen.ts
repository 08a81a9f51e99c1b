import { stripVTControlCharacters, styleText } from 'node:util';

/** The demo's output: one line for each step; on a terminal a line may be rewritten while its step lasts. */
export interface Screen {
  /** A finished line. */
  readonly line: (label: string, text: string) => void;
  /** The line of a step that lasts; without a terminal nothing is printed. */
  readonly update: (label: string, text: string) => void;
  /** A line of the guest's console, without its control characters. */
  readonly console: (text: string) => void;
  readonly failure: (text: string) => void;
}

/** Makes the screen; colours and rewriting only on a terminal (and not with NO_COLOR). */
export function makeScreen(stream: NodeJS.WriteStream): Screen {
  const started = performance.now();
  const colour = (format: 'cyan' | 'dim' | 'red', text: string): string => styleText(format, text, { stream });
  let open = false;

  function write(text: string, isOpen: boolean): void {
    const width = stream.columns ?? 120;
    if (open) stream.write('\r\u001B[K');
    open = isOpen;
    stream.write(isOpen ? clip(text, width - 1) : `${text}\n`);
  }
  function format(label: string, text: string): string {
    const time = `${((performance.now() - started) / 1_000).toFixed(1)}s`;
    return `${colour('dim', time.padStart(6))}  ${colour('cyan', label.padEnd(8))} ${text}`;
  }
  return {
    line: (label, text) => write(format(label, text), false),
    update: (label, text) => {
      if (stream.isTTY) write(format(label, text), true);
    },
    console: (text) => write(format('console', colour('dim', `| ${printable(text)}`)), false),
    failure: (text) => write(colour('red', text), false),
  };
}

/** Guest bytes never reach a terminal raw. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is to be removed
  return stripVTControlCharacters(text).replaceAll(/[\u0000-\u001F\u007F-\u009F]/g, '');
}

/** Cuts to a number of visible characters; colours at the end are kept closed. */
function clip(text: string, width: number): string {
  const plain = stripVTControlCharacters(text);
  return plain.length <= width ? text : plain.slice(0, width);
}

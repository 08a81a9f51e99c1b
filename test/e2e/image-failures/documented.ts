/** A row of the table in docs/images.md that says what a kubelet gets to see. */
export interface DocumentedFailure {
  readonly failure: string;
  /** gRPC's name of it. */
  readonly code: string;
  /** How the text begins; words in capital letters stand for what differs. */
  readonly text: string;
  /** What stays in the image store. */
  readonly stays: string;
}

const heading = '## What a failed pull says';

/** Reads the rows below the page's heading. Throws for a row that has not four cells. */
export function parseDocumentedFailures(page: string): readonly DocumentedFailure[] {
  const [, below = ''] = page.split(`${heading}\n`);
  const [section = ''] = below.split(/^## /m);
  const lines = section.split('\n').filter((line) => line.startsWith('|'));
  const rows = lines.map((line) => line.slice(1, -1).split('|').map(plain));
  return rows
    .filter(([first = '']) => first !== 'what is wrong' && !/^-+$/.test(first))
    .map((cells) => {
      const [failure, code, text, stays, ...more] = cells;
      if (failure === undefined || code === undefined || text === undefined || stays === undefined || more.length > 0)
        throw new Error(`the row has not four cells: ${cells.join('|')}`);
      return { failure, code, text, stays };
    });
}

/** What the placeholders of a text match. */
const placeholders: Readonly<Record<string, string>> = {
  ADDRESS: '[0-9a-f.:]+',
  DIGEST: 'sha256:[0-9a-f]{64}',
  DIR: '/[^ ,;:]+',
  FILE: '/[^ ,;:]+',
  HOST: '[^ ]+',
  NUMBER: '[0-9]+',
  REPOSITORY: '[^ ]+',
  URL: 'https?://[^ ]+?',
  WORDS: '.+?',
};

/** The beginning of a text, as an expression; `reference` is what `REFERENCE` stands for. */
export function beginningOf(text: string, reference: string): RegExp {
  const source = text
    .split(/\b([A-Z]{3,})\b/)
    .map((part) => (part === 'REFERENCE' ? asIs(reference) : (placeholders[part] ?? asIs(part))))
    .join('');
  return new RegExp(`^${source}`);
}

/** Readable in a test's output, as what `RegExp.escape` makes is not. */
function asIs(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

function plain(cell: string): string {
  return cell
    .trim()
    .replace(/^(`+) ?(.*?) ?\1$/, '$2')
    .trim();
}

// Rows as an aligned table, in the form psql prints them. Pure.

export interface ResultTable {
  readonly columns: readonly { readonly name: string; readonly rightAligned: boolean }[];
  readonly rows: readonly (readonly (string | null)[])[];
}

/** Without a last newline. Null is empty, as in psql; a value of several lines takes several lines. */
export function formatTable({ columns, rows }: ResultTable): string {
  const cells = rows.map((row) => row.map((value) => (value ?? '').split('\n')));
  const widths = columns.map(({ name }, index) =>
    cells.reduce(
      (width, row) => Math.max(width, ...row[index]!.map((line) => columnsOf(line))),
      columnsOf(name),
    ),
  );
  const heading = columns.map(({ name }, index) => ` ${centred(name, widths[index]!)} `).join('|');
  const rule = widths.map((width) => '-'.repeat(width + 2)).join('+');
  const body = cells.flatMap((row) => {
    const height = Math.max(1, ...row.map((lines) => lines.length));
    return Array.from({ length: height }, (_, line) =>
      row
        .map((lines, index) => {
          const text = lines[line] ?? '';
          const padding = ' '.repeat(widths[index]! - columnsOf(text));
          const more = line + 1 < lines.length ? '+' : ' ';
          return columns[index]!.rightAligned
            ? ` ${padding}${text}${more}`
            : ` ${text}${padding}${more}`;
        })
        .join('|')
        .trimEnd(),
    );
  });
  const total = rows.length === 1 ? '(1 row)' : `(${rows.length} rows)`;
  return [heading.trimEnd(), rule, ...body, total].join('\n');
}

function centred(text: string, width: number): string {
  const spare = width - columnsOf(text);
  const left = Math.floor(spare / 2);
  return `${' '.repeat(left)}${text}${' '.repeat(spare - left)}`;
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Columns on a terminal: wide characters of East Asia and emoji take two. */
function columnsOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    const wide =
      /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\uff01-\uff60]|\p{Emoji_Presentation}/u;
    width += wide.test(segment) ? 2 : 1;
  }
  return width;
}

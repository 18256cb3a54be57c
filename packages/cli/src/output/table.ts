/** How one column is laid out. */
export type Alignment = 'left' | 'right';

/**
 * Lays rows of cells out in columns, two spaces apart. Cells are plain text; a row may end early.
 *
 * @param alignments one per column; columns beyond them are aligned right
 */
export function formatTable(rows: readonly (readonly string[])[], alignments: readonly Alignment[]): string {
  const columnCount = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columnCount }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        alignments[column] === 'left' ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return `${rows.map(line).join('\n')}\n`;
}

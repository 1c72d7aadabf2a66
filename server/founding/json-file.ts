// The files that operators of different organisations send each other: JSON that says what it is. Pure.

import { StorageError } from '../../ledger/error.ts';

/** Characters of such a file: a genesis record of 256 nodes has some 200,000. */
const CHARACTERS_MAX = 4_194_304;

/**
 * The fields of a file of a format and version.
 *
 * @param place  the file, for messages
 * @throws StorageError foreign for anything else
 */
export function readJson(
  content: string,
  place: string,
  format: string,
  version: number,
): Readonly<Record<string, unknown>> {
  const fields = content.length > CHARACTERS_MAX ? null : tryParse(content);
  if (fields?.['format'] !== format) {
    throw new StorageError('foreign', `${place}: not a file of the format "${format}"`);
  }
  if (fields['version'] !== version) {
    const found = JSON.stringify(fields['version']) ?? 'none';
    throw new StorageError(
      'foreign',
      `${place}: version ${found} is not ${version}, the one known here`,
    );
  }
  return fields;
}

function tryParse(content: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(content);
    return typeof value === 'object' ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null;
  }
}

import { expect, test } from '@jest/globals';
import { SqlError, StorageError } from '../../../../ledger/error.ts';
import { errorFields, presentable } from '../../../../server/pgwire/error-response.ts';

test('every field of an error has its letter, in the order of PostgreSQL', () => {
  const error = new SqlError('23505', 'duplicate key', {
    constraint: 'n',
    dataType: 'd',
    column: 'c',
    table: 't',
    schema: 's',
    where: 'W',
    position: 7,
    hint: 'H',
    detail: 'D',
  });
  expect(errorFields('ERROR', error)).toEqual([
    ['S', 'ERROR'],
    ['V', 'ERROR'],
    ['C', '23505'],
    ['M', 'duplicate key'],
    ['D', 'D'],
    ['H', 'H'],
    ['P', '7'],
    ['W', 'W'],
    ['s', 's'],
    ['t', 't'],
    ['c', 'c'],
    ['d', 'd'],
    ['n', 'n'],
  ]);
});

test('fields that are not there are not sent', () => {
  const types = errorFields('FATAL', new SqlError('57P01', 'bye')).map(([type]) => type);
  expect(types.join('')).toBe('SVCM');
});

test('a SqlError is shown as it is', () => {
  const error = new SqlError('22012', 'division by zero');
  expect(presentable(error, 'id')).toBe(error);
});

test.each([
  [new StorageError('full', '/secret/path'), '53100'],
  [new StorageError('io', '/secret/path'), '58030'],
  [new StorageError('damaged', '/secret/path'), 'XX001'],
  [new TypeError('secret'), 'XX000'],
  ['secret', 'XX000'],
])('of %p the client learns %s and where to look', (error, sqlstate) => {
  const shown = presentable(error, 'abc123');
  expect(shown.sqlstate).toBe(sqlstate);
  expect(shown.fields.detail).toContain('abc123');
  expect(JSON.stringify(errorFields('ERROR', shown))).not.toContain('secret');
});

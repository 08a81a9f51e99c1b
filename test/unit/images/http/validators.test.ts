import { describe, expect, test } from 'vitest';
import { conditionsOf, rangeConditionOf, validatorsOf } from '../../../../src/images/http/validators.ts';

const noon = 'Tue, 24 Nov 2026 12:00:00 GMT';

describe('validators that are kept', () => {
  test.each([
    [{ etag: '"abc"' }, { etag: '"abc"' }],
    [{ etag: 'W/"abc"' }, {}],
    [{ etag: 'abc' }, {}],
    [{ etag: '"a\tb"' }, {}],
    [{ 'last-modified': noon, date: 'Tue, 24 Nov 2026 12:00:01 GMT' }, { lastModified: noon }],
    [{ 'last-modified': noon, date: noon }, {}],
    [{ 'last-modified': noon }, {}],
    [{ 'last-modified': 'yesterday', date: noon }, {}],
    [{}, {}],
  ])('%j', (headers, expected) => {
    expect(validatorsOf(headers)).toEqual(expected);
  });
});

test('the tag is asked for before the date', () => {
  expect(conditionsOf({ etag: '"a"', lastModified: noon })).toEqual({ 'if-none-match': '"a"' });
  expect(conditionsOf({ lastModified: noon })).toEqual({ 'if-modified-since': noon });
  expect(conditionsOf({})).toEqual({});
  expect(conditionsOf(undefined)).toEqual({});
});

test('a range is tied to the tag before the date', () => {
  expect(rangeConditionOf({ etag: '"a"', lastModified: noon })).toEqual({ 'if-range': '"a"' });
  expect(rangeConditionOf({ lastModified: noon })).toEqual({ 'if-range': noon });
  expect(rangeConditionOf(undefined)).toEqual({});
});

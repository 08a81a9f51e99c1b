import { describe, expect, test } from 'vitest';
import {
  basicAuthorization,
  basicOf,
  planAnswer,
  redirectTarget,
  refuseWebPage,
  shown,
  type AnswerHead,
} from '../../../../src/images/http/http-rules.ts';

const https = new URL('https://disks.example/a/x.qcow2?token=secret');

function head(fields: Partial<AnswerHead>): AnswerHead {
  return { status: 200, contentType: undefined, contentEncoding: undefined, contentLength: undefined, ...fields };
}

const limits = { maxBytes: 1000, conditional: false };

describe('what an answer means', () => {
  const whole = { kind: 'body', from: 0, isPartial: false };

  test('a body, with or without its length', () => {
    expect(planAnswer(https, head({}), limits)).toEqual({ ...whole, announcedBytes: undefined, totalBytes: undefined });
    expect(planAnswer(https, head({ contentLength: '1000' }), limits)).toEqual({ ...whole, announcedBytes: 1000, totalBytes: 1000 });
    expect(planAnswer(https, head({ contentLength: '9'.repeat(30) }), limits)).toEqual({
      ...whole,
      announcedBytes: undefined,
      totalBytes: undefined,
    });
  });

  test('unchanged, if that was asked', () => {
    expect(planAnswer(https, head({ status: 304 }), { ...limits, conditional: true })).toEqual({ kind: 'unchanged' });
    expect(() => planAnswer(https, head({ status: 304 }), limits)).toThrow(/status 304/);
  });

  test('a part, of a whole that may be unknown, and shorter than asked for', () => {
    const range = { from: 10, to: 20 };
    const part = { kind: 'body', from: 10, isPartial: true };
    const answered = (contentRange: string, contentLength?: string): unknown =>
      planAnswer(https, head({ status: 206, contentRange, contentLength }), { ...limits, range });
    expect(answered('bytes 10-19/500', '10')).toEqual({ ...part, announcedBytes: 10, totalBytes: 500 });
    expect(answered('bytes 10-19/*')).toEqual({ ...part, announcedBytes: 10, totalBytes: undefined });
    expect(answered('bytes 10-14/500')).toEqual({ ...part, announcedBytes: 5, totalBytes: 500 });
    expect(() => answered('bytes 10-19/1001')).toThrow(/images\.maxBytes/);
    for (const bad of ['bytes 9-19/500', 'bytes 10-20/500', 'bytes 11-19/500', 'bytes 19-10/500', 'bytes 10-19/19', 'bytes */500', '']) {
      expect(() => answered(bad)).toThrow(expect.objectContaining({ kind: 'answer', message: expect.stringContaining('another range') }));
    }
    expect(() => answered('bytes 10-19/500', '11')).toThrow(/another number of bytes/);
    expect(planAnswer(https, head({ status: 206, contentRange: 'bytes 10-499/500' }), { ...limits, range: { from: 10 } })).toEqual({
      ...part,
      announcedBytes: 490,
      totalBytes: 500,
    });
  });

  test('a range behind the end, if one was asked for', () => {
    expect(planAnswer(https, head({ status: 416 }), { ...limits, range: { from: 5 } })).toEqual({ kind: 'behind-end' });
    expect(() => planAnswer(https, head({ status: 416 }), limits)).toThrow(/status 416/);
  });
});

describe('answers that end the pull', () => {
  test.each<[string, Partial<AnswerHead>, { kind: string; registryAway: boolean }, RegExp]>([
    ['404', { status: 404 }, { kind: 'status', registryAway: false }, /status 404 \(not found: check the url in images\.sources\)/],
    ['401', { status: 401 }, { kind: 'status', registryAway: false }, /status 401 \(user and password are missing or wrong: /],
    ['403', { status: 403 }, { kind: 'status', registryAway: false }, /status 403 \(access is denied: /],
    ['405', { status: 405 }, { kind: 'status', registryAway: false }, /status 405$/],
    ['206', { status: 206 }, { kind: 'status', registryAway: false }, /status 206/],
    ['500', { status: 500 }, { kind: 'status', registryAway: true }, /status 500/],
    ['503', { status: 503 }, { kind: 'status', registryAway: true }, /status 503/],
    ['429', { status: 429 }, { kind: 'status', registryAway: true }, /status 429/],
    ['web page', { contentType: 'text/html; charset=utf-8' }, { kind: 'web-page', registryAway: false }, /is a web page, not a disk/],
    ['compressed', { contentEncoding: 'gzip' }, { kind: 'answer', registryAway: false }, /encoding/],
    ['too large', { contentLength: '1001' }, { kind: 'too-large', registryAway: false }, /images\.maxBytes/],
  ])('%s', (_name, fields, facts, message) => {
    expect(() => planAnswer(https, head(fields), limits)).toThrow(
      expect.objectContaining({ ...facts, message: expect.stringMatching(message) }),
    );
    expect(() => planAnswer(https, head(fields), limits)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    );
  });

  test('with the advice that the caller gives, and when to come again', () => {
    expect(() => planAnswer(https, head({ status: 404 }), { ...limits, hints: { 404: 'no such layer' } })).toThrow(
      /404 \(no such layer\)$/,
    );
    expect(() => planAnswer(https, head({ status: 503, retryAfter: '7' }), limits)).toThrow(
      expect.objectContaining({ retryAfterMs: 7000 }),
    );
    expect(() => planAnswer(https, head({ status: 404, retryAfter: '7' }), limits)).toThrow(
      expect.objectContaining({ retryAfterMs: undefined }),
    );
  });
});

describe('redirects', () => {
  test('elsewhere', () => {
    expect(redirectTarget(https, '../b')).toEqual(new URL('https://disks.example/b'));
  });

  test.each<[string | undefined, string, RegExp]>([
    [undefined, 'answer', /nowhere/],
    ['http://', 'answer', /nowhere/],
    ['file:///etc/passwd', 'downgrade', /redirects to file:/],
    ['http://disks.example/', 'downgrade', /from https to http/],
  ])('to %s end the pull', (location, kind, message) => {
    expect(() => redirectTarget(https, location)).toThrow(expect.objectContaining({ kind, message: expect.stringMatching(message) }));
  });
});

describe('bodies that begin like a web page', () => {
  test.each(['<!DOCTYPE html>', '<html>', '  \n<html>', '\xef\xbb\xbf<?xml version="1.0"?>', '<head>'])('%j', (text) => {
    expect(() => refuseWebPage(https, Buffer.from(text, 'latin1'))).toThrow(/web page/);
  });
  test.each(['QFI\xfb', '<', '\0<html>', '', '\x3c\x00'])('%j is none', (text) => {
    expect(() => refuseWebPage(https, Buffer.from(text, 'latin1'))).not.toThrow();
  });
});

describe('where a redirect leads', () => {
  test.each([
    ['../b', 'https://disks.example/b'],
    ['//other.example/x', 'https://other.example/x'],
    ['https://other.example:8443/x?y=1', 'https://other.example:8443/x?y=1'],
    ['/with space\t\r\nand lines', 'https://disks.example/with%20spaceand%20lines'],
    ['/%0d%0aHost:%20evil', 'https://disks.example/%0d%0aHost:%20evil'],
    ['/\u00e9', 'https://disks.example/%C3%A9'],
  ])('%j: %s', (location, to) => {
    expect(redirectTarget(https, location).href).toBe(to);
  });

  test.each<[string, string | undefined, string, RegExp]>([
    ['nowhere', undefined, 'answer', /nowhere/],
    ['nonsense', 'http://[', 'answer', /nowhere/],
    ['an address with a zone', 'https://[fe80::1%25eth0]/', 'answer', /nowhere/],
    ['a file', 'file:///etc/passwd', 'downgrade', /redirects to file:$/],
    ['a long protocol', `${'x'.repeat(99)}:y`, 'downgrade', /redirects to x{20}$/],
    ['without TLS', 'http://disks.example/', 'downgrade', /from https to http/],
  ])('to %s', (_name, location, kind, message) => {
    expect(() => redirectTarget(https, location)).toThrow(expect.objectContaining({ kind, message: expect.stringMatching(message) }));
    expect(() => redirectTarget(https, location)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('secret') }));
  });

  test.each([
    ['http://2130706433/', '127.0.0.1'],
    ['http://0x7f.1/', '127.0.0.1'],
    ['http://0177.0.0.1/', '127.0.0.1'],
    ['http://127.1/', '127.0.0.1'],
    ['http://\uff11\uff12\uff17.0.0.1/', '127.0.0.1'],
    ['http://[::ffff:127.0.0.1]/', '[::ffff:7f00:1]'],
    ['http://0/', '0.0.0.0'],
    ['http://0xa9fea9fe/', '169.254.169.254'],
  ])('the host of %s is %s', (location, host) => {
    expect(redirectTarget(new URL('http://disks.example/'), location).hostname).toBe(host);
  });
});

test('user and password become a field', () => {
  expect(basicAuthorization({ username: 'ü', password: 'p' })).toBe(`Basic ${Buffer.from('ü:p').toString('base64')}`);
});

test('user and password of a url become a field, and no message shows them', () => {
  const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;
  expect(basicOf(new URL('https://user:p%40ss@disks.example/a'))).toBe(basic('user:p@ss'));
  expect(basicOf(new URL('https://user@disks.example/a'))).toBe(basic('user:'));
  expect(basicOf(new URL('https://user:100%@disks.example/a'))).toBe(basic('user:100%'));
  expect(basicOf(https)).toBeUndefined();
  expect(shown(new URL('https://user:pw@h.example/p?token=1#f'))).toBe('https://h.example/p');
  expect(shown(new URL(`https://h.example/${'x'.repeat(5000)}`))).toHaveLength(203);
});

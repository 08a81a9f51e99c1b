import { describe, expect, test } from 'vitest';
import { credentialsFor, planAnswer, refuseWebPage, shown, type AnswerHead } from '../../../../src/images/http/http-rules.ts';

const https = new URL('https://disks.example/a/x.qcow2?token=secret');

function head(fields: Partial<AnswerHead>): AnswerHead {
  return { status: 200, location: undefined, contentType: undefined, contentEncoding: undefined, contentLength: undefined, ...fields };
}

const limits = { maxBytes: 1000, conditional: false };

describe('what an answer means', () => {
  test('a body, with or without its length', () => {
    expect(planAnswer(https, head({}), limits)).toEqual({ kind: 'body', announcedBytes: undefined });
    expect(planAnswer(https, head({ contentLength: '1000' }), limits)).toEqual({ kind: 'body', announcedBytes: 1000 });
  });

  test('unchanged, if that was asked', () => {
    expect(planAnswer(https, head({ status: 304 }), { ...limits, conditional: true })).toEqual({ kind: 'unchanged' });
    expect(() => planAnswer(https, head({ status: 304 }), limits)).toThrow(/status 304/);
  });

  test.each([301, 302, 303, 307, 308])('%s: elsewhere', (status) => {
    const plan = planAnswer(https, head({ status, location: '../b' }), limits);
    expect(plan).toEqual({ kind: 'redirect', to: new URL('https://disks.example/b') });
  });
});

describe('answers that end the pull', () => {
  test.each<[string, Partial<AnswerHead>, { kind: string; registryAway: boolean }, RegExp]>([
    ['404', { status: 404 }, { kind: 'status', registryAway: false }, /status 404 \(not found: check the url in images\.sources\)/],
    ['403', { status: 403 }, { kind: 'status', registryAway: false }, /status 403/],
    ['206', { status: 206 }, { kind: 'status', registryAway: false }, /status 206/],
    ['500', { status: 500 }, { kind: 'status', registryAway: true }, /status 500/],
    ['503', { status: 503 }, { kind: 'status', registryAway: true }, /status 503/],
    ['429', { status: 429 }, { kind: 'status', registryAway: true }, /status 429/],
    ['web page', { contentType: 'text/html; charset=utf-8' }, { kind: 'web-page', registryAway: false }, /is a web page, not a disk/],
    ['compressed', { contentEncoding: 'gzip' }, { kind: 'answer', registryAway: false }, /encoding/],
    ['too large', { contentLength: '1001' }, { kind: 'too-large', registryAway: false }, /images\.maxBytes/],
    ['redirect without a target', { status: 302 }, { kind: 'answer', registryAway: false }, /nowhere/],
    [
      'redirect to another protocol',
      { status: 302, location: 'file:///etc/passwd' },
      { kind: 'downgrade', registryAway: false },
      /redirects to file:/,
    ],
    [
      'redirect from https to http',
      { status: 302, location: 'http://disks.example/' },
      { kind: 'downgrade', registryAway: false },
      /from https to http/,
    ],
  ])('%s', (_name, fields, facts, message) => {
    expect(() => planAnswer(https, head(fields), limits)).toThrow(
      expect.objectContaining({ ...facts, message: expect.stringMatching(message) }),
    );
    expect(() => planAnswer(https, head(fields), limits)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    );
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

test('credentials go to the configured origin only, and no message shows them', () => {
  const configured = new URL('https://user:p%40ss@disks.example/a');
  expect(credentialsFor(configured, configured)).toBe('user:p@ss');
  expect(credentialsFor(new URL('/b', configured), configured)).toBe('user:p@ss');
  expect(credentialsFor(new URL('https://user:p%40ss@other.example/a'), configured)).toBeUndefined();
  expect(credentialsFor(new URL('https://disks.example:444/a'), configured)).toBeUndefined();
  expect(credentialsFor(https, https)).toBeUndefined();
  expect(shown(new URL('https://user:pw@h.example/p?token=1#f'))).toBe('https://h.example/p');
});

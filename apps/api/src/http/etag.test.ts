import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesEtag, rangeApplies, strongEtag, weakEtag } from './etag.js';

test('If-None-Match matches any tag of its list, weakly, and the star', () => {
  const etag = weakEtag('{"state":"queued"}');
  assert.ok(matchesEtag(etag, etag));
  assert.ok(matchesEtag(`"other", ${etag}`, etag));
  assert.ok(matchesEtag(etag.replace('W/', ''), etag));
  assert.ok(matchesEtag('*', etag));
  assert.ok(!matchesEtag(weakEtag('{"state":"running"}'), etag));
  assert.ok(!matchesEtag(undefined, etag));
});

test('If-Range lets a range through only with the exact strong tag', () => {
  const etag = strongEtag('sha256:00');
  assert.ok(rangeApplies(undefined, etag));
  assert.ok(rangeApplies(etag, etag));
  assert.ok(!rangeApplies(`W/${etag}`, etag));
  assert.ok(!rangeApplies('Sat, 21 Nov 2026 00:00:00 GMT', etag));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namedWidths } from './named-widths.js';
import { smallSearch } from './testing.js';

test('widths are named by any of their layers, and the others stay', async (t) => {
  const { graph, searched } = await smallSearch(t);
  const chosen = namedWidths({ back: 7, right: 3 }, { graph, searched, fixed: [] });
  assert.deepEqual([...chosen.values()], [7, 6, 4, 3]);
});

test('what cannot be named is refused with the reason', async (t) => {
  const { graph, searched } = await smallSearch(t);
  const fixed = graph.widths.filter(({ pins }) => pins.length > 0).map((width) => ({ width, reasons: width.pins }));
  const refused = (named: Record<string, number>, message: RegExp) =>
    assert.throws(() => namedWidths(named, { graph, searched, fixed }), { code: 'RECIPE_INVALID', message });
  refused({ nowhere: 3 }, /number of channels of nowhere cannot be chosen: no layer of that name makes channels/);
  refused({ dense: 3 }, /dense cannot be changed: dense is an output of the network/);
  refused({ stem: 3, back: 4 }, /back has to be what stem is: sum Add needs as many channels/);
  assert.equal(namedWidths({ stem: 3, back: 3 }, { graph, searched, fixed }).get(searched[0]!), 3);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intAttribute, intValue, type Model, readFloats, type Tensor, tensorFromFloats } from '../ir/index.js';
import { checkPass } from '../testing/check-pass.js';
import { randomTensor } from '../testing/random-tensor.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { tieTables } from './tie-tables.js';

const [ROWS, COLUMNS] = [48, 32];
const table = randomTensor([ROWS, COLUMNS], 1);

async function turned(change = 0): Promise<Tensor> {
  const values = await readFloats(table);
  const moved = Float32Array.from(values, (_, i) => values[(i % ROWS) * COLUMNS + Math.floor(i / ROWS)]!);
  moved[moved.length - 1]! += change;
  return tensorFromFloats([COLUMNS, ROWS], moved);
}

function network(head: TinyNode, copy: Tensor, more: readonly TinyNode[] = []): Model {
  return tinyModel({
    inputs: [['tokens', 'int64', [5]]],
    outputs: [
      ['logits', 'float32', null],
      ...more.map(({ outputs }) => [outputs[0]!, 'float32' as const, null] as const),
    ],
    nodes: [{ op: 'Gather', inputs: ['table', 'tokens'], outputs: ['x'] }, head, ...more],
    constants: { table, copy },
  });
}

const product = (op: string, transB = 0): TinyNode => ({
  op,
  name: 'head',
  inputs: ['x', 'copy'],
  outputs: ['logits'],
  ...(op === 'Gemm' && { attributes: { transB: intValue(transB) } }),
});
const tie = (model: Model) => tieTables(model, new Set(['table']));
const head = ({ graph }: Model) => graph.nodes.find(({ name }) => name === 'head')!;

test('a product with the transposed table reads the table through a Transpose', async (t) => {
  const after = await checkPass(t, network(product('MatMul'), await turned()), tie, 0);
  assert.deepEqual([...after.graph.initializers.keys()], ['table']);
  const transpose = after.graph.nodes.find(({ outputs }) => outputs[0] === head(after).inputs[1])!;
  assert.deepEqual([transpose.opType, transpose.inputs], ['Transpose', ['table']]);
});

test('a Gemm reads the table itself, transposed the other way', async (t) => {
  const after = await checkPass(t, network(product('Gemm'), await turned()), tie, 0);
  assert.deepEqual([head(after).inputs[1], intAttribute(head(after), 'transB', 0)], ['table', 1]);
  const same = tensorFromFloats([ROWS, COLUMNS], await readFloats(table));
  const plain = await checkPass(t, network(product('Gemm', 1), same), tie, 0);
  assert.deepEqual([head(plain).inputs[1], intAttribute(head(plain), 'transB', 0)], ['table', 1]);
});

test('what differs in one element, is stored in the file, or has other users keeps its own weight', async () => {
  assert.equal(await tie(network(product('MatMul'), await turned(1e-3))), false);
  const stored = new Set(['table', 'copy']);
  assert.equal(await tieTables(network(product('MatMul'), await turned()), stored), false);
  const other: TinyNode = { op: 'Neg', inputs: ['copy'], outputs: ['negative'] };
  assert.equal(await tie(network(product('MatMul'), await turned(), [other])), false);
});

test('two lookups in equal tables share one, wherever it comes from', async (t) => {
  const lookup: TinyNode = { op: 'Gather', name: 'head', inputs: ['copy', 'tokens'], outputs: ['logits'] };
  const copy = tensorFromFloats([ROWS, COLUMNS], await readFloats(table));
  const model = network(lookup, copy, [{ op: 'Neg', inputs: ['x'], outputs: ['negative'] }]);
  const after = await checkPass(t, model, (changed) => tieTables(changed, new Set(['table', 'copy'])), 0);
  assert.equal(head(after).inputs[0], 'table');
  assert.equal(after.graph.initializers.size, 1);
});

import { intAttribute } from '../../ir/index.js';
import { broadcast } from '../shaped-builder.js';
import type { ReferenceOp } from './reference.js';
import { at, tensor64 } from './tensor64.js';

const fromFront = (index: number, size: number) => (index < 0 ? index + size : index);

const gather: ReferenceOp = ([x, indices], node) => {
  const { shape } = x!;
  const axis = fromFront(intAttribute(node, 'axis', 0), shape.length);
  const rank = indices!.shape.length;
  return [
    tensor64([...shape.slice(0, axis), ...indices!.shape, ...shape.slice(axis + 1)], (index) => {
      const picked = fromFront(at(indices!, index.slice(axis, axis + rank)), shape[axis]!);
      return at(x!, [...index.slice(0, axis), picked, ...index.slice(axis + rank)]);
    }),
  ];
};

const gatherElements: ReferenceOp = ([x, indices], node) => {
  const axis = fromFront(intAttribute(node, 'axis', 0), x!.shape.length);
  return [
    tensor64(indices!.shape, (index) => at(x!, index.with(axis, fromFront(at(indices!, index), x!.shape[axis]!)))),
  ];
};

const gatherNd: ReferenceOp = ([x, indices], node) => {
  const batchRank = intAttribute(node, 'batch_dims', 0);
  const places = indices!.shape.slice(0, -1);
  const depth = indices!.shape.at(-1)!;
  return [
    tensor64([...places, ...x!.shape.slice(batchRank + depth)], (index) => {
      const place = index.slice(0, places.length);
      const picked = Array.from({ length: depth }, (_, i) =>
        fromFront(at(indices!, [...place, i]), x!.shape[batchRank + i]!),
      );
      return at(x!, [...index.slice(0, batchRank), ...picked, ...index.slice(places.length)]);
    }),
  ];
};

const where: ReferenceOp = ([condition, a, b]) => {
  const shape = [condition!, a!, b!].map((tensor) => tensor.shape).reduce(broadcast);
  return [tensor64(shape, (index) => at(at(condition!, index) === 0 ? b! : a!, index))];
};

export const INDEXING_REFERENCE: Readonly<Record<string, ReferenceOp>> = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  Where: where,
};

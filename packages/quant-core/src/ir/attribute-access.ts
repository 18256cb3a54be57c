import type { Attribute } from './attribute.js';
import type { Graph, Node } from './graph.js';
import type { Tensor } from './tensor.js';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

type ValueByKind = { [A in Attribute as A['kind']]: A['value'] };

function attributeValue<K extends Attribute['kind']>(node: Node, name: string, kind: K): ValueByKind[K] | undefined {
  const attribute = node.attributes.get(name);
  return attribute?.kind === kind ? (attribute.value as ValueByKind[K]) : undefined;
}

/** The integer attribute as a number, or `fallback` when it is absent or of another kind. */
export function intAttribute<T = number>(node: Node, name: string, fallback: T): number | T {
  const value = attributeValue(node, name, 'int');
  return value === undefined ? fallback : Number(value);
}

/** The integers as numbers, or `fallback` when the attribute is absent or of another kind. */
export function intsAttribute<T = readonly number[]>(node: Node, name: string, fallback: T): readonly number[] | T {
  return attributeValue(node, name, 'ints')?.map(Number) ?? fallback;
}

/** The float attribute, or `fallback` when it is absent or of another kind. */
export function floatAttribute<T = number>(node: Node, name: string, fallback: T): number | T {
  return attributeValue(node, name, 'float') ?? fallback;
}

/** The floats, or `fallback` when the attribute is absent or of another kind. */
export function floatsAttribute<T = readonly number[]>(node: Node, name: string, fallback: T): readonly number[] | T {
  return attributeValue(node, name, 'floats') ?? fallback;
}

/** The string attribute as UTF-8 text, or `fallback` when it is absent or of another kind. */
export function stringAttribute<T = string>(node: Node, name: string, fallback: T): string | T {
  const bytes = attributeValue(node, name, 'string');
  return bytes === undefined ? fallback : decoder.decode(bytes);
}

/** The tensor attribute, or undefined when it is absent or of another kind. */
export function tensorAttribute(node: Node, name: string): Tensor | undefined {
  return attributeValue(node, name, 'tensor');
}

/** The subgraph attribute, or undefined when it is absent or of another kind. */
export function graphAttribute(node: Node, name: string): Graph | undefined {
  return attributeValue(node, name, 'graph');
}

/** Every subgraph in the node's attributes, in attribute order. */
export function subgraphsOf(node: Node): Graph[] {
  const graphs: Graph[] = [];
  for (const attribute of node.attributes.values()) {
    if (attribute.kind === 'graph') graphs.push(attribute.value);
    else if (attribute.kind === 'graphs') graphs.push(...attribute.value);
  }
  return graphs;
}

/** Makes an integer attribute. */
export function intValue(value: number | bigint): Attribute {
  return { kind: 'int', value: BigInt(value) };
}

/** Makes an attribute of integers. */
export function intsValue(values: readonly (number | bigint)[]): Attribute {
  return { kind: 'ints', value: values.map(BigInt) };
}

/** Makes a float attribute. */
export function floatValue(value: number): Attribute {
  return { kind: 'float', value };
}

/** Makes a string attribute. */
export function stringValue(text: string): Attribute {
  return { kind: 'string', value: encoder.encode(text) };
}

/** Makes a tensor attribute. */
export function tensorValue(value: Tensor): Attribute {
  return { kind: 'tensor', value };
}

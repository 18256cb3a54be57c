import assert from 'node:assert/strict';

const VOID_ELEMENTS = new Set(['meta', 'br', 'wbr']);

/** A start tag: its name and its attributes as they are written. */
export interface Tag {
  readonly name: string;
  readonly attributes: string;
}

/**
 * The start tags of a page in order, after checking that every element is closed where it should be and that `<` and `>` stand
 * for nothing else.
 * @throws AssertionError naming the element that is not closed
 */
export function tagsOf(page: string): Tag[] {
  const tags: Tag[] = [];
  const open: string[] = [];
  const body = page.replace('<!doctype html>', '').replace(/(<style>)[^<]*/, '$1');
  for (const [text, slash, name = '', attributes = '', selfClosing] of body.matchAll(
    /<(\/?)([a-z][a-z0-9]*)((?:\s+[\w-]+="[^"<>]*")*)\s*(\/?)>|[<>]/gi,
  )) {
    assert.notEqual(name, '', `"${text}" stands alone`);
    if (slash) assert.equal(name, open.pop(), `</${name}>`);
    else {
      tags.push({ name, attributes });
      if (!selfClosing && !VOID_ELEMENTS.has(name)) open.push(name);
    }
  }
  assert.deepEqual(open, [], 'elements that are never closed');
  return tags;
}

/** The values of an attribute in a page. */
export function attributeValues(tags: readonly Tag[], attribute: string): string[] {
  return tags.flatMap(({ attributes }) =>
    [...attributes.matchAll(new RegExp(`\\s${attribute}="([^"]*)"`, 'g'))].map(([, value]) => value!),
  );
}

const CHARACTERS: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&amp;': '&',
};

/** The texts of all elements of a name, as a reader copies them. */
export function textsOf(page: string, name: string): string[] {
  return [...page.matchAll(new RegExp(`<${name}[^>]*>(.*?)</${name}>`, 'gs'))].map(([, content]) =>
    content!.replace(/<[^>]*>/g, '').replace(/&[^;]+;/g, (entity) => CHARACTERS[entity] ?? entity),
  );
}

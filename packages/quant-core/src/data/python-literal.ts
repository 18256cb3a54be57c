/** What the dictionary of a .npy header is made of. Tuples and lists both become arrays. */
export type PythonLiteral = string | number | boolean | readonly PythonLiteral[] | ReadonlyMap<string, PythonLiteral>;

const TOKEN = /\s*(?:('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(True|False)|(\d{1,15})L?|([[\](){},:]))/y;
const MAX_DEPTH = 16;

/**
 * Parses strings, non-negative integers, booleans, tuples, lists and dictionaries with string keys, as Python writes
 * them. Escapes in strings stay as they are.
 * @throws SyntaxError
 */
export function parsePythonLiteral(text: string): PythonLiteral {
  const tokens = tokenize(text);
  let at = 0;

  const expect = (token: string) => {
    if (tokens[at++] !== token) throw new SyntaxError(`expected ${token}`);
  };
  const items = <T>(close: string, item: () => T): T[] => {
    const list: T[] = [];
    while (tokens[at] !== close) {
      if (list.length > 0) expect(',');
      if (tokens[at] === close) break;
      list.push(item());
    }
    expect(close);
    return list;
  };
  const literal = (depth: number): PythonLiteral => {
    const token = tokens[at++];
    if (token === undefined || depth > MAX_DEPTH) throw new SyntaxError('ends early or is nested too deeply');
    if (token === '(') return items(')', () => literal(depth + 1));
    if (token === '[') return items(']', () => literal(depth + 1));
    if (token === '{') return new Map(items('}', () => entry(depth + 1)));
    if (token === 'True' || token === 'False') return token === 'True';
    if (/^\d/.test(token)) return Number(token);
    if (/^['"]/.test(token)) return token.slice(1, -1);
    throw new SyntaxError(`unexpected ${token}`);
  };
  const entry = (depth: number): [string, PythonLiteral] => {
    const key = literal(depth);
    if (typeof key !== 'string') throw new SyntaxError('a key is no string');
    expect(':');
    return [key, literal(depth)];
  };

  const value = literal(0);
  if (at !== tokens.length) throw new SyntaxError('goes on after its end');
  return value;
}

function tokenize(text: string): string[] {
  const tokens: string[] = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const match = TOKEN.exec(text);
    if (match === null) throw new SyntaxError('unreadable character');
    tokens.push((match[1] ?? match[2] ?? match[3] ?? match[4])!);
  }
  return tokens;
}

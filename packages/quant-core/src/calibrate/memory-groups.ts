/**
 * Splits values into groups whose bytes together stay within the cap, in their order. A value that is larger than the
 * cap by itself gets a group of its own.
 */
export function memoryGroups(byteLengths: ReadonlyMap<string, number>, capBytes: number): string[][] {
  const groups: string[][] = [];
  let room = 0;
  for (const [name, byteLength] of byteLengths) {
    const group = groups.at(-1);
    if (group && byteLength <= room) {
      group.push(name);
      room -= byteLength;
    } else {
      groups.push([name]);
      room = capBytes - byteLength;
    }
  }
  return groups;
}

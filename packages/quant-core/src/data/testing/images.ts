import sharp from 'sharp';

/** A PNG whose pixel values a function gives. */
export function png(
  width: number,
  height: number,
  pixel: (x: number, y: number) => readonly number[],
): Promise<Buffer> {
  const rows = Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => [...pixel(x, y)]));
  const channels = pixel(0, 0).length as 1 | 2 | 3 | 4;
  return sharp(Buffer.from(rows.flat(2)), { raw: { width, height, channels } })
    .png()
    .toBuffer();
}

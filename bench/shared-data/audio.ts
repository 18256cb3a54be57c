import { readFile } from 'node:fs/promises';
import { createOnnxRuntime, writeNpz } from '@tritforge/quant-core';
import { FRAME_STEP, logMel, MEL_BANDS } from './log-mel.js';

const FRAMES_PER_VECTOR = 5;
const CALIBRATION_VECTORS = 512;
const WAV_HEADER_BYTES = 44;

/** Samples of a 16-bit mono .wav, in [-1, 1). */
async function readWav(source: string): Promise<Float32Array> {
  const bytes = await readFile(source);
  const format = bytes.toString('latin1', 36, 40);
  if (format !== 'data' || bytes.readUInt16LE(22) !== 1 || bytes.readUInt16LE(34) !== 16) {
    throw new Error(`${source} is no plain 16-bit mono .wav`);
  }
  const count = Math.floor((bytes.length - WAV_HEADER_BYTES) / 2);
  return Float32Array.from({ length: count }, (_, i) => bytes.readInt16LE(WAV_HEADER_BYTES + 2 * i) / 32768);
}

/**
 * Vectors of five log-mel frames, as the autoencoder takes them, with themselves as labels: there is no labelled set of
 * its domain, so its reconstruction error on speech is what can be compared. Even vectors calibrate, odd ones evaluate.
 */
export async function autoencoder(source: string, calibration: string, evaluation: string): Promise<void> {
  const samples = await readWav(source);
  const frames = logMel(samples);
  const count = frames.length / MEL_BANDS - FRAMES_PER_VECTOR + 1;
  const all = Array.from({ length: count }, (_, i) =>
    frames.subarray(i * MEL_BANDS, (i + FRAMES_PER_VECTOR) * MEL_BANDS),
  );
  await writeVectors(all.filter((_, i) => i % 2 === 0).slice(0, CALIBRATION_VECTORS), calibration);
  await writeVectors(
    all.filter((_, i) => i % 2 === 1),
    evaluation,
  );
}

async function writeVectors(vectors: readonly Float32Array[], target: string): Promise<void> {
  const size = FRAMES_PER_VECTOR * MEL_BANDS;
  const data = new Float32Array(vectors.length * size);
  for (const [i, vector] of vectors.entries()) data.set(vector, i * size);
  const tensor = { dtype: 'float32' as const, shape: [vectors.length, size], data };
  await writeNpz(
    target,
    new Map([
      ['input', tensor],
      ['labels', tensor],
    ]),
  );
}

const CONTEXT_SAMPLES = 64;
const CHUNK_SAMPLES = FRAME_STEP;
const STATE_SHAPE = [2, 1, 128];
const STATE_SIZE = 256;
const SAMPLE_RATE_HZ = 16000n;

/**
 * Chunks of speech with the recurrent state that the original model is in when it gets them; one chunk per run. Every
 * fourth chunk calibrates, the others evaluate.
 */
export async function voiceActivity(
  source: string,
  model: string,
  calibration: string,
  evaluation: string,
): Promise<void> {
  const samples = await readWav(source);
  const session = await createOnnxRuntime().load(model, { threads: 1, optimization: 'all' });
  const chunks: { input: Float32Array; state: Float32Array }[] = [];
  let state = new Float32Array(STATE_SIZE);
  for (let start = 0; start + CHUNK_SAMPLES <= samples.length; start += CHUNK_SAMPLES) {
    const input = new Float32Array(CONTEXT_SAMPLES + CHUNK_SAMPLES);
    const context = samples.subarray(Math.max(0, start - CONTEXT_SAMPLES), start + CHUNK_SAMPLES);
    input.set(context, input.length - context.length);
    chunks.push({ input, state });
    const outputs = await session.run(
      new Map([
        ['input', { dtype: 'float32', shape: [1, input.length], data: input }],
        ['state', { dtype: 'float32', shape: STATE_SHAPE, data: state }],
        ['sr', { dtype: 'int64', shape: [], data: BigInt64Array.of(SAMPLE_RATE_HZ) }],
      ]),
    );
    state = Float32Array.from(outputs.get('stateN')!.data as Float32Array);
  }
  await session.release();
  await writeChunks(
    chunks.filter((_, i) => i % 4 === 0),
    calibration,
  );
  await writeChunks(
    chunks.filter((_, i) => i % 4 !== 0),
    evaluation,
  );
}

async function writeChunks(
  chunks: readonly { input: Float32Array; state: Float32Array }[],
  target: string,
): Promise<void> {
  const count = chunks.length;
  const inputSize = CONTEXT_SAMPLES + CHUNK_SAMPLES;
  const input = new Float32Array(count * inputSize);
  const state = new Float32Array(count * STATE_SIZE);
  for (const [i, chunk] of chunks.entries()) {
    input.set(chunk.input, i * inputSize);
    state.set(chunk.state, i * STATE_SIZE);
  }
  const sr = new BigInt64Array(count).fill(SAMPLE_RATE_HZ);
  await writeNpz(
    target,
    new Map([
      ['input', { dtype: 'float32' as const, shape: [count, 1, inputSize], data: input }],
      ['state', { dtype: 'float32' as const, shape: [count, ...STATE_SHAPE], data: state }],
      ['sr', { dtype: 'int64' as const, shape: [count], data: sr }],
    ]),
  );
}

import { kernelInfo, type OrtLibrary, openOrtLibrary } from '../index.js';
import { ortLibraryPath } from './ort-library-path.js';

/** The ONNX Runtime of onnxruntime-node, for tests. */

process.env.ORT_DISABLE_TELEMETRY = '1';
const native = kernelInfo();
const libraryPath = ortLibraryPath();

/** Why tests of sessions cannot run here; false where they can. */
export const skipOrt: string | boolean =
  (native.implementation === 'fallback' && (native.reason ?? true)) ||
  (libraryPath === null && 'onnxruntime-node ships no library for this system');

/** Only where {@link skipOrt} is false. */
export function testOrt(): OrtLibrary {
  return openOrtLibrary(libraryPath as string);
}

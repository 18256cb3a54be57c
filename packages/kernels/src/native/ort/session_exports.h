// What JavaScript sees of ONNX Runtime sessions. Arguments are positional; src/ort-session.ts wraps them.
#pragma once

#include <napi.h>

namespace tritforge::ort {

// Adds to the exports:
//   ortOpen(path) → [library, version]
//   ortLoad(id, library, pathOrBytes, intraOpThreads, optimize, memoryArena, customOperators, configKeys, configValues,
//           profilePrefix, optimizedPath) → Promise<[session, inputs, outputs]>, a value being [name, type, shape]; '' for no
//           path; type is 'undefined' where the value is not a tensor
//   ortRun(id, session, inputIndexes, shapes, data, outputIndexes) → Promise<[type, shape, data][]>
//   ortRunHere(0, session, …) the same on the calling thread, which waits; cannot be cancelled
//   ortEndProfiling(id, session) → Promise<path>
//   ortRelease(id, session) → Promise<undefined>; runs that are under way end first
//   ortCancel(id)          cancels the call that was given this id, an integer of the caller's choice
//   ortStop(limitMs) → boolean: cancels all calls of this thread and waits for their end
void export_sessions(Napi::Env env, Napi::Object exports);

}  // namespace tritforge::ort

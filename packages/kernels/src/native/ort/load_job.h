// Loads a model on a thread of ours.
#pragma once

#include <napi.h>

#include <memory>

#include "ort/job.h"

namespace tritforge::ort {

// (id, library, pathOrBytes, intraOpThreads, optimize, memoryArena, customOperators, configKeys, configValues, profilePrefix,
//  optimizedPath) → [session, inputs, outputs]
inline constexpr std::size_t kLoadArguments = 11;
std::shared_ptr<Job> make_load_job(const Napi::CallbackInfo& info);

}  // namespace tritforge::ort

// Runs a model on a thread of ours.
#pragma once

#include <napi.h>

#include <memory>

#include "ort/job.h"

namespace tritforge::ort {

// (id, session, inputIndexes, shapes, data, outputIndexes) → [type, shape, data][]
inline constexpr std::size_t kRunArguments = 6;
std::shared_ptr<Job> make_run_job(const Napi::CallbackInfo& info);

// (…, targets), for a run on the thread of JavaScript: for each output null, or [shape, data] of memory that takes it. The data of such
// an output is null in the result.
inline constexpr std::size_t kRunHereArguments = 7;
std::shared_ptr<Job> make_run_here_job(const Napi::CallbackInfo& info);

}  // namespace tritforge::ort

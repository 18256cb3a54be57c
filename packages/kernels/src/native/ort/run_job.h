// Runs a model on a thread of ours.
#pragma once

#include <napi.h>

#include <memory>

#include "ort/job.h"

namespace tritforge::ort {

// (id, session, inputIndexes, shapes, data, outputIndexes) → [type, shape, data][]
inline constexpr std::size_t kRunArguments = 6;
std::shared_ptr<Job> make_run_job(const Napi::CallbackInfo& info);

}  // namespace tritforge::ort

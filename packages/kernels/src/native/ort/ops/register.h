// Entry of the operators of the domain `tritforge`. They know nothing of JavaScript, and serve any program that has a session
// of ONNX Runtime.
#pragma once

#include "ort/ort_api.h"

namespace tritforge::ort {

// Entry of a session's configuration, set before the operators are registered: how many threads the session computes with, 0
// for all. Where it is missing, operators divide their work for all CPUs, which is right but not best for fewer.
inline constexpr const char* kThreadsKey = "tritforge.threads";

// Adds the domain to the options of a session. Returns null, or a status that the caller releases.
Status* register_operators(const Api& api, SessionOptions* options) noexcept;

}  // namespace tritforge::ort

// Entry of the operators of the domain `tritforge`. They know nothing of JavaScript, and serve any program that has a session
// of ONNX Runtime.
#pragma once

#include "ort/ort_api.h"

namespace tritforge::ort {

// Adds the domain to the options of a session. Returns null, or a status that the caller releases.
Status* register_operators(const Api& api, SessionOptions* options) noexcept;

}  // namespace tritforge::ort

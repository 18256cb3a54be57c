// What operators of training share: checks of their arguments and outputs. All tensors are float32; images are NHWC.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ort/ops/node_reader.h"
#include "ort/ops/operator.h"
#include "ort/ops/run_support.h"
#include "ort/status.h"

namespace tritforge::ort {

// Of an axis, and of numbers of windows.
inline constexpr std::int64_t kMaxTrainingSize = std::int64_t{1} << 24;

inline std::size_t size_of(std::int64_t value) { return static_cast<std::size_t>(value); }

inline const float* floats(const TensorView& view) { return static_cast<const float*>(view.data); }

inline float* output(const RunContext& run, const std::vector<std::int64_t>& shape, std::size_t index = 0) {
  return static_cast<float*>(run_output(run, shape, index));
}

// A tensor of four positive sizes.
inline TensorView run_image(const RunContext& run, std::size_t index, const char* name) {
  const TensorView view = run_input(run, index);
  if (view.shape.size() != 4 || view.count == 0) {
    throw Failure(std::string(name) + " must have four sizes that are not 0, got " + printed(view.shape));
  }
  for (const std::int64_t size : view.shape) {
    if (size > kMaxTrainingSize) throw Failure(std::string(name) + " is too large: " + printed(view.shape));
  }
  return view;
}

inline void require_shape(const TensorView& view, const std::vector<std::int64_t>& shape, const char* name) {
  if (view.shape != shape) {
    throw Failure(std::string(name) + " must have the shape " + printed(shape) + ", got " + printed(view.shape));
  }
}

// The numbers of an input that must have a shape.
inline const float* run_floats(const RunContext& run, std::size_t index, const std::vector<std::int64_t>& shape,
                               const char* name) {
  const TensorView view = run_input(run, index);
  require_shape(view, shape, name);
  return floats(view);
}

}  // namespace tritforge::ort

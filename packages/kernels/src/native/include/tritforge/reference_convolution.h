// The plain reference of integer convolution: five loops over decoded int8 weights. It stands outside of any dispatch; every fast
// kernel equals it bit for bit, so it stays simple enough to be checked by reading.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/convolution.h"

namespace tritforge {

// `values` are int8 weights [OC, depth, kH, kW]. Formula: convolution.h; arguments must fit each other, nothing is checked.
void convolve__reference(const WeightShape& shape, const std::int8_t* values, const ConvolutionGeometry& geometry,
                         const ConvolutionInput& input, const OutputStage& stage, void* output) noexcept;

// One result of an output stage: `index` is the position in the dense output, `channel` its output channel. Writes output[index].
void store_output__reference(const OutputStage& stage, std::int32_t accumulator, std::size_t channel, std::size_t index,
                             void* output) noexcept;

}  // namespace tritforge

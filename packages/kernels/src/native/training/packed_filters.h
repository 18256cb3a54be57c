// Weights of convolutions as tiles read them: blocks of output channels, each [kernel height][kernel width][input channels][width of the
// block]. They are packed anew by every call, as they change with every step.
#pragma once

#include <cstddef>

#include "training/training_kernels.h"

namespace tritforge::training {

struct WeightView {
  const float* first;
  std::size_t outputs, inputs, kernel_height, kernel_width;
  std::ptrdiff_t output, input, row, column;  // distances
};

// Vectors of the next block, of so many outputs that are left.
std::size_t block_vectors(const TrainingKernels& kernels, std::size_t outputs);

std::size_t packed_floats(std::size_t outputs, std::size_t depth, std::size_t lanes);

void pack_weights(const TrainingKernels& kernels, const WeightView& w, float* to);

// [C, 1, KH, KW] to [tap][C], of the taps `first` + i·row + j·column.
void pack_depthwise(const float* w, std::size_t channels, std::size_t taps, std::size_t high, std::size_t wide,
                    std::ptrdiff_t row, std::ptrdiff_t column, float* to);

}  // namespace tritforge::training

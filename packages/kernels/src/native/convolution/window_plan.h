// What of the input a number of output rows or columns sees.
#pragma once

#include "convolution/windows.h"

namespace tritforge {

// Extent of the input under `outputs` neighbouring outputs.
constexpr std::size_t seen(std::size_t outputs, std::size_t stride, std::size_t kernel, std::size_t dilation) {
  return (outputs - 1) * stride + (kernel - 1) * dilation + 1;
}

inline std::size_t seen_rows(const WindowPlan& p, std::size_t rows) {
  return seen(rows, p.geometry.stride_height, p.shape.kernel_height, p.geometry.dilation_height);
}

inline std::size_t seen_columns(const WindowPlan& p) {
  return seen(p.width, p.geometry.stride_width, p.shape.kernel_width, p.geometry.dilation_width);
}

}  // namespace tritforge

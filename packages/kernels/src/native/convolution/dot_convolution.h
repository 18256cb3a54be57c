// The driver of all kernels made of dot products over strips of weights: finds windows, cuts the work in items, hands blocks to a
// microkernel. It is compiled for any CPU; what is particular to an instruction set is the microkernel.
//
// A layout joins by naming its strips: each holds 16 outputs of one group, from first tap to last, at a fixed distance.
#pragma once

#include <cstddef>
#include <cstdint>

#include "convolution/dot_block.h"
#include "tritforge/convolution.h"

namespace tritforge {

struct DotLayout {
  std::size_t (*strip_bytes)(const PackedWeights& weights) noexcept;
  // Bytes of a strip for each dword of a tap, or 0 where a strip cannot be begun in the middle of a tap.
  std::size_t dword_bytes;
  // Σ w of each tap, [taps][groups][strips][16], for depths that are a multiple of 4.
  const std::int32_t* (*tap_sums)(const PackedWeights& weights) noexcept;
};

std::size_t dot_scratch_bytes(const DotLayout& layout, const DotMicrokernel& kernel, const PackedWeights& weights,
                              const ConvolutionGeometry& geometry, std::size_t threads) noexcept;

Status run_dot_convolution(const DotLayout& layout, const DotMicrokernel& kernel, const PackedWeights& weights,
                           const ConvolutionGeometry& geometry, const ConvolutionInput& input, const OutputStage& stage,
                           void* output, std::uint8_t* scratch, const Parallel& parallel) noexcept;

}  // namespace tritforge

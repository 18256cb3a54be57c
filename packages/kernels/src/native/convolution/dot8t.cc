// Kernels of Layout::dot8t: the driver of dot products with one microkernel for each instruction set.
#include "layouts/dot8t.h"

#include "convolution/dot_convolution.h"
#include "dispatch/layouts.h"

namespace tritforge {
#ifdef TRITFORGE_BUILT_AVX2
namespace {

std::size_t strip_bytes(const PackedWeights& weights) noexcept {
  return dot8t_strip_bytes(dot8t_shape(weights.shape, weights.group_size));
}

const std::int32_t* tap_sums(const PackedWeights& weights) noexcept {
  const std::size_t strips = dot8t_strips_bytes(dot8t_shape(weights.shape, weights.group_size));
  return reinterpret_cast<const std::int32_t*>(weights.payload + strips);
}

// A strip begins with its header, so it is not cut within a tap.
constexpr DotLayout kLayout{strip_bytes, 0, tap_sums};

std::size_t scratch_bytes(const PackedWeights& weights, const ConvolutionGeometry& geometry, std::size_t threads) noexcept {
  return dot_scratch_bytes(kLayout, kDot8t__avx2, weights, geometry, threads);
}

Status run(const PackedWeights& weights, const ConvolutionGeometry& geometry, const ConvolutionInput& input,
           const OutputStage& stage, void* output, std::uint8_t* scratch, const Parallel& parallel) noexcept {
  return run_dot_convolution(kLayout, kDot8t__avx2, weights, geometry, input, stage, output, scratch, parallel);
}

constexpr ConvolutionKernel kAvx2{"u8_dot8t__avx2", Isa::avx2, Layout::dot8t, scratch_bytes, run};

}  // namespace
#endif

const ConvolutionKernel* dot8t_kernel(Isa isa) noexcept {
#ifdef TRITFORGE_BUILT_AVX2
  if (isa == Isa::avx2) return &kAvx2;
#endif
  (void)isa;
  return nullptr;
}

}  // namespace tritforge

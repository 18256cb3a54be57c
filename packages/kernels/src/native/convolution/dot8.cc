// Kernels of Layout::dot8: the driver of dot products with one microkernel for each instruction set.
#include "layouts/dot8.h"

#include "convolution/dot_convolution.h"
#include "dispatch/layouts.h"

namespace tritforge {
namespace {

std::size_t strip_bytes(const PackedWeights& weights) noexcept { return dot8_strip_bytes(weights.shape); }

const std::int32_t* tap_sums(const PackedWeights& weights) noexcept {
  return reinterpret_cast<const std::int32_t*>(weights.payload + dot8_strips_bytes(weights.shape));
}

constexpr DotLayout kLayout{strip_bytes, kDot8VectorBytes, tap_sums};

template <const DotMicrokernel& kMicrokernel>
std::size_t scratch_bytes(const PackedWeights& weights, const ConvolutionGeometry& geometry, std::size_t threads) noexcept {
  return dot_scratch_bytes(kLayout, kMicrokernel, weights, geometry, threads);
}

template <const DotMicrokernel& kMicrokernel>
Status run(const PackedWeights& weights, const ConvolutionGeometry& geometry, const ConvolutionInput& input,
           const OutputStage& stage, void* output, std::uint8_t* scratch, const Parallel& parallel) noexcept {
  return run_dot_convolution(kLayout, kMicrokernel, weights, geometry, input, stage, output, scratch, parallel);
}

template <const DotMicrokernel& kMicrokernel>
constexpr ConvolutionKernel kernel(const char* name, Isa isa) {
  return {name, isa, Layout::dot8, scratch_bytes<kMicrokernel>, run<kMicrokernel>};
}

#ifdef TRITFORGE_BUILT_AVX2
constexpr ConvolutionKernel kAvx2 = kernel<kDot8__avx2>("u8_dot8__avx2", Isa::avx2);
#endif
#ifdef TRITFORGE_BUILT_AVXVNNI
constexpr ConvolutionKernel kAvxVnni = kernel<kDot8__avxvnni>("u8_dot8__avxvnni", Isa::avxvnni);
#endif
#ifdef TRITFORGE_BUILT_AVX512
constexpr ConvolutionKernel kAvx512 = kernel<kDot8__avx512>("u8_dot8__avx512", Isa::avx512);
#endif
#ifdef TRITFORGE_BUILT_NEON
constexpr ConvolutionKernel kNeon = kernel<kDot8__neon>("u8_dot8__neon", Isa::neon);
#endif
#ifdef TRITFORGE_BUILT_NEON_I8MM
constexpr ConvolutionKernel kNeonI8mm = kernel<kDot8__neon_i8mm>("u8_dot8__neon_i8mm", Isa::neon_i8mm);
#endif

}  // namespace

const ConvolutionKernel* dot8_kernel(Isa isa) noexcept {
  switch (isa) {
#ifdef TRITFORGE_BUILT_AVX2
    case Isa::avx2: return &kAvx2;
#endif
#ifdef TRITFORGE_BUILT_AVXVNNI
    case Isa::avxvnni: return &kAvxVnni;
#endif
#ifdef TRITFORGE_BUILT_AVX512
    case Isa::avx512: return &kAvx512;
#endif
#ifdef TRITFORGE_BUILT_NEON
    case Isa::neon: return &kNeon;
#endif
#ifdef TRITFORGE_BUILT_NEON_I8MM
    case Isa::neon_i8mm: return &kNeonI8mm;
#endif
    default: return nullptr;
  }
}

}  // namespace tritforge

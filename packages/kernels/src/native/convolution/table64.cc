// Kernels of Layout::table64: the driver of table lookup with one set of microkernels for each instruction set.
#include "layouts/table64.h"

#include "convolution/table_convolution.h"
#include "dispatch/layouts.h"

namespace tritforge {
namespace {

std::size_t block_count(const PackedWeights& weights) noexcept {
  return table64::plan_of(weights.shape).blocks();
}

TableBlock block(const PackedWeights& weights, std::size_t index) noexcept {
  const table64::Block b = table64::block_of(table64::plan_of(weights.shape), index);
  return {b.kind, b.units, b.first_input, table64::kUnitInputs, table64::table_bytes(b.kind), b.offset, b.panel_bytes};
}

constexpr TableLayout kLayout{table64::kPanelOutputs, table64::kMaxCode, block_count, block, table64::fill_addends};

template <const TableMicrokernels& kMicrokernels>
std::size_t scratch_bytes(const PackedWeights& weights, const ConvolutionGeometry& geometry, std::size_t threads) noexcept {
  return table_scratch_bytes(kLayout, weights, geometry, threads);
}

template <const TableMicrokernels& kMicrokernels>
Status run(const PackedWeights& weights, const ConvolutionGeometry& geometry, const ConvolutionInput& input,
           const OutputStage& stage, void* output, std::uint8_t* scratch, const Parallel& parallel) noexcept {
  return run_table_convolution(kLayout, kMicrokernels, weights, geometry, input, stage, output, scratch, parallel);
}

#ifdef TRITFORGE_BUILT_AVX512
constexpr ConvolutionKernel kAvx512{"u2_table64__avx512", Isa::avx512, Layout::table64, scratch_bytes<kTable64__avx512>,
                                    run<kTable64__avx512>};
#endif

}  // namespace

const ConvolutionKernel* table64_kernel(Isa isa) noexcept {
  switch (isa) {
#ifdef TRITFORGE_BUILT_AVX512
    case Isa::avx512: return &kAvx512;
#endif
    default: return nullptr;
  }
}

}  // namespace tritforge

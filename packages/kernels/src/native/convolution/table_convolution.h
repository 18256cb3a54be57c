// The driver of kernels that look sums up in tables of activations. It is compiled for any CPU; what is particular to an
// instruction set are the microkernels, what is particular to a layout is how its payload is cut into blocks.
//
// Tables are built once for each input pixel and serve every tap and every output that meets it. Outputs are cut into
// blocks of pixels whose tables stay in the second-level cache; within a block, and one block of weights after the other:
//
//   1×1 kernels     a few pixels' tables in the first-level cache, all weights of the block stream past them
//   larger kernels  a panel of weights in the first-level cache, the tables of the block's window stream past it
#pragma once

#include <cstddef>
#include <cstdint>

#include "convolution/table_block.h"
#include "tritforge/convolution.h"

namespace tritforge {

// Neighbouring units of one kind, for all panels and taps: [panel][unit][tap] from `offset` of the payload on.
struct TableBlock {
  int unit;
  std::size_t units;
  std::size_t first_input, unit_inputs;
  std::size_t table_bytes;  // of one unit and pixel
  std::size_t offset, panel_bytes;
};

struct TableLayout {
  std::size_t panel_outputs;  // 64 or 128
  std::uint8_t max_code;
  std::size_t (*block_count)(const PackedWeights& weights) noexcept;
  TableBlock (*block)(const PackedWeights& weights, std::size_t index) noexcept;
  void (*fill_addends)(const std::int8_t* levels, std::uint8_t* addends) noexcept;  // [16], or null
};

// Both layouts begin their payload with what tables of unsigned sums add to each output, int32 [panels][panel_outputs].

std::size_t table_scratch_bytes(const TableLayout& layout, const PackedWeights& weights, const ConvolutionGeometry& geometry,
                                std::size_t threads) noexcept;

// Besides the usual refuses zero points and promises of codes above the layout's.
Status run_table_convolution(const TableLayout& layout, const TableMicrokernels& kernels, const PackedWeights& weights,
                             const ConvolutionGeometry& geometry, const ConvolutionInput& input, const OutputStage& stage,
                             void* output, std::uint8_t* scratch, const Parallel& parallel) noexcept;

}  // namespace tritforge

// The product of some arranged rows with all panels, on any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gemv/gemv_kernels.h"
#include "tritforge/parallel.h"

namespace tritforge {

// Receives the sums of one row at `count` outputs from `output` on.
using GemvFinish = void (*)(const void* context, const std::int32_t* sums, std::size_t row, std::size_t output,
                            std::size_t count) noexcept;

struct GemvProduct {
  const GemvMethod* method;
  const GemvPlan* plan;
  const std::uint8_t* payload;
  const std::uint8_t* arranged;     // [rows][row_stride]
  const std::int32_t* corrections;  // [rows][correction_stride]
  std::size_t rows;
  GemvFinish finish;
  const void* context;
};

constexpr std::size_t gemv_row_stride(const GemvPlan& plan) { return (arranged_inputs(plan) + 63) / 64 * 64; }
constexpr std::size_t gemv_correction_stride(const GemvPlan& plan) {
  return (plan_quads(plan) * kGemvStreams + 15) / 16 * 16;
}
// Bytes for arranged rows and their corrections.
constexpr std::size_t gemv_rows_bytes(const GemvPlan& plan, std::size_t rows) {
  return rows * (gemv_row_stride(plan) + gemv_correction_stride(plan) * sizeof(std::int32_t));
}

// Whether arranged activations have the order of the inputs.
bool keeps_order(const GemvPlan& plan) noexcept;

// Makes a row of int8 activations ready for a method: arranges `unordered`, which lies in the order of the inputs, or
// if it is null completes `row`, which holds them in this order; then computes the corrections, or makes the row
// unsigned.
void finish_row(const GemvKernels& kernels, const GemvMethod& method, const GemvPlan& plan,
                const std::int8_t* unordered, std::uint8_t* row, std::int32_t* corrections) noexcept;

void multiply_panels(const GemvProduct& product, const Parallel& parallel) noexcept;

}  // namespace tritforge

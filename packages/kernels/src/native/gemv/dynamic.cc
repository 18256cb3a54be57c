// float32 activations, quantized row by row on the way in. Formulas: tritforge/gemv.h.
#include <cstring>

#include "gemv/gemv_kernels.h"
#include "gemv/panels.h"
#include "scalar/scalar_kernels.h"

namespace tritforge {
namespace {

constexpr std::size_t kMaxRows = 48;

std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

std::size_t scratch_bytes(const PackedWeights& weights, std::size_t rows, std::size_t) noexcept {
  const GemvPlan plan = gemv_plan(weights.shape, weights.group_size);
  return gemv_rows_bytes(plan, smaller(rows, kMaxRows)) + plan.depth;
}

struct Call {
  const GemvKernels& kernels;
  const float* channel_scales;
  const float* bias;
  float* y;
  std::size_t outputs;
  const std::int32_t* column_sums;
  std::int32_t offset;  // times the column sums, completes a sum
  float row_scales[kMaxRows];
};

void finish(const void* context, const std::int32_t* sums, std::size_t row, std::size_t output,
            std::size_t count) noexcept {
  const Call& call = *static_cast<const Call*>(context);
  call.kernels.scale(sums, {call.offset, call.column_sums + output, nullptr}, count, call.row_scales[row],
                     call.channel_scales + output, call.bias == nullptr ? nullptr : call.bias + output,
                     call.y + row * call.outputs + output);
}

Status run(const GemvKernels& kernels, const PackedWeights& weights, const float* x, std::size_t rows,
           const float* channel_scales, const float* bias, float* y, std::uint8_t* scratch, const Parallel& parallel) {
  const GemvPlan plan = gemv_plan(weights.shape, weights.group_size);
  const std::size_t most = smaller(rows, kMaxRows);
  const std::size_t row_stride = gemv_row_stride(plan), correction_stride = gemv_correction_stride(plan);
  std::uint8_t* const arranged = scratch;
  auto* const corrections = reinterpret_cast<std::int32_t*>(scratch + most * row_stride);
  auto* const unordered = reinterpret_cast<std::int8_t*>(corrections + most * correction_stride);
  const bool in_order = keeps_order(plan);
  const GemvMethod& method = kernels.method(most, gemv_steps(plan));
  const std::int32_t offset = method.takes_unsigned ? -128 : 0;
  Call call{kernels, channel_scales, bias, y, plan.outputs, weights.column_sums, offset, {}};
  for (std::size_t done = 0; done < rows; done += most) {
    const std::size_t now = smaller(most, rows - done);
    for (std::size_t row = 0; row < now; ++row) {
      std::uint8_t* const to = arranged + row * row_stride;
      std::int8_t* const q = in_order ? reinterpret_cast<std::int8_t*>(to) : unordered;
      call.row_scales[row] = kernels.quantize(x + (done + row) * plan.depth, plan.depth, q);
      finish_row(kernels, method, plan, in_order ? nullptr : unordered, to, corrections + row * correction_stride);
    }
    call.y = y + done * plan.outputs;
    multiply_panels({&method, &plan, weights.payload, arranged, corrections, now, finish, &call}, parallel);
  }
  return Status::ok;
}

// DynamicGemv has no context, so that each instruction set needs a function of its own.
template <Isa kIsa>
Status run_on(const PackedWeights& weights, const float* x, std::size_t rows, const float* channel_scales,
              const float* bias, float* y, std::uint8_t* scratch, const Parallel& parallel) noexcept {
  if (weights.layout != Layout::gemv2) return Status::unsupported;
  if (x == nullptr || channel_scales == nullptr || y == nullptr) return Status::invalid_argument;
  return run(*gemv_kernels(kIsa), weights, x, rows, channel_scales, bias, y, scratch, parallel);
}

template <Isa kIsa>
const DynamicGemv* dynamic() {
  const GemvKernels* const kernels = gemv_kernels(kIsa);
  if (kernels == nullptr) return nullptr;
  static const DynamicGemv kernel{kernels->dynamic_name, kIsa, scratch_bytes, run_on<kIsa>};
  return &kernel;
}

}  // namespace

const DynamicGemv* dynamic_gemv(Isa isa) noexcept {
  if (!isa_is_built(isa) || !cpu_has(isa)) return nullptr;
  switch (isa) {
    case Isa::scalar:
      return scalar_dynamic_gemv();
    case Isa::avx2:
      return dynamic<Isa::avx2>();
    case Isa::avxvnni:
      return dynamic<Isa::avxvnni>();
    case Isa::avx512:
      return dynamic<Isa::avx512>();
    case Isa::neon:
      return dynamic<Isa::neon>();
    case Isa::neon_i8mm:
      return dynamic<Isa::neon_i8mm>();
  }
  return nullptr;
}

}  // namespace tritforge

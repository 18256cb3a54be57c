#include "ternary_gemm_worker.h"

#include <string>
#include <utility>

#include "typed_arrays.h"

namespace tritforge {
namespace {

std::string failure_message(GemmStatus status, std::size_t row) {
  const std::string where = " of output channel " + std::to_string(row);
  return status == GemmStatus::invalid_code ? "packedCodes has the code 0b10 in the row" + where
                                            : "the int32 accumulator" + where + " could overflow";
}

}  // namespace

TernaryGemmWorker::TernaryGemmWorker(Napi::Env env, TernaryGemmCall call)
    : PromiseWorker(env, "tritforge.ternaryGemm"), call_(std::move(call)) {}

void TernaryGemmWorker::compute() {
  const TernaryGemmShape& shape = call_.shape;
  accumulators_.resize(shape.m * shape.n);
  std::vector<std::int16_t> weight_row(shape.n == 0 ? 0 : shape.k);
  std::size_t failed_row = 0;
  const GemmStatus status = u8_s32_t2_gemm__reference(
      shape, call_.activations.data(), call_.zero_point, {call_.packed_codes.data(), call_.group_codes.data()},
      weight_row.data(), accumulators_.data(), &failed_row);
  if (status != GemmStatus::ok) {
    fail(failure_message(status, failed_row));
    return;
  }
  if (!call_.dequantize) return;
  dequantized_.resize(accumulators_.size());
  dequantize_s32_f32(shape, accumulators_.data(), call_.input_scale, call_.channel_scales.data(), dequantized_.data());
}

Napi::Value TernaryGemmWorker::result(Napi::Env env) {
  return call_.dequantize ? to_javascript<Napi::Float32Array>(env, dequantized_)
                          : to_javascript<Napi::Int32Array>(env, accumulators_);
}

}  // namespace tritforge

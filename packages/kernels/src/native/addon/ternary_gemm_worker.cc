#include "ternary_gemm_worker.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

namespace tritforge {
namespace {

std::string failure_message(GemmStatus status, std::size_t row) {
  const std::string where = " of output channel " + std::to_string(row);
  return status == GemmStatus::invalid_code ? "packedCodes has the code 0b10 in the row" + where
                                            : "the int32 accumulator" + where + " could overflow";
}

template <typename Array, typename T>
napi_value to_javascript(Napi::Env env, const std::vector<T>& values) {
  Array array = Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

}  // namespace

TernaryGemmWorker::TernaryGemmWorker(Napi::Env env, TernaryGemmCall call)
    : Napi::AsyncWorker(env, "tritforge.ternaryGemm"), call_(std::move(call)), deferred_(env) {}

void TernaryGemmWorker::Execute() {
  try {
    compute();
  } catch (const std::bad_alloc&) {
    failure_ = "not enough memory for this call";
  }
}

void TernaryGemmWorker::compute() {
  const TernaryGemmShape& shape = call_.shape;
  accumulators_.resize(shape.m * shape.n);
  std::vector<std::int16_t> weight_row(shape.n == 0 ? 0 : shape.k);
  std::size_t failed_row = 0;
  const GemmStatus status = u8_s32_t2_gemm__reference(
      shape, call_.activations.data(), call_.zero_point, {call_.packed_codes.data(), call_.group_codes.data()},
      weight_row.data(), accumulators_.data(), &failed_row);
  if (status != GemmStatus::ok) {
    failure_ = failure_message(status, failed_row);
    return;
  }
  if (!call_.dequantize) return;
  dequantized_.resize(accumulators_.size());
  dequantize_s32_f32(shape, accumulators_.data(), call_.input_scale, call_.channel_scales.data(), dequantized_.data());
}

// Replaces the base's version, which lets an exception escape when a worker thread is terminated meanwhile: nothing can
// be created there any more, and nobody is left to be told.
void TernaryGemmWorker::OnWorkComplete(Napi::Env env, napi_status status) {
  if (status != napi_cancelled) {
    try {
      const Napi::HandleScope scope(env);
      settle(env);
    } catch (const Napi::Error&) {
    }
  }
  Destroy();
}

void TernaryGemmWorker::settle(Napi::Env env) {
  if (!failure_.empty()) return deferred_.Reject(Napi::RangeError::New(env, failure_).Value());
  try {
    deferred_.Resolve(call_.dequantize ? to_javascript<Napi::Float32Array>(env, dequantized_)
                                       : to_javascript<Napi::Int32Array>(env, accumulators_));
  } catch (const Napi::Error& error) {
    deferred_.Reject(error.Value());
  }
}

}  // namespace tritforge

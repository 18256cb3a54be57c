// One call of the reference product on a thread of the libuv pool.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tritforge/reference_gemm.h"

namespace tritforge {

// What a call computes on: copies that the worker owns.
struct TernaryGemmCall {
  TernaryGemmShape shape;
  std::uint8_t zero_point;
  std::vector<std::uint8_t> activations;
  std::vector<std::uint8_t> packed_codes;
  std::vector<std::uint8_t> group_codes;
  // For a float32 result; an int32 result leaves them empty.
  bool dequantize;
  float input_scale;
  std::vector<float> channel_scales;
};

class TernaryGemmWorker final : public Napi::AsyncWorker {
 public:
  TernaryGemmWorker(Napi::Env env, TernaryGemmCall call);

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override;
  void OnWorkComplete(Napi::Env env, napi_status status) override;

 private:
  void compute();
  void settle(Napi::Env env);

  TernaryGemmCall call_;
  std::vector<std::int32_t> accumulators_;
  std::vector<float> dequantized_;
  std::string failure_;
  Napi::Promise::Deferred deferred_;
};

}  // namespace tritforge

// One call of the reference product on a thread of the libuv pool.
#pragma once

#include <cstdint>
#include <vector>

#include "promise_worker.h"
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

class TernaryGemmWorker final : public PromiseWorker {
 public:
  TernaryGemmWorker(Napi::Env env, TernaryGemmCall call);

 protected:
  void compute() override;
  Napi::Value result(Napi::Env env) override;

 private:
  TernaryGemmCall call_;
  std::vector<std::int32_t> accumulators_;
  std::vector<float> dequantized_;
};

}  // namespace tritforge

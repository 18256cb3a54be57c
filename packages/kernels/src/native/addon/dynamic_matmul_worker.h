// One product of float32 rows with ternary weights on a thread of the libuv pool.
#pragma once

#include <memory>
#include <vector>

#include "packed_block.h"
#include "promise_worker.h"
#include "tritforge/gemv.h"

namespace tritforge {

struct DynamicMatmulCall {
  std::shared_ptr<const PackedBlock> block;
  const DynamicGemv* kernel;
  std::size_t rows, threads;
  std::vector<float> x, channel_scales, bias;  // an empty bias: none
};

class DynamicMatmulWorker final : public PromiseWorker {
 public:
  DynamicMatmulWorker(Napi::Env env, DynamicMatmulCall call);

 protected:
  void compute() override;
  // {values, kernel}
  Napi::Value result(Napi::Env env) override;

 private:
  DynamicMatmulCall call_;
  std::vector<float> y_;
};

}  // namespace tritforge

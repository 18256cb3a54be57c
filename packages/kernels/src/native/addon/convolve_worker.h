// One convolution on a thread of the libuv pool.
#pragma once

#include <memory>
#include <vector>

#include "packed_block.h"
#include "promise_worker.h"
#include "tritforge/convolution.h"

namespace tritforge {

// Copies of what JavaScript passed; the weights are shared and do not change.
struct ConvolveCall {
  std::shared_ptr<const PackedBlock> block;
  const ConvolutionKernel* kernel;
  ConvolutionGeometry geometry;
  std::vector<std::uint8_t> input;
  std::uint8_t input_zero_point, max_code;
  OutputKind output;
  std::vector<std::int32_t> bias;  // empty: none
  std::vector<float> multiplier;
  std::uint8_t output_zero_point, output_max_code;
  std::size_t outputs;
  std::size_t threads;
};

class ConvolveWorker final : public PromiseWorker {
 public:
  ConvolveWorker(Napi::Env env, ConvolveCall call);

 protected:
  void compute() override;
  // {values, kernel}
  Napi::Value result(Napi::Env env) override;

 private:
  ConvolveCall call_;
  std::vector<std::uint8_t> codes_;
  std::vector<std::int32_t> sums_;
  std::vector<float> floats_;
};

}  // namespace tritforge

// Fake quantization over runs whose sums are float32; those of runs are added in float64.
#include "training/training_kernels.h"
#include "tritforge/training.h"

namespace tritforge {
namespace {

constexpr std::size_t kRunFloats = std::size_t{1} << 9;

QuantizeCall call_of(const FloatQuantization& q) {
  QuantizeCall call{};
  call.low = q.low;
  call.high = q.high;
  call.scale = q.scale;
  call.least = q.least;
  call.most = q.most;
  return call;
}

}  // namespace

void quantize_floats(Isa isa, const FloatQuantization& quantization, std::size_t count, const float* x, float* y) noexcept {
  QuantizeCall call = call_of(quantization);
  call.x = x;
  call.out = y;
  call.count = count;
  training_kernels(isa).quantize(call);
}

void quantize_floats_gradient(Isa isa, const FloatQuantization& quantization, std::size_t count, const float* y_gradient,
                              const float* x, float* x_gradient, float* low, float* high, float* scale) noexcept {
  const TrainingKernels& kernels = training_kernels(isa);
  QuantizeCall call = call_of(quantization);
  double sums[3] = {};
  call.sums = sums;
  for (std::size_t done = 0; done < count; done += kRunFloats) {
    call.x = x + done;
    call.g = y_gradient + done;
    call.out = x_gradient + done;
    call.count = count - done < kRunFloats ? count - done : kRunFloats;
    kernels.quantize_gradient(call);
  }
  *low = static_cast<float>(sums[0]);
  *high = static_cast<float>(sums[1]);
  *scale = static_cast<float>(sums[2] / static_cast<double>(quantization.scale));
}

}  // namespace tritforge

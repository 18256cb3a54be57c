// Windows of pools, cut to the image.
#include <cstring>

#include "training/training_kernels.h"
#include "tritforge/training.h"

namespace tritforge {
namespace {

// The part of a window that is in the image.
struct Span {
  std::size_t first, count;
};

Span span_of(std::size_t output, std::size_t stride, std::size_t pad, std::size_t kernel, std::size_t size) {
  const std::size_t at = output * stride, end = at + kernel;
  const std::size_t first = at > pad ? at - pad : 0, last = end - pad < size ? end - pad : size;
  return {first, last - first};
}

// Calls work(call, index of the first element of the window, index of the output) for each window.
template <typename Work>
void each_window(const FloatPool& p, Work work) {
  PoolCall call{};
  call.channels = p.channels;
  call.x_row = p.width * p.channels;
  std::size_t output = 0;
  for (std::size_t n = 0; n < p.images; ++n) {
    for (std::size_t oy = 0; oy < p.output_height; ++oy) {
      const Span rows = span_of(oy, p.stride_height, p.pad_top, p.kernel_height, p.height);
      call.rows = rows.count;
      for (std::size_t ox = 0; ox < p.output_width; ++ox, output += p.channels) {
        const Span columns = span_of(ox, p.stride_width, p.pad_left, p.kernel_width, p.width);
        call.columns = columns.count;
        work(call, ((n * p.height + rows.first) * p.width + columns.first) * p.channels, output);
      }
    }
  }
}

}  // namespace

void pool_largest(Isa isa, const FloatPool& pool, const float* x, float* y) noexcept {
  const TrainingKernels& kernels = training_kernels(isa);
  each_window(pool, [&](PoolCall& call, std::size_t window, std::size_t output) {
    call.x = x + window;
    call.y = y + output;
    kernels.largest(call);
  });
}

void pool_largest_gradient(Isa isa, const FloatPool& pool, const float* y_gradient, const float* x, const float* y,
                           float* x_gradient) noexcept {
  const TrainingKernels& kernels = training_kernels(isa);
  std::memset(x_gradient, 0, pool.images * pool.height * pool.width * pool.channels * sizeof(float));
  each_window(pool, [&](PoolCall& call, std::size_t window, std::size_t output) {
    call.x = x + window;
    // Read alone.
    call.y = const_cast<float*>(y) + output;
    call.g = y_gradient + output;
    call.out = x_gradient + window;
    kernels.largest_gradient(call);
  });
}

}  // namespace tritforge

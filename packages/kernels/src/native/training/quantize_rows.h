// Fake quantization and its straight-through gradient, on vectors of any width; included by the folder of each instruction set.
#pragma once

#include "training/tiles.h"

namespace tritforge {
namespace {

template <typename V>
struct Quantize {
  using Type = typename V::Type;
  using Part = typename V::Part;

  static void values(const QuantizeCall& call) noexcept {
    each(call, [&](std::size_t at, Part part, const Range& range) {
      const Type c = clipped(V::load_part(call.x + at, part), range);
      V::store_part(call.out + at, quantized(c, range), part);
    });
  }

  static void gradient(const QuantizeCall& call) noexcept {
    Type low = V::zero(), high = V::zero(), scale = V::zero();
    each(call, [&](std::size_t at, Part part, const Range& range) {
      const Type x = V::load_part(call.x + at, part), g = V::load_part(call.g + at, part), c = clipped(x, range);
      V::store_part(call.out + at, V::where_equal(x, c, g), part);
      low = V::add(low, V::where_positive(V::subtract(c, x), g));
      high = V::add(high, V::where_positive(V::subtract(x, c), g));
      scale = V::multiply_add(g, V::subtract(quantized(c, range), c), scale);
    });
    const Type sums[] = {low, high, scale};
    for (std::size_t i = 0; i < 3; ++i) {
      float lanes[V::kLanes];
      V::store(lanes, sums[i]);
      for (const float lane : lanes) call.sums[i] += static_cast<double>(lane);
    }
  }

 private:
  struct Range {
    Type low, high, scale, least, most;
  };

  static TRITFORGE_INLINE Type clipped(Type x, const Range& range) noexcept {
    return V::minimum(V::maximum(x, range.low), range.high);
  }

  static TRITFORGE_INLINE Type quantized(Type c, const Range& range) noexcept {
    const Type code = V::round(V::divide(c, range.scale));
    return V::multiply(V::minimum(V::maximum(code, range.least), range.most), range.scale);
  }

  template <typename Work>
  static TRITFORGE_INLINE void each(const QuantizeCall& call, Work work) noexcept {
    const Range range{V::broadcast(&call.low), V::broadcast(&call.high), V::broadcast(&call.scale), V::broadcast(&call.least),
                      V::broadcast(&call.most)};
    for (std::size_t at = 0; at < call.count; at += V::kLanes) work(at, V::part(call.count - at), range);
  }
};

}  // namespace
}  // namespace tritforge

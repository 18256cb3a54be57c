// Rows of depthwise convolutions and sums of their weight gradients, on vectors of any width; included by the folder of each instruction
// set. A vector lies along channels. Four pixels share what is read of the weights; nine taps share what is read of the outputs.
#pragma once

#include "training/tiles.h"

namespace tritforge {
namespace {

template <typename V>
struct Depthwise {
  using Type = typename V::Type;
  using Part = typename V::Part;
  static constexpr std::size_t kPixels = 4;
  static constexpr std::size_t kTaps = 9;

  static void run(const DepthwiseCall& call) noexcept {
    for (std::size_t first = 0; first < call.channels; first += V::kLanes) {
      const Part part = V::part(call.channels - first);
      std::size_t p = 0;
      for (; p + kPixels <= call.pixels; p += kPixels) pixels<kPixels>(call, first, p, part);
      for (; p < call.pixels; ++p) pixels<1>(call, first, p, part);
    }
  }

  static void sums(const DepthwiseSumsCall& call) noexcept {
    const std::size_t taps = call.kernel_rows * call.kernel_columns;
    for (std::size_t first = 0; first < call.channels; first += V::kLanes) {
      const Part part = V::part(call.channels - first);
      std::size_t tap = 0;
      for (; tap + kTaps <= taps; tap += kTaps) sums_of<kTaps>(call, first, tap, part);
      for (; tap + 3 <= taps; tap += 3) sums_of<3>(call, first, tap, part);
      for (; tap < taps; ++tap) sums_of<1>(call, first, tap, part);
    }
  }

 private:
  template <std::size_t kCount>
  static TRITFORGE_INLINE void pixels(const DepthwiseCall& call, std::size_t first, std::size_t p, Part part) noexcept {
    Type sums[kCount];
    const Type bias = call.bias == nullptr ? V::zero() : V::load_part(call.bias + first, part);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kCount; ++i) {
      const std::size_t at = (p + i) * call.y_step + first;
      sums[i] = call.added == nullptr ? bias : V::add(bias, V::load_part(call.added + at, part));
    }
    const float* w = call.w + first;
    for (std::size_t r = 0; r < call.rows; ++r) {
      const float* x = call.x + p * call.x_step + r * call.x_row + first;
      for (std::size_t k = 0; k < call.columns; ++k, x += call.channels, w += call.channels) {
        const Type weight = V::load_part(w, part);
#pragma GCC unroll 4
        for (std::size_t i = 0; i < kCount; ++i) {
          sums[i] = V::multiply_add(V::load_part(x + i * call.x_step, part), weight, sums[i]);
        }
      }
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kCount; ++i) V::store_part(call.y + (p + i) * call.y_step + first, sums[i], part);
  }

  template <std::size_t kCount>
  static TRITFORGE_INLINE void sums_of(const DepthwiseSumsCall& call, std::size_t first, std::size_t tap, Part part) noexcept {
    Type sums[kCount];
    std::size_t offsets[kCount];
#pragma GCC unroll 9
    for (std::size_t i = 0; i < kCount; ++i) {
      sums[i] = V::load_part(call.sums + (tap + i) * call.channels + first, part);
      offsets[i] = (tap + i) / call.kernel_columns * call.u_line + (tap + i) % call.kernel_columns * call.channels;
    }
    for (std::size_t n = 0; n < call.images; ++n) {
      for (std::size_t row = 0; row < call.rows; ++row) {
        const float* u = call.u + n * call.u_image + row * call.u_row + first;
        const float* v = call.v + n * call.v_image + row * call.v_row + first;
        for (std::size_t column = 0; column < call.columns; ++column, u += call.u_column, v += call.channels) {
          const Type factor = V::load_part(v, part);
#pragma GCC unroll 9
          for (std::size_t i = 0; i < kCount; ++i) {
            sums[i] = V::multiply_add(V::load_part(u + offsets[i], part), factor, sums[i]);
          }
        }
      }
    }
#pragma GCC unroll 9
    for (std::size_t i = 0; i < kCount; ++i) V::store_part(call.sums + (tap + i) * call.channels + first, sums[i], part);
  }
};

}  // namespace
}  // namespace tritforge

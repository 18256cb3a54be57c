// Tiles of convolutions and of their weight gradients, on vectors of any width; included by the folder of each instruction set.
//
// A vector lies along channels, a number of the other operand is broadcast, and all sums of a tile stay in registers: with 32 registers
// 14 pixels × 2 vectors, or 8 rows × 3 vectors of weight gradients. Pixels are apart by a distance that is not known when this is
// compiled, so that addresses are taken from every third: the processor adds one or two distances by itself.
#pragma once

#include "training/training_kernels.h"

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

template <typename V, std::size_t kPixels, std::size_t kVectors, std::size_t kLines = 1>
struct Tile {
  static constexpr std::size_t kAll = kPixels * kLines;
  static constexpr std::size_t kGroups = (kPixels + 2) / 3;  // of a line
  static constexpr std::size_t kWidth = V::kLanes * kVectors;
  static constexpr std::size_t kCacheLine = 64 / sizeof(float);

  static void run(const TileCall& call) noexcept {
    typename V::Type sums[kAll][kVectors];
    start(call, sums);
    // Kernels of several rows find what the next tile reads in the cache.
    if (call.rows == 1 && kVectors > 1) add_products<true>(call, sums);
    else add_products<false>(call, sums);
    const auto last = V::part(call.outputs - (kVectors - 1) * V::kLanes);
#pragma GCC unroll 16
    for (std::size_t p = 0; p < kAll; ++p) {
      float* const y = call.y + offset(call, p);
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) {
        float* const to = y + v * V::kLanes;
        if (call.streams) V::stream(to, sums[p][v]);
        else if (v + 1 < kVectors) V::store(to, sums[p][v]);
        else V::store_part(to, sums[p][v], last);
      }
    }
  }

 private:
  static TRITFORGE_INLINE std::size_t offset(const TileCall& call, std::size_t p) noexcept {
    return p / kPixels * call.y_line + p % kPixels * call.y_step;
  }

  // @tparam kFetches what the next tile reads, which follows no pattern that the processor sees
  template <bool kFetches>
  static TRITFORGE_INLINE void add_products(const TileCall& call, typename V::Type (&sums)[kAll][kVectors]) noexcept {
    const float* w = call.w;
    const std::size_t step = call.x_step;
    for (std::size_t r = 0; r < call.rows; ++r) {
      const float* base[kLines * kGroups];
#pragma GCC unroll 8
      for (std::size_t i = 0; i < kLines * kGroups; ++i) {
        base[i] = call.x + i / kGroups * call.x_line + r * call.x_row + 3 * (i % kGroups) * step;
      }
      const float* next = call.x + kPixels * step;
      for (std::size_t k = 0; k < call.length; ++k, w += kWidth, next += kCacheLine) {
        if constexpr (kFetches) __builtin_prefetch(next);
        typename V::Type weights[kVectors];
#pragma GCC unroll 4
        for (std::size_t v = 0; v < kVectors; ++v) weights[v] = V::load(w + v * V::kLanes);
#pragma GCC unroll 16
        for (std::size_t p = 0; p < kAll; ++p) {
          const std::size_t at = p % kPixels;
          const typename V::Type value = V::broadcast(base[p / kPixels * kGroups + at / 3] + (at % 3) * step);
#pragma GCC unroll 4
          for (std::size_t v = 0; v < kVectors; ++v) sums[p][v] = V::multiply_add(value, weights[v], sums[p][v]);
        }
#pragma GCC unroll 8
        for (std::size_t i = 0; i < kLines * kGroups; ++i) ++base[i];
      }
    }
  }

  static TRITFORGE_INLINE void start(const TileCall& call, typename V::Type (&sums)[kAll][kVectors]) noexcept {
    const auto last = V::part(call.outputs - (kVectors - 1) * V::kLanes);
    const auto read = [&](const float* from, std::size_t v) {
      return v + 1 < kVectors ? V::load(from + v * V::kLanes) : V::load_part(from + v * V::kLanes, last);
    };
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      const typename V::Type bias = call.bias == nullptr ? V::zero() : read(call.bias, v);
#pragma GCC unroll 16
      for (std::size_t p = 0; p < kAll; ++p) sums[p][v] = bias;
    }
    if (call.added == nullptr) return;
#pragma GCC unroll 16
    for (std::size_t p = 0; p < kAll; ++p) {
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) sums[p][v] = V::add(sums[p][v], read(call.added + offset(call, p), v));
    }
  }
};

template <typename V, std::size_t kRows, std::size_t kVectors>
struct Sums {
  static constexpr std::size_t kWidth = V::kLanes * kVectors;

  static void run(const SumsCall& call) noexcept {
    typename V::Type sums[kRows][kVectors];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) {
        sums[i][v] = call.begins ? V::zero() : V::load(call.sums + i * kWidth + v * V::kLanes);
      }
    }
    const auto last = V::part(call.width - (kVectors - 1) * V::kLanes);
    const std::size_t u_column = call.u_column, v_column = call.v_column;
    for (std::size_t n = 0; n < call.images; ++n) {
      for (std::size_t row = 0; row < call.rows; ++row) {
        const float* u = call.u + n * call.u_image + row * call.u_row;
        const float* v = call.v + n * call.v_image + row * call.v_row;
        for (std::size_t column = 0; column < call.columns; ++column, u += u_column, v += v_column) {
          typename V::Type values[kVectors];
#pragma GCC unroll 4
          for (std::size_t i = 0; i + 1 < kVectors; ++i) values[i] = V::load(u + i * V::kLanes);
          values[kVectors - 1] = V::load_part(u + (kVectors - 1) * V::kLanes, last);
#pragma GCC unroll 8
          for (std::size_t i = 0; i < kRows; ++i) {
            const typename V::Type factor = V::broadcast(v + i);
#pragma GCC unroll 4
            for (std::size_t j = 0; j < kVectors; ++j) sums[i][j] = V::multiply_add(factor, values[j], sums[i][j]);
          }
        }
      }
    }
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) V::store(call.sums + i * kWidth + v * V::kLanes, sums[i][v]);
    }
  }
};

}  // namespace
}  // namespace tritforge

// The tile of a float64 product, on vectors of any width; included by the folder of each instruction set.
//
// kRows × kVectors sums stay in registers. A step over p loads kVectors vectors of B, broadcasts kRows values of A, and multiplies and
// adds each pair: not fused, so that vectors of all widths and plain JavaScript round alike. Where multiplications and additions have
// ports of their own that costs nothing.
#pragma once

#include <cstddef>
#include <cstring>

namespace tritforge {
namespace {

template <std::size_t kBytes>
struct VectorOf {
  typedef double type __attribute__((vector_size(kBytes)));
};

template <std::size_t kBytes, std::size_t kRows, std::size_t kVectors>
struct ProductTile {
  using Vector = typename VectorOf<kBytes>::type;
  static constexpr std::size_t kLanes = kBytes / sizeof(double);
  static constexpr std::size_t kColumns = kLanes * kVectors;

  static void subtract(const double* panels_a, const double* panels_b, std::size_t rows, std::size_t columns,
                       std::size_t depth, double* c, std::size_t c_stride) noexcept {
    for (std::size_t j = 0; j < columns; j += kColumns) {
      const std::size_t wide = columns - j < kColumns ? columns - j : kColumns;
      for (std::size_t i = 0; i < rows; i += kRows) {
        const std::size_t high = rows - i < kRows ? rows - i : kRows;
        Vector sums[kRows][kVectors] = {};
        multiply(panels_a + i * depth, panels_b + j * depth, depth, sums);
        double* const to = c + i * c_stride + j;
        if (high == kRows && wide == kColumns) store(sums, to, c_stride);
        else store_part(sums, high, wide, to, c_stride);
      }
    }
  }

 private:
  static inline __attribute__((always_inline)) void multiply(const double* a, const double* b, std::size_t depth,
                                                             Vector (&sums)[kRows][kVectors]) noexcept {
    for (std::size_t p = 0; p < depth; ++p, a += kRows, b += kColumns) {
      Vector right[kVectors];
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v) std::memcpy(&right[v], b + v * kLanes, sizeof right[v]);
#pragma GCC unroll 8
      for (std::size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
        for (std::size_t v = 0; v < kVectors; ++v) sums[i][v] += right[v] * a[i];
      }
    }
  }

  static inline __attribute__((always_inline)) void store(const Vector (&sums)[kRows][kVectors], double* c,
                                                          std::size_t c_stride) noexcept {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v) {
        double* const to = c + i * c_stride + v * kLanes;
        Vector value;
        std::memcpy(&value, to, sizeof value);
        value -= sums[i][v];
        std::memcpy(to, &value, sizeof value);
      }
    }
  }

  // Out of line, so that the sums of whole tiles need no memory.
  static __attribute__((noinline)) void store_part(const Vector (&sums)[kRows][kVectors], std::size_t rows,
                                                   std::size_t columns, double* c, std::size_t c_stride) noexcept {
    double values[kRows][kColumns];
    std::memcpy(values, sums, sizeof values);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < columns; ++j) c[i * c_stride + j] -= values[i][j];
    }
  }
};

}  // namespace
}  // namespace tritforge

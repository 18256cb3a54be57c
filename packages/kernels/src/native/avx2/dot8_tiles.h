// Tiles of u8 × s8 dot products with registers of 32 bytes: one strip of 16 outputs in two registers, and as many rows as leave room
// for the operands. What is particular to an instruction set is a class Dot with
//
//   kRows                                  the highest tile
//   multiply(sums, x, k, w)                sums[row][half] += Σ_4 x[row][k…k+3] · w[8 outputs][4]
//
// g++ 12 keeps the tile in registers only with the unroll pragmas.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "avx2/output_stage.h"
#include "convolution/dot_block.h"

namespace tritforge {
namespace {
namespace avx2 {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::size_t kDot8VectorBytes = 64;

TRITFORGE_INLINE __m256i broadcast_dword(const std::uint8_t* x) {
  std::int32_t dword;
  std::memcpy(&dword, x, sizeof dword);
  return _mm256_set1_epi32(dword);
}

template <std::size_t kRows>
TRITFORGE_INLINE void load_start(const DotBlock& b, std::size_t first, __m256i (&sums)[kRows][2]) {
  const std::int32_t* from = b.start != nullptr ? b.start : b.partial + first * kStripOutputs;
  const std::size_t step = b.start != nullptr ? 0 : kStripOutputs;
#pragma GCC unroll 16
  for (std::size_t m = 0; m < kRows; ++m, from += step) {
    sums[m][0] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    sums[m][1] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + kVectorOutputs));
  }
}

template <std::size_t kRows>
TRITFORGE_INLINE void store_partial(const DotBlock& b, std::size_t first, const __m256i (&sums)[kRows][2]) {
  std::int32_t* to = b.partial + first * kStripOutputs;
#pragma GCC unroll 16
  for (std::size_t m = 0; m < kRows; ++m, to += kStripOutputs) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), sums[m][0]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(to + kVectorOutputs), sums[m][1]);
  }
}

template <class Dot, std::size_t kRows>
TRITFORGE_INLINE void multiply(const DotBlock& b, std::size_t first, __m256i (&sums)[kRows][2]) {
  for (const DotTap* tap = b.taps; tap != b.taps + b.tap_count; ++tap) {
    const std::uint8_t* x[kRows];
    const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(b.row_offset) + tap->bytes;
#pragma GCC unroll 16
    for (std::size_t m = 0; m < kRows; ++m) x[m] = b.rows[first + m] + offset;
    const std::uint8_t* w = b.weights + tap->dwords * kDot8VectorBytes;
    for (std::size_t k = 0, end = 4 * b.tap_dwords; k < end; k += 4, w += kDot8VectorBytes) {
      asm("" : "+r"(k));  // an index for all rows: g++ 12 would count up every pointer
      Dot::multiply(sums, x, k, w);
    }
  }
}

template <class Dot, std::size_t kRows>
void tiles(const DotBlock& b, std::size_t first, std::size_t count) noexcept {
  for (const std::size_t end = first + count * kRows; first != end; first += kRows) {
    __m256i sums[kRows][2];
    load_start(b, first, sums);
    multiply<Dot>(b, first, sums);
    if (b.finishes) {
      store_tile(sums, advance(b.out, first, 0));
    } else {
      store_partial(b, first, sums);
    }
  }
}

// Tiles of `rows` ≤ kRows rows each.
template <class Dot, std::size_t kRows = Dot::kRows>
void run_tiles(const DotBlock& b, std::size_t rows, std::size_t first, std::size_t count) noexcept {
  if (rows == kRows) return tiles<Dot, kRows>(b, first, count);
  if constexpr (kRows > 1) run_tiles<Dot, kRows - 1>(b, rows, first, count);
}

// The rows of a block in tiles of nearly the same height.
template <class Dot>
void run_dot8(const DotBlock& b) noexcept {
  const std::size_t count = (b.row_count + Dot::kRows - 1) / Dot::kRows;
  const std::size_t rows = b.row_count / count, longer = b.row_count % count;
  if (longer > 0) run_tiles<Dot>(b, rows + 1, 0, longer);
  run_tiles<Dot>(b, rows, longer * (rows + 1), count - longer);
}

}  // namespace avx2
}  // namespace
}  // namespace tritforge

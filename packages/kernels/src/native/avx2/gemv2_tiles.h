// Few rows of int8 activations against 2-bit weights on 256-bit registers, for AVX2 and AVX-VNNI, which differ in how
// they multiply bytes: their `Dot`. Payload, streams and corrections: layouts/gemv2.h.
//
// 8 outputs are a register, two make a block. Streams are taken in pairs, 0 and 1, then 2 and 3 after a shift by four
// bits, so that only two masks are needed and the sums of the second stream of a pair are four times too large:
//
//   acc[s] = start + Σ_steps Σ_4 (byte >> (4·pair) & 3·4^s)·x         s = 0, 1
//
// The first cache holds a quad from the first pair to the second.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "gemv/gemv_kernels.h"

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::size_t kVector = kGemvVectorBytes, kHalf = 32, kHalfOutputs = 8;
// How far ahead of use weights are fetched, in bytes.
constexpr std::size_t kPrefetch = 4096;

TRITFORGE_INLINE __m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

TRITFORGE_INLINE __m256i broadcast(const void* p) {
  std::int32_t dword;
  std::memcpy(&dword, p, sizeof dword);
  return _mm256_set1_epi32(dword);
}

// The same value, of which the compiler does not know so: sums that start alike would get one register, and copies in
// the loop.
TRITFORGE_INLINE __m256i own_register(__m256i value) {
  __asm__("" : "+x"(value));
  return value;
}

// A pair of streams for some rows and neighbouring halves of blocks, from half `first` on. `w`, `x` and `corrections`
// are those of the quad and of the first row.
template <typename Dot, int Pair, int Rows, int Halves>
TRITFORGE_INLINE void add_pair(const GemvTile& t, std::size_t steps, std::size_t step_bytes, std::size_t first,
                               const std::uint8_t* w, const std::uint8_t* x, const std::int32_t* corrections) {
  const __m256i masks[2] = {_mm256_set1_epi8(3), _mm256_set1_epi8(12)};
  __m256i acc[Rows][Halves][2];
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
    for (int s = 0; s < 2; ++s) {
      const __m256i start = broadcast(corrections + m * t.correction_stride + 2 * Pair + s);
#pragma GCC unroll 16
      for (int n = 0; n < Halves; ++n) acc[m][n][s] = own_register(start);
    }
  }
  const std::uint8_t* bits = w + first * kHalf;
  x += 2 * Pair * 4 * steps;
  std::size_t step = 0;
  do {
#pragma GCC unroll 16
    for (int n = 0; n < Halves; ++n) {
      const __m256i loaded = load(bits + n * kHalf);
      const __m256i pair = Pair == 0 ? loaded : _mm256_srli_epi16(loaded, 4);
      if (n % 2 == Pair) _mm_prefetch(reinterpret_cast<const char*>(bits + n * kHalf + kPrefetch), _MM_HINT_T0);
#pragma GCC unroll 16
      for (int s = 0; s < 2; ++s) {
        const __m256i weights = _mm256_and_si256(pair, masks[s]);
#pragma GCC unroll 16
        for (int m = 0; m < Rows; ++m) {
          Dot::add_products(acc[m][n][s], weights, broadcast(x + m * t.row_stride + 4 * (s * steps + step)));
        }
      }
    }
    bits += step_bytes;
  } while (++step < steps);
#pragma GCC unroll 16
  for (int n = 0; n < Halves; ++n) {
    const __m256i codes = load(bits + n * kHalf);
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
      auto* const sum = reinterpret_cast<__m256i*>(t.sums + m * t.sums_stride + (first + n) * kHalfOutputs);
      _mm256_storeu_si256(sum,
                          Dot::template add_pair<Pair>(_mm256_loadu_si256(sum), acc[m][n][0], acc[m][n][1], codes));
    }
  }
}

// As many halves at once as the sums of all rows have registers for: 8 sums.
template <typename Dot, int Rows, int Blocks>
TRITFORGE_INLINE void add_quad(const GemvTile& t, std::size_t steps, const std::uint8_t* w, const std::uint8_t* x,
                               const std::int32_t* corrections) {
  constexpr int kAtOnce = 4 / Rows;
  constexpr int kHalves = 2 * Blocks, kWhole = kHalves / kAtOnce * kAtOnce;
  const std::size_t step_bytes = Blocks * kVector;
#pragma GCC unroll 16
  for (int first = 0; first < kWhole; first += kAtOnce) {
    add_pair<Dot, 0, Rows, kAtOnce>(t, steps, step_bytes, first, w, x, corrections);
    add_pair<Dot, 1, Rows, kAtOnce>(t, steps, step_bytes, first, w, x, corrections);
  }
  if constexpr (kWhole < kHalves) {
    add_pair<Dot, 0, Rows, kHalves - kWhole>(t, steps, step_bytes, kWhole, w, x, corrections);
    add_pair<Dot, 1, Rows, kHalves - kWhole>(t, steps, step_bytes, kWhole, w, x, corrections);
  }
}

template <typename Dot, int Rows, int Blocks>
void tile(const GemvTile& t) noexcept {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) std::memset(t.sums + m * t.sums_stride, 0, Blocks * kGemvBlock * sizeof(std::int32_t));
  const std::uint8_t *w = t.panel, *x = t.rows;
  const std::int32_t* corrections = t.corrections;
  const GemvRun runs[] = {t.main, t.tail};
  for (const GemvRun& run : runs) {
    for (std::size_t quad = 0; quad < run.quads; ++quad) {
      add_quad<Dot, Rows, Blocks>(t, run.steps, w, x, corrections);
      w += (run.steps + 1) * Blocks * kVector;
      x += 4 * kGemvStreams * run.steps;
      corrections += kGemvStreams;
    }
  }
}

template <typename Dot>
constexpr GemvMethod kBiased{2,
                             false,
                             {{tile<Dot, 1, 1>, tile<Dot, 1, 2>, tile<Dot, 1, 3>, tile<Dot, 1, 4>},
                              {tile<Dot, 2, 1>, tile<Dot, 2, 2>, tile<Dot, 2, 3>, tile<Dot, 2, 4>}}};

// Words w of each dword: the group code of stream Stream in both.
template <int Stream>
TRITFORGE_INLINE __m256i code_words(__m256i codes) {
  constexpr char s = Stream;
  return _mm256_shuffle_epi8(codes,
                             _mm256_broadcastsi128_si256(_mm_setr_epi8(s, -1, s, -1, 4 + s, -1, 4 + s, -1,  //
                                                                       8 + s, -1, 8 + s, -1, 12 + s, -1, 12 + s, -1)));
}

#undef TRITFORGE_INLINE

}  // namespace
}  // namespace tritforge

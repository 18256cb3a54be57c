// What comes before and after the products of few rows, on 256-bit registers, for AVX2 and AVX-VNNI. Formulas:
// tritforge/gemv.h, gemv/gemv_kernels.h.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "avx2/output_stage.h"
#include "gemv/gemv_kernels.h"

namespace tritforge {
namespace {

constexpr std::size_t kLanes = 8;

inline __m256i lanes_below(std::size_t count) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count < kLanes ? static_cast<int>(count) : static_cast<int>(kLanes)),
                            lanes);
}

// Σ x of bytes 0 and 1 of a stream's dwords in the lower word, of bytes 2 and 3 in the upper one. At most 16 dwords.
inline __m128i sum_pairs(const std::int8_t* x, std::size_t dwords) {
  const __m128i ones = _mm_set1_epi8(1);
  __m128i sums = _mm_setzero_si128();
  std::size_t i = 0;
  for (; i + 4 <= dwords; i += 4) {
    sums = _mm_add_epi16(sums, _mm_maddubs_epi16(ones, _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + 4 * i))));
  }
  for (; i < dwords; ++i) {
    std::int32_t dword;
    std::memcpy(&dword, x + 4 * i, sizeof dword);
    sums = _mm_add_epi16(sums, _mm_maddubs_epi16(ones, _mm_cvtsi32_si128(dword)));
  }
  sums = _mm_add_epi16(sums, _mm_shuffle_epi32(sums, 0x4e));
  return _mm_add_epi16(sums, _mm_shuffle_epi32(sums, 0xb1));
}

// The largest |x| as bits: they are in the order of the values, infinities and NaNs above all.
inline std::uint32_t largest_magnitude(const float* x, std::size_t depth) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i largest[2] = {};
  std::size_t k = 0;
  for (; k + 2 * kLanes <= depth; k += 2 * kLanes) {
    for (std::size_t i = 0; i < 2; ++i) {
      const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + k + i * kLanes));
      largest[i] = _mm256_max_epu32(largest[i], _mm256_and_si256(magnitude, bits));
    }
  }
  for (; k < depth; k += kLanes) {
    const __m256i bits = _mm256_maskload_epi32(reinterpret_cast<const int*>(x + k), lanes_below(depth - k));
    largest[0] = _mm256_max_epu32(largest[0], _mm256_and_si256(magnitude, bits));
  }
  const __m256i both = _mm256_max_epu32(largest[0], largest[1]);
  __m128i one = _mm_max_epu32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
  one = _mm_max_epu32(one, _mm_shuffle_epi32(one, 0x4e));
  one = _mm_max_epu32(one, _mm_shuffle_epi32(one, 0xb1));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(one));
}

// 8 codes in the lower half.
inline __m128i quantize_8(__m256 x, __m256 divisor) {
  const __m256 limit = _mm256_set1_ps(127.0f), code = _mm256_div_ps(x, divisor);
  const __m256 clipped = _mm256_max_ps(_mm256_min_ps(code, limit), _mm256_sub_ps(_mm256_setzero_ps(), limit));
  const __m256i rounded = _mm256_cvtps_epi32(clipped);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
  return _mm_packs_epi16(words, words);
}

float quantize(const float* x, std::size_t depth, std::int8_t* q) noexcept {
  constexpr std::uint32_t kInfinity = 0x7f800000;
  const std::uint32_t bits = largest_magnitude(x, depth);
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  scale = bits >= kInfinity ? __builtin_nanf("") : scale / 127.0f;
  if (!(scale > 0.0f)) {
    std::memset(q, 0, depth);
    return scale;
  }
  const __m256 divisor = _mm256_set1_ps(scale);
  std::size_t k = 0;
  for (; k + kLanes <= depth; k += kLanes) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(q + k), quantize_8(_mm256_loadu_ps(x + k), divisor));
  }
  if (k < depth) {
    std::int8_t codes[16];
    const __m128i last = quantize_8(_mm256_maskload_ps(x + k, lanes_below(depth - k)), divisor);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), last);
    std::memcpy(q + k, codes, depth - k);
  }
  return scale;
}

// 8 sums from `first` on, completed. Of each array only the lanes in the mask are read.
inline __m256i complete(const std::int32_t* sums, const GemvCompletion& c, std::size_t first, __m256i mask) {
  __m256i sum = _mm256_maskload_epi32(sums + first, mask);
  if (c.offset != 0) {
    const __m256i columns = _mm256_maskload_epi32(c.column_sums + first, mask);
    sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(columns, _mm256_set1_epi32(c.offset)));
  }
  return c.bias == nullptr ? sum : _mm256_add_epi32(sum, _mm256_maskload_epi32(c.bias + first, mask));
}

void scale(const std::int32_t* sums, const GemvCompletion& completion, std::size_t count, float scale,
           const float* channel_scales, const float* bias, float* y) noexcept {
  for (std::size_t i = 0; i < count; i += kLanes) {
    const __m256i mask = lanes_below(count - i);
    const __m256 factor = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_maskload_ps(channel_scales + i, mask));
    __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(complete(sums, completion, i, mask)), factor);
    if (bias != nullptr) product = _mm256_add_ps(product, _mm256_maskload_ps(bias + i, mask));
    _mm256_maskstore_ps(y + i, mask, product);
  }
}

void store(const std::int32_t* sums, const GemvCompletion& completion, const OutputTile& tile) noexcept {
  __m256i vectors[1][kGemvPanel / kLanes];
  for (std::size_t n = 0; n < kGemvPanel / kLanes; ++n) {
    const std::size_t first = n * kLanes;
    vectors[0][n] = complete(sums, completion, first, lanes_below(tile.channels > first ? tile.channels - first : 0));
  }
  avx2::store_tile(vectors, tile);
}

}  // namespace
}  // namespace tritforge

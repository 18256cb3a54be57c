// The end of AVX2 microkernels: a tile of int32 sums, kRows × (kVectors × 8 channels) in registers, becomes outputs. Formulas and the
// reason for leaving the lower clamp to the packs: avx512/output_stage.h.
//
//   packs_epi32(v0, v1)     lane 0: v0[0…3] v1[0…3]   lane 1: v0[4…7] v1[4…7]
//   permute4x64(0, 2, 1, 3)         v0[0…3] v0[4…7]           v1[0…3] v1[4…7]     then packus of the two lanes
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "convolution/output_tile.h"

namespace tritforge {
namespace {
namespace avx2 {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::size_t kVectorOutputs = 8, kStripOutputs = 16;

// All ones in the first `count` of 8 lanes.
TRITFORGE_INLINE __m256i first_of_8(std::size_t count) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count < 8 ? static_cast<int>(count) : 8), lanes);
}

TRITFORGE_INLINE std::size_t channels_from(const OutputTile& out, std::size_t first) {
  return out.channels > first ? out.channels - first : 0;
}

TRITFORGE_INLINE __m128i pack_strip(__m256i v0, __m256i v1, int zero_point, std::uint8_t max_code) {
  const __m256i words = _mm256_adds_epi16(_mm256_packs_epi32(v0, v1), _mm256_set1_epi16(static_cast<short>(zero_point)));
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
  const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  return _mm_min_epu8(bytes, _mm_set1_epi8(static_cast<char>(max_code)));
}

TRITFORGE_INLINE void store_bytes(std::uint8_t* y, __m128i bytes, std::size_t channels) {
  if (channels >= kStripOutputs) return _mm_storeu_si128(reinterpret_cast<__m128i*>(y), bytes);
  std::uint8_t whole[kStripOutputs];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(whole), bytes);
  std::memcpy(y, whole, channels);
}

TRITFORGE_INLINE __m128i load_bytes(const std::uint8_t* r, std::size_t channels) {
  if (channels >= kStripOutputs) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(r));
  std::uint8_t whole[kStripOutputs] = {};
  std::memcpy(whole, r, channels);
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(whole));
}

TRITFORGE_INLINE __m256 scaled(__m256i sums, const float* multiplier) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_loadu_ps(multiplier));
}

// 8 sums as they are or multiplied.
TRITFORGE_INLINE void store_32(__m256i sums, const OutputTile& out, std::size_t element, std::size_t first) {
  const std::size_t channels = channels_from(out, first);
  auto* const y = static_cast<std::int32_t*>(out.output) + element + first;
  const __m256i v = out.stage->kind == OutputKind::s32 ? sums : _mm256_castps_si256(scaled(sums, out.multiplier + first));
  if (channels >= kVectorOutputs) return _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), v);
  _mm256_maskstore_epi32(reinterpret_cast<int*>(y), first_of_8(channels), v);
}

TRITFORGE_INLINE void store_u8(__m256i low, __m256i high, const OutputTile& out, std::size_t element, std::size_t first) {
  const __m256 highest = _mm256_set1_ps(out.stage->highest);
  const __m256i v0 = _mm256_cvtps_epi32(_mm256_min_ps(highest, scaled(low, out.multiplier + first)));
  const __m256i v1 = _mm256_cvtps_epi32(_mm256_min_ps(highest, scaled(high, out.multiplier + first + kVectorOutputs)));
  store_bytes(static_cast<std::uint8_t*>(out.output) + element + first,
              pack_strip(v0, v1, out.stage->zero_point, out.stage->max_code), channels_from(out, first));
}

TRITFORGE_INLINE __m256i sum_with_residual(__m256i sums, const float* multiplier, __m128i residual, const PreparedStage& stage) {
  const __m256 lowest = _mm256_set1_ps(stage.lowest), highest = _mm256_set1_ps(stage.highest);
  const __m256 clamped = _mm256_min_ps(_mm256_max_ps(scaled(sums, multiplier), lowest), highest);
  const __m256 code = _mm256_sub_ps(_mm256_round_ps(clamped, _MM_FROUND_CUR_DIRECTION), lowest);
  const __m256 other = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(residual)), _mm256_set1_ps(stage.add.b_ratio),
                                       _mm256_set1_ps(stage.add.offset));
  return _mm256_cvtps_epi32(_mm256_fmadd_ps(code, _mm256_set1_ps(stage.add.a_ratio), other));
}

TRITFORGE_INLINE void store_u8_sum(__m256i low, __m256i high, const OutputTile& out, std::size_t element, std::size_t first) {
  const std::size_t channels = channels_from(out, first);
  const __m128i residual = load_bytes(out.residual + element + first, channels);
  const __m256i v0 = sum_with_residual(low, out.multiplier + first, residual, *out.stage);
  const __m256i v1 =
      sum_with_residual(high, out.multiplier + first + kVectorOutputs, _mm_srli_si128(residual, 8), *out.stage);
  store_bytes(static_cast<std::uint8_t*>(out.output) + element + first, pack_strip(v0, v1, 0, out.stage->max_code), channels);
}

// Writes a tile of whole strips. `out` begins at its first row and channel; rows all exist, channels may be fewer.
template <std::size_t kRows, std::size_t kVectors>
TRITFORGE_INLINE void store_tile(const __m256i (&sums)[kRows][kVectors], const OutputTile& out) {
  static_assert(kVectors % 2 == 0);
#pragma GCC unroll 16
  for (std::size_t m = 0; m < kRows; ++m) {
    const std::size_t element = row_elements(out, m);
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; v += 2) {
      const std::size_t first = v * kVectorOutputs;
      if (channels_from(out, first) == 0) break;
      if (out.stage->kind != OutputKind::u8) {
        store_32(sums[m][v], out, element, first);
        if (channels_from(out, first + kVectorOutputs) > 0) store_32(sums[m][v + 1], out, element, first + kVectorOutputs);
      } else if (out.stage->adds) {
        store_u8_sum(sums[m][v], sums[m][v + 1], out, element, first);
      } else {
        store_u8(sums[m][v], sums[m][v + 1], out, element, first);
      }
    }
  }
}

#undef TRITFORGE_INLINE

}  // namespace avx2
}  // namespace
}  // namespace tritforge

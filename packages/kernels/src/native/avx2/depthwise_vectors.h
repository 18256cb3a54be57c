// Depthwise convolution on ymm registers, 32 channels at once; steps, planes and names: convolution/depthwise_block.h. With AVX-VNNI
// dwords of bytes are multiplied as they are; without it bytes become 16-bit numbers in twice as many planes, because the sums of
// vpmaddubsw saturate.
#pragma once

#include <immintrin.h>

#include "convolution/depthwise_tiles.h"

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

struct Avx2Vectors {
  static constexpr std::size_t kVector = 32, kMostVectors = 2;
  using Int = __m256i;
  using Float = __m256;

  static TRITFORGE_INLINE Int load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static TRITFORGE_INLINE void store(void* p, Int v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
  static TRITFORGE_INLINE Float load_floats(const float* p) { return _mm256_load_ps(p); }
  static TRITFORGE_INLINE Int product_bits(Int sums, Float multiplier) {
    return _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), multiplier));
  }

  // The dwords of plane v in dwords[v].
  static TRITFORGE_INLINE void interleave_dwords(Int a, Int b, Int c, Int d, Int (&dwords)[4]) {
    const Int ab_low = _mm256_unpacklo_epi8(a, b), ab_high = _mm256_unpackhi_epi8(a, b);
    const Int cd_low = _mm256_unpacklo_epi8(c, d), cd_high = _mm256_unpackhi_epi8(c, d);
    dwords[0] = _mm256_unpacklo_epi16(ab_low, cd_low);
    dwords[1] = _mm256_unpackhi_epi16(ab_low, cd_low);
    dwords[2] = _mm256_unpacklo_epi16(ab_high, cd_high);
    dwords[3] = _mm256_unpackhi_epi16(ab_high, cd_high);
  }

  static TRITFORGE_INLINE Int gather(const std::uint8_t* from, std::size_t step, std::size_t count, const DepthwiseBlock& b) {
    const std::size_t columns = b.width == kVector || count < 2 ? 1 : 2;
    if (b.channels == 16) {
      const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
      if (columns == 1) return _mm256_zextsi128_si256(low);
      return _mm256_inserti128_si256(_mm256_castsi128_si256(low), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + step)), 1);
    }
    alignas(32) std::uint8_t bytes[kVector] = {};
    for (std::size_t i = 0; i < columns; ++i) std::memcpy(bytes + i * b.width, from + i * step, b.channels);
    return load(bytes);
  }

  template <bool kWhole>
  static TRITFORGE_INLINE void store_bytes(std::uint8_t* y, Int codes, std::size_t step, std::size_t pixels, const DepthwiseBlock& b) {
    if constexpr (kWhole) return store(y, codes);
    alignas(32) std::uint8_t bytes[kVector];
    store(bytes, codes);
    for (std::size_t i = 0; i < pixels; ++i) std::memcpy(y + i * step, bytes + i * b.width, b.channels);
  }

  // As avx2/output_stage.h has them. Vectors of planes pack to bytes in the order of channels.
  struct Codes {
    Float highest;
    Int zero_point, max_code;
    explicit TRITFORGE_INLINE Codes(const PreparedStage& stage)
        : highest(_mm256_set1_ps(stage.highest)),
          zero_point(_mm256_set1_epi16(stage.zero_point)),
          max_code(_mm256_set1_epi8(static_cast<char>(stage.max_code))) {}
    TRITFORGE_INLINE Int scale(Int sums, Float multiplier) const {
      return _mm256_cvtps_epi32(_mm256_min_ps(highest, _mm256_mul_ps(_mm256_cvtepi32_ps(sums), multiplier)));
    }
    TRITFORGE_INLINE Int pack(const Int (&v)[4]) const {
      const Int low = _mm256_adds_epi16(_mm256_packs_epi32(v[0], v[1]), zero_point);
      const Int high = _mm256_adds_epi16(_mm256_packs_epi32(v[2], v[3]), zero_point);
      return _mm256_min_epu8(_mm256_packus_epi16(low, high), max_code);
    }
  };

  struct SumCodes {
    Float lowest, highest, a_ratio, b_ratio, offset;
    Int max_code;
    explicit TRITFORGE_INLINE SumCodes(const PreparedStage& stage)
        : lowest(_mm256_set1_ps(stage.lowest)),
          highest(_mm256_set1_ps(stage.highest)),
          a_ratio(_mm256_set1_ps(stage.add.a_ratio)),
          b_ratio(_mm256_set1_ps(stage.add.b_ratio)),
          offset(_mm256_set1_ps(stage.add.offset)),
          max_code(_mm256_set1_epi8(static_cast<char>(stage.max_code))) {}
    TRITFORGE_INLINE Int scale(Int sums, Float multiplier) const {
      const Float scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), multiplier);
      const Float clamped = _mm256_min_ps(_mm256_max_ps(scaled, lowest), highest);
      return _mm256_castps_si256(_mm256_sub_ps(_mm256_round_ps(clamped, _MM_FROUND_CUR_DIRECTION), lowest));
    }
    TRITFORGE_INLINE Int sum(Int code, Int residual) const {
      const Float other = _mm256_fmadd_ps(_mm256_cvtepi32_ps(residual), b_ratio, offset);
      return _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_castsi256_ps(code), a_ratio, other));
    }
    TRITFORGE_INLINE Int pack(const Int (&v)[4], Int residual) const {
      Int r[4];
      interleave_dwords(residual, _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), r);
      const Int first = _mm256_packs_epi32(sum(v[0], r[0]), sum(v[1], r[1]));
      const Int last = _mm256_packs_epi32(sum(v[2], r[2]), sum(v[3], r[3]));
      return _mm256_min_epu8(_mm256_packus_epi16(first, last), max_code);
    }
  };
};

#undef TRITFORGE_INLINE

}  // namespace
}  // namespace tritforge

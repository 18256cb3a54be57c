// Depthwise convolution by VNNI, 64 channels at once; steps, planes and names: convolution/depthwise_block.h.
#include <immintrin.h>

#include "convolution/depthwise_tiles.h"

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

TRITFORGE_INLINE __mmask64 first_of_64(std::size_t count) {
  return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
}

struct Avx512 {
  static constexpr std::size_t kVector = 64, kPlanes = 4, kMostVectors = 4;
  using Int = __m512i;
  using Float = __m512;

  static TRITFORGE_INLINE Int load(const void* p) { return _mm512_loadu_si512(p); }
  static TRITFORGE_INLINE void store(void* p, Int v) { _mm512_storeu_si512(p, v); }
  static TRITFORGE_INLINE Float load_floats(const float* p) { return _mm512_load_ps(p); }
  static TRITFORGE_INLINE Int multiply_add(Int sums, Int values, Int weights) { return _mm512_dpbusd_epi32(sums, values, weights); }
  static TRITFORGE_INLINE Int product_bits(Int sums, Float multiplier) {
    return _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), multiplier));
  }

  static TRITFORGE_INLINE void interleave(Int a, Int b, Int c, Int d, std::uint8_t* planes, std::size_t plane_bytes) {
    const Int ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
    const Int cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
    store(planes, _mm512_unpacklo_epi16(ab_low, cd_low));
    store(planes + plane_bytes, _mm512_unpackhi_epi16(ab_low, cd_low));
    store(planes + 2 * plane_bytes, _mm512_unpacklo_epi16(ab_high, cd_high));
    store(planes + 3 * plane_bytes, _mm512_unpackhi_epi16(ab_high, cd_high));
  }

  static TRITFORGE_INLINE Int gather(const std::uint8_t* from, std::size_t step, std::size_t count, const DepthwiseBlock& b) {
    const __mmask64 mask = first_of_64(b.channels);
    if (b.width == 64) return _mm512_maskz_loadu_epi8(mask, from);
    if (b.width == 32) {
      const __m256i low = _mm256_maskz_loadu_epi8(static_cast<__mmask32>(mask), from);
      if (count < 2) return _mm512_zextsi256_si512(low);
      return _mm512_inserti64x4(_mm512_castsi256_si512(low), _mm256_maskz_loadu_epi8(static_cast<__mmask32>(mask), from + step), 1);
    }
    const auto mask16 = static_cast<__mmask16>(mask);
    Int v = _mm512_zextsi128_si512(_mm_maskz_loadu_epi8(mask16, from));
    if (count > 1) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask16, from + step), 1);
    if (count > 2) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask16, from + 2 * step), 2);
    if (count > 3) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask16, from + 3 * step), 3);
    return v;
  }

  template <bool kWhole>
  static TRITFORGE_INLINE void store_bytes(std::uint8_t* y, Int bytes, std::size_t step, std::size_t pixels, const DepthwiseBlock& b) {
    if constexpr (kWhole) return store(y, bytes);
    for (std::size_t i = 0; i < pixels; ++i) {
      const __mmask64 mask = first_of_64(b.channels) << i * b.width;
      _mm512_mask_storeu_epi8(y + i * step - i * b.width, mask, bytes);
    }
  }

  // As avx512/output_stage.h has them. Vectors of planes pack to bytes in the order of channels.
  struct Codes {
    Float highest;
    Int zero_point, max_code;
    explicit TRITFORGE_INLINE Codes(const PreparedStage& stage)
        : highest(_mm512_set1_ps(stage.highest)),
          zero_point(_mm512_set1_epi16(stage.zero_point)),
          max_code(_mm512_set1_epi8(static_cast<char>(stage.max_code))) {}
    TRITFORGE_INLINE Int scale(Int sums, Float multiplier) const {
      return _mm512_cvtps_epi32(_mm512_min_ps(highest, _mm512_mul_ps(_mm512_cvtepi32_ps(sums), multiplier)));
    }
    TRITFORGE_INLINE Int pack(const Int (&v)[4]) const {
      const Int low = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), zero_point);
      const Int high = _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), zero_point);
      return _mm512_min_epu8(_mm512_packus_epi16(low, high), max_code);
    }
  };

  struct SumCodes {
    Float lowest, highest, a_ratio, b_ratio, offset;
    Int max_code;
    explicit TRITFORGE_INLINE SumCodes(const PreparedStage& stage)
        : lowest(_mm512_set1_ps(stage.lowest)),
          highest(_mm512_set1_ps(stage.highest)),
          a_ratio(_mm512_set1_ps(stage.add.a_ratio)),
          b_ratio(_mm512_set1_ps(stage.add.b_ratio)),
          offset(_mm512_set1_ps(stage.add.offset)),
          max_code(_mm512_set1_epi8(static_cast<char>(stage.max_code))) {}
    TRITFORGE_INLINE Int scale(Int sums, Float multiplier) const {
      const Float scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), multiplier);
      const Float clamped = _mm512_min_ps(_mm512_max_ps(scaled, lowest), highest);
      return _mm512_castps_si512(_mm512_sub_ps(_mm512_roundscale_ps(clamped, _MM_FROUND_CUR_DIRECTION), lowest));
    }
    TRITFORGE_INLINE Int sum(Int code, Int residual) const {
      const Float other = _mm512_fmadd_ps(_mm512_cvtepi32_ps(residual), b_ratio, offset);
      return _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_castsi512_ps(code), a_ratio, other));
    }
    TRITFORGE_INLINE Int pack(const Int (&v)[4], Int residual) const {
      const Int zero = _mm512_setzero_si512();
      const Int low = _mm512_unpacklo_epi8(residual, zero), high = _mm512_unpackhi_epi8(residual, zero);
      const Int first = _mm512_packs_epi32(sum(v[0], _mm512_unpacklo_epi16(low, zero)), sum(v[1], _mm512_unpackhi_epi16(low, zero)));
      const Int last = _mm512_packs_epi32(sum(v[2], _mm512_unpacklo_epi16(high, zero)), sum(v[3], _mm512_unpackhi_epi16(high, zero)));
      return _mm512_min_epu8(_mm512_packus_epi16(first, last), max_code);
    }
  };
};

#undef TRITFORGE_INLINE

}  // namespace

const DepthwiseMicrokernel kDepthwise__avx512{"u8_depthwise__avx512vnni", Isa::avx512, Avx512::kVector, Avx512::kPlanes, 0,
                                              depthwise::interleave<Avx512>, depthwise::multiply<Avx512>};

}  // namespace tritforge

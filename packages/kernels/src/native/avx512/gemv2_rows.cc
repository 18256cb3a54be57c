// What comes before and after the products of few rows, by AVX-512. Formulas: tritforge/gemv.h, gemv/gemv_kernels.h.
#include <immintrin.h>

#include <cstring>

#include "avx512/gemv2.h"
#include "avx512/output_stage.h"

namespace tritforge {
namespace {

constexpr std::uint32_t kInfinity = 0x7f800000;

inline __mmask16 first_lanes(std::size_t count) {
  return count >= 16 ? 0xffff : static_cast<__mmask16>((1u << count) - 1);
}

// Σ x of each stream times −4^s: a stream has at most 16 dwords.
void correct_run(const std::int8_t*& x, const GemvRun& run, std::int32_t*& corrections) {
  const __m512i ones = _mm512_set1_epi8(1);
  const __mmask16 dwords = first_lanes(run.steps);
  for (std::size_t stream = 0; stream < kGemvStreams * run.quads; ++stream, x += 4 * run.steps) {
    const __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, _mm512_maskz_loadu_epi32(dwords, x));
    *corrections++ = -(_mm512_reduce_add_epi32(sums) * (1 << 2 * (stream % kGemvStreams)));
  }
}

void correct(const std::int8_t* row, const GemvRun& main, const GemvRun& tail, std::int32_t* corrections) noexcept {
  correct_run(row, main, corrections);
  correct_run(row, tail, corrections);
}

// The largest |x| as bits: they are in the order of the values, infinities and NaNs above all.
std::uint32_t largest_magnitude(const float* x, std::size_t depth) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i largest[4] = {};
  std::size_t k = 0;
  for (; k + 64 <= depth; k += 64) {
#pragma GCC unroll 16
    for (int i = 0; i < 4; ++i) {
      largest[i] = _mm512_max_epu32(largest[i], _mm512_and_si512(magnitude, _mm512_loadu_si512(x + k + 16 * i)));
    }
  }
  for (; k < depth; k += 16) {
    const __m512i bits = _mm512_maskz_loadu_epi32(first_lanes(depth - k), x + k);
    largest[0] = _mm512_max_epu32(largest[0], _mm512_and_si512(magnitude, bits));
  }
  return _mm512_reduce_max_epu32(
      _mm512_max_epu32(_mm512_max_epu32(largest[0], largest[1]), _mm512_max_epu32(largest[2], largest[3])));
}

float quantize(const float* x, std::size_t depth, std::int8_t* q) noexcept {
  const std::uint32_t bits = largest_magnitude(x, depth);
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  scale = bits >= kInfinity ? __builtin_nanf("") : scale / 127.0f;
  if (!(scale > 0.0f)) {
    std::memset(q, 0, depth);
    return scale;
  }
  const __m512 divisor = _mm512_set1_ps(scale), highest = _mm512_set1_ps(127.0f), lowest = _mm512_set1_ps(-127.0f);
  const auto codes = [&](__m512 values) __attribute__((always_inline)) {
    const __m512 code = _mm512_div_ps(values, divisor);
    return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_max_ps(_mm512_min_ps(code, highest), lowest)));
  };
  std::size_t k = 0;
  for (; k + 16 <= depth; k += 16) _mm_storeu_si128(reinterpret_cast<__m128i*>(q + k), codes(_mm512_loadu_ps(x + k)));
  const __mmask16 rest = first_lanes(depth - k);
  _mm_mask_storeu_epi8(q + k, rest, codes(_mm512_maskz_loadu_ps(rest, x + k)));
  return scale;
}

// 16 sums, completed. Of each array only what is in the mask is read.
inline __m512i complete(const std::int32_t* sums, const GemvCompletion& c, std::size_t first, __mmask16 mask) {
  __m512i sum = _mm512_maskz_loadu_epi32(mask, sums + first);
  if (c.offset != 0) {
    const __m512i columns = _mm512_maskz_loadu_epi32(mask, c.column_sums + first);
    sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(columns, _mm512_set1_epi32(c.offset)));
  }
  return c.bias == nullptr ? sum : _mm512_add_epi32(sum, _mm512_maskz_loadu_epi32(mask, c.bias + first));
}

inline void scale_16(const std::int32_t* sums, const GemvCompletion& completion, std::size_t i, __mmask16 mask,
                     __m512 scale, const float* channel_scales, const float* bias, float* y) {
  const __m512 factor = _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(mask, channel_scales + i));
  __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(complete(sums, completion, i, mask)), factor);
  if (bias != nullptr) product = _mm512_add_ps(product, _mm512_maskz_loadu_ps(mask, bias + i));
  _mm512_mask_storeu_ps(y + i, mask, product);
}

void scale(const std::int32_t* sums, const GemvCompletion& completion, std::size_t count, float scale,
           const float* channel_scales, const float* bias, float* y) noexcept {
  const __m512 scales = _mm512_set1_ps(scale);
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) scale_16(sums, completion, i, 0xffff, scales, channel_scales, bias, y);
  if (i < count) scale_16(sums, completion, i, first_lanes(count - i), scales, channel_scales, bias, y);
}

void store(const std::int32_t* sums, const GemvCompletion& completion, const OutputTile& tile) noexcept {
  __m512i vectors[1][kGemvPanelBlocks];
#pragma GCC unroll 16
  for (std::size_t n = 0; n < kGemvPanelBlocks; ++n) {
    const std::size_t first = n * kGemvBlock;
    vectors[0][n] = complete(sums, completion, first, first_lanes(tile.channels > first ? tile.channels - first : 0));
  }
  avx512::store_tile(vectors, tile);
}

}  // namespace

const GemvKernels kGemvAvx512{
    "u8_gemv2__avx512", "f32_gemv2__avx512", gemv_method__avx512, correct, quantize, scale, store};

}  // namespace tritforge

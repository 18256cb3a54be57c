// The end of AVX-512 microkernels: a tile of int32 sums, Rows × (Strips × 16 channels) in registers, becomes outputs.
//
//   s32   sums as they are
//   f32   float(sum) · multiplier
//   u8    float(sum) · multiplier → at most 255 − zp → rounded half to even → + zp → saturated to 0…255 → at most max_code
//   add   the same, but kept as float between 0 and 255, then fma(y, ra, fma(r, rb, offset)) → rounded → saturated → max_code
//
// The lower clamp of requantize.h is left to the saturating packs: what is below −2^31 becomes −2^31 in the conversion. A NaN does
// too, as there; hence the order of the operands of min.
//
// Four vectors of 16 sums are packed to one of 64 bytes, whose dwords a permutation puts in order:
//
//   packs_epi32, packus_epi16     lane l: 4 bytes of strip 0, 4 of strip 1, 4 of strip 2, 4 of strip 3
//   permutexvar_epi32             dword 4·strip + lane  ←  dword 4·lane + strip
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "convolution/output_tile.h"

namespace tritforge {
namespace {
namespace avx512 {

constexpr int kStripOutputs = 16;

#define TRITFORGE_INLINE inline __attribute__((always_inline))

// The first `count` of 16.
TRITFORGE_INLINE __mmask16 first_of_16(std::ptrdiff_t count) {
  return count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
}

// Bytes in the order of channels from four vectors of int32, whose values saturate to `zero_point` + int16 and then to uint8.
TRITFORGE_INLINE __m512i pack_strips(const __m512i (&v)[4], __m512i zero_point, __m512i max_code) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), zero_point);
  const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), zero_point);
  return _mm512_permutexvar_epi32(order, _mm512_min_epu8(_mm512_packus_epi16(low, high), max_code));
}

// The first 16 · Strips bytes of a vector, or the first `channels` where there are fewer.
template <int Strips>
TRITFORGE_INLINE void store_bytes(std::uint8_t* y, __m512i bytes, std::size_t channels) {
  if (channels < Strips * kStripOutputs) {
    _mm512_mask_storeu_epi8(y, (std::uint64_t{1} << channels) - 1, bytes);
  } else if constexpr (Strips == 4) {
    _mm512_storeu_si512(y, bytes);
  } else {
    if constexpr (Strips > 1) _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), _mm512_castsi512_si256(bytes));
    if constexpr (Strips == 1) _mm_storeu_si128(reinterpret_cast<__m128i*>(y), _mm512_castsi512_si128(bytes));
    if constexpr (Strips == 3) _mm_storeu_si128(reinterpret_cast<__m128i*>(y + 32), _mm512_extracti32x4_epi32(bytes, 2));
  }
}

template <int Rows, int Strips>
TRITFORGE_INLINE void store_s32(const __m512i (&sums)[Rows][Strips], const OutputTile& out) {
  auto* y = static_cast<std::int32_t*>(out.output);
#pragma GCC unroll 16
  for (int n = 0; n < Strips; ++n) {
    const __mmask16 mask = first_of_16(static_cast<std::ptrdiff_t>(out.channels) - n * kStripOutputs);
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) _mm512_mask_storeu_epi32(y + m * out.row_stride + n * kStripOutputs, mask, sums[m][n]);
  }
}

template <int Rows, int Strips>
TRITFORGE_INLINE void store_f32(const __m512i (&sums)[Rows][Strips], const OutputTile& out) {
  auto* y = static_cast<float*>(out.output);
#pragma GCC unroll 16
  for (int n = 0; n < Strips; ++n) {
    const __mmask16 mask = first_of_16(static_cast<std::ptrdiff_t>(out.channels) - n * kStripOutputs);
    const __m512 multiplier = _mm512_loadu_ps(out.multiplier + n * kStripOutputs);
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
      _mm512_mask_storeu_ps(y + m * out.row_stride + n * kStripOutputs, mask,
                            _mm512_mul_ps(_mm512_cvtepi32_ps(sums[m][n]), multiplier));
    }
  }
}

template <int Rows, int Strips>
TRITFORGE_INLINE void store_u8(const __m512i (&sums)[Rows][Strips], const OutputTile& out) {
  auto* y = static_cast<std::uint8_t*>(out.output);
  const __m512 highest = _mm512_set1_ps(out.stage->highest);
  const __m512i zero_point = _mm512_set1_epi16(out.stage->zero_point);
  const __m512i max_code = _mm512_set1_epi8(static_cast<char>(out.stage->max_code));
  __m512 multiplier[Strips];
#pragma GCC unroll 16
  for (int n = 0; n < Strips; ++n) multiplier[n] = _mm512_loadu_ps(out.multiplier + n * kStripOutputs);
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
    __m512i v[4] = {};
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) {
      const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[m][n]), multiplier[n]);
      v[n] = _mm512_cvtps_epi32(_mm512_min_ps(highest, scaled));
    }
    store_bytes<Strips>(y + m * out.row_stride, pack_strips(v, zero_point, max_code), out.channels);
  }
}

// 16 bytes of the residual as float, without reading past `channels`.
TRITFORGE_INLINE __m512 load_residual(const std::uint8_t* r, std::ptrdiff_t channels) {
  const __m128i bytes = channels >= kStripOutputs ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(r))
                                                  : _mm_maskz_loadu_epi8(first_of_16(channels), r);
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

template <int Rows, int Strips>
TRITFORGE_INLINE void store_u8_sum(const __m512i (&sums)[Rows][Strips], const OutputTile& out) {
  auto* y = static_cast<std::uint8_t*>(out.output);
  const PreparedStage& stage = *out.stage;
  const __m512 lowest = _mm512_set1_ps(stage.lowest), highest = _mm512_set1_ps(stage.highest);
  const __m512 zero_point = _mm512_set1_ps(-stage.lowest), offset = _mm512_set1_ps(stage.add.offset);
  const __m512 a_ratio = _mm512_set1_ps(stage.add.a_ratio), b_ratio = _mm512_set1_ps(stage.add.b_ratio);
  const __m512i max_code = _mm512_set1_epi8(static_cast<char>(stage.max_code));
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
    __m512i v[4] = {};
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) {
      const __m512 scaled =
          _mm512_mul_ps(_mm512_cvtepi32_ps(sums[m][n]), _mm512_loadu_ps(out.multiplier + n * kStripOutputs));
      const __m512 clamped = _mm512_min_ps(_mm512_max_ps(scaled, lowest), highest);
      const __m512 code = _mm512_add_ps(_mm512_roundscale_ps(clamped, _MM_FROUND_CUR_DIRECTION), zero_point);
      const __m512 residual = load_residual(out.residual + m * out.row_stride + n * kStripOutputs,
                                            static_cast<std::ptrdiff_t>(out.channels) - n * kStripOutputs);
      v[n] = _mm512_cvtps_epi32(_mm512_fmadd_ps(code, a_ratio, _mm512_fmadd_ps(residual, b_ratio, offset)));
    }
    store_bytes<Strips>(y + m * out.row_stride, pack_strips(v, _mm512_setzero_si512(), max_code), out.channels);
  }
}

// Writes a tile. `out` begins at its first row and channel; rows all exist, channels may be fewer than 16 · Strips.
template <int Rows, int Strips>
TRITFORGE_INLINE void store_tile(const __m512i (&sums)[Rows][Strips], const OutputTile& out) {
  static_assert(Strips >= 1 && Strips <= 4);
  switch (out.stage->kind) {
    case OutputKind::s32: return store_s32(sums, out);
    case OutputKind::f32: return store_f32(sums, out);
    case OutputKind::u8: return out.stage->adds ? store_u8_sum(sums, out) : store_u8(sums, out);
  }
}

#undef TRITFORGE_INLINE

}  // namespace avx512
}  // namespace
}  // namespace tritforge

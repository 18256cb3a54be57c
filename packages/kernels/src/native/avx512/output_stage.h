// The end of AVX-512 microkernels: a tile of int32 sums, Rows × (Strips × 16 channels) in registers, becomes outputs.
//
//   s32   sums as they are
//   f32   float(sum) · multiplier
//   u8    float(sum) · multiplier → rounded half to even → + zp → saturated to 0…255 → at most max_code
//   add   the same, then float(y), fma(y, ra, fma(r, rb, offset)) → rounded → saturated → at most max_code
//
// Saturation is left to integers where no scaled sum can leave int32, the usual case (PreparedStage::bounded): the units for floats
// are those that multiply the next tile meanwhile. Otherwise values are clamped as float first, at leisure; there the order of the
// operands of min and max makes a NaN the lowest value, as requantize.h does.
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

// Bytes in the order of channels from int32 saturated to 0…255.
TRITFORGE_INLINE __m512i pack_strips(const __m512i (&v)[4]) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i low = _mm512_packs_epi32(v[0], v[1]), high = _mm512_packs_epi32(v[2], v[3]);
  return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
}

// The same with a zero point, 16 bits wide, added to what saturates to int16.
TRITFORGE_INLINE __m512i pack_strips(const __m512i (&v)[4], __m512i zero_point) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), zero_point);
  const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), zero_point);
  return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
}

// The first 16 · Strips bytes of a vector, at most max_code, or the first `channels` where there are fewer.
template <int Strips>
TRITFORGE_INLINE void store_bytes(std::uint8_t* y, __m512i codes, const OutputTile& out) {
  const __m512i bytes = _mm512_min_epu8(codes, _mm512_set1_epi8(static_cast<char>(out.stage->max_code)));
  if (out.channels < Strips * kStripOutputs) {
    _mm512_mask_storeu_epi8(y, (std::uint64_t{1} << out.channels) - 1, bytes);
  } else if constexpr (Strips == 4) {
    _mm512_storeu_si512(y, bytes);
  } else {
    if constexpr (Strips > 1) _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), _mm512_castsi512_si256(bytes));
    if constexpr (Strips == 1) _mm_storeu_si128(reinterpret_cast<__m128i*>(y), _mm512_castsi512_si128(bytes));
    if constexpr (Strips == 3) _mm_storeu_si128(reinterpret_cast<__m128i*>(y + 32), _mm512_extracti32x4_epi32(bytes, 2));
  }
}

TRITFORGE_INLINE __m512 scale(__m512i sums, const OutputTile& out, int strip) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_loadu_ps(out.multiplier + strip * kStripOutputs));
}

TRITFORGE_INLINE std::ptrdiff_t channels_from(const OutputTile& out, int strip) {
  return static_cast<std::ptrdiff_t>(out.channels) - strip * kStripOutputs;
}

template <int Strips>
TRITFORGE_INLINE void store_row_s32(const __m512i (&sums)[Strips], const OutputTile& out, std::size_t element) {
  auto* const y = static_cast<std::int32_t*>(out.output) + element;
#pragma GCC unroll 16
  for (int n = 0; n < Strips; ++n) {
    _mm512_mask_storeu_epi32(y + n * kStripOutputs, first_of_16(channels_from(out, n)), sums[n]);
  }
}

template <int Strips>
TRITFORGE_INLINE void store_row_f32(const __m512i (&sums)[Strips], const OutputTile& out, std::size_t element) {
  auto* const y = static_cast<float*>(out.output) + element;
#pragma GCC unroll 16
  for (int n = 0; n < Strips; ++n) {
    _mm512_mask_storeu_ps(y + n * kStripOutputs, first_of_16(channels_from(out, n)), scale(sums[n], out, n));
  }
}

// Rounded values before the zero point is added, if no scaled sum leaves int32.
template <int Strips>
TRITFORGE_INLINE void round_bounded(const __m512i (&sums)[Strips], const OutputTile& out, __m512i (&v)[4]) {
#pragma GCC unroll 16
  for (int n = 0; n < Strips; ++n) v[n] = _mm512_cvtps_epi32(scale(sums[n], out, n));
}

template <int Strips>
TRITFORGE_INLINE void round_clamped(const __m512i (&sums)[Strips], const OutputTile& out, __m512i (&v)[4]) {
  const __m512 lowest = _mm512_set1_ps(out.stage->lowest), highest = _mm512_set1_ps(out.stage->highest);
#pragma GCC unroll 16
  for (int n = 0; n < Strips; ++n) {
    v[n] = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(scale(sums[n], out, n), lowest), highest));
  }
}

template <int Strips>
TRITFORGE_INLINE void store_row_u8(const __m512i (&v)[4], const OutputTile& out, std::size_t element) {
  const __m512i zero_point = _mm512_set1_epi16(out.stage->zero_point);
  store_bytes<Strips>(static_cast<std::uint8_t*>(out.output) + element, pack_strips(v, zero_point), out);
}

// 16 bytes of the residual as float, without reading past `channels`.
TRITFORGE_INLINE __m512 load_residual(const std::uint8_t* r, std::ptrdiff_t channels) {
  const __m128i bytes = channels >= kStripOutputs ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(r))
                                                  : _mm_maskz_loadu_epi8(first_of_16(channels), r);
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

template <int Strips>
TRITFORGE_INLINE void store_row_u8_sum(__m512i (&v)[4], const OutputTile& out, std::size_t element) {
  const PreparedStage& stage = *out.stage;
  const __m512 a_ratio = _mm512_set1_ps(stage.add.a_ratio), b_ratio = _mm512_set1_ps(stage.add.b_ratio);
  const __m512 offset = _mm512_set1_ps(stage.add.offset);
  const __m512i zero_point = _mm512_set1_epi32(stage.zero_point);
#pragma GCC unroll 16
  for (int n = 0; n < Strips; ++n) {
    const __m512i raised = _mm512_max_epi32(_mm512_add_epi32(v[n], zero_point), _mm512_setzero_si512());
    const __m512 code = _mm512_cvtepi32_ps(_mm512_min_epi32(raised, _mm512_set1_epi32(255)));
    const __m512 residual = load_residual(out.residual + element + n * kStripOutputs, channels_from(out, n));
    v[n] = _mm512_cvtps_epi32(_mm512_fmadd_ps(code, a_ratio, _mm512_fmadd_ps(residual, b_ratio, offset)));
  }
  store_bytes<Strips>(static_cast<std::uint8_t*>(out.output) + element, pack_strips(v), out);
}

// The rare case that a scaled sum may leave int32: kept out of the way of the others.
template <int Strips>
__attribute__((noinline)) void store_clamped(const __m512i* sums, int rows, const OutputTile& out) {
  for (int m = 0; m < rows; ++m) {
    __m512i row[Strips], v[4] = {};
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) row[n] = sums[m * Strips + n];
    round_clamped(row, out, v);
    const std::size_t element = row_elements(out, m);
    if (out.stage->adds) {
      store_row_u8_sum<Strips>(v, out, element);
    } else {
      store_row_u8<Strips>(v, out, element);
    }
  }
}

template <int Rows, int Strips>
TRITFORGE_INLINE void store_u8(const __m512i (&sums)[Rows][Strips], const OutputTile& out) {
  const PreparedStage& stage = *out.stage;
  if (!stage.bounded) {
    __m512i copy[Rows * Strips];
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
      for (int n = 0; n < Strips; ++n) copy[m * Strips + n] = sums[m][n];
    }
    return store_clamped<Strips>(copy, Rows, out);
  }
  __m512i v[4] = {};
  if (stage.adds) {
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
      round_bounded(sums[m], out, v);
      store_row_u8_sum<Strips>(v, out, row_elements(out, m));
    }
  } else if (stage.zero_point != 0) {
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
      round_bounded(sums[m], out, v);
      store_row_u8<Strips>(v, out, row_elements(out, m));
    }
  } else {
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
      round_bounded(sums[m], out, v);
      store_bytes<Strips>(static_cast<std::uint8_t*>(out.output) + row_elements(out, m), pack_strips(v), out);
    }
  }
}

// Writes a tile. `out` begins at its first row and channel; rows all exist, channels may be fewer than 16 · Strips.
template <int Rows, int Strips>
TRITFORGE_INLINE void store_tile(const __m512i (&sums)[Rows][Strips], const OutputTile& out) {
  static_assert(Strips >= 1 && Strips <= 4);
  switch (out.stage->kind) {
    case OutputKind::s32:
#pragma GCC unroll 16
      for (int m = 0; m < Rows; ++m) store_row_s32(sums[m], out, row_elements(out, m));
      return;
    case OutputKind::f32:
#pragma GCC unroll 16
      for (int m = 0; m < Rows; ++m) store_row_f32(sums[m], out, row_elements(out, m));
      return;
    case OutputKind::u8: return store_u8(sums, out);
  }
}

#undef TRITFORGE_INLINE

}  // namespace avx512
}  // namespace
}  // namespace tritforge

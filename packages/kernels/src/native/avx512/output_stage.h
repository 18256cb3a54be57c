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

#include "avx512/intrinsics.h"

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

// The first 16 · Strips bytes of a vector.
template <int Strips>
TRITFORGE_INLINE void store_bytes(std::uint8_t* y, __m512i bytes) {
  if constexpr (Strips == 4) {
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

// --- uint8: rounded values before the zero point is added, then bytes

TRITFORGE_INLINE __m512i round_bounded(__m512i sums, const OutputTile& out, int strip) {
  return _mm512_cvtps_epi32(scale(sums, out, strip));
}

TRITFORGE_INLINE __m512i round_clamped(__m512i sums, const OutputTile& out, int strip) {
  const __m512 raised = _mm512_max_ps(scale(sums, out, strip), _mm512_set1_ps(out.stage->lowest));
  return _mm512_cvtps_epi32(_mm512_min_ps(raised, _mm512_set1_ps(out.stage->highest)));
}

// Adds 16 bytes of a residual to rounded values.
TRITFORGE_INLINE __m512i add_residual(__m512i rounded, __m128i residual, const PreparedStage& stage) {
  const __m512i raised = _mm512_max_epi32(_mm512_add_epi32(rounded, _mm512_set1_epi32(stage.zero_point)), _mm512_setzero_si512());
  const __m512 code = _mm512_cvtepi32_ps(_mm512_min_epi32(raised, _mm512_set1_epi32(255)));
  const __m512 other = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(residual));
  const __m512 base = _mm512_fmadd_ps(other, _mm512_set1_ps(stage.add.b_ratio), _mm512_set1_ps(stage.add.offset));
  return _mm512_cvtps_epi32(_mm512_fmadd_ps(code, _mm512_set1_ps(stage.add.a_ratio), base));
}

// One row in every case: scaled sums beyond int32, missing channels.
template <int Strips>
TRITFORGE_INLINE void store_row_carefully(const __m512i* sums, std::size_t element, const OutputTile& out) {
  const PreparedStage& stage = *out.stage;
  const std::ptrdiff_t channels = static_cast<std::ptrdiff_t>(out.channels);
  __m512i v[4] = {};
#pragma GCC unroll 16
  for (int n = 0; n < Strips; ++n) {
    const __mmask16 mask = first_of_16(channels - n * kStripOutputs);
    const std::size_t at = element + n * kStripOutputs;
    if (stage.kind == OutputKind::s32) {
      _mm512_mask_storeu_epi32(static_cast<std::int32_t*>(out.output) + at, mask, sums[n]);
    } else if (stage.kind == OutputKind::f32) {
      _mm512_mask_storeu_ps(static_cast<float*>(out.output) + at, mask, scale(sums[n], out, n));
    } else {
      v[n] = round_clamped(sums[n], out, n);
      if (stage.adds) v[n] = add_residual(v[n], _mm_maskz_loadu_epi8(mask, out.residual + at), stage);
    }
  }
  if (stage.kind != OutputKind::u8) return;
  const __m512i codes = stage.adds ? pack_strips(v) : pack_strips(v, _mm512_set1_epi16(stage.zero_point));
  const std::uint64_t mask = ~std::uint64_t{0} >> (64 - (out.channels < Strips * kStripOutputs ? out.channels : Strips * kStripOutputs));
  const __m512i limited = _mm512_min_epu8(codes, _mm512_set1_epi8(static_cast<char>(stage.max_code)));
  _mm512_mask_storeu_epi8(static_cast<std::uint8_t*>(out.output) + element, mask, limited);
}

// Rows of sums in memory, in every case: what is rare is kept out of the way of what is fast.
template <int Strips>
__attribute__((noinline)) void store_carefully(const __m512i* sums, std::size_t rows, const OutputTile& out) noexcept {
  for (std::size_t m = 0; m < rows; ++m) store_row_carefully<Strips>(sums + m * Strips, row_elements(out, m), out);
}

template <int Rows, int Strips>
TRITFORGE_INLINE void store_s32(const __m512i (&sums)[Rows][Strips], const OutputTile& out, const std::size_t (&elements)[Rows]) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
    auto* const y = static_cast<std::int32_t*>(out.output) + elements[m];
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) _mm512_storeu_si512(y + n * kStripOutputs, sums[m][n]);
  }
}

template <int Rows, int Strips>
TRITFORGE_INLINE void store_f32(const __m512i (&sums)[Rows][Strips], const OutputTile& out, const std::size_t (&elements)[Rows]) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
    auto* const y = static_cast<float*>(out.output) + elements[m];
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) _mm512_storeu_ps(y + n * kStripOutputs, scale(sums[m][n], out, n));
  }
}

template <int Rows, int Strips>
TRITFORGE_INLINE void store_u8_sum(const __m512i (&sums)[Rows][Strips], const OutputTile& out, const std::size_t (&elements)[Rows]) {
  const PreparedStage stage = *out.stage;
  const __m512i max_code = _mm512_set1_epi8(static_cast<char>(stage.max_code));
  __m512i v[4] = {};
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
    const auto* const residual = reinterpret_cast<const __m128i*>(out.residual + elements[m]);
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) {
      v[n] = add_residual(round_bounded(sums[m][n], out, n), _mm_loadu_si128(residual + n), stage);
    }
    store_bytes<Strips>(static_cast<std::uint8_t*>(out.output) + elements[m], _mm512_min_epu8(pack_strips(v), max_code));
  }
}

// Without zero point and limit, after ReLU.
template <int Rows, int Strips>
TRITFORGE_INLINE void store_u8_plain(const __m512i (&sums)[Rows][Strips], const OutputTile& out,
                                     const std::size_t (&elements)[Rows]) {
  __m512i v[4] = {};
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) v[n] = round_bounded(sums[m][n], out, n);
    store_bytes<Strips>(static_cast<std::uint8_t*>(out.output) + elements[m], pack_strips(v));
  }
}

template <int Rows, int Strips>
TRITFORGE_INLINE void store_u8(const __m512i (&sums)[Rows][Strips], const OutputTile& out, const std::size_t (&elements)[Rows]) {
  const __m512i zero_point = _mm512_set1_epi16(out.stage->zero_point);
  const __m512i max_code = _mm512_set1_epi8(static_cast<char>(out.stage->max_code));
  __m512i v[4] = {};
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) v[n] = round_bounded(sums[m][n], out, n);
    store_bytes<Strips>(static_cast<std::uint8_t*>(out.output) + elements[m], _mm512_min_epu8(pack_strips(v, zero_point), max_code));
  }
}

// Keeps what is computed from the sums behind this point: g++ 12 would begin the conversions to float before it is known whether
// there are any, and spill the tile for it.
template <int Rows, int Strips>
TRITFORGE_INLINE void pin(__m512i (&sums)[Rows][Strips]) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) asm volatile("" : "+v"(sums[m][n]));
  }
}

TRITFORGE_INLINE bool is_common(const OutputTile& out, std::size_t channels) {
  return out.channels >= channels && (out.stage->kind != OutputKind::u8 || out.stage->bounded);
}

// Of a tile that is_common.
template <int Rows, int Strips>
TRITFORGE_INLINE void store_common(__m512i (&sums)[Rows][Strips], const OutputTile& out) {
  const PreparedStage& stage = *out.stage;
  std::size_t elements[Rows];
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) elements[m] = row_elements(out, m);
  pin(sums);
  if (stage.kind == OutputKind::s32) return store_s32(sums, out, elements);
  if (stage.kind == OutputKind::f32) {
    pin(sums);
    return store_f32(sums, out, elements);
  }
  if (stage.adds) {
    pin(sums);
    return store_u8_sum(sums, out, elements);
  }
  if (stage.zero_point == 0 && stage.max_code == 255) {
    pin(sums);
    return store_u8_plain(sums, out, elements);
  }
  pin(sums);
  store_u8(sums, out, elements);
}

template <int Rows, int Strips>
TRITFORGE_INLINE void copy_sums(const __m512i (&sums)[Rows][Strips], __m512i* copy) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) copy[m * Strips + n] = sums[m][n];
  }
}

// Writes a tile. `out` begins at its first row and channel; rows all exist, channels may be fewer than 16 · Strips.
template <int Rows, int Strips>
TRITFORGE_INLINE void store_tile(__m512i (&sums)[Rows][Strips], const OutputTile& out) {
  static_assert(Strips >= 1 && Strips <= 4);
  if (is_common(out, Strips * kStripOutputs)) return store_common(sums, out);
  __m512i copy[Rows * Strips];
  copy_sums(sums, copy);
  store_carefully<Strips>(copy, Rows, out);
}

// One row after the other.
template <int Strips>
__attribute__((noinline)) void store_rows(const __m512i* sums, std::size_t rows, const OutputTile& out) noexcept {
  if (!is_common(out, Strips * kStripOutputs)) return store_carefully<Strips>(sums, rows, out);
  for (std::size_t m = 0; m < rows; ++m) {
    __m512i row[1][Strips];
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) row[0][n] = sums[m * Strips + n];
    store_common(row, advance(out, m, 0));
  }
}

// The same as store_tile in less code, by way of memory: for tiles that are not worth more.
template <int Rows, int Strips>
TRITFORGE_INLINE void store_tile_by_rows(const __m512i (&sums)[Rows][Strips], const OutputTile& out) {
  __m512i copy[Rows * Strips];
  copy_sums(sums, copy);
  store_rows<Strips>(copy, Rows, out);
}

#undef TRITFORGE_INLINE

}  // namespace avx512
}  // namespace
}  // namespace tritforge

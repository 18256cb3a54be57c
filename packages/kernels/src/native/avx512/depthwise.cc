// Depthwise convolution by VNNI, 64 channels at once; steps, planes and names: convolution/depthwise_block.h.
//
// A tile is up to 4 vectors of pixels × 4 planes: 16 sums. A quad of rows and a kernel column cost 4 loads of weights and 16
// vpdpbusd, each with a load of interleaved dwords, which is close to what two load ports give.
#include <immintrin.h>

#include <cstring>

#include "convolution/depthwise_block.h"

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::size_t kVector = 64, kStrip = 16, kPlanes = 4;
constexpr std::size_t kMostVectors = 4;

TRITFORGE_INLINE __mmask64 first_of_64(std::size_t count) {
  return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
}

TRITFORGE_INLINE __mmask16 first_of_16(std::size_t count) {
  return count >= 16 ? 0xffff : static_cast<__mmask16>((1u << count) - 1);
}

// Channels that are left from a strip on.
TRITFORGE_INLINE std::size_t channels_from(std::size_t channels, std::size_t strip) {
  return channels > strip * kStrip ? channels - strip * kStrip : 0;
}

// Piece v of vector l goes to piece l of vector v; pieces have 16 bytes.
TRITFORGE_INLINE void transpose_pieces(__m512i (&v)[4]) {
  const __m512i low01 = _mm512_shuffle_i32x4(v[0], v[1], 0x44), high01 = _mm512_shuffle_i32x4(v[0], v[1], 0xee);
  const __m512i low23 = _mm512_shuffle_i32x4(v[2], v[3], 0x44), high23 = _mm512_shuffle_i32x4(v[2], v[3], 0xee);
  v[0] = _mm512_shuffle_i32x4(low01, low23, 0x88);
  v[1] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
  v[2] = _mm512_shuffle_i32x4(high01, high23, 0x88);
  v[3] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
}

// Weights of 16 channels in each of 4 rows; the dword of a channel counts on from `row` 0 of the quad before.
TRITFORGE_INLINE __m512i shifted_rows(const std::uint8_t* weights, std::size_t quad_bytes, std::size_t quad, std::size_t rows) {
  const __m512i here = _mm512_load_si512(weights);
  if (rows == 0) return here;
  const __m512i before = quad == 0 ? _mm512_setzero_si512() : _mm512_load_si512(weights - quad_bytes);
  const __m512i bits = _mm512_set1_epi32(static_cast<int>(8 * rows));
  return _mm512_or_si512(_mm512_sllv_epi32(here, bits), _mm512_srlv_epi32(before, _mm512_sub_epi32(_mm512_set1_epi32(32), bits)));
}

TRITFORGE_INLINE void prepare_weights(const DepthwiseBlock& b, const DepthwisePreparation& from, std::uint8_t* to) {
  const std::size_t quad_bytes = b.taps * kVector, strips = b.width / kStrip;
  for (std::size_t shift = 0; shift < b.shifts; ++shift) {
    for (std::size_t quad = 0; quad < b.quads; ++quad) {
      for (std::size_t tap = 0; tap < b.taps; ++tap, to += kPlanes * kVector) {
        __m512i v[4];
        for (std::size_t lane = 0; lane < 4; ++lane) {
          const std::size_t strip = lane % strips;
          const std::uint8_t* weights = from.weights + strip * from.strip_bytes + (quad * b.taps + tap) * kVector;
          v[lane] = channels_from(b.channels, strip) == 0 ? _mm512_setzero_si512()
                                                          : shifted_rows(weights, quad_bytes, quad, shift * b.shift_rows);
        }
        transpose_pieces(v);
        for (std::size_t plane = 0; plane < kPlanes; ++plane) _mm512_store_si512(to + plane * kVector, v[plane]);
      }
    }
  }
}

void prepare(const DepthwiseBlock& b, const DepthwisePreparation& from, const DepthwiseConstants& to) noexcept {
  prepare_weights(b, from, to.weights);
  __m512i start[4], multiplier[4];
  for (std::size_t lane = 0; lane < 4; ++lane) {
    const std::size_t strip = lane % (b.width / kStrip), first = strip * kStrip;
    const __mmask16 mask = first_of_16(channels_from(b.channels, strip));
    const __m512i sums = _mm512_maskz_loadu_epi32(mask, from.column_sums + first);
    const __m512i bias = from.bias == nullptr ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi32(mask, from.bias + first);
    start[lane] = _mm512_sub_epi32(bias, _mm512_mullo_epi32(sums, _mm512_set1_epi32(from.zero_point)));
    multiplier[lane] =
        from.multiplier == nullptr ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi32(mask, from.multiplier + first);
  }
  transpose_pieces(start);
  transpose_pieces(multiplier);
  for (std::size_t plane = 0; plane < kPlanes; ++plane) {
    _mm512_store_si512(to.start + plane * 16, start[plane]);
    _mm512_store_si512(to.multiplier + plane * 16, multiplier[plane]);
  }
}

// Bytes of the channels of `count` columns, `width` apart in the vector.
TRITFORGE_INLINE __m512i gather_columns(const std::uint8_t* from, std::size_t step, std::size_t count, const DepthwiseBlock& b) {
  if (b.width == 64) return _mm512_maskz_loadu_epi8(first_of_64(b.channels), from);
  if (b.width == 32) {
    const __mmask32 mask = static_cast<__mmask32>(first_of_64(b.channels));
    const __m256i low = _mm256_maskz_loadu_epi8(mask, from);
    if (count < 2) return _mm512_zextsi256_si512(low);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), _mm256_maskz_loadu_epi8(mask, from + step), 1);
  }
  const __mmask16 mask = first_of_16(b.channels);
  __m512i v = _mm512_zextsi128_si512(_mm_maskz_loadu_epi8(mask, from));
  if (count > 1) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, from + step), 1);
  if (count > 2) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, from + 2 * step), 2);
  if (count > 3) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, from + 3 * step), 3);
  return v;
}

TRITFORGE_INLINE void interleave_rows(__m512i a, __m512i b, __m512i c, __m512i d, std::uint8_t* planes, std::size_t plane_bytes) {
  const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
  const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
  _mm512_storeu_si512(planes, _mm512_unpacklo_epi16(ab_low, cd_low));
  _mm512_storeu_si512(planes + plane_bytes, _mm512_unpackhi_epi16(ab_low, cd_low));
  _mm512_storeu_si512(planes + 2 * plane_bytes, _mm512_unpacklo_epi16(ab_high, cd_high));
  _mm512_storeu_si512(planes + 3 * plane_bytes, _mm512_unpackhi_epi16(ab_high, cd_high));
}

void interleave(const DepthwiseBlock& b, const DepthwiseColumns& c) noexcept {
  const std::size_t columns = kVector / b.width;
  const std::uint8_t *r0 = c.rows[0], *r1 = c.rows[1], *r2 = c.rows[2], *r3 = c.rows[3];
  std::uint8_t* to = c.planes;
  for (std::size_t i = 0; i < c.count; i += columns, to += kVector) {
    if (b.channels == 64) {
      interleave_rows(_mm512_loadu_si512(r0), _mm512_loadu_si512(r1), _mm512_loadu_si512(r2), _mm512_loadu_si512(r3), to,
                      c.plane_bytes);
    } else {
      const std::size_t left = c.count - i;
      interleave_rows(gather_columns(r0, c.steps[0], left, b), gather_columns(r1, c.steps[1], left, b),
                      gather_columns(r2, c.steps[2], left, b), gather_columns(r3, c.steps[3], left, b), to, c.plane_bytes);
    }
    r0 += columns * c.steps[0];
    r1 += columns * c.steps[1];
    r2 += columns * c.steps[2];
    r3 += columns * c.steps[3];
  }
}

// One vector of pixels in the output: how many pixels of it exist.
struct Place {
  std::size_t element;  // of the first pixel and channel
  std::size_t pixels;
};

TRITFORGE_INLINE bool is_dense(const DepthwiseBlock& b, const OutputTile& out) {
  return b.channels == b.width && out.row_stride == b.width;
}

TRITFORGE_INLINE void store_bytes(const DepthwiseBlock& b, const OutputTile& out, const Place& at, __m512i bytes) {
  auto* y = static_cast<std::uint8_t*>(out.output) + at.element;
  if (b.channels == 64) return _mm512_storeu_si512(y, bytes);
  if (b.width == 64) return _mm512_mask_storeu_epi8(y, first_of_64(b.channels), bytes);
  if (is_dense(b, out)) return _mm512_mask_storeu_epi8(y, first_of_64(at.pixels * b.width), bytes);
  for (std::size_t i = 0; i < at.pixels; ++i) {
    const __mmask64 mask = first_of_64(b.channels) << i * b.width;
    _mm512_mask_storeu_epi8(y + i * out.row_stride - i * b.width, mask, bytes);
  }
}

TRITFORGE_INLINE __m512i load_residual(const DepthwiseBlock& b, const OutputTile& out, const Place& at) {
  return gather_columns(out.residual + at.element, out.row_stride, at.pixels, b);
}

TRITFORGE_INLINE __m512i pack_planes(const __m512i (&v)[4], __m512i zero_point, __m512i max_code) {
  const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), zero_point);
  const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), zero_point);
  return _mm512_min_epu8(_mm512_packus_epi16(low, high), max_code);
}

template <OutputKind kKind, bool kAdds>
struct Epilogue;

// As avx512/output_stage.h has it.
template <>
struct Epilogue<OutputKind::u8, false> {
  static TRITFORGE_INLINE void store(const DepthwiseBlock& b, const DepthwiseConstants& c, const OutputTile& out, const Place& at,
                                     const __m512i (&sums)[kPlanes]) {
    const __m512 highest = _mm512_set1_ps(out.stage->highest);
    __m512i v[4];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kPlanes; ++i) {
      const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[i]), _mm512_load_ps(c.multiplier + i * 16));
      v[i] = _mm512_cvtps_epi32(_mm512_min_ps(highest, scaled));
    }
    store_bytes(b, out, at, pack_planes(v, _mm512_set1_epi16(out.stage->zero_point),
                                        _mm512_set1_epi8(static_cast<char>(out.stage->max_code))));
  }
};

template <>
struct Epilogue<OutputKind::u8, true> {
  static TRITFORGE_INLINE void store(const DepthwiseBlock& b, const DepthwiseConstants& c, const OutputTile& out, const Place& at,
                                     const __m512i (&sums)[kPlanes]) {
    const PreparedStage& stage = *out.stage;
    const __m512 lowest = _mm512_set1_ps(stage.lowest), highest = _mm512_set1_ps(stage.highest);
    const __m512 zero_point = _mm512_set1_ps(-stage.lowest), offset = _mm512_set1_ps(stage.add.offset);
    const __m512 a_ratio = _mm512_set1_ps(stage.add.a_ratio), b_ratio = _mm512_set1_ps(stage.add.b_ratio);
    const __m512i residual = load_residual(b, out, at), zero = _mm512_setzero_si512();
    const __m512i low = _mm512_unpacklo_epi8(residual, zero), high = _mm512_unpackhi_epi8(residual, zero);
    const __m512i r[4] = {_mm512_unpacklo_epi16(low, zero), _mm512_unpackhi_epi16(low, zero), _mm512_unpacklo_epi16(high, zero),
                          _mm512_unpackhi_epi16(high, zero)};
    __m512i v[4];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kPlanes; ++i) {
      const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[i]), _mm512_load_ps(c.multiplier + i * 16));
      const __m512 clamped = _mm512_min_ps(_mm512_max_ps(scaled, lowest), highest);
      const __m512 code = _mm512_add_ps(_mm512_roundscale_ps(clamped, _MM_FROUND_CUR_DIRECTION), zero_point);
      v[i] = _mm512_cvtps_epi32(_mm512_fmadd_ps(code, a_ratio, _mm512_fmadd_ps(_mm512_cvtepi32_ps(r[i]), b_ratio, offset)));
    }
    store_bytes(b, out, at, pack_planes(v, zero, _mm512_set1_epi8(static_cast<char>(stage.max_code))));
  }
};

// 32-bit elements: strips of 16 channels, lane by lane of the planes.
template <OutputKind kKind>
struct Epilogue<kKind, false> {
  static TRITFORGE_INLINE void store(const DepthwiseBlock& b, const DepthwiseConstants& c, const OutputTile& out, const Place& at,
                                     const __m512i (&sums)[kPlanes]) {
    __m512i v[4];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kPlanes; ++i) {
      v[i] = kKind == OutputKind::s32 ? sums[i]
                                      : _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[i]),
                                                                          _mm512_load_ps(c.multiplier + i * 16)));
    }
    transpose_pieces(v);
    const std::size_t strips = b.width / kStrip;
    auto* y = static_cast<std::int32_t*>(out.output) + at.element;
#pragma GCC unroll 4
    for (std::size_t lane = 0; lane < 4; ++lane) {
      const std::size_t pixel = lane / strips, strip = lane % strips;
      if (pixel >= at.pixels) break;
      const __mmask16 mask = first_of_16(channels_from(b.channels, strip));
      _mm512_mask_storeu_epi32(y + pixel * out.row_stride + strip * kStrip, mask, v[lane]);
    }
  }
};

template <std::size_t kVectors, OutputKind kKind, bool kAdds>
TRITFORGE_INLINE void tile(const DepthwiseBlock& b, const DepthwiseConstants& c, const DepthwiseRow& row, std::size_t first) {
  __m512i sums[kVectors][kPlanes];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kVectors; ++i) {
#pragma GCC unroll 4
    for (std::size_t plane = 0; plane < kPlanes; ++plane) sums[i][plane] = _mm512_load_si512(c.start + plane * 16);
  }
  const std::uint8_t* w = c.weights + row.shift * b.quads * b.taps * kPlanes * kVector;
  const std::uint8_t* quad = row.planes + first * row.vector_bytes;
  for (std::size_t q = 0; q < b.quads; ++q, quad += row.quad_bytes) {
    const std::uint8_t* x = quad;
    for (std::size_t tap = 0; tap < b.taps; ++tap, x += row.tap_bytes, w += kPlanes * kVector) {
#pragma GCC unroll 4
      for (std::size_t plane = 0; plane < kPlanes; ++plane) {
        const __m512i weights = _mm512_load_si512(w + plane * kVector);
#pragma GCC unroll 4
        for (std::size_t i = 0; i < kVectors; ++i) {
          const __m512i values = _mm512_loadu_si512(x + plane * row.plane_bytes + i * row.vector_bytes);
          sums[i][plane] = _mm512_dpbusd_epi32(sums[i][plane], values, weights);
        }
      }
    }
  }
  const std::size_t pixels = kVector / b.width;
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kVectors; ++i) {
    const std::size_t pixel = (first + i) * pixels, left = row.count - pixel;
    Epilogue<kKind, kAdds>::store(b, c, row.out, {pixel * row.out.row_stride, left < pixels ? left : pixels}, sums[i]);
  }
}

// Tiles of 4 and 3 vectors, never a lonely one if there are more.
template <OutputKind kKind, bool kAdds>
void multiply_row(const DepthwiseBlock& b, const DepthwiseConstants& c, const DepthwiseRow& row) {
  const std::size_t pixels = kVector / b.width, vectors = (row.count + pixels - 1) / pixels;
  std::size_t first = 0;
  while (first < vectors) {
    const std::size_t left = vectors - first;
    const std::size_t count = left <= kMostVectors ? left : left == 5 || left == 6 || left == 9 ? 3 : kMostVectors;
    if (count == 4) tile<4, kKind, kAdds>(b, c, row, first);
    if (count == 3) tile<3, kKind, kAdds>(b, c, row, first);
    if (count == 2) tile<2, kKind, kAdds>(b, c, row, first);
    if (count == 1) tile<1, kKind, kAdds>(b, c, row, first);
    first += count;
  }
}

void multiply(const DepthwiseBlock& b, const DepthwiseConstants& c, const DepthwiseRow& row) noexcept {
  switch (row.out.stage->kind) {
    case OutputKind::s32: return multiply_row<OutputKind::s32, false>(b, c, row);
    case OutputKind::f32: return multiply_row<OutputKind::f32, false>(b, c, row);
    case OutputKind::u8:
      return row.out.stage->adds ? multiply_row<OutputKind::u8, true>(b, c, row) : multiply_row<OutputKind::u8, false>(b, c, row);
  }
}

#undef TRITFORGE_INLINE

}  // namespace

const DepthwiseMicrokernel kDepthwise__avx512{"u8_depthwise__avx512vnni", Isa::avx512, kVector, kPlanes, prepare, interleave, multiply};

}  // namespace tritforge

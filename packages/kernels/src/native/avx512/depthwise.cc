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

// Whether a vector of neighbouring pixels of the block, `step` apart, is a piece of memory.
TRITFORGE_INLINE bool is_contiguous(const DepthwiseBlock& b, std::size_t step) {
  return b.channels == b.width && (b.width == kVector || step == b.width);
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

void interleave(const DepthwiseBlock& block, const DepthwiseColumns& columns) noexcept {
  const DepthwiseBlock b = block;
  const DepthwiseColumns c = columns;
  const std::size_t pixels = b.width == 64 ? 1 : b.width == 32 ? 2 : 4;
  const std::uint8_t* r[4];
  bool contiguous = true;
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = c.rows[i];
    contiguous = contiguous && (is_contiguous(b, c.steps[i]) || (c.steps[i] == 0 && b.channels == b.width));
  }
  std::uint8_t* to = c.planes;
  std::size_t left = c.count;
  for (; contiguous && left >= pixels; left -= pixels, to += kVector) {
    interleave_rows(_mm512_loadu_si512(r[0]), _mm512_loadu_si512(r[1]), _mm512_loadu_si512(r[2]), _mm512_loadu_si512(r[3]), to,
                    c.plane_bytes);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) r[i] += pixels * c.steps[i];
  }
  for (; left > 0; left -= left < pixels ? left : pixels, to += kVector) {
    interleave_rows(gather_columns(r[0], c.steps[0], left, b), gather_columns(r[1], c.steps[1], left, b),
                    gather_columns(r[2], c.steps[2], left, b), gather_columns(r[3], c.steps[3], left, b), to, c.plane_bytes);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) r[i] += pixels * c.steps[i];
  }
}

// One vector of pixels in the output: how many pixels of it exist.
struct Place {
  std::size_t element;  // of the first pixel and channel
  std::size_t pixels;
};

// kWhole: the vector lies in the output as it is.
template <bool kWhole>
TRITFORGE_INLINE void store_bytes(const DepthwiseBlock& b, const OutputTile& out, const Place& at, __m512i bytes) {
  auto* y = static_cast<std::uint8_t*>(out.output) + at.element;
  if constexpr (kWhole) return _mm512_storeu_si512(y, bytes);
  for (std::size_t i = 0; i < at.pixels; ++i) {
    const __mmask64 mask = first_of_64(b.channels) << i * b.width;
    _mm512_mask_storeu_epi8(y + i * out.row_stride - i * b.width, mask, bytes);
  }
}

template <bool kWhole>
TRITFORGE_INLINE __m512i load_residual(const DepthwiseBlock& b, const OutputTile& out, const Place& at) {
  if constexpr (kWhole) return _mm512_loadu_si512(out.residual + at.element);
  return gather_columns(out.residual + at.element, out.row_stride, at.pixels, b);
}

TRITFORGE_INLINE __m512i pack_planes(const __m512i (&v)[4], __m512i zero_point, __m512i max_code) {
  const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), zero_point);
  const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), zero_point);
  return _mm512_min_epu8(_mm512_packus_epi16(low, high), max_code);
}

// Output stages, as avx512/output_stage.h has them, in two steps: `scale` for a vector of a plane, `store` for four planes.
struct StoreU8 {
  __m512 highest;
  __m512i zero_point, max_code;
  explicit TRITFORGE_INLINE StoreU8(const PreparedStage& stage)
      : highest(_mm512_set1_ps(stage.highest)),
        zero_point(_mm512_set1_epi16(stage.zero_point)),
        max_code(_mm512_set1_epi8(static_cast<char>(stage.max_code))) {}
  TRITFORGE_INLINE __m512i scale(__m512i sums, const float* multiplier) const {
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_load_ps(multiplier));
    return _mm512_cvtps_epi32(_mm512_min_ps(highest, scaled));
  }
  template <bool kWhole>
  TRITFORGE_INLINE void store(const DepthwiseBlock& b, const OutputTile& out, const Place& at, const __m512i (&v)[kPlanes]) const {
    store_bytes<kWhole>(b, out, at, pack_planes(v, zero_point, max_code));
  }
};

struct StoreU8Sum {
  __m512 lowest, highest, a_ratio, b_ratio, offset;
  __m512i max_code;
  explicit TRITFORGE_INLINE StoreU8Sum(const PreparedStage& stage)
      : lowest(_mm512_set1_ps(stage.lowest)),
        highest(_mm512_set1_ps(stage.highest)),
        a_ratio(_mm512_set1_ps(stage.add.a_ratio)),
        b_ratio(_mm512_set1_ps(stage.add.b_ratio)),
        offset(_mm512_set1_ps(stage.add.offset)),
        max_code(_mm512_set1_epi8(static_cast<char>(stage.max_code))) {}
  TRITFORGE_INLINE __m512i scale(__m512i sums, const float* multiplier) const {
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_load_ps(multiplier));
    const __m512 clamped = _mm512_min_ps(_mm512_max_ps(scaled, lowest), highest);
    return _mm512_castps_si512(_mm512_sub_ps(_mm512_roundscale_ps(clamped, _MM_FROUND_CUR_DIRECTION), lowest));
  }
  template <bool kWhole>
  TRITFORGE_INLINE void store(const DepthwiseBlock& b, const OutputTile& out, const Place& at, const __m512i (&v)[kPlanes]) const {
    const __m512i residual = load_residual<kWhole>(b, out, at), zero = _mm512_setzero_si512();
    const __m512i low = _mm512_unpacklo_epi8(residual, zero), high = _mm512_unpackhi_epi8(residual, zero);
    const __m512i r[kPlanes] = {_mm512_unpacklo_epi16(low, zero), _mm512_unpackhi_epi16(low, zero),
                                _mm512_unpacklo_epi16(high, zero), _mm512_unpackhi_epi16(high, zero)};
    __m512i sums[kPlanes];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kPlanes; ++i) {
      const __m512 other = _mm512_fmadd_ps(_mm512_cvtepi32_ps(r[i]), b_ratio, offset);
      sums[i] = _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_castsi512_ps(v[i]), a_ratio, other));
    }
    store_bytes<kWhole>(b, out, at, pack_planes(sums, zero, max_code));
  }
};

// 32-bit elements: strips of 16 channels, lane by lane of the planes.
TRITFORGE_INLINE void store_strips(const DepthwiseBlock& b, const OutputTile& out, const Place& at, const __m512i (&planes)[kPlanes]) {
  __m512i v[4] = {planes[0], planes[1], planes[2], planes[3]};
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

struct StoreS32 {
  explicit TRITFORGE_INLINE StoreS32(const PreparedStage&) {}
  TRITFORGE_INLINE __m512i scale(__m512i sums, const float*) const { return sums; }
  template <bool>
  TRITFORGE_INLINE void store(const DepthwiseBlock& b, const OutputTile& out, const Place& at, const __m512i (&v)[kPlanes]) const {
    store_strips(b, out, at, v);
  }
};

struct StoreF32 {
  explicit TRITFORGE_INLINE StoreF32(const PreparedStage&) {}
  TRITFORGE_INLINE __m512i scale(__m512i sums, const float* multiplier) const {
    return _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_load_ps(multiplier)));
  }
  template <bool>
  TRITFORGE_INLINE void store(const DepthwiseBlock& b, const OutputTile& out, const Place& at, const __m512i (&v)[kPlanes]) const {
    store_strips(b, out, at, v);
  }
};

// Sums of kCount planes from `plane` on. Any kernel.
template <std::size_t kVectors, std::size_t kCount>
TRITFORGE_INLINE void sum_planes(const DepthwiseBlock& b, const DepthwiseRow& row, const std::uint8_t* w, const std::uint8_t* x,
                                 const std::int32_t* start, __m512i (&sums)[kVectors][kCount]) {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kVectors; ++i) {
#pragma GCC unroll 4
    for (std::size_t p = 0; p < kCount; ++p) sums[i][p] = _mm512_load_si512(start + p * 16);
  }
  for (std::size_t q = 0; q < b.quads; ++q, x += row.quad_bytes) {
    const std::uint8_t* column = x;
    for (std::size_t tap = 0; tap < b.taps; ++tap, column += row.tap_bytes, w += kPlanes * kVector) {
#pragma GCC unroll 4
      for (std::size_t p = 0; p < kCount; ++p) {
        const __m512i weights = _mm512_load_si512(w + p * kVector);
#pragma GCC unroll 4
        for (std::size_t i = 0; i < kVectors; ++i) {
          const __m512i values = _mm512_loadu_si512(column + p * row.plane_bytes + i * row.vector_bytes);
          sums[i][p] = _mm512_dpbusd_epi32(sums[i][p], values, weights);
        }
      }
    }
  }
}

// The same for one plane of a single quad and kTaps kernel columns, all unrolled. With kSlides the columns of a vector are those of the
// one before, moved on by one.
template <std::size_t kVectors, std::size_t kTaps, bool kSlides>
TRITFORGE_INLINE void sum_plane(const DepthwiseRow& row, const std::uint8_t* w, const std::uint8_t* x, const std::int32_t* start,
                                __m512i (&sums)[kVectors]) {
  __m512i weights[kTaps], columns[kVectors + kTaps - 1];
#pragma GCC unroll 8
  for (std::size_t tap = 0; tap < kTaps; ++tap) weights[tap] = _mm512_load_si512(w + tap * kPlanes * kVector);
  if constexpr (kSlides) {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kVectors + kTaps - 1; ++i) columns[i] = _mm512_loadu_si512(x + i * kVector);
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kVectors; ++i) sums[i] = _mm512_load_si512(start);
#pragma GCC unroll 8
  for (std::size_t tap = 0; tap < kTaps; ++tap) {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kVectors; ++i) {
      if constexpr (!kSlides) columns[i] = _mm512_loadu_si512(x + tap * row.tap_bytes + i * row.vector_bytes);
      sums[i] = _mm512_dpbusd_epi32(sums[i], columns[kSlides ? i + tap : i], weights[tap]);
    }
  }
}

// How a tile finds its sums: any kernel, or one of kTaps columns and at most four rows.
enum class Sums { any, three, three_sliding };

// A row in the hands of multiply: copies that no store can change.
template <class Store>
struct Job {
  DepthwiseBlock block;
  DepthwiseConstants constants;
  DepthwiseRow row;
  Store store;
  std::size_t pixels;  // of a vector
  int log_pixels;
};

// kWhole: all vectors lie in the output as they are.
template <std::size_t kVectors, Sums kSums, bool kWhole, class Store>
TRITFORGE_INLINE void tile(const Job<Store>& job, std::size_t first) {
  const DepthwiseBlock& b = job.block;
  const DepthwiseRow& row = job.row;
  __m512i values[kVectors][kPlanes];
  const std::uint8_t* const w = job.constants.weights + row.shift * b.quads * b.taps * kPlanes * kVector;
  const std::uint8_t* const x = row.planes + first * row.vector_bytes;
  constexpr std::size_t kCount = kSums == Sums::any ? 2 : 1;
#pragma GCC unroll 4
  for (std::size_t plane = 0; plane < kPlanes; plane += kCount) {
    const std::uint8_t* const x_plane = x + plane * row.plane_bytes;
    const std::int32_t* const start = job.constants.start + plane * 16;
    __m512i sums[kVectors][kCount];
    if constexpr (kSums == Sums::any) {
      sum_planes<kVectors, kCount>(b, row, w + plane * kVector, x_plane, start, sums);
    } else {
      __m512i column[kVectors];
      sum_plane<kVectors, 3, kSums == Sums::three_sliding>(row, w + plane * kVector, x_plane, start, column);
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kVectors; ++i) sums[i][0] = column[i];
    }
#pragma GCC unroll 4
    for (std::size_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kVectors; ++i) {
        values[i][plane + p] = job.store.scale(sums[i][p], job.constants.multiplier + (plane + p) * 16);
      }
    }
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kVectors; ++i) {
    const std::size_t pixel = (first + i) << job.log_pixels, left = row.count - pixel;
    const Place at{pixel * row.out.row_stride, left < job.pixels ? left : job.pixels};
    job.store.template store<kWhole>(b, row.out, at, values[i]);
  }
}

// Tiles of 4 and 3 vectors, never a lonely one if there are more.
template <Sums kSums, bool kWhole, class Store>
TRITFORGE_INLINE void multiply_vectors(const Job<Store>& job, std::size_t first, std::size_t end) {
  for (; end - first > 6 || end - first == 4; first += 4) tile<4, kSums, kWhole>(job, first);
  for (; end - first >= 3; first += 3) tile<3, kSums, kWhole>(job, first);
  if (end - first == 2) tile<2, kSums, kWhole>(job, first);
  if (end - first == 1) tile<1, kSums, kWhole>(job, first);
}

template <Sums kSums, class Store>
void multiply_row(const DepthwiseBlock& b, const DepthwiseConstants& c, const DepthwiseRow& row) {
  const int log_pixels = b.width == 64 ? 0 : b.width == 32 ? 1 : 2;
  const Job<Store> job{b, c, row, Store(*row.out.stage), std::size_t{1} << log_pixels, log_pixels};
  const std::size_t whole = is_contiguous(b, row.out.row_stride) ? row.count >> log_pixels : 0;
  multiply_vectors<kSums, true>(job, 0, whole);
  multiply_vectors<kSums, false>(job, whole, (row.count + job.pixels - 1) >> log_pixels);
}

template <class Store>
void multiply_kind(const DepthwiseBlock& b, const DepthwiseConstants& c, const DepthwiseRow& row) {
  if (b.quads > 1 || b.taps != 3) return multiply_row<Sums::any, Store>(b, c, row);
  if (row.tap_bytes == kVector && row.vector_bytes == kVector) return multiply_row<Sums::three_sliding, Store>(b, c, row);
  multiply_row<Sums::three, Store>(b, c, row);
}

void multiply(const DepthwiseBlock& b, const DepthwiseConstants& c, const DepthwiseRow& row) noexcept {
  switch (row.out.stage->kind) {
    case OutputKind::s32: return multiply_kind<StoreS32>(b, c, row);
    case OutputKind::f32: return multiply_kind<StoreF32>(b, c, row);
    case OutputKind::u8: return row.out.stage->adds ? multiply_kind<StoreU8Sum>(b, c, row) : multiply_kind<StoreU8>(b, c, row);
  }
}

#undef TRITFORGE_INLINE

}  // namespace

const DepthwiseMicrokernel kDepthwise__avx512{"u8_depthwise__avx512vnni", Isa::avx512, kVector, kPlanes, prepare, interleave, multiply};

}  // namespace tritforge

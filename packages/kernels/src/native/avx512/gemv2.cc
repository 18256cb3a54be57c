// Few rows of int8 activations against 2-bit weights by AVX-512 VNNI. Payload and corrections: layouts/gemv2.h.
//
//   acc_s[o] = −4^s·Σ x + Σ_steps Σ_4 (byte & 3·4^s)·x = 4^s·Σ t·x            a sum per stream s and output o; u8 × s8 products
//   sum[o]  += Σ_s c_s·(acc_s >> 2s)
//
// |Σ t·x| <= 64·128 fits in int16, so that two streams share a vpdpwssd: stream 0 and 2 as the halves of a dword against (c_0, c_2), and
// 1 and 3 likewise. Shifting left by 16 − 2s puts the sum of stream s in the upper half and drops its factor as well.
//
// One row: all four streams at once, 16 sums in registers, each byte of weights loaded once. A step of four blocks:
//
//   4 loads of weights, 4 broadcasts of x (one a stream), 16 vpandd, 16 vpdpbusd
//
// which is 8 cycles of arithmetic against 4 of loads for 256 bytes, more than the third cache gives.
//
// More rows: one stream after the other, the weights of a quad being in the first cache after the first stream. Up to 6 × 4 sums, and a
// mask is used for all rows. The totals of a large tile live in memory between quads, so few steps want a small tile.
#include <immintrin.h>

#include <cstring>

#include "avx512/output_stage.h"
#include "gemv/gemv_kernels.h"

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::size_t kVector = kGemvVectorBytes;
// How far ahead of use weights are fetched, in bytes.
constexpr std::size_t kPrefetch = 4096;
// Steps of a quad from which on a large tile pays.
constexpr std::size_t kManySteps = 8;
constexpr std::size_t kSmallTileRows = 3;

TRITFORGE_INLINE __m512i load(const void* p) { return _mm512_loadu_si512(p); }

TRITFORGE_INLINE __m512i broadcast(const void* p) {
  std::int32_t dword;
  std::memcpy(&dword, p, sizeof dword);
  return _mm512_set1_epi32(dword);
}

// The same value, of which the compiler does not know so: g++ 12 would give sums that start alike one register, and copy in the loop.
TRITFORGE_INLINE __m512i own_register(__m512i value) {
  __asm__("" : "+v"(value));
  return value;
}

TRITFORGE_INLINE void add_products(__m512i& sum, __m512i weights, __m512i values) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(values));
}

TRITFORGE_INLINE void prefetch(const std::uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }

// sum + c_0·s_0 + … + c_3·s_3 where acc[s] = 4^s·s_s, codes = bytes c_0…c_3 of each output.
TRITFORGE_INLINE __m512i add_streams(__m512i sum, const __m512i (&acc)[4], __m512i codes) {
  constexpr __mmask32 kUpper = 0xaaaaaaaa;
  const __m512i even = _mm512_mask_blend_epi16(kUpper, acc[0], _mm512_slli_epi32(acc[2], 12));
  const __m512i odd = _mm512_mask_blend_epi16(kUpper, _mm512_srai_epi32(acc[1], 2), _mm512_slli_epi32(acc[3], 10));
  sum = _mm512_dpwssd_epi32(sum, even, _mm512_and_si512(codes, _mm512_set1_epi16(0xff)));
  return _mm512_dpwssd_epi32(sum, odd, _mm512_srli_epi16(codes, 8));
}

template <int Blocks>
TRITFORGE_INLINE void one_row_run(const GemvRun& run, const std::uint8_t*& w, const std::int8_t*& x, const std::int32_t*& corrections,
                                  __m512i (&sums)[Blocks]) {
  const __m512i masks[4] = {_mm512_set1_epi8(3), _mm512_set1_epi8(12), _mm512_set1_epi8(48), _mm512_set1_epi8(-64)};
  const std::size_t stream = 4 * run.steps;
  for (std::size_t quad = 0; quad < run.quads; ++quad) {
    __m512i acc[Blocks][4];
#pragma GCC unroll 16
    for (int s = 0; s < 4; ++s) {
      const __m512i start = broadcast(corrections + s);
#pragma GCC unroll 16
      for (int n = 0; n < Blocks; ++n) acc[n][s] = own_register(start);
    }
    std::size_t step = 0;
    do {
      __m512i values[4];
#pragma GCC unroll 16
      for (int s = 0; s < 4; ++s) values[s] = broadcast(x + s * stream + 4 * step);
#pragma GCC unroll 16
      for (int n = 0; n < Blocks; ++n) {
        const __m512i codes = load(w + n * kVector);
        prefetch(w + n * kVector + kPrefetch);
#pragma GCC unroll 16
        for (int s = 0; s < 4; ++s) {
          add_products(acc[n][s], _mm512_and_si512(codes, masks[s]), values[s]);
        }
      }
      w += Blocks * kVector;
    } while (++step < run.steps);
#pragma GCC unroll 16
    for (int n = 0; n < Blocks; ++n) {
      sums[n] = add_streams(sums[n], acc[n], load(w + n * kVector));
      prefetch(w + n * kVector + kPrefetch);
    }
    w += Blocks * kVector;
    x += 4 * stream;
    corrections += 4;
  }
}

template <int Blocks>
void one_row(const GemvTile& t) noexcept {
  __m512i sums[Blocks];
#pragma GCC unroll 16
  for (int n = 0; n < Blocks; ++n) sums[n] = _mm512_setzero_si512();
  const std::uint8_t* w = t.panel;
  const std::int8_t* x = t.rows;
  const std::int32_t* corrections = t.corrections;
  one_row_run<Blocks>(t.main, w, x, corrections, sums);
  one_row_run<Blocks>(t.tail, w, x, corrections, sums);
#pragma GCC unroll 16
  for (int n = 0; n < Blocks; ++n) _mm512_storeu_si512(t.sums + n * kGemvBlock, sums[n]);
}

// One stream of a quad. `w` is the quad, `x` and `corrections` the first row's stream.
template <int Stream, int Rows, int Blocks>
TRITFORGE_INLINE void add_stream(const GemvTile& t, std::size_t steps, const std::uint8_t* w, const std::int8_t* x,
                                 const std::int32_t* corrections, __m512i (&sums)[Rows][Blocks]) {
  const __m512i mask = _mm512_set1_epi8(static_cast<char>(3 << 2 * Stream));
  __m512i acc[Rows][Blocks];
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
    const __m512i start = broadcast(corrections + m * t.correction_stride);
#pragma GCC unroll 16
    for (int n = 0; n < Blocks; ++n) acc[m][n] = start;
  }
  for (std::size_t step = 0; step < steps; ++step, w += Blocks * kVector) {
    __m512i weights[Blocks];
#pragma GCC unroll 16
    for (int n = 0; n < Blocks; ++n) weights[n] = _mm512_and_si512(mask, load(w + n * kVector));
    prefetch(w + Stream * kVector % (Blocks * kVector) + kPrefetch);
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
      const __m512i values = broadcast(x + m * t.row_stride + 4 * step);
#pragma GCC unroll 16
      for (int n = 0; n < Blocks; ++n) acc[m][n] = _mm512_dpbusd_epi32(acc[m][n], weights[n], values);
    }
  }
#pragma GCC unroll 16
  for (int n = 0; n < Blocks; ++n) {
    const __m512i codes = _mm512_and_si512(_mm512_srli_epi32(load(w + n * kVector), 8 * Stream), _mm512_set1_epi32(0xff));
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
      sums[m][n] = _mm512_dpwssd_epi32(sums[m][n], _mm512_srai_epi32(acc[m][n], 2 * Stream), codes);
    }
  }
}

template <int Rows, int Blocks>
TRITFORGE_INLINE void some_rows_run(const GemvTile& t, const GemvRun& run, const std::uint8_t*& w, const std::int8_t*& x,
                                    const std::int32_t*& corrections, __m512i (&sums)[Rows][Blocks]) {
  const std::size_t stream = 4 * run.steps;
  for (std::size_t quad = 0; quad < run.quads; ++quad) {
    add_stream<0>(t, run.steps, w, x, corrections, sums);
    add_stream<1>(t, run.steps, w, x + stream, corrections + 1, sums);
    add_stream<2>(t, run.steps, w, x + 2 * stream, corrections + 2, sums);
    add_stream<3>(t, run.steps, w, x + 3 * stream, corrections + 3, sums);
    w += (run.steps + 1) * Blocks * kVector;
    x += 4 * stream;
    corrections += 4;
  }
}

template <int Rows, int Blocks>
void some_rows(const GemvTile& t) noexcept {
  __m512i sums[Rows][Blocks];
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
    for (int n = 0; n < Blocks; ++n) sums[m][n] = _mm512_setzero_si512();
  }
  const std::uint8_t* w = t.panel;
  const std::int8_t* x = t.rows;
  const std::int32_t* corrections = t.corrections;
  some_rows_run(t, t.main, w, x, corrections, sums);
  some_rows_run(t, t.tail, w, x, corrections, sums);
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
    for (int n = 0; n < Blocks; ++n) _mm512_storeu_si512(t.sums + m * kGemvPanel + n * kGemvBlock, sums[m][n]);
  }
}

std::size_t tile_rows(std::size_t steps) noexcept { return steps >= kManySteps ? kGemvMaxTileRows : kSmallTileRows; }

// Σ x of each stream times −4^s, a masked vector per stream: a stream has at most 16 dwords.
void correct_run(const std::int8_t*& x, const GemvRun& run, std::int32_t*& corrections) {
  const __m512i ones = _mm512_set1_epi8(1);
  const __mmask16 dwords = static_cast<__mmask16>((1u << run.steps) - 1);
  for (std::size_t stream = 0; stream < 4 * run.quads; ++stream, x += 4 * run.steps) {
    const __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, _mm512_maskz_loadu_epi32(dwords, x));
    *corrections++ = -(_mm512_reduce_add_epi32(sums) * (1 << 2 * (stream % 4)));
  }
}

void correct(const std::int8_t* row, const GemvRun& main, const GemvRun& tail, std::int32_t* corrections) noexcept {
  correct_run(row, main, corrections);
  correct_run(row, tail, corrections);
}

TRITFORGE_INLINE __mmask16 first_of_16(std::size_t count) {
  return count >= 16 ? 0xffff : static_cast<__mmask16>((1u << count) - 1);
}

// The largest |x| as bits: they are in the order of the values, infinities and NaNs above all.
std::uint32_t largest_magnitude(const float* x, std::size_t depth) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i largest[4] = {};
  std::size_t k = 0;
  for (; k + 64 <= depth; k += 64) {
#pragma GCC unroll 16
    for (int i = 0; i < 4; ++i) largest[i] = _mm512_max_epu32(largest[i], _mm512_and_si512(magnitude, load(x + k + 16 * i)));
  }
  for (; k < depth; k += 16) {
    const __m512i bits = _mm512_maskz_loadu_epi32(first_of_16(depth - k), x + k);
    largest[0] = _mm512_max_epu32(largest[0], _mm512_and_si512(magnitude, bits));
  }
  return _mm512_reduce_max_epu32(
      _mm512_max_epu32(_mm512_max_epu32(largest[0], largest[1]), _mm512_max_epu32(largest[2], largest[3])));
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
  const __m512 divisor = _mm512_set1_ps(scale), limit = _mm512_set1_ps(127.0f);
  for (std::size_t k = 0; k < depth; k += 16) {
    const __mmask16 mask = first_of_16(depth - k);
    const __m512 code = _mm512_div_ps(_mm512_maskz_loadu_ps(mask, x + k), divisor);
    const __m512 clipped = _mm512_max_ps(_mm512_min_ps(code, limit), _mm512_sub_ps(_mm512_setzero_ps(), limit));
    _mm_mask_storeu_epi8(q + k, mask, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(clipped)));
  }
  return scale;
}

void scale(const std::int32_t* sums, std::size_t count, float scale, const float* channel_scales, const float* bias,
           float* y) noexcept {
  for (std::size_t i = 0; i < count; i += 16) {
    const __mmask16 mask = first_of_16(count - i);
    const __m512 factor = _mm512_mul_ps(_mm512_set1_ps(scale), _mm512_maskz_loadu_ps(mask, channel_scales + i));
    __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(mask, sums + i)), factor);
    if (bias != nullptr) product = _mm512_add_ps(product, _mm512_maskz_loadu_ps(mask, bias + i));
    _mm512_mask_storeu_ps(y + i, mask, product);
  }
}

void store(const std::int32_t* sums, const OutputTile& tile) noexcept {
  __m512i vectors[1][kGemvPanelBlocks];
#pragma GCC unroll 16
  for (std::size_t n = 0; n < kGemvPanelBlocks; ++n) vectors[0][n] = load(sums + n * kGemvBlock);
  avx512::store_tile(vectors, tile);
}

#undef TRITFORGE_INLINE

}  // namespace

const GemvKernels kGemvAvx512{
    Isa::avx512,
    "u8_gemv2__avx512",
    "f32_gemv2__avx512",
    {{one_row<1>, one_row<2>, one_row<3>, one_row<4>},
     {some_rows<2, 1>, some_rows<2, 2>, some_rows<2, 3>, some_rows<2, 4>},
     {some_rows<3, 1>, some_rows<3, 2>, some_rows<3, 3>, some_rows<3, 4>},
     {some_rows<4, 1>, some_rows<4, 2>, some_rows<4, 3>, some_rows<4, 4>},
     {some_rows<5, 1>, some_rows<5, 2>, some_rows<5, 3>, some_rows<5, 4>},
     {some_rows<6, 1>, some_rows<6, 2>, some_rows<6, 3>, some_rows<6, 4>}},
    tile_rows,
    correct,
    quantize,
    scale,
    store,
};

}  // namespace tritforge

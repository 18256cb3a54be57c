// Few rows of activations against 2-bit weights by AVX-512 VNNI. Payload, streams and corrections: layouts/gemv2.h.
//
// Biased: weights stay t + 1, x is int8.
//
//   acc_s[o] = −4^s·Σ x + Σ_steps Σ_4 (byte & 3·4^s)·x = 4^s·Σ t·x            a sum for each stream s and output o
//   sum[o]  += Σ_s c_s·(acc_s >> 2s)
//
//   |Σ t·x| <= 64·128 fits in int16, so that two streams share a vpdpwssd: streams 0 and 2 as the halves of a dword
//   against (c_0, c_2), and 1 and 3 likewise. Shifting left by 16 − 2s puts the sum of stream s in the upper half and
//   drops its factor as well.
//
//   One row takes all four streams at once, 16 sums in registers, and each byte of weights is loaded once. A step of
//   four blocks is 4 loads of weights, 4 broadcasts of x, 16 vpandd and 16 vpdpbusd: 8 cycles for 256 bytes, which is
//   more than the third cache gives. Several rows take one stream after the other, a quad of weights staying in the
//   first cache, and a mask serves all rows.
//
// Decoded: weights become t·c as int8, x is uint8, and sums need no care at the end of a segment. For small groups and
// several rows.
//
//   t·c = ((byte >> 2s) & 3)·c − c              a product of words: two t + 1 at once, without a carry
//
// Products are asm statements: g++ 12 otherwise copies and spills the sums, at two thirds of the speed.
#include "avx512/gemv2.h"

#include <immintrin.h>

#include <cstring>

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::size_t kVector = kGemvVectorBytes;
// How far ahead of use weights are fetched, in bytes. 2048…8192 are as good as equal, cold and warm.
constexpr std::size_t kPrefetch = 4096;

TRITFORGE_INLINE __m512i load(const void* p) { return _mm512_loadu_si512(p); }

TRITFORGE_INLINE __m512i broadcast(const void* p) {
  std::int32_t dword;
  std::memcpy(&dword, p, sizeof dword);
  return _mm512_set1_epi32(dword);
}

// The same value, of which the compiler does not know so: sums that start alike would get one register, and copies in
// the loop.
TRITFORGE_INLINE __m512i own_register(__m512i value) {
  __asm__("" : "+v"(value));
  return value;
}

TRITFORGE_INLINE void add_products(__m512i& sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
}

TRITFORGE_INLINE void prefetch(const std::uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }

// sum + Σ c_s·(acc[s] >> 2s), codes being the bytes c_0…c_3 of each output.
TRITFORGE_INLINE __m512i add_streams(__m512i sum, const __m512i (&acc)[4], __m512i codes) {
  constexpr __mmask32 kUpper = 0xaaaaaaaa;
  const __m512i even = _mm512_mask_blend_epi16(kUpper, acc[0], _mm512_slli_epi32(acc[2], 12));
  const __m512i odd = _mm512_mask_blend_epi16(kUpper, _mm512_srai_epi32(acc[1], 2), _mm512_slli_epi32(acc[3], 10));
  sum = _mm512_dpwssd_epi32(sum, even, _mm512_and_si512(codes, _mm512_set1_epi16(0xff)));
  return _mm512_dpwssd_epi32(sum, odd, _mm512_srli_epi16(codes, 8));
}

// Where a tile has come to: the weights, and of the first row the activations and corrections.
struct Position {
  const std::uint8_t* w;
  const std::uint8_t* x;
  const std::int32_t* corrections;
};

template <int Blocks>
TRITFORGE_INLINE void one_row_run(const GemvRun& run, Position& at, std::int32_t* sums) {
  const __m512i masks[4] = {_mm512_set1_epi8(3), _mm512_set1_epi8(12), _mm512_set1_epi8(48), _mm512_set1_epi8(-64)};
  const std::size_t stream = 4 * run.steps;
  for (std::size_t quad = 0; quad < run.quads; ++quad) {
    __m512i acc[Blocks][4];
#pragma GCC unroll 16
    for (int s = 0; s < 4; ++s) {
      const __m512i start = broadcast(at.corrections + s);
#pragma GCC unroll 16
      for (int n = 0; n < Blocks; ++n) acc[n][s] = own_register(start);
    }
    std::size_t step = 0;
    do {
      __m512i values[4];
#pragma GCC unroll 16
      for (int s = 0; s < 4; ++s) values[s] = broadcast(at.x + s * stream + 4 * step);
#pragma GCC unroll 16
      for (int n = 0; n < Blocks; ++n) {
        const __m512i bits = load(at.w + n * kVector);
        prefetch(at.w + n * kVector + kPrefetch);
#pragma GCC unroll 16
        for (int s = 0; s < 4; ++s) add_products(acc[n][s], _mm512_and_si512(bits, masks[s]), values[s]);
      }
      at.w += Blocks * kVector;
    } while (++step < run.steps);
#pragma GCC unroll 16
    for (int n = 0; n < Blocks; ++n) {
      std::int32_t* const sum = sums + n * kGemvBlock;
      _mm512_storeu_si512(sum, add_streams(load(sum), acc[n], load(at.w + n * kVector)));
      prefetch(at.w + n * kVector + kPrefetch);
    }
    at.w += Blocks * kVector;
    at.x += 4 * stream;
    at.corrections += 4;
  }
}

template <int Blocks>
void one_row(const GemvTile& t) noexcept {
#pragma GCC unroll 16
  for (int n = 0; n < Blocks; ++n) _mm512_storeu_si512(t.sums + n * kGemvBlock, _mm512_setzero_si512());
  Position at{t.panel, t.rows, t.corrections};
  one_row_run<Blocks>(t.main, at, t.sums);
  one_row_run<Blocks>(t.tail, at, t.sums);
}

// One stream of a quad for several rows, with biased weights.
struct Biased {
  template <int Stream, int Rows, int Blocks>
  static TRITFORGE_INLINE void add_stream(const GemvTile& t, std::size_t steps, const Position& at,
                                          __m512i (&sums)[Rows][Blocks]) {
    const __m512i mask = _mm512_set1_epi8(static_cast<char>(3 << 2 * Stream));
    const std::uint8_t *w = at.w, *x = at.x + Stream * 4 * steps;
    __m512i acc[Rows][Blocks];
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
      const __m512i start = broadcast(at.corrections + m * t.correction_stride + Stream);
#pragma GCC unroll 16
      for (int n = 0; n < Blocks; ++n) acc[m][n] = own_register(start);
    }
    std::size_t step = 0;
    do {
      __m512i weights[Blocks];
#pragma GCC unroll 16
      for (int n = 0; n < Blocks; ++n) weights[n] = _mm512_and_si512(mask, load(w + n * kVector));
      prefetch(w + Stream % Blocks * kVector + kPrefetch);
#pragma GCC unroll 16
      for (int m = 0; m < Rows; ++m) {
        const __m512i values = broadcast(x + m * t.row_stride + 4 * step);
#pragma GCC unroll 16
        for (int n = 0; n < Blocks; ++n) add_products(acc[m][n], weights[n], values);
      }
      w += Blocks * kVector;
    } while (++step < steps);
#pragma GCC unroll 16
    for (int n = 0; n < Blocks; ++n) {
      const __m512i codes =
          _mm512_and_si512(_mm512_srli_epi32(load(w + n * kVector), 8 * Stream), _mm512_set1_epi32(0xff));
#pragma GCC unroll 16
      for (int m = 0; m < Rows; ++m) {
        sums[m][n] = _mm512_dpwssd_epi32(sums[m][n], _mm512_srai_epi32(acc[m][n], 2 * Stream), codes);
      }
    }
  }
};

// The same with decoded weights.
struct Decoded {
  template <int Stream, int Rows, int Blocks>
  static TRITFORGE_INLINE void add_stream(const GemvTile& t, std::size_t steps, const Position& at,
                                          __m512i (&sums)[Rows][Blocks]) {
    const std::uint8_t *w = at.w, *x = at.x + Stream * 4 * steps;
    // The group code of the stream as both words of a dword, and as all its bytes.
    constexpr char kByte = Stream;
    const __m512i to_words =
        _mm512_broadcast_i32x4(_mm_setr_epi8(kByte, -1, kByte, -1, 4 + kByte, -1, 4 + kByte, -1,  //
                                             8 + kByte, -1, 8 + kByte, -1, 12 + kByte, -1, 12 + kByte, -1));
    __m512i words[Blocks], bytes[Blocks];
#pragma GCC unroll 16
    for (int n = 0; n < Blocks; ++n) {
      words[n] = _mm512_shuffle_epi8(load(w + (steps * Blocks + n) * kVector), to_words);
      bytes[n] = _mm512_or_si512(words[n], _mm512_slli_epi16(words[n], 8));
    }
    const __m512i low_bits = _mm512_set1_epi8(3);
    std::size_t step = 0;
    do {
      __m512i values[Rows];
#pragma GCC unroll 16
      for (int m = 0; m < Rows; ++m) values[m] = broadcast(x + m * t.row_stride + 4 * step);
      prefetch(w + Stream % Blocks * kVector + kPrefetch);
#pragma GCC unroll 16
      for (int n = 0; n < Blocks; ++n) {
        const __m512i biased = _mm512_and_si512(_mm512_srli_epi16(load(w + n * kVector), 2 * Stream), low_bits);
        const __m512i weights = _mm512_sub_epi8(_mm512_mullo_epi16(biased, words[n]), bytes[n]);
#pragma GCC unroll 16
        for (int m = 0; m < Rows; ++m) add_products(sums[m][n], values[m], weights);
      }
      w += Blocks * kVector;
    } while (++step < steps);
  }
};

template <typename Weights, int Rows, int Blocks>
TRITFORGE_INLINE void rows_run(const GemvTile& t, const GemvRun& run, Position& at, __m512i (&sums)[Rows][Blocks]) {
  for (std::size_t quad = 0; quad < run.quads; ++quad) {
    Weights::template add_stream<0>(t, run.steps, at, sums);
    Weights::template add_stream<1>(t, run.steps, at, sums);
    Weights::template add_stream<2>(t, run.steps, at, sums);
    Weights::template add_stream<3>(t, run.steps, at, sums);
    at.w += (run.steps + 1) * Blocks * kVector;
    at.x += 4 * 4 * run.steps;
    at.corrections += 4;
  }
}

template <typename Weights, int Rows, int Blocks>
void several_rows(const GemvTile& t) noexcept {
  __m512i sums[Rows][Blocks];
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
    for (int n = 0; n < Blocks; ++n) sums[m][n] = own_register(_mm512_setzero_si512());
  }
  Position at{t.panel, t.rows, t.corrections};
  rows_run<Weights>(t, t.main, at, sums);
  rows_run<Weights>(t, t.tail, at, sums);
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
    for (int n = 0; n < Blocks; ++n) _mm512_storeu_si512(t.sums + m * t.sums_stride + n * kGemvBlock, sums[m][n]);
  }
}

#define TRITFORGE_TILES(weights, rows)                                                             \
  {several_rows<weights, rows, 1>, several_rows<weights, rows, 2>, several_rows<weights, rows, 3>, \
   several_rows<weights, rows, 4>}
#define TRITFORGE_BIASED_TILES                       \
  {{one_row<1>, one_row<2>, one_row<3>, one_row<4>}, \
   TRITFORGE_TILES(Biased, 2),                       \
   TRITFORGE_TILES(Biased, 3),                       \
   TRITFORGE_TILES(Biased, 4)}
// The sums of four rows live in memory between streams, which takes long streams.
constexpr GemvMethod kBiasedLong{4, false, TRITFORGE_BIASED_TILES};
constexpr GemvMethod kBiasedShort{3, false, TRITFORGE_BIASED_TILES};
constexpr GemvMethod kDecoded{4,
                              true,
                              {TRITFORGE_TILES(Decoded, 1), TRITFORGE_TILES(Decoded, 2), TRITFORGE_TILES(Decoded, 3),
                               TRITFORGE_TILES(Decoded, 4)}};
#undef TRITFORGE_BIASED_TILES
#undef TRITFORGE_TILES
#undef TRITFORGE_INLINE

// Measured on Zen 5; 4, 2 and 1 steps are groups of 16, 8 and 4.
constexpr std::size_t kLongSteps = 8, kShortSteps = 4, kFewRows = 2;

}  // namespace

const GemvMethod& gemv_method__avx512(std::size_t rows, std::size_t steps) noexcept {
  if (steps >= kLongSteps) return kBiasedLong;
  return steps >= kShortSteps || rows <= kFewRows ? kBiasedShort : kDecoded;
}

}  // namespace tritforge

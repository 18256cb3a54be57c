// Microkernels of Layout::table27 on AVX-512 VBMI: units and indices are drawn in layouts/table27.h.
//
// look_up, for 64 outputs and up to three pixels: each lookup loads two vectors of indices and, for each pixel, one of tables;
// vpermb is the lookup, bytes sum up over a span. vpdpbusd then multiplies the byte sums (unsigned) by group codes (signed) and adds
// the four bytes of an output, exactly. Per 64 × 64 weights and pixel: 22 vpermb, 18 vpaddb, 4 vpblendmw, 4 vpdpbusd, of which Zen 5 starts
// four a cycle, two of them vpermb.
//
//   tile        3 pixels × 64 outputs: 12 vectors of sums, 12 of byte sums, 2 of indices, 3 that pass
//
// Lookups are written as assembly because compilers, free to reorder them, hoist the vpermb of several lookups and spill
// (g++ 12: 121 multiplications per cycle instead of 266).
#include <immintrin.h>

#include "avx512/output_stage.h"
#include "convolution/table_block.h"
#include "layouts/table27.h"

namespace tritforge {
namespace {

using namespace table27;

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr int kPixels = kTableTilePixels;

template <int Offset>
TRITFORGE_INLINE __m512i load(const std::uint8_t* from) {
  __m512i v;
  asm volatile("vmovdqa64 %c1(%2), %0" : "=v"(v) : "n"(Offset), "r"(from));
  return v;
}

// sums = lookups of both halves of the outputs in the tables at `tables` + Offset.
template <int Offset>
TRITFORGE_INLINE void begin_sums(__m512i low, __m512i high, const std::uint8_t* tables, __m512i (&sums)[2]) {
  __m512i table;
  asm volatile(
      "vmovdqa64 %c[offset](%[tables]), %[table]\n\t"
      "vpermb %[table], %[low], %[sum0]\n\t"
      "vpermb %[table], %[high], %[sum1]"
      : [sum0] "=&v"(sums[0]), [sum1] "=&v"(sums[1]), [table] "=&v"(table)
      : [low] "v"(low), [high] "v"(high), [tables] "r"(tables), [offset] "n"(Offset));
}

// sums += lookups.
template <int Offset>
TRITFORGE_INLINE void add_to_sums(__m512i low, __m512i high, const std::uint8_t* tables, __m512i (&sums)[2]) {
  __m512i table, first, second;
  asm volatile(
      "vmovdqa64 %c[offset](%[tables]), %[table]\n\t"
      "vpermb %[table], %[low], %[first]\n\t"
      "vpermb %[table], %[high], %[second]\n\t"
      "vpaddb %[first], %[sum0], %[sum0]\n\t"
      "vpaddb %[second], %[sum1], %[sum1]"
      : [sum0] "+v"(sums[0]), [sum1] "+v"(sums[1]), [table] "=&v"(table), [first] "=&v"(first), [second] "=&v"(second)
      : [low] "v"(low), [high] "v"(high), [tables] "r"(tables), [offset] "n"(Offset));
}

// Byte sums of one span: lookups First … First + Count − 1.
template <int Pixels, int First, int Count, bool IsFirst = true>
TRITFORGE_INLINE void sum_span(const std::uint8_t* indices, const std::uint8_t* const (&tables)[Pixels],
                               __m512i (&sums)[Pixels][2]) {
  if constexpr (Count > 0) {
    const __m512i low = load<First * 128>(indices), high = load<First * 128 + 64>(indices);
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) {
      if constexpr (IsFirst) begin_sums<First * 64>(low, high, tables[p], sums[p]);
      else add_to_sums<First * 64>(low, high, tables[p], sums[p]);
    }
    sum_span<Pixels, First + 1, Count - 1, false>(indices, tables, sums);
  }
}

// sums[p] += codes · bytes, where the bytes of spans A and B are mixed to dwords of one output each.
template <int Pixels, bool HasB>
TRITFORGE_INLINE void multiply(const std::uint8_t* codes, const __m512i (&a)[Pixels][2], const __m512i (&b)[Pixels][2],
                               __m512i (&sums)[Pixels][4]) {
  constexpr __mmask32 kOddWords = 0xaaaaaaaa;
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    const __m512i even = _mm512_load_si512(codes + half * 128), odd = _mm512_load_si512(codes + half * 128 + 64);
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) {
      __m512i &first = sums[p][2 * half], &second = sums[p][2 * half + 1];
      first = _mm512_dpbusd_epi32(first, HasB ? _mm512_mask_blend_epi16(kOddWords, a[p][half], b[p][half]) : a[p][half], even);
      second = _mm512_dpbusd_epi32(second, HasB ? _mm512_mask_blend_epi16(kOddWords, b[p][half], a[p][half]) : a[p][half], odd);
    }
  }
}

template <UnitKind Kind, int Pixels>
void look_up_pixels(const TableLookup& t) noexcept {
  constexpr int kA = kUnits[Kind].spans[0].lookups, kB = kUnits[Kind].spans[1].lookups;
  __m512i sums[Pixels][4];
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
    const std::int32_t* const from = t.start != nullptr ? t.start : t.sums + p * t.sums_stride;
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) sums[p][n] = _mm512_load_si512(from + n * 16);
  }
  const std::uint8_t* indices = t.indices;
  for (std::size_t step = 0; step < t.steps; ++step, indices += unit_bytes(Kind)) {
    const std::uint8_t* tables[Pixels];
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) tables[p] = t.tables[p] + t.offsets[step];
    __m512i a[Pixels][2], b[Pixels][2];
    sum_span<Pixels, 0, kA>(indices, tables, a);
    if constexpr (kB > 0) sum_span<Pixels, kA, kB>(indices, tables, b);
    multiply<Pixels, (kB > 0)>(indices + (kA + kB) * 128, a, b, sums);
  }
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) _mm512_store_si512(t.sums + p * t.sums_stride + n * 16, sums[p][n]);
  }
}

template <UnitKind Kind>
void look_up_unit(const TableLookup& t) noexcept {
  switch (t.pixels) {
    case 1: return look_up_pixels<Kind, 1>(t);
    case 2: return look_up_pixels<Kind, 2>(t);
    default: return look_up_pixels<Kind, kPixels>(t);
  }
}

void look_up(int unit, const TableLookup& t) noexcept {
  switch (unit) {
    case kWide: return look_up_unit<kWide>(t);
    case kNarrow: return look_up_unit<kNarrow>(t);
    case kTail16: return look_up_unit<kTail16>(t);
    case kTail32: return look_up_unit<kTail32>(t);
    default: return look_up_unit<kTail48>(t);
  }
}

// --- tables
//
// Entries of a table are sums of two parts, apart from those with t0 = t1 = 0:
//
//   byte    8·pair + 4·lane + third      pair sum of the lane (t0·a + t1·b)   +   0, c, 15 − c, 0 by `third`
//
// Pair sums of three lookups are made at once in a vector of sources, [lookup of three][lane] of 8 pair sums, c and 15 − c; a vpermb
// spreads them, with third 3 taking 0, c and 15 − c instead. The second part is one qword, {0, c, 15 − c, 0} of both lanes, broadcast
// on loading.

constexpr int kSourcesPerVector = 3, kSourceBytes = 10, kZeroSource = 60;
constexpr int kMostLookups = 12, kMostSources = kMostLookups / kSourcesPerVector;

// A vector of bytes picked from 64 codes and, with bit 6, from their complements 15 − code; 0 where the mask has no bit.
struct Pick {
  alignas(64) std::uint8_t from[64] = {};
  std::uint64_t mask = 0;

  constexpr void set(int byte, int input, int sign) {
    if (input < 0 || sign == 0) return;
    from[byte] = static_cast<std::uint8_t>(sign > 0 ? input : input | 64);
    mask |= std::uint64_t{1} << byte;
  }
};

struct BuildPlan {
  Pick first[kMostSources], second[kMostSources];  // addends of the sources
  Pick thirds[2];                                  // qwords of all lookups
};

// Input of a place in a triple, or −1 where the span has none.
constexpr int input_of(const Unit& unit, int lookup, int lane, int place) {
  const bool in_a = lookup < unit.spans[0].lookups;
  const Span& span = unit.spans[in_a ? 0 : 1];
  const int at = 3 * (in_a ? lookup : lookup - unit.spans[0].lookups) + place;
  return at < span.inputs ? span.first + lane * span.lane_stride + at : -1;
}

constexpr BuildPlan make_build_plan(UnitKind kind) {
  BuildPlan plan;
  for (int lookup = 0; lookup < lookups(kind); ++lookup) {
    for (int lane = 0; lane < 2; ++lane) {
      const int a = input_of(kUnits[kind], lookup, lane, 0), b = input_of(kUnits[kind], lookup, lane, 1);
      const int c = input_of(kUnits[kind], lookup, lane, 2);
      Pick& first = plan.first[lookup / kSourcesPerVector];
      Pick& second = plan.second[lookup / kSourcesPerVector];
      const int source = (lookup % kSourcesPerVector * 2 + lane) * kSourceBytes;
      for (int t0 = -1; t0 <= 1; ++t0) {
        for (int t1 = -1; t1 <= 1; ++t1) {
          if (t0 == 0 && t1 == 0) continue;
          const int pair = entry_position(t0, t1, 0, 0) / 8;
          first.set(source + pair, a, t0);
          second.set(source + pair, b, t1);
        }
      }
      first.set(source + 8, c, 1);
      first.set(source + 9, c, -1);
      const int third = lookup * 8 + lane * 4;
      plan.thirds[third / 64].set(third % 64 + 1, c, 1);
      plan.thirds[third / 64].set(third % 64 + 2, c, -1);
    }
  }
  return plan;
}

// Source byte of each byte of the tables of a lookup.
struct Spread {
  alignas(64) std::uint8_t from[kSourcesPerVector][64] = {};
};

constexpr Spread make_spread() {
  Spread spread;
  for (int lookup = 0; lookup < kSourcesPerVector; ++lookup) {
    for (int byte = 0; byte < 64; ++byte) {
      const int pair = byte / 8, lane = byte / 4 % 2, third = byte % 4, source = (lookup * 2 + lane) * kSourceBytes;
      const int of_third = pair == 1 ? source + 8 : pair == 2 ? source + 9 : kZeroSource;
      spread.from[lookup][byte] = static_cast<std::uint8_t>(third < 3 ? source + pair : of_third);
    }
  }
  return spread;
}

constexpr BuildPlan kBuildPlans[kUnitKinds] = {make_build_plan(kWide), make_build_plan(kNarrow), make_build_plan(kTail16),
                                               make_build_plan(kTail32), make_build_plan(kTail48)};
constexpr Spread kSpread = make_spread();

TRITFORGE_INLINE __m512i pick(const Pick& p, __m512i codes, __m512i complements) {
  return _mm512_maskz_permutex2var_epi8(p.mask, codes, _mm512_load_si512(p.from), complements);
}

template <UnitKind Kind, int Pixels>
TRITFORGE_INLINE void build_pixels(const std::uint8_t* const* inputs, __mmask64 readable, std::uint8_t* tables, std::size_t stride) {
  constexpr int kLookups = lookups(Kind);
  const BuildPlan& plan = kBuildPlans[Kind];
  alignas(64) std::uint8_t thirds[Pixels][128];
  __m512i codes[Pixels], complements[Pixels];
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
    codes[p] = _mm512_maskz_loadu_epi8(readable, inputs[p]);
    complements[p] = _mm512_sub_epi8(_mm512_set1_epi8(kMaxCode), codes[p]);
    _mm512_store_si512(thirds[p], pick(plan.thirds[0], codes[p], complements[p]));
    if constexpr (kLookups > 8) _mm512_store_si512(thirds[p] + 64, pick(plan.thirds[1], codes[p], complements[p]));
  }
#pragma GCC unroll 4
  for (int s = 0; s * kSourcesPerVector < kLookups; ++s) {
    __m512i sources[Pixels];
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) {
      sources[p] = _mm512_add_epi8(pick(plan.first[s], codes[p], complements[p]), pick(plan.second[s], codes[p], complements[p]));
    }
#pragma GCC unroll 4
    for (int i = 0; i < kSourcesPerVector; ++i) {
      const int lookup = s * kSourcesPerVector + i;
      if (lookup >= kLookups) break;
      const __m512i spread = _mm512_load_si512(kSpread.from[i]);
#pragma GCC unroll 4
      for (int p = 0; p < Pixels; ++p) {
        const __m512i third = _mm512_set1_epi64(*reinterpret_cast<const long long*>(thirds[p] + lookup * 8));
        _mm512_store_si512(tables + p * stride + lookup * 64, _mm512_add_epi8(_mm512_permutexvar_epi8(spread, sources[p]), third));
      }
    }
  }
}

template <UnitKind Kind>
void build_unit(const TablePixels& t) noexcept {
  constexpr std::size_t kTogether = 2;
  const __mmask64 readable = ~std::uint64_t{0} >> (64 - t.input_count);
  std::size_t p = 0;
  for (; p + kTogether <= t.count; p += kTogether) {
    build_pixels<Kind, kTogether>(t.inputs + p, readable, t.tables + p * t.stride, t.stride);
  }
  for (; p < t.count; ++p) build_pixels<Kind, 1>(t.inputs + p, readable, t.tables + p * t.stride, t.stride);
}

void build(int unit, const TablePixels& t) noexcept {
  switch (unit) {
    case kWide: return build_unit<kWide>(t);
    case kNarrow: return build_unit<kNarrow>(t);
    case kTail16: return build_unit<kTail16>(t);
    case kTail32: return build_unit<kTail32>(t);
    default: return build_unit<kTail48>(t);
  }
}

template <int Pixels>
TRITFORGE_INLINE void finish_pixels(const std::int32_t* from, std::size_t stride, const OutputTile& out) {
  __m512i sums[Pixels][4];
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) sums[p][n] = _mm512_load_si512(from + p * stride + n * 16);
  }
  avx512::store_tile(sums, out);
}

void finish(const std::int32_t* sums, std::size_t sums_stride, std::size_t pixels, const OutputTile& out) noexcept {
  switch (pixels) {
    case 1: return finish_pixels<1>(sums, sums_stride, out);
    case 2: return finish_pixels<2>(sums, sums_stride, out);
    default: return finish_pixels<kPixels>(sums, sums_stride, out);
  }
}

}  // namespace

const TableMicrokernels kTable27__avx512{Isa::avx512, build, look_up, finish};

}  // namespace tritforge

// Microkernels of Layout::table27 on AVX-512 VBMI: units and indices are drawn in layouts/table27.h.
//
// look_up, for 64 outputs and up to three pixels: each lookup loads two vectors of indices and, for each pixel, one of
// tables; vpermb is the lookup, bytes sum up over a span. vpdpbusd then multiplies the byte sums (unsigned) by group codes
// (signed) and adds the four bytes of an output, exactly. Per 64 × 64 weights and pixel: 22 vpermb, 18 vpaddb, 4 vpblendmw,
// 4 vpdpbusd, of which Zen 5 starts four a cycle, two of them vpermb.
//
//   tile        3 pixels × 64 outputs: 12 vectors of sums, 12 of byte sums, 2 of indices, 3 that pass
#include "layouts/table27.h"

#include "avx512/table_lookup.h"

namespace tritforge {
namespace {

using namespace table27;
using avx512::load_index;

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::ptrdiff_t kPanel = kPanelOutputs;

// sums[p] += codes · bytes for one half of the outputs, where bytes of spans A and B are mixed to dwords of one output
// each. `From` is the first byte of the codes in the unit.
template <int Pixels, bool HasB, int Half, int From>
TRITFORGE_INLINE void multiply(const std::uint8_t* unit, const __m512i (&a)[Pixels][2], const __m512i (&b)[Pixels][2],
                               __m512i (&sums)[Pixels][4]) {
  constexpr __mmask32 kOddWords = 0xaaaaaaaa;
  const __m512i even = load_index<From + Half * 128>(unit), odd = load_index<From + Half * 128 + 64>(unit);
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
    __m512i &first = sums[p][2 * Half], &second = sums[p][2 * Half + 1];
    const __m512i a_first = HasB ? _mm512_mask_blend_epi16(kOddWords, a[p][Half], b[p][Half]) : a[p][Half];
    const __m512i b_first = HasB ? _mm512_mask_blend_epi16(kOddWords, b[p][Half], a[p][Half]) : a[p][Half];
    first = _mm512_dpbusd_epi32(first, a_first, even);
    second = _mm512_dpbusd_epi32(second, b_first, odd);
  }
}

template <UnitKind Kind, int Pixels>
__attribute__((noinline)) void sum_tile(const std::uint8_t* const* from, const std::ptrdiff_t* offsets, std::size_t steps,
                                        const std::uint8_t* indices, const std::int32_t* start, std::int32_t* tile) noexcept {
  constexpr int kA = kUnits[Kind].spans[0].lookups, kB = kUnits[Kind].spans[1].lookups, kCodes = (kA + kB) * 128;
  __m512i sums[Pixels][4];
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) {
      sums[p][n] = _mm512_load_si512(start != nullptr ? start + n * 16 : tile + p * kPanel + n * 16);
    }
  }
  const std::uint8_t* windows[Pixels];
  avx512::copy_windows(from, windows);
  std::ptrdiff_t offset = offsets[0];
  for (std::size_t step = 0; step < steps; ++step, indices += unit_bytes(Kind)) {
    const std::uint8_t* tables[Pixels];
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) tables[p] = windows[p] + offset;
    offset = avx512::load_offset(offsets + step + 1);
    __m512i a[Pixels][2], b[Pixels][2];
    avx512::sum_lookups<Pixels, 2, 0, kA>(indices, tables, a);
    if constexpr (kB > 0) avx512::sum_lookups<Pixels, 2, kA, kB>(indices, tables, b);
    multiply<Pixels, (kB > 0), 0, kCodes>(indices, a, b, sums);
    multiply<Pixels, (kB > 0), 1, kCodes>(indices, a, b, sums);
  }
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) _mm512_store_si512(tile + p * kPanel + n * 16, sums[p][n]);
  }
}

template <UnitKind Kind>
struct Kernel {
  using Half = Kernel;
  static constexpr int kPanelOutputs = 64;
  static constexpr std::size_t kUnitBytes = unit_bytes(Kind);

  template <int Pixels>
  static constexpr auto sum = sum_tile<Kind, Pixels>;
};

void look_up(int unit, const TableGroup& g) noexcept {
  switch (unit) {
    case kWide: return avx512::look_up_group<Kernel<kWide>>(g);
    case kNarrow: return avx512::look_up_group<Kernel<kNarrow>>(g);
    case kTail16: return avx512::look_up_group<Kernel<kTail16>>(g);
    case kTail32: return avx512::look_up_group<Kernel<kTail32>>(g);
    default: return avx512::look_up_group<Kernel<kTail48>>(g);
  }
}

// --- tables
//
// Entries of a table are sums of two parts, apart from those with t0 = t1 = 0:
//
//   byte    8·pair + 4·lane + third      pair sum of the lane (t0·a + t1·b)   +   0, c, 15 − c, 0 by `third`
//
// Pair sums of three lookups are made at once in a vector of sources, [lookup of three][lane] of 8 pair sums, c and 15 − c;
// a vpermb spreads them, with third 3 taking 0, c and 15 − c instead. The second part is one qword, {0, c, 15 − c, 0} of
// both lanes, broadcast on loading.

constexpr int kSourcesPerVector = 3, kSourceBytes = 10, kZeroSource = 60;
constexpr int kMostLookups = 12, kMostSources = kMostLookups / kSourcesPerVector;

// A vector of bytes picked from 64 codes.
struct Pick {
  alignas(64) std::uint8_t from[64] = {};

  // An input that the span does not have, −1, meets no trit but 0: whatever is picked is not looked up.
  constexpr void set(int byte, int input) { from[byte] = static_cast<std::uint8_t>(input < 0 ? 0 : input); }
};

struct BuildPlan {
  Pick first[kMostSources], second[kMostSources];  // addends of the sources
  Pick thirds[2];                                  // qwords of all lookups
};

// Input of a place in a triple, or −1.
constexpr int input_of(const Unit& unit, int lookup, int lane, int place) {
  const bool in_a = lookup < unit.spans[0].lookups;
  const Span& span = unit.spans[in_a ? 0 : 1];
  const int at = 3 * (in_a ? lookup : lookup - unit.spans[0].lookups) + place;
  return at < span.inputs ? span.first + lane * span.lane_stride + at : -1;
}

// Signs by which pair sum number `pair` takes a and b.
struct Pair {
  int t0, t1;
};
constexpr Pair kPairs[8] = {{-1, -1}, {-1, 0}, {-1, 1}, {0, -1}, {0, 1}, {1, -1}, {1, 0}, {1, 1}};
static_assert(entry_position(kPairs[2].t0, kPairs[2].t1, 0, 0) == 2 * 8);
static_assert(entry_position(kPairs[6].t0, kPairs[6].t1, 0, 0) == 6 * 8);

constexpr BuildPlan make_build_plan(UnitKind kind) {
  BuildPlan plan;
  for (int lookup = 0; lookup < lookups(kind); ++lookup) {
    for (int lane = 0; lane < 2; ++lane) {
      const int a = input_of(kUnits[kind], lookup, lane, 0), b = input_of(kUnits[kind], lookup, lane, 1);
      const int c = input_of(kUnits[kind], lookup, lane, 2);
      Pick& first = plan.first[lookup / kSourcesPerVector];
      Pick& second = plan.second[lookup / kSourcesPerVector];
      const int source = (lookup % kSourcesPerVector * 2 + lane) * kSourceBytes;
      for (int pair = 0; pair < 8; ++pair) {
        first.set(source + pair, a);
        second.set(source + pair, b);
      }
      first.set(source + 8, c);
      first.set(source + 9, c);
      const int third = lookup * 8 + lane * 4;
      plan.thirds[third / 64].set(third % 64 + 1, c);
      plan.thirds[third / 64].set(third % 64 + 2, c);
    }
  }
  return plan;
}

// Signs of the addends of bytes, the same for all triples: where there is one (else the byte is 0), and 15 where it is
// negative. Complements 15 − code are code ^ 15. (vpermi2b could pick from codes and complements at once, but instructions
// of three operands delay stores: 19 cycles for the tables of a unit instead of 15.)
struct Signs {
  __mmask64 exists = 0;
  alignas(64) std::uint8_t flips[64] = {};

  constexpr void set(int byte, int sign) {
    if (sign != 0) exists |= std::uint64_t{1} << byte;
    flips[byte] = sign < 0 ? kMaxCode : 0;
  }
};

constexpr Signs source_signs(bool is_first) {
  Signs signs;
  for (int byte = 0; byte < kZeroSource; ++byte) {
    const int place = byte % kSourceBytes, of_third = is_first ? (place == 8 ? 1 : -1) : 0;
    signs.set(byte, place >= 8 ? of_third : is_first ? kPairs[place].t0 : kPairs[place].t1);
  }
  return signs;
}

constexpr Signs third_signs() {
  Signs signs;
  for (int byte = 0; byte < 64; ++byte) signs.set(byte, byte % 4 == 1 ? 1 : byte % 4 == 2 ? -1 : 0);
  return signs;
}

constexpr Signs kFirstSigns = source_signs(true), kSecondSigns = source_signs(false), kThirdSigns = third_signs();

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

// As assembly, because compilers make one instruction of three operands of the mask and the exclusive or.
TRITFORGE_INLINE __m512i pick(const Signs& signs, const Pick& p, __m512i codes) {
  __m512i picked;
  asm("vpermb %[codes], %[from], %[picked]%{%[exists]%}%{z%}\n\t"
      "vpxord %[flips], %[picked], %[picked]"
      : [picked] "=&v"(picked)
      : [codes] "v"(codes), [from] "v"(_mm512_load_si512(p.from)), [exists] "Yk"(signs.exists),
        [flips] "v"(_mm512_load_si512(signs.flips)));
  return picked;
}

// Tables of one unit of one pixel.
template <UnitKind Kind>
struct Builder {
  static constexpr int kInputs = kUnits[Kind].inputs;
  static constexpr std::size_t kTableBytes = table_bytes(Kind);

  TRITFORGE_INLINE void operator()(__m512i codes, std::uint8_t* thirds, std::uint8_t* tables) const {
    constexpr int kLookups = lookups(Kind);
    const BuildPlan& plan = kBuildPlans[Kind];
    _mm512_store_si512(thirds, pick(kThirdSigns, plan.thirds[0], codes));
    if constexpr (kLookups > 8) _mm512_store_si512(thirds + 64, pick(kThirdSigns, plan.thirds[1], codes));
#pragma GCC unroll 4
    for (int s = 0; s * kSourcesPerVector < kLookups; ++s) {
      const __m512i first = pick(kFirstSigns, plan.first[s], codes), second = pick(kSecondSigns, plan.second[s], codes);
      const __m512i sources = _mm512_add_epi8(first, second);
#pragma GCC unroll 4
      for (int i = 0; i < kSourcesPerVector; ++i) {
        const int lookup = s * kSourcesPerVector + i;
        if (lookup >= kLookups) break;
        const __m512i pairs = _mm512_permutexvar_epi8(_mm512_load_si512(kSpread.from[i]), sources);
        _mm512_store_si512(tables + lookup * 64, _mm512_add_epi8(pairs, avx512::broadcast_qword(thirds + lookup * 8)));
      }
    }
  }
};

void build(int unit, const TablePixels& t) noexcept {
  switch (unit) {
    case kWide: return avx512::build_tables(t, Builder<kWide>());
    case kNarrow: return avx512::build_tables(t, Builder<kNarrow>());
    case kTail16: return avx512::build_tables(t, Builder<kTail16>());
    case kTail32: return avx512::build_tables(t, Builder<kTail32>());
    default: return avx512::build_tables(t, Builder<kTail48>());
  }
}

}  // namespace

const TableMicrokernels kTable27__avx512{Isa::avx512, build, look_up};

}  // namespace tritforge

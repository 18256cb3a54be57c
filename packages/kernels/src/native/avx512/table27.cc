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

constexpr int kPixels = 3;
constexpr std::ptrdiff_t kPanel = kPanelOutputs;
// Indices stream from the second-level cache at 40 bytes a cycle; two units ahead hides its latency.
constexpr int kPrefetchBytes = 2 * static_cast<int>(unit_bytes(kWide));

template <int Offset>
TRITFORGE_INLINE __m512i load(const std::uint8_t* from) {
  __m512i v;
  asm volatile(
      "vmovdqa64 %c1(%2), %0\n\t"
      "prefetcht0 %c3(%2)"
      : "=v"(v)
      : "n"(Offset), "r"(from), "n"(Offset + kPrefetchBytes));
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

// sums[p] += codes · bytes for one half of the outputs, where bytes of spans A and B are mixed to dwords of one output each. `From` is
// the first byte of the codes in the unit.
template <int Pixels, bool HasB, int Half, int From>
TRITFORGE_INLINE void multiply(const std::uint8_t* unit, const __m512i (&a)[Pixels][2], const __m512i (&b)[Pixels][2],
                               __m512i (&sums)[Pixels][4]) {
  constexpr __mmask32 kOddWords = 0xaaaaaaaa;
  const __m512i even = load<From + Half * 128>(unit), odd = load<From + Half * 128 + 64>(unit);
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
    __m512i &first = sums[p][2 * Half], &second = sums[p][2 * Half + 1];
    first = _mm512_dpbusd_epi32(first, HasB ? _mm512_mask_blend_epi16(kOddWords, a[p][Half], b[p][Half]) : a[p][Half], even);
    second = _mm512_dpbusd_epi32(second, HasB ? _mm512_mask_blend_epi16(kOddWords, b[p][Half], a[p][Half]) : a[p][Half], odd);
  }
}

// Loaded one step ahead: a table's address that waits for it holds up the lookups, which then lose one cycle in twelve.
TRITFORGE_INLINE std::ptrdiff_t load_offset(const std::ptrdiff_t* from) {
  std::ptrdiff_t offset;
  asm volatile("movq %1, %0" : "=r"(offset) : "m"(*from));
  return offset;
}

// A tile: `Pixels` pixels, one panel. Begins at `start`, or at sums of its own where `start` is null.
template <UnitKind Kind, int Pixels>
__attribute__((noinline)) void sum_tile(const std::uint8_t* const* windows, const std::ptrdiff_t* offsets, std::size_t steps,
                               const std::uint8_t* indices, const std::int32_t* start, std::int32_t* tile) {
  constexpr int kA = kUnits[Kind].spans[0].lookups, kB = kUnits[Kind].spans[1].lookups;
  __m512i sums[Pixels][4];
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) {
      sums[p][n] = _mm512_load_si512(start != nullptr ? start + n * 16 : tile + p * kPanel + n * 16);
    }
  }
  std::ptrdiff_t offset = offsets[0];
  for (std::size_t step = 0; step < steps; ++step, indices += unit_bytes(Kind)) {
    const std::uint8_t* tables[Pixels];
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) tables[p] = windows[p] + offset;
    offset = load_offset(offsets + step + 1);
    __m512i a[Pixels][2], b[Pixels][2];
    sum_span<Pixels, 0, kA>(indices, tables, a);
    if constexpr (kB > 0) sum_span<Pixels, kA, kB>(indices, tables, b);
    multiply<Pixels, (kB > 0), 0, (kA + kB) * 128>(indices, a, b, sums);
    multiply<Pixels, (kB > 0), 1, (kA + kB) * 128>(indices, a, b, sums);
  }
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) _mm512_store_si512(tile + p * kPanel + n * 16, sums[p][n]);
  }
}

template <int Pixels>
TRITFORGE_INLINE void finish_pixels(const std::int32_t* tile, const OutputTile& out) {
  __m512i sums[Pixels][4];
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) sums[p][n] = _mm512_load_si512(tile + p * kPanel + n * 16);
  }
  avx512::store_tile(sums, out);
}

__attribute__((noinline)) void finish_tile(const std::int32_t* tile, int pixels, const OutputTile& out) {
  switch (pixels) {
    case 1: return finish_pixels<1>(tile, out);
    case 2: return finish_pixels<2>(tile, out);
    default: return finish_pixels<kPixels>(tile, out);
  }
}

// Pixels of a run in tiles of three, and two where one would be left over.
template <UnitKind Kind>
void look_up_run(const TableGroup& g, std::size_t first, const std::uint8_t* indices, const std::int32_t* start,
                 std::int32_t* sums, OutputTile out) {
  alignas(64) std::int32_t finished[kPixels * kPanel];
  const bool keeps = sums != nullptr, finishes = g.finishes;
  const std::uint8_t* const* windows = g.windows + first;
  for (std::size_t left = g.run; left > 0;) {
    const int pixels = left == 1 ? 1 : left == 2 || left == 4 ? 2 : kPixels;
    std::int32_t* const tile = keeps ? sums : finished;
    switch (pixels) {
      case 1: sum_tile<Kind, 1>(windows, g.offsets, g.steps, indices, start, tile); break;
      case 2: sum_tile<Kind, 2>(windows, g.offsets, g.steps, indices, start, tile); break;
      default: sum_tile<Kind, kPixels>(windows, g.offsets, g.steps, indices, start, tile);
    }
    left -= static_cast<std::size_t>(pixels);
    windows += pixels;
    if (keeps) sums += pixels * kPanel;
    if (!finishes) continue;
    finish_tile(tile, pixels, out);
    if (left > 0) out = advance(out, static_cast<std::size_t>(pixels), 0);
  }
}

template <UnitKind Kind>
void look_up_unit(const TableGroup& g) {
  const bool keeps = g.start == nullptr || !g.finishes;
  const std::uint8_t* indices = g.indices;
  OutputTile out = g.out;
  for (std::size_t panel = 0; panel < g.panels; ++panel, indices += g.steps * unit_bytes(Kind)) {
    OutputTile run_out = out;
    const std::int32_t* const start = g.start == nullptr ? nullptr : g.start + panel * kPanelOutputs;
    for (std::size_t first = 0; first < g.pixels; first += g.run) {
      std::int32_t* const sums = keeps ? g.sums + (panel * g.pixels + first) * kPanelOutputs : nullptr;
      look_up_run<Kind>(g, first, indices, start, sums, run_out);
      if (first + g.run < g.pixels) run_out = advance(run_out, g.run_stride, 0);
    }
    if (panel + 1 < g.panels) out = advance(out, 0, kPanelOutputs);
  }
}

void look_up(int unit, const TableGroup& g) noexcept {
  switch (unit) {
    case kWide: return look_up_unit<kWide>(g);
    case kNarrow: return look_up_unit<kNarrow>(g);
    case kTail16: return look_up_unit<kTail16>(g);
    case kTail32: return look_up_unit<kTail32>(g);
    default: return look_up_unit<kTail48>(g);
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

// A vector of bytes picked from 64 codes and, with bit 6, from their complements 15 − code.
struct Pick {
  alignas(64) std::uint8_t from[64] = {};

  // An input that the span does not have, −1, meets no trit but 0: whatever is picked is not looked up.
  constexpr void set(int byte, int input, int sign) {
    from[byte] = static_cast<std::uint8_t>((input < 0 ? 0 : input) | (sign < 0 ? 64 : 0));
  }
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
static_assert(entry_position(kPairs[2].t0, kPairs[2].t1, 0, 0) == 2 * 8 && entry_position(kPairs[6].t0, kPairs[6].t1, 0, 0) == 6 * 8);

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
        first.set(source + pair, a, kPairs[pair].t0);
        second.set(source + pair, b, kPairs[pair].t1);
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

// Bytes of the sources that have a first or second addend, the same for all triples. The last four have none and are 0.
constexpr std::uint64_t addend_mask(bool is_first) {
  std::uint64_t mask = 0;
  for (int byte = 0; byte < kZeroSource; ++byte) {
    const int place = byte % kSourceBytes;
    const bool has = place < 8 ? (is_first ? kPairs[place].t0 : kPairs[place].t1) != 0 : is_first;
    mask |= static_cast<std::uint64_t>(has) << byte;
  }
  return mask;
}

constexpr __mmask64 kFirstMask = addend_mask(true), kSecondMask = addend_mask(false), kThirdsMask = 0x6666666666666666;

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

TRITFORGE_INLINE __m512i pick(__mmask64 mask, const Pick& p, __m512i codes, __m512i complements) {
  return _mm512_maskz_permutex2var_epi8(mask, codes, _mm512_load_si512(p.from), complements);
}

// From memory, which costs a load and nothing else; left to itself a compiler turns the store before it into two shuffles for each.
TRITFORGE_INLINE __m512i broadcast_qword(const std::uint8_t* from) {
  __m512i v;
  asm("vpbroadcastq %1, %0" : "=v"(v) : "m"(*reinterpret_cast<const std::uint64_t*>(from)));
  return v;
}

// Codes of one unit of one pixel.
struct Place {
  const std::uint8_t* inputs;
  __mmask64 readable;
};

// What c adds.
template <UnitKind Kind>
TRITFORGE_INLINE void store_thirds(const Place& place, std::uint8_t* thirds) {
  const __m512i codes = _mm512_maskz_loadu_epi8(place.readable, place.inputs);
  const __m512i complements = _mm512_sub_epi8(_mm512_set1_epi8(kMaxCode), codes);
  _mm512_store_si512(thirds, pick(kThirdsMask, kBuildPlans[Kind].thirds[0], codes, complements));
  if constexpr (lookups(Kind) > 8) {
    _mm512_store_si512(thirds + 64, pick(kThirdsMask, kBuildPlans[Kind].thirds[1], codes, complements));
  }
}

template <UnitKind Kind, int Places>
TRITFORGE_INLINE void build_places(const Place* places, const std::uint8_t (*thirds)[128], std::uint8_t* tables) {
  constexpr int kLookups = lookups(Kind);
  constexpr std::ptrdiff_t kTableBytes = table_bytes(Kind);
  const BuildPlan& plan = kBuildPlans[Kind];
  __m512i codes[Places], complements[Places];
#pragma GCC unroll 4
  for (int p = 0; p < Places; ++p) {
    codes[p] = _mm512_maskz_loadu_epi8(places[p].readable, places[p].inputs);
    complements[p] = _mm512_sub_epi8(_mm512_set1_epi8(kMaxCode), codes[p]);
  }
#pragma GCC unroll 4
  for (int s = 0; s * kSourcesPerVector < kLookups; ++s) {
    __m512i sources[Places];
#pragma GCC unroll 4
    for (int p = 0; p < Places; ++p) {
      sources[p] = _mm512_add_epi8(pick(kFirstMask, plan.first[s], codes[p], complements[p]),
                                   pick(kSecondMask, plan.second[s], codes[p], complements[p]));
    }
#pragma GCC unroll 4
    for (int i = 0; i < kSourcesPerVector; ++i) {
      const int lookup = s * kSourcesPerVector + i;
      if (lookup >= kLookups) break;
      const __m512i spread = _mm512_load_si512(kSpread.from[i]);
#pragma GCC unroll 4
      for (int p = 0; p < Places; ++p) {
        const __m512i third = broadcast_qword(thirds[p] + lookup * 8);
        _mm512_store_si512(tables + p * kTableBytes + lookup * 64, _mm512_add_epi8(_mm512_permutexvar_epi8(spread, sources[p]), third));
      }
    }
  }
}

// Some places at a time: first what c adds for all of them, so that it has long reached memory when tables are made from it.
template <UnitKind Kind>
void build_unit(const TablePixels& t) {
  constexpr std::size_t kAhead = 16, kTogether = 2;
  alignas(64) std::uint8_t thirds[kAhead][128];
  Place places[kAhead];
  const __mmask64 all = ~std::uint64_t{0} >> (64 - kUnits[Kind].inputs), last = ~std::uint64_t{0} >> (64 - t.last_inputs);
  std::uint8_t* tables = t.tables;
  std::size_t pixel = 0, unit = 0;
  for (std::size_t left = t.count * t.units; left > 0;) {
    const std::size_t count = left < kAhead ? left : kAhead;
    for (std::size_t i = 0; i < count; ++i) {
      places[i] = {t.inputs[pixel] + unit * kUnitInputs, unit + 1 == t.units ? last : all};
      store_thirds<Kind>(places[i], thirds[i]);
      if (++unit == t.units) unit = 0, ++pixel;
    }
    std::size_t i = 0;
    for (; i + kTogether <= count; i += kTogether, tables += kTogether * table_bytes(Kind)) {
      build_places<Kind, kTogether>(places + i, thirds + i, tables);
    }
    if (i < count) build_places<Kind, 1>(places + i, thirds + i, tables), tables += table_bytes(Kind);
    left -= count;
  }
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

}  // namespace

const TableMicrokernels kTable27__avx512{Isa::avx512, build, look_up};

}  // namespace tritforge

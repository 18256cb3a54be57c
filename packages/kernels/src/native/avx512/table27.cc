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

// Signs of the addends of bytes, the same for all triples: where there is one (else the byte is 0), and 15 where it is negative.
// Complements 15 − code are code ^ 15. (vpermi2b could pick from codes and complements at once, but instructions of three operands
// delay stores: 19 cycles for the tables of a unit instead of 15.)
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

// From memory, which costs a load and nothing else; left to itself a compiler turns the store before it into two shuffles for each.
TRITFORGE_INLINE __m512i broadcast_qword(const std::uint8_t* from) {
  __m512i v;
  asm volatile("vpbroadcastq %1, %0" : "=v"(v) : "m"(*reinterpret_cast<const std::uint64_t*>(from)));
  return v;
}

// Where second parts wait in memory: a new place each time, since loads that follow several stores to one place are slow.
constexpr std::size_t kThirdsBytes = 128, kThirdsPlaces = 32;

// Tables of one unit of one pixel.
template <UnitKind Kind>
TRITFORGE_INLINE void build_place(__m512i codes, std::uint8_t* thirds, std::uint8_t* tables) {
  constexpr int kLookups = lookups(Kind);
  const BuildPlan& plan = kBuildPlans[Kind];
  _mm512_store_si512(thirds, pick(kThirdSigns, plan.thirds[0], codes));
  if constexpr (kLookups > 8) _mm512_store_si512(thirds + 64, pick(kThirdSigns, plan.thirds[1], codes));
#pragma GCC unroll 4
  for (int s = 0; s * kSourcesPerVector < kLookups; ++s) {
    const __m512i sources = _mm512_add_epi8(pick(kFirstSigns, plan.first[s], codes), pick(kSecondSigns, plan.second[s], codes));
#pragma GCC unroll 4
    for (int i = 0; i < kSourcesPerVector; ++i) {
      const int lookup = s * kSourcesPerVector + i;
      if (lookup >= kLookups) break;
      const __m512i pairs = _mm512_permutexvar_epi8(_mm512_load_si512(kSpread.from[i]), sources);
      _mm512_store_si512(tables + lookup * 64, _mm512_add_epi8(pairs, broadcast_qword(thirds + lookup * 8)));
    }
  }
}

// Codes of a unit, of which the first `Count` exist.
template <int Count>
TRITFORGE_INLINE __m512i load_codes(const std::uint8_t* inputs) {
  if constexpr (Count == 64) return _mm512_loadu_si512(inputs);
  else return _mm512_maskz_loadu_epi8((std::uint64_t{1} << Count) - 1, inputs);
}

// One loop over pixels and units, so that what it keeps in registers is loaded once. `IsCut`: the last unit lacks inputs.
template <UnitKind Kind, bool IsCut>
void build_all(const TablePixels& t) {
  alignas(64) std::uint8_t thirds[kThirdsPlaces][kThirdsBytes];
  const std::uint8_t* const* pixels = t.inputs;
  const std::uint8_t* inputs = *pixels;
  const std::size_t units = t.units, count = t.count * units;
  const __mmask64 last = ~std::uint64_t{0} >> (64 - t.last_inputs);
  std::uint8_t* tables = t.tables;
  std::size_t left = units;
  for (std::size_t i = 0; i < count; ++i, tables += table_bytes(Kind)) {
    const bool cuts = IsCut && left == 1;
    const __m512i codes = cuts ? _mm512_maskz_loadu_epi8(last, inputs) : load_codes<kUnits[Kind].inputs>(inputs);
    build_place<Kind>(codes, thirds[i % kThirdsPlaces], tables);
    inputs += kUnitInputs;
    if (--left > 0 || i + 1 == count) continue;
    inputs = *++pixels;
    left = units;
  }
}

template <UnitKind Kind>
void build_unit(const TablePixels& t) {
  t.last_inputs < static_cast<std::size_t>(kUnits[Kind].inputs) ? build_all<Kind, true>(t) : build_all<Kind, false>(t);
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

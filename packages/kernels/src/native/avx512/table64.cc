// Microkernels of Layout::table64 on AVX-512 VBMI: units and indices are drawn in layouts/table64.h.
//
// look_up, for 128 outputs and up to three pixels: one vpermb looks up three inputs for 64 outputs. Up to eight lookups,
// together at most 8 · 27 = 216, are summed in bytes; these are then added to two vectors of words:
//
//   total += bytes as words           low byte + 256 · high byte, modulo 2^16
//   high  += bytes as words >> 8      the sum of odd bytes; total − 256 · high is that of even bytes
//
// A step adds at most 22 · 27 = 594 to the sum of even or of odd bytes, so after kMostSteps both are below 2^16; words are
// then widened and added to int32.
// Per 64 × 64 weights and pixel: 22 vpermb, 19 vpaddb, 6 vpaddw, 3 vpsrlw.
//
//   tile        3 pixels × 128 outputs: 12 vectors of words, 6 of byte sums, 2 of indices, 3 that pass
#include "layouts/table64.h"

#include "avx512/table_lookup.h"

namespace tritforge {
namespace {

using namespace table64;

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::ptrdiff_t kPanel = kPanelOutputs;
constexpr int kByteLookups = 8;
static_assert(kByteLookups * kMaxEntry <= 255);
constexpr std::size_t kMostSteps = 65535 / (lookups(kFull) * kMaxEntry);

// As assembly, because g++ puts the additions of several lookups off to the end of the step, and then spills.
TRITFORGE_INLINE void add_bytes(__m512i bytes, __m512i& total, __m512i& high) {
  __m512i shifted;
  asm volatile(
      "vpsrlw $8, %[bytes], %[shifted]\n\t"
      "vpaddw %[bytes], %[total], %[total]\n\t"
      "vpaddw %[shifted], %[high], %[high]"
      : [total] "+v"(total), [high] "+v"(high), [shifted] "=&v"(shifted)
      : [bytes] "v"(bytes));
}

// Lookups First … First + Count − 1 in bytes, at most kByteLookups, then in words; then the lookups that are left.
template <int Pixels, int Halves, int First, int Left>
TRITFORGE_INLINE void sum_words(const std::uint8_t* indices, const std::uint8_t* const (&tables)[Pixels],
                                __m512i (&total)[Pixels][Halves], __m512i (&high)[Pixels][Halves]) {
  if constexpr (Left > 0) {
    constexpr int kRounds = (Left + kByteLookups - 1) / kByteLookups, kCount = (Left + kRounds - 1) / kRounds;
    __m512i bytes[Pixels][Halves];
    avx512::sum_lookups<Pixels, Halves, First, kCount>(indices, tables, bytes);
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 2
      for (int half = 0; half < Halves; ++half) {
        add_bytes(bytes[p][half], total[p][half], high[p][half]);
      }
    }
    sum_words<Pixels, Halves, First + kCount, Left - kCount>(indices, tables, total, high);
  }
}

// to = from + the words of dwords: the lower 16 outputs first, the upper ones 32 further.
TRITFORGE_INLINE void add_words(__m512i words, const std::int32_t* from, std::int32_t* to) {
  const __m512i lower = _mm512_and_si512(words, _mm512_set1_epi32(0xffff)), upper = _mm512_srli_epi32(words, 16);
  _mm512_store_si512(to, _mm512_add_epi32(_mm512_load_si512(from), lower));
  _mm512_store_si512(to + 32, _mm512_add_epi32(_mm512_load_si512(from + 32), upper));
}

template <UnitKind Kind, int Pixels, int Halves>
__attribute__((noinline)) void sum_tile(const std::uint8_t* const* from, const std::ptrdiff_t* offsets, std::size_t left,
                                        const std::uint8_t* indices, const std::int32_t* start, std::int32_t* tile) noexcept {
  const std::uint8_t* windows[Pixels];
  avx512::copy_windows(from, windows);
  std::ptrdiff_t offset = *offsets;
  while (left > 0) {
    const std::size_t steps = left < kMostSteps ? left : kMostSteps;
    __m512i total[Pixels][Halves], high[Pixels][Halves];
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 2
      for (int half = 0; half < Halves; ++half) total[p][half] = high[p][half] = _mm512_setzero_si512();
    }
    for (std::size_t step = 0; step < steps; ++step, indices += Halves * table_bytes(Kind)) {
      const std::uint8_t* tables[Pixels];
#pragma GCC unroll 4
      for (int p = 0; p < Pixels; ++p) tables[p] = windows[p] + offset;
      offset = avx512::load_offset(++offsets);
      sum_words<Pixels, Halves, 0, lookups(Kind)>(indices, tables, total, high);
    }
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 2
      for (int half = 0; half < Halves; ++half) {
        std::int32_t* const to = tile + p * kPanel + half * 64;
        const std::int32_t* const sums = start != nullptr ? start + half * 64 : to;
        const __m512i even = _mm512_sub_epi16(total[p][half], _mm512_slli_epi16(high[p][half], 8));
        add_words(even, sums, to);
        add_words(high[p][half], sums + 16, to + 16);
      }
    }
    start = nullptr;
    left -= steps;
  }
}

template <UnitKind Kind, int Halves = 2>
struct Kernel {
  using Half = Kernel<Kind, 1>;
  static constexpr int kPanelOutputs = 128;
  static constexpr std::size_t kUnitBytes = 2 * table_bytes(Kind);

  template <int Pixels>
  static constexpr auto sum = sum_tile<Kind, Pixels, Halves>;
};

void look_up(int unit, const TableGroup& g) noexcept {
  switch (unit) {
    case kFull: return avx512::look_up_group<Kernel<kFull>>(g);
    case kTail16: return avx512::look_up_group<Kernel<kTail16>>(g);
    case kTail32: return avx512::look_up_group<Kernel<kTail32>>(g);
    default: return avx512::look_up_group<Kernel<kTail48>>(g);
  }
}

// --- tables
//
// The entry at byte 16·q0 + 4·q1 + q2 is a pair sum u(q0, a) + u(q1, b), the same for four bytes, and u(q2, c), the same for
// each dword. Pair sums of four lookups are made at once: codes are put in place, vpshufb looks up u among its 16 values,
// 4·q + a; then a vpermb spreads the 16 of each lookup. The other part is broadcast on loading.

constexpr int kSourcesPerVector = 4, kMostLookups = lookups(kFull);
constexpr int kMostSources = (kMostLookups + kSourcesPerVector - 1) / kSourcesPerVector;

// A vector of codes put in place: 0 where the unit has no such input.
struct Pick {
  alignas(64) std::uint8_t from[64] = {};
  __mmask64 exists = 0;

  constexpr void set(int byte, int input, int inputs) {
    if (input >= inputs) return;
    from[byte] = static_cast<std::uint8_t>(input);
    exists |= std::uint64_t{1} << byte;
  }
};

struct BuildPlan {
  Pick first[kMostSources], second[kMostSources];
  Pick thirds[2];
};

constexpr BuildPlan make_build_plan(UnitKind kind) {
  BuildPlan plan;
  for (int lookup = 0; lookup < lookups(kind); ++lookup) {
    for (int pair = 0; pair < 16; ++pair) {
      const int byte = lookup % kSourcesPerVector * 16 + pair;
      plan.first[lookup / kSourcesPerVector].set(byte, 3 * lookup, kInputs[kind]);
      plan.second[lookup / kSourcesPerVector].set(byte, 3 * lookup + 1, kInputs[kind]);
    }
    for (int q = 0; q < 4; ++q) plan.thirds[lookup / 16].set(lookup % 16 * 4 + q, 3 * lookup + 2, kInputs[kind]);
  }
  return plan;
}

constexpr BuildPlan kBuildPlans[kUnitKinds] = {make_build_plan(kFull), make_build_plan(kTail16), make_build_plan(kTail32),
                                               make_build_plan(kTail48)};

struct Vector {
  alignas(64) std::uint8_t bytes[64] = {};
};

// 4·q of the weight that a byte stands for: bits `shift` and up of its number.
constexpr Vector weights_of_bytes(int shift) {
  Vector v;
  for (int byte = 0; byte < 64; ++byte) v.bytes[byte] = static_cast<std::uint8_t>((byte >> shift & 3) * 4);
  return v;
}

constexpr Vector kFirstWeights = weights_of_bytes(2), kLowWeights = weights_of_bytes(0);

// Source byte of each byte of the table of lookup `lookup` of four.
constexpr Vector make_spread(int lookup) {
  Vector v;
  for (int byte = 0; byte < 64; ++byte) v.bytes[byte] = static_cast<std::uint8_t>(lookup * 16 + byte / 4);
  return v;
}

constexpr Vector kSpread[kSourcesPerVector] = {make_spread(0), make_spread(1), make_spread(2), make_spread(3)};

TRITFORGE_INLINE __m512i load(const Vector& v) { return _mm512_load_si512(v.bytes); }

// u(q, a) of picked codes a.
TRITFORGE_INLINE __m512i addends_of(const Pick& p, __m512i codes, __m512i weights, __m512i addends) {
  const __m512i from = _mm512_load_si512(p.from);
  const __m512i picked = p.exists == ~__mmask64{0} ? _mm512_permutexvar_epi8(from, codes)
                                                   : _mm512_maskz_permutexvar_epi8(p.exists, from, codes);
  return _mm512_shuffle_epi8(addends, _mm512_or_si512(picked, weights));
}

template <UnitKind Kind>
struct Builder {
  static constexpr int kInputs = table64::kInputs[Kind];
  static constexpr std::size_t kTableBytes = table_bytes(Kind);
  __m512i addends;  // u(q, a) at 4·q + a, four times

  TRITFORGE_INLINE void operator()(__m512i codes, std::uint8_t* thirds, std::uint8_t* tables) const {
    constexpr int kLookups = lookups(Kind);
    const BuildPlan& plan = kBuildPlans[Kind];
    _mm512_store_si512(thirds, addends_of(plan.thirds[0], codes, load(kLowWeights), addends));
    if constexpr (kLookups > 16) {
      _mm512_store_si512(thirds + 64, addends_of(plan.thirds[1], codes, load(kLowWeights), addends));
    }
#pragma GCC unroll 8
    for (int s = 0; s * kSourcesPerVector < kLookups; ++s) {
      const __m512i pairs = _mm512_add_epi8(addends_of(plan.first[s], codes, load(kFirstWeights), addends),
                                            addends_of(plan.second[s], codes, load(kLowWeights), addends));
#pragma GCC unroll 4
      for (int i = 0; i < kSourcesPerVector; ++i) {
        const int lookup = s * kSourcesPerVector + i;
        if (lookup >= kLookups) break;
        const __m512i spread = _mm512_permutexvar_epi8(load(kSpread[i]), pairs);
        _mm512_store_si512(tables + lookup * 64, _mm512_add_epi8(spread, avx512::broadcast_dword(thirds + lookup * 4)));
      }
    }
  }
};

template <UnitKind Kind>
void build_unit(const TablePixels& t) noexcept {
  const __m128i addends = _mm_load_si128(reinterpret_cast<const __m128i*>(t.addends));
  avx512::build_tables(t, Builder<Kind>{_mm512_broadcast_i32x4(addends)});
}

void build(int unit, const TablePixels& t) noexcept {
  switch (unit) {
    case kFull: return build_unit<kFull>(t);
    case kTail16: return build_unit<kTail16>(t);
    case kTail32: return build_unit<kTail32>(t);
    default: return build_unit<kTail48>(t);
  }
}

}  // namespace

const TableMicrokernels kTable64__avx512{Isa::avx512, build, look_up};

}  // namespace tritforge

// What the microkernels of table lookup share: lookups, and the loops over panels, runs and tiles of a group.
//
// Lookups are written as assembly because compilers, free to reorder them, hoist the vpermb of several lookups and spill
// (g++ 12: 121 multiplications per cycle instead of 266).
#pragma once

#include "avx512/intrinsics.h"
#include "avx512/output_stage.h"
#include "convolution/table_block.h"

namespace tritforge {
namespace {
namespace avx512 {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr int kTilePixels = 3;
// Indices stream from the second-level cache at 40 bytes a cycle; being this far ahead hides its latency.
constexpr int kPrefetchBytes = 3328;

// A vector of the stream of indices.
template <int Offset>
TRITFORGE_INLINE __m512i load_index(const std::uint8_t* from) {
  __m512i v;
  asm volatile(
      "vmovdqa64 %c1(%2), %0\n\t"
      "prefetcht0 %c3(%2)"
      : "=v"(v)
      : "n"(Offset), "r"(from), "n"(Offset + kPrefetchBytes));
  return v;
}

// Into registers, whatever else is stored meanwhile.
template <int Pixels>
TRITFORGE_INLINE void copy_windows(const std::uint8_t* const* from, const std::uint8_t* (&windows)[Pixels]) {
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) windows[p] = from[p];
}

// Loaded one step ahead: a table's address that waits for it holds up the lookups, which then lose one cycle in twelve.
TRITFORGE_INLINE std::ptrdiff_t load_offset(const std::ptrdiff_t* from) {
  std::ptrdiff_t offset;
  asm volatile("movq %1, %0" : "=r"(offset) : "m"(*from));
  return offset;
}

// sums = lookups of one or two halves of the outputs in the tables at `tables` + Offset.
template <int Offset>
TRITFORGE_INLINE void begin_sums(const __m512i (&indices)[2], const std::uint8_t* tables, __m512i (&sums)[2]) {
  __m512i table;
  asm volatile(
      "vmovdqa64 %c[offset](%[tables]), %[table]\n\t"
      "vpermb %[table], %[low], %[sum0]\n\t"
      "vpermb %[table], %[high], %[sum1]"
      : [sum0] "=&v"(sums[0]), [sum1] "=&v"(sums[1]), [table] "=&v"(table)
      : [low] "v"(indices[0]), [high] "v"(indices[1]), [tables] "r"(tables), [offset] "n"(Offset));
}

template <int Offset>
TRITFORGE_INLINE void begin_sums(const __m512i (&indices)[1], const std::uint8_t* tables, __m512i (&sums)[1]) {
  asm volatile("vpermb %c[offset](%[tables]), %[index], %[sum]"
               : [sum] "=v"(sums[0])
               : [index] "v"(indices[0]), [tables] "r"(tables), [offset] "n"(Offset));
}

// sums += lookups.
template <int Offset>
TRITFORGE_INLINE void add_to_sums(const __m512i (&indices)[2], const std::uint8_t* tables, __m512i (&sums)[2]) {
  __m512i table, first, second;
  asm volatile(
      "vmovdqa64 %c[offset](%[tables]), %[table]\n\t"
      "vpermb %[table], %[low], %[first]\n\t"
      "vpermb %[table], %[high], %[second]\n\t"
      "vpaddb %[first], %[sum0], %[sum0]\n\t"
      "vpaddb %[second], %[sum1], %[sum1]"
      : [sum0] "+v"(sums[0]), [sum1] "+v"(sums[1]), [table] "=&v"(table), [first] "=&v"(first), [second] "=&v"(second)
      : [low] "v"(indices[0]), [high] "v"(indices[1]), [tables] "r"(tables), [offset] "n"(Offset));
}

template <int Offset>
TRITFORGE_INLINE void add_to_sums(const __m512i (&indices)[1], const std::uint8_t* tables, __m512i (&sums)[1]) {
  __m512i looked_up;
  asm volatile(
      "vpermb %c[offset](%[tables]), %[index], %[looked_up]\n\t"
      "vpaddb %[looked_up], %[sum], %[sum]"
      : [sum] "+v"(sums[0]), [looked_up] "=&v"(looked_up)
      : [index] "v"(indices[0]), [tables] "r"(tables), [offset] "n"(Offset));
}

// Byte sums of lookups First … First + Count − 1.
template <int Pixels, int Halves, int First, int Count, bool IsFirst = true>
TRITFORGE_INLINE void sum_lookups(const std::uint8_t* indices, const std::uint8_t* const (&tables)[Pixels],
                                  __m512i (&sums)[Pixels][Halves]) {
  if constexpr (Count > 0) {
    __m512i index[Halves];
    index[0] = load_index<First * Halves * 64>(indices);
    if constexpr (Halves == 2) index[1] = load_index<First * Halves * 64 + 64>(indices);
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) {
      if constexpr (IsFirst) begin_sums<First * 64>(index, tables[p], sums[p]);
      else add_to_sums<First * 64>(index, tables[p], sums[p]);
    }
    sum_lookups<Pixels, Halves, First + 1, Count - 1, false>(indices, tables, sums);
  }
}

// 64 outputs.
template <int Pixels, int PanelOutputs>
TRITFORGE_INLINE void finish_pixels(const std::int32_t* from, const OutputTile& out) {
  __m512i sums[Pixels][4];
#pragma GCC unroll 4
  for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) sums[p][n] = _mm512_load_si512(from + p * PanelOutputs + n * 16);
  }
  store_tile(sums, out);
}

template <int PanelOutputs>
__attribute__((noinline)) void finish_tile(const std::int32_t* sums, int pixels, const OutputTile& out) noexcept {
  switch (pixels) {
    case 1: return finish_pixels<1, PanelOutputs>(sums, out);
    case 2: return finish_pixels<2, PanelOutputs>(sums, out);
    default: return finish_pixels<kTilePixels, PanelOutputs>(sums, out);
  }
}

// Begins `out` so many elements later. In place: a copy of what was just written field by field waits for the
// stores, a tenth of the time of a tile.
TRITFORGE_INLINE void skip(std::size_t elements, OutputTile* out) {
  out->output = static_cast<std::uint8_t*>(out->output) + elements * element_bytes(out->stage->kind);
  if (out->residual != nullptr) out->residual += elements;
}

// One panel of a group, or a part that is one run of it.
struct TableRun {
  const std::uint8_t* const* windows;
  const std::uint8_t* indices;
  const std::int32_t* start;
  std::int32_t* sums;  // null: not kept
};

// Pixels in tiles of three, and two where one would be left over; `out` moves on to the end of the run. `Kernel` has
// kPanelOutputs and
//
//   sum<Pixels>(windows, offsets, steps, indices, start, sums)
//
// for sums [Pixels][kPanelOutputs] that begin at `start`, or where they are if that is null. Its arguments come in registers:
// read from memory that was just written they would hold up the first lookups.
template <class Kernel>
void look_up_run(const TableGroup& g, const TableRun& run, OutputTile* out) noexcept {
  constexpr std::ptrdiff_t kPanel = Kernel::kPanelOutputs;
  alignas(64) std::int32_t finished[kTilePixels * kPanel];
  const bool keeps_sums = run.sums != nullptr, finishes = g.finishes;
  const std::uint8_t* const* windows = run.windows;
  const std::uint8_t* const indices = run.indices;
  const std::int32_t* const start = run.start;
  std::int32_t* sums = keeps_sums ? run.sums : finished;
  for (std::size_t left = g.run; left > 0;) {
    const int pixels = left == 1 ? 1 : left == 2 || left == 4 ? 2 : kTilePixels;
    switch (pixels) {
      case 1: Kernel::template sum<1>(windows, g.offsets, g.steps, indices, start, sums); break;
      case 2: Kernel::template sum<2>(windows, g.offsets, g.steps, indices, start, sums); break;
      default: Kernel::template sum<kTilePixels>(windows, g.offsets, g.steps, indices, start, sums);
    }
    if (finishes) {
      finish_tile<kPanel>(sums, pixels, *out);
      if (kPanel > 64 && out->channels > 64) finish_tile<kPanel>(sums + 64, pixels, advance(*out, 0, 64));
      skip(static_cast<std::size_t>(pixels) * out->row_stride, out);
    }
    left -= static_cast<std::size_t>(pixels);
    windows += pixels;
    if (keeps_sums) sums += pixels * kPanel;
  }
}

// `Kernel` has kUnitBytes, of a panel, and Half, the kernel of a last panel of which no more than half is needed.
template <class Kernel>
void look_up_group(const TableGroup& g) noexcept {
  constexpr std::size_t kPanel = Kernel::kPanelOutputs;
  const bool keeps_sums = g.start == nullptr || !g.finishes;
  OutputTile out = g.out;
  const std::size_t between_runs = (g.run_stride - g.run) * out.row_stride;
  for (std::size_t panel = 0; panel < g.panels; ++panel) {
    const std::uint8_t* const indices = g.indices + panel * g.steps * Kernel::kUnitBytes;
    const std::int32_t* const start = g.start == nullptr ? nullptr : g.start + panel * kPanel;
    for (std::size_t first = 0; first < g.pixels; first += g.run) {
      std::int32_t* const sums = keeps_sums ? g.sums + (panel * g.pixels + first) * kPanel : nullptr;
      const TableRun run{g.windows + first, indices, start, sums};
      if (out.channels > kPanel / 2) look_up_run<Kernel>(g, run, &out);
      else look_up_run<typename Kernel::Half>(g, run, &out);
      if (first + g.run < g.pixels) skip(between_runs, &out);
    }
    if (panel + 1 == g.panels) break;
    out.output = g.out.output;
    out.residual = g.out.residual;
    skip((panel + 1) * kPanel, &out);
    out.multiplier += kPanel;
    out.channels -= kPanel;
  }
}

// From memory, which costs a load and nothing else; left to itself a compiler turns the store before it into two shuffles
// for each.
TRITFORGE_INLINE __m512i broadcast_qword(const std::uint8_t* from) {
  __m512i v;
  asm volatile("vpbroadcastq %1, %0" : "=v"(v) : "m"(*reinterpret_cast<const std::uint64_t*>(from)));
  return v;
}

TRITFORGE_INLINE __m512i broadcast_dword(const std::uint8_t* from) {
  __m512i v;
  asm volatile("vpbroadcastd %1, %0" : "=v"(v) : "m"(*reinterpret_cast<const std::uint32_t*>(from)));
  return v;
}

// Codes of a unit, of which the first `Count` exist.
template <int Count>
TRITFORGE_INLINE __m512i load_codes(const std::uint8_t* inputs) {
  if constexpr (Count == 64) return _mm512_loadu_si512(inputs);
  else return _mm512_maskz_loadu_epi8((std::uint64_t{1} << Count) - 1, inputs);
}

// Where parts of tables wait in memory: a new place each time, since loads that follow several stores to one place are
// slow.
constexpr std::size_t kWaitingBytes = 128, kWaitingPlaces = 32;

// One loop over pixels and units, so that what it keeps in registers is loaded once. `Builder` has kInputs and kTableBytes
// and is called with codes, a place for parts and the tables. `IsCut`: the last unit lacks inputs.
template <class Builder, bool IsCut>
TRITFORGE_INLINE void build_places(const TablePixels& t, const Builder& builder) {
  alignas(64) std::uint8_t waiting[kWaitingPlaces][kWaitingBytes];
  const std::uint8_t* const* pixels = t.inputs;
  const std::uint8_t* inputs = *pixels;
  const std::size_t units = t.units, count = t.count * units;
  const __mmask64 last = ~std::uint64_t{0} >> (64 - t.last_inputs);
  std::uint8_t* tables = t.tables;
  std::size_t left = units;
  for (std::size_t i = 0; i < count; ++i, tables += Builder::kTableBytes) {
    const bool cuts = IsCut && left == 1;
    const __m512i codes = cuts ? _mm512_maskz_loadu_epi8(last, inputs) : load_codes<Builder::kInputs>(inputs);
    builder(codes, waiting[i % kWaitingPlaces], tables);
    inputs += 64;
    if (--left > 0 || i + 1 == count) continue;
    inputs = *++pixels;
    left = units;
  }
}

template <class Builder>
__attribute__((noinline)) void build_tables(const TablePixels& t, const Builder& builder) noexcept {
  if (t.last_inputs < std::size_t{Builder::kInputs}) build_places<Builder, true>(t, builder);
  else build_places<Builder, false>(t, builder);
}

#undef TRITFORGE_INLINE

}  // namespace avx512
}  // namespace
}  // namespace tritforge

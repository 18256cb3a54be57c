// What a microkernel of dot products computes in one call, and the table that each instruction set fills in.
//
//   sum[p, o] = start[o] + Σ_{tap, k < 4 · tap_dwords} rows[p][row_offset + taps[tap].bytes + k] · w[o][4 · taps[tap].dwords + k]
//
// for pixels p < row_count and the outputs o of neighbouring strips; the sums then go through the output stage, or are kept as they
// are in `partial` if another block continues them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "convolution/output_tile.h"
#include "tritforge/cpu.h"

namespace tritforge {

struct DotTap {
  std::ptrdiff_t bytes;  // from the first byte of a window
  std::size_t dwords;    // from the beginning of a strip
};

struct DotBlock {
  const std::uint8_t* const* rows;  // first byte of the window of each output pixel
  std::size_t row_count;            // at least 1
  std::size_t row_offset;           // bytes, added to every row
  const DotTap* taps;
  std::size_t tap_count;            // may be 0
  std::size_t tap_dwords;           // of four bytes, read from each tap
  const std::uint8_t* weights;      // of the first strip; aligned to 64
  std::size_t strip_bytes;          // from a strip to the next
  std::size_t strips;               // 1 … DotMicrokernel::most_strips
  const std::int32_t* start;        // [strips · 16] sums to begin with, or null: those of `partial`
  std::int32_t* partial;            // [row_count][strips · 16], aligned to 64
  bool finishes;                    // whether to write `out`, else `partial`
  OutputTile out;                   // of all rows and strips
  const std::uint8_t* next;         // weights of the block after this one: a kernel may bring them near meanwhile
  std::size_t next_bytes;           // or 0
};

struct DotMicrokernel {
  const char* name;
  Isa isa;
  std::size_t most_strips;          // that it takes in one call
  void (*run)(const DotBlock& block) noexcept;
};

#ifdef TRITFORGE_BUILT_AVX2
extern const DotMicrokernel kDot8__avx2;
extern const DotMicrokernel kDot8t__avx2;
#endif
#ifdef TRITFORGE_BUILT_AVX512
extern const DotMicrokernel kDot8__avx512;
#endif
#ifdef TRITFORGE_BUILT_AVXVNNI
extern const DotMicrokernel kDot8__avxvnni;
#endif
#ifdef TRITFORGE_BUILT_NEON
extern const DotMicrokernel kDot8__neon;
#endif
#ifdef TRITFORGE_BUILT_NEON_I8MM
extern const DotMicrokernel kDot8__neon_i8mm;
#endif

}  // namespace tritforge

// What microkernels of table lookup compute, and the table of them that an instruction set fills in.
//
// `build` turns the codes of a pixel at the inputs of one unit into its tables; `look_up` sums over steps, each a unit of weights at
// the tables of one tap:
//
//   sums[p][o] = (start[o] or sums[p][o]) + Σ_{step} lookup(indices[step][o], tables[p] + offsets[step])
//
// `finish` sends sums through the output stage.
#pragma once

#include <cstddef>
#include <cstdint>

#include "convolution/output_tile.h"
#include "tritforge/cpu.h"

namespace tritforge {

// Pixels of one call of `look_up`, at most.
inline constexpr std::size_t kTableTilePixels = 3;

struct TablePixels {
  const std::uint8_t* const* inputs;  // of each pixel, its first input of the unit
  std::size_t count;
  std::size_t input_count;            // readable inputs, 1 … those of the unit; further ones meet no weight
  std::uint8_t* tables;               // of the first pixel, aligned to 64
  std::size_t stride;                 // bytes to the tables of the next pixel
};

struct TableLookup {
  const std::uint8_t* const* tables;  // of each pixel, at offset 0
  std::size_t pixels;                 // 1 … kTableTilePixels
  const std::ptrdiff_t* offsets;      // [steps] bytes
  std::size_t steps;
  const std::uint8_t* indices;        // of one panel, step after step; aligned to 64
  const std::int32_t* start;          // [outputs of a panel], or null to continue from `sums`; aligned to 64
  std::int32_t* sums;                 // aligned to 64
  std::size_t sums_stride;            // elements to the next pixel
};

// Units are numbered by their layout.
struct TableMicrokernels {
  Isa isa;
  void (*build)(int unit, const TablePixels& pixels) noexcept;
  void (*look_up)(int unit, const TableLookup& lookup) noexcept;
  void (*finish)(const std::int32_t* sums, std::size_t sums_stride, std::size_t pixels, const OutputTile& out) noexcept;
};

#ifdef TRITFORGE_BUILT_AVX512
extern const TableMicrokernels kTable27__avx512;
#endif

}  // namespace tritforge

// What microkernels of table lookup compute, and the table of them that an instruction set fills in.
//
// `build` turns the codes of pixels into tables, unit after unit. `look_up` then computes for all output pixels of a group
// and all panels of a chunk, in steps that are each a unit of weights at one tap
//
//   sum[panel][pixel][o] = (start[panel][o] or sums[panel][pixel][o])
//                          + Σ_{step} lookup(indices[panel][step][o], windows[pixel] + offsets[step])
//
// and keeps the sums or sends them through the output stage.
#pragma once

#include <cstddef>
#include <cstdint>

#include "convolution/output_tile.h"
#include "tritforge/cpu.h"

namespace tritforge {

struct TablePixels {
  const std::uint8_t* const* inputs;  // of each pixel, its first input of the first unit
  std::size_t count;
  std::size_t units;
  std::size_t last_inputs;            // readable inputs of the last unit, at least 1; further ones meet no weight
  const std::uint8_t* addends;        // table64: u(q, a) at 4·q + a
  std::uint8_t* tables;               // [count][units], aligned to 64
};

struct TableGroup {
  const std::uint8_t* const* windows;  // of each output pixel, tables under its first tap
  std::size_t pixels;
  std::size_t run;                     // so many pixels are neighbours in the output; a divisor of `pixels`
  std::size_t run_stride;              // pixels of the output from one run to the next
  const std::ptrdiff_t* offsets;       // [steps + 1] bytes, the last unused
  std::size_t steps;
  const std::uint8_t* indices;         // [panels][steps] of units, aligned to 64
  std::size_t panels;
  const std::int32_t* start;           // [panels][outputs of a panel], or null to continue from `sums`; aligned to 64
  std::int32_t* sums;                  // [panels][pixels][outputs of a panel], aligned to 64; unused if `start` and `finishes`
  bool finishes;                       // whether to write `out`, else `sums`
  OutputTile out;                      // of the first pixel and all channels
};

// Units are numbered by their layout.
struct TableMicrokernels {
  Isa isa;
  void (*build)(int unit, const TablePixels& pixels) noexcept;
  void (*look_up)(int unit, const TableGroup& group) noexcept;
};

#ifdef TRITFORGE_BUILT_AVX512
extern const TableMicrokernels kTable27__avx512;
extern const TableMicrokernels kTable64__avx512;
#endif

}  // namespace tritforge

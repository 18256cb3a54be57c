// u8 × s8 dot products by sdot, which multiplies signed bytes: x − 128 takes the place of x, and the sums begin with 128 · Σ w, found by
// one pass over the weights of the block.
//
//                    w0      w1      w2      w3          4 loads of 16 bytes: 4 outputs × 4 inputs each
//   row 0  x[0…15]  acc00   acc01   acc02   acc03        a load of x serves four steps, a lane of four bytes each
//     …       …       …
//   row 3            acc30   …               acc33       16 sums, 4 weights and 4 inputs of 32 registers
#include <arm_neon.h>

#include <cstring>

#include "convolution/dot_block.h"
#include "neon/output_stage.h"

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::size_t kMostRows = 4, kVectors = neon::kStripVectors, kDwordBytes = 64, kLanes = 4, kOutputs = neon::kStripOutputs;
constexpr std::int32_t kOffset = 128;

TRITFORGE_INLINE void load_weights(const std::uint8_t* w, int8x16_t (&weights)[kVectors]) {
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) weights[v] = vld1q_s8(reinterpret_cast<const std::int8_t*>(w) + 16 * v);
}

// 128 · Σ w of each output, over all taps of the block.
void weigh(const DotBlock& b, std::int32_t (&offsets)[kOutputs]) noexcept {
  int32x4_t sums[kVectors] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
  const int8x16_t ones = vdupq_n_s8(1);
  for (std::size_t t = 0; t < b.tap_count; ++t) {
    const std::uint8_t* w = b.weights + b.taps[t].dwords * kDwordBytes;
    for (std::size_t k = 0; k < b.tap_dwords; ++k, w += kDwordBytes) {
      int8x16_t weights[kVectors];
      load_weights(w, weights);
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) sums[v] = vdotq_s32(sums[v], weights[v], ones);
    }
  }
  for (std::size_t v = 0; v < kVectors; ++v) vst1q_s32(offsets + 4 * v, vmulq_n_s32(sums[v], kOffset));
}

// Four inputs, lane kLane of x, of every row.
template <int kLane, std::size_t kRows>
TRITFORGE_INLINE void step(const std::uint8_t* w, const int8x16_t (&x)[kRows], int32x4_t (&sums)[kRows][kVectors]) {
  int8x16_t weights[kVectors];
  load_weights(w, weights);
#pragma GCC unroll 4
  for (std::size_t m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) sums[m][v] = vdotq_laneq_s32(sums[m][v], weights[v], x[m], kLane);
  }
}

TRITFORGE_INLINE int8x16_t flipped(uint8x16_t x) { return vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(0x80))); }

TRITFORGE_INLINE uint8x16_t load_dword(const std::uint8_t* x) {
  std::uint32_t dword;
  std::memcpy(&dword, x, sizeof dword);
  return vreinterpretq_u8_u32(vdupq_n_u32(dword));
}

template <std::size_t kRows>
TRITFORGE_INLINE void add_tap(const DotBlock& b, const DotTap& tap, std::size_t first, int32x4_t (&sums)[kRows][kVectors]) {
  const std::uint8_t* from[kRows];
#pragma GCC unroll 4
  for (std::size_t m = 0; m < kRows; ++m) from[m] = b.rows[first + m] + b.row_offset + tap.bytes;
  const std::uint8_t* w = b.weights + tap.dwords * kDwordBytes;
  std::size_t k = 0;
  int8x16_t x[kRows];
  for (; k + kLanes <= b.tap_dwords; k += kLanes, w += kLanes * kDwordBytes) {
#pragma GCC unroll 4
    for (std::size_t m = 0; m < kRows; ++m) x[m] = flipped(vld1q_u8(from[m] + 4 * k));
    step<0>(w, x, sums);
    step<1>(w + kDwordBytes, x, sums);
    step<2>(w + 2 * kDwordBytes, x, sums);
    step<3>(w + 3 * kDwordBytes, x, sums);
  }
  for (; k < b.tap_dwords; ++k, w += kDwordBytes) {
#pragma GCC unroll 4
    for (std::size_t m = 0; m < kRows; ++m) x[m] = flipped(load_dword(from[m] + 4 * k));
    step<0>(w, x, sums);
  }
}

template <std::size_t kRows>
void tile(const DotBlock& b, const std::int32_t (&offsets)[kOutputs], std::size_t first) noexcept {
  int32x4_t sums[kRows][kVectors];
  std::int32_t* const partial = b.partial + first * kOutputs;
#pragma GCC unroll 4
  for (std::size_t m = 0; m < kRows; ++m) {
    const std::int32_t* const from = b.start != nullptr ? b.start : partial + m * kOutputs;
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) sums[m][v] = vaddq_s32(vld1q_s32(from + 4 * v), vld1q_s32(offsets + 4 * v));
  }
  for (std::size_t t = 0; t < b.tap_count; ++t) add_tap(b, b.taps[t], first, sums);
  if (b.finishes) return neon::store_tile(sums, advance(b.out, first, 0));
#pragma GCC unroll 4
  for (std::size_t m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) vst1q_s32(partial + m * kOutputs + 4 * v, sums[m][v]);
  }
}

using Tile = void (*)(const DotBlock& b, const std::int32_t (&offsets)[kOutputs], std::size_t first) noexcept;
constexpr Tile kTiles[kMostRows + 1] = {nullptr, tile<1>, tile<2>, tile<3>, tile<4>};

// Rows in tiles of nearly the same height.
void run(const DotBlock& b) noexcept {
  std::int32_t offsets[kOutputs];
  weigh(b, offsets);
  const std::size_t tiles = (b.row_count + kMostRows - 1) / kMostRows, rows = b.row_count / tiles, taller = b.row_count % tiles;
  std::size_t first = 0;
  for (std::size_t i = 0; i < tiles; ++i) {
    const std::size_t count = rows + (i < taller);
    kTiles[count](b, offsets, first);
    first += count;
  }
}

#undef TRITFORGE_INLINE

}  // namespace

const DotMicrokernel kDot8__neon{"u8_dot8_4x16c4__neon_dot", Isa::neon, 1, run};

}  // namespace tritforge

// u8 × s8 products of small matrices by usmmla: two rows × eight inputs times eight inputs × two outputs, twice the work of a dot
// product instruction.
//
//   weights  dword k:   o0 o1 o2 o3    zip1 →  o0[k,k+1] o1[k,k+1]     zip2 →  o2 o3          8 pairs of outputs from 8 loads
//            dword k+1: o0 o1 o2 o3
//   x        row 0 [8 bytes], row 1 [8 bytes]
//   sums     r0·o0  r0·o1  r1·o0  r1·o1                                 2 pairs of rows × 8 pairs of outputs: 16 registers
#include <arm_neon.h>

#include <cstring>

#include "convolution/dot_block.h"
#include "neon/output_stage.h"

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::size_t kMostPairs = 2, kVectors = neon::kStripVectors, kOutputPairs = 8, kDwordBytes = 64, kOutputs = neon::kStripOutputs;

TRITFORGE_INLINE int32x4_t low_halves(int32x4_t a, int32x4_t b) { return vcombine_s32(vget_low_s32(a), vget_low_s32(b)); }
TRITFORGE_INLINE int32x4_t high_halves(int32x4_t a, int32x4_t b) { return vcombine_s32(vget_high_s32(a), vget_high_s32(b)); }

// Sums of a pair of rows from those of each row, and back: the same exchange of halves.
TRITFORGE_INLINE void exchange_halves(const int32x4_t (&a)[kVectors], const int32x4_t (&b)[kVectors], int32x4_t (&pairs)[kOutputPairs]) {
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) {
    pairs[2 * v] = low_halves(a[v], b[v]);
    pairs[2 * v + 1] = high_halves(a[v], b[v]);
  }
}

TRITFORGE_INLINE uint8x8_t load_bytes(const std::uint8_t* x, bool both) {
  if (both) return vld1_u8(x);
  std::uint32_t dword;
  std::memcpy(&dword, x, sizeof dword);
  return vreinterpret_u8_u32(vset_lane_u32(dword, vdup_n_u32(0), 0));
}

// Dwords k and k + 1 of the inputs, or only k.
template <bool kBoth, std::size_t kPairs>
TRITFORGE_INLINE void step(const std::uint8_t* w, const std::uint8_t* const (&rows)[2 * kPairs], std::size_t k,
                           int32x4_t (&sums)[kPairs][kOutputPairs]) {
  uint8x16_t x[kPairs];
#pragma GCC unroll 2
  for (std::size_t p = 0; p < kPairs; ++p) {
    x[p] = vcombine_u8(load_bytes(rows[2 * p] + 4 * k, kBoth), load_bytes(rows[2 * p + 1] + 4 * k, kBoth));
  }
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) {
    const int32x4_t here = vreinterpretq_s32_u8(vld1q_u8(w + 16 * v));
    const int32x4_t next = kBoth ? vreinterpretq_s32_u8(vld1q_u8(w + kDwordBytes + 16 * v)) : vdupq_n_s32(0);
    const int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(here, next)), high = vreinterpretq_s8_s32(vzip2q_s32(here, next));
#pragma GCC unroll 2
    for (std::size_t p = 0; p < kPairs; ++p) {
      sums[p][2 * v] = vusmmlaq_s32(sums[p][2 * v], x[p], low);
      sums[p][2 * v + 1] = vusmmlaq_s32(sums[p][2 * v + 1], x[p], high);
    }
  }
}

template <std::size_t kPairs>
TRITFORGE_INLINE void add_tap(const DotBlock& b, const DotTap& tap, const std::uint8_t* const (&rows)[2 * kPairs],
                              int32x4_t (&sums)[kPairs][kOutputPairs]) {
  const std::uint8_t* from[2 * kPairs];
#pragma GCC unroll 4
  for (std::size_t m = 0; m < 2 * kPairs; ++m) from[m] = rows[m] + b.row_offset + tap.bytes;
  const std::uint8_t* w = b.weights + tap.dwords * kDwordBytes;
  std::size_t k = 0;
  for (; k + 2 <= b.tap_dwords; k += 2, w += 2 * kDwordBytes) step<true, kPairs>(w, from, k, sums);
  if (k < b.tap_dwords) step<false, kPairs>(w, from, k, sums);
}

TRITFORGE_INLINE void load_row(const std::int32_t* from, int32x4_t (&row)[kVectors]) {
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) row[v] = vld1q_s32(from + 4 * v);
}

// One row to the output, or to the partial sums.
TRITFORGE_INLINE void finish_row(const DotBlock& b, std::size_t index, const int32x4_t (&row)[kVectors]) {
  if (b.finishes) {
    int32x4_t tile[1][kVectors];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) tile[0][v] = row[v];
    return neon::store_tile(tile, advance(b.out, index, 0));
  }
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) vst1q_s32(b.partial + index * kOutputs + 4 * v, row[v]);
}

// `count` rows, of which the last stands in for one that is missing to a pair.
template <std::size_t kPairs>
void tile(const DotBlock& b, std::size_t first, std::size_t count) noexcept {
  const std::uint8_t* rows[2 * kPairs];
  int32x4_t sums[kPairs][kOutputPairs];
#pragma GCC unroll 2
  for (std::size_t p = 0; p < kPairs; ++p) {
    int32x4_t starts[2][kVectors];
#pragma GCC unroll 2
    for (std::size_t i = 0; i < 2; ++i) {
      const std::size_t m = 2 * p + i, index = first + (m < count ? m : count - 1);
      rows[m] = b.rows[index];
      load_row(b.start != nullptr ? b.start : b.partial + index * kOutputs, starts[i]);
    }
    exchange_halves(starts[0], starts[1], sums[p]);
  }
  for (std::size_t t = 0; t < b.tap_count; ++t) add_tap<kPairs>(b, b.taps[t], rows, sums);
#pragma GCC unroll 2
  for (std::size_t p = 0; p < kPairs; ++p) {
    int32x4_t even[kVectors], odd[kVectors];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      even[v] = low_halves(sums[p][2 * v], sums[p][2 * v + 1]);
      odd[v] = high_halves(sums[p][2 * v], sums[p][2 * v + 1]);
    }
    finish_row(b, first + 2 * p, even);
    if (2 * p + 1 < count) finish_row(b, first + 2 * p + 1, odd);
  }
}

void run(const DotBlock& b) noexcept {
  std::size_t first = 0;
  for (; b.row_count - first > 2; first += b.row_count - first < 4 ? 3 : 4) {
    tile<kMostPairs>(b, first, b.row_count - first < 4 ? 3 : 4);
  }
  if (first < b.row_count) tile<1>(b, first, b.row_count - first);
}

#undef TRITFORGE_INLINE

}  // namespace

const DotMicrokernel kDot8__neon_i8mm{"u8_dot8_4x16c8__neon_i8mm", Isa::neon_i8mm, 1, run};

}  // namespace tritforge

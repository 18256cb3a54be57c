// u8 × s8 dot products by VNNI: acc[p][o] += Σ_4 x[p][k…k+3] · w[o][k…k+3], 16 outputs in a register.
//
//                       strips of 16 outputs →
//            k          w0      w1      w2      w3        4 loads of 64 bytes
//   row 0  broadcast x  acc00   acc01   acc02   acc03
//     …        …         …
//   row 5  broadcast x  acc50   acc51   acc52   acc53     24 sums, 4 weights and 1 broadcast fill 29 of 32 registers
//
// A step of 4 values costs 24 vpdpbusd, 2 per cycle, against 10 loads, also 2 per cycle: arithmetic is the bound at 128 MAC/cycle.
// Narrower panels take more rows, though not as many as there is room for: their addresses, one for each row, have 16 registers.
// The rows of a block are split evenly, so that 49 pixels become tiles of 6 and 5, never a lonely row whose 4 chains of sums would
// wait for their latency.
//
// g++ 12 keeps the tile in registers only with the unroll pragmas.
#include "avx512/intrinsics.h"

#include <cstring>

#include "avx512/output_stage.h"
#include "convolution/dot_block.h"

namespace tritforge {
namespace {

#define INLINE inline __attribute__((always_inline))

constexpr int kMostStrips = 4;
constexpr std::size_t kVectorBytes = 64;
// Registers of sums from which on a tile is worth an output stage without a detour by way of memory.
constexpr int kLargeTile = 12;
// Rows of a tile by strips.
constexpr std::size_t kMostRows[kMostStrips + 1] = {0, 12, 8, 8, 6};

INLINE __m512i broadcast_dword(const std::uint8_t* x) {
  std::int32_t dword;
  std::memcpy(&dword, x, sizeof dword);
  return _mm512_set1_epi32(dword);
}

template <int Rows, int Strips>
INLINE void load_start(const DotBlock& b, std::size_t first, __m512i (&sums)[Rows][Strips]) {
  if (b.start != nullptr) {
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) {
      const __m512i start = _mm512_loadu_si512(b.start + n * avx512::kStripOutputs);
#pragma GCC unroll 16
      for (int m = 0; m < Rows; ++m) sums[m][n] = start;
    }
    return;
  }
  const std::int32_t* const partial = b.partial + first * Strips * avx512::kStripOutputs;
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) sums[m][n] = _mm512_load_si512(partial + (m * Strips + n) * avx512::kStripOutputs);
  }
}

// Four values of each row.
template <int Rows, int Strips>
INLINE void multiply_dword(const std::uint8_t* const (&x)[Rows], std::size_t k, const std::uint8_t* w, std::size_t strip,
                           __m512i (&sums)[Rows][Strips]) {
  __m512i weights[Strips];
#pragma GCC unroll 16
  for (int n = 0; n < Strips; ++n) weights[n] = _mm512_load_si512(w + n * strip);
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
    const __m512i values = broadcast_dword(x[m] + k);
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) sums[m][n] = _mm512_dpbusd_epi32(sums[m][n], values, weights[n]);
  }
}

// Brings the weights of the next block near while this one is computed: every segment of every tile asks for a few lines. The
// hardware follows strips only from page to page, and reads nothing ahead while tiles go over a panel again. Worth 5 to 15 % where
// weights come from memory, which is so for every layer of a large network.
class Prefetch {
 public:
  static constexpr std::size_t kSegmentBytes = 64;  // of a row

  Prefetch(const DotBlock& b, std::size_t tiles) : line_(b.next), end_(b.next + b.next_bytes) {
    const std::size_t segments = (b.tap_dwords * 4 + kSegmentBytes - 1) / kSegmentBytes * b.tap_count * tiles;
    lines_ = b.next_bytes == 0 || segments == 0 ? 0 : b.next_bytes / kVectorBytes / segments + 1;
  }

  INLINE void run_segment() {
    for (std::size_t i = 0; i < lines_ && line_ < end_; ++i, line_ += kVectorBytes) {
      _mm_prefetch(reinterpret_cast<const char*>(line_), _MM_HINT_T0);
    }
  }

 private:
  const std::uint8_t* line_;
  const std::uint8_t* end_;
  std::size_t lines_;
};

template <int Rows, int Strips>
INLINE void multiply(const DotBlock& b, std::size_t first, Prefetch& prefetch, __m512i (&sums)[Rows][Strips]) {
  for (const DotTap* tap = b.taps; tap != b.taps + b.tap_count; ++tap) {
    const std::uint8_t* x[Rows];
    const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(b.row_offset) + tap->bytes;
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) x[m] = b.rows[first + m] + offset;
    const std::uint8_t* w = b.weights + tap->dwords * kVectorBytes;
    for (std::size_t k = 0, end = 4 * b.tap_dwords; k < end;) {
      prefetch.run_segment();
      const std::size_t stop = end - k < Prefetch::kSegmentBytes ? end : k + Prefetch::kSegmentBytes;
      for (; k < stop; k += 4, w += kVectorBytes) {
        asm("" : "+r"(k));  // an index for all rows: g++ 12 would count up every pointer
        multiply_dword(x, k, w, b.strip_bytes, sums);
      }
    }
  }
}

template <int Rows, int Strips>
INLINE void store_partial(const DotBlock& b, std::size_t first, const __m512i (&sums)[Rows][Strips]) {
  std::int32_t* const partial = b.partial + first * Strips * avx512::kStripOutputs;
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 16
    for (int n = 0; n < Strips; ++n) _mm512_store_si512(partial + (m * Strips + n) * avx512::kStripOutputs, sums[m][n]);
  }
}

using Tiles = void (*)(const DotBlock& b, std::size_t first, std::size_t count, Prefetch& prefetch) noexcept;

template <int Rows, int Strips>
void tiles(const DotBlock& b, std::size_t first, std::size_t count, Prefetch& prefetch) noexcept {
  for (const std::size_t end = first + count * Rows; first != end; first += Rows) {
    __m512i sums[Rows][Strips];
    load_start(b, first, sums);
    multiply(b, first, prefetch, sums);
    if (!b.finishes) {
      store_partial(b, first, sums);
    } else if constexpr (Rows * Strips >= kLargeTile) {
      avx512::store_tile(sums, advance(b.out, first, 0));
    } else {
      avx512::store_tile_by_rows(sums, advance(b.out, first, 0));
    }
  }
}

constexpr Tiles kTiles1[] = {tiles<1, 1>, tiles<2, 1>, tiles<3, 1>, tiles<4, 1>,  tiles<5, 1>,  tiles<6, 1>,
                             tiles<7, 1>, tiles<8, 1>, tiles<9, 1>, tiles<10, 1>, tiles<11, 1>, tiles<12, 1>};
constexpr Tiles kTiles2[] = {tiles<1, 2>, tiles<2, 2>, tiles<3, 2>, tiles<4, 2>,
                             tiles<5, 2>, tiles<6, 2>, tiles<7, 2>, tiles<8, 2>};
constexpr Tiles kTiles3[] = {tiles<1, 3>, tiles<2, 3>, tiles<3, 3>, tiles<4, 3>,
                             tiles<5, 3>, tiles<6, 3>, tiles<7, 3>, tiles<8, 3>};
constexpr Tiles kTiles4[] = {tiles<1, 4>, tiles<2, 4>, tiles<3, 4>, tiles<4, 4>, tiles<5, 4>, tiles<6, 4>};
constexpr const Tiles* kTiles[kMostStrips + 1] = {nullptr, kTiles1, kTiles2, kTiles3, kTiles4};

void run(const DotBlock& b) noexcept {
  const Tiles* const by_rows = kTiles[b.strips];
  const std::size_t most = kMostRows[b.strips], count = (b.row_count + most - 1) / most;
  const std::size_t rows = b.row_count / count, longer = b.row_count % count;
  Prefetch prefetch(b, count);
  if (longer > 0) by_rows[rows](b, 0, longer, prefetch);
  by_rows[rows - 1](b, longer * (rows + 1), count - longer, prefetch);
}

}  // namespace

const DotMicrokernel kDot8__avx512{"u8_dot8_6x64c4__avx512vnni", Isa::avx512, kMostStrips, run};

}  // namespace tritforge

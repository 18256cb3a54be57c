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
// Bytes of a panel; smaller ones come soon enough by themselves.
constexpr std::size_t kWorthPrefetching = 16 << 10;
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

// No prefetching; the loop over a tap is then in one piece.
struct NoPrefetch {
  NoPrefetch(const DotBlock&, std::size_t) {}
};

template <int Rows, int Strips>
INLINE void multiply_dwords(const std::uint8_t* const (&x)[Rows], std::size_t k, std::size_t end, const std::uint8_t* w,
                            std::size_t strip, __m512i (&sums)[Rows][Strips]) {
  for (w += k / 4 * kVectorBytes; k < end; k += 4, w += kVectorBytes) {
    asm("" : "+r"(k));  // an index for all rows: g++ 12 would count up every pointer
    multiply_dword(x, k, w, strip, sums);
  }
}

template <int Rows, int Strips>
INLINE void multiply_tap(const std::uint8_t* const (&x)[Rows], std::size_t bytes, const std::uint8_t* w, std::size_t strip,
                         NoPrefetch&, __m512i (&sums)[Rows][Strips]) {
  multiply_dwords(x, 0, bytes, w, strip, sums);
}

template <int Rows, int Strips>
INLINE void multiply_tap(const std::uint8_t* const (&x)[Rows], std::size_t bytes, const std::uint8_t* w, std::size_t strip,
                         Prefetch& prefetch, __m512i (&sums)[Rows][Strips]) {
  for (std::size_t k = 0; k < bytes; k += Prefetch::kSegmentBytes) {
    prefetch.run_segment();
    const std::size_t left = bytes - k;
    multiply_dwords(x, k, k + (left < Prefetch::kSegmentBytes ? left : Prefetch::kSegmentBytes), w, strip, sums);
  }
}

template <int Rows, int Strips, class Ahead>
INLINE void multiply(const DotBlock& b, std::size_t first, Ahead& ahead, __m512i (&sums)[Rows][Strips]) {
  for (const DotTap* tap = b.taps; tap != b.taps + b.tap_count; ++tap) {
    const std::uint8_t* x[Rows];
    const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(b.row_offset) + tap->bytes;
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) x[m] = b.rows[first + m] + offset;
    multiply_tap(x, 4 * b.tap_dwords, b.weights + tap->dwords * kVectorBytes, b.strip_bytes, ahead, sums);
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

template <class Ahead>
using Tiles = void (*)(const DotBlock& b, std::size_t first, std::size_t count, Ahead& ahead) noexcept;

template <class Ahead, int Rows, int Strips>
void tiles(const DotBlock& b, std::size_t first, std::size_t count, Ahead& ahead) noexcept {
  for (const std::size_t end = first + count * Rows; first != end; first += Rows) {
    __m512i sums[Rows][Strips];
    load_start(b, first, sums);
    multiply(b, first, ahead, sums);
    if (!b.finishes) {
      store_partial(b, first, sums);
    } else if constexpr (Rows * Strips >= kLargeTile) {
      avx512::store_tile(sums, advance(b.out, first, 0));
    } else {
      avx512::store_tile_by_rows(sums, advance(b.out, first, 0));
    }
  }
}

template <class A>
constexpr Tiles<A> kTiles1[] = {tiles<A, 1, 1>, tiles<A, 2, 1>, tiles<A, 3, 1>, tiles<A, 4, 1>,  tiles<A, 5, 1>,  tiles<A, 6, 1>,
                                tiles<A, 7, 1>, tiles<A, 8, 1>, tiles<A, 9, 1>, tiles<A, 10, 1>, tiles<A, 11, 1>, tiles<A, 12, 1>};
template <class A>
constexpr Tiles<A> kTiles2[] = {tiles<A, 1, 2>, tiles<A, 2, 2>, tiles<A, 3, 2>, tiles<A, 4, 2>,
                                tiles<A, 5, 2>, tiles<A, 6, 2>, tiles<A, 7, 2>, tiles<A, 8, 2>};
template <class A>
constexpr Tiles<A> kTiles3[] = {tiles<A, 1, 3>, tiles<A, 2, 3>, tiles<A, 3, 3>, tiles<A, 4, 3>,
                                tiles<A, 5, 3>, tiles<A, 6, 3>, tiles<A, 7, 3>, tiles<A, 8, 3>};
template <class A>
constexpr Tiles<A> kTiles4[] = {tiles<A, 1, 4>, tiles<A, 2, 4>, tiles<A, 3, 4>, tiles<A, 4, 4>, tiles<A, 5, 4>, tiles<A, 6, 4>};

template <class Ahead>
void run_tiles(const DotBlock& b, const Tiles<Ahead>* by_rows) noexcept {
  const std::size_t most = kMostRows[b.strips], count = (b.row_count + most - 1) / most;
  const std::size_t rows = b.row_count / count, longer = b.row_count % count;
  Ahead ahead(b, count);
  if (longer > 0) by_rows[rows](b, 0, longer, ahead);
  by_rows[rows - 1](b, longer * (rows + 1), count - longer, ahead);
}

void run(const DotBlock& b) noexcept {
  constexpr const Tiles<NoPrefetch>* kByStrips[] = {kTiles1<NoPrefetch>, kTiles2<NoPrefetch>, kTiles3<NoPrefetch>,
                                                    kTiles4<NoPrefetch>};
  // Only whole panels are followed by another.
  if (b.next_bytes >= kWorthPrefetching && b.strips == kMostStrips) return run_tiles(b, kTiles4<Prefetch>);
  run_tiles(b, kByStrips[b.strips - 1]);
}

}  // namespace

const DotMicrokernel kDot8__avx512{"u8_dot8_6x64c4__avx512vnni", Isa::avx512, kMostStrips, run};

}  // namespace tritforge

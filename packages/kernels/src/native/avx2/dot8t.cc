// Ternary products without VNNI: trits are added up in 16 bits over a group of inputs, so that a step of four inputs costs two
// instructions for 8 outputs instead of three; the group code then multiplies once.
//
//                     w0: outputs 0…7    w1: outputs 8…15      2 loads of 32 bytes for four inputs of a group
//   row 0  broadcast x  acc00 += x·w0      acc01 += x·w1       vpmaddubsw, vpaddw
//     …        …           …                  …
//   row 3  broadcast x  acc30              acc31               8 sums of 16 bits; those of 32 bits lie in memory
//
//   end of the group: sum += acc · code                        vpmaddwd with the code in both lanes, vpaddd
//
// The two instructions would fill the four vector ports of a recent core at 64 MAC/cycle; classic maddubs needs a third, which makes
// its bound 32. g++ 12 regroups the additions and spills unless each sum is pinned to a register when it is formed.
#include <immintrin.h>

#include <cstring>

#include "avx2/output_stage.h"
#include "convolution/dot_block.h"
#include "layouts/dot8t.h"

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::size_t kMostRows = 4;
constexpr int kHalves = 2;

// What a strip says of itself; see layouts/dot8t.h.
struct Strip {
  std::size_t dwords, group_dwords, code_row_bytes;  // of a position of the kernel
  const std::uint8_t* trits;
  const std::uint8_t* codes;
};

Strip open_strip(const std::uint8_t* strip) {
  std::uint32_t header[3];
  std::memcpy(header, strip, sizeof header);
  const std::size_t code_rows = (header[0] + header[1] - 1) / header[1];
  return {header[0], header[1], code_rows * kDot8tCodeBytes, strip + kDot8tHeaderBytes, strip + header[2]};
}

TRITFORGE_INLINE __m256i broadcast_dword(const std::uint8_t* x) {
  std::int32_t dword;
  std::memcpy(&dword, x, sizeof dword);
  return _mm256_set1_epi32(dword);
}

TRITFORGE_INLINE void multiply_add(__m256i& sum, __m256i x, __m256i w) {
  sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(x, w));
  __asm__("" : "+x"(sum));
}

template <std::size_t kRows>
TRITFORGE_INLINE void step(const std::uint8_t* const (&x)[kRows], std::size_t k, const std::uint8_t* w,
                           __m256i (&sums)[kRows][kHalves]) {
  const __m256i low = _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
  const __m256i high = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + 32));
#pragma GCC unroll 4
  for (std::size_t m = 0; m < kRows; ++m) {
    const __m256i values = broadcast_dword(x[m] + 4 * k);
    multiply_add(sums[m][0], values, low);
    multiply_add(sums[m][1], values, high);
  }
}

// A group of `dwords` ≥ 1; `sums` are 32 bits wide.
template <std::size_t kRows>
TRITFORGE_INLINE void add_group(const std::uint8_t* const (&x)[kRows], std::size_t first, std::size_t dwords, const std::uint8_t* w,
                                const std::uint8_t* codes, __m256i (&sums)[kRows][kHalves]) {
  __m256i narrow[kRows][kHalves];
#pragma GCC unroll 4
  for (std::size_t m = 0; m < kRows; ++m) narrow[m][0] = narrow[m][1] = _mm256_setzero_si256();
  std::size_t k = first;
  const std::size_t end = first + dwords;
  if (dwords % 2 != 0) {
    step(x, k, w, narrow);
    k += 1;
    w += kDot8tVectorBytes;
  }
  for (; k != end; k += 2, w += 2 * kDot8tVectorBytes) {
    step(x, k, w, narrow);
    step(x, k + 1, w + kDot8tVectorBytes, narrow);
  }
  const __m256i code[kHalves] = {_mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(codes))),
                                 _mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(codes + 16)))};
#pragma GCC unroll 4
  for (std::size_t m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
    for (int half = 0; half < kHalves; ++half) {
      sums[m][half] = _mm256_add_epi32(sums[m][half], _mm256_madd_epi16(narrow[m][half], code[half]));
    }
  }
  __asm__ volatile("" ::: "memory");  // or g++ keeps the wide sums in the registers that the narrow ones need
}

template <std::size_t kRows>
TRITFORGE_INLINE void add_tap(const Strip& strip, const DotBlock& b, const DotTap& tap, std::size_t first,
                              __m256i (&sums)[kRows][kHalves]) {
  const std::uint8_t* x[kRows];
#pragma GCC unroll 4
  for (std::size_t m = 0; m < kRows; ++m) x[m] = b.rows[first + m] + b.row_offset + tap.bytes;
  const std::uint8_t* w = strip.trits + tap.dwords * kDot8tVectorBytes;
  const std::size_t position = tap.dwords == 0 ? 0 : static_cast<std::uint32_t>(tap.dwords) / static_cast<std::uint32_t>(strip.dwords);
  const std::uint8_t* codes = strip.codes + position * strip.code_row_bytes;
  for (std::size_t begin = 0; begin < b.tap_dwords; begin += strip.dwords) {
    for (std::size_t k = 0; k < strip.dwords; k += strip.group_dwords, codes += kDot8tCodeBytes) {
      const std::size_t left = strip.dwords - k, dwords = left < strip.group_dwords ? left : strip.group_dwords;
      add_group(x, begin + k, dwords, w, codes, sums);
      w += dwords * kDot8tVectorBytes;
    }
  }
}

template <std::size_t kRows>
TRITFORGE_INLINE void tile(const Strip& strip, const DotBlock& b, std::size_t first) {
  __m256i sums[kRows][kHalves];
#pragma GCC unroll 4
  for (std::size_t m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
    for (int half = 0; half < kHalves; ++half) {
      sums[m][half] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.start + 8 * half));
    }
  }
  __asm__ volatile("" ::"r"(sums) : "memory");
  for (std::size_t t = 0; t < b.tap_count; ++t) add_tap(strip, b, b.taps[t], first, sums);
  avx2::store_tile(sums, advance(b.out, first, 0));
}

template <std::size_t kRows>
void tiles(const Strip& strip, const DotBlock& block, std::size_t first, std::size_t count) noexcept {
  const DotBlock b = block;
  for (std::size_t i = 0; i < count; ++i) tile<kRows>(strip, b, first + i * kRows);
}

using Tiles = void (*)(const Strip& strip, const DotBlock& b, std::size_t first, std::size_t count) noexcept;
constexpr Tiles kTiles[kMostRows + 1] = {nullptr, tiles<1>, tiles<2>, tiles<3>, tiles<4>};

// Rows in tiles of nearly the same height.
void run(const DotBlock& b) noexcept {
  const Strip strip = open_strip(b.weights);
  const std::size_t count = (b.row_count + kMostRows - 1) / kMostRows, rows = b.row_count / count, taller = b.row_count % count;
  if (taller > 0) kTiles[rows + 1](strip, b, 0, taller);
  kTiles[rows](strip, b, taller * (rows + 1), count - taller);
}

#undef TRITFORGE_INLINE

}  // namespace

const DotMicrokernel kDot8t__avx2{"u8_dot8t_4x16c4__avx2", Isa::avx2, 1, run};

}  // namespace tritforge

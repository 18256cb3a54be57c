// acc += madd(maddubs(u8 activations, s8 weights), 1): four products per int32 lane and three instructions, two of which multiply.
// A processor with two multiplying ports does 32 MAC per cycle; everything else hides behind that: the 4×16 tile keeps 8 sums,
// 2 registers of weights, one of activations, two products and the ones.
//
// Packed weights, K in blocks so that the panel of a block stays in the L1 cache:
//
//   [block of K][panel of 16 outputs][K/4 of the block][16 outputs][4 of K]
//
// Rows go in blocks whose activations stay in the L2 cache while the panels pass by.
#include "../maddubs_gemm.h"

#include <immintrin.h>

namespace bench {
namespace {

constexpr std::size_t kPanel = 16, kRows = 4, kQuad = 4;
constexpr std::size_t kDepthBlock = 1024, kRowBlock = 256;

std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

int four_bytes(const std::uint8_t* bytes) {
  int value;
  __builtin_memcpy(&value, bytes, sizeof value);
  return value;
}

template <std::size_t kTileRows>
void tile(const std::uint8_t* a, std::size_t a_stride, const std::int8_t* panel, std::size_t depth, bool first,
          std::int32_t* c, std::size_t c_stride) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[kTileRows][2];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kTileRows; ++r) {
    sums[r][0] = first ? _mm256_setzero_si256() : _mm256_loadu_si256(reinterpret_cast<__m256i*>(c + r * c_stride));
    sums[r][1] = first ? _mm256_setzero_si256() : _mm256_loadu_si256(reinterpret_cast<__m256i*>(c + r * c_stride + 8));
  }
  for (std::size_t k = 0; k < depth; k += kQuad) {
    const __m256i w0 = _mm256_load_si256(reinterpret_cast<const __m256i*>(panel));
    const __m256i w1 = _mm256_load_si256(reinterpret_cast<const __m256i*>(panel + 32));
    panel += kPanel * kQuad;
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kTileRows; ++r) {
      const __m256i x = _mm256_set1_epi32(four_bytes(a + r * a_stride + k));
      sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(_mm256_maddubs_epi16(x, w0), ones));
      sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(_mm256_maddubs_epi16(x, w1), ones));
    }
  }
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kTileRows; ++r) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(c + r * c_stride), sums[r][0]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(c + r * c_stride + 8), sums[r][1]);
  }
}

using Tile = void (*)(const std::uint8_t*, std::size_t, const std::int8_t*, std::size_t, bool, std::int32_t*,
                      std::size_t);
constexpr Tile kTiles[] = {nullptr, tile<1>, tile<2>, tile<3>, tile<4>};

}  // namespace

std::size_t maddubs_packed_bytes(std::size_t k, std::size_t n) { return k * n; }

void maddubs_pack(const std::int8_t* weights, std::size_t k, std::size_t n, std::int8_t* packed) {
  for (std::size_t begin = 0; begin < k; begin += kDepthBlock) {
    const std::size_t end = smaller(begin + kDepthBlock, k);
    for (std::size_t panel = 0; panel < n; panel += kPanel) {
      for (std::size_t quad = begin; quad < end; quad += kQuad) {
        for (std::size_t output = panel; output < panel + kPanel; ++output) {
          for (std::size_t i = 0; i < kQuad; ++i) *packed++ = weights[output * k + quad + i];
        }
      }
    }
  }
}

void u8_s32_s8_gemm_4x16c4__avx2_maddubs(const std::uint8_t* a, const std::int8_t* packed, std::size_t m, std::size_t k,
                                         std::size_t n, std::int32_t* c) {
  for (std::size_t row_block = 0; row_block < m; row_block += kRowBlock) {
    const std::size_t row_end = smaller(row_block + kRowBlock, m);
    for (std::size_t begin = 0; begin < k; begin += kDepthBlock) {
      const std::size_t depth = smaller(kDepthBlock, k - begin);
      for (std::size_t output = 0; output < n; output += kPanel) {
        const std::int8_t* panel = packed + begin * n + output * depth;
        for (std::size_t row = row_block; row < row_end; row += kRows) {
          kTiles[smaller(kRows, row_end - row)](a + row * k + begin, k, panel, depth, begin == 0, c + row * n + output, n);
        }
      }
    }
  }
}

}  // namespace bench

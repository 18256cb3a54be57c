// u8 × s8 dot products without VNNI, exact for any int8: even and odd bytes are widened to 16 bits, so that vpmaddwd adds two products
// in 32 bits. (vpmaddubsw takes one instruction less, but its 16-bit sums of two products saturate: 255 · 127 · 2.)
//
//   w  | k0 k1 k2 k3 | of 8 outputs   even: w << 8 >> 8  | k0 | k2 |     odd: w >> 8    | k1 | k3 |     int16
//   x  | k0 k1 k2 k3 | broadcast      even: x & 0x00ff   | k0 | k2 |     odd: x >> 8    | k1 | k3 |     uint8 as int16
//
//   sum += madd(x even, w even) + madd(x odd, w odd)
//
// Four rows by 16 outputs: 8 sums, 4 weights, 2 inputs and 1 product fill 15 of 16 registers. A step has 16 vpmaddwd, 2 per cycle:
// the bound is 32 MAC/cycle, that of the classic vpmaddubsw too.
#include "avx2/dot8_tiles.h"

namespace tritforge {
namespace {

struct Widened {
  static constexpr std::size_t kRows = 4;

  struct Halves {
    __m256i even, odd;
  };

  static TRITFORGE_INLINE Halves widen_weights(const std::uint8_t* w) {
    const __m256i bytes = _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
    return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
  }

  static TRITFORGE_INLINE void add(__m256i& sum, const Halves& x, const Halves& w) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x.even, w.even));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x.odd, w.odd));
  }

  template <std::size_t kTileRows>
  static TRITFORGE_INLINE void multiply(__m256i (&sums)[kTileRows][2], const std::uint8_t* const (&x)[kTileRows], std::size_t k,
                                        const std::uint8_t* w) {
    const Halves low = widen_weights(w), high = widen_weights(w + 32);
#pragma GCC unroll 16
    for (std::size_t m = 0; m < kTileRows; ++m) {
      const __m256i bytes = avx2::broadcast_dword(x[m] + k);
      const Halves values{_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(bytes, 8)};
      add(sums[m][0], values, low);
      add(sums[m][1], values, high);
    }
  }
};

}  // namespace

const DotMicrokernel kDot8__avx2{"u8_dot8_4x16c4__avx2", Isa::avx2, 1, avx2::run_dot8<Widened>};

}  // namespace tritforge

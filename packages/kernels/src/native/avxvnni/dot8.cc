// u8 × s8 dot products by AVX-VNNI: a strip of 16 outputs by six rows.
//
//                       w0: outputs 0…7   w1: outputs 8…15      2 loads of 32 bytes
//   row 0  broadcast x  acc00             acc01
//     …        …         …                 …
//   row 5  broadcast x  acc50             acc51                 12 sums, 2 weights and 1 broadcast fill 15 of 16 registers
//
// 12 vpdpbusd a step, 2 per cycle, against 8 loads: the bound is 64 MAC/cycle.
#include "avx2/dot8_tiles.h"

namespace tritforge {
namespace {

struct Vnni {
  static constexpr std::size_t kRows = 6;

  template <std::size_t kTileRows>
  static TRITFORGE_INLINE void multiply(__m256i (&sums)[kTileRows][2], const std::uint8_t* const (&x)[kTileRows], std::size_t k,
                                        const std::uint8_t* w) {
    const __m256i low = _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
    const __m256i high = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + 32));
#pragma GCC unroll 16
    for (std::size_t m = 0; m < kTileRows; ++m) {
      const __m256i values = avx2::broadcast_dword(x[m] + k);
      sums[m][0] = _mm256_dpbusd_avx_epi32(sums[m][0], values, low);
      sums[m][1] = _mm256_dpbusd_avx_epi32(sums[m][1], values, high);
    }
  }
};

}  // namespace

const DotMicrokernel kDot8__avxvnni{"u8_dot8_6x16c4__avxvnni", Isa::avxvnni, 1, avx2::run_dot8<Vnni>};

}  // namespace tritforge

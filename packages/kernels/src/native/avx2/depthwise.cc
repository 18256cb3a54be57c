#include "avx2/depthwise_vectors.h"

namespace tritforge {
namespace {

struct Avx2 : Avx2Vectors {
  static constexpr std::size_t kPlanes = 8;

  static inline __attribute__((always_inline)) Int multiply_add(Int sums, Int values, Int weights) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(values, weights));
  }

  // Rows 0 and 2 of plane v go to plane v, rows 1 and 3 to plane 4 + v.
  static inline __attribute__((always_inline)) void interleave(Int a, Int b, Int c, Int d, std::uint8_t* planes,
                                                               std::size_t plane_bytes) {
    Int dwords[4];
    interleave_dwords(a, b, c, d, dwords);
#pragma GCC unroll 4
    for (std::size_t v = 0; v < 4; ++v) {
      store(planes + v * plane_bytes, _mm256_and_si256(dwords[v], _mm256_set1_epi16(0xff)));
      store(planes + (4 + v) * plane_bytes, _mm256_srli_epi16(dwords[v], 8));
    }
  }
};

}  // namespace

const DepthwiseMicrokernel kDepthwise__avx2{"u8_depthwise__avx2", Isa::avx2, Avx2::kVector, Avx2::kPlanes, 0,
                                            depthwise::interleave<Avx2>, depthwise::multiply<Avx2>};

}  // namespace tritforge

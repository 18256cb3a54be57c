#include "avx2/depthwise_vectors.h"

namespace tritforge {
namespace {

struct AvxVnni : Avx2Vectors {
  static constexpr std::size_t kPlanes = 4;

  static inline __attribute__((always_inline)) Int multiply_add(Int sums, Int values, Int weights) {
    return _mm256_dpbusd_avx_epi32(sums, values, weights);
  }

  static inline __attribute__((always_inline)) void interleave(Int a, Int b, Int c, Int d, std::uint8_t* planes,
                                                               std::size_t plane_bytes) {
    Int dwords[4];
    interleave_dwords(a, b, c, d, dwords);
#pragma GCC unroll 4
    for (std::size_t v = 0; v < 4; ++v) store(planes + v * plane_bytes, dwords[v]);
  }
};

}  // namespace

const DepthwiseMicrokernel kDepthwise__avxvnni{"u8_depthwise__avxvnni", Isa::avxvnni, AvxVnni::kVector, AvxVnni::kPlanes, 0,
                                               depthwise::interleave<AvxVnni>, depthwise::multiply<AvxVnni>};

}  // namespace tritforge

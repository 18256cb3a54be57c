// Few rows by AVX-VNNI: sums are dwords. Both streams of a pair share a vpdpwssd, as |Σ t·x| <= 64·128 fits in a word.
#include "avx2/gemv2_rows.h"
#include "avx2/gemv2_tiles.h"

namespace tritforge {
namespace {

struct DwordDot {
  // An asm statement, as g++ 12 otherwise copies the sums.
  static inline __attribute__((always_inline)) void add_products(__m256i& sum, __m256i weights, __m256i x) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(weights), "x"(x));
  }

  // sum + c_0·acc0 + c_1·acc1/4, with the codes of the pair.
  template <int Pair>
  static inline __attribute__((always_inline)) __m256i add_pair(__m256i sum, __m256i acc0, __m256i acc1,
                                                                __m256i codes) {
    constexpr char c = 2 * Pair;
    const __m256i both = _mm256_blend_epi16(acc0, _mm256_slli_epi32(acc1, 14), 0xaa);
    const __m256i code_pairs = _mm256_shuffle_epi8(
        codes, _mm256_broadcastsi128_si256(_mm_setr_epi8(c, -1, c + 1, -1, c + 4, -1, c + 5, -1,  //
                                                         c + 8, -1, c + 9, -1, c + 12, -1, c + 13, -1)));
    return _mm256_dpwssd_avx_epi32(sum, both, code_pairs);
  }
};

void correct(const std::int8_t* row, const GemvRun& main, const GemvRun& tail, std::int32_t* corrections) noexcept {
  const GemvRun runs[] = {main, tail};
  for (const GemvRun& run : runs) {
    for (std::size_t stream = 0; stream < kGemvStreams * run.quads; ++stream, row += 4 * run.steps) {
      const int sum = _mm_cvtsi128_si32(_mm_madd_epi16(sum_pairs(row, run.steps), _mm_set1_epi16(1)));
      *corrections++ = stream % 2 == 0 ? -sum : -4 * sum;
    }
  }
}

const GemvMethod& method(std::size_t, std::size_t) noexcept { return kBiased<DwordDot>; }

}  // namespace

const GemvKernels kGemvAvxVnni{"u8_gemv2__avxvnni", "f32_gemv2__avxvnni", method, correct, quantize, scale, store};

}  // namespace tritforge

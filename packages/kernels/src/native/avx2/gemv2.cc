// Few rows by AVX2. Products of bytes are words, two to a sum, which holds a whole segment:
//
//   |Σ 4^s·t·x| over the 32 inputs of one word <= 4·32·128 = 2^14      so sums modulo 2^16 are exact at a segment's end
//   each vpmaddubsw: |2·12·128| < 2^15                                 so none saturates
//
// Corrections are two words: the sum of a word starts at −4^s times the sum of its own activations. A vpmaddwd
// multiplies both words by the group code and adds them.
#include "avx2/gemv2_rows.h"
#include "avx2/gemv2_tiles.h"

namespace tritforge {
namespace {

struct WordDot {
  // An asm statement, as g++ 12 otherwise copies the sums.
  static inline __attribute__((always_inline)) void add_products(__m256i& sum, __m256i weights, __m256i x) {
    __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(_mm256_maddubs_epi16(weights, x)));
  }

  // sum + c_0·acc0 + c_1·acc1/4, with the codes of the pair.
  template <int Pair>
  static inline __attribute__((always_inline)) __m256i add_pair(__m256i sum, __m256i acc0, __m256i acc1,
                                                                __m256i codes) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(acc0, code_words<2 * Pair>(codes)));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_srai_epi16(acc1, 2), code_words<2 * Pair + 1>(codes)));
  }
};

void correct(const std::int8_t* row, const GemvRun& main, const GemvRun& tail, std::int32_t* corrections) noexcept {
  const GemvRun runs[] = {main, tail};
  for (const GemvRun& run : runs) {
    for (std::size_t stream = 0; stream < kGemvStreams * run.quads; ++stream, row += 4 * run.steps) {
      const __m128i sums = _mm_sub_epi16(_mm_setzero_si128(), sum_pairs(row, run.steps));
      *corrections++ = _mm_cvtsi128_si32(stream % 2 == 0 ? sums : _mm_slli_epi16(sums, 2));
    }
  }
}

const GemvMethod& method(std::size_t, std::size_t) noexcept { return kBiased<WordDot>; }

}  // namespace

const GemvKernels kGemvAvx2{"u8_gemv2__avx2", "f32_gemv2__avx2", method, correct, quantize, scale, store};

}  // namespace tritforge

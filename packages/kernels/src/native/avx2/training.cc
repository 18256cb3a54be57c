// Tiles and passes of training on vectors of 8 floats. Formulas: training/training_kernels.h; layout of the work: training/tiles.h.
#include <immintrin.h>

#include "training/channel_passes.h"

namespace tritforge {
namespace {

struct Vector {
  using Type = __m256;
  using Part = __m256i;
  static constexpr std::size_t kLanes = 8;

  static TRITFORGE_INLINE Part part(std::size_t lanes) noexcept {
    const int count = lanes >= kLanes ? static_cast<int>(kLanes) : static_cast<int>(lanes);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static TRITFORGE_INLINE Type zero() noexcept { return _mm256_setzero_ps(); }
  static TRITFORGE_INLINE Type load(const float* p) noexcept { return _mm256_loadu_ps(p); }
  static TRITFORGE_INLINE Type load_part(const float* p, Part part) noexcept { return _mm256_maskload_ps(p, part); }
  static TRITFORGE_INLINE Type broadcast(const float* p) noexcept { return _mm256_broadcast_ss(p); }
  static TRITFORGE_INLINE void store(float* p, Type v) noexcept { _mm256_storeu_ps(p, v); }
  static TRITFORGE_INLINE void store_part(float* p, Type v, Part part) noexcept { _mm256_maskstore_ps(p, part, v); }
  // Past the caches; p is aligned to the vector.
  static TRITFORGE_INLINE void stream(float* p, Type v) noexcept { _mm256_stream_ps(p, v); }
  static TRITFORGE_INLINE void end_streams() noexcept { _mm_sfence(); }
  static TRITFORGE_INLINE Type add(Type a, Type b) noexcept { return _mm256_add_ps(a, b); }
  static TRITFORGE_INLINE Type subtract(Type a, Type b) noexcept { return _mm256_sub_ps(a, b); }
  static TRITFORGE_INLINE Type multiply_add(Type a, Type b, Type c) noexcept { return _mm256_fmadd_ps(a, b, c); }
  // v where y > 0, else 0.
  static TRITFORGE_INLINE Type where_positive(Type y, Type v) noexcept {
    return _mm256_and_ps(_mm256_cmp_ps(y, zero(), _CMP_GT_OQ), v);
  }
  // b where one is not a number.
  static TRITFORGE_INLINE Type maximum(Type a, Type b) noexcept { return _mm256_max_ps(a, b); }
  // v where a = b, else 0.
  static TRITFORGE_INLINE Type where_equal(Type a, Type b, Type v) noexcept {
    return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ), v);
  }
  static TRITFORGE_INLINE Type minimum(Type a, Type b) noexcept { return _mm256_min_ps(a, b); }
  static TRITFORGE_INLINE Type multiply(Type a, Type b) noexcept { return _mm256_mul_ps(a, b); }
  static TRITFORGE_INLINE Type divide(Type a, Type b) noexcept { return _mm256_div_ps(a, b); }
  // To the nearest integer, to even where there are two.
  static TRITFORGE_INLINE Type round(Type a) noexcept {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
};

}  // namespace

extern const TrainingKernels kTrainingAvx2 = TRITFORGE_TRAINING_KERNELS(Vector, 10, 6, 2, 3);

}  // namespace tritforge

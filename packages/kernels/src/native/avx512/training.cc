// Tiles and passes of training on vectors of 16 floats. Formulas: training/training_kernels.h; layout of the work: training/tiles.h.
#include "avx512/intrinsics.h"

#include "training/channel_passes.h"

namespace tritforge {
namespace {

struct Vector {
  using Type = __m512;
  using Part = __mmask16;
  static constexpr std::size_t kLanes = 16;

  static TRITFORGE_INLINE Part part(std::size_t lanes) noexcept {
    return lanes >= kLanes ? static_cast<Part>(0xffff) : static_cast<Part>((1u << lanes) - 1);
  }
  static TRITFORGE_INLINE Type zero() noexcept { return _mm512_setzero_ps(); }
  static TRITFORGE_INLINE Type load(const float* p) noexcept { return _mm512_loadu_ps(p); }
  static TRITFORGE_INLINE Type load_part(const float* p, Part part) noexcept { return _mm512_maskz_loadu_ps(part, p); }
  static TRITFORGE_INLINE Type broadcast(const float* p) noexcept { return _mm512_set1_ps(*p); }
  static TRITFORGE_INLINE void store(float* p, Type v) noexcept { _mm512_storeu_ps(p, v); }
  static TRITFORGE_INLINE void store_part(float* p, Type v, Part part) noexcept { _mm512_mask_storeu_ps(p, part, v); }
  // Past the caches; p is aligned to the vector.
  static TRITFORGE_INLINE void stream(float* p, Type v) noexcept { _mm512_stream_ps(p, v); }
  static TRITFORGE_INLINE void end_streams() noexcept { _mm_sfence(); }
  static TRITFORGE_INLINE Type add(Type a, Type b) noexcept { return _mm512_add_ps(a, b); }
  static TRITFORGE_INLINE Type subtract(Type a, Type b) noexcept { return _mm512_sub_ps(a, b); }
  static TRITFORGE_INLINE Type multiply_add(Type a, Type b, Type c) noexcept { return _mm512_fmadd_ps(a, b, c); }
  // v where y > 0, else 0.
  static TRITFORGE_INLINE Type where_positive(Type y, Type v) noexcept {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, zero(), _CMP_GT_OQ), v);
  }
  // b where one is not a number.
  static TRITFORGE_INLINE Type maximum(Type a, Type b) noexcept { return _mm512_max_ps(a, b); }
  // v where a = b, else 0.
  static TRITFORGE_INLINE Type where_equal(Type a, Type b, Type v) noexcept {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ), v);
  }
  static TRITFORGE_INLINE Type minimum(Type a, Type b) noexcept { return _mm512_min_ps(a, b); }
  static TRITFORGE_INLINE Type multiply(Type a, Type b) noexcept { return _mm512_mul_ps(a, b); }
  static TRITFORGE_INLINE Type divide(Type a, Type b) noexcept { return _mm512_div_ps(a, b); }
  // To the nearest integer, to even where there are two.
  static TRITFORGE_INLINE Type round(Type a) noexcept {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
};

}  // namespace

extern const TrainingKernels kTrainingAvx512 = TRITFORGE_TRAINING_KERNELS(Vector, 16, 14, 3, 4);

}  // namespace tritforge

// Depthwise convolution by sdot, 16 channels at once; steps, planes and names: convolution/depthwise_block.h. Inputs are interleaved as
// x − 128, signed bytes; the sums begin with what that takes away.
#include <arm_neon.h>

#include "convolution/depthwise_tiles.h"
#include "neon/output_stage.h"

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

struct Neon {
  static constexpr std::size_t kVector = 16, kPlanes = 4, kMostVectors = 4;
  using Int = int32x4_t;
  using Float = float32x4_t;

  static TRITFORGE_INLINE Int load(const void* p) { return vreinterpretq_s32_u8(vld1q_u8(static_cast<const std::uint8_t*>(p))); }
  static TRITFORGE_INLINE void store(void* p, Int v) { vst1q_u8(static_cast<std::uint8_t*>(p), vreinterpretq_u8_s32(v)); }
  static TRITFORGE_INLINE Float load_floats(const float* p) { return vld1q_f32(p); }
  static TRITFORGE_INLINE Int multiply_add(Int sums, Int values, Int weights) {
    return vdotq_s32(sums, vreinterpretq_s8_s32(values), vreinterpretq_s8_s32(weights));
  }
  static TRITFORGE_INLINE Int product_bits(Int sums, Float multiplier) {
    return vreinterpretq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums), multiplier));
  }

  static TRITFORGE_INLINE uint8x16_t flipped(Int v) { return veorq_u8(vreinterpretq_u8_s32(v), vdupq_n_u8(0x80)); }

  static TRITFORGE_INLINE void interleave(Int row0, Int row1, Int row2, Int row3, std::uint8_t* planes, std::size_t plane_bytes) {
    const uint8x16_t a = flipped(row0), b = flipped(row1), c = flipped(row2), d = flipped(row3);
    const uint16x8_t ab_low = vreinterpretq_u16_u8(vzip1q_u8(a, b)), ab_high = vreinterpretq_u16_u8(vzip2q_u8(a, b));
    const uint16x8_t cd_low = vreinterpretq_u16_u8(vzip1q_u8(c, d)), cd_high = vreinterpretq_u16_u8(vzip2q_u8(c, d));
    vst1q_u8(planes, vreinterpretq_u8_u16(vzip1q_u16(ab_low, cd_low)));
    vst1q_u8(planes + plane_bytes, vreinterpretq_u8_u16(vzip2q_u16(ab_low, cd_low)));
    vst1q_u8(planes + 2 * plane_bytes, vreinterpretq_u8_u16(vzip1q_u16(ab_high, cd_high)));
    vst1q_u8(planes + 3 * plane_bytes, vreinterpretq_u8_u16(vzip2q_u16(ab_high, cd_high)));
  }

  // A vector is one column.
  static TRITFORGE_INLINE Int gather(const std::uint8_t* from, std::size_t, std::size_t, const DepthwiseBlock& b) {
    std::uint8_t bytes[kVector] = {};
    std::memcpy(bytes, from, b.channels);
    return load(bytes);
  }

  template <bool kWhole>
  static TRITFORGE_INLINE void store_bytes(std::uint8_t* y, Int codes, std::size_t, std::size_t, const DepthwiseBlock& b) {
    if constexpr (kWhole) return store(y, codes);
    std::uint8_t bytes[kVector];
    store(bytes, codes);
    std::memcpy(y, bytes, b.channels);
  }

  // Vectors of planes are in the order of channels.
  struct Codes {
    neon::Rounding rounding;
    std::uint8_t zero_point, max_code;
    explicit TRITFORGE_INLINE Codes(const PreparedStage& stage)
        : rounding(stage), zero_point(stage.zero_point), max_code(stage.max_code) {}
    TRITFORGE_INLINE Int scale(Int sums, Float multiplier) const { return rounding.rounded(sums, multiplier); }
    TRITFORGE_INLINE Int pack(const Int (&v)[4]) const {
      return vreinterpretq_s32_u8(neon::pack_codes(v, zero_point, max_code));
    }
  };

  struct SumCodes {
    neon::Rounding rounding;
    neon::Addition addition;
    std::uint8_t max_code;
    explicit TRITFORGE_INLINE SumCodes(const PreparedStage& stage) : rounding(stage), addition(stage), max_code(stage.max_code) {}
    TRITFORGE_INLINE Int scale(Int sums, Float multiplier) const {
      return vreinterpretq_s32_f32(rounding.code(sums, multiplier));
    }
    TRITFORGE_INLINE Int pack(const Int (&v)[4], Int residual) const {
      const uint8x16_t bytes = vreinterpretq_u8_s32(residual);
      Int sums[4];
#pragma GCC unroll 4
      for (std::size_t i = 0; i < 4; ++i) sums[i] = addition.rounded(vreinterpretq_f32_s32(v[i]), neon::four_of(bytes, i));
      return vreinterpretq_s32_u8(neon::pack_codes(sums, 0, max_code));
    }
  };
};

#undef TRITFORGE_INLINE

}  // namespace

const DepthwiseMicrokernel kDepthwise__neon{"u8_depthwise__neon", Isa::neon, Neon::kVector, Neon::kPlanes, 128,
                                            depthwise::interleave<Neon>, depthwise::multiply<Neon>};

}  // namespace tritforge

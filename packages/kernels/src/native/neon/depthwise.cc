// Depthwise convolution by sdot, 16 channels at once; steps, planes and names: convolution/depthwise_block.h. Inputs are interleaved as
// x − 128, signed bytes; the sums begin with what that takes away.
#include <arm_neon.h>

#include "convolution/depthwise_tiles.h"

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

  // Formulas: include/tritforge/requantize.h. Conversions saturate here, and NaN, which becomes the lowest value, needs the maximum that
  // prefers numbers.
  struct Codes {
    Float lowest, highest;
    int16x8_t zero_point;
    uint8x16_t max_code;
    explicit TRITFORGE_INLINE Codes(const PreparedStage& stage)
        : lowest(vdupq_n_f32(stage.lowest)),
          highest(vdupq_n_f32(stage.highest)),
          zero_point(vdupq_n_s16(stage.zero_point)),
          max_code(vdupq_n_u8(stage.max_code)) {}
    TRITFORGE_INLINE Int scale(Int sums, Float multiplier) const {
      const Float scaled = vmulq_f32(vcvtq_f32_s32(sums), multiplier);
      return vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(scaled, lowest), highest));
    }
    TRITFORGE_INLINE Int pack(const Int (&v)[4]) const {
      const int16x8_t low = vqaddq_s16(vcombine_s16(vqmovn_s32(v[0]), vqmovn_s32(v[1])), zero_point);
      const int16x8_t high = vqaddq_s16(vcombine_s16(vqmovn_s32(v[2]), vqmovn_s32(v[3])), zero_point);
      return vreinterpretq_s32_u8(vminq_u8(vcombine_u8(vqmovun_s16(low), vqmovun_s16(high)), max_code));
    }
  };

  struct SumCodes {
    Float lowest, highest, a_ratio, b_ratio, offset;
    uint8x16_t max_code;
    explicit TRITFORGE_INLINE SumCodes(const PreparedStage& stage)
        : lowest(vdupq_n_f32(stage.lowest)),
          highest(vdupq_n_f32(stage.highest)),
          a_ratio(vdupq_n_f32(stage.add.a_ratio)),
          b_ratio(vdupq_n_f32(stage.add.b_ratio)),
          offset(vdupq_n_f32(stage.add.offset)),
          max_code(vdupq_n_u8(stage.max_code)) {}
    TRITFORGE_INLINE Int scale(Int sums, Float multiplier) const {
      const Float scaled = vmulq_f32(vcvtq_f32_s32(sums), multiplier);
      const Float clamped = vminnmq_f32(vmaxnmq_f32(scaled, lowest), highest);
      return vreinterpretq_s32_f32(vsubq_f32(vrndnq_f32(clamped), lowest));
    }
    // What int32 does not hold becomes 0.
    TRITFORGE_INLINE int16x4_t sum(Int code, uint16x4_t residual) const {
      const Float other = vfmaq_f32(offset, vcvtq_f32_u32(vmovl_u16(residual)), b_ratio);
      const Float sum = vfmaq_f32(other, vreinterpretq_f32_s32(code), a_ratio);
      const uint32x4_t fits = vcltq_f32(sum, vdupq_n_f32(2147483648.0f));
      return vqmovn_s32(vandq_s32(vcvtnq_s32_f32(sum), vreinterpretq_s32_u32(fits)));
    }
    TRITFORGE_INLINE Int pack(const Int (&v)[4], Int residual) const {
      const uint8x16_t r = vreinterpretq_u8_s32(residual);
      const uint16x8_t low = vmovl_u8(vget_low_u8(r)), high = vmovl_u8(vget_high_u8(r));
      const int16x8_t first = vcombine_s16(sum(v[0], vget_low_u16(low)), sum(v[1], vget_high_u16(low)));
      const int16x8_t last = vcombine_s16(sum(v[2], vget_low_u16(high)), sum(v[3], vget_high_u16(high)));
      return vreinterpretq_s32_u8(vminq_u8(vcombine_u8(vqmovun_s16(first), vqmovun_s16(last)), max_code));
    }
  };
};

#undef TRITFORGE_INLINE

}  // namespace

const DepthwiseMicrokernel kDepthwise__neon{"u8_depthwise__neon", Isa::neon, Neon::kVector, Neon::kPlanes, 128,
                                            depthwise::interleave<Neon>, depthwise::multiply<Neon>};

}  // namespace tritforge

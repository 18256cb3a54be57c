// The end of NEON microkernels: a tile of int32 sums, kRows × 16 channels in registers, becomes outputs. Formulas:
// include/tritforge/requantize.h. Conversions saturate here, and NaN, which becomes the lowest value, needs the maximum that prefers
// numbers; what a sum with a residual does not hold in int32 becomes 0.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "convolution/output_tile.h"

namespace tritforge {
namespace {
namespace neon {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::size_t kStripOutputs = 16, kVectorOutputs = 4, kStripVectors = 4;

// What of the output stage stays in registers, and its steps.
struct Rounding {
  float32x4_t lowest, highest;
  explicit TRITFORGE_INLINE Rounding(const PreparedStage& stage)
      : lowest(vdupq_n_f32(stage.lowest)), highest(vdupq_n_f32(stage.highest)) {}
  TRITFORGE_INLINE float32x4_t clamped(int32x4_t sums, float32x4_t multiplier) const {
    return vminnmq_f32(vmaxnmq_f32(vmulq_f32(vcvtq_f32_s32(sums), multiplier), lowest), highest);
  }
  // Without the zero point.
  TRITFORGE_INLINE int32x4_t rounded(int32x4_t sums, float32x4_t multiplier) const {
    return vcvtnq_s32_f32(clamped(sums, multiplier));
  }
  // With it, 0 … 255.
  TRITFORGE_INLINE float32x4_t code(int32x4_t sums, float32x4_t multiplier) const {
    return vsubq_f32(vrndnq_f32(clamped(sums, multiplier)), lowest);
  }
};

struct Addition {
  float32x4_t a_ratio, b_ratio, offset;
  explicit TRITFORGE_INLINE Addition(const PreparedStage& stage)
      : a_ratio(vdupq_n_f32(stage.add.a_ratio)), b_ratio(vdupq_n_f32(stage.add.b_ratio)), offset(vdupq_n_f32(stage.add.offset)) {}
  TRITFORGE_INLINE int32x4_t rounded(float32x4_t code, uint16x4_t residual) const {
    const float32x4_t other = vfmaq_f32(offset, vcvtq_f32_u32(vmovl_u16(residual)), b_ratio);
    const float32x4_t sum = vfmaq_f32(other, code, a_ratio);
    const uint32x4_t fits = vcltq_f32(sum, vdupq_n_f32(2147483648.0f));
    return vandq_s32(vcvtnq_s32_f32(sum), vreinterpretq_s32_u32(fits));
  }
};

TRITFORGE_INLINE uint8x16_t pack_codes(const int32x4_t (&v)[kStripVectors], std::uint8_t zero_point, std::uint8_t max_code) {
  const int16x8_t zero = vdupq_n_s16(zero_point);
  const int16x8_t low = vqaddq_s16(vcombine_s16(vqmovn_s32(v[0]), vqmovn_s32(v[1])), zero);
  const int16x8_t high = vqaddq_s16(vcombine_s16(vqmovn_s32(v[2]), vqmovn_s32(v[3])), zero);
  return vminq_u8(vcombine_u8(vqmovun_s16(low), vqmovun_s16(high)), vdupq_n_u8(max_code));
}

TRITFORGE_INLINE uint16x4_t four_of(uint8x16_t bytes, std::size_t vector) {
  const uint16x8_t half = vmovl_u8(vector < 2 ? vget_low_u8(bytes) : vget_high_u8(bytes));
  return vector % 2 == 0 ? vget_low_u16(half) : vget_high_u16(half);
}

TRITFORGE_INLINE void store_bytes(std::uint8_t* y, uint8x16_t bytes, std::size_t channels) {
  if (channels >= kStripOutputs) return vst1q_u8(y, bytes);
  std::uint8_t whole[kStripOutputs];
  vst1q_u8(whole, bytes);
  std::memcpy(y, whole, channels);
}

TRITFORGE_INLINE uint8x16_t load_bytes(const std::uint8_t* r, std::size_t channels) {
  if (channels >= kStripOutputs) return vld1q_u8(r);
  std::uint8_t whole[kStripOutputs] = {};
  std::memcpy(whole, r, channels);
  return vld1q_u8(whole);
}

TRITFORGE_INLINE void store_32(const int32x4_t (&sums)[kStripVectors], const OutputTile& out, std::size_t element) {
  std::int32_t whole[kStripOutputs];
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kStripVectors; ++v) {
    const bool is_s32 = out.stage->kind == OutputKind::s32;
    vst1q_s32(whole + v * kVectorOutputs,
              is_s32 ? sums[v]
                     : vreinterpretq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums[v]), vld1q_f32(out.multiplier + v * kVectorOutputs))));
  }
  const std::size_t channels = out.channels < kStripOutputs ? out.channels : kStripOutputs;
  std::memcpy(static_cast<std::int32_t*>(out.output) + element, whole, channels * sizeof(std::int32_t));
}

TRITFORGE_INLINE void store_codes(const int32x4_t (&sums)[kStripVectors], const OutputTile& out, std::size_t element) {
  const PreparedStage& stage = *out.stage;
  const Rounding rounding(stage);
  auto* const y = static_cast<std::uint8_t*>(out.output) + element;
  int32x4_t v[kStripVectors];
  if (!stage.adds) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kStripVectors; ++i) v[i] = rounding.rounded(sums[i], vld1q_f32(out.multiplier + i * kVectorOutputs));
    return store_bytes(y, pack_codes(v, stage.zero_point, stage.max_code), out.channels);
  }
  const Addition addition(stage);
  const uint8x16_t residual = load_bytes(out.residual + element, out.channels);
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kStripVectors; ++i) {
    const float32x4_t code = rounding.code(sums[i], vld1q_f32(out.multiplier + i * kVectorOutputs));
    v[i] = addition.rounded(code, four_of(residual, i));
  }
  store_bytes(y, pack_codes(v, 0, stage.max_code), out.channels);
}

// Writes rows of one strip. `out` begins at its first row and channel; rows all exist, channels may be fewer than 16.
template <std::size_t kRows>
TRITFORGE_INLINE void store_tile(const int32x4_t (&sums)[kRows][kStripVectors], const OutputTile& out) {
#pragma GCC unroll 16
  for (std::size_t m = 0; m < kRows; ++m) {
    const std::size_t element = row_elements(out, m);
    if (out.stage->kind == OutputKind::u8) {
      store_codes(sums[m], out, element);
    } else {
      store_32(sums[m], out, element);
    }
  }
}

#undef TRITFORGE_INLINE

}  // namespace neon
}  // namespace
}  // namespace tritforge

// The output stages of ONNX Runtime's integer operators, bit for bit, as scalar functions: the standard that every
// kernel's output stage is compared with.
//
//   QLinearConv, QGemm    m[oc] = (x_scale * w_scale[oc]) / y_scale                    float32, two roundings
//   with uint8 output     y     = clamp(float(acc) * m[oc], -zp, 255 - zp)             float(int32) rounds to even
//                               → rounded half to even → + zp                          acc includes the int32 bias
//
//   QLinearAdd            ra = a_scale / c_scale, rb = b_scale / c_scale               float32
//   (also the fused DQ,   offset = c_zp - fma(ra, a_zp, rb * b_zp)                     rb * b_zp rounds first
//   DQ, Add, Q)           c = fma(a, ra, fma(b, rb, offset)) → rounded half to even → saturated to uint8
//                         The operands are not interchangeable. What int32 does not hold becomes 0, as CVTPS2DQ has it.
//
//   MatMulInteger → Add → Cast → Mul, MatMulIntegerToFloat, QGemm with float output
//                         y = float(acc) * (x_scale * w_scale[n])                      a float bias is added, not fused
//
// Established against onnxruntime 1.16.3, 1.21.0, 1.30.0 and 1.31.1 on x86-64 with FMA: all 65,536 pairs of operands or
// as many accumulators, hundreds of scales and zero points, ties included. With graph optimization off a stock session
// computes the unfused (a' + b') / c_scale instead, which differs. The rounding mode must be the default one.
//
// Functions are static, and use no templates, so that each translation unit keeps a copy for its own instruction set.
#pragma once

#include <cmath>
#include <cstdint>

namespace tritforge {

// m[oc] of QLinearConv and QGemm.
static inline float requantize_multiplier(float x_scale, float w_scale, float y_scale) noexcept {
  return x_scale * w_scale / y_scale;
}

// One output of QLinearConv: `accumulator` is sum((x - x_zp) * w) + bias.
static inline std::uint8_t requantize(std::int32_t accumulator, float multiplier, std::uint8_t zero_point) noexcept {
  const float scaled = static_cast<float>(accumulator) * multiplier;
  const float lowest = static_cast<float>(0 - zero_point);
  const float highest = static_cast<float>(255 - zero_point);
  const float raised = scaled > lowest ? scaled : lowest;
  const float clamped = raised < highest ? raised : highest;
  return static_cast<std::uint8_t>(static_cast<int>(std::nearbyintf(clamped)) + zero_point);
}

// What QLinearAdd derives from its scales and zero points.
struct AddRequantization {
  float a_ratio;
  float b_ratio;
  float offset;
};

static inline AddRequantization add_requantization(float a_scale, std::uint8_t a_zero_point, float b_scale,
                                                   std::uint8_t b_zero_point, float c_scale,
                                                   std::uint8_t c_zero_point) noexcept {
  const float a_ratio = a_scale / c_scale;
  const float b_ratio = b_scale / c_scale;
  const float b_part = b_ratio * static_cast<float>(b_zero_point);
  return {a_ratio, b_ratio,
          static_cast<float>(c_zero_point) - std::fmaf(a_ratio, static_cast<float>(a_zero_point), b_part)};
}

// One output of QLinearAdd.
static inline std::uint8_t requantize_add(std::uint8_t a, std::uint8_t b, const AddRequantization& r) noexcept {
  const float sum = std::fmaf(static_cast<float>(a), r.a_ratio, std::fmaf(static_cast<float>(b), r.b_ratio, r.offset));
  const float rounded = std::nearbyintf(sum);
  if (!(rounded < 2147483648.0f)) return 0;
  if (!(rounded > 0.0f)) return 0;
  return static_cast<std::uint8_t>(rounded < 255.0f ? rounded : 255.0f);
}

// One output of MatMulInteger → Add → Cast → Mul(x_scale * w_scale[n]).
static inline float dequantize_product(std::int32_t accumulator, float x_scale, float w_scale) noexcept {
  return static_cast<float>(accumulator) * (x_scale * w_scale);
}

}  // namespace tritforge

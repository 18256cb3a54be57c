// What becomes of an int32 sum. The same formulas for every kernel and instruction set, bit for bit.
//
//   acc = Σ (x − x_zero_point) · w + bias[oc]
//
//   s32   y = acc
//   f32   y = float(acc) · multiplier[oc]                                     one float32 product
//   u8    y = min(requantize(acc, multiplier[oc], zero_point), max_code)
//   u8 with a residual r, an uint8 tensor of the shape of y: y is first rounded to uint8 as above (max_code 255), then
//         min(requantize_add(y, r), max_code), y being the first operand
//
// requantize.h has the roundings; they are those of onnxruntime, so that an operator and its portable counterpart give the same
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tritforge {

enum class OutputKind : std::uint8_t { s32, f32, u8 };

struct Residual {
  const std::uint8_t* values;  // null: none. [pixels, OC], as dense as the output
  float scale;
  std::uint8_t zero_point;
  float sum_scale;             // of the result
  std::uint8_t sum_zero_point;
  float output_scale;          // of y before the addition
};

struct OutputStage {
  OutputKind kind;
  const std::int32_t* bias;    // [OC], or null
  const float* multiplier;     // [OC]; unused by s32
  std::uint8_t zero_point;     // u8: of y
  std::uint8_t max_code;       // u8: 1…255
  Residual residual;           // u8 only
};

}  // namespace tritforge

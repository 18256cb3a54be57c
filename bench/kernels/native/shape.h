// A shape of the plan, and the peers in ONNX Runtime that TypeScript wrote models for.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace bench {

enum class ElementType { f32 = 1, u8 = 2, s32 = 6 };  // as ONNX numbers them

// An ONNX model with one input "A" and one output "C".
struct OrtPeer {
  std::string name;
  std::string path;
  ElementType input;
  ElementType output;
  bool channels_last;  // order of the image's dimensions
};

struct Gemm {
  std::size_t m, k, n;
};

// Square kernel, the same stride and padding on every side, batch 1.
struct Convolution {
  std::size_t height, width, input_channels, output_channels, kernel, stride, pad, groups;

  std::size_t output_height() const { return (height + 2 * pad - kernel) / stride + 1; }
  std::size_t output_width() const { return (width + 2 * pad - kernel) / stride + 1; }
};

enum class Kind { gemm, convolution };

struct Shape {
  std::string id;
  Kind kind;
  Gemm gemm;
  Convolution convolution;
  bool ternary;  // false: a layer that stays int8, such as a depthwise convolution
  bool cold;     // to be timed with cold caches too
  std::vector<OrtPeer> peers;
};

// Reads the plan, fields separated by tabs, one line each:
//
//   gemm  ID M K N TERNARY COLD
//   conv  ID H W IC OC KERNEL STRIDE PAD GROUPS TERNARY COLD
//   ort   NAME PATH INPUT OUTPUT LAYOUT      belongs to the shape above; INPUT, OUTPUT: f32 | u8 | s32; LAYOUT: nchw | nhwc
//
// Throws std::runtime_error for anything else.
std::vector<Shape> read_plan(std::istream& stream);

}  // namespace bench

// Packed weights: one block of memory that kernels read without looking back at the model. It may be kept and loaded again;
// it is checked then, so a damaged or hostile block is refused and never read out of bounds.
//
// All numbers little endian, the block aligned to 64 bytes.
//
//   offset  bytes
//        0      4   magic "TFPW"
//        4      2   version, kPackVersion
//        6      1   layout (Layout)
//        7      1   kind (WeightKind)
//        8      4   output_channels          all groups
//       12      4   depth                    input channels of one group
//       16      4   kernel_height
//       20      4   kernel_width
//       24      4   groups
//       28      4   group_size               ternary; else 0
//       32      4   levels[4] as int8        uniform2; else 0
//       36      4   reserved, 0
//       40      8   bytes of the payload, what payload_bytes(layout, …) says
//       48      8   checksum of everything but itself (FNV-1a over 8-byte words, after each hash ^= hash >> 32)
//       56      8   reserved, 0
//       64   4·OC   column sums: Σ w of each output channel over depth and taps, int32; padded to 64 bytes
//        …      …   payload, drawn in the header of its layout
//
// Column sums let kernels work on unsigned or shifted activations: Σ (x − z)·w = Σ x·w − z · Σ w.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/status.h"
#include "tritforge/weights.h"

namespace tritforge {

inline constexpr std::uint16_t kPackVersion = 1;
inline constexpr std::size_t kPackAlignment = 64;
inline constexpr std::size_t kPackHeaderBytes = 64;

// How the payload is laid out. The same on every CPU, so that a block may be packed here and used there.
enum class Layout : std::uint8_t {
  dot8 = 1,       // int8 panels of 64 outputs for u8 × s8 dot products       dot8.h
  dot8t = 2,      // ternary panels with separate group codes, 16-bit sums      dot8t.h
  table27 = 3,    // indices of three trits for table lookup, 4-bit activations table.h
  table64 = 4,    // indices of three 2-bit weights, 2-bit activations          table.h
  gemv2 = 5,      // biased 2-bit codes for few rows                            gemv2.h
  depthwise = 6,  // int8, one input channel per group                          depthwise.h
};

// A view of checked packed weights.
struct PackedWeights {
  Layout layout;
  WeightKind kind;
  WeightShape shape;
  std::size_t group_size;
  std::int8_t levels[4];
  const std::int32_t* column_sums;  // [OC]
  const std::uint8_t* payload;      // aligned to 64 bytes
  std::size_t payload_bytes;
};

// Bytes of the whole block, 0 where the layout cannot hold such weights or the size overflows.
std::size_t packed_bytes(Layout layout, const Weights& weights) noexcept;

// Fills `block`, packed_bytes long and aligned to 64. Refuses the code 0b10, and sums 255·Σ|w| that leave int32.
Status pack_weights(Layout layout, const Weights& weights, std::uint8_t* block) noexcept;

// Checks a block: magic, version, every dimension, length, checksum, and that every code of the payload is one that its kernels
// may meet.
Status open_packed(const std::uint8_t* block, std::size_t bytes, PackedWeights* opened) noexcept;

// Back to int8 weights [OC, depth, kH, kW].
Status unpack_weights(const PackedWeights& packed, std::int8_t* values) noexcept;

// --- what every layout provides, in its own file; `valid` says whether payload bytes are safe for its kernels
struct LayoutFunctions {
  std::size_t (*payload_bytes)(WeightKind kind, const WeightShape& shape, std::size_t group_size) noexcept;  // 0: cannot
  Status (*pack)(const Weights& weights, std::uint8_t* payload) noexcept;  // weights are already validated
  void (*unpack)(const PackedWeights& packed, std::int8_t* values) noexcept;
  bool (*valid)(const PackedWeights& packed) noexcept;
};

// Null for a layout that does not exist.
const LayoutFunctions* layout_functions(Layout layout) noexcept;

}  // namespace tritforge

// The payload of Layout::gemv2: ternary weights of a matrix product at two bits, in the order in which a product of few
// rows reads them, from the first byte to the last.
//
// Depth is cut into *segments*: a segment has at most 64 inputs, all of one group, so that its sum of products t·x fits
// in 16 bits. A group of up to 64 is a segment; a larger one is cut evenly. Outputs are cut into *blocks* of 16, and
// four neighbouring blocks (fewer at the end) make a *panel*.
//
//   payload   panel | panel | …                                                  in order of outputs
//   panel     main quads | tail quads                                            in order of depth
//   quad      step 0 | step 1 | … | group codes
//   step      block 0 | block 1 | …                                              64 bytes of 2-bit codes each
//   block     output 0: byte 0, 1, 2, 3 | output 1: byte 0, 1, 2, 3 | … 15       a dword for each output
//   byte j    bit   7 6     5 4     3 2     1 0
//                 +-------+-------+-------+-------+
//                 | str 3 | str 2 | str 1 | str 0 |    t + 1 of input 4·step + j of that stream: 0, 1, 2; 3 is refused
//                 +-------+-------+-------+-------+
//   group codes   block 0 | block 1 | …      64 bytes each: output 0: c of stream 0, 1, 2, 3 | output 1 | … 15
//
// A quad has four *streams*. In a main quad they are four neighbouring segments. Where the number of segments is not a
// multiple of four, a tail quad holds one segment, cut into four pieces, which are its streams; or the last main quad
// has streams without inputs, whichever is smaller. Inputs and outputs that do not exist have t = 0, and outputs and
// streams that do not exist c = 0.
//
// A mask selects a stream from a byte without a shift: (byte & 3·4^s) = 4^s·(t + 1). The factor leaves the sum of a
// segment at its end, and the excess of t + 1 over t, Σ x, is in the start value of the sum.
//
// Activations are arranged likewise, as int8: quad by quad, stream by stream, each stream 4·steps long, with zeros at
// inputs that do not exist. For groups of 64, 32 and 16 and most depths this is their own order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/packed_weights.h"

namespace tritforge {

inline constexpr std::size_t kGemvBlock = 16;  // outputs
inline constexpr std::size_t kGemvPanelBlocks = 4;
inline constexpr std::size_t kGemvPanel = kGemvBlock * kGemvPanelBlocks;
inline constexpr std::size_t kGemvStreams = 4;
inline constexpr std::size_t kGemvVectorBytes = 64;
inline constexpr std::size_t kGemvMaxSegment = 64;  // inputs

// Quads of the same length.
struct GemvRun {
  std::size_t quads, steps;
};

constexpr std::size_t run_inputs(const GemvRun& run) { return run.quads * run.steps * kGemvStreams * 4; }

// The cut of the depth, the same for each panel.
struct GemvPlan {
  std::size_t depth, outputs;
  std::size_t group;    // inputs that share a code
  std::size_t segment;  // inputs of a segment, but for the last of a group
  std::size_t segments_per_group;
  std::size_t segments;  // in all
  GemvRun main, tail;
};

GemvPlan gemv_plan(const WeightShape& shape, std::size_t group_size) noexcept;

// A range of inputs; empty where the stream does not exist.
struct InputRange {
  std::size_t begin, end;
};

// Inputs of a stream; quads are numbered through both runs.
InputRange stream_inputs(const GemvPlan& plan, std::size_t quad, std::size_t stream) noexcept;

constexpr std::size_t plan_quads(const GemvPlan& plan) { return plan.main.quads + plan.tail.quads; }
constexpr std::size_t quad_steps(const GemvPlan& plan, std::size_t quad) {
  return quad < plan.main.quads ? plan.main.steps : plan.tail.steps;
}
// Those of most quads.
constexpr std::size_t gemv_steps(const GemvPlan& plan) {
  return plan.main.quads > 0 ? plan.main.steps : plan.tail.steps;
}
// Length of a row of arranged activations.
constexpr std::size_t arranged_inputs(const GemvPlan& plan) { return run_inputs(plan.main) + run_inputs(plan.tail); }

constexpr std::size_t block_bytes(const GemvPlan& plan) {
  return (plan.main.quads * (plan.main.steps + 1) + plan.tail.quads * (plan.tail.steps + 1)) * kGemvVectorBytes;
}
constexpr std::size_t block_count(const GemvPlan& plan) { return (plan.outputs + kGemvBlock - 1) / kGemvBlock; }
constexpr std::size_t panel_count(const GemvPlan& plan) { return (plan.outputs + kGemvPanel - 1) / kGemvPanel; }
constexpr std::size_t panel_blocks(const GemvPlan& plan, std::size_t panel) {
  const std::size_t left = block_count(plan) - panel * kGemvPanelBlocks;
  return left < kGemvPanelBlocks ? left : kGemvPanelBlocks;
}
constexpr std::size_t panel_offset(const GemvPlan& plan, std::size_t panel) {
  return panel * kGemvPanelBlocks * block_bytes(plan);
}

}  // namespace tritforge

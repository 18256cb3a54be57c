// Uniform 2-bit weights as indices into tables of activation sums: six bits for three weights.
//
// A table holds, for three neighbouring inputs a, b, c of one pixel, what each of the 64 combinations of weights sums them to:
//
//   entry(q0, q1, q2) = u(q0, a) + u(q1, b) + u(q2, c)
//   u(q, a) = level·a, or |level|·(3 − a) where level = levels[q] is negative
//
// With codes 0…3 and |level| ≤ 3 an entry is 0…27, so nine of them sum up in an unsigned byte. u exceeds level·a by 3·|level| for
// negative levels, which does not depend on the activations and is taken back through `sign_offsets`. An index is
// 16·q0 + 4·q1 + q2.
//
// Inputs of a tap are cut into units of 64 and a tail of 16, 32 or 48 (a rest of 49 to 63 is one more unit of 64); a unit has
// ⌈inputs / 3⌉ lookups. Inputs that do not exist, beyond the depth or in the last lookup, count as code 0 under the weight
// kSpareWeight; sign_offsets takes that back too.
//
// Payload; a panel is 128 outputs, two halves of 64; the second half of the last panel is left out where it has no output. A
// block is up to kPointwiseBlockUnits units of a 1×1 kernel or one unit of a larger one:
//
//   sign_offsets   int32 [panels · 128]
//   blocks         [block][panel][unit of the block][tap][lookup][half][64]
//                  where the index of output 64·half + 16·r + j is at byte 4·j + r: a dword has one output of each sixteen, so
//                  that bytes become vectors of int32 in order by masks and shifts
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/packed_weights.h"

namespace tritforge::table64 {

inline constexpr std::size_t kPanelOutputs = 128, kHalfOutputs = 64, kUnitInputs = 64, kVectorBytes = 64;
inline constexpr std::size_t kPointwiseBlockUnits = 4;
inline constexpr int kMaxCode = 3, kMaxEntry = 27, kSpareWeight = 0;

enum UnitKind : int { kFull, kTail16, kTail32, kTail48 };
inline constexpr int kUnitKinds = 4;
inline constexpr int kInputs[kUnitKinds] = {64, 16, 32, 48};

static constexpr int lookups(UnitKind kind) { return (kInputs[kind] + 2) / 3; }
static constexpr std::size_t table_bytes(UnitKind kind) { return static_cast<std::size_t>(lookups(kind)) * kVectorBytes; }

// How weights of a shape are cut into blocks.
struct Plan {
  std::size_t panels, halves, taps, full_units;
  bool has_tail;
  UnitKind tail_kind;
  std::size_t block_units;

  std::size_t full_blocks() const { return (full_units + block_units - 1) / block_units; }
  std::size_t blocks() const { return full_blocks() + (has_tail ? 1 : 0); }
};

// One block: units of one kind at neighbouring inputs.
struct Block {
  UnitKind kind;
  std::size_t units;
  std::size_t first_input;
  std::size_t offset;       // of its bytes in the payload, at panel 0
  std::size_t panel_bytes;  // of a panel of two halves
};

Plan plan_of(const WeightShape& shape) noexcept;
Block block_of(const Plan& plan, std::size_t block) noexcept;

// u(q, a) at 4·q + a.
void fill_addends(const std::int8_t* levels, std::uint8_t* addends) noexcept;

}  // namespace tritforge::table64

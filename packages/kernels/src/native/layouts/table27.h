// Ternary weights as indices into tables of activation sums: one byte for three trits.
//
// A table holds, for three neighbouring inputs a, b, c of one pixel, what each of the 27 sign patterns sums them to:
//
//   entry(t0, t1, t2) = u(t0, a) + u(t1, b) + u(t2, c)      u(1, a) = a,  u(−1, a) = 15 − a,  u(0, a) = 0
//
// With codes 0…15 an entry is 0…45 and 17 inputs sum to at most 255, so sums of bytes are exact and unsigned; u exceeds t·a by
// 15 for each −1, which does not depend on the activations and is taken back through `sign_offsets`. 64 bytes hold two tables
// of 32, one for each lane (a lane is a run of inputs); a vector of 64 indices looks up 32 outputs in both. Entries are placed
// so that a table is a sum of 8 pairs (t0, t1) ≠ (0, 0) and 4 values of c (avx512/table27.cc):
//
//   bit of an index   7 6     5 4 3    2      1 0
//                   | 0 0 |  pair  | lane | third |
//
//   pair    (t0, t1): (−1,−1) (−1,0) (−1,1) (0,−1) (0,1) (1,−1) (1,0) (1,1)
//   third   0, 1, 2: t2 = 0, 1, −1;  3: t0 = t1 = 0, and `pair` is 0, 1, 2 for t2
//
// Inputs of a tap are cut into units of 64. In a unit one or two spans of each lane l are summed in bytes before the group
// code multiplies them; a span never straddles groups, and neither does a triple:
//
//   unit     inputs   span A from, inputs, lookups   span B from, inputs, lookups   for
//   wide         64     32·l        17        6        32·l + 17   15        5      N a multiple of 32, or a single group
//   narrow       64     32·l        16        6        32·l + 16   16        6      other multiples of 16
//   tail16     1–16      8·l         8        3        -                            what is left of the depth; a rest of
//   tail32    17–32     16·l        16        6        -                            49 to 63 inputs is one more wide or
//   tail48    33–48     16·l        16        6        32 + 8·l     8        3      narrow unit
//
// Payload; a panel is 64 outputs, a block is up to kPointwiseBlockUnits units of a 1×1 kernel or one unit of a larger one:
//
//   sign_offsets   int32 [panels · 64]: 15 · Σ |w| over w < 0
//   blocks         [block][panel][unit of the block][tap] of units
//
// A unit, for 64 outputs (b: half of 32; w: 16-bit word of a dword; j: dword 0…15; l: lane):
//
//   indices        [lookup][b][j][w][l]   span A first; output 32·b + 16·w + j in span A, 32·b + 16·(1 − w) + j in span B
//   group codes    [b][w][j][4]           of output 32·b + 16·w + j: both lanes of A, both lanes of B; for w = 1 B before A
//
// The words of spans A and B run opposite ways so that mixing the odd words of one with the even words of the other gives, in
// each dword, the four bytes of one output: what vpdpbusd wants.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/packed_weights.h"

namespace tritforge::table27 {

inline constexpr std::size_t kPanelOutputs = 64, kUnitInputs = 64, kVectorBytes = 64;
inline constexpr std::size_t kPointwiseBlockUnits = 8;
inline constexpr int kMaxCode = 15;

struct Span {
  int first;        // input of lane 0
  int lane_stride;  // to the first input of lane 1
  int inputs;       // per lane
  int lookups;
};

struct Unit {
  int inputs;
  Span spans[2];  // the second with 0 lookups where there is none
};

enum UnitKind : int { kWide, kNarrow, kTail16, kTail32, kTail48 };
inline constexpr int kUnitKinds = 5;

inline constexpr Unit kUnits[kUnitKinds] = {
    {64, {{0, 32, 17, 6}, {17, 32, 15, 5}}}, {64, {{0, 32, 16, 6}, {16, 32, 16, 6}}}, {16, {{0, 8, 8, 3}, {16, 0, 0, 0}}},
    {32, {{0, 16, 16, 6}, {32, 0, 0, 0}}},   {48, {{0, 16, 16, 6}, {32, 8, 8, 3}}},
};

static constexpr int lookups(UnitKind kind) { return kUnits[kind].spans[0].lookups + kUnits[kind].spans[1].lookups; }
static constexpr std::size_t table_bytes(UnitKind kind) { return static_cast<std::size_t>(lookups(kind)) * kVectorBytes; }
static constexpr std::size_t unit_bytes(UnitKind kind) {
  return static_cast<std::size_t>(2 * lookups(kind) + 4) * kVectorBytes;
}

// Where an entry lies in the 64 bytes of its tables.
static constexpr int entry_position(int t0, int t1, int t2, int lane) {
  const int third = t2 == 0 ? 0 : t2 > 0 ? 1 : 2;
  if (t0 == 0 && t1 == 0) return third * 8 + lane * 4 + 3;
  const int nine = (t0 + 1) * 3 + t1 + 1;
  return (nine < 4 ? nine : nine - 1) * 8 + lane * 4 + third;
}

// How weights of a shape are cut into blocks.
struct Plan {
  std::size_t panels, taps;
  UnitKind full_kind;
  std::size_t full_units;
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
  std::size_t offset;  // of its bytes in the payload, at panel 0
  std::size_t panel_bytes;
};

Plan plan_of(const WeightShape& shape, std::size_t group_size) noexcept;
Block block_of(const Plan& plan, std::size_t block) noexcept;
static inline std::size_t sign_offsets_bytes(const Plan& plan) {
  return plan.panels * kPanelOutputs * sizeof(std::int32_t);
}

}  // namespace tritforge::table27

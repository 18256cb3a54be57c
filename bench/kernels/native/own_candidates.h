// Tritforge's kernels as candidates.
#pragma once

#include <cstddef>

#include "candidate.h"
#include "shape.h"
#include "tritforge/cpu.h"

namespace bench {

struct OwnOptions {
  tritforge::Isa isa;
  std::size_t group_size;  // of ternary weights
  bool every_layout;       // one candidate for each layout that can do it, and not only for the one that dispatch chooses
};

// What Tritforge has for a shape. Each candidate is checked on a sample of its outputs before it is taken; one that computes
// something else is absent, with the reason. With AVX2 the classic maddubs kernel joins, as a peer.
void add_own_candidates(const Shape& shape, const OwnOptions& options, Lineup& lineup);

}  // namespace bench

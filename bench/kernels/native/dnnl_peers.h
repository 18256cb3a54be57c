// oneDNN as a peer, where its header was found when this was compiled.
#pragma once

#include <string>

#include "candidate.h"
#include "shape.h"

namespace bench {

// Empty if oneDNN is not compiled in.
std::string dnnl_version();

// int8 and float32. Weights are reordered beforehand into what oneDNN likes best; so is the image of a float32 convolution, whose
// reordering is not timed. Only names that contain `filter` join.
void add_dnnl_candidates(const Shape& shape, const std::string& filter, Lineup& lineup);

}  // namespace bench

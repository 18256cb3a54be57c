// packWeights, openPackedWeights, packedBytes, convolve, dynamicMatmul, cpuFeatures.
#pragma once

#include <napi.h>

namespace tritforge {

void add_packed_kernels(Napi::Env env, Napi::Object exports);

}  // namespace tritforge

// Exports for products of float64 matrices.
#pragma once

#include <napi.h>

namespace tritforge {

void add_matrix_product(Napi::Env env, Napi::Object exports);

}  // namespace tritforge

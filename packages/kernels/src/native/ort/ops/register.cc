#include "ort/ops/register.h"

namespace tritforge::ort {
Status* register_operators(const Api&, SessionOptions*) noexcept { return nullptr; }
}  // namespace tritforge::ort

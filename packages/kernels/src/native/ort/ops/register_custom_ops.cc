// The one symbol of the shared library: what onnxruntime calls after register_custom_ops_library (Python),
// RegisterCustomOpsLibrary (C++) or RegisterCustomOpLibraryV2 (C#).
#include "ort/ops/register.h"
#include "ort/ort_api.h"

extern "C" __attribute__((visibility("default"))) tritforge::ort::Status* RegisterCustomOps(
    tritforge::ort::SessionOptions* options, const tritforge::ort::ApiBase* base) {
  using namespace tritforge::ort;
  if (const Api api = find_api(base)) return register_operators(api, options);
  const Api oldest(base->get_api(1), 1);
  return oldest(kCreateStatus, ErrorCode::invalid_argument,
                "tritforge operators need onnxruntime 1.16 or newer; without them, their function bodies run");
}

#include "pack_worker.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace tritforge {

Weights PackCall::weights() const {
  Weights weights{kind, shape, codes.data(), values.data(), group_codes.data(), group_size, {}};
  std::copy(std::begin(levels), std::end(levels), weights.levels);
  return weights;
}

PackWorker::PackWorker(Napi::Env env, Layout layout, PackCall call)
    : PromiseWorker(env, "tritforge.packWeights"), layout_(layout), call_(std::move(call)) {}

void PackWorker::compute() {
  const Weights weights = call_.weights();
  const std::size_t bytes = packed_bytes(layout_, weights);
  if (bytes == 0) return fail(std::string("the layout ") + layout_name(layout_) + " cannot hold these weights");
  block_ = std::make_shared<PackedBlock>(bytes);
  Status status = pack_weights(layout_, weights, block_->data());
  if (status == Status::ok) status = block_->open();
  if (status != Status::ok) fail(describe(status));
}

Napi::Value PackWorker::result(Napi::Env env) { return wrap_block(env, std::move(block_)); }

}  // namespace tritforge

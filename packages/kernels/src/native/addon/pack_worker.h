// Packs weights on a thread of the libuv pool.
#pragma once

#include <memory>
#include <vector>

#include "packed_block.h"
#include "promise_worker.h"

namespace tritforge {

// Copies of what JavaScript passed.
struct PackCall {
  WeightKind kind;
  WeightShape shape;
  std::size_t group_size;
  std::int8_t levels[4];
  std::vector<std::uint8_t> codes, group_codes;
  std::vector<std::int8_t> values;

  Weights weights() const;
};

class PackWorker final : public PromiseWorker {
 public:
  PackWorker(Napi::Env env, Layout layout, PackCall call);

 protected:
  void compute() override;
  Napi::Value result(Napi::Env env) override;

 private:
  Layout layout_;
  PackCall call_;
  std::shared_ptr<PackedBlock> block_;
};

}  // namespace tritforge

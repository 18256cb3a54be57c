#include "shape.h"

#include <istream>
#include <sstream>
#include <stdexcept>

namespace bench {
namespace {

class Fields {
 public:
  explicit Fields(const std::string& line) : line_(line), stream_(line) {}

  std::string text() {
    std::string field;
    if (!std::getline(stream_, field, '\t')) throw std::runtime_error("too few fields in the plan: " + line_);
    return field;
  }
  std::size_t number() { return std::stoul(text()); }
  bool flag() { return number() != 0; }
  ElementType type() {
    const std::string name = text();
    if (name == "f32") return ElementType::f32;
    if (name == "u8") return ElementType::u8;
    if (name == "s32") return ElementType::s32;
    throw std::runtime_error("unknown element type in the plan: " + line_);
  }

 private:
  std::string line_;
  std::istringstream stream_;
};

Shape read_gemm(Fields& fields) {
  Shape shape{};
  shape.kind = Kind::gemm;
  shape.id = fields.text();
  for (std::size_t* size : {&shape.gemm.m, &shape.gemm.k, &shape.gemm.n}) *size = fields.number();
  shape.ternary = fields.flag();
  shape.cold = fields.flag();
  return shape;
}

Shape read_convolution(Fields& fields) {
  Shape shape{};
  shape.kind = Kind::convolution;
  shape.id = fields.text();
  Convolution& c = shape.convolution;
  for (std::size_t* size :
       {&c.height, &c.width, &c.input_channels, &c.output_channels, &c.kernel, &c.stride, &c.pad, &c.groups}) {
    *size = fields.number();
  }
  shape.ternary = fields.flag();
  shape.cold = fields.flag();
  return shape;
}

OrtPeer read_peer(Fields& fields) {
  OrtPeer peer{};
  peer.name = fields.text();
  peer.path = fields.text();
  peer.input = fields.type();
  peer.output = fields.type();
  peer.channels_last = fields.text() == "nhwc";
  return peer;
}

}  // namespace

std::vector<Shape> read_plan(std::istream& stream) {
  std::vector<Shape> shapes;
  for (std::string line; std::getline(stream, line);) {
    Fields fields(line);
    const std::string kind = fields.text();
    if (kind == "gemm") {
      shapes.push_back(read_gemm(fields));
    } else if (kind == "conv") {
      shapes.push_back(read_convolution(fields));
    } else if (kind == "ort" && !shapes.empty()) {
      shapes.back().peers.push_back(read_peer(fields));
    } else {
      throw std::runtime_error("unknown line in the plan: " + line);
    }
  }
  return shapes;
}

}  // namespace bench

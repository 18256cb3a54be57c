// Written for oneDNN 2, that of Debian 12.
#include "dnnl_peers.h"

#if __has_include(<dnnl_version.h>)
#include <dnnl_version.h>
#endif

#if DNNL_VERSION_MAJOR != 2

namespace bench {

std::string dnnl_version() { return ""; }

void add_dnnl_candidates(const Shape&, const std::string&, Lineup&) {}

}  // namespace bench

#else

#include <dnnl.hpp>
#include <memory>
#include <unordered_map>
#include <vector>

#include "buffer.h"

namespace bench {
namespace {

using dnnl::memory;
using Type = memory::data_type;
using Tag = memory::format_tag;

struct Context {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
};

// Never destroyed: primitives may outlive main's locals.
Context& context() {
  static Context* const instance = new Context;
  return *instance;
}

memory::dim dim(std::size_t size) { return static_cast<memory::dim>(size); }

memory random_memory(const memory::desc& descriptor, Type type) {
  memory result(descriptor, context().engine);
  const std::size_t bytes = descriptor.get_size();
  if (type == Type::f32) {
    const auto values = random_floats(bytes / sizeof(float), 2);
    std::copy_n(values.get(), bytes / sizeof(float), static_cast<float*>(result.get_data_handle()));
  } else if (type == Type::s8) {
    // Up to 64, as ternary weights are: without VNNI larger ones would saturate.
    const auto values = random_weights(bytes, 64, 2);
    std::copy_n(values.get(), bytes, static_cast<std::int8_t*>(result.get_data_handle()));
  } else {
    const auto values = random_codes(bytes, 255, 2);
    std::copy_n(values.get(), bytes, static_cast<std::uint8_t*>(result.get_data_handle()));
  }
  return result;
}

memory reordered(memory& source, const memory::desc& wanted) {
  if (source.get_desc() == wanted) return source;
  memory result(wanted, context().engine);
  dnnl::reorder(source, result).execute(context().stream, source, result);
  context().stream.wait();
  return result;
}

template <typename Descriptor>
Candidate candidate_of(const std::string& name, const Descriptor& primitive_descriptor, const dnnl::primitive& primitive,
                       std::unordered_map<int, memory> arguments) {
  auto run = [primitive, arguments = std::move(arguments)] {
    primitive.execute(context().stream, arguments);
    context().stream.wait();
  };
  return {name, primitive_descriptor.impl_info_str(), run};
}

Candidate gemm(const std::string& name, const Gemm& shape, Type input, Type weight, Type output) {
  const memory::dims a{dim(shape.m), dim(shape.k)}, b{dim(shape.k), dim(shape.n)}, c{dim(shape.m), dim(shape.n)};
  const dnnl::matmul::desc description({a, input, Tag::ab}, {b, weight, Tag::any}, {c, output, Tag::ab});
  const dnnl::matmul::primitive_desc descriptor(description, context().engine);
  memory plain = random_memory({b, weight, Tag::ab}, weight);
  return candidate_of(name, descriptor, dnnl::matmul(descriptor),
                      {{DNNL_ARG_SRC, random_memory({a, input, Tag::ab}, input)},
                       {DNNL_ARG_WEIGHTS, reordered(plain, descriptor.weights_desc())},
                       {DNNL_ARG_DST, memory({c, output, Tag::ab}, context().engine)}});
}

Candidate convolution(const std::string& name, const Convolution& shape, Type type) {
  const bool integers = type == Type::u8;
  const Type weight = integers ? Type::s8 : Type::f32, bias = integers ? Type::s32 : Type::f32;
  const Tag image = integers ? Tag::nhwc : Tag::any;
  const memory::dim oc = dim(shape.output_channels), ic = dim(shape.input_channels), groups = dim(shape.groups),
                    kernel = dim(shape.kernel), stride = dim(shape.stride), pad = dim(shape.pad);
  const bool grouped = groups > 1;
  const memory::dims x{1, ic, dim(shape.height), dim(shape.width)},
      y{1, oc, dim(shape.output_height()), dim(shape.output_width())},
      w = grouped ? memory::dims{groups, oc / groups, ic / groups, kernel, kernel} : memory::dims{oc, ic, kernel, kernel};
  const dnnl::convolution_forward::desc description(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, {x, type, image}, {w, weight, Tag::any},
      {{oc}, bias, Tag::a}, {y, type, image}, {stride, stride}, {pad, pad}, {pad, pad});
  dnnl::primitive_attr attributes;
  if (integers) attributes.set_output_scales(1 << 1, std::vector<float>(shape.output_channels, 1e-4f));
  const dnnl::convolution_forward::primitive_desc descriptor(description, attributes, context().engine);
  memory plain = random_memory({w, weight, grouped ? Tag::goihw : Tag::oihw}, weight);
  memory zeros({{oc}, bias, Tag::a}, context().engine);
  std::fill_n(static_cast<char*>(zeros.get_data_handle()), zeros.get_desc().get_size(), '\0');
  return candidate_of(name, descriptor, dnnl::convolution_forward(descriptor),
                      {{DNNL_ARG_SRC, random_memory(descriptor.src_desc(), type)},
                       {DNNL_ARG_WEIGHTS, reordered(plain, descriptor.weights_desc())},
                       {DNNL_ARG_BIAS, zeros},
                       {DNNL_ARG_DST, memory(descriptor.dst_desc(), context().engine)}});
}

template <typename Make>
void add(const std::string& name, const std::string& filter, Lineup& lineup, const Make& make) {
  if (name.find(filter) == std::string::npos) return;
  try {
    Candidate candidate = make(name);
    candidate.run();
    lineup.candidates.push_back(std::move(candidate));
  } catch (const dnnl::error& error) {
    lineup.absences.push_back({name, std::string("oneDNN: ") + error.what()});
  }
}

}  // namespace

std::string dnnl_version() {
  const dnnl_version_t* version = ::dnnl_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->patch);
}

void add_dnnl_candidates(const Shape& shape, const std::string& filter, Lineup& lineup) {
  const bool is_gemm = shape.kind == Kind::gemm;
  add("oneDNN int8", filter, lineup, [&](const std::string& name) {
    return is_gemm ? gemm(name, shape.gemm, Type::u8, Type::s8, Type::s32)
                   : convolution(name, shape.convolution, Type::u8);
  });
  add("oneDNN fp32", filter, lineup, [&](const std::string& name) {
    return is_gemm ? gemm(name, shape.gemm, Type::f32, Type::f32, Type::f32)
                   : convolution(name, shape.convolution, Type::f32);
  });
}

}  // namespace bench

#endif

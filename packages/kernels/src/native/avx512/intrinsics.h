// <immintrin.h> without the warnings of g++ 12 about its own "undefined" vectors, which it takes for a mistake.
#pragma once

#pragma GCC diagnostic push
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

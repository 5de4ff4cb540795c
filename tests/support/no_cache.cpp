// tests/support/no_cache.cpp: a part of every test program: it and what it starts keep no compiled programs on disk,
// so that a test never sees what an earlier one, or a person, has left there.

#include <cstdlib>

namespace recurve {
namespace {

[[maybe_unused]] const int kCacheIsOff = setenv("RECURVE_CACHE", "off", /*overwrite=*/1);

}  // namespace
}  // namespace recurve

// compiler/command/cache.cpp: `recurve cache`: what is kept on disk of earlier compilations, and removing it.

#include <fmt/format.h>

#include "compiler/command/command.h"
#include "compiler/object_cache.h"

namespace recurve::command {

void AddCache(CLI::App& app, int& /*exit_code*/) {
  auto* verb = app.add_subcommand("cache", "show or remove compiled programs that are kept on disk");
  auto clear = std::make_shared<bool>(false);
  verb->add_flag("--clear", *clear, "remove every program");
  verb->footer(
      "It is in $RECURVE_CACHE_DIR, else $XDG_CACHE_HOME/recurve, else ~/.cache/recurve; RECURVE_CACHE=off turns it "
      "off.\n"
      "Examples:\n"
      "  recurve cache\n"
      "  recurve cache --clear");
  verb->callback([clear] {
    const ObjectCache cache = ObjectCache::OfUser();
    if (!cache.is_on()) {
      fmt::print("off\n");
      return;
    }
    if (*clear) cache.Clear();
    const CacheUsage usage = cache.Usage();
    fmt::print("{}: {} programs, {:.1f} of at most {} MB\n", cache.folder(), usage.programs,
               static_cast<double>(usage.bytes) / (1 << 20), cache.bound_bytes() >> 20);
  });
}

}  // namespace recurve::command

// compiler/object_cache.h: compiled programs kept on disk, so that a second start costs milliseconds.
//
//   ObjectCache cache = ObjectCache::OfUser();
//   std::optional<KeptProgram> kept = cache.Find(key);    // a key says all that a program was compiled from
//   if (!kept) cache.Store(key, made);                   // (compile_key.h)
//
// A file per program, named by its key and holding a digest of key and contents: a damaged, foreign or truncated file
// is not found, and the next Store replaces it. Files appear by renaming, so that any number of processes and threads
// may share a folder. What was not used for longest goes when the folder exceeds its bound. Code from here runs in the
// process, therefore a folder that belongs to somebody else, or that everybody may write to, is not used.
//
// A cache never fails: what cannot be read is not found, what cannot be written is not kept.

#ifndef RECURVE_COMPILER_OBJECT_CACHE_H_
#define RECURVE_COMPILER_OBJECT_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace recurve {

struct KeptProgram {
  std::string name;                  // which its symbols begin with
  std::vector<std::string> objects;  // the bytes of object files
  friend bool operator==(const KeptProgram&, const KeptProgram&) = default;
};

struct CacheUsage {
  uint64_t bytes = 0;
  size_t programs = 0;
};

class ObjectCache {
 public:
  static constexpr uint64_t kBoundBytes = 256 << 20;

  // Finds and keeps nothing.
  ObjectCache() = default;
  // A folder that need not exist; it is made when something is first kept.
  explicit ObjectCache(std::string folder, uint64_t bound_bytes = kBoundBytes)
      : folder_(std::move(folder)), bound_bytes_(bound_bytes) {}

  // In $RECURVE_CACHE_DIR, else $XDG_CACHE_HOME/recurve, else ~/.cache/recurve; none if there is no such place or
  // $RECURVE_CACHE is "off".
  static ObjectCache OfUser();

  bool is_on() const { return !folder_.empty(); }
  const std::string& folder() const { return folder_; }
  uint64_t bound_bytes() const { return bound_bytes_; }

  // `key` is a file name of hexadecimal digits. What is found counts as used now.
  std::optional<KeptProgram> Find(const std::string& key) const;
  // Keeps it, and removes others to stay within the bound.
  void Store(const std::string& key, const KeptProgram& kept) const;

  CacheUsage Usage() const;
  // Removes every program, and no other file.
  void Clear() const;

 private:
  std::string Path(const std::string& key) const;

  std::string folder_;
  uint64_t bound_bytes_ = 0;
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_OBJECT_CACHE_H_

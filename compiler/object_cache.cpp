#include "compiler/object_cache.h"

#include <llvm/ADT/ArrayRef.h>
#include <llvm/ADT/StringRef.h>
#include <llvm/Support/BLAKE3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "runtime/file.h"

namespace recurve {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "recurve2";
constexpr std::string_view kSuffix = ".object";
// What a process that ended while it wrote has left behind: nobody writes for so long.
constexpr std::chrono::hours kAbandoned{1};

using Digest = llvm::BLAKE3Result<32>;
constexpr size_t kHeaderBytes = kMagic.size() + sizeof(Digest) + sizeof(uint64_t);

Digest DigestOf(std::string_view key, std::string_view contents) {
  llvm::BLAKE3 hash;
  hash.update(llvm::StringRef(key.data(), key.size()));
  hash.update(llvm::StringRef(contents.data(), contents.size()));
  return hash.final<32>();
}

// magic, digest of all that follows; of the name and of each object its length and its bytes.
std::string Pack(const std::string& key, const KeptProgram& kept) {
  std::string contents;
  const auto add = [&](const std::string& text) {
    const uint64_t bytes = text.size();
    contents.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
    contents += text;
  };
  add(kept.name);
  for (const std::string& object : kept.objects) add(object);
  const Digest digest = DigestOf(key, contents);
  return std::string(kMagic) + std::string(digest.begin(), digest.end()) + contents;
}

std::optional<KeptProgram> Unpack(const std::string& key, std::string_view file) {
  if (file.size() < kHeaderBytes || !file.starts_with(kMagic)) return std::nullopt;
  file.remove_prefix(kMagic.size());
  const std::string_view stored = file.substr(0, sizeof(Digest));
  file.remove_prefix(sizeof(Digest));
  const Digest digest = DigestOf(key, file);
  if (!std::ranges::equal(digest, stored, {}, {}, [](char c) { return static_cast<uint8_t>(c); })) return std::nullopt;
  std::vector<std::string> texts;
  while (!file.empty()) {
    uint64_t bytes;
    if (file.size() < sizeof bytes) return std::nullopt;
    std::memcpy(&bytes, file.data(), sizeof bytes);
    file.remove_prefix(sizeof bytes);
    if (bytes > file.size()) return std::nullopt;
    texts.emplace_back(file.substr(0, bytes));
    file.remove_prefix(bytes);
  }
  KeptProgram kept{.name = std::move(texts.front()), .objects = {}};
  kept.objects.assign(std::make_move_iterator(texts.begin() + 1), std::make_move_iterator(texts.end()));
  return kept;
}

// Whether what is there can only come from this user.
bool IsTrusted(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && status.st_uid == geteuid() && (status.st_mode & S_IWOTH) == 0;
}

struct Entry {
  fs::path path;
  uint64_t bytes;
  fs::file_time_type used;
};

// Programs in the folder. Files come and go meanwhile: what cannot be asked about is left out.
std::vector<Entry> Entries(const std::string& folder) {
  std::vector<Entry> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    const std::string name = it->path().filename().string();
    const fs::file_time_type used = it->last_write_time(gone);
    if (gone) continue;
    if (name.ends_with(kSuffix)) {
      const uint64_t bytes = it->file_size(gone);
      if (!gone) entries.push_back({it->path(), bytes, used});
    } else if (name.ends_with(".tmp") && name.contains(kSuffix) &&
               fs::file_time_type::clock::now() - used > kAbandoned) {
      fs::remove(it->path(), gone);
    }
  }
  return entries;
}

void KeepWithin(const std::string& folder, uint64_t bound_bytes) {
  std::vector<Entry> entries = Entries(folder);
  uint64_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.bytes;
  if (bytes <= bound_bytes) return;
  std::ranges::sort(entries, {}, &Entry::used);
  for (const Entry& entry : entries) {
    if (bytes <= bound_bytes) break;
    std::error_code gone;
    fs::remove(entry.path, gone);
    bytes -= entry.bytes;
  }
}

}  // namespace

ObjectCache ObjectCache::OfUser() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (variable("RECURVE_CACHE") == "off") return {};
  if (std::string folder = variable("RECURVE_CACHE_DIR"); !folder.empty()) return ObjectCache(folder);
  if (std::string caches = variable("XDG_CACHE_HOME"); !caches.empty()) return ObjectCache(caches + "/recurve");
  if (std::string home = variable("HOME"); !home.empty()) return ObjectCache(home + "/.cache/recurve");
  return {};
}

std::string ObjectCache::Path(const std::string& key) const { return folder_ + "/" + key + std::string(kSuffix); }

std::optional<KeptProgram> ObjectCache::Find(const std::string& key) const {
  if (!is_on() || !IsTrusted(folder_) || !IsTrusted(Path(key))) return std::nullopt;
  auto file = ReadFile(Path(key));
  if (!file) return std::nullopt;
  std::optional<KeptProgram> kept = Unpack(key, *file);
  if (kept) {
    std::error_code read_only;
    fs::last_write_time(Path(key), fs::file_time_type::clock::now(), read_only);
  }
  return kept;
}

void ObjectCache::Store(const std::string& key, const KeptProgram& kept) const {
  if (!is_on()) return;
  std::error_code error;
  if (fs::create_directories(folder_, error)) fs::permissions(folder_, fs::perms::owner_all, error);
  if (error || !IsTrusted(folder_)) return;
  if (!WriteScratchFile(Path(key), Pack(key, kept))) return;
  KeepWithin(folder_, bound_bytes_);
}

CacheUsage ObjectCache::Usage() const {
  CacheUsage usage;
  if (!is_on()) return usage;
  for (const Entry& entry : Entries(folder_)) {
    usage.bytes += entry.bytes;
    ++usage.programs;
  }
  return usage;
}

void ObjectCache::Clear() const {
  if (is_on()) KeepWithin(folder_, 0);
}

}  // namespace recurve

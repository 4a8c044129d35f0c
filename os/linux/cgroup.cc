#include "os/linux/cgroup.h"

#include <cstring>
#include <limits>

namespace acre::os {
namespace {

bool ListContains(Text list, const char* wanted) {
  while (!list.empty()) {
    if (TextEquals(CutUntil(',', &list), wanted)) return true;
  }
  return false;
}

bool HasParentStep(Text path) {
  while (!path.empty()) {
    if (TextEquals(CutUntil('/', &path), "..")) return true;
  }
  return false;
}

// The path below the root of the mount: empty, or with a slash at its front. False if the two do not fit together, as for
// a process in another cgroup namespace.
bool CutRoot(Text root, Text* path) {
  if (HasParentStep(root) || HasParentStep(*path)) return false;
  if (!TextEquals(root, "/")) {
    if (!TextStartsWith(*path, root)) return false;
    *path = path->subspan(root.size());
    if (!path->empty() && (*path)[0] != '/') return false;
  }
  if (TextEquals(*path, "/")) *path = {};
  return true;
}

// Undoes one \ooo at the front of *text, or takes one character.
char TakeUnescaped(Text* text) {
  constexpr size_t kEscapeBytes = 4;
  const char first = (*text)[0];
  if (first != '\\' || text->size() < kEscapeBytes) {
    *text = text->subspan(1);
    return first;
  }
  const int value = ((*text)[1] - '0') * 64 + ((*text)[2] - '0') * 8 + ((*text)[3] - '0');
  *text = text->subspan(kEscapeBytes);
  return static_cast<char>(value);
}

// Where the group is that has this path. The first mount has to do if none covers it.
bool FindDirectory(const char* mounts, const char* controller, Text path, CgroupDirectory* directory) {
  LineReader reader(mounts);
  Text line;
  bool has_some = false;
  while (reader.Next(&line)) {
    CgroupMount mount;
    if (!ParseMountLine(line, controller, &mount)) continue;
    const bool is_covered = CgroupDirectory::Covers(mount, path);
    if (has_some && !is_covered) continue;
    has_some = directory->Set(mount, path);
    if (has_some && is_covered) return true;
  }
  return has_some;
}

void LowerToLimit(const char* path, size_t* least_bytes) {
  const size_t bytes = ReadMemoryLimit(path);
  if (bytes < *least_bytes) *least_bytes = bytes;
}

void VisitMemoryV2(void* context, CgroupDirectory* directory) {
  auto* const least_bytes = static_cast<size_t*>(context);
  LowerToLimit(directory->File("memory.max"), least_bytes);
  LowerToLimit(directory->File("memory.high"), least_bytes);
}

void VisitMemoryV1(void* context, CgroupDirectory* directory) {
  LowerToLimit(directory->File("memory.limit_in_bytes"), static_cast<size_t*>(context));
}

}  // namespace

bool ParseCgroupLine(Text line, const char* controller, Text* path) {
  const Text hierarchy = CutUntil(':', &line);
  const Text controllers = CutUntil(':', &line);
  const bool is_v2 = TextEquals(hierarchy, "0") && controllers.empty();
  const bool wants_v2 = controller[0] == '\0';
  if (is_v2 != wants_v2) return false;
  if (!is_v2 && !ListContains(controllers, controller)) return false;
  if (line.empty() || line[0] != '/') return false;
  *path = line;
  return true;
}

bool ParseMountLine(Text line, const char* controller, CgroupMount* mount) {
  // id parent major:minor root mount_point options [optional fields…] - type source super_options
  constexpr int kFieldsBeforeRoot = 3;
  for (int field = 0; field < kFieldsBeforeRoot; ++field) CutUntil(' ', &line);
  const Text root = CutUntil(' ', &line);
  const Text mount_point = CutUntil(' ', &line);
  while (!line.empty() && !TextEquals(CutUntil(' ', &line), "-")) {
  }
  const Text type = CutUntil(' ', &line);
  CutUntil(' ', &line);
  const Text super_options = line;
  if (controller[0] == '\0') {
    if (!TextEquals(type, "cgroup2")) return false;
  } else {
    if (!TextEquals(type, "cgroup")) return false;
    if (!ListContains(super_options, controller)) return false;
  }
  *mount = {root, mount_point};
  return true;
}

size_t ParseMemoryLimit(Text text) {
  constexpr uint64_t kNoLimitFrom = uint64_t{1} << 62;  // v1 writes LONG_MAX rounded down to a page.
  uint64_t bytes;
  if (!ParseNumber(text, &bytes) || bytes >= kNoLimitFrom) return std::numeric_limits<size_t>::max();
  if (bytes > std::numeric_limits<size_t>::max()) return std::numeric_limits<size_t>::max();
  return static_cast<size_t>(bytes);
}

size_t ReadMemoryLimit(const char* path) {
  if (path == nullptr) return std::numeric_limits<size_t>::max();
  LineReader reader(path);
  Text line;
  return reader.Next(&line) ? ParseMemoryLimit(line) : std::numeric_limits<size_t>::max();
}

uint32_t CpusOfQuota(uint64_t quota_us, uint64_t period_us) {
  constexpr uint32_t kNoQuota = std::numeric_limits<uint32_t>::max();
  if (period_us == 0) return kNoQuota;
  const uint64_t cpus = quota_us / period_us + (quota_us % period_us != 0 ? 1 : 0);
  if (cpus >= kNoQuota) return kNoQuota;
  return cpus == 0 ? 1 : static_cast<uint32_t>(cpus);
}

uint32_t ParseCpuMax(Text text) {
  uint64_t quota_us;
  uint64_t period_us;
  if (!ParseNumber(CutUntil(' ', &text), &quota_us)) return std::numeric_limits<uint32_t>::max();
  if (!ParseNumber(CutUntil(' ', &text), &period_us)) return std::numeric_limits<uint32_t>::max();
  return CpusOfQuota(quota_us, period_us);
}

bool CgroupDirectory::Add(char c) {
  if (bytes_ == kCapacity) return false;
  path_[bytes_++] = c;
  return true;
}

bool CgroupDirectory::Set(const CgroupMount& mount, Text path) {
  bytes_ = 0;
  for (Text rest = mount.mount_point; !rest.empty();) {
    if (!Add(TakeUnescaped(&rest))) return false;
  }
  mount_point_bytes_ = bytes_;
  if (!CutRoot(mount.root, &path)) path = {};  // The mount point is the best that can be seen.
  for (const char c : path) {
    if (!Add(c)) return false;
  }
  return true;
}

bool CgroupDirectory::Covers(const CgroupMount& mount, Text path) { return CutRoot(mount.root, &path); }

bool CgroupDirectory::Climb() {
  if (bytes_ == mount_point_bytes_) return false;
  do {
    --bytes_;
  } while (bytes_ > mount_point_bytes_ && path_[bytes_] != '/');
  return true;
}

const char* CgroupDirectory::File(const char* name) {
  const size_t name_bytes = std::strlen(name);
  if (name_bytes + 2 > kCapacity - bytes_) return nullptr;
  path_[bytes_] = '/';
  std::memcpy(path_ + bytes_ + 1, name, name_bytes + 1);
  return path_;
}

void ForEachCgroup(const CgroupFiles& files, const char* controller, void* context,
                   void (*visit)(void* context, CgroupDirectory* directory)) {
  LineReader groups(files.groups);
  Text line;
  Text path;
  bool is_found = false;
  while (!is_found && groups.Next(&line)) is_found = ParseCgroupLine(line, controller, &path);
  if (!is_found) return;
  CgroupDirectory directory;
  if (!FindDirectory(files.mounts, controller, path, &directory)) return;
  do {
    visit(context, &directory);
  } while (directory.Climb());
}

size_t LeastCgroupMemoryBytes(const CgroupFiles& files) {
  size_t least_bytes = std::numeric_limits<size_t>::max();
  ForEachCgroup(files, kCgroupV2, &least_bytes, VisitMemoryV2);
  ForEachCgroup(files, "memory", &least_bytes, VisitMemoryV1);
  return least_bytes;
}

}  // namespace acre::os

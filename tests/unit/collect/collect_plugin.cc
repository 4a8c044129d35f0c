// A shared object that is loaded and unloaded while a heap collects: churn_test.cc. It has data, TLS and a constructor,
// which give the loader something to do under its locks.

namespace {

thread_local int own_count = 0;
int count = 0;

[[gnu::constructor]] void Start() { count = 1; }

}  // namespace

extern "C" [[gnu::visibility("default")]] int CollectPluginCount() { return count + ++own_count; }

#pragma once

/* A garbage-collected heap, in C. (For C++ there are headers over this one: acre/acre.hpp.)

     acre_heap* heap;
     acre_mutator* mutator;
     if (acre_heap_create(NULL, &heap) != ACRE_OK || acre_attach(heap, &mutator) != ACRE_OK) return 1;
     struct pair* pair = acre_allocate(mutator, ACRE_CONSERVATIVE, sizeof *pair);
     ...
     acre_detach(mutator);
     acre_heap_destroy(heap);

   Terms. A *mutator* is a thread's handle on a heap: a thread attaches before it uses the heap, and passes the mutator to
   what it calls. A *kind* says where the pointers of an object are. A *root* keeps objects alive from outside of the
   heap; the stacks and registers of attached threads are roots by themselves: any word there that points into an object
   keeps it, and the object is never moved. *Stopped*: while the collector decides what lives, no attached thread runs on;
   it is stopped by a signal wherever it is, or stops by itself at a safepoint.

   Conventions. Sizes are bytes, times nanoseconds. Nothing throws or sets errno. What can fail returns a status, a null
   pointer or false, and has changed nothing then. Misuse that is found ends the process with one line on standard error
   that begins with "acre: "; builds with ACRE_ASSERTS find much more of it (a mutator used by another thread than its
   own, allocation within a trace function, a root destroyed twice).

   Threads. Functions that take a mutator are called by the thread that attached it (or unparked it). Functions that take
   a heap may be called by any thread, attached or not, unless they say otherwise. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acre/internal/export.h"
#include "acre/internal/records.h"
#include "acre/version.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum acre_status {
  ACRE_OK = 0,
  ACRE_OUT_OF_MEMORY = 1,    /* No memory, address space or mappings left, or a limit reached. */
  ACRE_BAD_ARGUMENT = 2,     /* A value outside of what the function documents. */
  ACRE_UNKNOWN_OPTION = 3,   /* No option has this name. */
  ACRE_TOO_MANY = 4,         /* A heap has at most ACRE_MAX_KINDS kinds. */
  ACRE_ALREADY_ATTACHED = 5, /* The thread has a mutator on this heap. */
  ACRE_NO_SIGNAL = 6         /* The stop signal cannot be installed: see the option stop_signal. */
} acre_status;

/* A sentence without a period. Static. */
ACRE_API const char* acre_status_text(acre_status status);

/* ---- Options -------------------------------------------------------------------------------------------------------- */

/* Words that hold a pointer among tag bits (NaN-boxing, high tags): where (word & tag_mask) == tag, the pointer is
   (word ^ xor_mask) & and_mask. Applied to words of bitmap and conservative objects, ranges, stacks and registers; the word
   as it stands is tried as well. Low tags need no format: a pointer into an object keeps it. A tag_mask of 0: none. */
typedef struct acre_value_format {
  uint64_t tag_mask;
  uint64_t tag;
  uint64_t xor_mask;
  uint64_t and_mask;
} acre_value_format;

/* Called in the thread whose allocation cannot be served, after a full collection. True: try once more, because memory
   was made free; false: the allocation returns null. It may allocate (at the hard limit from the reserve); what fails within
   it is null at once. One thread of a heap at a time is in one. */
typedef bool acre_memory_callback(void* context, acre_mutator* mutator, size_t wanted_bytes);

/* Called in an allocating thread, with no lock held, when a collection has found that what lives (with its records:
   `live_bytes`) has passed memory_limit_bytes: an interpreter raises its own error of memory here, while there is some. Once; and
   again when that was below by a 32nd in between. The allocation goes on as if nothing had been, so it need not come back: longjmp
   will do. It may allocate, collect, and set another limit (acre_heap_set_memory_limit). on_hard_limit is another matter: there an allocation
   fails. */
typedef void acre_limit_callback(void* context, acre_mutator* mutator, size_t live_bytes);

/* Called by the thread that collected (or freed by hand), after the world runs again: finalizers or cleanups wait to be run.
   It may use the heap and run them, in the middle of whatever the thread was allocating for. */
typedef void acre_notify_callback(void* context);

/* How a cycle learns what threads write while it marks. */
typedef enum acre_tracker_kind {
  ACRE_TRACKER_STOPPED = 0, /* They do not: all are stopped while it marks. */
  ACRE_TRACKER_BARRIER = 1, /* By acre_write and acre_move: threads run on but for two short stops. From 32 MiB of memory on,
                               and not where background is false or a virtual machine's stack (acre_stack_create_vm) was made. */
  ACRE_TRACKER_PAGES = 2    /* By the kernel, which tells what pages were written: stores need no acre_write. Linux 6.7 and
                               later, where userfaultfd is allowed; elsewhere a line on standard error says so once, and cycles
                               are stopped. From 32 MiB of memory on, and not where background is false. */
} acre_tracker_kind;

typedef struct acre_options {
  size_t struct_bytes;           /* sizeof(acre_options); acre_options_init fills it in. */
  uint32_t gc_percent;           /* A cycle starts when the heap has grown by so much over what lived after the last and
                                    its roots; less than 64 MiB counts as twice as much, up to these 64. 100. */
  size_t min_trigger_bytes;      /* ... but not before so much was allocated. 4 MiB. */
  size_t hard_limit_bytes;       /* Of memory for objects, free memory that was not given back included. SIZE_MAX: none. */
  size_t reserve_bytes;          /* Added to the limit while on_hard_limit runs. 0. */
  size_t memory_limit_bytes;     /* A soft limit, of all memory that the heap has from the kernel, and of external memory
                                    (acre_adjust_external): free memory goes back before it is exceeded, and cycles begin earlier than gc_percent says. They take half of the time at
                                    most: then it is exceeded. SIZE_MAX: none. 0, the default: what ACRE_MEMORY_LIMIT says in
                                    the environment; else the limit of the process's cgroup, if that is less than the
                                    machine's memory, less a tenth (256 MiB at most); else none. At least 1 MiB. */
  acre_tracker_kind tracker;     /* ACRE_TRACKER_STOPPED. */
  bool minor_collections;        /* With ACRE_TRACKER_PAGES: most cycles look at what was allocated since the last one only,
                                    and at old objects on pages that were written. false. */
  uint32_t pause_target_us;      /* How long the last stop of a cycle that marks beside threads is wanted to be, in microseconds: 10 to
                                    1,000,000. A shorter one costs the marker time, and threads more stops; what a stop cannot be
                                    without (roots, a look at the heap's pages) it takes all the same. 1000. */
  uint32_t mark_workers;         /* Threads that mark, the collecting one included. 0: as many as the CPUs it may use. */
  bool background;               /* The heap may have threads of its own, when it is worth it. true. */
  int stop_signal;               /* Stops threads. SIGURG; 0: none, threads stop at safepoints only. */
  bool end_pointers;             /* A pointer one past an object's end keeps it. false. */
  acre_value_format value_format;
  acre_memory_callback* on_hard_limit;
  acre_memory_callback* on_out_of_memory;
  acre_limit_callback* on_memory_limit;
  acre_notify_callback* on_ends_pending;
  void* callback_context;
} acre_options;

ACRE_API void acre_options_init(acre_options* options);

/* Sets an option by its name, from text, as a command line or an environment variable has it. Sizes take the suffixes K,
   M and G (of 1024). ACRE_UNKNOWN_OPTION, ACRE_BAD_ARGUMENT. */
ACRE_API acre_status acre_options_set(acre_options* options, const char* name, const char* value);

/* The options that have names: for a --help. Null from the last one on. Static. */
typedef struct acre_option {
  const char* name;
  const char* default_value;
  const char* description;
} acre_option;
ACRE_API const acre_option* acre_option_at(size_t index);

/* ---- Heaps and mutators --------------------------------------------------------------------------------------------- */

/* A new heap; null options are the default ones. Takes 64 MiB of address space (less under a limit) and about 200 KiB of
   memory. ACRE_OUT_OF_MEMORY, ACRE_BAD_ARGUMENT. Several heaps may live in a process; a pointer from one into another
   keeps nothing: see acre_root. */
ACRE_API acre_status acre_heap_create(const acre_options* options, acre_heap** heap);

/* Sets the option memory_limit_bytes anew. A lower one is kept within by and by: free memory goes back at once, and
   the next allocation looks whether a collection is due. Some microseconds; may wait for the end of a collection.
   ACRE_BAD_ARGUMENT: less than 1 MiB, and not 0. */
ACRE_API acre_status acre_heap_set_memory_limit(acre_heap* heap, size_t bytes);

/* Ends a heap and all of its objects; finalizers and cleanups do not run any more. REQUIRES: nobody is attached. */
ACRE_API void acre_heap_destroy(acre_heap* heap);

/* Attaches the calling thread. Its stack and registers are roots from here on. A few microseconds. ACRE_OUT_OF_MEMORY,
   ACRE_ALREADY_ATTACHED, ACRE_NO_SIGNAL. May wait for the end of a stop. */
ACRE_API acre_status acre_attach(acre_heap* heap, acre_mutator** mutator);

/* Ends the attachment. A thread detaches before it ends. May wait for the end of a stop. */
ACRE_API void acre_detach(acre_mutator* mutator);

/* The calling thread's mutator on the heap, or null. Some nanoseconds. */
ACRE_API acre_mutator* acre_mutator_of_thread(acre_heap* heap);
ACRE_API acre_heap* acre_heap_of(acre_mutator* mutator);

/* Stops here if a stop was asked for: in loops that do not allocate, where the option stop_signal is 0. */
static inline void acre_safepoint(acre_mutator* mutator);

/* Between these two the thread counts as stopped, and must not touch the heap, its objects or its roots: around system
   calls that wait, and around posix_spawn, vfork and sigwait, in which a thread does not answer signals. End waits for the
   end of a stop that is under way. Not nested. Tens of nanoseconds. */
ACRE_API void acre_blocking_begin(acre_mutator* mutator);
ACRE_API void acre_blocking_end(acre_mutator* mutator);

/* For isolates that change threads. A parked mutator belongs to no thread: nothing of a stack is a root for it, only its
   handles (acre_local) are. The thread that unparks it is its thread from then on. A thread has one unparked mutator on a
   heap. ACRE_ALREADY_ATTACHED. Unparking by the thread that parked it costs tens of nanoseconds. */
ACRE_API void acre_park(acre_mutator* mutator);
ACRE_API acre_status acre_unpark(acre_mutator* mutator);

/* ---- Kinds ---------------------------------------------------------------------------------------------------------- */

/* An acre_kind is a byte; a heap has at most ACRE_MAX_KINDS. */

/* Every aligned word may be a pointer. */
#define ACRE_CONSERVATIVE ((acre_kind)0)
/* No word is: such objects cost marking almost nothing. */
#define ACRE_POINTER_FREE ((acre_kind)193)

/* Bit i of the bitmap: word i may be a pointer. An object longer than `words` (1 to 2^24 - 1) is an array of such. The
   bitmap is copied up to 64 words, and has to stay where it is beyond. Equal bitmaps give the same kind. ACRE_TOO_MANY,
   ACRE_BAD_ARGUMENT. */
ACRE_API acre_status acre_kind_bitmap(acre_heap* heap, const uint64_t* bitmap, size_t words, acre_kind* kind);

/* A trace function, bool function(void* context, void* object, size_t bytes, acre_tracer* tracer), names an object's
   pointers to the collector: by acre_visit for each, or acre_visit_range. It is given the size of the object's slot, at least
   what was asked for. It must accept an object of all zero bytes, and returns false if the object is not initialised yet:
   then every word of it counts as a pointer. It must not allocate, wait, or call anything else of this library, and reads
   nothing but the object (what reads elsewhere is a root callback instead). Called by several threads at once, and under
   ACRE_TRACKER_BARRIER and ACRE_TRACKER_PAGES while others store into the object: each field is read once, as by
   __atomic_load_n; under ACRE_TRACKER_PAGES also while the object is being made, so that any of the stores may be missing. Until
   the heap is destroyed it may be called, by a thread of the heap's, with its context.

   acre_visit_word takes any word, without its tag if that is a high one; acre_visit_range every aligned word in
   [base, limit).

     static inline void acre_visit(acre_tracer* tracer, const void* pointer);
     static inline void acre_visit_word(acre_tracer* tracer, uintptr_t word);
     static inline void acre_visit_range(acre_tracer* tracer, const void* base, const void* limit); */

/* A kind with a trace function; the same function and context give the same kind. In builds with ACRE_ASSERTS the function
   is tried on zero bytes here. ACRE_TOO_MANY. */
ACRE_API acre_status acre_kind_traced(acre_heap* heap, acre_trace_function* function, void* context, acre_kind* kind);

/* ---- Allocation ----------------------------------------------------------------------------------------------------- */

/* A zeroed object of at least `bytes` (0 counts as 1), aligned to 16 bytes. Null when there is no memory, after a full
   collection and the callbacks of the options. Any call may collect. A few nanoseconds up to ACRE_MAX_SMALL_BYTES. */
static inline void* acre_allocate(acre_mutator* mutator, acre_kind kind, size_t bytes);

/* The same out of line. */
ACRE_API void* acre_allocate_slow(acre_mutator* mutator, acre_kind kind, size_t bytes);

/* Frees an object at once, at its owner's risk: nothing points to it any more. It must be an object's beginning. Its weak
   references are cleared, a finalizer of it is cancelled, its cleanups are queued. Null is allowed. Some tens of ns. */
ACRE_API void acre_free(acre_mutator* mutator, void* object);

/* Memory that objects of the heap hold elsewhere (malloc'ed buffers, mappings, memory of a device) has grown by `delta` bytes,
   or shrunk: told of, it counts as alive for gc_percent and memory_limit_bytes, and its growth as allocation, so that objects that are small
   here and large elsewhere are collected in time. Usually plus where the memory is made and minus in a cleanup or finalizer. Any
   thread, attached or not; it takes no lock. Nothing is collected here: the next allocation that takes new room looks. The sum stays between 0 and 2^47; builds with ACRE_ASSERTS end with a line if it would
   not. Some nanoseconds. */
ACRE_API void acre_adjust_external(acre_heap* heap, ptrdiff_t delta);

/* The object that an address lies in, whatever it is. False: none, or one that the last cycle found dead. What another thread
   has taken to allocate from counts as objects. Some tens of nanoseconds. */
typedef struct acre_object {
  void* base;
  size_t bytes; /* Of its slot. */
  acre_kind kind;
} acre_object;
ACRE_API bool acre_object_at(acre_mutator* mutator, const void* address, acre_object* object);

/* Runs a full collection, and then calls visit for every object that it kept, with the world stopped. `visit` must not call
   anything else of this library, nor take a lock that a mutator may hold, nor use malloc or stdio. */
typedef void acre_visit_object(void* context, const acre_object* object);
ACRE_API void acre_walk(acre_mutator* mutator, acre_visit_object* visit, void* context);

/* ---- Pointer stores ------------------------------------------------------------------------------------------------- */

/* Stores a pointer into a field of an object. Every such store has to go through here, but for the first one to each word of a
   new object, over its zero: what it overwrites counts, whoever knows the object. Under ACRE_TRACKER_BARRIER, while a cycle marks, the pointer that is overwritten is
   noted for it, some nanoseconds; otherwise it costs one predictable branch. (Yuasa's snapshot-at-the-beginning.) */
static inline void acre_write(acre_mutator* mutator, void* field, const void* value);
static inline void acre_write_word(acre_mutator* mutator, uint64_t* field, uint64_t word);

/* For a new object that was filled by anything but acre_write (an initialiser, a copy over its zeros): before anybody else can
   reach it. Like acre_write one branch. */
static inline void acre_publish(acre_mutator* mutator, void* object);

/* memmove for memory that holds pointers, in whole words. */
ACRE_API void acre_move(acre_mutator* mutator, void* to, const void* from, size_t bytes);

/* ---- Roots ---------------------------------------------------------------------------------------------------------- */

/* The records are the caller's, linked into lists here, so that adding one needs no memory and cannot fail. They must not
   move or go while they are registered. Adding and removing take a lock, and so may wait for a collection, which does not
   see yet what is being added: what a range or a callback names must be held by something else until then. */

/* acre_root { next, previous, object }: a word that may point to an object; it is written by acre_root_set only. All zeros
   before it is added. */
ACRE_API void acre_root_add(acre_heap* heap, acre_root* root);
ACRE_API void acre_root_remove(acre_heap* heap, acre_root* root);
static inline void acre_root_set(acre_mutator* mutator, acre_root* root, const void* object);

/* acre_root_range { next, previous, base, limit }: the aligned words in [base, limit), read at every collection. */
ACRE_API void acre_root_range_add(acre_heap* heap, acre_root_range* range);
ACRE_API void acre_root_range_remove(acre_heap* heap, acre_root_range* range);

/* acre_root_callback { next, previous, function, context }: void function(void* context, acre_tracer* tracer) names roots, by
   acre_visit and its kin, at every collection, with the world stopped. It must not call anything else of this library, nor
   take a lock that a mutator may hold, nor use malloc or stdio. */
ACRE_API void acre_root_callback_add(acre_heap* heap, acre_root_callback* callback);
ACRE_API void acre_root_callback_remove(acre_heap* heap, acre_root_callback* callback);

/* acre_pin: while it is added, the bytes [base, base + bytes) of an object may be written through pinned pages: buffers registered
   with io_uring, RDMA, an O_DIRECT read. Such writes go past what ACRE_TRACKER_PAGES watches and past acre_write; so what stands there
   is read in every stop, as roots are (a millisecond or more each MiB, if the object holds pointers; nothing if it is ACRE_POINTER_FREE),
   and the object is kept alive. Under ACRE_TRACKER_BARRIER what is written must be reachable otherwise too when its pointers are to
   live through a cycle. System calls that read into plain memory (read, recv, io_uring's READ) need none of this.
     Added before the kernel gets to know the buffer, removed after the last write has come. Pins may overlap and nest: each record
   counts. A record of zeros; the caller's, as for roots. The range must lie in one live object, else it is a fatal error. Removing touches each
   page of the range, so that the watch goes on from there; any thread may. */
ACRE_API void acre_pin_add(acre_mutator* mutator, acre_pin* pin, void* base, size_t bytes);
ACRE_API void acre_pin_remove(acre_heap* heap, acre_pin* pin);

/* acre_local { below, object }: scoped handles, records on the stack of what uses them, last in, first out. Stacks are roots
   anyway; these are for pointers that a stack does not show (encoded ones), and for mutators that are parked. No lock, two
   stores. */
static inline void acre_local_push(acre_mutator* mutator, acre_local* local, void* object);
static inline void acre_local_pop(acre_mutator* mutator, acre_local* local);

/* ---- Stacks --------------------------------------------------------------------------------------------------------- */

/* A stack of a fibre or generator, or of a virtual machine: itself an object of the heap, so that what it holds lives as
   long as it is reachable (or running). Keep the pointer where the collector sees it. Native stacks: memory [low, high),
   used downwards. Virtual machines' stacks: the words that `bounds` names at each collection (world stopped, as for root
   callbacks). Null when there is no memory. */
typedef struct acre_stack acre_stack;
ACRE_API acre_stack* acre_stack_create(acre_mutator* mutator, void* low, void* high);
typedef void acre_stack_bounds(void* context, const void** base, const void** limit);
ACRE_API acre_stack* acre_stack_create_vm(acre_mutator* mutator, acre_stack_bounds* bounds, void* context);

/* To be called on the running stack just before the thread switches to another one, without touching the heap between.
   Null is the thread's own. A switch to a stack that runs elsewhere is a fatal error. Tens of nanoseconds. */
ACRE_API void acre_stack_switch(acre_mutator* mutator, acre_stack* to);

/* The stack that the mutator runs on; null for the thread's own. */
ACRE_API acre_stack* acre_stack_current(acre_mutator* mutator);

/* The stack's memory is about to go away: nothing of it is read any more. REQUIRES: it does not run. */
ACRE_API void acre_stack_end(acre_mutator* mutator, acre_stack* stack);

/* ---- Ends of objects ------------------------------------------------------------------------------------------------ */

/* What happens when an object is not reachable any more, in this order, in the cycle that finds it so:
     1. ephemerons whose keys live keep their values;
     2. objects with finalizers are queued, and live on with all that they reach, until their finalizer has run;
     3. weak references to what is dead now are cleared, ephemerons with dead keys are, cleanups of the dead are queued;
     4. their memory is free.
   Functions are called only by acre_run_finalizers and acre_run_cleanups, in the thread that calls these. */

/* An object is given by its beginning. These records are used through any mutator of their heap, and destroyed by their owner
   before the heap. Making and destroying one takes a lock. */

typedef struct acre_weak acre_weak;
ACRE_API acre_weak* acre_weak_create(acre_mutator* mutator, void* object);      /* Null: no memory. */
ACRE_API void* acre_weak_get(acre_mutator* mutator, const acre_weak* weak);     /* Null: it has died. A nanosecond. */
ACRE_API void acre_weak_destroy(acre_mutator* mutator, acre_weak* weak);

/* Keeps the value alive while the key is, by others. Both are null once the key has died. A cycle's work is linear in
   ephemerons, however they depend on each other. */
typedef struct acre_ephemeron acre_ephemeron;
ACRE_API acre_ephemeron* acre_ephemeron_create(acre_mutator* mutator, void* key, void* value); /* Null: no memory. */
ACRE_API void* acre_ephemeron_key(acre_mutator* mutator, const acre_ephemeron* ephemeron);
ACRE_API void* acre_ephemeron_value(acre_mutator* mutator, const acre_ephemeron* ephemeron);
ACRE_API void acre_ephemeron_set_value(acre_mutator* mutator, acre_ephemeron* ephemeron, void* value);
ACRE_API void acre_ephemeron_destroy(acre_mutator* mutator, acre_ephemeron* ephemeron);

/* A hash table from objects, by address, to objects; an entry goes with its key, and keeps its value only as an ephemeron
   does. A lock and a look-up a call. */
typedef struct acre_weak_table acre_weak_table;
ACRE_API acre_weak_table* acre_weak_table_create(acre_mutator* mutator); /* Null: no memory. */
ACRE_API void acre_weak_table_destroy(acre_mutator* mutator, acre_weak_table* table);
ACRE_API bool acre_weak_table_put(acre_mutator* mutator, acre_weak_table* table, void* key, void* value); /* False: no memory. */
ACRE_API void* acre_weak_table_get(acre_mutator* mutator, acre_weak_table* table, const void* key);       /* Null: none. */
ACRE_API bool acre_weak_table_remove(acre_mutator* mutator, acre_weak_table* table, const void* key);
ACRE_API size_t acre_weak_table_count(acre_mutator* mutator, acre_weak_table* table);

/* Sets, replaces or (null) removes the object's finalizer. It is called once, with the object, and may make it reachable
   again. All unreachable objects with finalizers are queued by the cycle that finds them so, also where one reaches
   another. False: no memory. */
typedef void acre_finalizer(void* object, void* context);
ACRE_API bool acre_finalizer_set(acre_mutator* mutator, void* object, acre_finalizer* function, void* context);

/* Runs up to `most` of those that wait, in the order in which they were set; returns how many. */
ACRE_API size_t acre_run_finalizers(acre_mutator* mutator, size_t most);

/* Called after the object has died, with the context only, which must not keep the object alive. An object may have many;
   they run in the order in which they were added. A null record: no memory. */
typedef struct acre_cleanup {
  void* record;
  uint64_t number;
} acre_cleanup;
typedef void acre_cleanup_function(void* context);
ACRE_API acre_cleanup acre_cleanup_add(acre_mutator* mutator, void* object, acre_cleanup_function* function,
                                       void* context);
/* False: it has been called already, or removed. */
ACRE_API bool acre_cleanup_remove(acre_mutator* mutator, acre_cleanup cleanup);
ACRE_API size_t acre_run_cleanups(acre_mutator* mutator, size_t most);

/* ---- Collection and statistics -------------------------------------------------------------------------------------- */

/* A full collection. */
ACRE_API void acre_collect(acre_mutator* mutator);

enum { ACRE_STOP_BUCKETS = 40 };

typedef struct acre_statistics {
  size_t struct_bytes;              /* sizeof(acre_statistics), set by the caller. */
  uint64_t cycles;
  size_t live_bytes;                /* After the last cycle. */
  size_t live_objects;
  uint64_t allocated_bytes;         /* In all; exact at the last cycle, and whole runs since. */
  uint64_t freed_bytes;             /* In all, by sweeping and by hand. */
  size_t committed_bytes;           /* Memory for objects that the heap has from the kernel now. */
  size_t metadata_bytes;
  size_t external_bytes;            /* As acre_adjust_external has it. */
  size_t held_bytes;                /* What counts for memory_limit_bytes, and free memory that was not given back. */
  size_t memory_limit_bytes;        /* The one in force; SIZE_MAX: none. */
  size_t reserved_bytes;            /* Address space. */
  size_t root_bytes;                /* Read in the last stop. */
  uint64_t last_stop_ns;
  uint64_t longest_stop_ns;
  uint64_t total_stop_ns;
  uint64_t mark_cpu_ns;             /* Of all cycles. */
  uint64_t stops[ACRE_STOP_BUCKETS]; /* stops[i]: those of [2^i, 2^(i + 1)) ns. */
  uint64_t concurrent_cycles;       /* Those that marked while threads ran; each takes two stops or more. */
  uint64_t repeated_stops;          /* That left some of such a marking to a later one. */
  uint64_t minor_cycles;            /* Those that looked at new objects only. */
} acre_statistics;
ACRE_API void acre_get_statistics(acre_heap* heap, acre_statistics* statistics);

/* ---- For compilers that emit allocation ----------------------------------------------------------------------------- */

/* The inline path of acre_allocate, to be emitted as machine code. A mutator begins with an array of ACRE_MAX_KINDS
   pointers to rows of runs, by the kind's number; a row has a run for each size class. With a class and a kind known:

     run = *(char**)(mutator + 8 * acre_kind_number(kind)) + ACRE_RUN_BYTES * class
     object = run->cursor; next = object + acre_slot_bytes(class)
     if (next > run->limit) call acre_allocate_slow
     run->cursor = next

   The memory is zeroed. No region or flag is needed (an interrupted thread goes on with what is its own). */
enum { ACRE_RUN_BYTES = 32, ACRE_RUN_CURSOR_OFFSET = 0, ACRE_RUN_LIMIT_OFFSET = 8, ACRE_SIZE_CLASSES = 68 };
ACRE_API uint32_t acre_size_class(size_t bytes); /* REQUIRES: bytes <= ACRE_MAX_SMALL_BYTES. */
ACRE_API size_t acre_slot_bytes(uint32_t size_class);
static inline uint32_t acre_kind_number(acre_kind kind);

#ifdef __cplusplus
}
#endif

#include "acre/internal/inline.h"

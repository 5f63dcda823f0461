// Life of a state: its allocator with a limit, its interrupts, and what Lua is told of foreign memory.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"

char nnl_key_references, nnl_key_identities, nnl_key_pins, nnl_key_objects, nnl_key_natives, nnl_key_metatable,
  nnl_key_box, nnl_key_interrupt, nnl_key_finalizable, nnl_key_queue, nnl_key_proxy, nnl_key_chunk;

// Foreign memory that may gather before the first forced collection: 64 MiB.
#define FOREIGN_FLOOR ((size_t)64 << 20)
// Strings of the session's own string functions: 256 MiB.
#define STRING_LIMIT ((size_t)256 << 20)
// Memory lent beyond the limit while an error is reported: 256 KiB.
#define ERROR_SLACK ((size_t)256 << 10)
// Instructions that clean-up code may run after an interrupt before it is stopped again.
#define CLEANUP_INSTRUCTIONS 1000000

static _Thread_local nnl_context *active; // the state that runs on this thread
static nnl_context *_Atomic watched;      // the state that Ctrl-C stops
static atomic_int presses;

// MARK: buffers

int nnl_append(nnl_buffer *buffer, const void *bytes, size_t count) {
  if (count > buffer->capacity - buffer->count) {
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity - buffer->count < count) {
      if (capacity > SIZE_MAX / 2) return -1;
      capacity *= 2;
    }
    uint8_t *grown = realloc(buffer->bytes, capacity);
    if (!grown) return -1;
    buffer->bytes = grown;
    buffer->capacity = capacity;
  }
  if (count) memcpy(buffer->bytes + buffer->count, bytes, count);
  buffer->count += count;
  return 0;
}

void nnl_free(nnl_buffer *buffer) {
  free(buffer->bytes);
  memset(buffer, 0, sizeof *buffer);
}

// MARK: memory

static void *allocate(void *opaque, void *block, size_t old_size, size_t new_size) {
  nnl_context *context = opaque;
  size_t old = block ? old_size : 0; // without a block, Lua passes a type here
  if (new_size == 0) {
    free(block);
    context->used -= old;
    return NULL;
  }
  if (context->limit && new_size > old && context->used - old + new_size > context->limit + context->slack) return NULL;
  void *grown = realloc(block, new_size);
  if (grown) context->used += new_size - old;
  return grown;
}

void nnl_account_foreign(lua_State *L, nnl_context *context, size_t bytes) {
  context->foreign += bytes;
  if (context->foreign <= context->foreign_mark) return;
  lua_gc(L, LUA_GCCOLLECT);
  context->foreign_mark = 2 * context->foreign > FOREIGN_FLOOR ? 2 * context->foreign : FOREIGN_FLOOR;
}

size_t nnl_memory_used(const nnl_context *context) { return context->used; }
void nnl_set_memory_limit(nnl_context *context, size_t limit) { context->limit = limit; }
size_t nnl_foreign_bytes(const nnl_context *context) { return context->foreign; }
void nnl_set_string_limit(nnl_context *context, size_t limit) { context->string_limit = limit; }

// MARK: interrupts

int nnl_raise_interrupt(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_interrupt);
  return lua_error(L);
}

// The hook stays armed, at a slower pace, so that clean-up code can work and endless clean-up code ends.
static void stop(lua_State *L, lua_Debug *record) {
  (void)record;
  if (!nnl_flagged(nnl_of(L))) {
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  lua_sethook(L, stop, LUA_MASKCOUNT, CLEANUP_INSTRUCTIONS);
  luaL_checkstack(L, 4, NULL);
  nnl_raise_interrupt(L);
}

void nnl_arm(lua_State *L) {
  lua_sethook(L, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

// Runs on the owner's thread, so that `running` and its frames cannot change or vanish meanwhile.
static void on_wake(int number) {
  (void)number;
  nnl_context *context = active;
  if (context && context->running && nnl_flagged(context)) nnl_arm(context->running);
}

static void install_wake(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_wake;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGURG, &action, NULL); // SIGURG: ignored by default, so a late one is harmless
}

void nnl_interrupt(nnl_context *context) {
  atomic_store(&context->interrupted, 1);
  if (context->host.interrupted) context->host.interrupted(context->host.host);
  pthread_kill(context->owner, SIGURG);
}

// Threads of a dispatch queue block every signal; the owner of a state must hear the wake-up.
static void unblock_wake(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGURG);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int nnl_is_interrupted(nnl_context *context) { return nnl_flagged(context); }

void nnl_clear_interrupt(nnl_context *context) {
  atomic_store(&context->interrupted, 0);
  atomic_store(&presses, 0);
}

static void on_ctrl_c(int number) {
  nnl_context *context = atomic_load(&watched);
  if (!context || atomic_fetch_add(&presses, 1) >= 2) {
    signal(number, SIG_DFL);
    raise(number);
    return;
  }
  nnl_interrupt(context);
}

void nnl_watch_ctrl_c(nnl_context *context) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = context ? on_ctrl_c : SIG_DFL;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  atomic_store(&watched, context);
  sigaction(SIGINT, &action, NULL);
}

int nnl_ctrl_c_count(void) { return atomic_load(&presses); }

// MARK: creation

static int panic(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  fprintf(stderr, "lunette: a Lua error left every protected call: %s\n", text ? text : "(no text)");
  return 0; // Lua aborts
}

static void warn(void *opaque, const char *text, int to_continue) {
  (void)to_continue;
  nnl_context *context = opaque;
  context->host.warn(context->host.host, (const uint8_t *)text, strlen(text));
}

static void weak_table(lua_State *L, const void *key, const char *mode) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

static int set_up(lua_State *L) {
  luaL_openlibs(L);
  lua_pushliteral(L, "interrupted");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &nnl_key_interrupt);
  weak_table(L, &nnl_key_references, "v");
  weak_table(L, &nnl_key_identities, "k");
  weak_table(L, &nnl_key_objects, "v");
  weak_table(L, &nnl_key_natives, "v");
  weak_table(L, &nnl_key_finalizable, "k");
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &nnl_key_pins);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &nnl_key_queue);
  nnl_setup_boxes(L);
  nnl_open_library(L);
  nnl_open_coroutines(L);
  nnl_open_finalizers(L);
  nnl_open_strings(L);
  nnl_open_patterns(L);
  return 0;
}

nnl_context *nnl_create(const nnl_host *host, size_t memory_limit) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, install_wake);
  unblock_wake();
  nnl_context *context = calloc(1, sizeof *context);
  if (!context) return NULL;
  context->host = *host;
  context->owner = pthread_self();
  context->string_limit = STRING_LIMIT;
  context->foreign_mark = FOREIGN_FLOOR;
  context->limit = memory_limit;
  lua_State *L = lua_newstate(allocate, context);
  if (!L) {
    free(context);
    return NULL;
  }
  context->main = L;
  context->running = L;
  *(nnl_context **)lua_getextraspace(L) = context;
  lua_atpanic(L, panic);
  lua_setwarnf(L, warn, context);
  lua_pushcfunction(L, set_up);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
    nnl_close(context);
    return NULL;
  }
  return context;
}

static int last_finalizers(lua_State *L) {
  nnl_queue_all_finalizers(L);
  nnl_run_finalizers(L);
  return 0;
}

static void give_up(lua_State *L, lua_Debug *record) {
  (void)record;
  luaL_error(L, "stopped: the state is closing");
}

void nnl_close(nnl_context *context) {
  lua_State *L = context->main;
  atomic_store(&context->interrupted, 0);
  lua_settop(L, 0);
  lua_sethook(L, give_up, LUA_MASKCOUNT, 10 * CLEANUP_INSTRUCTIONS);
  lua_pushcfunction(L, last_finalizers);
  lua_pcall(L, 0, 0, 0);
  if (atomic_load(&watched) == context) nnl_watch_ctrl_c(NULL);
  lua_close(L);
  for (int i = 0; i < 2 * NNL_MAX_DEPTH; i++) nnl_free(&context->buffers[i]);
  nnl_free(&context->trace);
  nnl_free(&context->carried);
  free(context);
}

// MARK: the one entry

int32_t nnl_perform(
  nnl_context *context, int32_t operation, const uint8_t *arguments, size_t count, nnl_buffer *results) {
  if (!pthread_equal(pthread_self(), context->owner)) return NNL_WRONG_THREAD;
  lua_State *L = context->running;
  nnl_context *outer = active;
  nnl_request work = {operation, arguments, count, results};
  results->count = 0;
  if (!lua_checkstack(L, 8)) return NNL_OUT_OF_MEMORY;
  active = context;
  context->entries++;
  int keeping = context->keeping_locals;
  context->keeping_locals = 0;
  context->carried.count = 0;
  context->trace.count = 0;
  if (nnl_flagged(context)) nnl_arm(L);
  int top = lua_gettop(L);
  lua_pushcfunction(L, nnl_message_handler);
  lua_pushcfunction(L, nnl_operate);
  lua_pushlightuserdata(L, &work);
  int status = lua_pcall(L, 1, 1, top + 1);
  int32_t outcome = NNL_OK;
  if (status != LUA_OK) {
    outcome = status == LUA_ERRMEM ? NNL_OUT_OF_MEMORY : status == LUA_ERRERR ? NNL_HANDLER_FAILED : NNL_ERROR;
    if (nnl_flagged(context)) outcome = NNL_INTERRUPTED;
    context->slack = ERROR_SLACK;
    results->count = 0;
    lua_pushcfunction(L, nnl_report);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, results);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) results->count = 0;
    context->slack = 0;
  } else if (lua_toboolean(L, -1)) {
    outcome = NNL_SYNTAX;
  }
  lua_settop(L, top);
  context->keeping_locals = keeping;
  context->entries--;
  active = outer;
  if (context->entries == 0 && nnl_flagged(context)) {
    atomic_store(&context->interrupted, 0);
    lua_sethook(L, NULL, 0, 0);
  }
  return outcome;
}

void nnl_write_stdout(const uint8_t *bytes, size_t count) {
  fwrite(bytes, 1, count, stdout);
  fflush(stdout);
}

void nnl_write_stderr(const uint8_t *bytes, size_t count) {
  fwrite(bytes, 1, count, stderr);
  fflush(stderr);
}

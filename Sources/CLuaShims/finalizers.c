// Lua runs no hook inside finalizers, so an endless `__gc` could never be stopped. The session's `setmetatable` therefore
// hides `__gc` from Lua: a proxy dies with the object, and its C finalizer only queues the object. The queue is run at
// safe points, as ordinary calls that an interrupt can stop.
#include "internal.h"

static int proxy_died(lua_State *L) {
  nnl_context *context = nnl_of(L);
  lua_getiuservalue(L, 1, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_queue);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, context->queue_last + 1);
  context->queue_last++;
  return 0;
}

// Ties a proxy to the object at `index`; the table of proxies has weak keys.
static void watch(lua_State *L, int index) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_finalizable);
  lua_pushvalue(L, index);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushvalue(L, index);
    lua_newuserdatauv(L, 0, 1);
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_proxy);
    lua_setmetatable(L, -2);
    lua_rawset(L, -3);
    lua_pop(L, 1);
  } else {
    lua_pop(L, 2);
  }
}

// Calls what waits in the queue. Errors become warnings, except an interrupt, which goes on.
void nnl_run_finalizers(lua_State *L) {
  nnl_context *context = nnl_of(L);
  if (context->queue_first == context->queue_last || context->finalizing) return;
  luaL_checkstack(L, 6, NULL);
  context->finalizing = 1;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_queue);
  int queue = lua_gettop(L);
  while (context->queue_first < context->queue_last && !nnl_flagged(context)) {
    lua_Integer next = ++context->queue_first;
    lua_rawgeti(L, queue, next);
    lua_pushnil(L);
    lua_rawseti(L, queue, next);
    if (lua_getmetatable(L, -1)) {
      lua_pushliteral(L, "__gc");
      lua_rawget(L, -2);
      lua_remove(L, -2);
      if (lua_isfunction(L, -1)) {
        lua_pushvalue(L, -2);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK && !nnl_flagged(context)) {
          lua_warning(L, "error in __gc: ", 1);
          lua_warning(L, lua_isstring(L, -1) ? lua_tostring(L, -1) : "(error object is not a string)", 0);
        }
      }
    }
    lua_settop(L, queue);
  }
  context->finalizing = 0;
  lua_pop(L, 1);
  nnl_poll(L, context);
}

// When the state closes: every object that still has a finalizer is due.
void nnl_queue_all_finalizers(lua_State *L) {
  nnl_context *context = nnl_of(L);
  lua_gc(L, LUA_GCCOLLECT);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_finalizable);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_queue);
  lua_pushnil(L);
  while (lua_next(L, -3)) {
    lua_pushnil(L);
    lua_setmetatable(L, -2); // the proxy has nothing left to do
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, context->queue_last + 1);
    context->queue_last++;
  }
  lua_pop(L, 2);
}

// Sets the metatable at the stack's top on the object at `index` while its `__gc` is out of Lua's sight.
static void set_without_finalizer(lua_State *L, int index) {
  int metatable = lua_gettop(L);
  lua_pushliteral(L, "__gc");
  if (!lua_istable(L, metatable) || lua_rawget(L, metatable) == LUA_TNIL) {
    lua_settop(L, metatable);
    lua_setmetatable(L, index);
    return;
  }
  int finalizer = lua_gettop(L);
  lua_pushliteral(L, "__gc");
  lua_pushnil(L);
  lua_rawset(L, metatable);
  lua_pushvalue(L, metatable);
  lua_setmetatable(L, index);
  lua_pushliteral(L, "__gc");
  lua_pushvalue(L, finalizer);
  lua_rawset(L, metatable); // the key is still in the table, so nothing is allocated
  lua_settop(L, metatable);
  watch(L, index);
  lua_settop(L, metatable - 1);
}

static int set_metatable(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
  lua_settop(L, 2);
  set_without_finalizer(L, 1);
  nnl_run_finalizers(L);
  lua_settop(L, 1);
  return 1;
}

static int debug_set_metatable(lua_State *L) {
  luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
  lua_settop(L, 2);
  set_without_finalizer(L, 1);
  lua_settop(L, 1);
  return 1;
}

// Upvalue: Lua's own collectgarbage.
static int collect_garbage(lua_State *L) {
  int count = lua_gettop(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, count, LUA_MULTRET);
  nnl_run_finalizers(L);
  return lua_gettop(L);
}

void nnl_open_finalizers(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, proxy_died);
  lua_setfield(L, -2, "__gc");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &nnl_key_proxy);
  lua_pushcfunction(L, set_metatable);
  lua_setglobal(L, "setmetatable");
  lua_getglobal(L, "collectgarbage");
  lua_pushcclosure(L, collect_garbage, 1);
  lua_setglobal(L, "collectgarbage");
  lua_getglobal(L, "debug");
  lua_pushcfunction(L, debug_set_metatable);
  lua_setfield(L, -2, "setmetatable");
  lua_pop(L, 1);
}

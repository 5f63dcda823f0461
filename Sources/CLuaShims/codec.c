// Values between the Lua stack and flat buffers, and the boxes and references that stand for what cannot be copied.
#include <string.h>
#include "internal.h"

// MARK: Lua to buffer

static void put(lua_State *L, nnl_buffer *buffer, const void *bytes, size_t count) {
  if (nnl_append(buffer, bytes, count)) luaL_error(L, "not enough memory to pass values to the engine");
}

static void put_tag(lua_State *L, nnl_buffer *buffer, uint8_t tag) { put(L, buffer, &tag, 1); }

static void put_integer(lua_State *L, nnl_buffer *buffer, int64_t value) { put(L, buffer, &value, 8); }

static void put_string(lua_State *L, nnl_buffer *buffer, const char *bytes, size_t count) {
  put_tag(L, buffer, NNL_STRING);
  put_integer(L, buffer, (int64_t)count);
  put(L, buffer, bytes, count);
}

// The number that stands for a function, table or other collectable value; the value stays collectable.
int64_t nnl_reference(lua_State *L, int index) {
  index = lua_absindex(L, index);
  luaL_checkstack(L, 4, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_identities);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  int64_t reference = lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (reference == 0) {
    reference = ++nnl_of(L)->next_reference;
    lua_pushvalue(L, index);
    lua_pushinteger(L, reference);
    lua_rawset(L, -3);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_references);
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, reference);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return reference;
}

static nnl_box *box_at(lua_State *L, int index) {
  nnl_box *box = lua_touserdata(L, index);
  if (!box || lua_islightuserdata(L, index) || !lua_getmetatable(L, index)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_metatable);
  int ours = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return ours ? box : NULL;
}

// The Swift key behind a native function, or 0.
static int64_t native_key(lua_State *L, int index) {
  if (lua_tocfunction(L, index) != nnl_dispatch || !lua_getupvalue(L, index, 1)) return 0;
  nnl_box *box = box_at(L, -1);
  lua_pop(L, 1);
  return box ? box->key : 0;
}

static void encode(lua_State *L, int index, nnl_buffer *buffer, int shallow, int nesting);

static void encode_table(lua_State *L, int index, nnl_buffer *buffer, int nesting) {
  if (nesting >= NNL_MAX_NESTING)
    luaL_error(L, "a table nests deeper than %d levels (does it contain itself?)", NNL_MAX_NESTING);
  luaL_checkstack(L, 6, "tables nest too deep");
  lua_Integer count = (lua_Integer)lua_rawlen(L, index);
  put_tag(L, buffer, NNL_TABLE);
  size_t at = buffer->count;
  put_integer(L, buffer, count);
  lua_Integer written = 0;
  for (lua_Integer i = 1; i <= count; i++, written++) {
    if (lua_rawgeti(L, index, i) == LUA_TNIL) { // a hole: the border was found beyond it
      lua_pop(L, 1);
      break;
    }
    encode(L, lua_gettop(L), buffer, 0, nesting + 1);
    lua_pop(L, 1);
  }
  memcpy(buffer->bytes + at, &written, 8);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
    if (key < 1 || key > written) {
      encode(L, lua_gettop(L) - 1, buffer, 0, nesting + 1);
      encode(L, lua_gettop(L), buffer, 0, nesting + 1);
    }
    lua_pop(L, 1);
  }
  put_tag(L, buffer, NNL_END);
}

static void encode_reference(lua_State *L, int index, nnl_buffer *buffer) {
  put_tag(L, buffer, NNL_REFERENCE);
  put_integer(L, buffer, nnl_reference(L, index));
  const char *name = luaL_typename(L, index);
  put_string(L, buffer, name, strlen(name));
}

static void encode(lua_State *L, int index, nnl_buffer *buffer, int shallow, int nesting) {
  switch (lua_type(L, index)) {
  case LUA_TNIL:
  case LUA_TNONE: put_tag(L, buffer, NNL_NIL); break;
  case LUA_TBOOLEAN: put_tag(L, buffer, lua_toboolean(L, index) ? NNL_TRUE : NNL_FALSE); break;
  case LUA_TNUMBER:
    if (lua_isinteger(L, index)) {
      put_tag(L, buffer, NNL_INTEGER);
      put_integer(L, buffer, lua_tointeger(L, index));
    } else {
      lua_Number value = lua_tonumber(L, index);
      put_tag(L, buffer, NNL_NUMBER);
      put(L, buffer, &value, 8);
    }
    break;
  case LUA_TSTRING: {
    size_t count;
    const char *bytes = lua_tolstring(L, index, &count);
    put_string(L, buffer, bytes, count);
    break;
  }
  case LUA_TTABLE:
    if (shallow) encode_reference(L, index, buffer);
    else encode_table(L, index, buffer, nesting);
    break;
  case LUA_TFUNCTION:
    put_tag(L, buffer, NNL_FUNCTION);
    put_integer(L, buffer, nnl_reference(L, index));
    put_integer(L, buffer, native_key(L, index));
    break;
  case LUA_TUSERDATA: {
    nnl_box *box = box_at(L, index);
    if (box) {
      put_tag(L, buffer, NNL_OBJECT);
      put_integer(L, buffer, box->key);
      put_integer(L, buffer, (int64_t)box->foreign);
      put_integer(L, buffer, 0);
    } else {
      encode_reference(L, index, buffer);
    }
    break;
  }
  default: encode_reference(L, index, buffer);
  }
}

void nnl_encode(lua_State *L, int index, nnl_buffer *buffer, int shallow) {
  luaL_checkstack(L, 8, NULL);
  encode(L, lua_absindex(L, index), buffer, shallow, 0);
}

// MARK: boxes

static int box_release(lua_State *L) {
  nnl_box *box = lua_touserdata(L, 1);
  if (!box || box->key == 0) return 0;
  nnl_context *context = nnl_of(L);
  int64_t key = box->key;
  box->key = 0;
  context->foreign -= box->foreign;
  box->foreign = 0;
  context->host.release(context->host.host, key);
  return 0;
}

static int box_close(lua_State *L) {
  // The close function of the host first, then the release; an error in the former still releases.
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  int status = lua_pcall(L, 1, 0, 0);
  box_release(L);
  return status == LUA_OK ? 0 : lua_error(L);
}

static void metamethod(lua_State *L, const char *name, int64_t key) {
  lua_pushinteger(L, key);
  lua_pushstring(L, name);
  lua_pushcclosure(L, nnl_dispatch, 2);
  lua_setfield(L, -2, name);
}

void nnl_setup_boxes(lua_State *L) {
  static const struct {
    const char *name;
    int key;
  } methods[] = {
    {"__index", NNL_META_INDEX},       {"__newindex", NNL_META_NEWINDEX}, {"__call", NNL_META_CALL},
    {"__tostring", NNL_META_TOSTRING}, {"__len", NNL_META_LENGTH},        {"__pairs", NNL_META_PAIRS},
    {"__eq", NNL_META_EQUAL},          {"__lt", NNL_META_LESS},           {"__le", NNL_META_LESS_EQUAL},
    {"__add", NNL_META_ADD},           {"__sub", NNL_META_SUBTRACT},      {"__mul", NNL_META_MULTIPLY},
    {"__div", NNL_META_DIVIDE},        {"__pow", NNL_META_POWER},         {"__unm", NNL_META_NEGATE},
    {"__concat", NNL_META_CONCATENATE}};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) metamethod(L, methods[i].name, methods[i].key);
  metamethod(L, "__close", NNL_META_CLOSE);
  lua_getfield(L, -1, "__close");
  lua_pushcclosure(L, box_close, 1);
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, box_release);
  lua_setfield(L, -2, "__gc");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pushliteral(L, "lunette object");
  lua_setfield(L, -2, "__name");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &nnl_key_metatable);
}

// Pushes a new box for `key`, which the host counts from here on.
static void push_box(lua_State *L, int64_t key, size_t foreign) {
  nnl_context *context = nnl_of(L);
  nnl_box *box = lua_newuserdatauv(L, sizeof *box, 1);
  box->key = 0;
  box->foreign = 0;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_metatable);
  lua_setmetatable(L, -2);
  context->host.retain(context->host.host, key);
  box->key = key;
  box->foreign = foreign;
  nnl_account_foreign(L, context, foreign);
}

// MARK: buffer to Lua

typedef struct {
  const uint8_t *at;
  const uint8_t *end;
} reader;

static int64_t get_integer(lua_State *L, reader *r) {
  int64_t value = 0;
  if (r->end - r->at < 8) luaL_error(L, "the bridge was handed a truncated value");
  memcpy(&value, r->at, 8);
  r->at += 8;
  return value;
}

static void decode(lua_State *L, reader *r, int nesting);

static void decode_string(lua_State *L, reader *r) {
  int64_t count = get_integer(L, r);
  if (count < 0 || r->end - r->at < count) luaL_error(L, "the bridge was handed a truncated string");
  lua_pushlstring(L, (const char *)r->at, (size_t)count);
  r->at += count;
}

static void decode_table(lua_State *L, reader *r, int nesting) {
  int64_t count = get_integer(L, r);
  lua_createtable(L, count < 1 << 24 ? (int)count : 0, 0);
  for (int64_t i = 1; i <= count; i++) {
    decode(L, r, nesting + 1);
    lua_rawseti(L, -2, i);
  }
  while (r->at < r->end && *r->at != NNL_END) {
    decode(L, r, nesting + 1);
    decode(L, r, nesting + 1);
    if (lua_isnil(L, -2)) luaL_error(L, "the bridge was handed a nil key");
    lua_rawset(L, -3);
  }
  r->at++;
}

static void decode_object(lua_State *L, reader *r, int nesting) {
  int64_t key = get_integer(L, r);
  size_t foreign = (size_t)get_integer(L, r);
  int64_t anchors = get_integer(L, r);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_objects);
  if (lua_rawgeti(L, -1, key) == LUA_TNIL) {
    lua_pop(L, 1);
    push_box(L, key, foreign);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, key);
  }
  lua_remove(L, -2);
  if (anchors == 0) return;
  lua_createtable(L, (int)anchors, 0);
  for (int64_t i = 1; i <= anchors; i++) {
    decode(L, r, nesting + 1);
    lua_rawseti(L, -2, i);
  }
  lua_setiuservalue(L, -2, 1);
}

static void decode_native(lua_State *L, reader *r, int nesting) {
  int64_t key = get_integer(L, r);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_natives);
  if (lua_rawgeti(L, -1, key) == LUA_TNIL) {
    lua_pop(L, 1);
    push_box(L, key, 0);
    decode(L, r, nesting + 1);
    lua_pushcclosure(L, nnl_dispatch, 2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, key);
  } else {
    decode(L, r, nesting + 1);
    lua_pop(L, 1);
  }
  lua_remove(L, -2);
}

static void decode_referenced(lua_State *L, reader *r) {
  int64_t reference = get_integer(L, r);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_references);
  if (lua_rawgeti(L, -1, reference) == LUA_TNIL)
    luaL_error(L, "a value that the engine kept is gone: the object that owned it was collected");
  lua_remove(L, -2);
}

static void decode(lua_State *L, reader *r, int nesting) {
  if (r->at >= r->end) luaL_error(L, "the bridge was handed a truncated value");
  if (nesting > 2 * NNL_MAX_NESTING) luaL_error(L, "the engine returned a table nested too deep");
  luaL_checkstack(L, 8, "values nest too deep");
  uint8_t tag = *r->at++;
  switch (tag) {
  case NNL_NIL: lua_pushnil(L); break;
  case NNL_FALSE: lua_pushboolean(L, 0); break;
  case NNL_TRUE: lua_pushboolean(L, 1); break;
  case NNL_INTEGER: lua_pushinteger(L, get_integer(L, r)); break;
  case NNL_NUMBER: {
    int64_t bits = get_integer(L, r);
    lua_Number value;
    memcpy(&value, &bits, 8);
    lua_pushnumber(L, value);
    break;
  }
  case NNL_STRING: decode_string(L, r); break;
  case NNL_TABLE: decode_table(L, r, nesting); break;
  case NNL_OBJECT: decode_object(L, r, nesting); break;
  case NNL_NATIVE: decode_native(L, r, nesting); break;
  case NNL_FUNCTION:
    decode_referenced(L, r);
    get_integer(L, r);
    break;
  case NNL_REFERENCE:
    decode_referenced(L, r);
    decode(L, r, nesting + 1); // the type's name
    lua_pop(L, 1);
    break;
  default: luaL_error(L, "the bridge was handed an unknown tag %d", tag);
  }
}

// Pushes every value of the buffer; returns how many there are.
int nnl_decode_all(lua_State *L, const uint8_t *bytes, size_t count) {
  reader r = {bytes, bytes + count};
  int values = 0;
  while (r.at < r.end) {
    decode(L, &r, 0);
    values++;
  }
  return values;
}

// Lua's patterns (reference manual, section 6.4.1) with a count of steps: a pattern that backtracks without end polls the
// interrupt flag, which the library's own matcher never does.
#define _GNU_SOURCE // memmem
#include <ctype.h>
#include <string.h>
#include "internal.h"

#define CAPTURES 32
#define RECURSION 200
// Steps between two looks at the interrupt flag; a power of two.
#define STEPS 4096u
// The lengths of captures that are not finished, or that are positions.
#define OPEN (-1)
#define POSITION (-2)

typedef struct {
  const char *start;
  ptrdiff_t length;
} capture;

typedef struct {
  lua_State *L;
  const char *text, *text_end, *pattern_end;
  unsigned steps;
  int depth, count;
  capture captures[CAPTURES];
} matcher;

static const char *match(matcher *m, const char *s, const char *p);

static inline unsigned char byte(const char *p) { return (unsigned char)*p; }

static inline void step(matcher *m) {
  if ((++m->steps & (STEPS - 1)) == 0) nnl_poll(m->L, nnl_of(m->L));
}

// MARK: single characters

static int in_class(int c, int letter) {
  int inside;
  switch (tolower(letter)) {
  case 'a': inside = isalpha(c); break;
  case 'c': inside = iscntrl(c); break;
  case 'd': inside = isdigit(c); break;
  case 'g': inside = isgraph(c); break;
  case 'l': inside = islower(c); break;
  case 'p': inside = ispunct(c); break;
  case 's': inside = isspace(c); break;
  case 'u': inside = isupper(c); break;
  case 'w': inside = isalnum(c); break;
  case 'x': inside = isxdigit(c); break;
  default: return letter == c;
  }
  return isupper(letter) ? !inside : inside != 0;
}

// The position after the single-character item at `p`.
static const char *item_end(matcher *m, const char *p) {
  if (*p == '%') {
    if (p + 1 >= m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
    return p + 2;
  }
  if (*p != '[') return p + 1;
  p++;
  if (p < m->pattern_end && *p == '^') p++;
  do { // a bracket right after the opening is an ordinary character
    if (p >= m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
    p += *p == '%' ? 2 : 1;
  } while (p >= m->pattern_end || *p != ']');
  return p + 1;
}

// Whether `c` is in the set that opens at `p` and whose closing bracket is at `last`.
static int in_set(int c, const char *p, const char *last) {
  int negated = p[1] == '^';
  p += negated ? 2 : 1;
  while (p < last) {
    if (*p == '%' && p + 1 < last) {
      if (in_class(c, byte(p + 1))) return !negated;
      p += 2;
    } else if (p + 2 < last && p[1] == '-') {
      if (byte(p) <= c && c <= byte(p + 2)) return !negated;
      p += 3;
    } else {
      if (byte(p) == c) return !negated;
      p++;
    }
  }
  return negated;
}

static int matches_item(matcher *m, const char *s, const char *p, const char *end) {
  step(m);
  if (s >= m->text_end) return 0;
  switch (*p) {
  case '.': return 1;
  case '%': return in_class(byte(s), byte(p + 1));
  case '[': return in_set(byte(s), p, end - 1);
  default: return *p == *s;
  }
}

// MARK: items with a meaning of their own

static const char *start_capture(matcher *m, const char *s, const char *p, ptrdiff_t length) {
  if (m->count >= CAPTURES) luaL_error(m->L, "too many captures");
  m->captures[m->count++] = (capture){s, length};
  const char *end = match(m, s, p);
  if (!end) m->count--;
  return end;
}

static const char *end_capture(matcher *m, const char *s, const char *p) {
  int i = m->count - 1;
  while (i >= 0 && m->captures[i].length != OPEN) i--;
  if (i < 0) luaL_error(m->L, "invalid pattern capture");
  m->captures[i].length = s - m->captures[i].start;
  const char *end = match(m, s, p);
  if (!end) m->captures[i].length = OPEN;
  return end;
}

static const char *match_balance(matcher *m, const char *s, const char *p) {
  if (p + 1 >= m->pattern_end) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
  if (s >= m->text_end || *s != p[0]) return NULL;
  int nesting = 1;
  for (const char *at = s + 1; at < m->text_end; at++) {
    step(m);
    if (*at == p[1]) {
      if (--nesting == 0) return at + 1;
    } else if (*at == p[0]) {
      nesting++;
    }
  }
  return NULL;
}

static const char *match_back_reference(matcher *m, const char *s, int digit) {
  int i = digit - '1';
  if (i < 0 || i >= m->count || m->captures[i].length == OPEN)
    luaL_error(m->L, "invalid capture index %%%d in pattern", i + 1);
  if (m->captures[i].length < 0) return NULL;
  size_t length = (size_t)m->captures[i].length;
  if ((size_t)(m->text_end - s) < length || memcmp(m->captures[i].start, s, length) != 0) return NULL;
  return s + length;
}

static int at_frontier(matcher *m, const char *s, const char *p, const char *end) {
  int before = s == m->text ? 0 : byte(s - 1);
  int after = s < m->text_end ? byte(s) : 0;
  return !in_set(before, p, end - 1) && in_set(after, p, end - 1);
}

static const char *match_greedily(matcher *m, const char *s, const char *p, const char *end, ptrdiff_t least) {
  ptrdiff_t count = 0;
  while (matches_item(m, s + count, p, end)) count++;
  for (; count >= least; count--) {
    const char *found = match(m, s + count, end + 1);
    if (found) return found;
  }
  return NULL;
}

static const char *match_lazily(matcher *m, const char *s, const char *p, const char *end) {
  for (;; s++) {
    const char *found = match(m, s, end + 1);
    if (found) return found;
    if (!matches_item(m, s, p, end)) return NULL;
  }
}

// MARK: the matcher

// One item that needs no recursion; moves both positions on. Returns 1 on success, 0 on a mismatch, -1 for other items.
static int match_escape(matcher *m, const char **s, const char **p) {
  int letter = *p + 1 < m->pattern_end ? (*p)[1] : 0;
  if (letter == 'b') {
    *s = match_balance(m, *s, *p + 2);
    *p += 4;
    return *s != NULL;
  }
  if (letter == 'f') {
    const char *set = *p + 2;
    if (set >= m->pattern_end || *set != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
    const char *end = item_end(m, set);
    if (!at_frontier(m, *s, set, end)) return 0;
    *p = end;
    return 1;
  }
  if (isdigit((unsigned char)letter)) {
    *s = match_back_reference(m, *s, letter);
    *p += 2;
    return *s != NULL;
  }
  return -1;
}

static const char *match_from(matcher *m, const char *s, const char *p) {
  while (p < m->pattern_end) {
    step(m);
    if (*p == '(') {
      int position = p + 1 < m->pattern_end && p[1] == ')';
      return position ? start_capture(m, s, p + 2, POSITION) : start_capture(m, s, p + 1, OPEN);
    }
    if (*p == ')') return end_capture(m, s, p + 1);
    if (*p == '$' && p + 1 == m->pattern_end) return s == m->text_end ? s : NULL;
    if (*p == '%') {
      int outcome = match_escape(m, &s, &p);
      if (outcome == 0) return NULL;
      if (outcome == 1) continue;
    }
    const char *end = item_end(m, p);
    switch (end < m->pattern_end ? *end : 0) {
    case '*': return match_greedily(m, s, p, end, 0);
    case '+': return match_greedily(m, s, p, end, 1);
    case '-': return match_lazily(m, s, p, end);
    case '?': {
      const char *found = matches_item(m, s, p, end) ? match(m, s + 1, end + 1) : NULL;
      if (found) return found;
      p = end + 1;
      break;
    }
    default:
      if (!matches_item(m, s, p, end)) return NULL;
      s++;
      p = end;
    }
  }
  return s;
}

static const char *match(matcher *m, const char *s, const char *p) {
  if (++m->depth > RECURSION) luaL_error(m->L, "pattern too complex");
  const char *end = match_from(m, s, p);
  m->depth--;
  return end;
}

static const char *match_anew(matcher *m, const char *s, const char *p) {
  m->count = 0;
  m->depth = 0;
  return match(m, s, p);
}

// MARK: captures as values

static void push_capture(matcher *m, int i, const char *start, const char *end) {
  if (i >= m->count) {
    if (i != 0) luaL_error(m->L, "invalid capture index %%%d", i + 1);
    lua_pushlstring(m->L, start, (size_t)(end - start)); // no captures: the whole match
    return;
  }
  capture found = m->captures[i];
  if (found.length == OPEN) luaL_error(m->L, "unfinished capture");
  if (found.length == POSITION) lua_pushinteger(m->L, found.start - m->text + 1);
  else lua_pushlstring(m->L, found.start, (size_t)found.length);
}

static int push_captures(matcher *m, const char *start, const char *end) {
  int count = m->count == 0 && start ? 1 : m->count;
  luaL_checkstack(m->L, count, "too many captures");
  for (int i = 0; i < count; i++) push_capture(m, i, start, end);
  return count;
}

static void prepare(matcher *m, lua_State *L, const char *text, size_t length, const char *pattern, size_t count) {
  m->L = L;
  m->text = text;
  m->text_end = text + length;
  m->pattern_end = pattern + count;
  m->steps = 0;
}

// A start position as the manual counts it: from 1, negative from the end; the result counts from 0.
static size_t start_offset(lua_Integer position, size_t length) {
  if (position > 0) return (size_t)position - 1;
  if (position == 0 || position < -(lua_Integer)length) return 0;
  return length - (size_t)-position;
}

// MARK: library functions

static int search(lua_State *L, int find) {
  size_t length, count;
  const char *text = luaL_checklstring(L, 1, &length);
  const char *pattern = luaL_checklstring(L, 2, &count);
  size_t start = start_offset(luaL_optinteger(L, 3, 1), length);
  if (start > length) {
    lua_pushnil(L);
    return 1;
  }
  if (find && (lua_toboolean(L, 4) || strcspn(pattern, "^$*+?.([%-") == count)) {
    const char *found = memmem(text + start, length - start, pattern, count);
    if (!found) {
      lua_pushnil(L);
      return 1;
    }
    lua_pushinteger(L, found - text + 1);
    lua_pushinteger(L, found - text + (lua_Integer)count);
    return 2;
  }
  matcher m;
  prepare(&m, L, text, length, pattern, count);
  int anchored = count > 0 && *pattern == '^';
  const char *s = text + start;
  do {
    const char *end = match_anew(&m, s, pattern + anchored);
    if (end) {
      if (!find) return push_captures(&m, s, end);
      lua_pushinteger(L, s - text + 1);
      lua_pushinteger(L, end - text);
      return 2 + push_captures(&m, NULL, NULL);
    }
  } while (!anchored && ++s <= m.text_end);
  lua_pushnil(L);
  return 1;
}

static int string_find(lua_State *L) { return search(L, 1); }
static int string_match(lua_State *L) { return search(L, 0); }

// Upvalues: text, pattern, the offset to go on from, and that of the last match's end (-1: none yet).
static int next_match(lua_State *L) {
  size_t length, count;
  const char *text = lua_tolstring(L, lua_upvalueindex(1), &length);
  const char *pattern = lua_tolstring(L, lua_upvalueindex(2), &count);
  lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
  matcher m;
  prepare(&m, L, text, length, pattern, count);
  for (size_t at = (size_t)lua_tointeger(L, lua_upvalueindex(3)); at <= length; at++) {
    const char *end = match_anew(&m, text + at, pattern);
    if (!end || end - text == last) continue;
    lua_pushinteger(L, end - text);
    lua_copy(L, -1, lua_upvalueindex(3));
    lua_copy(L, -1, lua_upvalueindex(4));
    lua_pop(L, 1);
    return push_captures(&m, text + at, end);
  }
  return 0;
}

static int string_gmatch(lua_State *L) {
  size_t length;
  luaL_checklstring(L, 1, &length);
  luaL_checkstring(L, 2);
  size_t start = start_offset(luaL_optinteger(L, 3, 1), length);
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)(start > length ? length + 1 : start));
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, next_match, 4);
  return 1;
}

// Adds a replacement text with its %0 to %9 and %% filled in.
static void add_template(matcher *m, luaL_Buffer *result, const char *start, const char *end) {
  size_t length;
  const char *text = lua_tolstring(m->L, 3, &length);
  for (const char *at = text; at < text + length; at++) {
    if (*at != '%') {
      luaL_addchar(result, *at);
      continue;
    }
    at++;
    if (at < text + length && *at == '%') {
      luaL_addchar(result, '%');
    } else if (at < text + length && *at == '0') {
      luaL_addlstring(result, start, (size_t)(end - start));
    } else if (at < text + length && isdigit(byte(at))) {
      push_capture(m, *at - '1', start, end);
      luaL_tolstring(m->L, -1, NULL); // a position becomes text
      lua_remove(m->L, -2);
      luaL_addvalue(result);
    } else {
      luaL_error(m->L, "invalid use of '%%' in replacement string");
    }
  }
}

// Adds what takes the place of one match. Returns whether something was replaced.
static int add_replacement(matcher *m, luaL_Buffer *result, const char *start, const char *end, int type) {
  lua_State *L = m->L;
  if (type == LUA_TFUNCTION) {
    lua_pushvalue(L, 3);
    lua_call(L, push_captures(m, start, end), 1);
  } else if (type == LUA_TTABLE) {
    push_capture(m, 0, start, end);
    lua_gettable(L, 3);
  } else {
    add_template(m, result, start, end);
    return 1;
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    luaL_addlstring(result, start, (size_t)(end - start));
    return 0;
  }
  if (!lua_isstring(L, -1)) return luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  luaL_addvalue(result);
  return 1;
}

static int string_gsub(lua_State *L) {
  nnl_context *context = nnl_of(L);
  size_t length, count;
  const char *text = luaL_checklstring(L, 1, &length);
  const char *pattern = luaL_checklstring(L, 2, &count);
  int type = lua_type(L, 3);
  luaL_argexpected(
    L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
    "string/function/table");
  lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)length + 1);
  int anchored = count > 0 && *pattern == '^';
  matcher m;
  prepare(&m, L, text, length, pattern, count);
  lua_Integer made = 0;
  const char *s = text, *last = NULL;
  luaL_Buffer result;
  luaL_buffinit(L, &result);
  while (made < most) {
    const char *end = match_anew(&m, s, pattern + anchored);
    if (end && end != last) {
      made++;
      add_replacement(&m, &result, s, end, type);
      if (luaL_bufflen(&result) > context->string_limit)
        return luaL_error(L, "string.gsub would build a string beyond the limit of %I bytes",
          (lua_Integer)context->string_limit);
      s = last = end;
    } else if (s < m.text_end) {
      luaL_addchar(&result, *s++);
    } else {
      break;
    }
    if (anchored) break;
  }
  luaL_addlstring(&result, s, (size_t)(m.text_end - s));
  luaL_pushresult(&result);
  lua_pushinteger(L, made);
  return 2;
}

void nnl_open_patterns(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch}, {"gsub", string_gsub}, {NULL, NULL}};
  lua_getglobal(L, "string");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}

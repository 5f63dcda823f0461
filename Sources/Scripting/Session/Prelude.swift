// The part of a session that is written in Lua: showing values within limits.

/// Lua source text that every session runs first.
enum Prelude {
  /// Gives a function `show(value)` to text, and a function `finish(number, muted)` to a chunk's finisher.
  static let source = """
    local limits = { depth = 4, items = 40, width = 100, text = 2000 }
    local names = "^[%a_][%w_]*$"
    local tostring, type, next, rawget, rawlen = tostring, type, next, rawget, rawlen
    local format, rep, concat, sort = string.format, string.rep, table.concat, table.sort
    local mathtype, tointeger = math.type, math.tointeger
    local getmetatable = getmetatable or function() end

    local function quoted(text)
      if #text > limits.text then
        text = text:sub(1, limits.text) .. "... (" .. #text .. " bytes)"
      end
      return (format("%q", text):gsub("\\\\\\n", "\\\\n"))
    end

    local function order(a, b)
      local ta, tb = type(a), type(b)
      if ta ~= tb then return ta < tb end
      if ta == "number" or ta == "string" then return a < b end
      return tostring(a) < tostring(b)
    end

    local show

    local function fields(value, depth, seen)
      local parts, count, length = {}, 0, rawlen(value)
      for i = 1, length do
        count = count + 1
        if count > limits.items then break end
        parts[#parts + 1] = show(rawget(value, i), depth + 1, seen)
      end
      local keys = {}
      for key in next, value do
        if not (mathtype(key) == "integer" and key >= 1 and key <= length) then keys[#keys + 1] = key end
      end
      sort(keys, order)
      for _, key in ipairs(keys) do
        count = count + 1
        if count > limits.items then break end
        local name = type(key) == "string" and key:find(names) and key or "[" .. show(key, depth + 1, seen) .. "]"
        parts[#parts + 1] = name .. " = " .. show(rawget(value, key), depth + 1, seen)
      end
      local left = length + #keys - #parts
      if left > 0 then parts[#parts + 1] = "... " .. left .. " more" end
      return parts
    end

    function show(value, depth, seen)
      local kind = type(value)
      if kind == "string" then return quoted(value) end
      if kind ~= "table" then return tostring(value) end
      local metatable = getmetatable(value)
      if type(metatable) == "table" and rawget(metatable, "__tostring") then return tostring(value) end
      if seen[value] then return "{ (itself) }" end
      if next(value) == nil then return "{}" end
      if depth >= limits.depth then return "{ ... }" end
      seen[value] = true
      local parts = fields(value, depth, seen)
      seen[value] = nil
      local line = "{ " .. concat(parts, ", ") .. " }"
      if #line + 2 * depth <= limits.width and not line:find("\\n", 1, true) then return line end
      local indent = rep("  ", depth + 1)
      return "{\\n" .. indent .. concat(parts, ",\\n" .. indent) .. "\\n" .. rep("  ", depth) .. "}"
    end

    -- A text of several lines is there to be read: it stands as it is. Within a table it stays quoted.
    local function text(value)
      if type(value) == "string" and value:find("\\n", 1, true) and #value <= 10 * limits.text then return value end
      return show(value, 0, {})
    end

    -- A chunk's results come here: they are kept under Out and _, and shown unless the input asked for silence.
    local number, muted = 0, false
    local function begin(n, silent) number, muted = n, silent end
    local function finish(_, ...)
      local count = select("#", ...)
      if count == 0 or (count == 1 and (...) == nil) then return end
      local first = ...
      _G._ = first
      Out[number] = first
      if muted then return end
      local parts = {}
      for i = 1, count do parts[i] = text((select(i, ...))) end
      return concat(parts, "\\t")
    end

    Out, In = {}, {}
    return text, begin, finish
    """
}

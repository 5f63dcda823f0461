// What Lua code may reach, as data: an allow-list of globals per level.

/// How much of the library, and of memory, a state's code may use.
package struct SandboxLevel: Sendable {
  package let name: String
  /// Globals that stay, with the members that stay of a library; an empty list is the whole, nil is everything.
  package let globals: [String: [String]]?
  /// Bytes that Lua may use, 0 for no limit.
  package let memoryLimit: Int
  /// Whether the methods of strings are out of the code's reach.
  package let locksStrings: Bool

  /// A user's own scripts.
  package static let full = SandboxLevel(name: "full", globals: nil, memoryLimit: 0, locksStrings: false)

  /// Code that arrives inside a model bundle: no files, no processes, no loading, 256 MiB.
  package static let recipe = SandboxLevel(
    name: "recipe",
    globals: whole(
      plainGlobals
        + " coroutine getmetatable setmetatable load pcall xpcall print warn collectgarbage rawlen rawset"
    ).merging(["os": ["clock", "date", "difftime", "time"], "debug": ["traceback"]]) { $1 },
    memoryLimit: 256 << 20, locksStrings: true)

  /// Values on the command line: arithmetic, strings and tables, 32 MiB.
  package static let expression = SandboxLevel(
    name: "expr", globals: whole(plainGlobals), memoryLimit: 32 << 20, locksStrings: true)

  private static let plainGlobals =
    "_G _VERSION assert error ipairs math next pairs rawequal rawget select string table tonumber tostring type utf8"

  private static func whole(_ names: String) -> [String: [String]] {
    Dictionary(uniqueKeysWithValues: names.split(separator: " ").map { (String($0), []) })
  }

  /// Removes what is not allowed from a fresh state; its arguments are the allow-list and whether to lock strings.
  static let pruner = """
    local allowed, lock = ...
    local loaded = package.loaded
    local strings = getmetatable("")
    local collect = collectgarbage
    local count = { count = true, collect = true }
    for name, value in pairs(_G) do
      local members = allowed[name]
      if members == nil then
        _G[name] = nil
        loaded[name] = nil
      elseif type(members) == "table" then
        local kept = {}
        for _, member in ipairs(members) do kept[member] = value[member] end
        for member in pairs(value) do value[member] = kept[member] end
      end
    end
    for name in pairs(loaded) do
      if allowed[name] == nil then loaded[name] = nil end
    end
    if allowed.collectgarbage then
      function collectgarbage(what)
        what = what or "collect"
        if not count[what] then error("collectgarbage: only 'collect' and 'count' are allowed here", 2) end
        return collect(what)
      end
    end
    if lock then strings.__metatable = false end
    """
}
